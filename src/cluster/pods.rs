//! The pods of a cluster, read once for a report.

use kube::Client;
use serde_json::Value;

use super::ask::{self, Rule};

/// So many pods come with one answer: with what a cluster writes into a pod, that stays well below what is read at once.
const PAGE: usize = 100;

/// Lists the pods of a namespace, or of all.
///
/// # Errors
/// When they cannot be read, in words that name the fix.
pub async fn list(
    client: &Client,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<Value>, String> {
    let collection = match namespace {
        Some(namespace) if ask::is_namespace(namespace) => format!("/api/v1/namespaces/{namespace}/pods"),
        Some(namespace) => return Err(format!("{namespace:?} is not a valid namespace name")),
        None => "/api/v1/pods".to_owned(),
    };
    let selector = selector.map(|text| format!("&labelSelector={}", encode(text))).unwrap_or_default();
    let rule = Rule { verbs: "list", resource: "pods", group: "", namespace };
    let mut pods = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("{collection}?limit={PAGE}{selector}{next}");
        let answer = ask::get(client, &path)
            .await
            .map_err(|trouble| format!("cannot list pods: {}", trouble.describe(rule)))?;
        let mut list: Value = serde_json::from_slice(&answer)
            .map_err(|error| format!("cannot list pods: unexpected response: {error}"))?;
        for mut pod in list["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
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
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_stays_one_value() {
        assert_eq!(encode("a/b in (c, d)&x=é"), "a%2Fb%20in%20%28c%2C%20d%29%26x%3D%C3%A9");
    }
}
