//! Objects, their versions and events, and the kinds that are served.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::Query;
use super::answer::{Watch, status};

/// Where an object or a collection is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

/// What a path of the URL stands for.
pub(super) enum Target {
    Discovery(Box<dyn Fn(&Store) -> Value + Send>),
    Kind(Path),
    Nothing,
}

/// The built-in kinds: group, version, kind, plural.
const BUILT_IN: [(&str, &str, &str, &str); 6] = [
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "Node", "nodes"),
    ("", "v1", "Pod", "pods"),
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    ),
];

struct Event {
    version: u64,
    kind: &'static str,
    path: Path,
    object: Value,
}

struct Watcher {
    collection: Path,
    name: Option<String>,
    bookmarks: bool,
    events: UnboundedSender<Result<String, ()>>,
}

#[derive(Default)]
pub(super) struct Store {
    version: u64,
    /// Watches from before this version are expired.
    compacted: u64,
    objects: BTreeMap<Path, Value>,
    memory: Option<BTreeMap<Path, Value>>,
    events: Vec<Event>,
    watchers: Vec<Watcher>,
}

impl Path {
    pub(super) fn named(&self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self.clone()
        }
    }

    /// Whether an object is in a collection; one without a namespace is that of all of them.
    fn is_in(&self, collection: &Self) -> bool {
        let namespace = collection.namespace.as_ref().and(self.namespace.clone());
        Self {
            namespace,
            ..self.collection()
        } == *collection
    }

    fn collection(&self) -> Self {
        Self {
            name: None,
            ..self.clone()
        }
    }

    /// `sandboxes.agents.kruise.io`
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

impl Target {
    pub(super) fn parse(path: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["version"] => Target::Discovery(Box::new(
                |_| json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2"}),
            )),
            ["apis"] => Target::Discovery(Box::new(Store::groups)),
            ["apis", group, version] => {
                let (group, version) = ((*group).to_owned(), (*version).to_owned());
                Target::Discovery(Box::new(move |store| store.resources(&group, &version)))
            }
            ["api", version, rest @ ..] => Self::of("", version, rest),
            ["apis", group, version, rest @ ..] => Self::of(group, version, rest),
            _ => Target::Nothing,
        }
    }

    fn of(group: &str, version: &str, rest: &[&str]) -> Self {
        let (namespace, plural, name) = match rest {
            ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
            ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
            [plural] => (None, *plural, None),
            [plural, name] => (None, *plural, Some(*name)),
            _ => return Target::Nothing,
        };
        Target::Kind(Path {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
        })
    }
}

impl Store {
    /// Group, version, kind, plural of everything served.
    fn kinds(&self) -> Vec<(String, String, String, String)> {
        let mut kinds: Vec<_> = BUILT_IN
            .iter()
            .map(|(group, version, kind, plural)| {
                [group, version, kind, plural]
                    .map(|text| (*text).to_owned())
                    .into()
            })
            .collect();
        let definitions = self
            .objects
            .iter()
            .filter(|(path, _)| path.plural == "customresourcedefinitions");
        for (_, definition) in definitions {
            let spec = &definition["spec"];
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            for version in spec["versions"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|version| version["served"] == true)
            {
                kinds.push((
                    text(&spec["group"]),
                    text(&version["name"]),
                    text(&spec["names"]["kind"]),
                    text(&spec["names"]["plural"]),
                ));
            }
        }
        kinds
    }

    pub(super) fn knows(&self, path: &Path) -> bool {
        self.kinds().iter().any(|(group, version, _, plural)| {
            (group, version, plural) == (&path.group, &path.version, &path.plural)
        })
    }

    fn groups(&self) -> Value {
        let names: BTreeSet<(String, String)> = self
            .kinds()
            .into_iter()
            .map(|(group, version, ..)| (group, version))
            .filter(|(group, _)| !group.is_empty())
            .collect();
        let groups: Vec<Value> = names
            .iter()
            .map(|(group, version)| {
                let version =
                    json!({"groupVersion": format!("{group}/{version}"), "version": version});
                json!({"name": group, "versions": [version], "preferredVersion": version})
            })
            .collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    fn resources(&self, group: &str, version: &str) -> Value {
        let resources: Vec<Value> = self
            .kinds()
            .into_iter()
            .filter(|(of, at, ..)| of == group && at == version)
            .map(|(_, _, kind, plural)| json!({"name": plural, "kind": kind, "namespaced": true, "verbs": ["get"]}))
            .collect();
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"),
            "resources": resources})
    }

    /// Where an object belongs by its apiVersion, kind, namespace and name.
    pub(super) fn path_of(&self, object: &Value) -> Path {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let (api_version, kind) = (text("/apiVersion").unwrap(), text("/kind").unwrap());
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let known = self
            .kinds()
            .into_iter()
            .find(|known| (&*known.0, &*known.1, &*known.2) == (group, version, kind));
        let (group, version, _, plural) =
            known.unwrap_or_else(|| panic!("{api_version} {kind} is not served"));
        Path {
            group,
            version,
            plural,
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: text("/metadata/name").map(str::to_owned),
        }
    }

    pub(super) fn put(&mut self, object: Value) -> Value {
        let path = self.path_of(&object);
        self.put_at(&path, object)
    }

    pub(super) fn put_at(&mut self, path: &Path, mut object: Value) -> Value {
        self.version += 1;
        let before = self.objects.get(path);
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        if let Some(namespace) = &path.namespace {
            metadata.insert("namespace".to_owned(), namespace.as_str().into());
        }
        let uid = before.map(|before| before["metadata"]["uid"].clone());
        let uid =
            uid.unwrap_or_else(|| format!("00000000-0000-4000-8000-{:012}", self.version).into());
        metadata.entry("uid").or_insert(uid);
        metadata.insert(
            "resourceVersion".to_owned(),
            self.version.to_string().into(),
        );
        let kind = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        self.objects.insert(path.clone(), object.clone());
        self.happened(kind, path, object.clone());
        object
    }

    pub(super) fn delete(&mut self, path: &Path) -> Option<Value> {
        let mut object = self.objects.remove(path)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.happened("DELETED", path, object.clone());
        Some(object)
    }

    fn happened(&mut self, kind: &'static str, path: &Path, object: Value) {
        let event = Event {
            version: self.version,
            kind,
            path: path.clone(),
            object,
        };
        self.watchers.retain(|watcher| {
            !watcher.wants(&event)
                || watcher
                    .events
                    .send(Ok(line(event.kind, &event.object)))
                    .is_ok()
        });
        self.events.push(event);
    }

    pub(super) fn get(&self, path: &Path, from_memory: bool) -> Option<Value> {
        let objects = self
            .memory
            .as_ref()
            .filter(|_| from_memory)
            .unwrap_or(&self.objects);
        objects.get(path).cloned()
    }

    pub(super) fn list(&self, path: &Path, query: &Query) -> Value {
        let items: Vec<Value> = self
            .objects
            .iter()
            .filter(|(at, _)| at.is_in(path) && query.name.is_none_or_eq(at.name.as_deref()))
            .map(|(_, object)| {
                // The items of a list carry no type.
                let mut object = object.clone();
                let fields = object.as_object_mut().unwrap();
                fields.remove("apiVersion");
                fields.remove("kind");
                object
            })
            .collect();
        let mut metadata = json!({"resourceVersion": self.version.max(1).to_string()});
        let mut items = items.into_iter().skip(query.from).collect::<Vec<Value>>();
        if query.limit.is_some_and(|limit| items.len() > limit) {
            items.truncate(query.limit.unwrap());
            metadata["continue"] = format!("from {}", query.from + items.len()).into();
        }
        json!({"kind": "List", "apiVersion": path.api_version(), "metadata": metadata, "items": items})
    }

    pub(super) fn watch(&mut self, path: &Path, query: &Query) -> Watch {
        let (sender, events) = unbounded_channel();
        let from: u64 = query.version.as_deref().unwrap_or("0").parse().unwrap();
        let watcher = Watcher {
            collection: path.collection(),
            name: query.name.clone(),
            bookmarks: query.bookmarks,
            events: sender,
        };
        if from < self.compacted {
            watcher.expire();
        } else {
            for event in self
                .events
                .iter()
                .filter(|event| event.version > from && watcher.wants(event))
            {
                let _ = watcher.events.send(Ok(line(event.kind, &event.object)));
            }
            self.watchers.push(watcher);
        }
        Watch {
            events,
            ends: query.seconds.map(Duration::from_secs),
        }
    }

    pub(super) fn freeze(&mut self) {
        self.memory = Some(self.objects.clone());
    }

    pub(super) fn compact(&mut self) {
        self.version += 1;
        self.compacted = self.version;
        self.events.clear();
    }

    pub(super) fn bookmark(&mut self) {
        self.version += 1;
        for watcher in self.watchers.iter().filter(|watcher| watcher.bookmarks) {
            let object = json!({"apiVersion": watcher.collection.api_version(), "kind": "Bookmark",
                "metadata": {"resourceVersion": self.version.to_string(), "creationTimestamp": null}});
            let _ = watcher.events.send(Ok(line("BOOKMARK", &object)));
        }
    }

    pub(super) fn expire_watches(&mut self) {
        self.watchers.drain(..).for_each(|watcher| watcher.expire());
    }

    pub(super) fn cut_watches(&mut self) {
        for watcher in self.watchers.drain(..) {
            let _ = watcher.events.send(Err(()));
        }
    }

    pub(super) fn end_watches(&mut self) {
        self.watchers.clear();
    }

    pub(super) fn watches(&mut self) -> usize {
        self.watchers.retain(|watcher| !watcher.events.is_closed());
        self.watchers.len()
    }

    pub(super) fn webhooks(&self) -> Vec<Value> {
        let configurations = self
            .objects
            .iter()
            .filter(|(path, _)| path.plural == "mutatingwebhookconfigurations");
        configurations.map(|(_, object)| object.clone()).collect()
    }
}

impl Watcher {
    fn wants(&self, event: &Event) -> bool {
        event.path.collection() == self.collection
            && self.name.is_none_or_eq(event.path.name.as_deref())
    }

    /// As kube-apiserver says it: an event in an answer of 200, and then the end.
    fn expire(self) {
        let object = status(410, "Expired", "too old resource version", &json!({}));
        let _ = self.events.send(Ok(line("ERROR", &object)));
    }
}

trait OrAny {
    fn is_none_or_eq(&self, name: Option<&str>) -> bool;
}

impl OrAny for Option<String> {
    fn is_none_or_eq(&self, name: Option<&str>) -> bool {
        self.as_deref().is_none_or(|wanted| Some(wanted) == name)
    }
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}
