//! A recorded AdmissionReview, as the API server sends it to a webhook.
//!
//! See [the request](https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request). The
//! webhook decides on the creation of pods only; it allows everything else, so here it is passed over.

use serde_json::Value;

use super::shape::{ManifestError, Node};
use super::{Context, InputObject, InputPod, Origin, Review, SkippedObject};

pub(super) const GROUP: &str = "admission.k8s.io";
pub(super) const KIND: &str = "AdmissionReview";

pub(super) fn read(document: &Node<'_>, context: Context<'_>) -> Result<InputObject, ManifestError> {
    let version = document.need("apiVersion", "an AdmissionReview has admission.k8s.io/v1")?;
    if version.text()? != "admission.k8s.io/v1" {
        return Err(version.refused("admission.k8s.io/v1"));
    }
    let request = document.need("request", "this AdmissionReview has no request; it may be a response")?;
    let need = |key| {
        let text = request.text_field(key)?;
        text.ok_or_else(|| request.missing(key, "an AdmissionReview's request has it"))
    };
    let user = request.field("userInfo")?;
    let username = match &user {
        Some(user) => user.text_field("username")?.unwrap_or_default(),
        None => "",
    };
    let dry_run = match request.field("dryRun")? {
        Some(flag) => flag.value().as_bool().ok_or_else(|| flag.refused("true or false"))?,
        None => false,
    };
    let review = Review {
        uid: need("uid")?.to_owned(),
        operation: need("operation")?.to_owned(),
        username: username.to_owned(),
        dry_run,
    };

    let resource = request.need("resource", "an AdmissionReview's request has it")?;
    let group = resource.text_field("group")?.unwrap_or_default();
    let resource = resource
        .text_field("resource")?
        .ok_or_else(|| resource.missing("resource", "for pods it is \"pods\""))?;
    let subresource = request.text_field("subResource")?;
    let name = request.text_field("name")?.unwrap_or_default();
    let namespace = request.text_field("namespace")?.unwrap_or(context.namespace).to_owned();
    let origin = Origin { name: name.to_owned(), ..context.origin };

    if !group.is_empty() || resource != "pods" || subresource.is_some() || review.operation != "CREATE" {
        let what = [Some(resource), subresource].into_iter().flatten().collect::<Vec<_>>().join("/");
        let dot = if group.is_empty() { "" } else { "." };
        let note = format!(
            "{origin} is a {} of {what}{dot}{group}; only CREATE of pods is decided on",
            review.operation
        );
        return Ok(InputObject::Skipped(SkippedObject { origin, note, review: Some(review) }));
    }

    let object = request.need("object", "set the pod to create")?;
    object.object()?;
    let origin = Origin { name: pod_name(object.value(), origin.name), ..origin };
    let pod = object.value().clone();
    let (declared, notes) = (None, Vec::new());
    Ok(InputObject::Pod(Box::new(InputPod { origin, pod, namespace, declared, review: Some(review), notes })))
}

/// `request.name` is missing for a pod with generateName.
fn pod_name(pod: &Value, name: String) -> String {
    if !name.is_empty() {
        return name;
    }
    let text = |pointer| pod.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    match (text("/metadata/name"), text("/metadata/generateName")) {
        (Some(name), _) => name.to_owned(),
        (None, Some(prefix)) => format!("{prefix}*"),
        (None, None) => String::new(),
    }
}
