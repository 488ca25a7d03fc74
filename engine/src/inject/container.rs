//! Sidecars, init containers and containers: added whole, or recognised as already there.

use serde_json::{Map, Value};

use super::decision::{Action, Field};
use super::equal::{Extras, differences, disagreement};
use super::{Additions, Injection, OnConflict, differs_in};
use crate::config::{Container, Runtime};
use crate::kube::normalize::{Kind, normal};
use crate::kube::token_mount::{is_token_volume, token_volume_name};
use crate::patch::List;
use crate::pod::{self, ShapeError};

impl<'a> Injection<'_, 'a> {
    pub(super) fn containers(&mut self) -> Result<(), ShapeError> {
        let mut earlier: Vec<(List, &'a Container, &'a Runtime)> = Vec::new();
        for list in [List::InitContainers, List::Containers] {
            let mut items = Vec::new();
            for runtime in self.runtimes.iter().copied() {
                for container in asked(runtime, list) {
                    if self.container(runtime, list, container, &earlier)? {
                        items.push(&container.item.json);
                        earlier.push((list, container, runtime));
                    }
                }
            }
            let exists = match list {
                List::InitContainers => self.pod.spec.init_containers.is_some(),
                _ => self.pod.spec.containers.is_some(),
            };
            self.emit(Additions { list, exists, items });
        }
        Ok(())
    }

    /// Decides on one container; true when it is to be added.
    fn container(
        &mut self,
        runtime: &'a Runtime,
        list: List,
        container: &'a Container,
        earlier: &[(List, &'a Container, &'a Runtime)],
    ) -> Result<bool, ShapeError> {
        let name = container.item.identity.as_str();
        let field = field(list, name);
        let exact = self.is_exact(container);
        let extras = if exact { Extras::Refused } else { Extras::Allowed };
        if let Some((found_list, index)) = self.find_container(name, list) {
            let at = format!("{}[{index}]", field_path(found_list));
            if found_list != list {
                self.refuse(found_list, index);
                let (pods, ours) = (field_path(found_list), field_path(list));
                let why = format!("is in {pods}, but the injected container {name:?} belongs in {ours}");
                self.conflict(runtime, field, at, why, "move, rename or remove it");
                return Ok(false);
            }
            let found = self.pod_container(list, index, container)?;
            let different =
                differences(Kind::Container, container.item.normal.as_ref(), found.as_ref(), extras);
            if different.is_empty() {
                if exact {
                    self.ours.push((list, index));
                }
                self.settle(container);
                self.decide(runtime, field, Action::Unchanged);
            } else {
                self.refuse(list, index);
                let why = format!("{} from the injected container {name:?}", differs_in(&different));
                self.conflict(runtime, field, at, why, "remove or rename it");
            }
            return Ok(false);
        }
        if let Some((other_list, other, owner)) =
            earlier.iter().find(|(_, other, _)| other.item.identity == name)
        {
            let normals = (container.item.normal.as_ref(), other.item.normal.as_ref());
            let different = disagreement(Kind::Container, normals.0, normals.1);
            let at = format!("{}[{name}]", field_path(list));
            if *other_list != list {
                let why = format!(
                    "runtime {} already injects container {name:?} into {}",
                    owner.name,
                    field_path(*other_list)
                );
                self.conflict(runtime, field, at, why, "rename one of them in the configuration");
            } else if different.is_empty() {
                self.decide(runtime, field, Action::Unchanged);
            } else {
                let why = format!("container {name:?} of runtime {} {}", owner.name, differs_in(&different));
                self.conflict(
                    runtime,
                    field,
                    at,
                    why,
                    "make the two definitions equal in the configuration, or rename one",
                );
            }
            return Ok(false);
        }
        self.settle(container);
        self.decide(runtime, field, Action::Added);
        Ok(true)
    }

    fn refuse(&mut self, list: List, index: usize) {
        if self.options.on_conflict == OnConflict::Deny {
            self.refused.push((list, index));
        }
    }

    /// Whether a container of the pod must be this one and nothing more. A look-alike with something of its own
    /// would bring a tenant's process next to a privileged one.
    pub(super) fn is_exact(&self, container: &Container) -> bool {
        let mut own = self.own.iter().map(|(volume, _)| &volume.item.identity);
        container.privileged || own.any(|name| container.volumes.contains(name))
    }

    /// Remembers a container that is in the pod as the configuration has it.
    fn settle(&mut self, container: &'a Container) {
        if container.privileged {
            self.privileged.push(container);
        }
    }

    /// Where the pod has a container of that name, the wanted list first.
    fn find_container(&self, name: &str, wanted: List) -> Option<(List, usize)> {
        let in_list = |list: List| {
            let position = self.pod_list(list).iter().position(|container| *container.name == *name)?;
            Some((list, position))
        };
        let other = if wanted == List::Containers { List::InitContainers } else { List::Containers };
        in_list(wanted).or_else(|| in_list(other))
    }

    pub(super) fn pod_list(&self, list: List) -> &[pod::Container<'_>] {
        match list {
            List::InitContainers => self.pod.init_containers(),
            _ => self.pod.containers(),
        }
    }

    /// The normal form of a container of the pod, less what admission put into it: the service account's token
    /// mount, and in a pod on the node's network the host ports that `wanted` does not ask for.
    fn pod_container(
        &self,
        list: List,
        index: usize,
        wanted: &Container,
    ) -> Result<Option<Value>, ShapeError> {
        let Some(container) = self.pod_list(list).get(index) else { return Ok(None) };
        let mut fields = Map::new();
        for (field, raw) in container.fields.iter() {
            let at = || format!("{}[{index}].{field}", field_path(list));
            let value: Value = serde_json::from_str(raw.get())
                .map_err(|error| ShapeError::new(at(), pod::reason(&error)))?;
            fields.insert(field.to_owned(), value);
        }
        if let Some(Value::Array(mounts)) = fields.get_mut("volumeMounts") {
            let mut checked = Ok(());
            mounts.retain(|mount| match self.is_token_mount(mount) {
                Ok(is_token) => !is_token,
                Err(error) => {
                    checked = Err(error);
                    true
                }
            });
            checked?;
        }
        let asks_for_host_ports = wanted.item.normal.as_ref().is_some_and(asks_for_host_ports);
        if let (Some(true), false, Some(Value::Array(ports))) =
            (self.pod.spec.host_network, asks_for_host_ports, fields.get_mut("ports"))
        {
            for port in ports.iter_mut().filter_map(Value::as_object_mut) {
                if port.get("hostPort") == port.get("containerPort") {
                    port.shift_remove("hostPort");
                }
            }
        }
        Ok(normal(Kind::Container, &Value::Object(fields)))
    }

    /// Whether a mount is the one that ServiceAccount admission adds to every container.
    fn is_token_mount(&self, mount: &Value) -> Result<bool, ShapeError> {
        let Some(name) = token_volume_name(mount) else { return Ok(false) };
        Ok(self.pod_volume(name)?.is_some_and(|volume| is_token_volume(&volume)))
    }
}

fn asks_for_host_ports(container: &Value) -> bool {
    let ports = container["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    ports.iter().any(|port| port.get("hostPort").is_some())
}

/// The containers that a runtime asks for in a list.
pub(super) fn asked(runtime: &Runtime, list: List) -> &[Container] {
    match list {
        List::InitContainers => &runtime.init_containers,
        _ => &runtime.containers,
    }
}

pub(super) fn field(list: List, name: &str) -> Field<'_> {
    match list {
        List::InitContainers => Field::InitContainer(name),
        _ => Field::Container(name),
    }
}

pub(super) fn field_path(list: List) -> &'static str {
    match list {
        List::InitContainers => "spec.initContainers",
        _ => "spec.containers",
    }
}
