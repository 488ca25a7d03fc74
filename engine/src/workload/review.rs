//! A recorded AdmissionReview, as the API server sends it to a webhook.
//!
//! It is read by the webhook's own decoder, so that both take the same reviews and decide on the
//! same pods. The webhook allows everything but the creation of a pod unchanged, so here that is
//! skipped.

use serde_json::Value;

use super::shape::{ManifestError, Node};
use super::{Context, InputObject, InputPod, Origin, RecordedReview, SkippedObject};
use crate::json_path::Step;
use crate::pod::{JsonFault, Text};
use crate::review::decode::{MalformedReview, Request, Reviewed, decode};

pub(super) const GROUP: &str = "admission.k8s.io";
pub(super) const KIND: &str = "AdmissionReview";

pub(super) fn read(
    document: &Node<'_>,
    context: Context<'_>,
) -> Result<InputObject, ManifestError> {
    let text = document.value().to_string();
    let review = decode(text.as_bytes()).map_err(|error| malformed(document, error))?;
    let (request, object) = (&review.request, &document.value()["request"]["object"]);
    let recorded = RecordedReview {
        uid: (*request.uid).to_owned(),
        username: text_of(request.user_info.username.as_ref()).to_owned(),
    };
    let name = match text_of(request.name.as_ref()) {
        "" => pod_name(object),
        name => name.to_owned(),
    };
    let origin = Origin {
        name,
        ..context.origin
    };
    if matches!(review.reviewed, Reviewed::Other) {
        let note = format!(
            "{origin} {}; only CREATE of pods is decided on",
            subject(request)
        );
        return Ok(InputObject::Skipped(SkippedObject {
            origin,
            note,
            review: Some(recorded),
        }));
    }
    let namespace = match request.namespace() {
        "" => context.namespace,
        namespace => namespace,
    };
    Ok(InputObject::Pod(Box::new(InputPod {
        origin,
        pod: object.clone(),
        namespace: namespace.to_owned(),
        declared: None,
        review: Some(recorded),
        notes: Vec::new(),
    })))
}

/// Says of a manifest what the decoder says of a body: a place in the document in place of a line
/// of its JSON.
fn malformed(document: &Node<'_>, error: MalformedReview) -> ManifestError {
    let request = || document.follow(&[Step::Field("request".into())]);
    const NEEDED: &str = "an AdmissionReview's request has it";
    match error {
        MalformedReview::Undecodable {
            path,
            fault: JsonFault::Missing(field),
            ..
        } => document.follow(path.steps()).missing(&field, NEEDED),
        MalformedReview::Undecodable { path, fault, .. } => {
            document.follow(path.steps()).undecodable(fault)
        }
        MalformedReview::OtherKind => match document.field("apiVersion") {
            Ok(Some(version)) => version.refused("admission.k8s.io/v1"),
            Ok(None) => {
                document.missing("apiVersion", "an AdmissionReview has admission.k8s.io/v1")
            }
            Err(error) => error,
        },
        MalformedReview::NoRequest => document.missing(
            "request",
            "this AdmissionReview has no request; it may be a response",
        ),
        MalformedReview::NoUid => request().missing("uid", NEEDED),
        MalformedReview::NoPod => request().missing("object", "set the pod to create"),
        error => document.undecodable(JsonFault::Other(error.to_string())),
    }
}

/// What a request is about, as the end of a sentence.
fn subject(request: &Request<'_>) -> String {
    let operation = text_of(request.operation.as_ref());
    let resource = text_of(request.resource.resource.as_ref());
    if operation.is_empty() || resource.is_empty() {
        return "does not say what it is about".to_owned();
    }
    let dotted = |separator, text: Option<&Text<'_>>| match text_of(text) {
        "" => String::new(),
        text => format!("{separator}{text}"),
    };
    let sub_resource = dotted("/", request.sub_resource.as_ref());
    let group = dotted(".", request.resource.group.as_ref());
    let version = match text_of(request.resource.version.as_ref()) {
        "v1" => String::new(),
        version => format!(" in version {version:?}"),
    };
    format!("is a {operation} of {resource}{sub_resource}{group}{version}")
}

/// `request.name` is missing for a pod with generateName.
fn pod_name(pod: &Value) -> String {
    let text = |pointer| {
        pod.pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    match (text("/metadata/name"), text("/metadata/generateName")) {
        (Some(name), _) => name.to_owned(),
        (None, Some(prefix)) => format!("{prefix}*"),
        (None, None) => String::new(),
    }
}

fn text_of<'t>(text: Option<&'t Text<'_>>) -> &'t str {
    text.map_or("", |text| text)
}
