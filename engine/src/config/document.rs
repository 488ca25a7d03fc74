//! The one reader of a runtime's JSON, for the checks and for compiling.
//!
//! It reads what nobody has checked yet: what is missing or of another type reads as absent.

use std::fmt;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::json_path::JsonPath;

/// A runtime as it is written in the configuration, region put in.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeDoc<'v>(&'v Value);

/// A value and where it is.
#[derive(Debug, Clone)]
pub(super) struct Located<'v> {
    pub(super) value: &'v Value,
    pub(super) path: JsonPath,
}

/// A list of containers in a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuntimeList {
    CsiSidecar,
    InitContainers,
    Containers,
}

/// A reason for which a runtime is privileged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege<'v> {
    /// The main container has a mount that propagates to the node.
    BidirectionalMain,
    /// The container of this name is privileged in this way.
    Container(&'v str, ContainerPrivilege),
    /// The volume of this name is a directory or file of the node.
    HostPath(&'v str),
}

/// What makes a container privileged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerPrivilege {
    /// `securityContext.privileged`
    Privileged,
    /// `securityContext.capabilities.add`
    Capabilities,
    /// A mount that propagates to the node.
    Bidirectional,
}

impl<'v> RuntimeDoc<'v> {
    /// The runtime whose JSON is `value`.
    pub fn new(value: &'v Value) -> Self {
        Self(value)
    }

    /// The JSON itself.
    pub(super) fn value(self) -> &'v Value {
        self.0
    }

    /// `mainContainer`.
    pub(super) fn main(self) -> Located<'v> {
        self.root().field("mainContainer")
    }

    /// The containers to add, in the order in which they are injected.
    pub(super) fn containers(self) -> impl Iterator<Item = (RuntimeList, Located<'v>)> {
        RuntimeList::ALL.into_iter().flat_map(move |list| {
            self.root()
                .items(list.name())
                .map(move |container| (list, container))
        })
    }

    /// The main container and then those to add.
    pub(super) fn all_containers(self) -> impl Iterator<Item = Located<'v>> {
        std::iter::once(self.main()).chain(self.containers().map(|(_, container)| container))
    }

    /// `volume`.
    pub(super) fn volumes(self) -> impl Iterator<Item = Located<'v>> {
        self.root().items("volume")
    }

    /// `labels` or `annotations`.
    pub(super) fn metadata(
        self,
        field: &'static str,
    ) -> impl Iterator<Item = (&'v str, Located<'v>)> {
        let map = self.root().field(field);
        let entries = map.value.as_object().into_iter().flatten();
        entries.map(move |(key, value)| {
            (
                key.as_str(),
                Located {
                    value,
                    path: map.path.field(key),
                },
            )
        })
    }

    /// Why it is privileged; empty when it is not.
    pub fn privileges(self) -> Vec<Privilege<'v>> {
        let main = self
            .main()
            .is_bidirectional()
            .then_some(Privilege::BidirectionalMain);
        let containers = self.containers().flat_map(|(_, container)| {
            let name = container.text("name").unwrap_or_default();
            container
                .privileges()
                .into_iter()
                .map(move |why| Privilege::Container(name, why))
        });
        let volumes = self
            .volumes()
            .filter(|volume| !volume.value["hostPath"].is_null());
        let volumes =
            volumes.map(|volume| Privilege::HostPath(volume.text("name").unwrap_or_default()));
        main.into_iter().chain(containers).chain(volumes).collect()
    }

    /// The sha256 of its JSON with sorted keys and no white space, in hex.
    pub(super) fn digest(self) -> String {
        let mut hash = Sha256::new();
        hash.update(sorted(self.0).to_string());
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The start of the digest: how a revision is shown.
    pub fn revision(self) -> String {
        let mut digest = self.digest();
        digest.truncate(super::REVISION_DIGITS);
        digest
    }

    fn root(self) -> Located<'v> {
        Located::root(self.0)
    }
}

impl RuntimeList {
    pub(super) const ALL: [Self; 3] = [Self::CsiSidecar, Self::InitContainers, Self::Containers];

    /// The field of the runtime.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CsiSidecar => "csiSidecar",
            Self::InitContainers => "initContainers",
            Self::Containers => "containers",
        }
    }

    /// Whether its containers become init containers of the pod.
    pub(super) fn is_init(self) -> bool {
        matches!(self, Self::CsiSidecar | Self::InitContainers)
    }
}

impl<'v> Located<'v> {
    /// The value of a key.
    pub(super) fn root(value: &'v Value) -> Self {
        Self {
            value,
            path: JsonPath::root(),
        }
    }

    /// A field; null where there is none.
    pub(super) fn field(&self, name: &str) -> Self {
        Self {
            value: &self.value[name],
            path: self.path.field(name),
        }
    }

    /// The text of a field; `None` where it has none.
    pub(super) fn text(&self, name: &str) -> Option<&'v str> {
        self.value[name].as_str()
    }

    /// The items of the list in a field; none where there is no list.
    pub(super) fn items(&self, name: &str) -> impl Iterator<Item = Self> + use<'v> {
        self.field(name).list()
    }

    /// The items, if it is a list.
    pub(super) fn list(self) -> impl Iterator<Item = Self> + use<'v> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(move |(index, value)| Self {
            value,
            path: self.path.index(index),
        })
    }

    /// What a container mounts or maps as block devices: its mounts, and then its devices.
    pub(super) fn mounts(&self) -> impl Iterator<Item = Self> + use<'v> {
        self.items("volumeMounts")
            .chain(self.items("volumeDevices"))
    }

    /// Whether a container has a mount that propagates to the node.
    pub(super) fn is_bidirectional(&self) -> bool {
        let mounts = self.value["volumeMounts"].as_array().into_iter().flatten();
        mounts
            .into_iter()
            .any(|mount| mount["mountPropagation"] == "Bidirectional")
    }

    /// What makes a container privileged; empty when it is not.
    pub(super) fn privileges(&self) -> Vec<ContainerPrivilege> {
        let context = &self.value["securityContext"];
        let adds = context["capabilities"]["add"]
            .as_array()
            .is_some_and(|added| !added.is_empty());
        let all = [
            (
                context["privileged"] == true,
                ContainerPrivilege::Privileged,
            ),
            (adds, ContainerPrivilege::Capabilities),
            (self.is_bidirectional(), ContainerPrivilege::Bidirectional),
        ];
        all.into_iter()
            .filter_map(|(has, privilege)| has.then_some(privilege))
            .collect()
    }
}

impl fmt::Display for Privilege<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Privilege::BidirectionalMain => f.write_str("the main container mounts Bidirectional"),
            Privilege::Container(name, why) => write!(f, "container {name} {why}"),
            Privilege::HostPath(name) => write!(f, "volume {name} is a hostPath"),
        }
    }
}

impl fmt::Display for ContainerPrivilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContainerPrivilege::Privileged => "is privileged",
            ContainerPrivilege::Capabilities => "adds capabilities",
            ContainerPrivilege::Bidirectional => "mounts Bidirectional",
        })
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut entries: Vec<_> = fields.iter().collect();
            entries.sort_by_key(|(field, _)| *field);
            let entries = entries
                .into_iter()
                .map(|(field, value)| (field.clone(), sorted(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_ignores_key_order_and_white_space() {
        let one: Value = serde_json::from_str(r#"{"b": 1, "a": {"d": [1, 2], "c": "x"}}"#).unwrap();
        let digest = |value: &Value| RuntimeDoc::new(value).digest();
        assert_eq!(
            digest(&one),
            digest(&json!({"a": {"c": "x", "d": [1, 2]}, "b": 1}))
        );
        // printf '{"a":{"c":"x","d":[1,2]},"b":1}' | sha256sum
        assert!(digest(&one).starts_with("830c7b7f8c79"), "{}", digest(&one));
    }

    #[test]
    fn a_runtime_says_why_it_is_privileged() {
        let value = json!({
            "mainContainer": {"volumeMounts": [{"mountPropagation": "Bidirectional"}]},
            "containers": [{"name": "last", "securityContext": {"privileged": true}}],
            "csiSidecar": [{"name": "first", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}],
            "volume": [{"name": "dev", "hostPath": {"path": "/dev"}}, {"name": "data", "emptyDir": {}}],
        });
        let why: Vec<String> = RuntimeDoc::new(&value)
            .privileges()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            why,
            [
                "the main container mounts Bidirectional",
                "container first adds capabilities",
                "container last is privileged",
                "volume dev is a hostPath"
            ]
        );
        assert_eq!(RuntimeDoc::new(&json!("no object")).privileges(), []);
    }
}
