//! Kubernetes' own workloads: Deployment, StatefulSet, DaemonSet, ReplicaSet (`apps`), Job and
//! CronJob (`batch`).
//!
//! | kind | the pod, beside its template |
//! |---|---|
//! | [Deployment](https://kubernetes.io/docs/concepts/workloads/controllers/deployment/) | `generateName: <name>-`; the ReplicaSet in between, its hash in name and label are not known |
//! | [ReplicaSet](https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/) | `generateName: <name>-` |
//! | [StatefulSet](https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/) | the first: `<name>-<start>`, its identity labels, hostname, and a volume for each of `volumeClaimTemplates`, claim `<template>-<pod>` |
//! | [DaemonSet](https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/) | `generateName: <name>-`; the node's affinity and tolerations are not shown |
//! | [Job](https://kubernetes.io/docs/concepts/workloads/controllers/job/) | `generateName: <name>-`, the job's labels, the tracking finalizer |
//! | [CronJob](https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/) | as a Job's, whose name has the time in it and is not known |

use serde_json::Value;

use super::shape::{ManifestError, Node};
use super::template::{Claims, Draft, Name, add_claims, uid};
use super::{Context, InputObject};

const TRACKING: &str = "batch.kubernetes.io/job-tracking";

pub(super) fn read(
    document: &Node<'_>,
    context: Context<'_>,
) -> Result<InputObject, ManifestError> {
    match (
        super::shape::group(&context.origin.api_version),
        context.origin.kind.as_str(),
    ) {
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => replicated(document, context),
        ("apps", "StatefulSet") => stateful_set(document, context),
        ("batch", "Job") => job(document, context),
        ("batch", "CronJob") => cron_job(document, context),
        _ => Ok(context.skip()),
    }
}

fn spec<'a>(document: &Node<'a>) -> Result<Node<'a>, ManifestError> {
    document.need("spec", "a workload needs spec.template")
}

fn template(spec: &Node<'_>) -> Result<Draft, ManifestError> {
    Draft::from_template(&spec.need("template", "a workload needs spec.template")?)
}

fn replicated(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let name = Name::of(document)?;
    let mut draft = template(&spec(document)?)?.named(&name.child());
    if context.origin.kind != "Deployment" {
        draft = draft.owned(document, &name, &context)?;
    }
    if context.origin.kind == "DaemonSet" {
        draft.label("pod-template-generation", &template_generation(document)?);
    }
    Ok(found(draft, context))
}

/// The API server counts a DaemonSet's templates in an annotation, and the controller labels the
/// pods with it.
fn template_generation(document: &Node<'_>) -> Result<String, ManifestError> {
    let metadata = document.need("metadata", "an object needs metadata.name")?;
    let annotations = metadata.texts_field("annotations")?.unwrap_or_default();
    let counted = annotations
        .get("deprecated.daemonset.template.generation")
        .and_then(Value::as_str);
    Ok(counted.unwrap_or("1").to_owned())
}

fn stateful_set(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let name = Name::of(document)?;
    let spec = spec(document)?;
    let start = match spec.field("ordinals")? {
        Some(ordinals) => ordinals
            .field("start")?
            .and_then(|start| start.value().as_u64())
            .unwrap_or(0),
        None => 0,
    };
    let pod = format!("{}-{start}", name.text);
    let mut draft = template(&spec)?
        .named(&name.child())
        .owned(document, &name, &context)?;
    draft.label("statefulset.kubernetes.io/pod-name", &pod);
    draft.label("apps.kubernetes.io/pod-index", &start.to_string());
    draft
        .spec
        .insert("hostname".to_owned(), pod.as_str().into());
    if let Some(service) = spec.text_field("serviceName")? {
        draft.spec.insert("subdomain".to_owned(), service.into());
    }
    add_claims(&mut draft, &spec, &pod, &Claims::ReplaceAtFront)?;
    draft.name = Some(pod).filter(|_| name.prefix.is_none());
    Ok(found(draft, context))
}

fn job(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let name = Name::of(document)?;
    let spec = spec(document)?;
    let mut draft = template(&spec)?.owned(document, &name, &context)?;
    // The API server writes them into the template of a Job whose selector it makes.
    let own_selector = spec
        .field("manualSelector")?
        .is_some_and(|manual| manual.value() == &Value::Bool(true));
    if !own_selector {
        let uid = uid(document)?;
        for prefix in ["batch.kubernetes.io/", ""] {
            draft.label(&format!("{prefix}job-name"), &name.text);
            uid.into_iter()
                .for_each(|uid| draft.label(&format!("{prefix}controller-uid"), uid));
        }
    }
    let mut prefix = format!("{}-", name.text);
    if spec.text_field("completionMode")? == Some("Indexed") {
        const INDEX: &str = "batch.kubernetes.io/job-completion-index";
        draft.label(INDEX, "0");
        draft.annotate(INDEX, "0");
        draft
            .spec
            .insert("hostname".to_owned(), format!("{prefix}0").into());
        prefix += "0-";
    }
    draft.finalizers.push(TRACKING.into());
    Ok(found(draft.named(&Name::generated(prefix)), context))
}

fn cron_job(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let name = Name::of(document)?;
    let job = spec(document)?.need("jobTemplate", "a CronJob needs spec.jobTemplate")?;
    let mut draft =
        template(&job.need("spec", "a CronJob needs spec.jobTemplate.spec")?)?.named(&name.child());
    draft.finalizers.push(TRACKING.into());
    Ok(found(draft, context))
}

fn found(draft: Draft, context: Context<'_>) -> InputObject {
    let pod = draft.into_pod(context.namespace);
    context.found(pod, None, Vec::new())
}
