//! The ConfigMap that holds a configuration: its name, and the keys and texts in it.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::schema::field_path;
use crate::kube::names::{is_dns_label, is_dns_subdomain};

/// The keys of a configuration and their texts, in the order of the keys.
pub type Entries = Vec<(String, String)>;

/// The identity of a ConfigMap: `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMapName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Default for ConfigMapName {
    fn default() -> Self {
        Self { namespace: "sandbox-system".to_owned(), name: "sandbox-injection-config".to_owned() }
    }
}

impl FromStr for ConfigMapName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = text
            .split_once('/')
            .filter(|(namespace, name)| is_dns_label(namespace) && is_dns_subdomain(name))
            .ok_or_else(|| format!("write NAMESPACE/NAME, such as {}", Self::default()))?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for ConfigMapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The entries of a ConfigMap object, or why it has none.
pub fn entries(config_map: &Value) -> Result<Entries, String> {
    let kind = config_map["kind"].as_str().unwrap_or_default();
    if kind != "ConfigMap" || config_map["apiVersion"] != "v1" {
        return Err(format!("not a ConfigMap (kind is {kind:?}); expected apiVersion v1, kind ConfigMap"));
    }
    if config_map["binaryData"].as_object().is_some_and(|data| !data.is_empty()) {
        return Err("$.binaryData: runtimes must be text; move them to data".to_owned());
    }
    let mut entries = Entries::new();
    for (key, text) in config_map["data"].as_object().into_iter().flatten() {
        let Value::String(text) = text else {
            return Err(format!(
                "{}: must be a string containing JSON or YAML; add | after the key",
                field_path("$.data", key)
            ));
        };
        entries.push((key.clone(), text.clone()));
    }
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_has_a_namespace_and_a_name() {
        let name: ConfigMapName = "sandbox-system/sandbox-injection-config".parse().unwrap();
        assert_eq!(name, ConfigMapName::default());
        assert_eq!(name.to_string(), "sandbox-system/sandbox-injection-config");
        for bad in ["a", "a/", "/a", "a/b/c", "A/b", "a/..", "a/b?c"] {
            assert!(bad.parse::<ConfigMapName>().is_err(), "{bad}");
        }
    }
}
