//! What is allowed and will hurt: said in warnings.

use super::Stop;
use super::context::Context;
use super::draft::Draft;
use crate::place::Place;
use crate::pod::{self, ShapeError};

/// Warns of what is injected and will not work in this pod.
pub(super) fn warn(cx: &Context<'_, '_>, draft: &mut Draft<'_, '_>) -> Result<(), Stop> {
    let security: Option<PodSecurity> = match cx.pod.spec.security_context {
        Some(raw) => {
            draft.budget.charge(1, raw.get().len())?;
            let mut reader = serde_json::Deserializer::from_str(raw.get());
            pod::from_object_or_null(&mut reader).map_err(|error| {
                ShapeError::new(Place::SecurityContext.to_string(), pod::reason(&error))
            })?
        }
        None => None,
    };
    let non_root = security.is_some_and(|security| security.run_as_non_root == Some(true));
    let class = cx
        .pod
        .spec
        .runtime_class_name
        .as_deref()
        .unwrap_or_default();
    let is_gvisor = ["gvisor", "runsc"].iter().any(|name| class.contains(name));
    for runtime in cx.runtimes {
        for container in runtime.init_containers.iter().chain(&runtime.containers) {
            let name = &container.item.identity;
            if non_root && !container.sets_user {
                draft.warn(format!(
                    "runtime {}: container {name} sets no runAsUser, but the pod requires runAsNonRoot: true",
                    runtime.name
                ));
            }
            if is_gvisor && container.bidirectional {
                draft.warn(format!(
                    "runtime {}: container {name} mounts Bidirectional, which gVisor refuses",
                    runtime.name
                ));
            }
        }
        let mut main_mounts = runtime
            .main
            .volume_mounts
            .iter()
            .filter_map(|mount| mount.normal.as_ref());
        if is_gvisor && main_mounts.any(|mount| mount["mountPropagation"] == "Bidirectional") {
            draft.warn(format!(
                "runtime {}: the main container mounts Bidirectional, which gVisor refuses",
                runtime.name
            ));
        }
    }
    Ok(())
}

/// What is read of the pod's security context.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSecurity {
    run_as_non_root: Option<bool>,
}
