//! The main container: which one it is, and its environment and mounts.

use serde_json::value::RawValue;

use super::decision::{Action, Field};
use super::equal::{Extras, differences};
use super::{Additions, Injection, differs_in};
use crate::config::{Container, Item, Runtime};
use crate::kube::normalize::{Kind, clean_path, normal};
use crate::patch::List;
use crate::pod::{self, Named, ShapeError, VolumeMount};
use crate::text::listed;

/// A container of the pod that is the main one of some runtimes.
pub(super) struct MainContainer<'p, 'a> {
    index: usize,
    runtimes: Vec<&'a Runtime>,
    /// Its variables, in the pod's order.
    env: Vec<pod::Item<'p, Named<'p>>>,
    /// Its mounts, in the pod's order.
    mounts: Vec<pod::Item<'p, VolumeMount<'p>>>,
}

/// What a list of items is and where the pod's own are.
struct Merged<'a> {
    kind: Kind,
    list: List,
    /// The container.
    index: usize,
    /// The list's field there.
    field: &'static str,
    added: Vec<(&'a Item, &'a Runtime)>,
}

impl<'a> Injection<'_, 'a> {
    pub(super) fn main_containers(&mut self) -> Result<(), ShapeError> {
        self.choose_main_containers()?;
        let mains = std::mem::take(&mut self.mains);
        for main in &mains {
            self.env(main)?;
            self.mounts(main)?;
            self.hooks(main.index, &main.runtimes)?;
        }
        self.mains = mains;
        Ok(())
    }

    fn choose_main_containers(&mut self) -> Result<(), ShapeError> {
        for runtime in self.runtimes.iter().copied() {
            let Some(index) = self.main_index(runtime)? else { continue };
            if let Some(main) = self.mains.iter_mut().find(|main| main.index == index) {
                main.runtimes.push(runtime);
                continue;
            }
            let container = &self.pod.containers()[index];
            let at = |field: &str| format!("spec.containers[{index}].{field}");
            let mut runtimes = Vec::with_capacity(self.runtimes.len());
            runtimes.push(runtime);
            self.mains.push(MainContainer {
                index,
                runtimes,
                env: pod::items(container.fields.get("env"), || at("env"))?,
                mounts: pod::items(container.fields.get("volumeMounts"), || at("volumeMounts"))?,
            });
        }
        Ok(())
    }

    fn main_index(&mut self, runtime: &'a Runtime) -> Result<Option<usize>, ShapeError> {
        let containers = self.pod.containers();
        let names = containers.iter().map(|container| &*container.name);
        let wanted = runtime.main.name.as_deref();
        let annotated = self.pod.annotation(pod::DEFAULT_CONTAINER)?;
        if let Some(index) = main_container(names, wanted, annotated.as_deref(), self.runtimes) {
            return Ok(self.unless_exact(runtime, index));
        }
        let wanted = wanted.unwrap_or_default();
        const SHOWN: usize = 10;
        let names = listed(containers.iter().map(|container| format!("{:?}", &*container.name)), SHOWN);
        let why = format!("mainContainer.name is {wanted:?}, but the pod's containers are {names}");
        let fix = "rename a container of the pod to match, or leave mainContainer.name empty";
        self.deny(runtime, Field::Container(wanted), "spec.containers".to_owned(), why, fix);
        Ok(None)
    }

    /// No main container is one that must hold exactly what a runtime brings.
    fn unless_exact(&mut self, runtime: &'a Runtime, index: usize) -> Option<usize> {
        let brought =
            self.pod.containers().get(index).and_then(|container| brought(self.runtimes, &container.name));
        let Some(exact) = brought.filter(|container| self.is_exact(container)) else { return Some(index) };
        let name = exact.item.identity.as_str();
        let why =
            format!("container {name:?} belongs to a privileged runtime and cannot be the main container");
        let fix = "add a container of your own to the pod";
        self.deny(runtime, Field::Container(name), format!("spec.containers[{index}]"), why, fix);
        None
    }

    fn env(&mut self, main: &MainContainer<'_, 'a>) -> Result<(), ShapeError> {
        let index = main.index;
        let asked = main.runtimes.iter().map(|runtime| runtime.main.env.len()).sum();
        let (kind, list, field) = (Kind::Env, List::Env(index), "env");
        let mut merged = Merged { kind, list, index, field, added: Vec::with_capacity(asked) };
        for runtime in main.runtimes.iter().copied() {
            for item in &runtime.main.env {
                let field = Field::Env(index, &item.identity);
                // Of several variables of one name the last one is in force.
                let found = main.env.iter().rposition(|env| env.read.name() == item.identity);
                let found = found.map(|position| (position, main.env[position].raw));
                if let Some((_, different)) = self.merge(&mut merged, runtime, item, field, found)? {
                    let why = match different {
                        Difference::Pod(_) => "the pod already sets a different value".to_owned(),
                        Difference::Runtime(owner, _) => {
                            format!("runtime {owner} already sets a different value")
                        }
                    };
                    self.keep(runtime, field, why);
                }
            }
        }
        self.emit_merged(merged);
        Ok(())
    }

    fn mounts(&mut self, main: &MainContainer<'_, 'a>) -> Result<(), ShapeError> {
        let index = main.index;
        let asked = main.runtimes.iter().map(|runtime| runtime.main.volume_mounts.len()).sum();
        let (kind, list, field) = (Kind::Mount, List::VolumeMounts(index), "volumeMounts");
        let mut merged = Merged { kind, list, index, field, added: Vec::with_capacity(asked) };
        for runtime in main.runtimes.iter().copied() {
            for item in &runtime.main.volume_mounts {
                let field = Field::VolumeMount(index, &item.identity);
                let same_path = |mount: &pod::Item<'_, VolumeMount<'_>>| {
                    mount.read.mount_path.as_deref().is_some_and(|path| clean_path(path) == item.identity)
                };
                let found = main.mounts.iter().position(same_path);
                let found = found.map(|position| (position, main.mounts[position].raw));
                if let Some((at, different)) = self.merge(&mut merged, runtime, item, field, found)? {
                    let path = &item.identity;
                    let (why, fix) = match different {
                        Difference::Pod(fields) => (
                            format!("{} from the injected mount at {path}", differs_in(&fields)),
                            "mount it at another path or remove it",
                        ),
                        Difference::Runtime(owner, fields) => (
                            format!("the mount at {path} of runtime {owner} {}", differs_in(&fields)),
                            "make them equal in the configuration, or move one",
                        ),
                    };
                    self.conflict(runtime, field, at, why, fix);
                }
            }
        }
        self.emit_merged(merged);
        Ok(())
    }

    /// Adds an item or finds an equal one; otherwise says where the different one is and how it differs.
    fn merge(
        &mut self,
        merged: &mut Merged<'a>,
        runtime: &'a Runtime,
        item: &'a Item,
        field: Field<'a>,
        found: Option<(usize, &RawValue)>,
    ) -> Result<Option<(String, Difference<'a>)>, ShapeError> {
        let different = if let Some((position, raw)) = found {
            let at = format!("spec.containers[{}].{}[{position}]", merged.index, merged.field);
            let found = match serde_json::from_str(raw.get()) {
                Ok(value) => normal(merged.kind, &value),
                Err(error) => return Err(ShapeError::new(at, pod::reason(&error))),
            };
            let fields = differences(merged.kind, item.normal.as_ref(), found.as_ref(), Extras::Refused);
            (at, Difference::Pod(fields))
        } else if let Some((other, owner)) =
            merged.added.iter().find(|(other, _)| other.identity == item.identity)
        {
            let normals = (item.normal.as_ref(), other.normal.as_ref());
            let fields = differences(merged.kind, normals.0, normals.1, Extras::Refused);
            (field.to_string(), Difference::Runtime(&owner.name, fields))
        } else {
            merged.added.push((item, runtime));
            self.decide(runtime, field, Action::Added);
            return Ok(None);
        };
        let (Difference::Pod(fields) | Difference::Runtime(_, fields)) = &different.1;
        if fields.is_empty() {
            self.decide(runtime, field, Action::Unchanged);
            return Ok(None);
        }
        Ok(Some(different))
    }

    fn emit_merged(&mut self, merged: Merged<'a>) {
        let container = self.pod.containers().get(merged.index);
        let exists = container.is_some_and(|container| container.fields.get(merged.field).is_some());
        let items = merged.added.iter().map(|(item, _)| &item.json).collect();
        self.emit(Additions { list: merged.list, exists, items });
    }

    /// Whether a mount of a container is one that a runtime puts into it as its main container.
    pub(super) fn is_injected_mount(&self, index: usize, volume: &str, path: &str) -> bool {
        let path = clean_path(path);
        let mains = self.mains.iter().filter(|main| main.index == index);
        mains.flat_map(|main| &main.runtimes).any(|runtime| {
            runtime.main.volume_mounts.iter().any(|item| {
                let name = item.normal.as_ref().and_then(|mount| mount["name"].as_str());
                item.identity == path && name == Some(volume)
            })
        })
    }

    /// What is allowed and will hurt: said in warnings.
    pub(super) fn warn_of_risks(&mut self) -> Result<(), ShapeError> {
        let context: Option<PodSecurity> = match self.pod.spec.security_context {
            Some(raw) => pod::from_object_or_null(&mut serde_json::Deserializer::from_str(raw.get()))
                .map_err(|error| ShapeError::new("spec.securityContext", pod::reason(&error)))?,
            None => None,
        };
        let non_root = context.is_some_and(|context| context.run_as_non_root == Some(true));
        let class = self.pod.spec.runtime_class_name.as_deref().unwrap_or_default();
        let sandboxed = ["gvisor", "runsc"].iter().any(|name| class.contains(name));
        for runtime in self.runtimes {
            for container in runtime.init_containers.iter().chain(&runtime.containers) {
                let name = &container.item.identity;
                if non_root && !container.sets_user {
                    self.warnings.push(format!(
                        "runtime {}: container {name} sets no runAsUser, but the pod requires runAsNonRoot: true",
                        runtime.name
                    ));
                }
                if sandboxed && container.bidirectional {
                    self.warnings.push(format!(
                        "runtime {}: container {name} mounts Bidirectional, which gVisor refuses",
                        runtime.name
                    ));
                }
            }
            let mut main_mounts = runtime.main.volume_mounts.iter().filter_map(|mount| mount.normal.as_ref());
            if sandboxed && main_mounts.any(|mount| mount["mountPropagation"] == "Bidirectional") {
                self.warnings.push(format!(
                    "runtime {}: the main container mounts Bidirectional, which gVisor refuses",
                    runtime.name
                ));
            }
        }
        Ok(())
    }
}

/// The index of the main container among the `names` of a pod's containers: the one that the runtime wants by name, else
/// the one that the pod's annotation names, else the first. What the pod's runtimes bring is not taken for the pod's own
/// once it is there, or another container would be the main one after injection than before. `None` where there is no
/// container of the name that is wanted.
pub(super) fn main_container<'n>(
    mut names: impl Iterator<Item = &'n str> + Clone,
    wanted: Option<&str>,
    annotated: Option<&str>,
    runtimes: &[&Runtime],
) -> Option<usize> {
    let position = |name: &str| names.clone().position(|other| other == name);
    if let Some(wanted) = wanted {
        return position(wanted);
    }
    let is_own = |name: &str| brought(runtimes, name).is_none();
    let annotated = annotated.filter(|name| is_own(name)).and_then(position);
    Some(annotated.or_else(|| names.position(is_own)).unwrap_or(0))
}

/// The container of that name that a runtime brings.
fn brought<'a>(runtimes: &[&'a Runtime], name: &str) -> Option<&'a Container> {
    let mut brought = runtimes.iter().flat_map(|runtime| &runtime.containers);
    brought.find(|container| container.item.identity == name)
}

/// How an item differs, and from whose.
enum Difference<'a> {
    /// From the pod's, in these fields.
    Pod(Vec<String>),
    /// From that of a runtime injected before, in these fields.
    Runtime(&'a str, Vec<String>),
}

/// What is read of the pod's security context.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSecurity {
    run_as_non_root: Option<bool>,
}
