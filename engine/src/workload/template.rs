//! From a pod template to a Pod: what the controllers have in common.

use serde_json::{Map, Value, json};

use super::shape::{self, ManifestError, Node};
use super::{Context, SUFFIX};

/// The name of an object, or what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Name {
    /// The name, with [`SUFFIX`] at the end if the API server makes one up.
    pub(super) text: String,
    /// What the API server makes it up from.
    pub(super) prefix: Option<String>,
}

impl Name {
    /// The name of a document's object.
    pub(super) fn of(document: &Node<'_>) -> Result<Self, ManifestError> {
        let metadata = document.need("metadata", "an object needs metadata.name")?;
        if let Some(name) = metadata.text_field("name")? {
            return Ok(Self {
                text: name.to_owned(),
                prefix: None,
            });
        }
        match metadata.text_field("generateName")? {
            Some(prefix) => Ok(Self::generated(prefix.to_owned())),
            None => Err(metadata.missing("name", "the pod's name is made of it")),
        }
    }

    /// A name that begins with a prefix.
    pub(super) fn generated(prefix: String) -> Self {
        Self {
            text: format!("{prefix}{SUFFIX}"),
            prefix: Some(prefix),
        }
    }

    /// The name of what an object of this name creates with `generateName`.
    pub(super) fn child(&self) -> Self {
        Self::generated(format!("{}-", self.text))
    }
}

/// A pod in the making. Fields are what controllers set; the template's other metadata does not
/// reach a pod.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) generate_name: Option<String>,
    pub(super) name: Option<String>,
    pub(super) labels: Map<String, Value>,
    pub(super) annotations: Map<String, Value>,
    pub(super) owner: Option<Value>,
    pub(super) finalizers: Vec<Value>,
    pub(super) spec: Map<String, Value>,
    /// Whether the template has a labels field, even an empty one.
    pub(super) has_labels: bool,
}

impl Draft {
    /// Takes over a PodTemplateSpec: labels, annotations, finalizers and spec, as
    /// `GetPodFromTemplate` of Kubernetes' [controller utilities](https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/controller_utils.go) does.
    pub(super) fn from_template(template: &Node<'_>) -> Result<Self, ManifestError> {
        let mut draft = Self::default();
        if let Some(metadata) = template.field("metadata")? {
            let labels = metadata.texts_field("labels")?;
            draft.has_labels = labels.is_some();
            draft.labels = labels.unwrap_or_default();
            draft.annotations = metadata.texts_field("annotations")?.unwrap_or_default();
            for finalizer in metadata.list_field("finalizers")? {
                draft.finalizers.push(finalizer.text()?.into());
            }
        }
        let spec = template.need("spec", "a pod template needs the pod's spec")?;
        for container in spec
            .need("containers", "a pod has at least one container")?
            .list()?
        {
            container.object()?;
        }
        spec.list_field("initContainers")?;
        spec.list_field("volumes")?;
        draft.spec = spec.object()?.clone();
        Ok(draft)
    }

    /// Gives the pod the name of another object, if that is known.
    pub(super) fn named(mut self, name: &Name) -> Self {
        match &name.prefix {
            Some(prefix) => self.generate_name = Some(prefix.clone()),
            None => self.name = Some(name.text.clone()),
        }
        self
    }

    /// Makes the document's object the controller, as `metav1.NewControllerRef` does. An object
    /// whose name is not known cannot be referred to.
    pub(super) fn owned(
        mut self,
        document: &Node<'_>,
        name: &Name,
        context: &Context<'_>,
    ) -> Result<Self, ManifestError> {
        if name.prefix.is_some() {
            return Ok(self);
        }
        let mut owner = Map::new();
        owner.insert(
            "apiVersion".to_owned(),
            context.origin.api_version.as_str().into(),
        );
        owner.insert("kind".to_owned(), context.origin.kind.as_str().into());
        owner.insert("name".to_owned(), name.text.as_str().into());
        if let Some(uid) = uid(document)? {
            owner.insert("uid".to_owned(), uid.into());
        }
        owner.insert("controller".to_owned(), true.into());
        owner.insert("blockOwnerDeletion".to_owned(), true.into());
        self.owner = Some(owner.into());
        Ok(self)
    }

    pub(super) fn label(&mut self, key: &str, value: &str) {
        self.labels.insert(key.to_owned(), value.into());
    }

    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        self.annotations.insert(key.to_owned(), value.into());
    }

    /// The Pod.
    pub(super) fn into_pod(self, namespace: &str) -> Value {
        let Self {
            generate_name,
            name,
            labels,
            annotations,
            owner,
            finalizers,
            spec,
            ..
        } = self;
        let mut metadata = Map::new();
        let mut set = |key: &str, value: Option<Value>| {
            value.map(|value| metadata.insert(key.to_owned(), value))
        };
        set("generateName", generate_name.map(Value::String));
        set("name", name.map(Value::String));
        set("namespace", Some(namespace.into()));
        set(
            "labels",
            (!labels.is_empty()).then_some(Value::Object(labels)),
        );
        set(
            "annotations",
            (!annotations.is_empty()).then_some(Value::Object(annotations)),
        );
        set("ownerReferences", owner.map(|owner| json!([owner])));
        set(
            "finalizers",
            (!finalizers.is_empty()).then_some(Value::Array(finalizers)),
        );
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    }
}

/// The uid of an object that comes from a cluster.
pub(super) fn uid<'a>(document: &Node<'a>) -> Result<Option<&'a str>, ManifestError> {
    match document.field("metadata")? {
        Some(metadata) => metadata.text_field("uid"),
        None => Ok(None),
    }
}

/// How the volumes of volumeClaimTemplates join those of the template.
pub(super) enum Claims {
    /// Appended, whatever is there.
    Append,
    /// Appended, and those of the same name removed.
    ReplaceAtEnd,
    /// Put in front, and those of the same name removed.
    ReplaceAtFront,
}

/// Adds a volume for each of `spec.volumeClaimTemplates`; its claim is `<template>-<pod>`.
pub(super) fn add_claims(
    draft: &mut Draft,
    spec: &Node<'_>,
    pod: &str,
    how: &Claims,
) -> Result<(), ManifestError> {
    let mut claimed = Vec::new();
    for claim in spec.list_field("volumeClaimTemplates")? {
        let metadata = claim.need("metadata", "a claim template needs metadata.name")?;
        let name = metadata.text_field("name")?.ok_or_else(|| {
            metadata.missing(
                "name",
                "the claim's name is made of it, and mounts refer to it",
            )
        })?;
        claimed.push(
            json!({"name": name, "persistentVolumeClaim": {"claimName": format!("{name}-{pod}")}}),
        );
    }
    if claimed.is_empty() {
        return Ok(());
    }
    let mut volumes = match draft.spec.get_mut("volumes").map(Value::take) {
        Some(Value::Array(volumes)) => volumes,
        _ => Vec::new(),
    };
    if !matches!(how, Claims::Append) {
        volumes.retain(|volume| {
            claimed
                .iter()
                .all(|claim| claim.get("name") != volume.get("name"))
        });
    }
    if matches!(how, Claims::ReplaceAtFront) {
        std::mem::swap(&mut volumes, &mut claimed);
    }
    volumes.append(&mut claimed);
    draft.spec.insert("volumes".to_owned(), volumes.into());
    Ok(())
}

/// The kind of the controlling owner, if it is of one of the groups.
pub(super) fn controlled_by<'a>(
    document: &Node<'a>,
    groups: &[&str],
) -> Result<Option<&'a str>, ManifestError> {
    let Some(metadata) = document.field("metadata")? else {
        return Ok(None);
    };
    for owner in metadata.list_field("ownerReferences")? {
        let controls = owner
            .field("controller")?
            .is_some_and(|controller| controller.value() == &Value::Bool(true));
        if controls
            && groups.contains(&shape::group(
                owner.text_field("apiVersion")?.unwrap_or_default(),
            ))
        {
            return owner.text_field("kind");
        }
    }
    Ok(None)
}
