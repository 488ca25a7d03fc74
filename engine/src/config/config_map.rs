//! The ConfigMap that holds a configuration: its name, and the keys and texts in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::json_path::JsonPath;
use crate::kube::names::{is_dns_label, is_dns_subdomain};

/// The keys of a configuration and their texts: in the order of the keys, and each key once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entries(BTreeMap<String, String>);

/// A key that is there already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key {0:?} is there already; rename or remove one")]
pub struct DuplicateKey(pub String);

impl Entries {
    /// Adds a key.
    pub fn insert(&mut self, key: &str, text: &str) -> Result<(), DuplicateKey> {
        if self.0.contains_key(key) {
            return Err(DuplicateKey(key.to_owned()));
        }
        self.0.insert(key.to_owned(), text.to_owned());
        Ok(())
    }

    /// The text of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The keys and their texts, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Of a key that comes twice, the last text stays.
impl<K: Into<String>, T: Into<String>> FromIterator<(K, T)> for Entries {
    fn from_iter<I: IntoIterator<Item = (K, T)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(key, text)| (key.into(), text.into()))
                .collect(),
        )
    }
}

impl<K: Into<String>, T: Into<String>, const N: usize> From<[(K, T); N]> for Entries {
    fn from(entries: [(K, T); N]) -> Self {
        entries.into_iter().collect()
    }
}

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
        Self {
            namespace: "sandbox-system".to_owned(),
            name: "sandbox-injection-config".to_owned(),
        }
    }
}

/// A text that is not the name of a ConfigMap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write NAMESPACE/NAME, such as {}", ConfigMapName::default())]
pub struct InvalidConfigMapName;

impl FromStr for ConfigMapName {
    type Err = InvalidConfigMapName;

    fn from_str(text: &str) -> Result<Self, InvalidConfigMapName> {
        let (namespace, name) = text
            .split_once('/')
            .filter(|(namespace, name)| is_dns_label(namespace) && is_dns_subdomain(name))
            .ok_or(InvalidConfigMapName)?;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for ConfigMapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object from which no configuration can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfigMap {
    /// It is of another kind or version.
    #[error("not a ConfigMap (kind is {kind:?}); expected apiVersion v1, kind ConfigMap")]
    NotAConfigMap {
        /// Its kind; empty if it has none.
        kind: String,
    },
    /// It has `binaryData`.
    #[error("{}: {BINARY_DATA}", Self::binary_data())]
    BinaryData,
    /// A value of `data` is not a text.
    #[error("{key}: {NOT_TEXT}")]
    NotText {
        /// The place of the value.
        key: JsonPath,
    },
}

const BINARY_DATA: &str = "runtimes must be text; move them to data";
const NOT_TEXT: &str = "must be a string containing JSON or YAML; add | after the key";

impl InvalidConfigMap {
    /// The place in the object that is at fault.
    pub fn path(&self) -> JsonPath {
        match self {
            Self::NotAConfigMap { .. } => JsonPath::root().field("data"),
            Self::BinaryData => Self::binary_data(),
            Self::NotText { key } => key.clone(),
        }
    }

    /// What is wrong there, without the place.
    pub fn problem(&self) -> String {
        match self {
            Self::NotAConfigMap { .. } => self.to_string(),
            Self::BinaryData => BINARY_DATA.to_owned(),
            Self::NotText { .. } => NOT_TEXT.to_owned(),
        }
    }

    fn binary_data() -> JsonPath {
        JsonPath::root().field("binaryData")
    }
}

/// The entries of a ConfigMap object.
pub fn entries(config_map: &Value) -> Result<Entries, InvalidConfigMap> {
    let kind = config_map["kind"].as_str().unwrap_or_default();
    if kind != "ConfigMap" || config_map["apiVersion"] != "v1" {
        return Err(InvalidConfigMap::NotAConfigMap {
            kind: kind.to_owned(),
        });
    }
    if config_map["binaryData"]
        .as_object()
        .is_some_and(|data| !data.is_empty())
    {
        return Err(InvalidConfigMap::BinaryData);
    }
    let data = config_map["data"].as_object().into_iter().flatten();
    data.map(|(key, text)| match text {
        Value::String(text) => Ok((key.as_str(), text.as_str())),
        _ => Err(InvalidConfigMap::NotText {
            key: JsonPath::root().field("data").field(key),
        }),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_come_once() {
        let mut entries = Entries::from([("b", "1"), ("a", "2")]);
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(entries.insert("a", "3"), Err(DuplicateKey("a".to_owned())));
        assert_eq!((entries.get("a"), entries.get("c")), (Some("2"), None));
        assert_eq!(entries.insert("c", "4"), Ok(()));
        assert_eq!(
            entries
                .iter()
                .map(|(_, text)| text.as_str())
                .collect::<Vec<_>>(),
            ["2", "1", "4"]
        );
    }

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
