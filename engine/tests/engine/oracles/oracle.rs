//! What the API server would refuse a pod for, as far as injection can touch it
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>).

use std::collections::HashSet;

use serde_json::Value;

/// Every rule that the pod breaks; none for a pod that is accepted.
pub(crate) fn faults(pod: &Value) -> Vec<String> {
    let mut oracle = Oracle { faults: Vec::new() };
    oracle.texts(&pod["metadata"]);
    let volumes = oracle.volumes(&pod["spec"]);
    let mut names = HashSet::new();
    for list_name in ["initContainers", "containers"] {
        for (index, container) in list(&pod["spec"], list_name).iter().enumerate() {
            let at = format!("spec.{list_name}[{index}]");
            let name = text(&container["name"]);
            oracle.name(&at, name);
            oracle.rule(names.insert(name.to_owned()), || {
                format!("{at}: the name is there twice")
            });
            oracle.container(container, &at, list_name == "initContainers", &volumes);
        }
    }
    let containers = list(&pod["spec"], "containers");
    oracle.rule(!containers.is_empty(), || {
        "spec.containers: is required".to_owned()
    });
    oracle.faults
}

struct Oracle {
    faults: Vec<String>,
}

fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
}

fn is_label_name(name: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    inner && name.len() <= 63 && ends(name.chars().next()) && ends(name.chars().last())
}

impl Oracle {
    fn rule(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }

    /// RFC 1123.
    fn name(&mut self, at: &str, name: &str) {
        let inner = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let fits = (1..=63).contains(&name.len()) && !name.starts_with('-') && !name.ends_with('-');
        self.rule(inner && fits, || format!("{at}: {name:?} is no DNS label"));
    }

    fn texts(&mut self, metadata: &Value) {
        for field in ["labels", "annotations"] {
            for (key, value) in entries(&metadata[field]) {
                let name = key.rsplit('/').next().unwrap_or_default();
                self.rule(is_label_name(name) && key.split('/').count() <= 2, || {
                    format!("metadata.{field}: {key:?} is no key")
                });
                let fits =
                    field == "annotations" || text(value).is_empty() || is_label_name(text(value));
                self.rule(value.is_string() && fits, || {
                    format!("metadata.{field}[{key}]: is no value")
                });
            }
        }
    }

    fn volumes(&mut self, spec: &Value) -> HashSet<String> {
        let mut names = HashSet::new();
        for (index, volume) in list(spec, "volumes").iter().enumerate() {
            let at = format!("spec.volumes[{index}]");
            let name = text(&volume["name"]);
            self.name(&at, name);
            self.rule(names.insert(name.to_owned()), || {
                format!("{at}: the name is there twice")
            });
            let sources = entries(volume)
                .filter(|(field, _)| *field != "name")
                .count();
            self.rule(sources <= 1, || format!("{at}: has {sources} sources"));
            let limit = &volume["emptyDir"]["sizeLimit"];
            self.rule(limit.is_null() || is_quantity(limit), || {
                format!("{at}: sizeLimit is no quantity")
            });
        }
        names
    }

    fn container(&mut self, container: &Value, at: &str, init: bool, volumes: &HashSet<String>) {
        self.rule(!text(&container["image"]).is_empty(), || {
            format!("{at}.image: is required")
        });
        for (index, env) in list(container, "env").iter().enumerate() {
            let name = text(&env["name"]);
            let printable = name
                .bytes()
                .all(|b| (b' '..=b'~').contains(&b) && b != b'=');
            self.rule(printable && !name.is_empty(), || {
                format!("{at}.env[{index}]: no valid name")
            });
            let both = !text(&env["value"]).is_empty() && !env["valueFrom"].is_null();
            self.rule(!both, || format!("{at}.env[{index}]: value and valueFrom"));
        }
        let mut paths = HashSet::new();
        for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
            let at = format!("{at}.volumeMounts[{index}]");
            let path = text(&mount["mountPath"]);
            self.rule(!path.is_empty() && !path.contains(':'), || {
                format!("{at}: {path:?} is no mount path")
            });
            // The API server compares letter by letter; the runtime would mount one over the other.
            let clean = invariants::paths::clean(path);
            self.rule(paths.insert(clean), || {
                format!("{at}: {path:?} is mounted twice")
            });
            self.rule(volumes.contains(text(&mount["name"])), || {
                format!("{at}: there is no such volume")
            });
            let sub = text(&mount["subPath"]);
            self.rule(
                !sub.starts_with('/') && !sub.split('/').any(|part| part == ".."),
                || format!("{at}: no valid subPath"),
            );
        }
        let restart = &container["restartPolicy"];
        let allowed = restart.is_null() || (init && *restart == "Always");
        self.rule(allowed, || format!("{at}.restartPolicy: is not allowed"));
        let sidecar = init && *restart == "Always";
        if init && !sidecar {
            for field in [
                "lifecycle",
                "livenessProbe",
                "readinessProbe",
                "startupProbe",
            ] {
                self.rule(container[field].is_null(), || {
                    format!("{at}.{field}: only with restartPolicy Always")
                });
            }
        }
        for (hook, handlers) in entries(&container["lifecycle"]) {
            let handlers: Vec<_> = entries(handlers).collect();
            self.rule(handlers.len() == 1, || {
                format!("{at}.lifecycle.{hook}: one handler")
            });
            for (handler, value) in handlers {
                let command = list(value, "command");
                self.rule(handler != "exec" || !command.is_empty(), || {
                    format!("{at}.lifecycle.{hook}: an empty command")
                });
            }
        }
        for list_name in ["limits", "requests"] {
            for (name, amount) in entries(&container["resources"][list_name]) {
                self.rule(is_quantity(amount), || {
                    format!("{at}.resources.{list_name}[{name}]: no quantity")
                });
            }
        }
    }
}

fn is_quantity(value: &Value) -> bool {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let suffixes = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    number.parse::<f64>().is_ok() && suffixes.contains(&suffix)
}
