//! The borrowed view of what injection reads of a pod.
//!
//! One pass over the JSON keeps names and raw slices; a list is only looked into when a rule asks
//! for it, and what no rule reads is never decoded. Nothing here changes a pod: unknown fields
//! survive because they are never parsed, only left where they are.

mod decode;
mod fault;

use std::borrow::Cow;

pub(crate) use decode::from_object_alone;
pub use decode::{List, Object, Text, from_object, from_object_or_null};
pub use fault::{JsonFault, reason};
use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

from_object_alone!(Pod, Metadata, OwnerReference, Spec, VolumeMount, Named);

/// A pod whose shape is not a pod's: where, and what was found there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ShapeError {
    /// The field's path in Kubernetes' own spelling, such as `spec.containers[0].env`.
    pub field: String,
    /// What is wrong with it, in words that hold no value of the pod.
    pub reason: String,
}

impl ShapeError {
    /// An error at `field`.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
        }
    }

    fn of(field: impl Into<String>, error: &serde_json::Error) -> Self {
        Self::new(field, reason(error))
    }
}

/// The annotation by which a pod says which of its containers is the main one
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-default-container>).
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// A pod as it arrives at admission, before any change.
#[derive(Debug, serde::Deserialize)]
#[serde(remote = "Self")]
pub struct Pod<'a> {
    /// `metadata`; every object has it.
    #[serde(borrow)]
    pub metadata: Metadata<'a>,
    /// `spec`.
    #[serde(borrow, default)]
    pub spec: Spec<'a>,
}

/// What is read of `metadata`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Missing where the API server is to make one of `generateName`.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// The prefix that a made-up name gets.
    #[serde(borrow, default)]
    pub generate_name: Option<Text<'a>>,
    /// Keys, and values that are decoded on demand.
    #[serde(borrow, default)]
    pub labels: Option<Object<'a>>,
    /// Keys, and values that are decoded on demand.
    #[serde(borrow, default)]
    pub annotations: Option<Object<'a>>,
    /// The objects that own this pod; at most one of them controls it.
    #[serde(borrow, default)]
    pub owner_references: Option<List<OwnerReference<'a>>>,
}

/// One of `metadata.ownerReferences`.
#[derive(Debug, serde::Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct OwnerReference<'a> {
    /// Group and version, such as `agents.kruise.io/v1alpha1`.
    #[serde(borrow)]
    pub api_version: Text<'a>,
    /// The owner's kind.
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// The owner's name, in the pod's namespace.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The owner's uid; missing from pods that were worked out offline.
    #[serde(borrow, default)]
    pub uid: Option<Text<'a>>,
    /// Whether this owner is the managing one.
    #[serde(default)]
    pub controller: Option<bool>,
}

/// What is read of `spec`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Spec<'a> {
    /// Containers, each an object of raw fields.
    #[serde(borrow, default)]
    pub containers: Option<List<PodContainer<'a>>>,
    /// Init containers and native sidecars.
    #[serde(borrow, default)]
    pub init_containers: Option<List<PodContainer<'a>>>,
    /// The list of volumes, undecoded.
    #[serde(borrow, default)]
    pub volumes: Option<&'a RawValue>,
    /// The pod's security context, undecoded.
    #[serde(borrow, default)]
    pub security_context: Option<&'a RawValue>,
    /// Whether the pod uses the node's network; then the API server copies container ports to host
    /// ports.
    #[serde(default)]
    pub host_network: Option<bool>,
    /// The runtime class, such as `gvisor`.
    #[serde(borrow, default)]
    pub runtime_class_name: Option<Text<'a>>,
}

/// One container: its fields are decoded when a rule asks for them.
#[derive(Debug, Clone)]
pub struct PodContainer<'a> {
    /// `name`; the empty string where the pod gives none, which the API server refuses later.
    pub name: Text<'a>,
    /// Everything, `name` included.
    pub fields: Object<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for PodContainer<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Object::deserialize(deserializer)?;
        let name = match fields.get("name") {
            Some(raw) => serde_json::from_str(raw.get()).map_err(|error| {
                serde::de::Error::custom(format_args!("name: {}", reason(&error)))
            })?,
            None => Text(Cow::Borrowed("")),
        };
        Ok(Self { name, fields })
    }
}

/// One volume mount, as far as the rules read it.
#[derive(Debug, serde::Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct VolumeMount<'a> {
    /// The volume's name.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// Where it is mounted.
    #[serde(borrow, default)]
    pub mount_path: Option<Text<'a>>,
}

/// Anything that is known by its `name`: a volume, an environment variable, a block device.
#[derive(Debug, serde::Deserialize)]
#[serde(remote = "Self")]
pub struct Named<'a> {
    /// The name.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
}

impl Named<'_> {
    /// The name, or the empty string.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// An item of a list, as far as the rules read it, and all of it.
#[derive(Debug)]
pub struct ListItem<'a, T> {
    /// What the rules read.
    pub read: T,
    /// Everything.
    pub raw: &'a RawValue,
}

/// Decodes a raw list of `T`; absent is empty. `field` names it in the error.
pub fn list<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    field: impl Fn() -> String,
) -> Result<Vec<T>, ShapeError> {
    match raw {
        None => Ok(Vec::new()),
        Some(raw) if raw.get() == "null" => Ok(Vec::new()),
        Some(raw) => match serde_json::from_str(raw.get()) {
            Ok(List(items)) => Ok(items),
            Err(error) => Err(ShapeError::of(field(), &error)),
        },
    }
}

/// Decodes a raw list item by item, each of which is kept as it is, too; an error names the item.
pub fn items<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    field: impl Fn() -> String,
) -> Result<Vec<ListItem<'a, T>>, ShapeError> {
    let raws: Vec<&RawValue> = list(raw, &field)?;
    let item = |(index, raw): (usize, &'a RawValue)| match serde_json::from_str(raw.get()) {
        Ok(read) => Ok(ListItem { read, raw }),
        Err(error) => Err(ShapeError::of(format!("{}[{index}]", field()), &error)),
    };
    raws.into_iter().enumerate().map(item).collect()
}

impl<'a> Pod<'a> {
    /// Reads a pod by itself and names the field that is at fault, which costs more than decoding
    /// it in passing.
    pub fn read(text: &'a str) -> Result<Self, ShapeError> {
        let mut reader = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let at_root = error.path().iter().next().is_none();
            match JsonFault::of(error.inner()) {
                JsonFault::Missing(field) if at_root => ShapeError::new(field, "is missing"),
                fault if at_root => ShapeError::new("object", fault.to_string()),
                fault => ShapeError::new(error.path().to_string(), fault.to_string()),
            }
        })
    }

    /// The pod's name, or what its name will start with; empty where it has neither.
    pub fn name(&self) -> &str {
        let Metadata {
            name,
            generate_name,
            ..
        } = &self.metadata;
        name.as_deref()
            .or(generate_name.as_deref())
            .unwrap_or_default()
    }

    /// The value of a label, if it is there. A value that is not a string is a shape error.
    pub fn label(&self, key: &str) -> Result<Option<Text<'a>>, ShapeError> {
        string(self.metadata.labels.as_ref(), key, "metadata.labels")
    }

    /// The value of an annotation, if it is there. A value that is not a string is a shape error.
    pub fn annotation(&self, key: &str) -> Result<Option<Text<'a>>, ShapeError> {
        string(
            self.metadata.annotations.as_ref(),
            key,
            "metadata.annotations",
        )
    }

    /// `spec.containers`; empty where it is missing.
    pub fn containers(&self) -> &[PodContainer<'a>] {
        self.spec
            .containers
            .as_ref()
            .map(|list| list.0.as_slice())
            .unwrap_or_default()
    }

    /// `spec.initContainers`; empty where it is missing.
    pub fn init_containers(&self) -> &[PodContainer<'a>] {
        self.spec
            .init_containers
            .as_ref()
            .map(|list| list.0.as_slice())
            .unwrap_or_default()
    }

    /// The owner that manages this pod (`controller: true`).
    pub fn controller(&self) -> Option<&OwnerReference<'a>> {
        self.metadata
            .owner_references
            .as_ref()?
            .0
            .iter()
            .find(|owner| owner.controller == Some(true))
    }
}

fn string<'a>(
    object: Option<&Object<'a>>,
    key: &str,
    field: &str,
) -> Result<Option<Text<'a>>, ShapeError> {
    let Some(raw) = object.and_then(|object| object.get(key)) else {
        return Ok(None);
    };
    serde_json::from_str(raw.get())
        .map(Some)
        .map_err(|error| ShapeError::of(format!("{field}[{key}]"), &error))
}

#[cfg(test)]
mod tests {
    use super::decode::MAX_ITEMS;
    use super::*;

    #[test]
    fn escaped_strings_are_owned_and_plain_ones_borrowed() {
        let pod: Pod = serde_json::from_str(
            r#"{"metadata":{"name":"a","labels":{"k":"x \u0026\u0026 y"}},"spec":{"containers":[{"name":"main"}]}}"#,
        )
        .unwrap();
        assert!(matches!(pod.metadata.name, Some(Text(Cow::Borrowed("a")))));
        assert_eq!(&*pod.label("k").unwrap().unwrap(), "x && y");
        assert_eq!(&*pod.containers()[0].name, "main");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_without_its_content() {
        let pod: Pod =
            serde_json::from_str(r#"{"metadata":{"labels":{"k":{"secret":"s3cr3t"}}}}"#).unwrap();
        let error = pod.label("k").unwrap_err();
        assert_eq!(
            error.to_string(),
            "metadata.labels[k]: must be a string, not map"
        );
        let error = serde_json::from_str::<Vec<Named>>(r#"["s3cr3t"]"#).unwrap_err();
        assert!(!reason(&error).contains("s3cr3t"), "{}", reason(&error));
        let sly = r#"["s3cr3t, expected s3cr3t at line 1, expected"]"#;
        let error = serde_json::from_str::<Vec<bool>>(sly).unwrap_err();
        assert_eq!(reason(&error), "must be a boolean, not string");
    }

    #[test]
    fn null_is_absent() {
        let pod: Pod = serde_json::from_str(
            r#"{"metadata":{"labels":null,"annotations":{"a":null}},"spec":{"containers":null,"volumes":null}}"#,
        )
        .unwrap();
        assert!(pod.annotation("a").unwrap().is_none());
        assert!(pod.containers().is_empty());
        assert!(
            list::<Named>(pod.spec.volumes, || "spec.volumes".into())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_list_of_the_fields_is_not_an_object() {
        for (pod, field) in [
            (r#"[{"name":"x"},{}]"#, "object"),
            (r#"{"metadata":["x"]}"#, "metadata"),
            (
                r#"{"metadata":{"ownerReferences":[["v1","Sandbox","x"]]}}"#,
                "metadata.ownerReferences[0]",
            ),
            (r#"{"metadata":{},"spec":[[]]}"#, "spec"),
        ] {
            let error = Pod::read(pod).unwrap_err();
            assert_eq!(
                error,
                ShapeError::new(field, "must be an object, not sequence"),
                "{pod}"
            );
        }
        assert!(serde_json::from_str::<VolumeMount>(r#"["v","/m"]"#).is_err());
        assert!(serde_json::from_str::<Named>(r#"["v"]"#).is_err());
    }

    #[test]
    fn a_list_is_bounded() {
        let containers = |count: usize| {
            format!(
                r#"{{"metadata":{{}},"spec":{{"containers":[{}{{}}]}}}}"#,
                "{},".repeat(count - 1)
            )
        };
        assert_eq!(
            serde_json::from_str::<Pod>(&containers(MAX_ITEMS))
                .unwrap()
                .containers()
                .len(),
            MAX_ITEMS
        );
        let error = serde_json::from_str::<Pod>(&containers(MAX_ITEMS + 1)).unwrap_err();
        assert_eq!(reason(&error), "has more than 10000 items");
        let volumes = format!("[{}{{}}]", "{},".repeat(MAX_ITEMS));
        let raw: &RawValue = serde_json::from_str(&volumes).unwrap();
        let error = list::<Named>(Some(raw), || "spec.volumes".into()).unwrap_err();
        assert_eq!(error.to_string(), "spec.volumes: has more than 10000 items");
    }
}
