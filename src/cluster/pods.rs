//! The pods of a cluster, read once for a report.

use engine::kube::names::is_dns_label;
use kube::Client;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::api::{self, ApiError, MalformedAnswer, Rule};

/// Pods per answer: with what a cluster writes into a pod, that stays well below what is read at
/// once.
const PAGE_SIZE: usize = 100;

/// What is encoded in a value of a query: everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why pods cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum PodsError {
    /// No namespace can have this name, and it would change the path of the request.
    #[error("{0:?} is not a valid namespace name")]
    Namespace(String),
    /// The API server gives no list.
    #[error("cannot list pods: {0}")]
    Unreadable(#[from] ApiError),
}

/// Lists the pods of a namespace, or of all.
///
/// # Errors
/// When they cannot be read.
pub async fn list(
    client: &Client,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<Value>, PodsError> {
    let collection = match namespace {
        Some(namespace) if is_dns_label(namespace) => {
            format!("/api/v1/namespaces/{namespace}/pods")
        }
        Some(namespace) => return Err(PodsError::Namespace(namespace.to_owned())),
        None => "/api/v1/pods".to_owned(),
    };
    let selector = selector
        .map(|text| format!("&labelSelector={}", encode(text)))
        .unwrap_or_default();
    let namespace = namespace.map(str::to_owned);
    let rule = Rule {
        verbs: "list",
        resource: "pods",
        group: "",
        namespace,
    };
    let mut pods = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("{collection}?limit={PAGE_SIZE}{selector}{next}");
        let json = api::get(client, &path, &rule).await?;
        let mut list: Value = serde_json::from_slice(&json)
            .map_err(|error| ApiError::Malformed(MalformedAnswer::Json(error)))?;
        for mut pod in list["items"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default()
        {
            // The items of a list have no type of their own.
            pod["apiVersion"] = "v1".into();
            pod["kind"] = "Pod".into();
            pods.push(pod);
        }
        match list["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => next = format!("&continue={}", encode(token)),
            _ => return Ok(pods),
        }
    }
}

/// A value of a query, percent-encoded.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_stays_one_value() {
        assert_eq!(
            encode("a/b in (c, d)&x=é"),
            "a%2Fb%20in%20%28c%2C%20d%29%26x%3D%C3%A9"
        );
        assert_eq!(encode("a-b.c_d~e"), "a-b.c_d~e");
    }
}
