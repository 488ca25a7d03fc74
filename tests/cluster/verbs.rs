//! The command line with a cluster: what `serve` follows and asks, and that `dry-run` answers as it
//! does.

use serde_json::{Value, json};
use support::apiserver::ApiServer;
use support::binary::{config_map, kubeconfig, run, runtime};
use support::process::Process;
use support::{client, eventually};

const NODE: &str = "node-1";

fn sandbox(name: &str, runtimes: &[&str]) -> Value {
    let runtimes: Vec<Value> = runtimes.iter().map(|name| json!({"name": name})).collect();
    json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
        "metadata": {"name": name, "namespace": "default"}, "spec": {"runtimes": runtimes}})
}

/// A pod as the controller makes it for a Sandbox that the API server has.
fn pod_of(sandbox: &Value) -> Value {
    let (name, uid) = (&sandbox["metadata"]["name"], &sandbox["metadata"]["uid"]);
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"agents.kruise.io/created-by": "sandbox"},
            "ownerReferences": [{"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox", "name": name, "uid": uid,
                "controller": true}]},
        "spec": {"containers": [{"name": "sandbox", "image": "i:1"}]}})
}

fn review(pod: &Value) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "default", "userInfo": {"username": "controller"}, "object": pod}})
    .to_string()
}

/// Who decided, as the audit log has it.
async fn asked(client: &client::Client, pod: &Value) -> (String, String) {
    let answer = client.mutate(review(pod)).await.json();
    let said = &answer["response"]["auditAnnotations"];
    let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    (text("decided-by"), text("runtimes"))
}

#[tokio::test]
async fn serve_and_dry_run_decide_alike() {
    let server = ApiServer::with_kruise().await;
    server.put(&json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": NODE, "labels": {"topology.kubernetes.io/region": "cn-hangzhou"}}}));
    server.put(&config_map(&[(
        "tools",
        &runtime("registry.<region-id>.example.com/tools:1"),
    )]));
    let warm = server.put(&sandbox("warm", &["tools"]));
    let bare = server.put(&sandbox("bare", &[]));
    let directory = kubeconfig(&server);
    let kubeconfig = directory.path().join("config").to_str().unwrap().to_owned();
    let cluster = [
        "--kubeconfig",
        &kubeconfig,
        "--config-map",
        "sandbox-system/sandbox-injection-config",
    ];

    let process = Process::start(&[&cluster[..], &["--node-name", NODE]].concat()).await;
    eventually("readiness", async || {
        (client::get(process.http, "/readyz").await.status == 200).then_some(())
    })
    .await;
    let webhook = process.client();
    assert_eq!(
        asked(&webhook, &pod_of(&warm)).await,
        ("sandbox".to_owned(), "tools".to_owned())
    );
    assert_eq!(
        asked(&webhook, &pod_of(&bare)).await,
        ("sandbox".to_owned(), "none".to_owned())
    );
    let answer = webhook.mutate(review(&pod_of(&warm))).await;
    let lookups = process
        .scrape()
        .await
        .value("sandbox_injector_lookups_total", &[("result", "found")]);
    assert_eq!(lookups, 3.0, "one GET a pod");

    let file = directory.path().join("pod.json");
    std::fs::write(&file, pod_of(&warm).to_string()).unwrap();
    let dry_run = [
        "dry-run",
        "-f",
        file.to_str().unwrap(),
        "--region-id",
        "cn-hangzhou",
        "-o",
        "review",
    ];
    let arguments: Vec<String> = dry_run
        .iter()
        .chain(&cluster)
        .map(|word| (*word).to_owned())
        .collect();
    let ran = tokio::task::spawn_blocking(move || {
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let ran = ran.await.unwrap();
    ran.assert_code(0);
    assert_eq!(
        ran.json()["response"]["patch"],
        answer.json()["response"]["patch"]
    );

    // An edit is live without a restart.
    server.put(&config_map(&[("tools", "{}"), ("more", "{}")]));
    let both = server.put(&sandbox("both", &["tools", "more"]));
    eventually("the edit", async || {
        (asked(&webhook, &pod_of(&both)).await.1 == "tools,more").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_api_server_that_cannot_be_reached_keeps_serve_from_being_ready() {
    let server = ApiServer::with_kruise().await;
    server.put(&config_map(&[("tools", "{}")]));
    let directory = kubeconfig(&server);
    let kubeconfig = directory.path().join("config").to_str().unwrap().to_owned();
    server.stop().await;
    let cluster = [
        "--kubeconfig",
        &kubeconfig,
        "--config-map",
        "sandbox-system/sandbox-injection-config",
    ];
    let process = Process::start(&cluster).await;
    let readyz = client::get(process.http, "/readyz").await;
    assert_eq!(readyz.status, 503);
    assert!(
        readyz.text().contains("api-server: ") && readyz.text().contains("configuration: "),
        "{}",
        readyz.text()
    );
    server.restart().await;
    eventually("readiness", async || {
        (client::get(process.http, "/readyz").await.status == 200).then_some(())
    })
    .await;
}

#[test]
fn look_ups_without_a_cluster_say_which_flag_to_set() {
    let ran = run(&[
        "dry-run",
        "-f",
        "testdata/cli/pod.yaml",
        "--region-id",
        "r",
        "--lookups",
        "on",
    ]);
    ran.assert_code(2);
    assert!(
        ran.stderr.starts_with("error: no cluster available"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.lines().count(), 1);
}
