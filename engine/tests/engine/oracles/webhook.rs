//! The way of a pod through the webhook: a review in, a response out, its patch applied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::budget::Budget;
use engine::config::Config;
use engine::review::decide::{Decided, Settings};
use engine::review::decode::decode;
use engine::review::respond;
use serde_json::{Value, json};

/// The uid of the reviews made here.
pub(crate) const UID: &str = "3f0d4a52-7f57-4a3e-9c11-6a0b5c1d2e3f";

/// What came back.
pub(crate) struct Answered<'c> {
    /// `response` of the AdmissionReview.
    pub(crate) response: Value,
    /// The decoded patch, if there is one.
    pub(crate) patch: Option<Value>,
    /// What was decided.
    pub(crate) decided: Decided<'c>,
}

/// The review of a pod's creation.
pub(crate) fn review(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": pod["metadata"]["name"].as_str(),
            "namespace": pod["metadata"]["namespace"].as_str().unwrap_or("default"),
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:sandbox-system:controller"},
            "object": pod,
        }
    })
}

/// Posts a review and decodes the answer.
pub(crate) fn post<'c>(body: &[u8], config: &'c Config, settings: &Settings) -> Answered<'c> {
    let review = decode(body).expect("the body is a review");
    let mut budget = Budget::unlimited();
    let progress = review.decide(config, settings, &mut budget);
    let decided = progress.finish(&mut budget, |question| {
        panic!("look-ups are off: {question:?}")
    });
    let answer = respond::write(review.envelope().uid, &decided, settings.report_only);
    let mut review: Value = serde_json::from_slice(&answer).expect("the answer is JSON");
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    let response = review["response"].take();
    let patch = response.get("patch").map(|patch| {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = STANDARD
            .decode(patch.as_str().expect("a text"))
            .expect("base64");
        serde_json::from_slice(&patch).expect("the patch is JSON")
    });
    assert_eq!(
        response.get("patchType").is_some(),
        patch.is_some(),
        "both or neither"
    );
    Answered {
        response,
        patch,
        decided,
    }
}

/// Applies a patch as the API server does.
pub(crate) fn apply(pod: &Value, patch: &Value) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).expect("a JSON patch");
    let mut after = pod.clone();
    json_patch::patch(&mut after, &patch).expect("the patch applies");
    after
}
