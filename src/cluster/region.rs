//! The region, from the label of the node that the process runs on.

use engine::config::region::{InvalidRegion, Region};
use engine::kube::names::is_dns_subdomain;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use super::api::{self, ApiError, MalformedAnswer, Rule};

/// The label with a node's region.
pub const LABEL: &str = "topology.kubernetes.io/region";

/// Why a node gives no region.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// No node can have this name, and it would change the path of the request.
    #[error(
        "NODE_NAME {0:?} is not a valid node name; set it from spec.nodeName, or set --region-id"
    )]
    NodeName(String),
    /// The API server gives no answer about it.
    #[error("cannot read node {node}: {source}; alternatively set --region-id")]
    Unreadable {
        /// The node.
        node: String,
        /// What happened.
        source: ApiError,
    },
    /// It has no label.
    #[error("node {node} has no label {LABEL}; label it, or set --region-id")]
    NoLabel {
        /// The node.
        node: String,
    },
    /// Its label is not a region.
    #[error("node {node}: label {LABEL}: {source}")]
    InvalidLabel {
        /// The node.
        node: String,
        /// What is wrong with it.
        source: InvalidRegion,
    },
}

/// The region of `node`, read once.
///
/// # Errors
/// When the node cannot be read or has no region.
pub async fn read(client: &Client, node: &str) -> Result<Region, RegionError> {
    if !is_dns_subdomain(node) {
        return Err(RegionError::NodeName(node.to_owned()));
    }
    let rule = Rule {
        verbs: "get",
        resource: "nodes",
        group: "",
        namespace: None,
    };
    let json = api::get_within(client, &format!("/api/v1/nodes/{node}"), &rule).await;
    let node_object: Node = json
        .and_then(|json| Ok(serde_json::from_slice(&json).map_err(MalformedAnswer::Json)?))
        .map_err(|source| RegionError::Unreadable {
            node: node.to_owned(),
            source,
        })?;
    match &node_object.metadata.labels[LABEL] {
        Value::String(region) => region.parse().map_err(|source| RegionError::InvalidLabel {
            node: node.to_owned(),
            source,
        }),
        _ => Err(RegionError::NoLabel {
            node: node.to_owned(),
        }),
    }
}

/// A node, as far as it is read.
#[derive(Deserialize)]
struct Node {
    metadata: NodeMetadata,
}

#[derive(Deserialize)]
struct NodeMetadata {
    #[serde(default)]
    labels: Value,
}
