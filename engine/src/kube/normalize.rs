//! The normal form of API objects: what remains of a container or volume when spelling is taken
//! away.
//!
//! The API server adds defaults, drops zero values and re-spells quantities, so what was injected
//! comes back looking different. Two objects mean the same when their normal forms are equal. The
//! tables below follow the defaulting of core/v1 (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>).
//! This is the only place that knows of defaults.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::kube::quantity::Quantity;

/// What kind of API object a value is; decides which defaults, quantities and identities apply
/// inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing special: zero values are dropped, the rest stays.
    Plain,
    /// A list or object that counts letter by letter (`command`, `args`).
    Verbatim,
    /// A quantity, spelt as a string or number.
    Quantity,
    /// A map of resource names to quantities.
    Amounts,
    /// core/v1 Container.
    Container,
    /// core/v1 EnvVar.
    Env,
    /// core/v1 EnvVarSource.
    EnvSource,
    /// core/v1 ObjectFieldSelector.
    FieldRef,
    /// core/v1 ResourceFieldSelector.
    ResourceFieldRef,
    /// core/v1 VolumeMount.
    Mount,
    /// core/v1 VolumeDevice.
    Device,
    /// core/v1 ContainerPort.
    Port,
    /// core/v1 ResourceRequirements.
    Resources,
    /// core/v1 ContainerResizePolicy.
    ResizePolicy,
    /// core/v1 Probe.
    Probe,
    /// core/v1 HTTPGetAction.
    HttpGet,
    /// core/v1 Lifecycle.
    Lifecycle,
    /// core/v1 LifecycleHandler.
    Hook,
    /// core/v1 SecurityContext of a container.
    SecurityContext,
    /// core/v1 Volume.
    Volume,
    /// core/v1 EmptyDirVolumeSource.
    EmptyDir,
    /// Secret, ConfigMap, DownwardAPI and Projected sources: files with modes.
    Files,
    /// One file of a [`Kind::Files`] source.
    File,
    /// One source of a projected volume.
    Projection,
    /// core/v1 ServiceAccountTokenProjection.
    TokenProjection,
    /// core/v1 EphemeralVolumeSource and what is nested in it.
    ClaimTemplate,
    /// core/v1 ISCSIVolumeSource.
    Iscsi,
    /// core/v1 RBDVolumeSource.
    Rbd,
    /// core/v1 AzureDiskVolumeSource.
    AzureDisk,
    /// core/v1 ScaleIOVolumeSource.
    ScaleIo,
    /// core/v1 ImageVolumeSource.
    ImageVolume,
}

/// What the absence of a field means, or why a zero is kept.
#[derive(Debug, Clone, Copy)]
enum Absence {
    /// Absent means zero.
    Zero,
    /// Absent means this text.
    Text(&'static str),
    /// Absent means this number; zero means it too.
    Number(i64),
    /// A pointer in the API: zero says something else than absence.
    Distinct,
    /// As [`Absence::Distinct`], and absence means this number.
    DistinctNumber(i64),
    /// Other admission plug-ins set it; it never counts.
    Ignored,
}

impl Kind {
    /// The kind of the values under `field`, and of the items where the value is a list.
    pub fn child(self, field: &str) -> Kind {
        self.rule(field).0
    }

    /// The field that identifies the items of a list of this kind.
    pub fn identity(self) -> Option<&'static str> {
        match self {
            Kind::Env | Kind::Volume | Kind::Container => Some("name"),
            Kind::Mount => Some("mountPath"),
            Kind::Device => Some("devicePath"),
            Kind::Port => Some("containerPort"),
            Kind::ResizePolicy => Some("resourceName"),
            _ => None,
        }
    }

    fn rule(self, field: &str) -> (Kind, Absence) {
        use Absence::{Distinct, DistinctNumber, Ignored, Number, Text, Zero};
        match (self, field) {
            (Kind::Container, "command" | "args") => (Kind::Verbatim, Zero),
            (Kind::Container, "env") => (Kind::Env, Zero),
            (Kind::Container, "volumeMounts") => (Kind::Mount, Zero),
            (Kind::Container, "volumeDevices") => (Kind::Device, Zero),
            (Kind::Container, "ports") => (Kind::Port, Zero),
            (Kind::Container, "resources") => (Kind::Resources, Zero),
            (Kind::Container, "resizePolicy") => (Kind::ResizePolicy, Zero),
            (Kind::Container, "livenessProbe" | "readinessProbe" | "startupProbe") => {
                (Kind::Probe, Zero)
            }
            (Kind::Container, "lifecycle") => (Kind::Lifecycle, Zero),
            (Kind::Container, "securityContext") => (Kind::SecurityContext, Zero),
            (Kind::Container, "imagePullPolicy") => (Kind::Plain, Ignored),
            (Kind::Container, "terminationMessagePath") => {
                (Kind::Plain, Text("/dev/termination-log"))
            }
            (Kind::Container, "terminationMessagePolicy") => (Kind::Plain, Text("File")),
            (Kind::Env, "valueFrom") => (Kind::EnvSource, Zero),
            (Kind::EnvSource | Kind::File, "fieldRef") => (Kind::FieldRef, Zero),
            (Kind::EnvSource | Kind::File, "resourceFieldRef") => (Kind::ResourceFieldRef, Zero),
            (Kind::FieldRef, "apiVersion") => (Kind::Plain, Text("v1")),
            (Kind::ResourceFieldRef, "divisor") => (Kind::Quantity, Text("0")),
            (Kind::Mount, "mountPropagation") => (Kind::Plain, Text("None")),
            (Kind::Mount, "recursiveReadOnly") => (Kind::Plain, Text("Disabled")),
            (Kind::Port, "protocol") => (Kind::Plain, Text("TCP")),
            (Kind::Resources, "limits" | "requests") => (Kind::Amounts, Zero),
            (Kind::Amounts, _) => (Kind::Quantity, Distinct),
            (Kind::ResizePolicy, "restartPolicy") => (Kind::Plain, Text("NotRequired")),
            (Kind::Probe, "timeoutSeconds" | "successThreshold") => (Kind::Plain, Number(1)),
            (Kind::Probe, "periodSeconds") => (Kind::Plain, Number(10)),
            (Kind::Probe, "failureThreshold") => (Kind::Plain, Number(3)),
            (Kind::Probe, "terminationGracePeriodSeconds") => (Kind::Plain, Distinct),
            (Kind::Probe | Kind::Hook, "httpGet") => (Kind::HttpGet, Zero),
            (Kind::HttpGet, "scheme") => (Kind::Plain, Text("HTTP")),
            (Kind::HttpGet, "path") => (Kind::Plain, Text("/")),
            (Kind::Lifecycle, "postStart" | "preStop") => (Kind::Hook, Zero),
            (Kind::SecurityContext, "procMount") => (Kind::Plain, Text("Default")),
            // Absent and false mean the same for these two; every other scalar here overrides the
            // pod's.
            (Kind::SecurityContext, "privileged" | "readOnlyRootFilesystem") => (Kind::Plain, Zero),
            (Kind::SecurityContext, "capabilities") => (Kind::Plain, Zero),
            (Kind::SecurityContext, _) => (Kind::Plain, Distinct),
            (Kind::Volume, "emptyDir") => (Kind::EmptyDir, Zero),
            (Kind::Volume, "secret" | "configMap" | "downwardAPI" | "projected") => {
                (Kind::Files, Zero)
            }
            (Kind::Volume, "ephemeral") => (Kind::ClaimTemplate, Zero),
            (Kind::Volume, "iscsi") => (Kind::Iscsi, Zero),
            (Kind::Volume, "rbd") => (Kind::Rbd, Zero),
            (Kind::Volume, "azureDisk") => (Kind::AzureDisk, Zero),
            (Kind::Volume, "scaleIO") => (Kind::ScaleIo, Zero),
            (Kind::Volume, "image") => (Kind::ImageVolume, Zero),
            (Kind::EmptyDir, "sizeLimit") => (Kind::Quantity, Zero),
            (Kind::Files, "defaultMode") => (Kind::Plain, DistinctNumber(420)),
            (Kind::Files, "items") => (Kind::File, Zero),
            (Kind::Files, "sources") => (Kind::Projection, Zero),
            (Kind::File, "mode") => (Kind::Plain, Distinct),
            (Kind::Projection, "serviceAccountToken") => (Kind::TokenProjection, Zero),
            (Kind::Projection, _) => (Kind::Files, Zero),
            (Kind::TokenProjection, "expirationSeconds") => (Kind::Plain, Number(3600)),
            (Kind::ClaimTemplate, "volumeMode") => (Kind::Plain, Text("Filesystem")),
            (Kind::ClaimTemplate, "resources") => (Kind::Resources, Zero),
            (Kind::ClaimTemplate, _) => (Kind::ClaimTemplate, Zero),
            (Kind::Iscsi, "iscsiInterface") => (Kind::Plain, Text("default")),
            (Kind::Rbd, "pool") => (Kind::Plain, Text("rbd")),
            (Kind::Rbd, "user") => (Kind::Plain, Text("admin")),
            (Kind::Rbd, "keyring") => (Kind::Plain, Text("/etc/ceph/keyring")),
            (Kind::AzureDisk, "cachingMode") => (Kind::Plain, Text("ReadWrite")),
            (Kind::AzureDisk, "fsType") => (Kind::Plain, Text("ext4")),
            (Kind::AzureDisk, "kind") => (Kind::Plain, Text("Shared")),
            (Kind::ScaleIo, "storageMode") => (Kind::Plain, Text("ThinProvisioned")),
            (Kind::ScaleIo, "fsType") => (Kind::Plain, Text("xfs")),
            (Kind::ImageVolume, "pullPolicy") => (Kind::Plain, Ignored),
            _ => (Kind::Plain, Zero),
        }
    }
}

/// The normal form of `value`; `None` when it says no more than absence does.
pub fn normal(kind: Kind, value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => match kind {
            Kind::Quantity => Some(quantity(text)),
            _ => (!text.is_empty()).then(|| value.clone()),
        },
        Value::Number(number) => match kind {
            Kind::Quantity => Some(quantity(&number.to_string())),
            _ => (number.as_f64() != Some(0.0)).then(|| value.clone()),
        },
        Value::Bool(true) => Some(value.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(_) if kind == Kind::Verbatim => Some(value.clone()),
        Value::Array(items) => {
            let mut items: Vec<Value> = items
                .iter()
                .map(|item| normal(kind, item).unwrap_or_else(|| zero_like(item)))
                .collect();
            // The API server spells out for each resource that it needs no restart.
            if kind == Kind::ResizePolicy {
                items.retain(|item| item.get("restartPolicy").is_some());
            }
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(fields) => object(kind, fields).map(Value::Object),
    }
}

fn object(kind: Kind, fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut normalised = Map::new();
    for (field, value) in fields {
        if let Some(value) = field_normal(kind, field, value) {
            normalised.insert(field.clone(), value);
        }
    }
    match kind {
        // The API server makes a volume without a source an emptyDir.
        Kind::Volume if normalised.keys().all(|field| field == "name") => {
            normalised.insert("emptyDir".to_owned(), Value::Object(Map::new()));
        }
        Kind::Mount => {
            if let Some(Value::String(path)) = normalised.get_mut("mountPath") {
                *path = clean_path(path).into_owned();
            }
        }
        _ => {}
    }
    (!normalised.is_empty()).then_some(normalised)
}

fn field_normal(parent: Kind, field: &str, value: &Value) -> Option<Value> {
    let (kind, default) = parent.rule(field);
    let found = normal(kind, value);
    match default {
        Absence::Ignored => None,
        Absence::Text(text) => found.filter(|found| found.as_str() != Some(text)),
        Absence::Number(number) => found.filter(|found| found.as_i64() != Some(number)),
        Absence::DistinctNumber(number) if value.as_i64() == Some(number) => None,
        Absence::Distinct | Absence::DistinctNumber(_) => match value {
            Value::Bool(_) | Value::Number(_) => found.or_else(|| Some(value.clone())),
            _ => found,
        },
        // The key of a volume source or of a handler says which one it is, even when nothing is
        // under it.
        Absence::Zero if parent == Kind::Volume && field != "name" => {
            found.or_else(|| (!value.is_null()).then(|| Value::Object(Map::new())))
        }
        Absence::Zero if parent == Kind::Hook && field != "exec" => {
            found.or_else(|| (!value.is_null()).then(|| Value::Object(Map::new())))
        }
        Absence::Zero => found,
    }
}

/// An item of a list keeps its place even when it is empty.
fn zero_like(item: &Value) -> Value {
    match item {
        Value::Object(_) => Value::Object(Map::new()),
        other => other.clone(),
    }
}

fn quantity(text: &str) -> Value {
    Value::String(
        Quantity::parse(text).map_or_else(|_| text.to_owned(), |quantity| quantity.canonical()),
    )
}

/// A path as `path.Clean` of Go writes it: no double, trailing or dot elements.
///
/// The kubelet and the API server's uniqueness check see `/a//b/` and `/a/b` as one mount point.
pub fn clean_path(path: &str) -> Cow<'_, str> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    if inner
        .split('/')
        .all(|part| !matches!(part, "" | "." | ".."))
    {
        return Cow::Borrowed(path);
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    Cow::Owned(match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_zero_values_vanish() {
        let written = json!({"name": "c", "env": [{"name": "A", "value": "", "valueFrom": null}],
            "resources": {}, "securityContext": {"privileged": false}, "command": [], "ports": [{"containerPort": 80}]});
        let returned = json!({"name": "c", "env": [{"name": "A"}], "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File", "imagePullPolicy": "Always", "resources": {},
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]});
        assert_eq!(
            normal(Kind::Container, &written),
            normal(Kind::Container, &returned)
        );
    }

    #[test]
    fn a_zero_that_says_something_is_kept() {
        let context =
            json!({"runAsUser": 0, "allowPrivilegeEscalation": false, "runAsNonRoot": false});
        assert_eq!(normal(Kind::SecurityContext, &context), Some(context));
        let files = json!({"secret": {"secretName": "s", "defaultMode": 0}});
        assert_eq!(normal(Kind::Volume, &files), Some(files));
    }

    #[test]
    fn an_empty_directory_is_not_an_absent_one() {
        let volume = json!({"name": "v", "emptyDir": {}});
        assert_eq!(normal(Kind::Volume, &volume), Some(volume.clone()));
        assert_eq!(normal(Kind::Volume, &json!({"name": "v"})), Some(volume));
        let host = normal(
            Kind::Volume,
            &json!({"name": "v", "hostPath": {"path": "/", "type": ""}}),
        );
        assert_eq!(host, Some(json!({"name": "v", "hostPath": {"path": "/"}})));
    }

    #[test]
    fn quantities_have_one_spelling() {
        let one = normal(
            Kind::Resources,
            &json!({"limits": {"cpu": 1, "memory": "1024Mi"}}),
        );
        assert_eq!(
            one,
            normal(
                Kind::Resources,
                &json!({"limits": {"cpu": "1000m", "memory": "1Gi"}})
            )
        );
    }

    #[test]
    fn an_empty_exec_is_not_a_hook_but_a_sleep_is() {
        assert_eq!(normal(Kind::Hook, &json!({"exec": {"command": []}})), None);
        assert_eq!(
            normal(Kind::Hook, &json!({"sleep": {"seconds": 0}})),
            Some(json!({"sleep": {}}))
        );
        assert_eq!(
            normal(
                Kind::Hook,
                &json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}})
            ),
            Some(json!({"httpGet": {"port": 80}}))
        );
    }

    #[test]
    fn defaults_of_a_newer_api_server_vanish() {
        let returned = json!({"name": "c", "securityContext": {"procMount": "Default"}, "resizePolicy": [
            {"resourceName": "cpu", "restartPolicy": "NotRequired"},
            {"resourceName": "memory", "restartPolicy": "RestartContainer"}]});
        let written = json!({"name": "c",
            "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]});
        assert_eq!(
            normal(Kind::Container, &returned),
            normal(Kind::Container, &written)
        );
    }

    #[test]
    fn arguments_count_letter_by_letter() {
        let container = json!({"command": ["sh", "", "-c"]});
        assert_eq!(normal(Kind::Container, &container), Some(container));
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (given, cleaned) in [
            ("/a/b", "/a/b"),
            ("/a//b/", "/a/b"),
            ("/a/./b/..", "/a"),
            ("/", "/"),
            ("//", "/"),
            ("/../a", "/a"),
            ("", "."),
            ("a/", "a"),
            ("../a", "../a"),
            ("..", ".."),
            (".", "."),
            ("./a", "a"),
            ("a/..", "."),
        ] {
            assert_eq!(clean_path(given), cleaned, "{given}");
        }
    }
}
