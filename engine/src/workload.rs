//! Which pods a manifest stands for.
//!
//! A person hands the dry run what they have: a Pod, a recorded AdmissionReview, a list, or the
//! template that a controller makes pods from. This module turns each into the Pod that the webhook
//! would be called for. For a template that is the pod as its controller would create it, labels
//! and annotations of the controller included, since those decide whether it is a sandbox pod and
//! what is injected.
//!
//! # What cannot be known offline
//!
//! - A name with a random suffix: the pod then has `generateName` and no `name`. Where such a name
//!   goes into another value (a claim's name, a hash), the suffix is [`SUFFIX`].
//! - The uid of an object that is not in a cluster: its owner reference has none. An owner whose
//!   very name is random (the Sandbox of a SandboxSet, the ReplicaSet of a Deployment) is left out
//!   whole.
//! - Hashes and revisions of a template (`pod-template-hash`,
//!   `sandbox.opensandbox.io/pool-revision`, …), which are taken of a Go encoding: those labels are
//!   left out.
//!
//! It never reads files or the cluster, never applies API defaults, and never changes a Pod that is
//! given as a Pod.

mod agent_sandbox;
mod builtin;
mod kruise;
mod open_sandbox;
mod review;
mod shape;
mod template;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use self::shape::Node;
pub use self::shape::{ManifestError, ManifestProblem};
use crate::json_path::JsonPath;
use crate::systems;
use crate::systems::kruise::KruiseKind;

/// Stands for the random suffix of a name.
pub const SUFFIX: &str = "xxxxx";

/// Where a pod came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The `apiVersion` of the object.
    pub api_version: String,
    /// The `kind` of the object.
    pub kind: String,
    /// Its `metadata.name`, or `metadata.generateName` with a `*`; empty if it has neither.
    pub name: String,
    /// Where in the document it is: `$`, or `$.items[2]` in a list.
    pub path: JsonPath,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind)?;
        if !self.name.is_empty() {
            write!(formatter, " {}", self.name)?;
        }
        match self.path.last() {
            Some(_) => write!(formatter, " ({})", self.path.field_path()),
            None => Ok(()),
        }
    }
}

/// The runtimes that an object itself requests, in `spec.runtimes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredRuntimes {
    /// The kind of that object: Sandbox or SandboxSet.
    pub kind: KruiseKind,
    /// The name of that object.
    pub name: String,
    /// The names as listed; empty where the object requests nothing.
    pub runtimes: Vec<String>,
}

/// What an answer to an AdmissionReview needs of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReview {
    /// `request.uid`, which the answer repeats.
    pub uid: String,
    /// `request.userInfo.username`: the user who creates the pod.
    pub username: String,
}

/// One pod to decide on.
#[derive(Debug, Clone, PartialEq)]
pub struct InputPod {
    /// The object it came from.
    pub origin: Origin,
    /// The Pod, as the controller would create it or as it was given.
    pub pod: Value,
    /// The namespace it is created in.
    pub namespace: String,
    /// What `spec.runtimes` of its object says. `None`: the object's kind has no such field. An
    /// empty list is an answer, "nothing".
    pub declared: Option<DeclaredRuntimes>,
    /// The request, where the document was an AdmissionReview.
    pub review: Option<RecordedReview>,
    /// What of the object could not be carried out offline, a sentence each.
    pub notes: Vec<String>,
}

/// An object that stands for no pod to decide on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedObject {
    /// The object.
    pub origin: Origin,
    /// Why it is skipped, and what to pass instead if there is something.
    pub note: String,
    /// The request, where the document was an AdmissionReview: the webhook allows it unchanged.
    pub review: Option<RecordedReview>,
}

/// What an object of the input is found to be.
#[derive(Debug, Clone, PartialEq)]
pub enum InputObject {
    /// A pod to decide on.
    Pod(Box<InputPod>),
    /// Nothing to decide on.
    Skipped(SkippedObject),
}

/// The OpenKruise SandboxTemplates of an input, which a SandboxSet or Sandbox may refer to by
/// `spec.templateRef`.
#[derive(Debug, Default)]
pub struct Templates {
    by_name: HashMap<(String, String), Value>,
}

impl Templates {
    /// Collects them out of all documents of the input, lists included.
    pub fn collect<'a>(
        documents: impl IntoIterator<Item = &'a Value>,
        default_namespace: &str,
    ) -> Self {
        let mut templates = Self::default();
        for document in documents {
            templates.add(document, default_namespace);
        }
        templates
    }

    fn add(&mut self, document: &Value, default_namespace: &str) {
        if let Some(items) = document.get("items").and_then(Value::as_array) {
            items
                .iter()
                .for_each(|item| self.add(item, default_namespace));
        }
        let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
        let (Some(api_version), Some(kind)) = (text("/apiVersion"), text("/kind")) else {
            return;
        };
        if shape::group(api_version) != systems::kruise::GROUP
            || KruiseKind::named(kind) != Some(KruiseKind::SandboxTemplate)
        {
            return;
        }
        if let Some(name) = text("/metadata/name") {
            let namespace = text("/metadata/namespace").unwrap_or(default_namespace);
            self.by_name
                .insert((namespace.to_owned(), name.to_owned()), document.clone());
        }
    }

    fn get(&self, namespace: &str, name: &str) -> Option<&Value> {
        self.by_name.get(&(namespace.to_owned(), name.to_owned()))
    }
}

/// What the reading of one object needs beside the object.
struct Context<'a> {
    origin: Origin,
    namespace: &'a str,
    templates: &'a Templates,
}

/// Finds the pods that a document stands for: one entry for an object, one for each item of a list.
///
/// `default_namespace` is that of objects that name none. A broken item of a list is an error in
/// its place.
///
/// ```
/// use engine::workload::{InputObject, Templates, read};
///
/// let set = serde_json::json!({
///     "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet", "metadata": {"name": "code"},
///     "spec": {"runtimes": [{"name": "csi"}], "template": {"spec": {"containers": [{"name": "sandbox"}]}}},
/// });
/// let found = read(&set, "default", &Templates::default());
/// let Ok(InputObject::Pod(subject)) = &found[0] else { panic!() };
/// assert_eq!(subject.pod["metadata"]["generateName"], "code-");
/// assert_eq!(subject.declared.as_ref().unwrap().runtimes, ["csi"]);
/// ```
pub fn read(
    document: &Value,
    default_namespace: &str,
    templates: &Templates,
) -> Vec<Result<InputObject, ManifestError>> {
    let mut found = Vec::new();
    object(
        &Node::root(document),
        None,
        default_namespace,
        templates,
        &mut found,
    );
    found
}

/// Reads an object; `implied` is the apiVersion and kind of the items of a typed list, which the
/// API leaves out.
fn object(
    node: &Node<'_>,
    implied: Option<(&str, &str)>,
    default_namespace: &str,
    templates: &Templates,
    found: &mut Vec<Result<InputObject, ManifestError>>,
) {
    let (api_version, kind) = match type_of(node, implied) {
        Ok(type_of) => type_of,
        Err(error) => return found.push(Err(error)),
    };
    let group = shape::group(api_version);
    if let Some(item_kind) = kind.strip_suffix("List")
        && (kind == "List" || node.value().get("items").is_some())
    {
        // A Go client writes an empty list as null.
        let items = match node.value().get("items") {
            None => Err(node.missing("items", "a List needs items")),
            Some(_) => node.list_field("items"),
        };
        let implied = (!item_kind.is_empty()).then_some((api_version, item_kind));
        match items {
            Ok(items) => {
                for item in &items {
                    object(item, implied, default_namespace, templates, found);
                }
            }
            Err(error) => found.push(Err(error)),
        }
        return;
    }
    found.push(single(
        node,
        group,
        api_version,
        kind,
        default_namespace,
        templates,
    ));
}

fn type_of<'a>(
    node: &Node<'a>,
    implied: Option<(&'a str, &'a str)>,
) -> Result<(&'a str, &'a str), ManifestError> {
    node.object()?;
    let field = |key, implied: Option<&'a str>| match (node.field(key)?, implied) {
        (Some(value), _) => value.text(),
        (None, Some(implied)) => Ok(implied),
        (None, None) => Err(node.missing(key, "a Kubernetes manifest has apiVersion and kind")),
    };
    Ok((
        field("apiVersion", implied.map(|(version, _)| version))?,
        field("kind", implied.map(|(_, kind)| kind))?,
    ))
}

fn single(
    node: &Node<'_>,
    group: &str,
    api_version: &str,
    kind: &str,
    default_namespace: &str,
    templates: &Templates,
) -> Result<InputObject, ManifestError> {
    let metadata = node.field("metadata")?;
    let text = |key| match &metadata {
        Some(metadata) => metadata.text_field(key),
        None => Ok(None),
    };
    let name = match (text("name")?, text("generateName")?) {
        (Some(name), _) => name.to_owned(),
        (None, Some(prefix)) => format!("{prefix}*"),
        (None, None) => String::new(),
    };
    let namespace = text("namespace")?.unwrap_or(default_namespace);
    let origin = Origin {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name,
        path: node.path().clone(),
    };
    let context = Context {
        origin,
        namespace,
        templates,
    };

    match (group, kind) {
        ("", "Pod") => Ok(pod(node, api_version, kind, context)),
        (review::GROUP, review::KIND) => review::read(node, context),
        (systems::kruise::GROUP, _) => kruise::read(node, context),
        (systems::agent_sandbox::GROUP | systems::agent_sandbox::EXTENSIONS_GROUP, _) => {
            agent_sandbox::read(node, context)
        }
        (systems::open_sandbox::GROUP, _) => open_sandbox::read(node, context),
        ("apps" | "batch", _) => builtin::read(node, context),
        _ => Ok(context.skip()),
    }
}

/// A Pod stays as it is, but for the type that the items of a PodList lack.
fn pod(node: &Node<'_>, api_version: &str, kind: &str, context: Context<'_>) -> InputObject {
    let mut pod = node.value().clone();
    if let Value::Object(fields) = &mut pod
        && !(fields.contains_key("apiVersion") && fields.contains_key("kind"))
    {
        let mut typed = serde_json::Map::new();
        typed.insert("apiVersion".to_owned(), api_version.into());
        typed.insert("kind".to_owned(), kind.into());
        typed.append(fields);
        *fields = typed;
    }
    context.found(pod, None, Vec::new())
}

impl Context<'_> {
    fn found(
        self,
        pod: Value,
        declared: Option<DeclaredRuntimes>,
        notes: Vec<String>,
    ) -> InputObject {
        let Self {
            origin, namespace, ..
        } = self;
        InputObject::Pod(Box::new(InputPod {
            origin,
            pod,
            namespace: namespace.to_owned(),
            declared,
            review: None,
            notes,
        }))
    }

    /// Skips an object whose kind is not known to make pods.
    fn skip(self) -> InputObject {
        let note = format!(
            "skipped: {} is neither a pod nor a known pod template",
            self.origin
        );
        self.skip_with(note)
    }

    fn skip_with(self, note: String) -> InputObject {
        InputObject::Skipped(SkippedObject {
            origin: self.origin,
            note,
            review: None,
        })
    }
}

#[cfg(test)]
mod tests;
