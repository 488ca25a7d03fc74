//! The region, from the label of the node that the process runs on.
//!
//! A node has its region from the moment the cloud's controller labels it, which may be later than our start; then it
//! never changes, so it is read until it is there and never again.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::ask::{self, Rule, Trouble};
use super::backoff::Backoff;
use crate::readiness::Gate;
use crate::serve::store::Store;
use engine::config::region::Region;

/// The label that holds a node's region.
pub const LABEL: &str = "topology.kubernetes.io/region";

const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Reads the region of `node` (`NODE_NAME`) until it is there, and gives it to `store`. From the call on, and not only once
/// polled, a configuration that needs the region waits for it. `gate` is not ready while one waits.
pub fn follow(
    client: Client,
    node: String,
    store: Arc<Store>,
    gate: Gate,
) -> impl Future<Output = ()> + Send {
    store.await_region();
    gate.ready();
    async move {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut said = String::new();
        loop {
            match read(&client, &node).await {
                Ok(region) => {
                    tracing::info!(node, %region, "region read from the node");
                    store.set_region(region);
                    return gate.ready();
                }
                Err(why) => {
                    // A configuration that is in use does not become worse by an edit that has to wait.
                    if store.waits_for_region() && store.current().is_none() {
                        gate.not_ready(why.as_str());
                    } else {
                        gate.ready();
                    }
                    if said != why {
                        tracing::warn!(why, "cannot read the region from the node; retrying");
                        said = why;
                    }
                }
            }
            sleep(backoff.pause()).await;
        }
    }
}

/// The region of `node`, read once; an error names the node and the fix.
///
/// # Errors
/// When the node cannot be read or has no region.
pub async fn read(client: &Client, node: &str) -> Result<Region, String> {
    if !ask::is_name(node) {
        return Err(format!(
            "NODE_NAME {node:?} is not a valid node name; set it from spec.nodeName, or set --region-id"
        ));
    }
    let rule = Rule { verbs: "get", resource: "nodes", group: "", namespace: None };
    let answer = timeout(ANSWER_WITHIN, ask::get(client, &format!("/api/v1/nodes/{node}"))).await;
    let answer = answer
        .unwrap_or_else(|_| Err(Trouble::passing(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))));
    let json = answer.map_err(|trouble| {
        format!("cannot read node {node}: {}; alternatively set --region-id", trouble.describe(rule))
    })?;
    let node_object: Node = serde_json::from_slice(&json)
        .map_err(|error| format!("node {node}: unexpected response: {error}"))?;
    match &node_object.metadata.labels[LABEL] {
        Value::String(region) => {
            region.parse().map_err(|error| format!("node {node}: label {LABEL}: {error}"))
        }
        _ => Err(format!("node {node} has no label {LABEL}; label it, or set --region-id")),
    }
}

/// A node, as far as it is read.
#[derive(Deserialize)]
struct Node {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: Value,
}
