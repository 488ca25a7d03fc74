//! Volumes, and the border between a tenant's data and a privileged container.

use super::decision::{Action, Field};
use super::equal::{Extras, differences, disagreement};
use super::{Additions, Injection, container, differs_in};
use crate::config::{Runtime, Volume};
use crate::kube::normalize::{Kind, normal};
use crate::patch::List;
use crate::pod::{self, ShapeError, VolumeMount};

impl<'p, 'a> Injection<'p, 'a> {
    /// Needs to know which containers are in the pod as the configuration has them.
    pub(super) fn volumes(&mut self) -> Result<(), ShapeError> {
        let asked = self.runtimes.iter().map(|runtime| runtime.volumes.len()).sum();
        let mut added: Vec<(&'a Volume, &'a Runtime)> = Vec::with_capacity(asked);
        for runtime in self.runtimes.iter().copied() {
            for volume in &runtime.volumes {
                let name = volume.item.identity.as_str();
                let field = Field::Volume(name);
                if let Some(index) = self.pod_volumes.iter().position(|volume| volume.read.name() == name) {
                    self.found_volume(runtime, volume, index)?;
                } else if let Some((other, owner)) =
                    added.iter().find(|(other, _)| other.item.identity == name)
                {
                    let normals = (volume.item.normal.as_ref(), other.item.normal.as_ref());
                    let different = disagreement(Kind::Volume, normals.0, normals.1);
                    if different.is_empty() {
                        self.decide(runtime, field, Action::Unchanged);
                    } else {
                        let why =
                            format!("volume {name:?} of runtime {} {}", owner.name, differs_in(&different));
                        let fix = "make them equal in the configuration, or rename one";
                        self.conflict(runtime, field, format!("spec.volumes[{name}]"), why, fix);
                    }
                } else {
                    added.push((volume, runtime));
                    self.decide(runtime, field, Action::Added);
                }
            }
        }
        self.borrowed_volumes();
        let items = added.iter().map(|(volume, _)| &volume.item.json).collect();
        let exists = self.pod.spec.volumes.is_some_and(|raw| raw.get() != "null");
        self.emit(Additions { list: List::Volumes, exists, items });
        Ok(())
    }

    fn found_volume(
        &mut self,
        runtime: &'a Runtime,
        volume: &'a Volume,
        index: usize,
    ) -> Result<(), ShapeError> {
        let name = volume.item.identity.as_str();
        let field = Field::Volume(name);
        let extras = if is_guarded(volume, self.runtimes) { Extras::Refused } else { Extras::Allowed };
        let found = self.pod_volume(name)?.and_then(|found| normal(Kind::Volume, &found));
        let different = differences(Kind::Volume, volume.item.normal.as_ref(), found.as_ref(), extras);
        if different.is_empty() {
            self.decide(runtime, field, Action::Unchanged);
            return Ok(());
        }
        let at = format!("spec.volumes[{index}]");
        // What an earlier runtime brought, in an earlier round, is no tenant's.
        let first = self.runtimes.iter().flat_map(|other| &other.volumes).find(|v| v.item.identity == name);
        let is_tenants = first.is_none_or(|first| {
            let normals = (first.item.normal.as_ref(), found.as_ref());
            !differences(Kind::Volume, normals.0, normals.1, Extras::Refused).is_empty()
        });
        let mut mounting = self.privileged.iter();
        let mounting = mounting.find(|container| is_tenants && container.volumes.iter().any(|v| v == name));
        if let Some(container) = mounting {
            let container = &container.item.identity;
            let why = format!(
                "{} from the volume {name:?} that the privileged container {container:?} mounts",
                differs_in(&different)
            );
            self.deny(runtime, field, at, why, "rename or remove it");
        } else {
            let why = format!("{} from the injected volume {name:?}", differs_in(&different));
            self.conflict(runtime, field, at, why, "rename or remove it");
        }
        Ok(())
    }

    /// Reads the names of the pod's volumes, once for all that ask for them.
    pub(super) fn read_pod_volumes(&mut self) -> Result<(), ShapeError> {
        self.pod_volumes = pod::items(self.pod.spec.volumes, || "spec.volumes".to_owned())?;
        Ok(())
    }

    /// The JSON of a volume of the pod.
    pub(super) fn pod_volume(&self, name: &str) -> Result<Option<serde_json::Value>, ShapeError> {
        let position = self.pod_volumes.iter().position(|volume| volume.read.name() == name);
        let Some((index, found)) = position.and_then(|index| Some((index, self.pod_volumes.get(index)?)))
        else {
            return Ok(None);
        };
        match serde_json::from_str(found.raw.get()) {
            Ok(volume) => Ok(Some(volume)),
            Err(error) => Err(ShapeError::new(format!("spec.volumes[{index}]"), pod::reason(&error))),
        }
    }

    /// What was injected must hold together: each mount has a volume, and a privileged mount has one that a
    /// runtime brought.
    fn borrowed_volumes(&mut self) {
        for runtime in self.runtimes.iter().copied() {
            for borrowed in &runtime.borrowed_volumes {
                let from_runtimes = self.runtimes.iter().flat_map(|other| &other.volumes);
                let brought = from_runtimes.into_iter().any(|volume| volume.item.identity == borrowed.volume);
                let in_pod = self.pod_volumes.iter().any(|volume| volume.read.name() == borrowed.volume);
                if brought || (in_pod && !borrowed.privileged) {
                    continue;
                }
                let why = format!(
                    "{} mounts volume {:?}, which none of this pod's runtimes defines",
                    borrowed.at, borrowed.volume
                );
                let fix = "add the volume to the runtime, or request the runtime that defines it";
                self.deny(runtime, Field::Volume(&borrowed.volume), "spec.volumes".to_owned(), why, fix);
            }
        }
    }

    /// What privileged containers keep to themselves is mounted by nobody else.
    pub(super) fn guard_own_volumes(&mut self) -> Result<(), ShapeError> {
        let own = std::mem::take(&mut self.own);
        if own.is_empty() {
            return Ok(());
        }
        for list in [List::InitContainers, List::Containers] {
            for index in 0..self.pod_list(list).len() {
                let known = [&self.ours, &self.refused];
                if !known.iter().any(|known| known.contains(&(list, index))) {
                    self.guard_container(list, index, &own)?;
                }
            }
        }
        Ok(())
    }

    fn guard_container(
        &mut self,
        list: List,
        index: usize,
        own: &[(&'a Volume, &'a Runtime)],
    ) -> Result<(), ShapeError> {
        for mounts_field in ["volumeMounts", "volumeDevices"] {
            let Some(container) = self.pod_list(list).get(index) else { return Ok(()) };
            let raw = container.fields.get(mounts_field);
            let at = || format!("{}[{index}].{mounts_field}", container::field_path(list));
            let mounts: Vec<VolumeMount<'_>> = pod::list(raw, at)?;
            let mut found = Vec::new();
            for (position, mount) in mounts.iter().enumerate() {
                let name = mount.name.as_deref().unwrap_or_default();
                let path = mount.mount_path.as_deref().unwrap_or_default();
                let owner = own.iter().find(|(volume, _)| volume.item.identity == name);
                if let Some((volume, runtime)) = owner
                    && !(list == List::Containers && self.is_injected_mount(index, name, path))
                {
                    found.push((*volume, *runtime, format!("{}[{position}]", at())));
                }
            }
            for (volume, runtime, at) in found {
                let name = volume.item.identity.as_str();
                let why = format!("mounts volume {name:?}, which is reserved for a privileged runtime");
                self.deny(runtime, Field::Volume(name), at, why, "mount another volume");
            }
        }
        Ok(())
    }
}

/// Whether the pod's volume must be exactly this one: a privileged runtime brings it, or a privileged container
/// mounts it.
fn is_guarded(volume: &Volume, runtimes: &[&Runtime]) -> bool {
    let containers = runtimes.iter().flat_map(|other| other.init_containers.iter().chain(&other.containers));
    let mut privileged = containers.filter(|container| container.privileged);
    volume.guarded || privileged.any(|container| container.volumes.contains(&volume.item.identity))
}

/// The guarded volumes that their runtimes do not mount into the main container as well.
pub(super) fn own_volumes<'a>(runtimes: &[&'a Runtime]) -> Vec<(&'a Volume, &'a Runtime)> {
    let volumes = runtimes.iter().flat_map(|runtime| runtime.volumes.iter().map(|volume| (volume, *runtime)));
    let in_main = |volume: &Volume, runtime: &Runtime| {
        let mut mounts = runtime.main.volume_mounts.iter().filter_map(|mount| mount.normal.as_ref());
        mounts.any(|mount| mount["name"] == volume.item.identity.as_str())
    };
    let is_own = |(volume, runtime): &(&'a Volume, &'a Runtime)| {
        volume.own || (!volume.guarded && is_guarded(volume, runtimes) && !in_main(volume, runtime))
    };
    volumes.filter(is_own).collect()
}
