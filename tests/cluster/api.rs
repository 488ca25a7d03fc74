//! One story through the API alone, told to the test API server and, where `KUBEBUILDER_ASSETS`
//! names a directory with kube-apiserver and etcd, to those: kinds are registered, the webhook too,
//! pods are created and read back.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::review::decide::Settings;
use engine::runtimes::{LookupError, Question};
use hyper::Request;
use kube::Client;
use sandbox_injector::cluster::readiness::await_api_server;
use sandbox_injector::cluster::{Lookups, config_map, region};
use sandbox_injector::metrics::Metrics;
use sandbox_injector::readiness::Readiness;
use sandbox_injector::serve::follow::{follow_config_map, follow_region};
use sandbox_injector::serve::store::Store;
use sandbox_injector::serve::webhook::Webhook;
use sandbox_injector::server::{Limits, Server, ServerOptions, Shutdown};
use sandbox_injector::tls::{Identity, Tls};
use serde_json::{Value, json};
use support::apiserver::real::{RealServer, assets};
use support::apiserver::{ApiServer, definitions};
use support::{certificates, eventually};
use tokio::time::Instant;

const NAMESPACE: &str = "sandboxes-of-tests";
const SANDBOXES: &str = "/apis/agents.kruise.io/v1alpha1/namespaces/sandboxes-of-tests/sandboxes";
const PODS: &str = "/api/v1/namespaces/sandboxes-of-tests/pods";
const CONFIG_MAPS: &str = "/api/v1/namespaces/sandboxes-of-tests/configmaps";

#[tokio::test]
async fn the_test_server_tells_the_story() {
    let server = ApiServer::start().await;
    story(&server.client().await).await;
}

#[tokio::test]
async fn a_real_api_server_tells_the_story() {
    let Some(assets) = assets() else {
        // Past the capture of passed tests' output, which would hide it.
        let said =
            "skipped: KUBEBUILDER_ASSETS does not name a directory with kube-apiserver and etcd";
        writeln!(
            std::io::stderr(),
            "a_real_api_server_tells_the_story {said}"
        )
        .unwrap();
        return;
    };
    let server = RealServer::start(&assets).await;
    story(&server.client().await).await;
    forbidden(server.powerless().await).await;
}

async fn story(client: &Client) {
    let gate = Readiness::new();
    await_api_server(client.clone(), gate.gate("api-server")).await;
    assert_eq!(gate.check(), Ok(()));
    create(
        client,
        "/api/v1/namespaces",
        &typed("v1", "Namespace", json!({"name": NAMESPACE})),
    )
    .await;
    kinds_come_late(client).await;
    a_sandbox_is_made_anew(client).await;
    let store = the_configuration_is_followed(client).await;
    pods_are_injected(client, store).await;
}

async fn kinds_come_late(client: &Client) {
    let lookups = lookups(client);
    assert_eq!(ask(&lookups, "early", "uid").await, Ok(None));
    for definition in definitions() {
        create(
            client,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            &definition,
        )
        .await;
    }
    let early = sandbox("early", &["csi"]);
    let uid = eventually("the kind to be served", async || {
        let request = Request::post(SANDBOXES).header("content-type", "application/json");
        let made = client
            .request::<Value>(request.body(early.to_string().into()).unwrap())
            .await;
        Some(made.ok()?["metadata"]["uid"].as_str()?.to_owned())
    })
    .await;
    let found = Ok(Some(vec!["csi".to_owned()]));
    eventually("the kind to be noticed", async || {
        (ask(&lookups, "early", &uid).await == found).then_some(())
    })
    .await;
}

async fn a_sandbox_is_made_anew(client: &Client) {
    let lookups = lookups(client);
    let names = |names: &[&str]| Ok(Some(names.iter().map(|name| (*name).to_owned()).collect()));
    let first = create(client, SANDBOXES, &sandbox("again", &["csi"])).await;
    assert_eq!(ask(&lookups, "again", &uid(&first)).await, names(&["csi"]));
    delete(client, &format!("{SANDBOXES}/again")).await;
    let second = create(client, SANDBOXES, &sandbox("again", &["agent-runtime"])).await;
    assert_eq!(
        ask(&lookups, "again", &uid(&second)).await,
        names(&["agent-runtime"])
    );
    assert_eq!(ask(&lookups, "again", &uid(&first)).await, Ok(None));
}

async fn the_configuration_is_followed(client: &Client) -> Arc<Store> {
    let readiness = Readiness::new();
    let store = Arc::new(Store::new(
        None,
        Arc::new(Metrics::new()),
        readiness.gate("configuration"),
    ));
    let node = "node-of-tests".to_owned();
    tokio::spawn(follow_region(
        client.clone(),
        node.clone(),
        Arc::clone(&store),
        readiness.gate("region"),
    ));
    let name = format!("{NAMESPACE}/injection").parse().unwrap();
    tokio::spawn(follow_config_map(client.clone(), name, Arc::clone(&store)));
    eventually("the reason", async || {
        readiness
            .check()
            .err()
            .filter(|said| said.contains("does not exist"))
    })
    .await;

    let edition = |edition: &str| {
        let csi = json!({"labels": {"edition": edition}, "annotations": {"region": "<region-id>"},
            "csiSidecar": [{"name": "csi-sidecar", "image": "registry.example.com/csi:v1", "restartPolicy": "Always",
                "volumeMounts": [{"name": "csi", "mountPath": "/csi"}]}],
            "mainContainer": {"volumeMounts": [{"name": "csi", "mountPath": "/mnt/csi"}]},
            "volume": [{"name": "csi", "emptyDir": {}}]});
        let mut object = typed(
            "v1",
            "ConfigMap",
            json!({"name": "injection", "namespace": NAMESPACE}),
        );
        object["data"] = json!({"csi": csi.to_string()});
        object
    };
    let live = || {
        let active = store.current()?;
        let csi = active.config.runtime("csi")?;
        Some((csi.labels[0].1.clone(), csi.annotations[0].1.clone()))
    };
    let expect = async |edition: &str| {
        let wanted = Some((edition.to_owned(), "cn-hangzhou".to_owned()));
        eventually(edition, async || (live() == wanted).then_some(())).await;
    };
    create(client, CONFIG_MAPS, &edition("first")).await;
    eventually("the wait", async || {
        readiness
            .check()
            .err()
            .filter(|said| said.contains("waiting for the region"))
    })
    .await;
    let labels = json!({region::LABEL: "cn-hangzhou"});
    create(
        client,
        "/api/v1/nodes",
        &typed("v1", "Node", json!({"name": node, "labels": labels})),
    )
    .await;
    expect("first").await;
    let begun = Instant::now();
    replace(
        client,
        &format!("{CONFIG_MAPS}/injection"),
        &edition("second"),
    )
    .await;
    expect("second").await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    delete(client, &format!("{CONFIG_MAPS}/injection")).await;
    create(client, CONFIG_MAPS, &edition("third")).await;
    expect("third").await;
    assert_eq!(readiness.check(), Ok(()));
    store
}

async fn pods_are_injected(client: &Client, store: Arc<Store>) {
    let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
    let ca = certificates::ca();
    let serving = certificates::serving(&ca);
    let identity = Identity::Memory {
        certificate: serving.certificate,
        key: serving.key,
    };
    let tls = Tls::new(identity, None, &metrics, &readiness).unwrap();
    let local = ([127, 0, 0, 1], 0).into();
    let options = ServerOptions {
        bind: local,
        metrics_bind: local,
        drain: Duration::ZERO,
        limits: Limits::default(),
    };
    let server = Server::bind(options).await.unwrap();
    let url = format!("https://{}/mutate", server.https_address().unwrap());
    let webhook = Webhook::new(
        store,
        Settings::default(),
        Some(lookups(client)),
        Arc::clone(&metrics),
    );
    let (_trigger, shutdown) = Shutdown::manual();
    tokio::spawn(server.run(Arc::new(webhook), tls, metrics, readiness, shutdown));

    let mut configuration = typed(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        json!({"name": "sandbox-injector"}),
    );
    configuration["webhooks"] = json!([{
        "name": "sandbox-injector.tests.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "timeoutSeconds": 5, "failurePolicy": "Fail",
        "clientConfig": {"url": url, "caBundle": STANDARD.encode(&ca.certificate)},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
    }]);
    let configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    create(client, configurations, &configuration).await;

    let owner = create(client, SANDBOXES, &sandbox("owner", &["csi"])).await;
    // The API server takes a moment to call a webhook that was just registered.
    let mut number = 0;
    let injected = eventually("the webhook to be called", async || {
        number += 1;
        let pod = create(client, PODS, &pod(&format!("owner-{number}"), &owner)).await;
        let name = pod["metadata"]["name"].as_str().unwrap();
        let read = get(client, &format!("{PODS}/{name}")).await;
        read["metadata"]["annotations"]
            .get("sandbox-injector.io/status")
            .map(|_| read.clone())
    })
    .await;
    assert_eq!(injected["metadata"]["labels"]["edition"], "third");
    assert_eq!(injected["metadata"]["annotations"]["region"], "cn-hangzhou");
    assert_eq!(injected["spec"]["initContainers"][0]["name"], "csi-sidecar");
    let mounts = injected["spec"]["containers"][0]["volumeMounts"]
        .as_array()
        .unwrap();
    assert!(
        mounts.iter().any(|mount| mount["mountPath"] == "/mnt/csi"),
        "{mounts:?}"
    );

    // What came out goes in again without a change.
    let mut again = injected.clone();
    let metadata = again["metadata"].as_object_mut().unwrap();
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "generation",
    ] {
        metadata.remove(field);
    }
    metadata.insert("name".to_owned(), "again".into());
    again.as_object_mut().unwrap().remove("status");
    let again = create(client, PODS, &again).await;
    assert_eq!(
        again["spec"]["initContainers"],
        injected["spec"]["initContainers"]
    );
    assert_eq!(again["spec"]["volumes"], injected["spec"]["volumes"]);

    // An owner that requests a runtime that is not configured causes a denial that says so.
    let owner = create(client, SANDBOXES, &sandbox("asks-too-much", &["oss"])).await;
    let request = Request::post(PODS).header("content-type", "application/json");
    let request = request
        .body(pod("denied", &owner).to_string().into())
        .unwrap();
    let denied = client
        .request::<Value>(request)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        denied.contains("\"oss\" (requested by sandbox) is not configured"),
        "{denied}"
    );
}

/// Real authorization, which the test server does not have.
async fn forbidden(powerless: Client) {
    let Err(LookupError::Permanent(said)) = ask(&lookups(&powerless), "early", "uid").await else {
        panic!("not refused")
    };
    let rule =
        format!("grant get on sandboxes.agents.kruise.io in namespace {NAMESPACE} to nobody");
    assert!(said.contains(&rule), "{said}");
    let name = format!("{NAMESPACE}/injection").parse().unwrap();
    let said = config_map::read(&powerless, &name)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        said.contains(&format!(
            "grant list and watch on configmaps in namespace {NAMESPACE}"
        )),
        "{said}"
    );
    let said = region::read(&powerless, "node-of-tests")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("grant get on nodes in the cluster to nobody"),
        "{said}"
    );
}

fn lookups(client: &Client) -> Lookups {
    Lookups::new(client.clone(), Arc::new(Metrics::new()))
}

async fn ask(lookups: &Lookups, name: &str, uid: &str) -> Result<Option<Vec<String>>, LookupError> {
    let question = Question::Sandbox {
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
    };
    lookups
        .declared(&question, Instant::now() + Duration::from_secs(5))
        .await
}

fn typed(api_version: &str, kind: &str, metadata: Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata})
}

fn sandbox(name: &str, runtimes: &[&str]) -> Value {
    let mut object = typed(
        "agents.kruise.io/v1alpha1",
        "Sandbox",
        json!({"name": name, "namespace": NAMESPACE}),
    );
    let runtimes: Vec<Value> = runtimes.iter().map(|name| json!({"name": name})).collect();
    object["spec"] = json!({"runtimes": runtimes});
    object
}

fn pod(name: &str, owner: &Value) -> Value {
    let reference = json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true});
    let metadata = json!({"name": name, "namespace": NAMESPACE, "labels": {"agents.kruise.io/created-by": "sandbox"},
        "ownerReferences": [reference]});
    let mut pod = typed("v1", "Pod", metadata);
    pod["spec"] =
        json!({"containers": [{"name": "sandbox", "image": "registry.example.com/sandbox:v1"}]});
    pod
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}

async fn create(client: &Client, collection: &str, object: &Value) -> Value {
    send(client, "POST", collection, object).await
}

async fn replace(client: &Client, path: &str, object: &Value) -> Value {
    send(client, "PUT", path, object).await
}

async fn delete(client: &Client, path: &str) {
    send(client, "DELETE", path, &Value::Null).await;
}

async fn get(client: &Client, path: &str) -> Value {
    send(client, "GET", path, &Value::Null).await
}

async fn send(client: &Client, method: &str, path: &str, object: &Value) -> Value {
    let body = if object.is_null() {
        Vec::new()
    } else {
        object.to_string().into_bytes()
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    let answer = client.request(request.body(body).unwrap()).await;
    answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}
