//! Sidecars, init containers and containers: added whole, or recognised as already there.

use serde_json::{Map, Value};

use super::compare::Extras;
use super::context::{self, Context};
use super::decision::Action;
use super::draft::{Conflict, Draft};
use super::reconcile::{Normal, Origin, Standing, differs_in, reconcile};
use super::{OnConflict, Stop};
use crate::config::{Container, Runtime};
use crate::kube::normalize::{Kind, normal};
use crate::kube::token_mount::{is_token_volume, token_volume_name};
use crate::place::{ContainerList, Key, Place};

/// What is known of the pod's containers once it was decided which ones are added.
pub(super) struct Present<'a> {
    /// Containers of the pod that hold exactly what a runtime brings and may mount exclusive
    /// volumes.
    pub(super) exact_matches: Vec<(ContainerList, usize)>,
    /// Containers of the pod that it is denied for already, so that their mounts need no mention.
    pub(super) denied_containers: Vec<(ContainerList, usize)>,
    /// The privileged containers that end up in the pod as the configuration has them.
    pub(super) privileged: Vec<&'a Container>,
}

/// A container that is to be added.
struct Addition<'a> {
    list: ContainerList,
    container: &'a Container,
    runtime: &'a Runtime,
}

/// Adds the containers that the pod lacks.
pub(super) fn complete<'a>(
    cx: &Context<'_, 'a>,
    draft: &mut Draft<'_, 'a>,
) -> Result<Present<'a>, Stop> {
    let mut present = Present {
        exact_matches: Vec::new(),
        denied_containers: Vec::new(),
        privileged: Vec::new(),
    };
    let mut additions: Vec<Addition<'a>> = Vec::new();
    for list in ContainerList::ALL {
        let first = additions.len();
        for runtime in cx.runtimes.iter().copied() {
            for container in context::wanted(runtime, list) {
                let addition = Addition {
                    list,
                    container,
                    runtime,
                };
                if is_absent(cx, &addition, &additions, &mut present, draft)? {
                    additions.push(addition);
                }
            }
        }
        let exists = match list {
            ContainerList::InitContainers => cx.pod.spec.init_containers.is_some(),
            ContainerList::Containers => cx.pod.spec.containers.is_some(),
        };
        let items = additions[first..].iter().map(|added| &added.container.item);
        let items = items.map(|item| (item.identity.as_str(), &item.json));
        draft.add_items(
            Place::Containers(list),
            exists,
            |key| Place::Container(list, key),
            items,
        );
    }
    Ok(present)
}

/// Decides on one container; true when it is to be added.
fn is_absent<'a>(
    cx: &Context<'_, 'a>,
    wanted: &Addition<'a>,
    additions: &[Addition<'a>],
    present: &mut Present<'a>,
    draft: &mut Draft<'_, 'a>,
) -> Result<bool, Stop> {
    let &Addition {
        list,
        container,
        runtime,
    } = wanted;
    let name = container.item.identity.as_str();
    let place = Place::Container(list, Key::Identity(name));
    let found = cx.find_container(list, name, draft.budget)?;
    draft.budget.steps(additions.len())?;
    let earlier = additions
        .iter()
        .find(|added| added.container.item.identity == name);
    // One name in both lists is a conflict whatever the containers are.
    if found.is_none()
        && let Some(index) = cx.find_container(list.other(), name, draft.budget)?
    {
        present.deny(cx, list.other(), index);
        let why = format!(
            "is in {}, but the injected container {name:?} belongs in {}",
            Place::Containers(list.other()),
            Place::Containers(list)
        );
        let at = Place::Container(list.other(), Key::Index(index));
        draft.conflict(
            runtime,
            place,
            Conflict {
                at,
                why,
                fix: "move, rename or remove it",
            },
        );
        return Ok(false);
    }
    if found.is_none()
        && let Some(earlier) = earlier.filter(|earlier| earlier.list != list)
    {
        let (owner, other) = (&earlier.runtime.name, Place::Containers(earlier.list));
        let why = format!("runtime {owner} already injects container {name:?} into {other}");
        let fix = "rename one of them in the configuration";
        draft.conflict_in_place(runtime, place, why, fix);
        return Ok(false);
    }
    let is_exact = cx.is_exact(container);
    let normal = |container: &'a Container| Normal {
        kind: Kind::Container,
        normal: container.item.normal.as_ref(),
        extras: if is_exact {
            Extras::Refused
        } else {
            Extras::Allowed
        },
    };
    let in_pod = match found {
        Some(index) => Some(read(cx, list, index, container, draft)?),
        None => None,
    };
    let earlier = earlier.map(|earlier| (normal(earlier.container), earlier.runtime));
    let standing = reconcile(&normal(container), in_pod.as_ref(), earlier, draft.budget)?;
    match (standing, found) {
        (Standing::Absent, _) => {
            present.settle(container);
            draft.decide(runtime, place, Action::Added);
            return Ok(true);
        }
        (Standing::Equal | Standing::Ours(_), found) => {
            if let Some(index) = found {
                if is_exact {
                    present.exact_matches.push((list, index));
                }
                present.settle(container);
            }
            draft.decide(runtime, place, Action::Unchanged);
        }
        (Standing::Differs(Origin::Pod, fields), found) => {
            let index = found.unwrap_or_default();
            present.deny(cx, list, index);
            let why = format!(
                "{} from the injected container {name:?}",
                differs_in(&fields)
            );
            let at = Place::Container(list, Key::Index(index));
            draft.conflict(
                runtime,
                place,
                Conflict {
                    at,
                    why,
                    fix: "remove or rename it",
                },
            );
        }
        (Standing::Differs(Origin::Runtime(owner), fields), _) => {
            let why = format!(
                "container {name:?} of runtime {} {}",
                owner.name,
                differs_in(&fields)
            );
            let fix = "make the two definitions equal in the configuration, or rename one";
            draft.conflict_in_place(runtime, place, why, fix);
        }
    }
    Ok(false)
}

impl<'a> Present<'a> {
    /// Remembers a container that the pod has, or is to have, as the configuration has it.
    fn settle(&mut self, container: &'a Container) {
        if container.privileged {
            self.privileged.push(container);
        }
    }

    /// Remembers a container of the pod that the pod is denied for.
    fn deny(&mut self, cx: &Context<'_, '_>, list: ContainerList, index: usize) {
        if cx.options.on_conflict == OnConflict::Deny {
            self.denied_containers.push((list, index));
        }
    }
}

/// The normal form of a container of the pod, less what admission put into it: the service
/// account's token mount, and in a pod on the node's network the host ports that `wanted` does not
/// have.
fn read(
    cx: &Context<'_, '_>,
    list: ContainerList,
    index: usize,
    wanted: &Container,
    draft: &mut Draft<'_, '_>,
) -> Result<Option<Value>, Stop> {
    let Some(container) = cx.containers(list).get(index) else {
        return Ok(None);
    };
    let mut fields = Map::new();
    for (field, raw) in container.fields.iter() {
        let value = context::parse(
            raw,
            || Place::ContainerField(list, index, field),
            draft.budget,
        )?;
        fields.insert(field.to_owned(), value);
    }
    if let Some(Value::Array(mounts)) = fields.get_mut("volumeMounts") {
        let mut checked = Ok(());
        mounts.retain(|mount| match is_token_mount(cx, mount, draft) {
            Ok(is_token) => !is_token,
            Err(stop) => {
                checked = Err(stop);
                true
            }
        });
        checked?;
    }
    let wants_host_ports = wanted.item.normal.as_ref().is_some_and(has_host_ports);
    if let (Some(true), false, Some(Value::Array(ports))) = (
        cx.pod.spec.host_network,
        wants_host_ports,
        fields.get_mut("ports"),
    ) {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            if port.get("hostPort") == port.get("containerPort") {
                port.shift_remove("hostPort");
            }
        }
    }
    Ok(normal(Kind::Container, &Value::Object(fields)))
}

/// Whether a mount is the one that ServiceAccount admission adds to every container.
fn is_token_mount(
    cx: &Context<'_, '_>,
    mount: &Value,
    draft: &mut Draft<'_, '_>,
) -> Result<bool, Stop> {
    let Some(name) = token_volume_name(mount) else {
        return Ok(false);
    };
    match cx.find_volume(name, draft.budget)? {
        Some(index) => Ok(is_token_volume(&cx.volume(index, draft.budget)?)),
        None => Ok(false),
    }
}

fn has_host_ports(container: &Value) -> bool {
    let ports = container["ports"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    ports.iter().any(|port| port.get("hostPort").is_some())
}
