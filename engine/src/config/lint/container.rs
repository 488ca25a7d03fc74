//! The checks of one container: names, mounts, hooks, image.

use std::collections::HashSet;

use serde_json::Value;

use super::{Check, is_set, list};
use crate::config::finding::Code;
use crate::config::schema::field_path;
use crate::kube::names;
use crate::kube::normalize::clean_path;

/// An object of which injection uses some fields, and no others may be set.
#[derive(Clone, Copy)]
pub(super) enum MainObject {
    Container,
    Lifecycle,
}

/// Which of them is at `path`.
pub(super) fn main_object(path: &str) -> Option<MainObject> {
    match path {
        "$.mainContainer" => Some(MainObject::Container),
        "$.mainContainer.lifecycle" => Some(MainObject::Lifecycle),
        _ => None,
    }
}

impl MainObject {
    pub(super) fn has(self, field: &str) -> bool {
        match self {
            MainObject::Container => matches!(field, "name" | "env" | "volumeMounts" | "lifecycle"),
            MainObject::Lifecycle => matches!(field, "postStart" | "preStop"),
        }
    }

    pub(super) fn holds(self) -> &'static str {
        match self {
            MainObject::Container => "a mainContainer has name, env, volumeMounts and lifecycle",
            MainObject::Lifecycle => "a lifecycle has postStart and preStop",
        }
    }
}

impl Check<'_> {
    pub(super) fn main_container(&mut self, main: &Value, volumes: &HashSet<String>) {
        let path = "$.mainContainer";
        self.only(MainObject::Container, main, path);
        self.only(MainObject::Lifecycle, &main["lifecycle"], "$.mainContainer.lifecycle");
        if let Some(name) = main["name"].as_str().filter(|name| !name.is_empty()) {
            self.name(&Value::from(name), "$.mainContainer.name", names::is_dns_label);
        }
        self.contents(main, path, volumes);
    }

    /// Refuses what is set beside the fields that are used. Fields that Kubernetes does not have are reported already.
    fn only(&mut self, object: MainObject, value: &Value, path: &str) {
        let reported: HashSet<String> = self
            .findings
            .iter()
            .filter(|finding| finding.runtime == self.runtime && finding.code == Code::UnknownField)
            .map(|finding| finding.path.clone())
            .collect();
        for (field, value) in value.as_object().into_iter().flatten() {
            let at = field_path(path, field);
            if !object.has(field) && is_set(value) && !reported.contains(&at) {
                let message = format!("is not injected and would be ignored; {}. Remove it", object.holds());
                self.found(Code::UnsupportedField, at, message);
            }
        }
    }

    pub(super) fn container(&mut self, container: &Value, path: &str, volumes: &HashSet<String>) {
        self.name(&container["name"], &format!("{path}.name"), names::is_dns_label);
        match &container["image"] {
            Value::Null => self.found(Code::MissingField, format!("{path}.image"), "is missing"),
            Value::String(image) if image.is_empty() => {
                self.found(Code::MissingField, format!("{path}.image"), "is empty");
            }
            Value::String(image) => {
                if let Some(placeholder) = placeholder(image) {
                    let message = format!(
                        "contains the placeholder {placeholder}, which is never replaced; write the actual value"
                    );
                    self.found(Code::ImagePlaceholder, format!("{path}.image"), message);
                }
            }
            _ => {}
        }
        self.contents(container, path, volumes);
    }

    fn contents(&mut self, container: &Value, path: &str, volumes: &HashSet<String>) {
        let mut seen = HashSet::new();
        for (index, env) in list(container, "env").iter().enumerate() {
            let at = format!("{path}.env[{index}].name");
            match env["name"].as_str() {
                Some("") | None => self.found(Code::MissingField, at, "is missing"),
                Some(name) if !names::is_env_name(name) => {
                    self.found(
                        Code::InvalidName,
                        at,
                        format!("{name:?} is not a valid variable name; use printable ASCII without '='"),
                    );
                }
                name => self.unique(&mut seen, name, &at, "variable"),
            }
        }
        self.mounts(container, path, volumes);
        for hook in ["postStart", "preStop"] {
            self.handlers(&container["lifecycle"][hook], &format!("{path}.lifecycle.{hook}"));
        }
    }

    fn mounts(&mut self, container: &Value, path: &str, volumes: &HashSet<String>) {
        let mut seen: HashSet<String> = HashSet::new();
        for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
            let at = format!("{path}.volumeMounts[{index}]");
            self.volume_of(mount, &at, volumes);
            let Some(mount_path) = mount["mountPath"].as_str().filter(|path| !path.is_empty()) else {
                self.found(Code::MissingField, format!("{at}.mountPath"), "is missing");
                continue;
            };
            let why = match mount_path {
                path if !path.starts_with('/') => Some("is not absolute"),
                path if path.contains(':') => Some("contains ':'"),
                path if path.split('/').any(|part| part == "..") => Some("contains '..'"),
                _ => None,
            };
            if let Some(why) = why {
                let message = format!("{mount_path:?} {why}; write a clean absolute path");
                self.found(Code::InvalidMountPath, format!("{at}.mountPath"), message);
            } else if !seen.insert(clean_path(mount_path).into_owned()) {
                let message = format!("{mount_path:?} is mounted twice in this container; remove one");
                self.found(Code::Duplicate, format!("{at}.mountPath"), message);
            }
        }
        for (index, device) in list(container, "volumeDevices").iter().enumerate() {
            self.volume_of(device, &format!("{path}.volumeDevices[{index}]"), volumes);
        }
    }

    fn volume_of(&mut self, mount: &Value, at: &str, volumes: &HashSet<String>) {
        match mount["name"].as_str() {
            Some("") | None => self.found(Code::MissingField, format!("{at}.name"), "is missing"),
            Some(name) if !volumes.contains(name) => {
                let message = format!("no runtime defines a volume {name:?}; add it to \"volume\"");
                self.found(Code::UnknownVolume, format!("{at}.name"), message);
            }
            Some(_) => {}
        }
    }

    fn handlers(&mut self, hook: &Value, path: &str) {
        let Some(fields) = hook.as_object() else { return };
        let handlers: Vec<&str> =
            fields.iter().filter(|(_, value)| !value.is_null()).map(|(field, _)| field.as_str()).collect();
        if handlers.len() != 1 {
            let message = match handlers.len() {
                0 => "has no handler; add exec, or remove the hook".to_owned(),
                _ => format!("has several handlers ({}); a hook may have only one", handlers.join(" and ")),
            };
            self.found(Code::HookHandlers, path, message);
        } else if handlers == ["exec"] && list(&hook["exec"], "command").is_empty() {
            self.found(
                Code::HookHandlers,
                format!("{path}.exec.command"),
                "is empty; write the command, or remove the hook",
            );
        }
    }
}

/// The first `<placeholder>` in a text that nothing replaces, its brackets included.
pub(super) fn placeholder(text: &str) -> Option<&str> {
    text.match_indices('<').find_map(|(start, _)| {
        let rest = &text[start..];
        let inner = &rest[1..rest.find('>')?];
        let named =
            !inner.is_empty() && inner.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        // With no region known, the region's own placeholder is another finding.
        (named && inner != "region-id").then(|| &rest[..inner.len() + 2])
    })
}
