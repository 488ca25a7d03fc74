//! The checks of one container: names, mounts, hooks, image.

use std::collections::HashSet;

use serde_json::Value;

use super::{name, unique, valid_name};
use crate::config::document::Located;
use crate::config::finding::{Code, Findings};
use crate::kube::names;
use crate::kube::normalize::clean_path;

/// The container that completes the pod's own; it may leave its name to the pod.
pub(super) fn check_main(main: &Located<'_>, volumes: &HashSet<&str>, findings: &mut Findings<'_>) {
    if let Some(name) = main.text("name").filter(|name| !name.is_empty()) {
        valid_name(name, main.path.field("name"), findings);
    }
    contents(main, volumes, findings);
}

/// A container that is added to the pod.
pub(super) fn check(container: &Located<'_>, volumes: &HashSet<&str>, findings: &mut Findings<'_>) {
    name(container, findings);
    image(container, findings);
    contents(container, volumes, findings);
}

fn image(container: &Located<'_>, findings: &mut Findings<'_>) {
    let path = || container.path.field("image");
    match &container.value["image"] {
        Value::Null => findings.add(Code::MissingField, path(), "is missing"),
        Value::String(image) if image.is_empty() => {
            findings.add(Code::MissingField, path(), "is empty");
        }
        Value::String(image) => {
            if let Some(placeholder) = placeholder(image) {
                let message = format!(
                    "contains the placeholder {placeholder}, which is never replaced; write the actual value"
                );
                findings.add(Code::ImagePlaceholder, path(), message);
            }
        }
        _ => {}
    }
}

fn contents(container: &Located<'_>, volumes: &HashSet<&str>, findings: &mut Findings<'_>) {
    let mut seen = HashSet::new();
    for env in container.items("env") {
        variable(&mut seen, &env, findings);
    }
    let mut seen = HashSet::new();
    for mount in container.items("volumeMounts") {
        volume_of(&mount, volumes, findings);
        mount_path(&mut seen, &mount, findings);
    }
    for device in container.items("volumeDevices") {
        volume_of(&device, volumes, findings);
    }
    for hook in ["postStart", "preStop"] {
        handlers(&container.field("lifecycle").field(hook), findings);
    }
}

fn variable<'v>(seen: &mut HashSet<&'v str>, env: &Located<'v>, findings: &mut Findings<'_>) {
    match env.text("name") {
        Some("") | None => findings.add(Code::MissingField, env.path.field("name"), "is missing"),
        Some(name) if !names::is_env_name(name) => {
            let message =
                format!("{name:?} is not a valid variable name; use printable ASCII without '='");
            findings.add(Code::InvalidName, env.path.field("name"), message);
        }
        Some(_) => unique(seen, env, "variable", findings),
    }
}

fn mount_path(seen: &mut HashSet<String>, mount: &Located<'_>, findings: &mut Findings<'_>) {
    let path = mount.path.field("mountPath");
    let Some(mount_path) = mount.text("mountPath").filter(|path| !path.is_empty()) else {
        return findings.add(Code::MissingField, path, "is missing");
    };
    let why = match mount_path {
        path if !path.starts_with('/') => Some("is not absolute"),
        path if path.contains(':') => Some("contains ':'"),
        path if path.split('/').any(|part| part == "..") => Some("contains '..'"),
        _ => None,
    };
    if let Some(why) = why {
        let message = format!("{mount_path:?} {why}; write a clean absolute path");
        findings.add(Code::InvalidMountPath, path, message);
    } else if !seen.insert(clean_path(mount_path).into_owned()) {
        let message = format!("{mount_path:?} is mounted twice in this container; remove one");
        findings.add(Code::Duplicate, path, message);
    }
}

fn volume_of(mount: &Located<'_>, volumes: &HashSet<&str>, findings: &mut Findings<'_>) {
    match mount.text("name") {
        Some("") | None => findings.add(Code::MissingField, mount.path.field("name"), "is missing"),
        Some(name) if !volumes.contains(name) => {
            let message = format!("no runtime defines a volume {name:?}; add it to \"volume\"");
            findings.add(Code::UnknownVolume, mount.path.field("name"), message);
        }
        Some(_) => {}
    }
}

fn handlers(hook: &Located<'_>, findings: &mut Findings<'_>) {
    let Some(fields) = hook.value.as_object() else {
        return;
    };
    let handlers = fields.iter().filter(|(_, value)| !value.is_null());
    let handlers: Vec<&str> = handlers.map(|(field, _)| field.as_str()).collect();
    match handlers.as_slice() {
        [] => {
            let message = "has no handler; add exec, or remove the hook";
            findings.add(Code::HookHandlers, hook.path.clone(), message);
        }
        ["exec"] if hook.field("exec").items("command").next().is_none() => {
            let message = "is empty; write the command, or remove the hook";
            findings.add(
                Code::HookHandlers,
                hook.path.field("exec").field("command"),
                message,
            );
        }
        [_] => {}
        several => {
            let message = format!(
                "has several handlers ({}); a hook may have only one",
                several.join(" and ")
            );
            findings.add(Code::HookHandlers, hook.path.clone(), message);
        }
    }
}

/// The first `<placeholder>` in a text that nothing replaces, its brackets included.
pub(super) fn placeholder(text: &str) -> Option<&str> {
    text.match_indices('<').find_map(|(start, _)| {
        let rest = &text[start..];
        let inner = &rest[1..rest.find('>')?];
        let named = !inner.is_empty()
            && inner
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        // With no region known, the region's own placeholder is another finding.
        (named && inner != "region-id").then(|| &rest[..inner.len() + 2])
    })
}
