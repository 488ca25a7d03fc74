//! When two items say the same, written as plainly as possible.

use invariants::paths::clean;
use serde_json::{Map, Value, json};

use super::apiserver::{TOKEN_PATH, quantity};

/// The items of a list; none where there is none.
pub(crate) fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The words of an exec hook; none for any other.
pub(crate) fn command(hook: &Value) -> Vec<String> {
    list(&hook["exec"], "command")
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

/// The cleaned path of a mount.
pub(crate) fn path(mount: &Value) -> String {
    clean(mount["mountPath"].as_str().unwrap_or_default())
}

/// A container of the pod less the token mount that ServiceAccount admission gave it.
pub(crate) fn without_token(spec: &Value, container: &Value) -> Value {
    let mut container = container.clone();
    let is_token = |mount: &Value| {
        mount["mountPath"] == TOKEN_PATH
            && list(spec, "volumes").iter().any(|volume| {
                volume["name"] == mount["name"]
                    && volume["projected"]["sources"].as_array().is_some()
            })
    };
    if let Some(mounts) = container
        .get_mut("volumeMounts")
        .and_then(Value::as_array_mut)
    {
        mounts.retain(|mount| !is_token(mount));
    }
    container
}

/// What says something: no zeros, no empty objects, no defaults.
fn said(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let says = |field: &str, value: &Value| {
                let zero = match value {
                    Value::Null | Value::Bool(false) => true,
                    Value::String(text) => text.is_empty(),
                    Value::Array(items) => items.is_empty(),
                    Value::Object(fields) => fields.is_empty(),
                    _ => false,
                };
                let default = match field {
                    "protocol" => "TCP",
                    "apiVersion" => "v1",
                    "mountPropagation" => "None",
                    "scheme" => "HTTP",
                    "path" => "/",
                    "divisor" => "0",
                    "terminationMessagePath" => "/dev/termination-log",
                    "terminationMessagePolicy" => "File",
                    _ => "",
                };
                let number = match field {
                    "timeoutSeconds" | "successThreshold" => 1,
                    "periodSeconds" => 10,
                    "failureThreshold" => 3,
                    "defaultMode" => 420,
                    _ => -1,
                };
                !zero && *value != *default && *value != number
            };
            let fields = fields.iter().map(|(field, value)| {
                let value = if field == "sizeLimit" {
                    quantity(value)
                } else {
                    said(value)
                };
                let value = if field == "mountPath" {
                    json!(clean(value.as_str().unwrap()))
                } else {
                    value
                };
                (field.clone(), value)
            });
            fields.filter(|(field, value)| says(field, value)).collect()
        }
        Value::Array(items) => items.iter().map(said).collect(),
        other => other.clone(),
    }
}

/// Whether `found` says all that `wanted` says, and if `exact` nothing else.
pub(crate) fn same_fields(wanted: &Value, found: &Value, exact: bool) -> bool {
    let (wanted, found) = (said(wanted), said(found));
    if exact {
        return wanted == found;
    }
    wanted
        .as_object()
        .unwrap()
        .iter()
        .all(|(field, value)| found.get(field) == Some(value))
}

/// Whether two hooks do the same.
pub(crate) fn same_hook(one: &Value, other: &Value) -> bool {
    let plain = |hook: &Value| {
        let mut words = command(hook);
        if let Some(first) = words.first_mut() {
            *first = first.trim_start_matches("/bin/").to_owned();
        }
        words
    };
    let (mine, theirs) = (plain(one), plain(other));
    if mine.is_empty() && theirs.is_empty() {
        said(one) == said(other)
    } else {
        mine == theirs
    }
}

/// A volume is what its source is.
pub(crate) fn same_volume(wanted: &Value, found: &Value, exact: bool) -> bool {
    let sourced = |volume: &Value| {
        let mut volume = volume.clone();
        let fields = volume.as_object_mut().unwrap();
        fields.shift_remove("name");
        if fields.is_empty() {
            fields.insert("emptyDir".to_owned(), json!({}));
        }
        volume
    };
    let (wanted, found) = (sourced(wanted), sourced(found));
    let (wanted, found) = (wanted.as_object().unwrap(), found.as_object().unwrap());
    wanted.keys().eq(found.keys())
        && wanted
            .iter()
            .all(|(source, value)| same_fields(value, &found[source], exact))
}

/// Whether `found` holds all that `wanted` holds, and if `exact` nothing else but amounts of plain
/// resources.
pub(crate) fn same_container(wanted: &Value, found: &Value, exact: bool) -> bool {
    let covered = |field: &str, id: fn(&Value) -> String, item_exact: bool| {
        let (wanted, found) = (list(wanted, field), list(found, field));
        let all = wanted.iter().all(|item| {
            let other = found.iter().rev().find(|other| id(other) == id(item));
            other.is_some_and(|other| same_fields(item, other, item_exact || exact))
        });
        all && (!exact || wanted.len() == found.len())
    };
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let (image, theirs) = (text(wanted, "image"), text(found, "image"));
    let others = |container: &Value| {
        let mut container = said(container);
        let known = [
            "name",
            "image",
            "imagePullPolicy",
            "command",
            "args",
            "env",
            "volumeMounts",
            "ports",
            "resources",
            "securityContext",
            "resizePolicy",
        ];
        container
            .as_object_mut()
            .unwrap()
            .retain(|field, _| !known.contains(&field.as_str()));
        container
    };
    (theirs == image
        || theirs
            .strip_prefix(&image)
            .is_some_and(|rest| rest.starts_with("@sha256:")))
        && list(wanted, "command") == list(found, "command")
        && list(wanted, "args") == list(found, "args")
        && said(&json!({"c": wanted["securityContext"]}))
            == said(&json!({"c": found["securityContext"]}))
        && covered("env", |env| text_of(env, "name"), true)
        && covered("volumeMounts", path, true)
        && covered(
            "ports",
            |port| format!("{} {}", port["containerPort"], said(port)["protocol"]),
            false,
        )
        && same_resources(&wanted["resources"], &found["resources"], exact)
        && same_others(&others(wanted), &others(found), exact)
}

fn text_of(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Everything else: objects are looked into, as a container may say more inside them too.
fn same_others(wanted: &Value, found: &Value, exact: bool) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            (!exact || found.keys().all(|field| wanted.contains_key(field)))
                && wanted.iter().all(|(field, value)| match field.as_str() {
                    "postStart" | "preStop" => found
                        .get(field)
                        .is_some_and(|found| said(value) == said(found)),
                    _ => found
                        .get(field)
                        .is_some_and(|found| same_others(value, found, exact)),
                })
        }
        (wanted, found) => wanted == found,
    }
}

fn same_resources(wanted: &Value, found: &Value, exact: bool) -> bool {
    ["limits", "requests"].iter().all(|list| {
        let empty = Map::new();
        let amounts = |value: &Value| value[*list].as_object().unwrap_or(&empty).clone();
        let (wanted, found) = (amounts(wanted), amounts(found));
        wanted.iter().all(|(name, amount)| {
            found
                .get(name)
                .is_some_and(|other| quantity(other) == quantity(amount))
        }) && (!exact
            || *list == "requests"
            || found
                .keys()
                .all(|name| !name.contains('/') || wanted.contains_key(name)))
    })
}
