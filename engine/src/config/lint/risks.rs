//! What works but may surprise: the warnings about one runtime.

use super::container::placeholder;
use crate::config::document::{ContainerPrivilege, Located, Privilege, RuntimeDoc, RuntimeList};
use crate::config::finding::{Code, Findings};
use crate::config::region::Region;
use crate::json_path::{JsonPath, Step, walk_all};
use crate::kube::normalize::clean_path;

/// The csi-agent image that the guide to shared storage tells to replace after 504s, and by what.
const OLD_CSI_AGENT: (&str, &str) = (
    "csi-agent:v1.35.3-cgroupv1-dport-forbidden",
    "csi-agent:v1.35.4-3c34d4a-aliyun",
);

/// With this variable a sidecar's resources are not counted; without it and without limits it can
/// starve the pod.
const IGNORE_RESOURCE: &str = "__IGNORE_RESOURCE__";

/// A controller that only cgroup v1 has as a directory.
const NET_CLS: &str = "/sys/fs/cgroup/net_cls";

pub(super) fn check(
    key: &str,
    doc: RuntimeDoc<'_>,
    region: Option<&Region>,
    findings: &mut Findings<'_>,
) {
    privileged(key, doc, findings);
    for (list, container) in doc.containers() {
        if list.is_init() {
            sidecar(&container, findings);
        }
        image(&container, findings);
        limits(&container, findings);
    }
    for container in doc.all_containers() {
        for mount in container.items("volumeMounts") {
            trailing_slash(&mount, findings);
        }
        if let Some(region) = region {
            literal_region(&container, region, findings);
        }
    }
    for volume in doc.volumes() {
        cgroup_v1(&volume, findings);
    }
    placeholders(doc, findings);
}

fn privileged(key: &str, doc: RuntimeDoc<'_>, findings: &mut Findings<'_>) {
    let privileges = doc.privileges();
    if !privileges.is_empty() {
        let message = format!(
            "runtime {key} is privileged ({}); restrict it with --privileged-namespaces and --privileged-creators",
            summary(&privileges)
        );
        findings.add(Code::Privileged, JsonPath::root(), message);
    }
}

/// The privileges in a few words, however many there are.
fn summary(privileges: &[Privilege<'_>]) -> String {
    let containers = |which: ContainerPrivilege| {
        let with = |privilege: &&Privilege<'_>| matches!(privilege, Privilege::Container(_, why) if *why == which);
        privileges.iter().filter(with).count()
    };
    let counted = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let host_paths = privileges
        .iter()
        .filter(|privilege| matches!(privilege, Privilege::HostPath(_)))
        .count();
    let bidirectional = containers(ContainerPrivilege::Bidirectional) > 0
        || privileges.contains(&Privilege::BidirectionalMain);
    let parts = [
        counted(
            containers(ContainerPrivilege::Privileged),
            "privileged container",
            "privileged containers",
        ),
        counted(
            containers(ContainerPrivilege::Capabilities),
            "container with added capabilities",
            "containers with added capabilities",
        ),
        bidirectional.then(|| "Bidirectional mounts".to_owned()),
        counted(host_paths, "hostPath volume", "hostPath volumes"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn sidecar(container: &Located<'_>, findings: &mut Findings<'_>) {
    if container.value["restartPolicy"] != "Always" {
        let message =
            "is not a sidecar unless restartPolicy is Always; the pod will wait for it to exit";
        findings.add(
            Code::RestartPolicy,
            container.path.field("restartPolicy"),
            message,
        );
    }
}

fn image(container: &Located<'_>, findings: &mut Findings<'_>) {
    let Some(image) = container.text("image").filter(|image| !image.is_empty()) else {
        return;
    };
    let path = container.path.field("image");
    let (old, new) = OLD_CSI_AGENT;
    if image
        .split('@')
        .next()
        .and_then(|untouched| untouched.rsplit('/').next())
        == Some(old)
    {
        let message = format!("image {image:?} is known to time out (504); use {new}");
        findings.add(Code::OldCsiAgent, path.clone(), message);
    }
    if is_floating(image) {
        let message = format!(
            "{image:?} is not pinned to a tag or digest, so pods may run different versions"
        );
        findings.add(Code::FloatingImage, path, message);
    }
}

fn limits(container: &Located<'_>, findings: &mut Findings<'_>) {
    let ignored = container
        .items("env")
        .any(|env| env.value["name"] == IGNORE_RESOURCE && env.value["value"] == "true");
    let limits = container.value["resources"]["limits"].as_object();
    if !ignored && limits.is_none_or(|limits| limits.is_empty()) {
        let message = format!(
            "has no resource limits (and no {IGNORE_RESOURCE}=true); it can starve the sandbox"
        );
        findings.add(Code::NoLimits, container.path.field("resources"), message);
    }
}

fn trailing_slash(mount: &Located<'_>, findings: &mut Findings<'_>) {
    let mount_path = mount.text("mountPath").unwrap_or_default();
    if mount_path.len() > 1 && mount_path.ends_with('/') {
        let message = format!("{mount_path:?} ends with a slash; remove it");
        findings.add(Code::TrailingSlash, mount.path.field("mountPath"), message);
    }
}

fn cgroup_v1(volume: &Located<'_>, findings: &mut Findings<'_>) {
    let host = volume.field("hostPath");
    let below = host.text("path").map(clean_path);
    let below = below.as_deref().and_then(|path| path.strip_prefix(NET_CLS));
    if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && host.text("type") == Some("Directory")
    {
        let (name, host_path) = (&volume.value["name"], &host.value["path"]);
        let message = format!(
            "hostPath {host_path} of volume {name} does not exist on cgroup v2 nodes, where pods hang in \
             ContainerCreating; use components/csi-cgroup-v2"
        );
        findings.add(Code::CgroupV1Path, host.path.field("path"), message);
    }
}

/// A variable that says another region than the one that is in force.
fn literal_region(container: &Located<'_>, region: &Region, findings: &mut Findings<'_>) {
    for env in container
        .items("env")
        .filter(|env| env.value["name"] == "REGION_ID")
    {
        let literal = env.text("value").unwrap_or_default();
        if !literal.is_empty() && literal != region.as_str() {
            let message = format!("is {literal:?}, but the region is {region}; use <region-id>");
            findings.add(Code::LiteralRegion, env.path.field("value"), message);
        }
    }
}

fn placeholders(doc: RuntimeDoc<'_>, findings: &mut Findings<'_>) {
    walk_all(doc.value(), &mut |path, value| {
        // In a container's image it is an error, and reported there.
        if let Some(found) = value
            .as_str()
            .and_then(placeholder)
            .filter(|_| !is_image(path))
        {
            let message = format!("contains the placeholder {found}, which is never replaced");
            findings.add(Code::Placeholder, path.clone(), message);
        }
    });
}

/// Whether a place is the image of a container that is added.
fn is_image(path: &JsonPath) -> bool {
    match path.steps() {
        [Step::Field(list), Step::Index(_), Step::Field(field)] => {
            RuntimeList::ALL.iter().any(|known| known.name() == &**list) && &**field == "image"
        }
        _ => false,
    }
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
    fn a_port_is_not_a_tag() {
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
