//! kubernetes-sigs/agent-sandbox (`agents.x-k8s.io`, `extensions.agents.x-k8s.io`): Sandbox and
//! SandboxTemplate.
//!
//! The rules are those of [the controllers](https://github.com/kubernetes-sigs/agent-sandbox): a Sandbox creates one pod of its own
//! name (`reconcilePod`) with
//! - the label `agents.x-k8s.io/sandbox-name-hash`, the [hash](name_hash) of that name,
//! - the labels and annotations of `spec.podTemplate` that are not under the system's own prefixes,
//!   and their keys in the annotations `agents.x-k8s.io/propagated-labels` and `…-annotations`,
//! - the system's labels that a claim or warm pool gave the Sandbox,
//! - a volume for each of `spec.volumeClaimTemplates`, claim `<template>-<sandbox>`, in place of
//!   one of the same name.
//!
//! A SandboxTemplate is shown as the Sandbox that a SandboxClaim makes of it, where the
//! [secure defaults](https://github.com/kubernetes-sigs/agent-sandbox/blob/main/extensions/controllers/utils.go) hold: no
//! service-account token unless asked for, and public DNS under the default network policy. A warm
//! pool's pod has the label `agents.x-k8s.io/warm-pool-sandbox` in addition; which pool is not
//! known from the template.

use serde_json::{Map, Value, json};

use super::shape::{ManifestError, Node};
use super::template::{Claims, Draft, Name, add_claims, controlled_by};
use super::{Context, InputObject};
use crate::systems::agent_sandbox::{
    AgentSandboxKind, CLAIM_UID_LABEL, CREATED_BY_LABEL, CREATED_BY_VALUES, EXTENSIONS_GROUP,
    GROUP, NAME_HASH_LABEL, POOL_LABEL, PROPAGATED_ANNOTATIONS, PROPAGATED_LABELS, TEMPLATE_LABEL,
    name_hash, template_key_reaches_pod,
};

pub(super) fn read(
    document: &Node<'_>,
    context: Context<'_>,
) -> Result<InputObject, ManifestError> {
    match AgentSandboxKind::named(&context.origin.kind) {
        Some(AgentSandboxKind::Sandbox) => sandbox(document, context),
        Some(AgentSandboxKind::SandboxTemplate) => sandbox_template(document, context),
        Some(AgentSandboxKind::SandboxWarmPool | AgentSandboxKind::SandboxClaim) => {
            let note = format!(
                "{} has no pod template; pass its SandboxTemplate instead",
                context.origin
            );
            Ok(context.skip_with(note))
        }
        None => Ok(context.skip()),
    }
}

fn sandbox(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let name = Name::of(document)?;
    let spec = document.need("spec", "a Sandbox needs spec.podTemplate")?;
    let mut draft = draft(&spec, &name)?.owned(document, &name, &context)?;
    inherit_labels(&mut draft, document)?;
    let pod = finish(draft, &spec, &name, &context)?;
    Ok(context.found(pod, None, Vec::new()))
}

fn sandbox_template(
    document: &Node<'_>,
    context: Context<'_>,
) -> Result<InputObject, ManifestError> {
    let template = Name::of(document)?;
    let name = template.child();
    let spec = document.need("spec", "a SandboxTemplate needs spec.podTemplate")?;
    let mut draft = draft(&spec, &name)?;
    draft.label(TEMPLATE_LABEL, &name_hash(&template.text));

    let absent = |draft: &Draft, key| {
        draft
            .spec
            .get(key)
            .is_none_or(|value| value.is_null() || value == "")
    };
    if absent(&draft, "automountServiceAccountToken") {
        draft
            .spec
            .insert("automountServiceAccountToken".to_owned(), false.into());
    }
    let managed = matches!(
        spec.text_field("networkPolicyManagement")?,
        None | Some("Managed")
    );
    if managed && !spec.has("networkPolicy") && absent(&draft, "dnsPolicy") {
        draft.spec.insert("dnsPolicy".to_owned(), "None".into());
        draft.spec.insert(
            "dnsConfig".to_owned(),
            json!({"nameservers": ["8.8.8.8", "1.1.1.1"]}),
        );
    }
    let pod = finish(draft, &spec, &name, &context)?;
    Ok(context.found(pod, None, Vec::new()))
}

/// The pod of `spec.podTemplate`, with what every pod of the system has.
fn draft(spec: &Node<'_>, name: &Name) -> Result<Draft, ManifestError> {
    let template = spec.need("podTemplate", "set the pod template")?;
    let mut draft = Draft::from_template(&template)?.named(name);
    draft.finalizers.clear();
    let labels = own_keys(&mut draft.labels);
    let annotations = own_keys(&mut draft.annotations);
    draft.label(NAME_HASH_LABEL, &name_hash(&name.text));
    if !labels.is_empty() {
        draft.annotate(PROPAGATED_LABELS, &labels);
    }
    if !annotations.is_empty() {
        draft.annotate(PROPAGATED_ANNOTATIONS, &annotations);
    }
    Ok(draft)
}

/// Removes the keys that a template may not set, and lists the others.
fn own_keys(map: &mut Map<String, Value>) -> String {
    map.retain(|key, _| template_key_reaches_pod(key));
    let mut keys: Vec<&str> = map.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.join(",")
}

/// What a claim or a warm pool wrote on the Sandbox and its controller copies
/// (`computeExtensionPodLabels`).
fn inherit_labels(draft: &mut Draft, document: &Node<'_>) -> Result<(), ManifestError> {
    let metadata = document.need("metadata", "an object needs metadata.name")?;
    let Some(labels) = metadata.texts_field("labels")? else {
        return Ok(());
    };
    let mut copy = |key: &str| {
        let value = labels
            .get(key)
            .and_then(Value::as_str)
            .filter(|value| !value.is_empty());
        value.into_iter().for_each(|value| draft.label(key, value));
    };
    if let Some(kind) = controlled_by(document, &[EXTENSIONS_GROUP, GROUP])? {
        match AgentSandboxKind::named(kind) {
            Some(AgentSandboxKind::SandboxClaim) => copy(CLAIM_UID_LABEL),
            Some(AgentSandboxKind::SandboxWarmPool) => copy(POOL_LABEL),
            _ => {}
        }
        copy(TEMPLATE_LABEL);
    }
    match labels.get(CREATED_BY_LABEL).and_then(Value::as_str) {
        None | Some("") => {}
        Some(known) if CREATED_BY_VALUES.contains(&known) => draft.label(CREATED_BY_LABEL, known),
        Some(_) => draft.label(CREATED_BY_LABEL, "unknown"),
    }
    Ok(())
}

fn finish(
    mut draft: Draft,
    spec: &Node<'_>,
    sandbox: &Name,
    context: &Context<'_>,
) -> Result<Value, ManifestError> {
    add_claims(&mut draft, spec, &sandbox.text, &Claims::ReplaceAtEnd)?;
    Ok(draft.into_pod(context.namespace))
}
