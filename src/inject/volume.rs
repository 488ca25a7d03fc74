//! Volumes, and the border between a tenant's data and a privileged container.

use serde_json::value::RawValue;

use super::decision::{Action, Field};
use super::equal::{Extras, differences};
use super::{Additions, Injection, container, differs_in};
use crate::config::{Runtime, Volume};
use crate::normal::{Kind, normal};
use crate::patch::List;
use crate::pod::{self, Named, ShapeError, VolumeMount};

impl<'a> Injection<'_, 'a> {
    /// Needs to know which containers are in the pod as the configuration has them.
    pub(super) fn volumes(&mut self) -> Result<(), ShapeError> {
        let names: Vec<Named<'_>> = pod::list(self.pod.spec.volumes, || "spec.volumes".to_owned())?;
        let mut added: Vec<(&'a Volume, &'a Runtime)> = Vec::new();
        for runtime in self.runtimes.iter().copied() {
            for volume in &runtime.volumes {
                let name = volume.item.identity.as_str();
                let field = Field::Volume(name);
                if let Some(index) = names.iter().position(|other| other.name() == name) {
                    self.found_volume(runtime, volume, index)?;
                } else if let Some((other, owner)) =
                    added.iter().find(|(other, _)| other.item.identity == name)
                {
                    let normals = (volume.item.normal.as_ref(), other.item.normal.as_ref());
                    let different = differences(Kind::Volume, normals.0, normals.1, Extras::Refused);
                    if different.is_empty() {
                        self.decide(runtime, field, Action::Unchanged);
                    } else {
                        let why =
                            format!("volume {name:?} of runtime {} {}", owner.name, differs_in(&different));
                        let mend = "make them equal in the configuration, or rename one";
                        self.conflict(runtime, field, format!("spec.volumes[{name}]"), why, mend);
                    }
                } else {
                    added.push((volume, runtime));
                    self.decide(runtime, field, Action::Added);
                }
            }
        }
        self.borrowed_volumes(&names);
        let items = added.iter().map(|(volume, _)| volume.item.json.as_str()).collect();
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
        let extras = if volume.guarded { Extras::Refused } else { Extras::Allowed };
        let found = self.pod_volume(name)?.and_then(|(_, found)| normal(Kind::Volume, &found));
        let different = differences(Kind::Volume, volume.item.normal.as_ref(), found.as_ref(), extras);
        if different.is_empty() {
            self.decide(runtime, field, Action::Unchanged);
            return Ok(());
        }
        let at = format!("spec.volumes[{index}]");
        let mounted =
            self.privileged.iter().find(|container| container.volumes.iter().any(|other| other == name));
        if let Some(container) = mounted {
            let container = &container.item.identity;
            let why = format!(
                "volume {name:?} {} from the one that the privileged container {container:?} is to mount",
                differs_in(&different)
            );
            self.deny(runtime, field, at, why, "rename or remove it");
        } else {
            let why =
                format!("volume {name:?} is not the one that is injected: it {}", differs_in(&different));
            self.conflict(runtime, field, at, why, "rename or remove it");
        }
        Ok(())
    }

    /// The index and JSON of a volume of the pod.
    pub(super) fn pod_volume(&self, name: &str) -> Result<Option<(usize, serde_json::Value)>, ShapeError> {
        let volumes: Vec<&RawValue> = pod::list(self.pod.spec.volumes, || "spec.volumes".to_owned())?;
        for (index, raw) in volumes.into_iter().enumerate() {
            let wrong = |error: serde_json::Error| {
                ShapeError::new(format!("spec.volumes[{index}]"), pod::reason(&error))
            };
            let named: Named<'_> = serde_json::from_str(raw.get()).map_err(wrong)?;
            if named.name() == name {
                return Ok(Some((index, serde_json::from_str(raw.get()).map_err(wrong)?)));
            }
        }
        Ok(None)
    }

    /// What was injected must hold together: each mount has a volume, and a privileged mount has one that a
    /// runtime brought.
    fn borrowed_volumes(&mut self, names: &[Named<'_>]) {
        for runtime in self.runtimes.iter().copied() {
            for borrowed in &runtime.borrowed_volumes {
                let from_runtimes = self.runtimes.iter().flat_map(|other| &other.volumes);
                let brought = from_runtimes.into_iter().any(|volume| volume.item.identity == borrowed.volume);
                let in_pod = names.iter().any(|other| other.name() == borrowed.volume);
                if brought || (in_pod && !borrowed.privileged) {
                    continue;
                }
                let why = format!(
                    "{} mounts the volume {:?}, which no runtime of this pod brings",
                    borrowed.at, borrowed.volume
                );
                let mend = "add the volume to the runtime, or ask for the runtime that has it";
                self.deny(runtime, Field::Volume(&borrowed.volume), "spec.volumes".to_owned(), why, mend);
            }
        }
    }

    /// A volume that a privileged runtime keeps to itself is mounted by nobody else.
    pub(super) fn guard_own_volumes(&mut self) -> Result<(), ShapeError> {
        let own: Vec<(&'a Volume, &'a Runtime)> = self
            .runtimes
            .iter()
            .flat_map(|runtime| runtime.volumes.iter().map(move |volume| (volume, *runtime)))
            .filter(|(volume, _)| volume.own)
            .collect();
        if own.is_empty() {
            return Ok(());
        }
        for list in [List::InitContainers, List::Containers] {
            for index in 0..self.pod_list(list).len() {
                if !self.ours.contains(&(list, index)) {
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
                let why = format!("volume {name:?} belongs to the privileged runtime alone");
                self.deny(runtime, Field::Volume(name), at, why, "mount another volume");
            }
        }
        Ok(())
    }
}
