//! The webhooks that are called for a new pod.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use sandbox_injector::certs::CertificateAndKey;
use serde_json::{Value, json};

use super::answer::Answer;
use crate::client::{self, Client, post};

/// The pod after every webhook, or the answer that refuses it.
pub(super) async fn mutate(
    configurations: &[Value],
    pod: &Value,
    namespace: Option<&str>,
) -> Result<Value, Answer> {
    let mut pod = pod.clone();
    for webhook in configurations
        .iter()
        .flat_map(|configuration| configuration["webhooks"].as_array().unwrap())
    {
        let url = webhook["clientConfig"]["url"].as_str().unwrap();
        let (address, path) = url
            .strip_prefix("https://")
            .unwrap()
            .split_once('/')
            .unwrap();
        let bundle = STANDARD
            .decode(webhook["clientConfig"]["caBundle"].as_str().unwrap())
            .unwrap();
        let ca = CertificateAndKey {
            certificate: String::from_utf8(bundle).unwrap(),
            key: String::new(),
        };
        let client = Client::new(address.parse().unwrap(), client::config(&ca, None));
        let uid = "11111111-2222-4333-8444-555555555555";
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": uid, "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "operation": "CREATE",
            "name": pod["metadata"]["name"], "namespace": namespace, "userInfo": {"username": "test"},
            "object": pod, "oldObject": null, "dryRun": false, "options": {},
        }});
        let body = Bytes::from(review.to_string());
        let answer = client
            .send(post(&format!("/{path}?timeout=5s"), body))
            .await
            .unwrap();
        let response = &answer.json()["response"];
        assert_eq!(response["uid"], uid, "{response}");
        if response["allowed"] != true {
            let code = response["status"]["code"].as_u64().unwrap_or(400);
            let message = format!(
                "admission webhook {} denied the request: {}",
                webhook["name"],
                response["status"]["message"].as_str().unwrap_or_default()
            );
            return Err(Answer::status(
                u16::try_from(code).unwrap(),
                "Forbidden",
                &message,
                &json!({}),
            ));
        }
        if let Some(patch) = response["patch"].as_str() {
            let patch: json_patch::Patch =
                serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
            json_patch::patch(&mut pod, &patch).unwrap();
        }
    }
    Ok(pod)
}
