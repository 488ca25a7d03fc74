//! The decoder of reviews beside a plain reading of the same JSON.

use engine::pod::Pod;
use engine::review::decode::{MalformedReview, PodReview, RawReview, Reviewed, decode, decode_raw};
use serde::de::IgnoredAny;
use serde_json::Value;

/// The decoder alone.
///
/// It takes nothing that is not JSON, names no more than it was given, and where a plain reading of
/// the body makes sense it sees the same names there.
pub fn review_decoder(data: &[u8]) {
    let json = serde_json::from_slice::<IgnoredAny>(data).is_ok();
    let plain: Option<Value> = serde_json::from_slice(data).ok();
    let raw = decode_raw(data);
    match decode(data) {
        Err(error) => {
            refused(&error);
            if let Ok(raw) = &raw {
                // The only thing that a review of a pod needs and others do not.
                assert!(raw.request.creates_pod() && raw.object.is_none(), "{error}");
            }
        }
        Ok(review) => {
            assert!(json, "decoded what is no JSON");
            let raw = raw.expect("what can be decoded can be decoded raw");
            same_as_raw(&review, &raw);
            if let Some(plain) = &plain {
                same_as_plain(&review, &plain["request"]);
            }
        }
    }
    if let Err(error) = decode_raw(data) {
        refused(&error);
    }
}

fn refused(error: &MalformedReview) {
    let reason = error.to_string();
    // The reasons are the decoder's own words and none of the body's, so they have a length of
    // their own too.
    assert!(
        !reason.is_empty() && reason.len() <= 256 && !reason.contains('\n'),
        "{reason:?}"
    );
}

fn same_as_raw(review: &PodReview<'_>, raw: &RawReview<'_>) {
    let (request, raw) = (&review.request, &raw.request);
    match &review.reviewed {
        Reviewed::Other => assert!(!raw.creates_pod()),
        Reviewed::Pod(_) => {
            assert!(request.creates_pod() && raw.creates_pod());
            assert_eq!(request.namespace(), raw.namespace());
        }
        Reviewed::MalformedPod { object: _, error } => {
            assert!(request.creates_pod() && raw.creates_pod());
            assert!(!error.field.is_empty() && !error.reason.is_empty());
        }
    }
    assert_eq!(*request.uid, *raw.uid);
}

fn same_as_plain(review: &PodReview<'_>, request: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let creates = text(&request["operation"]) == "CREATE"
        && text(&request["resource"]["resource"]) == "pods"
        && text(&request["resource"]["version"]) == "v1"
        && text(&request["resource"]["group"]).is_empty()
        && text(&request["subResource"]).is_empty();
    let found = &review.request;
    assert_eq!(*found.uid, text(&request["uid"]));
    assert_eq!(creates, !matches!(review.reviewed, Reviewed::Other));
    if let Reviewed::Pod(pod) = &review.reviewed {
        assert_eq!(found.namespace(), text(&request["namespace"]));
        let creator = found.user_info.username.as_deref().unwrap_or_default();
        assert_eq!(creator, text(&request["userInfo"]["username"]));
        same_pod(pod, &request["object"]);
    }
}

fn same_pod(pod: &Pod<'_>, plain: &Value) {
    let metadata = &plain["metadata"];
    assert_eq!(pod.metadata.name.as_deref(), metadata["name"].as_str());
    assert_eq!(
        pod.metadata.generate_name.as_deref(),
        metadata["generateName"].as_str()
    );
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        match pod.label(key) {
            Ok(found) => assert_eq!(found.as_deref(), value.as_str(), "{key:?}"),
            Err(_) => assert!(!value.is_string() && !value.is_null(), "{key:?}"),
        }
    }
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        match pod.annotation(key) {
            Ok(found) => assert_eq!(found.as_deref(), value.as_str(), "{key:?}"),
            Err(_) => assert!(!value.is_string() && !value.is_null(), "{key:?}"),
        }
    }
    for (found, field) in [
        (pod.containers(), "containers"),
        (pod.init_containers(), "initContainers"),
    ] {
        let plain = plain["spec"][field]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        assert_eq!(found.len(), plain.len(), "{field}");
        for (found, plain) in found.iter().zip(plain) {
            assert_eq!(*found.name, *plain["name"].as_str().unwrap_or_default());
        }
    }
}
