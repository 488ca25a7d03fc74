//! From a checked runtime's JSON to the compiled form that the engine works with.
//!
//! Everything that does not depend on the pod is worked out here, once for each load: compact JSON, normal
//! forms, chained scripts, who is privileged. The input has passed the checks, so nothing here can fail; what is
//! missing reads as absent.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::lint::list as list_of;
use super::{BorrowedVolume, Container, Hook, Item, MainContainer, Runtime, Volume};
use crate::kube::hook_chain::{Chain, Order, exec_command};
use crate::kube::normalize::{Kind, clean_path, normal};
use crate::patch::Fragment;

/// Compiles one runtime.
pub(super) fn runtime(name: &str, value: &Value) -> Runtime {
    let main = &value["mainContainer"];
    let mut init_containers = containers(value, "csiSidecar");
    init_containers.extend(containers(value, "initContainers"));
    let containers = containers(value, "containers");
    let privileged = why_privileged(value);
    let main_mounts: Vec<&str> = volume_names(main).collect();
    let volumes: Vec<Volume> = items(value, "volume", Kind::Volume)
        .map(|item| Volume {
            must_match: !privileged.is_empty(),
            exclusive: !privileged.is_empty() && !main_mounts.contains(&item.identity.as_str()),
            item,
        })
        .collect();
    let mut runtime = Runtime {
        name: name.to_owned(),
        digest: digest(value),
        main: MainContainer {
            name: main["name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
            env: nested(main, "$.mainContainer", "env", Kind::Env).collect(),
            volume_mounts: nested(main, "$.mainContainer", "volumeMounts", Kind::Mount).collect(),
            post_start: hook(main, "postStart", Order::InjectedFirst),
            pre_stop: hook(main, "preStop", Order::PodFirst),
        },
        init_containers,
        containers,
        volumes,
        labels: texts(&value["labels"]),
        annotations: texts(&value["annotations"]),
        privileged,
        borrowed_volumes: Vec::new(),
    };
    runtime.borrowed_volumes = borrowed_volumes(value, &runtime);
    runtime
}

/// The lists of containers, in the order in which they are injected.
pub(super) const CONTAINER_LISTS: [&str; 3] = ["csiSidecar", "initContainers", "containers"];

fn containers(value: &Value, list: &str) -> Vec<Container> {
    let raw = list_of(value, list);
    items(value, list, Kind::Container)
        .zip(raw)
        .map(|(item, container)| Container {
            item,
            privileged: !container_privileges(container).is_empty(),
            sets_user: ["runAsUser", "runAsNonRoot"]
                .iter()
                .any(|field| !container["securityContext"][field].is_null()),
            bidirectional: is_bidirectional(container),
            volumes: volume_names(container).map(str::to_owned).collect(),
        })
        .collect()
}

fn items<'v>(value: &'v Value, list: &'v str, kind: Kind) -> impl Iterator<Item = Item> + 'v {
    nested(value, "$", list, kind)
}

fn nested<'v>(value: &'v Value, path: &'v str, list: &'v str, kind: Kind) -> impl Iterator<Item = Item> + 'v {
    let values = list_of(value, list);
    values.iter().enumerate().map(move |(index, value)| {
        let identity = kind.identity().and_then(|field| value[field].as_str()).unwrap_or_default();
        Item {
            identity: if kind == Kind::Mount {
                clean_path(identity).into_owned()
            } else {
                identity.to_owned()
            },
            json: Fragment::new(value.to_string()),
            normal: normal(kind, value),
            at: format!("{path}.{list}[{index}]"),
        }
    })
}

fn hook(main: &Value, name: &str, order: Order) -> Option<Hook> {
    let value = &main["lifecycle"][name];
    let normal = normal(Kind::Hook, value)?;
    let argv = exec_command(&normal);
    Some(Hook {
        json: Fragment::new(value.to_string()),
        exec: argv.map(|argv| {
            let chain = Chain::new(&argv, order);
            (argv, chain)
        }),
        normal: Some(normal),
        at: format!("$.mainContainer.lifecycle.{name}"),
    })
}

fn texts(value: &Value) -> Vec<(String, String)> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// The volumes that a container mounts or maps as block devices.
fn volume_names(container: &Value) -> impl Iterator<Item = &str> {
    ["volumeMounts", "volumeDevices"]
        .into_iter()
        .flat_map(|list| list_of(container, list))
        .filter_map(|mount| mount["name"].as_str())
}

fn is_bidirectional(container: &Value) -> bool {
    let mounts = list_of(container, "volumeMounts");
    mounts.iter().any(|mount| mount["mountPropagation"] == "Bidirectional")
}

/// What makes a container privileged, in words.
fn container_privileges(container: &Value) -> Vec<&'static str> {
    let context = &container["securityContext"];
    let adds = context["capabilities"]["add"].as_array().is_some_and(|added| !added.is_empty());
    let mut reasons = Vec::new();
    if context["privileged"] == true {
        reasons.push("is privileged");
    }
    if adds {
        reasons.push("adds capabilities");
    }
    if is_bidirectional(container) {
        reasons.push("mounts Bidirectional");
    }
    reasons
}

/// Why a runtime is privileged: its containers, and host paths that it brings.
pub(super) fn why_privileged(value: &Value) -> Vec<String> {
    let mut reasons = Vec::new();
    if is_bidirectional(&value["mainContainer"]) {
        reasons.push("the main container mounts Bidirectional".to_owned());
    }
    for list in CONTAINER_LISTS {
        for container in list_of(value, list) {
            let name = container["name"].as_str().unwrap_or_default();
            reasons
                .extend(container_privileges(container).iter().map(|why| format!("container {name} {why}")));
        }
    }
    for volume in list_of(value, "volume") {
        if !volume["hostPath"].is_null() {
            reasons.push(format!("volume {} is a hostPath", volume["name"].as_str().unwrap_or_default()));
        }
    }
    reasons
}

fn borrowed_volumes(value: &Value, runtime: &Runtime) -> Vec<BorrowedVolume> {
    let mut borrowed = Vec::new();
    let mut visit = |container: &Value, path: &str, privileged: bool| {
        for list in ["volumeMounts", "volumeDevices"] {
            for (index, mount) in list_of(container, list).iter().enumerate() {
                let volume = mount["name"].as_str().unwrap_or_default();
                if !runtime.volumes.iter().any(|own| own.item.identity == volume) {
                    borrowed.push(BorrowedVolume {
                        volume: volume.to_owned(),
                        at: format!("{path}.{list}[{index}]"),
                        privileged,
                    });
                }
            }
        }
    };
    visit(&value["mainContainer"], "$.mainContainer", false);
    for list in CONTAINER_LISTS {
        for (index, container) in list_of(value, list).iter().enumerate() {
            visit(container, &format!("$.{list}[{index}]"), !container_privileges(container).is_empty());
        }
    }
    borrowed
}

/// The sha256 of the value's JSON with sorted keys and no white space, in hex.
pub(super) fn digest(value: &Value) -> String {
    let mut hash = Sha256::new();
    hash.update(sorted(value).to_string());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut entries: Vec<_> = fields.iter().collect();
            entries.sort_by_key(|(field, _)| *field);
            Value::Object(
                entries
                    .into_iter()
                    .map(|(field, value)| (field.clone(), sorted(value)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_digest_ignores_key_order_and_white_space() {
        let one: Value = serde_json::from_str(r#"{"b": 1, "a": {"d": [1, 2], "c": "x"}}"#).unwrap();
        assert_eq!(digest(&one), digest(&json!({"a": {"c": "x", "d": [1, 2]}, "b": 1})));
        // printf '{"a":{"c":"x","d":[1,2]},"b":1}' | sha256sum
        assert!(digest(&one).starts_with("830c7b7f8c79"), "{}", digest(&one));
    }

    #[test]
    fn a_volume_is_own_when_the_main_container_does_not_mount_it() {
        let compiled = runtime(
            "x",
            &json!({"mainContainer": {"volumeMounts": [{"name": "shared", "mountPath": "/s"}]},
                "csiSidecar": [{"name": "c", "securityContext": {"privileged": true}}],
                "volume": [{"name": "shared", "emptyDir": {}}, {"name": "mine", "emptyDir": {}}]}),
        );
        let own: Vec<_> =
            compiled.volumes.iter().map(|volume| (volume.must_match, volume.exclusive)).collect();
        assert_eq!(own, [(true, false), (true, true)]);
        assert_eq!(compiled.privileged, ["container c is privileged"]);
        assert!(compiled.borrowed_volumes.is_empty());
    }
}
