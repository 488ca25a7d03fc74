//! The main containers: which ones they are, and their environment, mounts and hooks.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::compare::Extras;
use super::context::{self, Context};
use super::decision::Action;
use super::draft::{Conflict, Draft};
use super::reconcile::{Normal, Origin, Standing, differs_in, reconcile};
use super::{Stop, hooks};
use crate::budget::Budget;
use crate::config::{Container, Item, Runtime};
use crate::kube::normalize::{Kind, clean_path, normal};
use crate::place::{ContainerList, Key, Place};
use crate::pod::{self, DEFAULT_CONTAINER, Named, Text, VolumeMount};
use crate::text::listed;

/// The containers of the pod that are the main one of some runtimes.
pub(super) struct Mains<'p, 'a>(Vec<Main<'p, 'a>>);

/// One of them.
struct Main<'p, 'a> {
    index: usize,
    runtimes: Vec<&'a Runtime>,
    env: Vec<Entry<'p>>,
    mounts: Vec<Entry<'p>>,
}

/// An item of a list of the pod.
struct Entry<'p> {
    /// A variable's name or a mount's cleaned path.
    identity: Cow<'p, str>,
    raw: &'p RawValue,
}

/// A list of a main container that is completed item by item.
#[derive(Debug, Clone, Copy)]
enum MainList {
    Env,
    VolumeMounts,
}

impl MainList {
    fn kind(self) -> Kind {
        match self {
            Self::Env => Kind::Env,
            Self::VolumeMounts => Kind::Mount,
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::VolumeMounts => "volumeMounts",
        }
    }

    fn wanted(self, runtime: &Runtime) -> &[Item] {
        match self {
            Self::Env => &runtime.main.env,
            Self::VolumeMounts => &runtime.main.volume_mounts,
        }
    }

    fn entries<'m, 'p>(self, main: &'m Main<'p, '_>) -> &'m [Entry<'p>] {
        match self {
            Self::Env => &main.env,
            Self::VolumeMounts => &main.mounts,
        }
    }

    /// Where the entry of that identity is that is in force.
    fn find(self, entries: &[Entry<'_>], identity: &str) -> Option<usize> {
        let is_it = |entry: &Entry<'_>| entry.identity == identity;
        match self {
            // Of several variables of one name the last one is in force.
            Self::Env => entries.iter().rposition(is_it),
            Self::VolumeMounts => entries.iter().position(is_it),
        }
    }
}

/// Completes each main container.
pub(super) fn complete<'p, 'a>(
    cx: &Context<'p, 'a>,
    draft: &mut Draft<'_, 'a>,
) -> Result<Mains<'p, 'a>, Stop> {
    let mains = choose(cx, draft)?;
    for main in &mains.0 {
        for list in [MainList::Env, MainList::VolumeMounts] {
            complete_list(cx, main, list, draft)?;
        }
        hooks::complete(cx, main.index, &main.runtimes, draft)?;
    }
    Ok(mains)
}

fn choose<'p, 'a>(cx: &Context<'p, 'a>, draft: &mut Draft<'_, 'a>) -> Result<Mains<'p, 'a>, Stop> {
    let mut mains: Vec<Main<'p, 'a>> = Vec::new();
    for runtime in cx.runtimes.iter().copied() {
        let Some(index) = choose_for(cx, runtime, draft)? else {
            continue;
        };
        if let Some(main) = mains.iter_mut().find(|main| main.index == index) {
            main.runtimes.push(runtime);
            continue;
        }
        let Some(container) = cx.pod.containers().get(index) else {
            continue;
        };
        let mut runtimes = Vec::with_capacity(cx.runtimes.len());
        runtimes.push(runtime);
        let place =
            |list: MainList| Place::ContainerField(ContainerList::Containers, index, list.field());
        let raw = |list: MainList| container.fields.get(list.field());
        let env = context::items(raw(MainList::Env), place(MainList::Env), draft.budget)?;
        let mounts = context::items(
            raw(MainList::VolumeMounts),
            place(MainList::VolumeMounts),
            draft.budget,
        )?;
        let env = env
            .into_iter()
            .map(|item: pod::ListItem<'p, Named<'p>>| Entry {
                identity: item.read.name.map_or(Cow::Borrowed(""), |Text(name)| name),
                raw: item.raw,
            });
        let mounts = mounts
            .into_iter()
            .map(|item: pod::ListItem<'p, VolumeMount<'p>>| Entry {
                identity: item
                    .read
                    .mount_path
                    .map_or(Cow::Borrowed(""), |Text(path)| cleaned(path)),
                raw: item.raw,
            });
        mains.push(Main {
            index,
            runtimes,
            env: env.collect(),
            mounts: mounts.collect(),
        });
    }
    Ok(Mains(mains))
}

fn cleaned(path: Cow<'_, str>) -> Cow<'_, str> {
    match path {
        Cow::Borrowed(path) => clean_path(path),
        Cow::Owned(path) => Cow::Owned(clean_path(&path).into_owned()),
    }
}

fn choose_for<'a>(
    cx: &Context<'_, 'a>,
    runtime: &'a Runtime,
    draft: &mut Draft<'_, 'a>,
) -> Result<Option<usize>, Stop> {
    let containers = cx.pod.containers();
    draft.budget.steps(containers.len())?;
    let names = containers.iter().map(|container| &*container.name);
    let wanted = runtime.main.name.as_deref();
    let annotated = cx.pod.annotation(DEFAULT_CONTAINER)?;
    if let Some(index) = main_container(names, wanted, annotated.as_deref(), cx.runtimes) {
        return Ok(unless_exact(cx, runtime, index, draft));
    }
    const MAX_NAMES: usize = 10;
    let wanted = wanted.unwrap_or_default();
    let names = listed(
        containers
            .iter()
            .map(|container| format!("{:?}", &*container.name)),
        MAX_NAMES,
    );
    let why = format!("mainContainer.name is {wanted:?}, but the pod's containers are {names}");
    let fix = "rename a container of the pod to match, or leave mainContainer.name empty";
    let place = Place::Container(ContainerList::Containers, Key::Identity(wanted));
    draft.deny(
        runtime,
        place,
        Conflict {
            at: Place::Containers(ContainerList::Containers),
            why,
            fix,
        },
    );
    Ok(None)
}

/// The index of the main container among the `names` of a pod's containers: the one that the
/// runtime wants by name, else the one that the pod's annotation names, else the first. What the
/// pod's runtimes bring is not taken for the pod's own once it is there, or another container would
/// be the main one after injection than before. `None` where there is no container of the name that
/// is wanted.
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

/// No main container is one that must hold exactly what a runtime brings.
fn unless_exact<'a>(
    cx: &Context<'_, 'a>,
    runtime: &'a Runtime,
    index: usize,
    draft: &mut Draft<'_, 'a>,
) -> Option<usize> {
    let brought = cx
        .pod
        .containers()
        .get(index)
        .and_then(|container| brought(cx.runtimes, &container.name));
    let Some(exact) = brought.filter(|container| cx.is_exact(container)) else {
        return Some(index);
    };
    let name = exact.item.identity.as_str();
    let why = format!(
        "container {name:?} belongs to a privileged runtime and cannot be the main container"
    );
    let at = Place::Container(ContainerList::Containers, Key::Index(index));
    let place = Place::Container(ContainerList::Containers, Key::Identity(name));
    draft.deny(
        runtime,
        place,
        Conflict {
            at,
            why,
            fix: "add a container of your own to the pod",
        },
    );
    None
}

/// Adds the variables or mounts that a main container lacks.
fn complete_list<'a>(
    cx: &Context<'_, 'a>,
    main: &Main<'_, 'a>,
    list: MainList,
    draft: &mut Draft<'_, 'a>,
) -> Result<(), Stop> {
    let wanted = main
        .runtimes
        .iter()
        .map(|runtime| list.wanted(runtime).len())
        .sum();
    let mut added: Vec<(&'a Item, &'a Runtime)> = Vec::with_capacity(wanted);
    for runtime in main.runtimes.iter().copied() {
        for item in list.wanted(runtime) {
            if is_absent(main, list, runtime, item, &added, draft)? {
                added.push((item, runtime));
            }
        }
    }
    let container = cx.pod.containers().get(main.index);
    let exists = container.is_some_and(|container| container.fields.get(list.field()).is_some());
    let place =
        |key| Place::ContainerItem(ContainerList::Containers, main.index, list.field(), key);
    let whole = Place::ContainerField(ContainerList::Containers, main.index, list.field());
    let items = added
        .iter()
        .map(|(item, _)| (item.identity.as_str(), &item.json));
    draft.add_items(whole, exists, place, items);
    Ok(())
}

/// Decides on one variable or mount; true when it is to be added.
fn is_absent<'a>(
    main: &Main<'_, 'a>,
    list: MainList,
    runtime: &'a Runtime,
    item: &'a Item,
    added: &[(&'a Item, &'a Runtime)],
    draft: &mut Draft<'_, 'a>,
) -> Result<bool, Stop> {
    let identity = item.identity.as_str();
    let at = |key| Place::ContainerItem(ContainerList::Containers, main.index, list.field(), key);
    let place = at(Key::Identity(identity));
    let wanted = |item: &'a Item| Normal {
        kind: list.kind(),
        normal: item.normal.as_ref(),
        extras: Extras::Refused,
    };
    let entries = list.entries(main);
    draft.budget.steps(entries.len() + added.len())?;
    let found = list.find(entries, identity);
    let in_pod = match found.and_then(|index| Some((index, entries.get(index)?))) {
        Some((index, entry)) => {
            let value = context::parse(entry.raw, || at(Key::Index(index)), draft.budget)?;
            Some(normal(list.kind(), &value))
        }
        None => None,
    };
    let earlier = added.iter().find(|(other, _)| other.identity == identity);
    let earlier = earlier.map(|(other, owner)| (wanted(other), *owner));
    match (
        reconcile(&wanted(item), in_pod.as_ref(), earlier, draft.budget)?,
        list,
    ) {
        (Standing::Absent, _) => {
            draft.decide(runtime, place, Action::Added);
            return Ok(true);
        }
        (Standing::Equal | Standing::Ours(_), _) => draft.decide(runtime, place, Action::Unchanged),
        (Standing::Differs(Origin::Pod, _), MainList::Env) => {
            draft.keep(
                runtime,
                place,
                "the pod already sets a different value".to_owned(),
            );
        }
        (Standing::Differs(Origin::Runtime(owner), _), MainList::Env) => {
            let why = format!("runtime {} already sets a different value", owner.name);
            draft.keep(runtime, place, why);
        }
        (Standing::Differs(Origin::Pod, fields), MainList::VolumeMounts) => {
            let why = format!(
                "{} from the injected mount at {identity}",
                differs_in(&fields)
            );
            let at = at(Key::Index(found.unwrap_or_default()));
            let fix = "mount it at another path or remove it";
            draft.conflict(runtime, place, Conflict { at, why, fix });
        }
        (Standing::Differs(Origin::Runtime(owner), fields), MainList::VolumeMounts) => {
            let why = format!(
                "the mount at {identity} of runtime {} {}",
                owner.name,
                differs_in(&fields)
            );
            let fix = "make them equal in the configuration, or move one";
            draft.conflict_in_place(runtime, place, why, fix);
        }
    }
    Ok(false)
}

impl Mains<'_, '_> {
    /// Whether a mount of a container is one that a runtime puts into it as its main container.
    pub(super) fn has_mount(
        &self,
        container: usize,
        volume: &str,
        path: &str,
        budget: &mut Budget,
    ) -> Result<bool, Stop> {
        let path = clean_path(path);
        let mains = self.0.iter().filter(|main| main.index == container);
        let mut mounts = mains
            .flat_map(|main| &main.runtimes)
            .flat_map(|runtime| &runtime.main.volume_mounts);
        budget.steps(mounts.clone().count())?;
        Ok(mounts.any(|item| {
            let name = item
                .normal
                .as_ref()
                .and_then(|mount| mount["name"].as_str());
            item.identity == path && name == Some(volume)
        }))
    }
}
