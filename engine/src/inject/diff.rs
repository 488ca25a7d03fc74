//! What differs between two forms of a pod, field by field, as far as injection can touch it.
//!
//! Both are compared in normal form, so that what the API server adds or respells is not a
//! difference, and items of lists by their identity, so that their order does not matter.

use std::fmt;

use serde_json::{Map, Value};

use crate::annotations::STATUS_ANNOTATION;
use crate::kube::normalize::{Kind, normal};
use crate::kube::token_mount::{is_token_volume, token_volume_name};

/// Of a value so much is shown.
const SHOWN: usize = 100;

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The field, with items by their identity: `spec.containers[main].env[A].value`.
    pub path: String,
    /// What it was; `None` when it was not there.
    pub before: Option<Value>,
    /// What it is; `None` when it is not there.
    pub after: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            before,
            after,
        } = self;
        match (before, after) {
            (None, Some(after)) if is_item(after) => write!(f, "+ {path}"),
            (Some(before), None) if is_item(before) => write!(f, "- {path}"),
            (None, Some(after)) => write!(f, "+ {path}: {}", shown(after)),
            (Some(before), None) => write!(f, "- {path}: {}", shown(before)),
            (before, after) => {
                let text = |value: &Option<Value>| value.as_ref().map(shown).unwrap_or_default();
                write!(f, "~ {path}: {} -> {}", text(before), text(after))
            }
        }
    }
}

impl Change {
    /// The change as a JSON object; what is not there is left out.
    pub fn json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("path".to_owned(), self.path.clone().into());
        for (field, value) in [("before", &self.before), ("after", &self.after)] {
            if let Some(value) = value {
                fields.insert(field.to_owned(), value.clone());
            }
        }
        fields.into()
    }
}

/// Whether a value says more than fits a line.
fn is_item(value: &Value) -> bool {
    value.is_object() && shown(value).len() > SHOWN / 2
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The differences between two pods, in the order of `after` and then what is gone.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(&view(before)), Some(&view(after)), &mut changes);
    changes
}

/// The part of a pod that injection can touch, in normal form.
fn view(pod: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["labels", "annotations"] {
        let mut texts = pod["metadata"][field]
            .as_object()
            .cloned()
            .unwrap_or_default();
        // The digest in the mark changes with every change there is.
        texts.shift_remove(STATUS_ANNOTATION);
        metadata.insert(field.to_owned(), texts.into());
    }
    let list = |field: &str| {
        pod["spec"][field]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let is_token = |mount: &Value| {
        let name = token_volume_name(mount);
        name.is_some_and(|name| {
            list("volumes")
                .iter()
                .any(|volume| volume["name"] == name && is_token_volume(volume))
        })
    };
    let mut spec = Map::new();
    for (field, kind) in [
        ("initContainers", Kind::Container),
        ("containers", Kind::Container),
        ("volumes", Kind::Volume),
    ] {
        let items = list(field).iter().map(|item| {
            let mut item = normal(kind, item).unwrap_or_default();
            if let Some(mounts) = item.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.retain(|mount| !is_token(mount));
            }
            item
        });
        spec.insert(field.to_owned(), items.collect());
    }
    serde_json::json!({"metadata": metadata, "spec": spec})
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<Change>) {
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let gone = before.keys().filter(|field| !after.contains_key(*field));
            for field in after.keys().chain(gone) {
                compare(
                    &within(path, field),
                    before.get(field),
                    after.get(field),
                    out,
                );
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            match identity(path, before, after) {
                Some(identity) => {
                    let find = |list: &'_ [Value], id: &Value| {
                        list.iter().rfind(|item| item[identity] == *id).cloned()
                    };
                    let gone = before
                        .iter()
                        .filter(|item| find(after, &item[identity]).is_none());
                    for item in after.iter().chain(gone) {
                        let id = &item[identity];
                        let path = format!("{path}[{}]", id.as_str().unwrap_or_default());
                        compare(
                            &path,
                            find(before, id).as_ref(),
                            find(after, id).as_ref(),
                            out,
                        );
                    }
                }
                None if before == after => {}
                None => out.push(Change {
                    path: path.to_owned(),
                    before: Some(before.clone().into()),
                    after: Some(after.clone().into()),
                }),
            }
        }
        (before, after) if before == after => {}
        // An empty list and none are the same.
        (None, Some(Value::Array(items))) | (Some(Value::Array(items)), None)
            if items.is_empty() => {}
        (before, after) => {
            out.push(Change {
                path: path.to_owned(),
                before: before.cloned(),
                after: after.cloned(),
            });
        }
    }
}

/// The field by which the items of a list are known, if they all have it.
fn identity(path: &str, before: &[Value], after: &[Value]) -> Option<&'static str> {
    let field = match path.rsplit('.').next() {
        Some("volumeMounts") => "mountPath",
        Some("volumeDevices") => "devicePath",
        _ => "name",
    };
    let has = |items: &[Value]| items.iter().all(|item| item[field].is_string());
    (has(before) && has(after)).then_some(field)
}

fn within(path: &str, field: &str) -> String {
    let keyed = ["labels", "annotations", "limits", "requests"];
    if path
        .rsplit('.')
        .next()
        .is_some_and(|last| keyed.contains(&last))
    {
        format!("{path}[{field}]")
    } else if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::token_mount::tests::{token_mount, token_volume};

    #[test]
    fn fields_are_named_by_identity_and_notation_is_not_a_change() {
        let before = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {
            "containers": [{"name": "main", "image": "i:1", "terminationMessagePath": "/dev/termination-log",
                "resources": {"limits": {"cpu": "1000m"}}, "env": [{"name": "A", "value": "1"}, {"name": "B"}],
                "volumeMounts": [token_mount("kube-api-access-x"), {"name": "v", "mountPath": "/v/"}]}],
            "volumes": [{"name": "v"}, token_volume("kube-api-access-x")]}});
        let after = json!({"metadata": {"labels": {"b": "2"}, "annotations": {STATUS_ANNOTATION: "x"}}, "spec": {
            "initContainers": [{"name": "new", "image": "i:1", "command": ["a", "long", "list", "of", "arguments", "here"]}],
            "containers": [{"name": "main", "image": "i:2", "resources": {"limits": {"cpu": "1"}},
                "env": [{"name": "B"}, {"name": "A", "value": "2"}],
                "volumeMounts": [{"name": "w", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "emptyDir": {}}, token_volume("kube-api-access-x")]}});
        let changes: Vec<String> = changes(&before, &after)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            changes,
            [
                "~ metadata.labels[b]: \"1\" -> \"2\"",
                "- metadata.labels[a]: \"1\"",
                "+ spec.initContainers[new]",
                "~ spec.containers[main].image: \"i:1\" -> \"i:2\"",
                "~ spec.containers[main].env[A].value: \"1\" -> \"2\"",
                "~ spec.containers[main].volumeMounts[/v].name: \"v\" -> \"w\"",
            ]
        );
    }

    #[test]
    fn a_tenants_mount_at_the_tokens_path_is_a_change() {
        let pod = |mounts: Value| {
            json!({"spec": {"containers": [{"name": "main", "volumeMounts": mounts}],
                "volumes": [token_volume("token"), {"name": "own", "emptyDir": {}}]}})
        };
        let found = |mount: Value| changes(&pod(json!([])), &pod(json!([mount]))).len();
        assert_eq!(found(token_mount("token")), 0);
        assert_eq!(found(token_mount("own")), 1);
        let mut writable = token_mount("token");
        writable["readOnly"] = false.into();
        assert_eq!(found(writable), 1);
    }

    #[test]
    fn a_pod_does_not_differ_from_itself() {
        let pod = json!({"spec": {"containers": [{"args": ["a"]}, {"args": ["b"]}]}});
        assert_eq!(changes(&pod, &pod), []);
    }
}
