//! The border between a tenant's data and a privileged container: exclusive volumes are mounted by
//! nobody else.

use super::Stop;
use super::containers::Present;
use super::context::{self, Context};
use super::draft::{Conflict, Draft};
use super::mains::Mains;
use crate::place::{ContainerList, Key, Place};
use crate::pod::VolumeMount;

/// Denies the pod for every mount of an exclusive volume in a container of its own.
pub(super) fn check<'a>(
    cx: &Context<'_, 'a>,
    present: &Present<'a>,
    mains: &Mains<'_, 'a>,
    draft: &mut Draft<'_, 'a>,
) -> Result<(), Stop> {
    if cx.exclusive.is_empty() {
        return Ok(());
    }
    for list in ContainerList::ALL {
        for index in 0..cx.containers(list).len() {
            let known = [&present.exact_matches, &present.denied_containers];
            draft
                .budget
                .steps(1 + known.iter().map(|known| known.len()).sum::<usize>())?;
            if !known.iter().any(|known| known.contains(&(list, index))) {
                check_container(cx, mains, list, index, draft)?;
            }
        }
    }
    Ok(())
}

fn check_container<'a>(
    cx: &Context<'_, 'a>,
    mains: &Mains<'_, 'a>,
    list: ContainerList,
    index: usize,
    draft: &mut Draft<'_, 'a>,
) -> Result<(), Stop> {
    let Some(container) = cx.containers(list).get(index) else {
        return Ok(());
    };
    for field in ["volumeMounts", "volumeDevices"] {
        let place = Place::ContainerField(list, index, field);
        let mounts: Vec<VolumeMount<'_>> =
            context::list(container.fields.get(field), place, draft.budget)?;
        draft.budget.steps(mounts.len() * cx.exclusive.len())?;
        for (position, mount) in mounts.iter().enumerate() {
            let name = mount.name.as_deref().unwrap_or_default();
            let path = mount.mount_path.as_deref().unwrap_or_default();
            let owner = cx
                .exclusive
                .iter()
                .find(|(volume, _)| volume.item.identity == name);
            let Some(&(volume, runtime)) = owner else {
                continue;
            };
            if list == ContainerList::Containers
                && mains.has_mount(index, name, path, draft.budget)?
            {
                continue;
            }
            let name = volume.item.identity.as_str();
            let at = Place::ContainerItem(list, index, field, Key::Index(position));
            let why = format!("mounts volume {name:?}, which is reserved for a privileged runtime");
            let place = Place::Volume(Key::Identity(name));
            draft.deny(
                runtime,
                place,
                Conflict {
                    at,
                    why,
                    fix: "mount another volume",
                },
            );
        }
    }
    Ok(())
}
