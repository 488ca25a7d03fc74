//! kubernetes-sigs/agent-sandbox (`agents.x-k8s.io`, `extensions.agents.x-k8s.io`): Sandbox and SandboxTemplate.
//!
//! The rules are those of [the controllers](https://github.com/kubernetes-sigs/agent-sandbox): a Sandbox creates one pod of its own
//! name (`reconcilePod`) with
//! - the label `agents.x-k8s.io/sandbox-name-hash`, the [hash](name_hash) of that name,
//! - the labels and annotations of `spec.podTemplate` that are not under the system's own prefixes, and their keys in the
//!   annotations `agents.x-k8s.io/propagated-labels` and `…-annotations`,
//! - the system's labels that a claim or warm pool gave the Sandbox,
//! - a volume for each of `spec.volumeClaimTemplates`, claim `<template>-<sandbox>`, in place of one of the same name.
//!
//! A SandboxTemplate is shown as the Sandbox that a SandboxClaim makes of it, where the
//! [secure defaults](https://github.com/kubernetes-sigs/agent-sandbox/blob/main/extensions/controllers/utils.go) hold: no
//! service-account token unless asked for, and public DNS under the default network policy. A warm pool's pod has
//! the label `agents.x-k8s.io/warm-pool-sandbox` in addition; which pool is not known from the template.

use serde_json::{Map, Value, json};

use super::shape::{Error, Node};
use super::template::{Claims, Draft, Name, add_claims, controlled_by};
use super::{Context, Found};

pub(super) const GROUP: &str = "agents.x-k8s.io";
pub(super) const EXTENSIONS_GROUP: &str = "extensions.agents.x-k8s.io";

const NAME_HASH: &str = "agents.x-k8s.io/sandbox-name-hash";
const TEMPLATE_HASH: &str = "agents.x-k8s.io/sandbox-template-ref-hash";
const WARM_POOL_HASH: &str = "agents.x-k8s.io/warm-pool-sandbox";
const CLAIM_UID: &str = "agents.x-k8s.io/claim-uid";
const CREATED_BY: &str = "agents.x-k8s.io/created-by";

/// The value that agent-sandbox labels carry for a name: its FNV-1a 32-bit hash in 8 hexadecimal digits.
///
/// ```
/// assert_eq!(engine::workload::name_hash("sandbox-example"), "8302e04b");
/// ```
pub fn name_hash(name: &str) -> String {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

pub(super) fn read(document: &Node<'_>, context: Context<'_>) -> Result<Found, Error> {
    match context.origin.kind.as_str() {
        "Sandbox" => sandbox(document, context),
        "SandboxTemplate" => sandbox_template(document, context),
        "SandboxWarmPool" | "SandboxClaim" => {
            let note = format!("{} has no pod template; pass its SandboxTemplate instead", context.origin);
            Ok(context.pass_with(note))
        }
        _ => Ok(context.pass()),
    }
}

fn sandbox(document: &Node<'_>, context: Context<'_>) -> Result<Found, Error> {
    let name = Name::of(document)?;
    let spec = document.need("spec", "a Sandbox needs spec.podTemplate")?;
    let mut draft = draft(&spec, &name)?.owned(document, &name, &context)?;
    inherit_labels(&mut draft, document)?;
    let pod = finish(draft, &spec, &name, &context)?;
    Ok(context.found(pod, None, Vec::new()))
}

fn sandbox_template(document: &Node<'_>, context: Context<'_>) -> Result<Found, Error> {
    let template = Name::of(document)?;
    let name = template.child();
    let spec = document.need("spec", "a SandboxTemplate needs spec.podTemplate")?;
    let mut draft = draft(&spec, &name)?;
    draft.label(TEMPLATE_HASH, &name_hash(&template.text));

    let absent = |draft: &Draft, key| draft.spec.get(key).is_none_or(|value| value.is_null() || value == "");
    if absent(&draft, "automountServiceAccountToken") {
        draft.spec.insert("automountServiceAccountToken".to_owned(), false.into());
    }
    let managed = matches!(spec.text_field("networkPolicyManagement")?, None | Some("Managed"));
    if managed && !spec.has("networkPolicy") && absent(&draft, "dnsPolicy") {
        draft.spec.insert("dnsPolicy".to_owned(), "None".into());
        draft.spec.insert("dnsConfig".to_owned(), json!({"nameservers": ["8.8.8.8", "1.1.1.1"]}));
    }
    let pod = finish(draft, &spec, &name, &context)?;
    Ok(context.found(pod, None, Vec::new()))
}

/// The pod of `spec.podTemplate`, with what every pod of the system has.
fn draft(spec: &Node<'_>, name: &Name) -> Result<Draft, Error> {
    let template = spec.need("podTemplate", "set the pod template")?;
    let mut draft = Draft::from_template(&template)?.named(name);
    draft.finalizers.clear();
    let labels = own_keys(&mut draft.labels);
    let annotations = own_keys(&mut draft.annotations);
    draft.label(NAME_HASH, &name_hash(&name.text));
    if !labels.is_empty() {
        draft.annotate("agents.x-k8s.io/propagated-labels", &labels);
    }
    if !annotations.is_empty() {
        draft.annotate("agents.x-k8s.io/propagated-annotations", &annotations);
    }
    Ok(draft)
}

/// Removes the keys that a template may not set, and lists the others.
fn own_keys(map: &mut Map<String, Value>) -> String {
    map.retain(|key, _| !matches!(key.split_once('/'), Some((GROUP | EXTENSIONS_GROUP, _))));
    let mut keys: Vec<&str> = map.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.join(",")
}

/// What a claim or a warm pool wrote on the Sandbox and its controller copies (`computeExtensionPodLabels`).
fn inherit_labels(draft: &mut Draft, document: &Node<'_>) -> Result<(), Error> {
    let metadata = document.need("metadata", "an object needs metadata.name")?;
    let Some(labels) = metadata.texts_field("labels")? else { return Ok(()) };
    let mut copy = |key: &str| {
        let value = labels.get(key).and_then(Value::as_str).filter(|value| !value.is_empty());
        value.into_iter().for_each(|value| draft.label(key, value));
    };
    if let Some(kind) = controlled_by(document, &[EXTENSIONS_GROUP, GROUP])? {
        match kind {
            "SandboxClaim" => copy(CLAIM_UID),
            "SandboxWarmPool" => copy(WARM_POOL_HASH),
            _ => {}
        }
        copy(TEMPLATE_HASH);
    }
    match labels.get(CREATED_BY).and_then(Value::as_str) {
        None | Some("") => {}
        Some(known @ ("go-client" | "python-client" | "controller")) => draft.label(CREATED_BY, known),
        Some(_) => draft.label(CREATED_BY, "unknown"),
    }
    Ok(())
}

fn finish(mut draft: Draft, spec: &Node<'_>, sandbox: &Name, context: &Context<'_>) -> Result<Value, Error> {
    add_claims(&mut draft, spec, &sandbox.text, &Claims::ReplaceAtEnd)?;
    Ok(draft.into_pod(context.namespace))
}
