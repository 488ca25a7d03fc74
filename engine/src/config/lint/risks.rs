//! What works but may surprise: the warnings about one runtime.

use serde_json::Value;

use super::container::placeholder;
use super::{Check, list};
use crate::config::compile::{CONTAINER_LISTS, why_privileged};
use crate::config::finding::Code;
use crate::config::region::Region;
use crate::config::schema::field_path;
use crate::kube::normalize::clean_path;

/// The csi-agent image that the guide to shared storage tells to replace after 504s, and by what.
const OLD_CSI_AGENT: (&str, &str) =
    ("csi-agent:v1.35.3-cgroupv1-dport-forbidden", "csi-agent:v1.35.4-3c34d4a-aliyun");

/// With this variable a sidecar's resources are not counted; without it and without limits it can starve the pod.
const IGNORE_RESOURCE: &str = "__IGNORE_RESOURCE__";

/// A controller that only cgroup v1 has as a directory.
const NET_CLS: &str = "/sys/fs/cgroup/net_cls";

impl Check<'_> {
    pub(super) fn risks(&mut self, value: &Value, region: Option<&Region>) {
        self.privileged(value);
        self.main_container_risks(value);
        for list_name in CONTAINER_LISTS {
            for (index, container) in list(value, list_name).iter().enumerate() {
                self.container_risks(container, list_name, &format!("$.{list_name}[{index}]"));
            }
        }
        for (index, volume) in list(value, "volume").iter().enumerate() {
            self.volume_risks(volume, &format!("$.volume[{index}]"));
        }
        self.literal_regions("$.mainContainer", &value["mainContainer"], region);
        for list_name in CONTAINER_LISTS {
            for (index, container) in list(value, list_name).iter().enumerate() {
                self.literal_regions(&format!("$.{list_name}[{index}]"), container, region);
            }
        }
        self.placeholders(value, "$");
    }

    fn privileged(&mut self, value: &Value) {
        let why = why_privileged(value);
        if !why.is_empty() {
            let message = format!(
                "runtime is privileged ({}); restrict it with --privileged-namespaces and --privileged-creators",
                why.join(", ")
            );
            self.found(Code::Privileged, "$", message);
        }
    }

    fn main_container_risks(&mut self, value: &Value) {
        for (index, mount) in list(&value["mainContainer"], "volumeMounts").iter().enumerate() {
            self.trailing_slash(mount, &format!("$.mainContainer.volumeMounts[{index}]"));
        }
    }

    fn container_risks(&mut self, container: &Value, list_name: &str, path: &str) {
        if list_name != "containers" && container["restartPolicy"] != "Always" {
            let message = "is not a sidecar unless restartPolicy is Always; the pod will wait for it to exit";
            self.found(Code::RestartPolicy, format!("{path}.restartPolicy"), message);
        }
        if let Some(image) = container["image"].as_str().filter(|image| !image.is_empty()) {
            let path = format!("{path}.image");
            if is_floating(image) {
                let message =
                    format!("{image:?} is not pinned to a tag or digest, so pods may run different versions");
                self.found(Code::FloatingImage, &path, message);
            }
            let (old, new) = OLD_CSI_AGENT;
            let untouched = image.split('@').next().unwrap_or(image);
            if untouched.rsplit('/').next() == Some(old) {
                self.found(
                    Code::OldCsiAgent,
                    &path,
                    format!("image {image:?} is known to time out (504); use {new}"),
                );
            }
        }
        let ignored =
            list(container, "env").iter().any(|env| env["name"] == IGNORE_RESOURCE && env["value"] == "true");
        let limited = container["resources"]["limits"].as_object().is_some_and(|limits| !limits.is_empty());
        if !ignored && !limited {
            let message =
                format!("has no resource limits (and no {IGNORE_RESOURCE}=true); it can starve the sandbox");
            self.found(Code::NoLimits, format!("{path}.resources"), message);
        }
        for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
            self.trailing_slash(mount, &format!("{path}.volumeMounts[{index}]"));
        }
    }

    fn trailing_slash(&mut self, mount: &Value, path: &str) {
        let mount_path = mount["mountPath"].as_str().unwrap_or_default();
        if mount_path.len() > 1 && mount_path.ends_with('/') {
            let message = format!("{mount_path:?} ends with a slash; remove it");
            self.found(Code::TrailingSlash, format!("{path}.mountPath"), message);
        }
    }

    fn volume_risks(&mut self, volume: &Value, path: &str) {
        let host = &volume["hostPath"];
        let on_cgroup_v1 = host["path"].as_str().is_some_and(|path| {
            clean_path(path)
                .strip_prefix(NET_CLS)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if on_cgroup_v1 && host["type"] == "Directory" {
            let (name, host_path) = (&volume["name"], &host["path"]);
            let message = format!(
                "hostPath {host_path} of volume {name} does not exist on cgroup v2 nodes, where pods hang in \
                 ContainerCreating; use components/csi-cgroup-v2"
            );
            self.found(Code::CgroupV1Path, format!("{path}.hostPath.path"), message);
        }
    }

    /// A variable that says another region than the one that is in force.
    fn literal_regions(&mut self, path: &str, container: &Value, region: Option<&Region>) {
        let Some(region) = region else { return };
        for (index, env) in list(container, "env").iter().enumerate() {
            let Some(literal) = env["value"].as_str().filter(|_| env["name"] == "REGION_ID") else {
                continue;
            };
            if !literal.is_empty() && literal != region.as_str() {
                let message = format!("is {literal:?}, but the region is {region}; use <region-id>");
                self.found(Code::LiteralRegion, format!("{path}.env[{index}].value"), message);
            }
        }
    }

    fn placeholders(&mut self, value: &Value, path: &str) {
        match value {
            Value::String(text) => {
                // In a container's image it is an error, and reported there.
                if let Some(found) = placeholder(text).filter(|_| !is_image(path)) {
                    self.found(
                        Code::Placeholder,
                        path,
                        format!("contains the placeholder {found}, which is never replaced"),
                    );
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.placeholders(item, &format!("{path}[{index}]"));
                }
            }
            Value::Object(fields) => {
                for (field, item) in fields {
                    self.placeholders(item, &field_path(path, field));
                }
            }
            _ => {}
        }
    }
}

/// Whether a path is that of a container's image.
fn is_image(path: &str) -> bool {
    let container = path.strip_suffix("].image").and_then(|path| path.strip_prefix("$."));
    container.and_then(|container| container.split_once('[')).is_some_and(|(list_name, index)| {
        CONTAINER_LISTS.contains(&list_name) && index.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether an image's tag is missing or `latest`; a digest is fixed.
fn is_floating(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once(':') {
        None => true,
        Some((_, tag)) => tag.is_empty() || tag == "latest",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        for (image, floating) in [
            ("busybox", true),
            ("busybox:latest", true),
            ("registry:5000/busybox", true),
            ("registry:5000/busybox:1", false),
            ("busybox@sha256:00", false),
            ("a/b:", true),
        ] {
            assert_eq!(is_floating(image), floating, "{image}");
        }
    }
}
