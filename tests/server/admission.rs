//! Both webhooks over a socket: what is answered, and that it is counted.

use engine::review::decide::Settings;
use engine::runtimes::PrivilegedRules;
use serde_json::{Value, json};
use support::process::review;
use support::service::Service;

/// The creation or update of the configuration's ConfigMap.
fn config_map(data: &Value) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": "CREATE",
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "name": "sandbox-injection-config", "namespace": "sandbox-system",
        "object": {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "sandbox-injection-config", "namespace": "sandbox-system"}, "data": data}}})
    .to_string()
}

#[tokio::test]
async fn a_webhook_that_only_reports_allows_everything_and_counts_it_as_reported() {
    let mut injected: Value = serde_json::from_str(&review("01-kruise-sandboxset-pod")).unwrap();
    injected["request"]["object"]["metadata"]["annotations"]["sandbox-injector.io/runtimes"] =
        "csi".into();
    let creator = injected["request"]["userInfo"]["username"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let privileged = PrivilegedRules {
        namespaces: Vec::new(),
        creators: vec![creator],
    };
    let service = Service::start(Settings {
        report_only: true,
        privileged,
        ..Settings::default()
    })
    .await;
    let mut denied = injected.clone();
    denied["request"]["userInfo"]["username"] = "alice".into();
    for (review, count) in [(injected, 1.0), (denied, 2.0)] {
        let answer = service.mutate(review.to_string()).await.json();
        assert_eq!(answer["response"]["allowed"], true);
        assert!(answer["response"].get("patch").is_none());
        assert_eq!(service.counted("reported").await, count);
    }
    let answer = service
        .validate(config_map(&json!({"csi": "{"})))
        .await
        .json();
    assert_eq!(answer["response"]["allowed"], true);
    assert!(
        answer["response"]["warnings"]
            .to_string()
            .contains("would be denied: data[csi]"),
        "{answer:#}"
    );
    assert_eq!(service.counted("reported").await, 3.0);
    assert_eq!(
        (
            service.counted("injected").await,
            service.counted("denied").await
        ),
        (0.0, 0.0)
    );
}

#[tokio::test]
async fn validation_over_a_socket_is_answered_and_counted() {
    let service = Service::start(Settings::default()).await;
    let answer = service.validate(config_map(&json!({"csi": "{"}))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["response"]["status"]["code"], 422);
    let answer = service.validate(config_map(&json!({"csi": "{}"}))).await;
    assert_eq!(answer.json()["response"]["allowed"], true);
    assert_eq!(service.validate("{}").await.status, 400);
    for (outcome, count) in [
        ("denied", 1.0),
        ("valid", 1.0),
        ("malformed", 1.0),
        ("ignored", 0.0),
    ] {
        assert_eq!(service.counted(outcome).await, count, "{outcome}");
    }
}
