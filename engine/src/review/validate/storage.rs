//! The annotations by which a sandbox asks for storage at run time.
//!
//! The manager that mounts the storage reads them later, when a mistake only shows as a sandbox
//! without its data.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Remarks;
use crate::kube::names::is_dns_subdomain;
use crate::kube::normalize::clean_path;
use crate::systems::kruise::{CSI_MOUNT_POINT, CSI_SUBPATH, CSI_VOLUME_CONFIG, CSI_VOLUME_NAME};

/// The first stands alone; the others are one volume.
const ANNOTATIONS: [&str; 4] = [
    CSI_VOLUME_CONFIG,
    CSI_VOLUME_NAME,
    CSI_MOUNT_POINT,
    CSI_SUBPATH,
];

/// Checks the annotations in each of the `places` (such as `metadata`) where they have changed.
pub(super) fn check(places: &[&str], object: &Value, old: &Value, remarks: &mut Remarks) {
    for place in places {
        let annotations = &object[*place]["annotations"];
        let before = &old[*place]["annotations"];
        let changed = |key: &&str| annotations[*key] != before[*key];
        let at = |key: &str| format!("{place}.annotations[{key}]");
        if !ANNOTATIONS.iter().any(changed) {
            continue;
        }
        let config = &annotations[CSI_VOLUME_CONFIG];
        if config.is_null() {
            single(annotations, &at, remarks);
            continue;
        }
        if ANNOTATIONS[1..]
            .iter()
            .any(|key| !annotations[*key].is_null())
        {
            // The annotations' group is left out, as a warning is short.
            remarks
                .warn("csi-volume-config takes precedence; csi-volume-name, csi-mount-point and csi-subpath are ignored");
        }
        if changed(&CSI_VOLUME_CONFIG) {
            match config.as_str() {
                Some(text) => several(text, &at(CSI_VOLUME_CONFIG), remarks),
                None => remarks.refuse(
                    at(CSI_VOLUME_CONFIG),
                    "must be a string containing a JSON array",
                ),
            }
        }
    }
}

fn several(text: &str, at: &str, remarks: &mut Remarks) {
    let entries = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(entries)) => entries,
        Ok(_) => {
            return remarks.refuse(
                at,
                "must be a JSON array, such as [{\"pvName\":\"data\",\"mountPath\":\"/data\"}]",
            );
        }
        Err(error) => {
            return remarks.refuse(
                at,
                format!(
                    "is not JSON (column {}); write a JSON array",
                    error.column()
                ),
            );
        }
    };
    let mut paths = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let Value::Object(entry) = entry else {
            remarks.refuse(at, "must be an object with pvName and mountPath");
            continue;
        };
        one(entry, index, &at, remarks);
        if let Some(path) = entry.get("mountPath").and_then(Value::as_str)
            && path.starts_with('/')
            && !paths.insert(clean_path(path).into_owned())
        {
            remarks.refuse(
                format!("{at}.mountPath"),
                "is already used by an earlier entry; choose another path",
            );
        }
    }
}

fn one(entry: &Map<String, Value>, index: usize, at: &str, remarks: &mut Remarks) {
    let text = |field: &str| -> Result<Option<&str>, &'static str> {
        match entry.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err("must be a string"),
        }
    };
    let required = |field, check: fn(&str) -> Result<(), &'static str>| {
        text(field)?.ok_or("is missing").and_then(check)
    };
    let optional =
        |field, check: fn(&str) -> Result<(), &'static str>| text(field)?.map_or(Ok(()), check);
    let read_only = match entry.get("readOnly") {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(_) => Err("must be true or false, without quotes"),
    };
    for (field, result) in [
        ("pvName", required("pvName", volume_name)),
        ("mountPath", required("mountPath", mount_path)),
        ("subPath", optional("subPath", sub_path)),
        ("readOnly", read_only),
    ] {
        if let Err(reason) = result {
            remarks.refuse(format!("{at}.{field}"), reason);
        }
    }
    for field in entry.keys() {
        if !matches!(
            field.as_str(),
            "pvName" | "mountPath" | "subPath" | "readOnly"
        ) {
            let field: String = field.chars().take(30).collect();
            remarks.warn(format!(
                "csi-volume-config[{index}]: unknown field {field}; known fields: pvName, mountPath, subPath, readOnly"
            ));
        }
    }
}

fn single(annotations: &Value, at: &impl Fn(&str) -> String, remarks: &mut Remarks) {
    let mut text = |key: &str| match &annotations[key] {
        Value::Null => None,
        Value::String(text) => Some(text.as_str()),
        _ => {
            remarks.refuse(at(key), "must be a string");
            None
        }
    };
    let (name, mount_point, subpath) = (
        text(CSI_VOLUME_NAME),
        text(CSI_MOUNT_POINT),
        text(CSI_SUBPATH),
    );
    if ANNOTATIONS[1..]
        .iter()
        .all(|key| annotations[*key].is_null())
    {
        return;
    }
    let mut check = |key,
                     value: Option<&str>,
                     check: fn(&str) -> Result<(), &'static str>,
                     missing| match value.map(check) {
        Some(Err(reason)) => remarks.refuse(at(key), reason),
        None if missing && annotations[key].is_null() => {
            remarks.refuse(
                at(key),
                "is missing; csi-volume-name and csi-mount-point must be set together",
            );
        }
        _ => {}
    };
    check(CSI_VOLUME_NAME, name, volume_name, true);
    check(CSI_MOUNT_POINT, mount_point, mount_path, true);
    check(CSI_SUBPATH, subpath, sub_path, false);
}

/// The name of a PersistentVolume: a DNS subdomain.
fn volume_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("is empty; name a PersistentVolume"),
        name if is_dns_subdomain(name) => Ok(()),
        _ => {
            Err("is not a valid PersistentVolume name; use lowercase letters, digits, '-' and '.'")
        }
    }
}

fn mount_path(path: &str) -> Result<(), &'static str> {
    match path {
        "" => Err("is empty; write an absolute path"),
        path if !path.starts_with('/') => Err("must be an absolute path"),
        path if clean_path(path) != path => {
            Err("must not contain '.', '..', '//' or a trailing slash")
        }
        _ => Ok(()),
    }
}

fn sub_path(path: &str) -> Result<(), &'static str> {
    if path.split('/').any(|part| part == "..") {
        return Err("contains '..'; use a path inside the volume");
    }
    Ok(())
}
