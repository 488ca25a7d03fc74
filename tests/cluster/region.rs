//! The region from the node's label.

use std::sync::Arc;

use engine::config::config_map::Entries;
use sandbox_injector::cluster::region;
use sandbox_injector::metrics::Metrics;
use sandbox_injector::readiness::Readiness;
use sandbox_injector::serve::follow::follow_region;
use sandbox_injector::serve::store::{ReadError, Store, Taken};
use serde_json::{Value, json};
use support::apiserver::{ApiServer, Fault};
use support::eventually;

const NODE: &str = "cn-hangzhou.10.0.0.1";

fn node(labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}})
}

fn entries(label: &str) -> Result<Entries, ReadError> {
    Ok([("csi", json!({"labels": {"region": label}}).to_string())].into())
}

#[tokio::test]
async fn the_region_is_read_until_it_is_known() {
    let server = ApiServer::start().await;
    server.stop().await;
    let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
    let store = Arc::new(Store::new(
        None,
        Arc::clone(&metrics),
        readiness.gate("configuration"),
    ));
    let client = server.client().await;
    let following = follow_region(
        client,
        NODE.to_owned(),
        Arc::clone(&store),
        readiness.gate("region"),
    );
    assert_eq!(store.offer(entries("<region-id>")), Taken::Waiting);
    let following = tokio::spawn(following);

    let reason = async |part: &str| {
        eventually(part, async || {
            readiness.check().err().filter(|said| said.contains(part))
        })
        .await
    };
    let said = reason("Connection refused").await;
    assert!(
        said.starts_with("configuration: waiting for the region\nregion: cannot read node "),
        "{said}"
    );
    server.restart().await;
    reason("there is no such object").await;
    server.fault(Fault::status("/nodes", 403));
    reason("grant get on nodes in the cluster to system:serviceaccount:sandbox-system:sandbox-injector")
        .await;
    server.repair();
    server.put(&node(&json!({})));
    reason("has no label topology.kubernetes.io/region; label it, or set --region-id").await;
    server.put(&node(&json!({"topology.kubernetes.io/region": "Nowhere!"})));
    reason("\"Nowhere!\" is not a valid region").await;
    server.put(&node(
        &json!({"topology.kubernetes.io/region": "cn-hangzhou"}),
    ));
    eventually("readiness", async || readiness.check().ok()).await;
    let label = store.current().unwrap().config.runtimes()[0].labels[0]
        .1
        .clone();
    assert_eq!(label, "cn-hangzhou");
    following.await.unwrap();
    // That the region came late was no fault of the configuration.
    assert!(
        metrics
            .text()
            .contains("config_reloads_total{result=\"failure\"} 0\n")
    );
}

#[tokio::test]
async fn a_configuration_that_needs_no_region_does_not_wait_for_one() {
    let server = ApiServer::start().await;
    let readiness = Readiness::new();
    let store = Arc::new(Store::new(
        None,
        Arc::new(Metrics::new()),
        readiness.gate("configuration"),
    ));
    let client = server.client().await;
    let following = follow_region(
        client,
        NODE.to_owned(),
        Arc::clone(&store),
        readiness.gate("region"),
    );
    let following = tokio::spawn(following);
    assert_eq!(store.offer(entries("fixed")), Taken::Loaded);
    eventually("two attempts", async || {
        (server.asked("/nodes").len() > 1).then_some(())
    })
    .await;
    assert_eq!(readiness.check(), Ok(()));
    // An edit that has to wait leaves the one in use where it is.
    assert_eq!(store.offer(entries("<region-id>")), Taken::Waiting);
    let asked = server.asked("/nodes").len();
    eventually("another attempt", async || {
        (server.asked("/nodes").len() > asked + 1).then_some(())
    })
    .await;
    assert_eq!(readiness.check(), Ok(()));
    server.put(&node(
        &json!({"topology.kubernetes.io/region": "cn-hangzhou"}),
    ));
    following.await.unwrap();
    assert_eq!(
        store.current().unwrap().config.runtimes()[0].labels[0].1,
        "cn-hangzhou"
    );
}

#[tokio::test]
async fn an_impossible_node_name_is_not_requested() {
    let server = ApiServer::start().await;
    let error = region::read(&server.client().await, "../secrets")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("set it from spec.nodeName, or set --region-id"),
        "{error}"
    );
    assert_eq!(server.asked(""), []);
}
