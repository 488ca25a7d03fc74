//! One pod of each kind that the sandbox systems make, from the review to the pod after: who
//! decides which runtimes, what is added, and that nothing of the pod's own is touched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::annotations::RUNTIMES_ANNOTATION;
use engine::budget::Budget;
use engine::config::Config;
use engine::review::decide::Settings;
use engine::review::decode::decode;
use engine::review::respond;
use rstest::rstest;
use sandbox_injector::cluster::{Lookups, settle};
use sandbox_injector::metrics::Metrics;
use sandbox_injector::source::Source;
use serde_json::{Value, json};
use support::apiserver::{ApiServer, Fault};
use tokio::time::Instant;

const POOLS: &str = r#"
- {system: agent-sandbox, pool: python-pool, template: python-template, runtimes: [agent-runtime]}
- {system: agent-sandbox, template: stateful-sandbox-template, runtimes: [csi]}
- {system: opensandbox, pool: "pool-*", namespace: "open*", runtimes: [shared-workspace]}
- {system: opensandbox, pool: "*", runtimes: [none]}
- {system: opensandbox, runtimes: [csi]}
"#;

/// Mounted into the main container and served by a sidecar, as OpenSandbox pods share storage.
const SHARED_WORKSPACE: &str = r#"{
  "mainContainer": {"volumeMounts": [{"name": "shared-workspace", "mountPath": "/workspace"}]},
  "csiSidecar": [{"name": "workspace-agent", "image": "registry.example.com/workspace-agent:v1", "restartPolicy": "Always",
    "volumeMounts": [{"name": "shared-workspace", "mountPath": "/workspace"}]}],
  "volume": [{"name": "shared-workspace", "persistentVolumeClaim": {"claimName": "shared-workspace-pvc"}}]
}"#;

/// What a test changes about a recorded pod before it is reviewed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pod {
    /// As recorded.
    Recorded,
    /// Without the annotation that names runtimes.
    Silent,
    /// Likewise, and claimed.
    Claimed,
    /// Likewise, without labels of a pool.
    NoPool,
}

/// What the cluster has.
#[derive(Clone, Copy, Default)]
struct Cluster {
    sandbox: Option<&'static [&'static str]>,
    sandbox_set: Option<&'static [&'static str]>,
}

const EMPTY: Cluster = Cluster {
    sandbox: None,
    sandbox_set: None,
};

fn config(pools: &str) -> Config {
    let mut entries = Source::Embedded.read().unwrap();
    entries
        .insert("shared-workspace", SHARED_WORKSPACE)
        .unwrap();
    entries.insert("pools", pools).unwrap();
    Config::load(&entries, Some(&"cn-hangzhou".parse().unwrap())).unwrap()
}

/// The recorded review whose file name begins so.
fn recorded(number: &str) -> Value {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/reviews");
    let mut files = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = files
        .find(|file| {
            file.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(number)
        })
        .unwrap();
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn changed(mut review: Value, pod: Pod) -> Value {
    let metadata = review["request"]["object"]["metadata"]
        .as_object_mut()
        .unwrap();
    if pod != Pod::Recorded
        && let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
    {
        annotations.remove(RUNTIMES_ANNOTATION);
    }
    let labels = metadata["labels"].as_object_mut().unwrap();
    if pod == Pod::Claimed {
        labels.insert("agents.kruise.io/sandbox-claimed".to_owned(), "true".into());
    }
    if pod == Pod::NoPool {
        labels.retain(|key, _| !key.ends_with("/sandbox-pool"));
    }
    review
}

/// The objects that own a pod of OpenKruise.
fn populate(server: &ApiServer, review: &Value, cluster: Cluster) {
    let pod = &review["request"]["object"];
    let object = |kind: &str, name: &Value, uid: &Value, runtimes: &[&str]| {
        let runtimes: Vec<Value> = runtimes.iter().map(|name| json!({"name": name})).collect();
        json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": review["request"]["namespace"], "uid": uid},
            "spec": {"runtimes": runtimes}})
    };
    let owner = &pod["metadata"]["ownerReferences"][0];
    if let Some(runtimes) = cluster.sandbox {
        server.put(&object("Sandbox", &owner["name"], &owner["uid"], runtimes));
    }
    if let Some(runtimes) = cluster.sandbox_set {
        server.put(&object(
            "SandboxSet",
            &"code-interpreter".into(),
            &"set".into(),
            runtimes,
        ));
    }
}

async fn decide(server: &ApiServer, config: &Config, review: &Value) -> Value {
    let lookups = Lookups::new(server.client().await, Arc::new(Metrics::new()));
    let deadline = Instant::now() + Duration::from_millis(1500);
    let body = review.to_string();
    let mut settings = Settings::default();
    settings.selection.lookups = true;
    let review = decode(body.as_bytes()).unwrap();
    let mut budget = Budget::unlimited();
    let progress = review.decide(config, &settings, &mut budget);
    let verdict = settle(progress, Some(&lookups), &mut budget, deadline).await;
    let answer = respond::write(review.envelope().uid, &verdict, false);
    let response: Value = serde_json::from_slice(&answer).unwrap();
    response["response"].clone()
}

/// The pod after, or none where it stays as it is.
fn patched(review: &Value, response: &Value) -> Option<Value> {
    assert_eq!(response["allowed"], true, "{response:#}");
    let patch = STANDARD.decode(response["patch"].as_str()?).unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    let mut pod = review["request"]["object"].clone();
    json_patch::patch(&mut pod, &patch).unwrap();
    Some(pod)
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let items = pod["spec"][list].as_array().into_iter().flatten();
    items
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Everything of `before` is in `after`, lists in the same order and with what is new after them.
fn untouched(before: &Value, after: &Value, path: &str) {
    match (before, after) {
        (Value::Object(fields), Value::Object(_)) => {
            for (field, value) in fields {
                untouched(value, &after[field], &format!("{path}.{field}"));
            }
        }
        (Value::Array(items), Value::Array(now)) => {
            assert!(now.len() >= items.len(), "{path}");
            for (index, item) in items.iter().enumerate() {
                untouched(item, &now[index], &format!("{path}[{index}]"));
            }
        }
        (before, after) => assert_eq!(before, after, "{path}"),
    }
}

#[rstest]
#[case::kruise_warm_with_an_annotation("01", Pod::Recorded, EMPTY, "annotation", "agent-runtime,csi", &["init", "csi-sidecar", "csi-agent-sidecar"])]
#[case::kruise_warm("01", Pod::Silent, Cluster { sandbox: Some(&["csi", "agent-runtime"]), sandbox_set: Some(&[]) },
    "sandbox", "agent-runtime,csi", &["init", "csi-sidecar", "csi-agent-sidecar"])]
#[case::kruise_set_edited_after_the_sandbox("01", Pod::Silent, Cluster { sandbox: Some(&["csi"]), sandbox_set: Some(&["agent-runtime"]) },
    "sandbox", "csi", &["csi-sidecar", "csi-agent-sidecar"])]
#[case::kruise_claimed("01", Pod::Claimed, Cluster { sandbox: Some(&["csi"]), sandbox_set: None }, "sandbox", "csi", &["csi-sidecar", "csi-agent-sidecar"])]
#[case::kruise_sandbox_asks_for_nothing("01", Pod::Silent, Cluster { sandbox: Some(&[]), sandbox_set: Some(&["csi"]) }, "sandbox", "none", &[])]
#[case::kruise_sandbox_gone("01", Pod::Silent, Cluster { sandbox: None, sandbox_set: Some(&["csi"]) }, "sandboxset", "csi", &["csi-sidecar", "csi-agent-sidecar"])]
#[case::kruise_nobody_there("01", Pod::Silent, EMPTY, "default", "none", &[])]
#[case::kruise_without_the_pool_label("01", Pod::NoPool, Cluster { sandbox: Some(&["csi"]), sandbox_set: None }, "sandbox", "csi", &["csi-sidecar", "csi-agent-sidecar"])]
#[case::kruise_runtime_by_hand("08", Pod::Recorded, Cluster { sandbox: Some(&["csi"]), sandbox_set: None }, "sandbox", "csi", &["csi-sidecar", "csi-agent-sidecar"])]
#[case::agent_sandbox_alone("02", Pod::Recorded, EMPTY, "annotation", "csi", &["csi-sidecar", "csi-agent-sidecar"])]
#[case::agent_sandbox_alone_and_silent("02", Pod::Silent, EMPTY, "default", "none", &[])]
#[case::agent_sandbox_warm("03", Pod::Silent, EMPTY, "pool-rule", "agent-runtime", &["init"])]
#[case::agent_sandbox_with_claims("04", Pod::Recorded, EMPTY, "pool-rule", "csi", &["csi-sidecar", "csi-agent-sidecar"])]
#[case::open_sandbox_batch_with_a_claim("05", Pod::Recorded, EMPTY, "pool-rule", "csi", &["csi-sidecar", "csi-agent-sidecar"])]
#[case::open_sandbox_pool("06", Pod::Silent, EMPTY, "pool-rule", "shared-workspace", &["workspace-agent"])]
#[case::open_sandbox_resumed("07", Pod::Recorded, EMPTY, "annotation", "shared-workspace", &[])]
#[tokio::test]
async fn each_kind_of_pod(
    #[case] number: &str,
    #[case] pod: Pod,
    #[case] cluster: Cluster,
    #[case] decided_by: &str,
    #[case] runtimes: &str,
    #[case] sidecars: &[&str],
) {
    let server = ApiServer::with_kruise().await;
    let review = changed(recorded(number), pod);
    populate(&server, &review, cluster);
    let config = config(POOLS);
    let response = decide(&server, &config, &review).await;
    let audit = &response["auditAnnotations"];
    assert_eq!(audit["decided-by"], decided_by, "{response:#}");
    assert_eq!(audit["runtimes"], runtimes, "{response:#}");
    let before = &review["request"]["object"];
    let Some(after) = patched(&review, &response) else {
        assert!(sidecars.is_empty(), "no patch: {response:#}");
        return;
    };
    // The hook of the main container may be chained; everything else of the pod's own stays.
    untouched(&before["spec"], &after["spec"], "spec");
    untouched(&before["metadata"], &after["metadata"], "metadata");
    let mut expected = names(before, "initContainers");
    expected.extend(sidecars.iter().map(|name| (*name).to_owned()));
    assert_eq!(names(&after, "initContainers"), expected);
    // Injected into once more, it stays as it is.
    let mut again = review.clone();
    again["request"]["object"] = after;
    assert_eq!(decide(&server, &config, &again).await["patch"], Value::Null);
}

#[tokio::test]
async fn a_failed_look_up_is_a_denial_that_clients_retry() {
    let server = ApiServer::with_kruise().await;
    let review = changed(recorded("01"), Pod::Silent);
    populate(
        &server,
        &review,
        Cluster {
            sandbox: Some(&["csi"]),
            sandbox_set: Some(&["csi"]),
        },
    );
    let config = config("[]");
    for (code, denied, reason, retry) in [
        (500, 503, "ServiceUnavailable", json!(1)),
        (403, 500, "InternalError", Value::Null),
    ] {
        server.fault(Fault::status("/sandboxes/", code));
        let response = decide(&server, &config, &review).await;
        assert_eq!(response["allowed"], false, "{response:#}");
        let status = &response["status"];
        assert_eq!(
            (&status["code"], &status["reason"]),
            (&json!(denied), &json!(reason)),
            "{status:#}"
        );
        assert_eq!(status["details"]["retryAfterSeconds"], retry, "{status:#}");
        assert!(
            status["message"]
                .as_str()
                .unwrap()
                .contains("cannot look up the Sandbox default/code-interpreter-7x2kd"),
            "{status:#}"
        );
        server.repair();
    }
    // A failure to read the SandboxSet does not count as "nothing" either.
    server.delete(
        &json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
        "metadata": {"name": "code-interpreter-7x2kd", "namespace": "default"}}),
    );
    server.fault(Fault::drop("/sandboxsets/"));
    assert_eq!(
        decide(&server, &config, &review).await["status"]["code"],
        503
    );
}

#[tokio::test]
async fn a_declared_runtime_that_is_not_configured_is_reported() {
    let server = ApiServer::with_kruise().await;
    let review = changed(recorded("01"), Pod::Silent);
    populate(
        &server,
        &review,
        Cluster {
            sandbox: Some(&["oss"]),
            sandbox_set: None,
        },
    );
    let response = decide(&server, &config("[]"), &review).await;
    assert_eq!(response["status"]["code"], 422);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("\"oss\" (requested by sandbox) is not configured"),
        "{message}"
    );
}
