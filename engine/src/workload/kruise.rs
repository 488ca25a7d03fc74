//! OpenKruise agents (`agents.kruise.io`): SandboxSet, Sandbox and SandboxTemplate.
//!
//! The rules are those of [the controllers](https://github.com/openkruise/agents/tree/master/pkg/controller): a SandboxSet
//! creates Sandboxes (`NewSandboxFromSandboxSet`), and a Sandbox creates one pod of its own name
//! (`GeneratePodFromSandbox`) with
//! - label and annotation `agents.kruise.io/created-by: sandbox`,
//! - the template's labels and annotations,
//! - a volume for each of `spec.volumeClaimTemplates`, claim `<template>-<sandbox>`.
//!
//! The SandboxSet's controller writes `sandbox-pool` and its siblings into the map that it took the
//! Sandbox's labels from, which is the template's. So they are on the pod only where the SandboxSet
//! has an inline template with labels; for the same reason such a template's own keys under
//! `agents.kruise.io/` do not reach the pod.
//!
//! What the open-source controller injects by itself is not shown.

use serde_json::Value;

use super::shape::{ManifestError, Node};
use super::template::{Claims, Draft, Name, add_claims};
use super::{Context, DeclaredRuntimes, InputObject};
use crate::systems::kruise::{
    CLAIMED_LABEL, CREATED_BY, CREATED_BY_SANDBOX, KruiseKind, POOL_LABEL, TEMPLATE_LABEL,
    template_key_reaches_pod,
};

pub(super) fn read(
    document: &Node<'_>,
    context: Context<'_>,
) -> Result<InputObject, ManifestError> {
    match KruiseKind::named(&context.origin.kind) {
        Some(KruiseKind::SandboxSet) => sandbox_set(document, context),
        Some(KruiseKind::Sandbox) => sandbox(document, context),
        Some(KruiseKind::SandboxTemplate) => sandbox_template(document, context),
        Some(KruiseKind::SandboxClaim) => {
            let note = format!(
                "{} claims an existing Sandbox; pass the SandboxSet instead",
                context.origin
            );
            Ok(context.skip_with(note))
        }
        None => Ok(context.skip()),
    }
}

fn sandbox_set(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let set = Name::of(document)?;
    let spec = document.need("spec", "a SandboxSet needs spec.template")?;
    let (mut draft, inline) = template(&spec, &context)?;
    if inline {
        draft
            .annotations
            .retain(|key, _| template_key_reaches_pod(key));
        if draft.has_labels {
            draft.labels.retain(|key, _| template_key_reaches_pod(key));
            draft.label(POOL_LABEL, &set.text);
            draft.label(TEMPLATE_LABEL, &set.text);
            draft.label(CLAIMED_LABEL, "false");
        }
    }
    let declared = declared(&spec, KruiseKind::SandboxSet, &set)?;
    let pod = finish(draft, document, &spec, &set.child(), &context)?;
    Ok(context.found(pod, Some(declared), Vec::new()))
}

fn sandbox(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let name = Name::of(document)?;
    let spec = document.need("spec", "a Sandbox needs spec.template")?;
    let (draft, _) = template(&spec, &context)?;
    let declared = declared(&spec, KruiseKind::Sandbox, &name)?;
    let pod = finish(draft, document, &spec, &name, &context)?;
    Ok(context.found(pod, Some(declared), Vec::new()))
}

/// The pod of a Sandbox that refers to the template and asks for nothing else.
fn sandbox_template(
    document: &Node<'_>,
    context: Context<'_>,
) -> Result<InputObject, ManifestError> {
    let name = Name::of(document)?.child();
    let spec = document.need("spec", "a SandboxTemplate needs spec.template")?;
    let draft =
        Draft::from_template(&spec.need("template", "a SandboxTemplate needs spec.template")?)?;
    let pod = finish(draft, document, &spec, &name, &context)?;
    Ok(context.found(pod, None, Vec::new()))
}

/// The pod template, and whether it stands in the object itself.
fn template(spec: &Node<'_>, context: &Context<'_>) -> Result<(Draft, bool), ManifestError> {
    // The controller looks at the reference first, too.
    let Some(reference) = spec.field("templateRef")? else {
        let fix = "set a pod template, or the name of a SandboxTemplate in templateRef.name";
        return Ok((
            without_finalizers(Draft::from_template(&spec.need("template", fix)?)?),
            true,
        ));
    };
    let name = reference
        .text_field("name")?
        .ok_or_else(|| reference.missing("name", "set the name of a SandboxTemplate"))?;
    let referred = context
        .templates
        .get(context.namespace, name)
        .ok_or_else(|| reference.no_template(context.namespace, name))?;
    let referred = Node::root_of(referred, format!("SandboxTemplate {name}"));
    let template = referred
        .need("spec", "a SandboxTemplate needs spec.template")?
        .need("template", "a SandboxTemplate needs spec.template")?;
    Ok((without_finalizers(Draft::from_template(&template)?), false))
}

/// `GeneratePodFromSandbox` copies labels, annotations and spec only.
fn without_finalizers(mut draft: Draft) -> Draft {
    draft.finalizers.clear();
    draft
}

fn finish(
    draft: Draft,
    document: &Node<'_>,
    spec: &Node<'_>,
    sandbox: &Name,
    context: &Context<'_>,
) -> Result<Value, ManifestError> {
    let mut draft = without_finalizers(draft)
        .named(sandbox)
        .owned(document, sandbox, context)?;
    draft.label(CREATED_BY, CREATED_BY_SANDBOX);
    draft.annotate(CREATED_BY, CREATED_BY_SANDBOX);
    add_claims(&mut draft, spec, &sandbox.text, &Claims::Append)?;
    Ok(draft.into_pod(context.namespace))
}

fn declared(
    spec: &Node<'_>,
    kind: KruiseKind,
    name: &Name,
) -> Result<DeclaredRuntimes, ManifestError> {
    let mut runtimes = Vec::new();
    for runtime in spec.list_field("runtimes")? {
        let name = runtime.text_field("name")?;
        runtimes.push(
            name.ok_or_else(|| runtime.missing("name", "set the name of a runtime"))?
                .to_owned(),
        );
    }
    Ok(DeclaredRuntimes {
        kind,
        name: name.text.clone(),
        runtimes,
    })
}
