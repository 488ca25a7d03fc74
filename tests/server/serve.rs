//! `serve` as it runs in a cluster: the binary, real TLS, a mounted configuration, recorded
//! reviews.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use support::kubelet::Volume;
use support::process::{Process, review};
use support::{client, eventually};
use tempfile::TempDir;

const RELOADS: &str = "sandbox_injector_config_reloads_total";
const SUCCESS: &[(&str, &str)] = &[("result", "success")];
const FAILURE: &[(&str, &str)] = &[("result", "failure")];

/// A runtime that adds one variable to the main container.
fn runtime(value: &str) -> String {
    json!({"mainContainer": {"env": [{"name": "VERSION", "value": value}]}}).to_string()
}

/// A review of a pod that requests `runtime`, with `change` made to it.
fn asking_for(runtime: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut review: Value = serde_json::from_str(&review("01-kruise-sandboxset-pod")).unwrap();
    review["request"]["object"]["metadata"]["annotations"]["sandbox-injector.io/runtimes"] =
        runtime.into();
    change(&mut review["request"]["object"]);
    review.to_string()
}

fn patch(answer: &client::Answer) -> Option<Value> {
    let patch = base64::engine::general_purpose::STANDARD
        .decode(answer.json()["response"]["patch"].as_str()?)
        .unwrap();
    Some(serde_json::from_slice(&patch).unwrap())
}

/// The value of the variable that the configuration in use adds.
async fn version(client: &client::Client) -> Option<String> {
    let answer = client.mutate(asking_for("a", |_| {})).await;
    let patch = patch(&answer)?;
    let env = patch
        .as_array()?
        .iter()
        .find(|operation| operation["path"] == "/spec/containers/0/env")?;
    env["value"][0]["value"].as_str().map(str::to_owned)
}

async fn expect_version(client: &client::Client, expected: &str) {
    eventually(expected, async || {
        (version(client).await.as_deref() == Some(expected)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn recorded_reviews_are_answered() {
    let process = Process::start(&["--region-id", "cn-hangzhou"]).await;
    let client = process.client();
    for (name, patched) in [
        ("01-kruise-sandboxset-pod", true),
        ("02-agent-sandbox-standalone-pod", true),
        ("03-agent-sandbox-warmpool-pod", true),
        ("04-agent-sandbox-vct-pod", false),
        ("05-opensandbox-batchsandbox-pvc-pod", false),
        ("08-kruise-manual-runtime-pod", true),
    ] {
        let body = review(name);
        let asked: Value = serde_json::from_str(&body).unwrap();
        let answer = client.mutate(body).await;
        let response = answer.json()["response"].clone();
        assert_eq!(response["uid"], asked["request"]["uid"], "{name}");
        assert_eq!(response["allowed"], true, "{name}: {response}");
        assert_eq!(response.get("patchType").is_some(), patched, "{name}");
        if let Some(patch) = patch(&answer) {
            let mut pod = asked["request"]["object"].clone();
            json_patch::patch(
                &mut pod,
                &serde_json::from_value::<json_patch::Patch>(patch).unwrap(),
            )
            .unwrap();
        }
    }
    let denied = client
        .mutate(review("06-opensandbox-pool-pod"))
        .await
        .json();
    assert_eq!(denied["response"]["allowed"], false);
    assert_eq!(denied["response"]["status"]["code"], 422);
    let malformed = client.mutate("{}").await;
    assert_eq!(malformed.status, 400);
    assert!(
        malformed.json()["message"]
            .as_str()
            .unwrap()
            .contains("not an admission.k8s.io/v1 AdmissionReview")
    );
    let scrape = process.scrape().await;
    let requests = |outcome| {
        scrape.value(
            "sandbox_injector_admission_requests_total",
            &[("outcome", outcome)],
        )
    };
    assert_eq!(
        (
            requests("injected"),
            requests("ignored"),
            requests("denied"),
            requests("malformed")
        ),
        (4.0, 2.0, 1.0, 1.0)
    );
    assert_eq!(
        scrape.value("sandbox_injector_injections_total", &[("runtime", "csi")]),
        3.0
    );
    assert_eq!(
        scrape.value("sandbox_injector_admission_duration_seconds_count", &[]),
        8.0
    );
    assert!((scrape.bounds("sandbox_injector_admission_duration_seconds")[0] - 25e-6).abs() < 1e-9);
}

#[tokio::test]
async fn a_mounted_configuration_is_followed_through_every_change() {
    let directory = TempDir::new().unwrap();
    let mut volume = Volume::new(directory.path(), &[("a", &runtime("0"))]);
    let process = Process::start(&["--config-dir", directory.path().to_str().unwrap()]).await;
    let client = process.client();
    expect_version(&client, "0").await;
    for generation in 1..=6 {
        let began = std::time::Instant::now();
        volume.write(&[("a", &runtime(&generation.to_string()))]);
        expect_version(&client, &generation.to_string()).await;
        // A bound on what a person would wait for, not on the machine.
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(process.scrape().await.value(RELOADS, SUCCESS), 7.0);

    // A broken one keeps the last good one, and says so once with key and path.
    volume.write(&[("a", r#"{"mainContainer": {"env": [{"value": "x"}]}}"#)]);
    eventually("the refusal", async || {
        (process.scrape().await.value(RELOADS, FAILURE) == 1.0).then_some(())
    })
    .await;
    assert_eq!(version(&client).await.as_deref(), Some("6"));
    assert_eq!(client::get(process.http, "/readyz").await.status, 200);
    process
        .logged("the last good configuration stays in use")
        .await;
    let complaints: Vec<String> = process
        .log()
        .into_iter()
        .filter(|line| line.contains("$.mainContainer.env[0].name"))
        .collect();
    let [complaint] = complaints.as_slice() else {
        panic!("said once: {:?}", process.log())
    };
    assert!(
        complaint.contains("runtime=\"a\"") && complaint.contains("is missing"),
        "{complaint}"
    );
    assert_eq!(
        process
            .log()
            .iter()
            .filter(|line| line.contains("the last good configuration stays in use"))
            .count(),
        1,
        "{:?}",
        process.log()
    );

    volume.write(&[("a", &runtime("7"))]);
    expect_version(&client, "7").await;
    assert_eq!(process.scrape().await.value(RELOADS, FAILURE), 1.0);
}

#[tokio::test]
async fn files_written_in_place_or_renamed_over_are_reloaded() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("a.json");
    fs::write(&file, runtime("0")).unwrap();
    let process = Process::start(&["--config-dir", directory.path().to_str().unwrap()]).await;
    let client = process.client();
    expect_version(&client, "0").await;
    fs::write(&file, runtime("in-place")).unwrap();
    expect_version(&client, "in-place").await;
    let temporary = directory.path().join(".a.json.swp");
    fs::write(&temporary, runtime("renamed")).unwrap();
    fs::rename(&temporary, &file).unwrap();
    expect_version(&client, "renamed").await;
    // The directory goes and comes back.
    fs::remove_dir_all(directory.path()).unwrap();
    eventually("the complaint", async || {
        (process.scrape().await.value(RELOADS, FAILURE) >= 1.0).then_some(())
    })
    .await;
    assert_eq!(version(&client).await.as_deref(), Some("renamed"));
    fs::create_dir(directory.path()).unwrap();
    fs::write(&file, runtime("back")).unwrap();
    expect_version(&client, "back").await;
}

#[tokio::test]
async fn serve_waits_while_the_first_configuration_is_invalid() {
    let directory = TempDir::new().unwrap();
    let mut volume = Volume::new(directory.path(), &[("a", "{")]);
    let process = Process::start(&["--config-dir", directory.path().to_str().unwrap()]).await;
    let readyz = client::get(process.http, "/readyz").await;
    assert_eq!(readyz.status, 503);
    assert!(
        readyz.text().contains("configuration: a: $: "),
        "{}",
        readyz.text()
    );
    assert_eq!(client::get(process.http, "/livez").await.status, 200);
    let answer = process.client().mutate(asking_for("a", |_| {})).await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.headers.get("retry-after").is_some()
        ),
        (503, true)
    );
    volume.write(&[("a", &runtime("good"))]);
    eventually("readiness", async || {
        (client::get(process.http, "/readyz").await.status == 200).then_some(())
    })
    .await;
    expect_version(&process.client(), "good").await;
}

#[tokio::test]
async fn the_contents_of_pods_are_never_logged() {
    const SECRET: &str = "hunter2-s3cr3t";
    let leaky = |object: &mut Value| {
        object["spec"]["containers"][0]["env"] =
            json!([{"name": "ENVD_DIR", "value": SECRET}, {"name": "PASSWORD", "value": SECRET}]);
        object["spec"]["containers"][0]["args"] = json!([SECRET]);
    };
    for format in ["text", "json"] {
        let process = Process::start(&[
            "--region-id",
            "r",
            "--log-format",
            format,
            "--log-level",
            "trace",
        ])
        .await;
        let client = process.client();
        let mut said = Vec::new();
        // Kept with a warning.
        let kept = client.mutate(asking_for("agent-runtime,csi", leaky)).await;
        assert!(
            kept.json()["response"]["warnings"][0]
                .as_str()
                .unwrap()
                .contains("ENVD_DIR"),
            "{}",
            kept.text()
        );
        // Refused: another container under the name of a sidecar, another volume, another hook.
        let denied = client
            .mutate(asking_for("agent-runtime,csi", |object| {
                leaky(object);
                object["spec"]["initContainers"] = json!([{"name": "csi-sidecar", "image": SECRET, "command": [SECRET],
                    "env": [{"name": "A", "value": SECRET}]}]);
                object["spec"]["volumes"] = json!([{"name": "mount-root", "hostPath": {"path": SECRET}}]);
                object["spec"]["containers"][0]["lifecycle"] = json!({"postStart": {"httpGet": {"port": 1, "path": SECRET}}});
            }))
            .await;
        assert_eq!(denied.json()["response"]["allowed"], false);
        assert_eq!(
            denied.json()["response"]["status"]["details"]["causes"]
                .as_array()
                .unwrap()
                .len(),
            3,
            "{}",
            denied.text()
        );
        // Not a pod at all.
        let nonsense = client
            .mutate(asking_for("csi", |object| {
                object["spec"]["containers"] = SECRET.into();
            }))
            .await;
        let malformed = client.mutate(format!("{{\"kind\": {SECRET}")).await;
        for answer in [&kept, &denied, &nonsense, &malformed] {
            let mut answer = answer.text().to_owned();
            if let Ok(Value::Object(mut review)) = serde_json::from_str(&answer) {
                // The patch holds what the configuration brings.
                if let Some(Value::Object(response)) = review.get_mut("response") {
                    response.remove("patch");
                }
                answer = Value::Object(review).to_string();
            }
            said.push(answer);
        }
        eventually("the decisions in the log", async || {
            (process
                .log()
                .iter()
                .filter(|line| line.contains("outcome"))
                .count()
                >= 4)
                .then_some(())
        })
        .await;
        said.extend(process.log());
        said.push(process.metrics_text().await);
        for text in &said {
            assert!(!text.contains(SECRET), "{format}: {text}");
        }
        let decisions: Vec<String> = process
            .log()
            .into_iter()
            .filter(|line| {
                line.contains("outcome=\"injected\"") || line.contains("\"outcome\":\"injected\"")
            })
            .collect();
        assert_eq!(decisions.len(), 1, "one line a decision: {decisions:?}");
        let scrape = process.scrape().await;
        assert_eq!(
            scrape.value("sandbox_injector_conflicts_total", &[("runtime", "csi")]),
            1.0
        );
        assert_eq!(
            scrape.value(
                "sandbox_injector_conflicts_total",
                &[("runtime", "agent-runtime")]
            ),
            1.0
        );
        if format == "json" {
            let line: Value = serde_json::from_str(&decisions[0]).unwrap();
            assert_eq!(
                (line["outcome"].as_str(), line["runtimes"].as_str()),
                (Some("injected"), Some("agent-runtime,csi"))
            );
            assert_eq!(line["decided_by"], "annotation");
        }
    }
}

#[tokio::test]
async fn a_denial_is_logged_at_level_warn() {
    let level = "info,sandbox_injector::serve::webhook=warn";
    let process = Process::start(&["--region-id", "cn-hangzhou", "--log-level", level]).await;
    let client = process.client();
    assert!(patch(&client.mutate(review("01-kruise-sandboxset-pod")).await).is_some());
    let denied = client.mutate(review("06-opensandbox-pool-pod")).await;
    assert_eq!(denied.json()["response"]["allowed"], false);
    process.logged("outcome=\"denied\"").await;
    assert!(
        !process
            .log()
            .iter()
            .any(|line| line.contains("outcome=\"injected\""))
    );
}

#[tokio::test]
#[allow(
    clippy::await_holding_lock,
    reason = "holding it is what the test is about"
)]
async fn a_stalled_log_reader_delays_no_pod() {
    const REVIEWS: usize = 1000;
    let process = Process::start(&["--region-id", "r"]).await;
    let client = process.client();
    let unread = process.unread();
    // Several times what a pipe and its reader hold.
    let all = async {
        for _ in 0..REVIEWS {
            assert_eq!(
                client.mutate(asking_for("csi", |_| {})).await.json()["response"]["allowed"],
                true
            );
        }
    };
    // Without an end of its own the test would hang instead of failing.
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .unwrap();
    drop(unread);
    eventually("every decision in the log", async || {
        let log = process.log();
        (log.iter()
            .filter(|line| line.contains("outcome=\"injected\""))
            .count()
            == REVIEWS)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_tenant_writes_fills_no_log() {
    let process = Process::start(&["--region-id", "r"]).await;
    let client = process.client();
    let long = "x".repeat(1 << 20);
    let mut named: Value = serde_json::from_str(&asking_for("csi", |object| {
        object["metadata"]["name"] = long.clone().into();
    }))
    .unwrap();
    named["request"]["uid"] = long.clone().into();
    assert_eq!(
        client.mutate(named.to_string()).await.json()["response"]["uid"],
        long
    );
    let unknown = client.mutate(asking_for(&long, |_| {})).await;
    assert_eq!(unknown.json()["response"]["allowed"], false);
    assert!(unknown.body.len() < 4 << 10, "{} bytes", unknown.body.len());
    let conflicts = client
        .mutate(asking_for("csi", |object| {
            object["spec"]["volumes"] = (0..2000)
                .map(|_| json!({"name": "mount-root", "emptyDir": {"medium": long[..1000]}}))
                .collect();
        }))
        .await;
    assert_eq!(conflicts.json()["response"]["allowed"], false);
    process.logged("emptyDir").await;
    let longest = process.log().iter().map(String::len).max().unwrap();
    assert!(longest < 16 << 10, "{longest} bytes");
}
