//! Volumes: added, or recognised as already there, and a volume for each mount of what is injected.

use super::Stop;
use super::compare::{Extras, differences};
use super::containers::Present;
use super::context::Context;
use super::decision::Action;
use super::draft::{Conflict, Draft};
use super::reconcile::{Normal, Origin, Standing, differs_in, reconcile};
use crate::config::{Runtime, Volume};
use crate::kube::normalize::{Kind, normal};
use crate::place::{Key, Place};

/// Adds the volumes that the pod lacks.
pub(super) fn complete<'a>(
    cx: &Context<'_, 'a>,
    present: &Present<'a>,
    draft: &mut Draft<'_, 'a>,
) -> Result<(), Stop> {
    let wanted = cx
        .runtimes
        .iter()
        .map(|runtime| runtime.volumes.len())
        .sum();
    let mut added: Vec<(&'a Volume, &'a Runtime)> = Vec::with_capacity(wanted);
    for runtime in cx.runtimes.iter().copied() {
        for volume in &runtime.volumes {
            if is_absent(cx, present, runtime, volume, &added, draft)? {
                added.push((volume, runtime));
            }
        }
    }
    borrowed_volumes(cx, draft)?;
    let items = added
        .iter()
        .map(|(volume, _)| (volume.item.identity.as_str(), &volume.item.json));
    let exists = cx.pod.spec.volumes.is_some_and(|raw| raw.get() != "null");
    draft.add_items(Place::Volumes, exists, Place::Volume, items);
    Ok(())
}

/// Decides on one volume; true when it is to be added.
fn is_absent<'a>(
    cx: &Context<'_, 'a>,
    present: &Present<'a>,
    runtime: &'a Runtime,
    volume: &'a Volume,
    added: &[(&'a Volume, &'a Runtime)],
    draft: &mut Draft<'_, 'a>,
) -> Result<bool, Stop> {
    let name = volume.item.identity.as_str();
    let place = Place::Volume(Key::Identity(name));
    let wanted = |volume: &'a Volume| Normal {
        kind: Kind::Volume,
        normal: volume.item.normal.as_ref(),
        extras: if cx.must_match(volume) {
            Extras::Refused
        } else {
            Extras::Allowed
        },
    };
    let found = cx.find_volume(name, draft.budget)?;
    let in_pod = match found {
        Some(index) => Some(normal(Kind::Volume, &cx.volume(index, draft.budget)?)),
        None => None,
    };
    draft.budget.steps(added.len())?;
    let earlier = added.iter().find(|(other, _)| other.item.identity == name);
    let earlier = earlier.map(|(other, owner)| (wanted(other), *owner));
    match reconcile(&wanted(volume), in_pod.as_ref(), earlier, draft.budget)? {
        Standing::Absent => {
            draft.decide(runtime, place, Action::Added);
            return Ok(true);
        }
        Standing::Equal | Standing::Ours(_) => draft.decide(runtime, place, Action::Unchanged),
        Standing::Differs(Origin::Pod, fields) => {
            let at = Place::Volume(Key::Index(found.unwrap_or_default()));
            let differs = differs_in(&fields);
            // What an earlier runtime brought, in an earlier round, is not a tenant's.
            let first = cx
                .runtimes
                .iter()
                .flat_map(|other| &other.volumes)
                .find(|v| v.item.identity == name);
            let is_tenants = match (first, &in_pod) {
                (Some(first), Some(found)) => {
                    let first = first.item.normal.as_ref();
                    !differences(
                        Kind::Volume,
                        first,
                        found.as_ref(),
                        Extras::Refused,
                        draft.budget,
                    )?
                    .is_empty()
                }
                _ => true,
            };
            let mut mounting = present.privileged.iter();
            let mounting = mounting
                .find(|container| is_tenants && container.volumes.iter().any(|v| v == name));
            let fix = "rename or remove it";
            if let Some(container) = mounting {
                let container = &container.item.identity;
                let why = format!(
                    "{differs} from the volume {name:?} that the privileged container {container:?} mounts"
                );
                draft.deny(runtime, place, Conflict { at, why, fix });
            } else {
                let why = format!("{differs} from the injected volume {name:?}");
                draft.conflict(runtime, place, Conflict { at, why, fix });
            }
        }
        Standing::Differs(Origin::Runtime(owner), fields) => {
            let why = format!(
                "volume {name:?} of runtime {} {}",
                owner.name,
                differs_in(&fields)
            );
            let fix = "make them equal in the configuration, or rename one";
            draft.conflict_in_place(runtime, place, why, fix);
        }
    }
    Ok(false)
}

/// What was injected must hold together: each mount has a volume, and a privileged mount has one
/// that a runtime brought.
fn borrowed_volumes<'a>(cx: &Context<'_, 'a>, draft: &mut Draft<'_, 'a>) -> Result<(), Stop> {
    for runtime in cx.runtimes.iter().copied() {
        for borrowed in &runtime.borrowed_volumes {
            let from_runtimes = cx.runtimes.iter().flat_map(|other| &other.volumes);
            let brought = from_runtimes
                .into_iter()
                .any(|volume| volume.item.identity == borrowed.volume);
            if brought
                || (!borrowed.privileged
                    && cx.find_volume(&borrowed.volume, draft.budget)?.is_some())
            {
                continue;
            }
            let why = format!(
                "{} mounts volume {:?}, which none of this pod's runtimes defines",
                borrowed.at, borrowed.volume
            );
            let fix = "add the volume to the runtime, or request the runtime that defines it";
            let place = Place::Volume(Key::Identity(&borrowed.volume));
            draft.deny(
                runtime,
                place,
                Conflict {
                    at: Place::Volumes,
                    why,
                    fix,
                },
            );
        }
    }
    Ok(())
}
