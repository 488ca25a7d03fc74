//! What the API server makes of a pod that it stores and returns: defaults added, zero values
//! dropped, quantities spelt its own way; and what its admission plug-ins add.

use serde_json::{Value, json};

/// What happens to a pod between two calls of the webhook.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission {
    /// ServiceAccount admission adds its token.
    pub(crate) token: bool,
    /// A LimitRanger adds default resources.
    pub(crate) limits: bool,
    /// An image policy pins tags to digests, and AlwaysPullImages sets the pull policy.
    pub(crate) images: bool,
    /// The release spells out that resources need no restart.
    pub(crate) resize: bool,
}

/// The path of the service account's token.
pub(crate) const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

const TOKEN_VOLUME: &str = "kube-api-access-x7k2m";

/// The pod as it is sent to the webhook again.
pub(crate) fn returned(pod: &Value, admission: Admission) -> Value {
    let mut pod = pod.clone();
    let spec = &mut pod["spec"];
    if admission.token {
        add_token(spec);
    }
    for list in ["initContainers", "containers"] {
        for item in spec[list].as_array_mut().into_iter().flatten() {
            admit(item, admission);
            container(item, admission);
        }
    }
    for item in spec["volumes"].as_array_mut().into_iter().flatten() {
        volume(item);
    }
    drop_zeros(&mut pod);
    pod
}

fn items<'v>(value: &'v mut Value, field: &str) -> impl Iterator<Item = &'v mut Value> {
    value
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

fn default(value: &mut Value, field: &str, default: Value) {
    if let Some(fields) = value.as_object_mut() {
        let found = fields.entry(field).or_insert(Value::Null);
        if found.is_null() {
            *found = default;
        }
    }
}

fn add_token(spec: &mut Value) {
    let volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
    if !volumes.iter().any(|volume| volume["name"] == TOKEN_VOLUME) {
        let token = json!({"name": TOKEN_VOLUME, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
            {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                "path": "namespace"}]}}]}});
        push(spec, "volumes", token);
    }
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            let mounts = container["volumeMounts"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            if !mounts.iter().any(|mount| mount["mountPath"] == TOKEN_PATH) {
                let mount =
                    json!({"mountPath": TOKEN_PATH, "name": TOKEN_VOLUME, "readOnly": true});
                push(container, "volumeMounts", mount);
            }
        }
    }
}

fn push(value: &mut Value, field: &str, item: Value) {
    match &mut value[field] {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

fn admit(container: &mut Value, admission: Admission) {
    if admission.limits {
        default(container, "resources", json!({}));
        let resources = &mut container["resources"];
        for (list, cpu, memory) in [("limits", "2", "2Gi"), ("requests", "100m", "64Mi")] {
            default(resources, list, json!({}));
            default(&mut resources[list], "cpu", json!(cpu));
            default(&mut resources[list], "memory", json!(memory));
        }
    }
    if admission.images {
        container["imagePullPolicy"] = json!("Always");
        let image = container["image"].as_str().unwrap_or_default();
        if !image.contains('@') {
            container["image"] = json!(format!("{image}@sha256:{}", "5e".repeat(32)));
        }
    }
}

fn container(container: &mut Value, admission: Admission) {
    default(container, "resources", json!({}));
    default(
        container,
        "terminationMessagePath",
        json!("/dev/termination-log"),
    );
    default(container, "terminationMessagePolicy", json!("File"));
    default(container, "imagePullPolicy", json!("IfNotPresent"));
    for env in items(container, "env") {
        if let Some(source) = env.pointer_mut("/valueFrom/fieldRef") {
            default(source, "apiVersion", json!("v1"));
        }
        if let Some(source) = env.pointer_mut("/valueFrom/resourceFieldRef") {
            default(source, "divisor", json!("0"));
        }
    }
    for port in items(container, "ports") {
        default(port, "protocol", json!("TCP"));
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) = container.pointer_mut(&format!("/lifecycle/{hook}/httpGet")) {
            http_get(get);
        }
    }
    if let Some(probe) = container
        .get_mut("livenessProbe")
        .filter(|probe| probe.is_object())
    {
        for (field, number) in [
            ("timeoutSeconds", 1),
            ("periodSeconds", 10),
            ("successThreshold", 1),
            ("failureThreshold", 3),
        ] {
            default(probe, field, json!(number));
        }
        if let Some(get) = probe.get_mut("httpGet") {
            http_get(get);
        }
    }
    resources(&mut container["resources"]);
    let names: Vec<&str> = ["cpu", "memory"]
        .into_iter()
        .filter(|name| {
            ["limits", "requests"]
                .iter()
                .any(|list| container["resources"][*list].get(*name).is_some())
        })
        .collect();
    if admission.resize && !names.is_empty() {
        let policies = names
            .iter()
            .map(|name| json!({"resourceName": name, "restartPolicy": "NotRequired"}));
        let policies = policies.collect();
        default(container, "resizePolicy", policies);
    }
}

fn http_get(get: &mut Value) {
    default(get, "path", json!("/"));
    default(get, "scheme", json!("HTTP"));
}

fn resources(resources: &mut Value) {
    for (name, amount) in resources["limits"]
        .as_object()
        .cloned()
        .into_iter()
        .flatten()
    {
        default(resources, "requests", json!({}));
        default(&mut resources["requests"], &name, amount);
    }
    for list in ["limits", "requests"] {
        for amount in resources[list]
            .as_object_mut()
            .into_iter()
            .flat_map(|amounts| amounts.values_mut())
        {
            *amount = quantity(amount);
        }
    }
}

/// The spelling of the few quantities that are used here.
pub(crate) fn quantity(amount: &Value) -> Value {
    let text = amount
        .as_str()
        .map_or_else(|| amount.to_string(), str::to_owned);
    json!(match text.as_str() {
        "1000m" => "1",
        "0.5" => "500m",
        "1024Mi" => "1Gi",
        other => other,
    })
}

fn volume(volume: &mut Value) {
    let fields = volume.as_object_mut().unwrap();
    if fields.len() == 1 {
        fields.insert("emptyDir".to_owned(), json!({}));
    }
    if let Some(host) = volume.get_mut("hostPath") {
        default(host, "type", json!(""));
    }
    if let Some(files) = volume.get_mut("configMap") {
        default(files, "defaultMode", json!(420));
    }
    if let Some(limit) = volume.pointer_mut("/emptyDir/sizeLimit") {
        *limit = quantity(limit);
    }
}

/// What Go's `omitempty` leaves out; pointers (in security contexts, `hostPath.type`) keep their
/// zeros.
fn drop_zeros(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|field, value| {
                let pointer = matches!(
                    field.as_str(),
                    "privileged" | "runAsUser" | "type" | "runAsNonRoot"
                );
                let zero = match &*value {
                    Value::Null => true,
                    Value::Bool(false) => !pointer,
                    Value::String(text) => text.is_empty() && !pointer,
                    Value::Number(number) => number.as_f64() == Some(0.0) && !pointer,
                    Value::Array(items) => items.is_empty(),
                    _ => false,
                };
                !zero
            });
            fields.values_mut().for_each(drop_zeros);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_zeros),
        _ => {}
    }
}
