//! What every step reads and none changes: the pod, the runtimes, and what was worked out from both
//! once.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Options, Stop};
use crate::budget::Budget;
use crate::config::{Container, Runtime, Volume};
use crate::place::{ContainerList, Key, Place};
use crate::pod::{self, Named, Pod, ShapeError};

/// What the steps read.
pub(super) struct Context<'p, 'a> {
    pub(super) pod: &'p Pod<'p>,
    /// The runtimes that the pod gets, in the order of injection.
    pub(super) runtimes: &'p [&'a Runtime],
    pub(super) options: Options,
    /// The volumes of the pod, by name.
    pub(super) volumes: Vec<pod::ListItem<'p, Named<'p>>>,
    /// The volumes that only containers of the runtimes may mount, each with the runtime that
    /// brings it.
    pub(super) exclusive: Vec<(&'a Volume, &'a Runtime)>,
}

impl<'p, 'a> Context<'p, 'a> {
    pub(super) fn read(
        pod: &'p Pod<'p>,
        runtimes: &'p [&'a Runtime],
        options: Options,
        budget: &mut Budget,
    ) -> Result<Self, Stop> {
        if pod.containers().is_empty() {
            let place = Place::Containers(ContainerList::Containers).to_string();
            return Err(
                ShapeError::new(place, "is empty; a pod needs at least one container").into(),
            );
        }
        let volumes = items(pod.spec.volumes, Place::Volumes, budget)?;
        Ok(Self {
            pod,
            runtimes,
            options,
            volumes,
            exclusive: exclusive(runtimes),
        })
    }

    pub(super) fn containers(&self, list: ContainerList) -> &'p [pod::PodContainer<'p>] {
        match list {
            ContainerList::InitContainers => self.pod.init_containers(),
            ContainerList::Containers => self.pod.containers(),
        }
    }

    /// Where a list of the pod has a container of that name.
    pub(super) fn find_container(
        &self,
        list: ContainerList,
        name: &str,
        budget: &mut Budget,
    ) -> Result<Option<usize>, Stop> {
        let containers = self.containers(list);
        budget.steps(containers.len())?;
        Ok(containers
            .iter()
            .position(|container| *container.name == *name))
    }

    /// Where the pod has a volume of that name.
    pub(super) fn find_volume(
        &self,
        name: &str,
        budget: &mut Budget,
    ) -> Result<Option<usize>, Stop> {
        budget.steps(self.volumes.len())?;
        Ok(self
            .volumes
            .iter()
            .position(|volume| volume.read.name() == name))
    }

    /// A volume of the pod.
    pub(super) fn volume(&self, index: usize, budget: &mut Budget) -> Result<Value, Stop> {
        match self.volumes.get(index) {
            Some(volume) => parse(volume.raw, || Place::Volume(Key::Index(index)), budget),
            None => Ok(Value::Null),
        }
    }

    /// Whether a container of the pod must be this one and nothing more. A look-alike with
    /// something of its own would bring a tenant's process next to a privileged one.
    pub(super) fn is_exact(&self, container: &Container) -> bool {
        let mut exclusive = self
            .exclusive
            .iter()
            .map(|(volume, _)| &volume.item.identity);
        container.privileged || exclusive.any(|name| container.volumes.contains(name))
    }

    /// Whether the pod's volume must be exactly this one.
    pub(super) fn must_match(&self, volume: &Volume) -> bool {
        must_match(volume, self.runtimes)
    }
}

/// The containers that a runtime wants in a list.
pub(super) fn wanted(runtime: &Runtime, list: ContainerList) -> &[Container] {
    match list {
        ContainerList::InitContainers => &runtime.init_containers,
        ContainerList::Containers => &runtime.containers,
    }
}

/// Parses a value of the pod that the first reading left as it is.
pub(super) fn parse<'r, 'v, T: Deserialize<'r>>(
    raw: &'r RawValue,
    place: impl Fn() -> Place<'v>,
    budget: &mut Budget,
) -> Result<T, Stop> {
    budget.charge(1, raw.get().len())?;
    serde_json::from_str(raw.get())
        .map_err(|error| ShapeError::new(place().to_string(), pod::reason(&error)).into())
}

/// Reads a list of the pod, as far as the rules read its items.
pub(super) fn list<'r, T: Deserialize<'r>>(
    raw: Option<&'r RawValue>,
    place: Place<'_>,
    budget: &mut Budget,
) -> Result<Vec<T>, Stop> {
    budget.charge(0, raw.map_or(0, |raw| raw.get().len()))?;
    let items: Vec<T> = pod::list(raw, || place.to_string())?;
    budget.steps(items.len())?;
    Ok(items)
}

/// Reads the items of a list of the pod and keeps each as it is, too.
pub(super) fn items<'r, T: Deserialize<'r>>(
    raw: Option<&'r RawValue>,
    place: Place<'_>,
    budget: &mut Budget,
) -> Result<Vec<pod::ListItem<'r, T>>, Stop> {
    // Once to find the items, and once more in each of them.
    budget.charge(0, 2 * raw.map_or(0, |raw| raw.get().len()))?;
    let items = pod::items(raw, || place.to_string())?;
    budget.steps(items.len())?;
    Ok(items)
}

/// Whether the pod's volume must be exactly this one: a privileged runtime brings it, or a
/// privileged container mounts it.
fn must_match(volume: &Volume, runtimes: &[&Runtime]) -> bool {
    let containers = runtimes
        .iter()
        .flat_map(|other| other.init_containers.iter().chain(&other.containers));
    let mut privileged = containers.filter(|container| container.privileged);
    volume.must_match
        || privileged.any(|container| container.volumes.contains(&volume.item.identity))
}

/// The volumes that must match and that their runtimes do not mount into the main container as
/// well.
fn exclusive<'a>(runtimes: &[&'a Runtime]) -> Vec<(&'a Volume, &'a Runtime)> {
    let volumes = runtimes
        .iter()
        .flat_map(|runtime| runtime.volumes.iter().map(|volume| (volume, *runtime)));
    let in_main = |volume: &Volume, runtime: &Runtime| {
        let mut mounts = runtime
            .main
            .volume_mounts
            .iter()
            .filter_map(|mount| mount.normal.as_ref());
        mounts.any(|mount| mount["name"] == volume.item.identity.as_str())
    };
    let is_exclusive = |(volume, runtime): &(&'a Volume, &'a Runtime)| {
        volume.exclusive
            || (!volume.must_match && must_match(volume, runtimes) && !in_main(volume, runtime))
    };
    volumes.filter(is_exclusive).collect()
}
