//! OpenSandbox (`sandbox.opensandbox.io`): Pool and BatchSandbox.
//!
//! The rules are those of [the controllers](https://github.com/opensandbox-group/OpenSandbox/tree/main/kubernetes/internal/controller):
//! a Pool's pods have `generateName` only and the label `sandbox.opensandbox.io/pool-name`
//! (`createPoolPod`); those of a BatchSandbox are named `<name>-<index>` and have two labels that
//! say so (`scaleBatchSandbox`). The first is shown.

use super::shape::{ManifestError, Node};
use super::template::{Draft, Name};
use super::{Context, InputObject};
use crate::systems::open_sandbox::{
    BATCH_SANDBOX_LABEL, OpenSandboxKind, POD_INDEX_LABEL, POOL_LABEL,
};

pub(super) fn read(
    document: &Node<'_>,
    context: Context<'_>,
) -> Result<InputObject, ManifestError> {
    match OpenSandboxKind::named(&context.origin.kind) {
        Some(OpenSandboxKind::Pool) => pool(document, context),
        Some(OpenSandboxKind::BatchSandbox) => batch_sandbox(document, context),
        None => Ok(context.skip()),
    }
}

fn pool(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let name = Name::of(document)?;
    let spec = document.need("spec", "a Pool needs spec.template")?;
    let template = spec.need("template", "a Pool needs spec.template")?;
    let mut draft = Draft::from_template(&template)?
        .named(&name.child())
        .owned(document, &name, &context)?;
    draft.label(POOL_LABEL, &name.text);
    let pod = draft.into_pod(context.namespace);
    Ok(context.found(pod, None, Vec::new()))
}

fn batch_sandbox(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let name = Name::of(document)?;
    let spec = document.need("spec", "a BatchSandbox needs spec.template")?;
    let Some(template) = spec.field("template")? else {
        let pool = spec.text_field("poolRef")?;
        let pool = pool.ok_or_else(|| {
            spec.missing(
                "template",
                "give a pod template there, or a Pool's name in poolRef",
            )
        })?;
        let note = format!(
            "{} takes its pods from Pool {pool}; pass that Pool instead",
            context.origin
        );
        return Ok(context.skip_with(note));
    };
    let mut draft = Draft::from_template(&template)?
        .named(&name.child())
        .owned(document, &name, &context)?;
    draft.label(BATCH_SANDBOX_LABEL, &name.text);
    draft.label(POD_INDEX_LABEL, "0");
    draft.name = Some(format!("{}-0", name.text)).filter(|_| name.prefix.is_none());
    let mut notes = Vec::new();
    if !spec.list_field("shardPatches")?.is_empty() {
        notes.push(format!(
            "{}: spec.shardPatches is not applied here, so the real pods will differ",
            context.origin
        ));
    }
    let pod = draft.into_pod(context.namespace);
    Ok(context.found(pod, None, notes))
}
