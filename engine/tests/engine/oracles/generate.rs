//! Pods and configurations that collide often: everything comes from small pools, and most of it is the same on
//! both sides.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::paths::clean;

/// What a pod holds and nobody may read in an answer.
pub(crate) const SECRET: &str = "s3cr3t";

/// A configuration and the requested runtimes.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The runtimes by name.
    pub(crate) runtimes: Vec<(String, Value)>,
    /// Which ones, in which order.
    pub(crate) asked: Vec<String>,
}

impl Setup {
    /// The entries of the configuration.
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        self.runtimes.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    }

    /// The requested runtimes.
    pub(crate) fn asked(&self) -> Vec<(&str, &Value)> {
        let find = |name: &String| self.runtimes.iter().find(|(other, _)| other == name);
        self.asked.iter().filter_map(find).map(|(name, value)| (name.as_str(), value)).collect()
    }
}

const CONTAINERS: [&str; 4] = ["alpha", "beta", "gamma", "second"];
const VOLUMES: [&str; 4] = ["host", "scratch", "files", "claim"];
const PATHS: [&str; 5] = ["/a", "/a/", "/b//c", "/b/c", "/d"];
const VARIABLES: [&str; 4] = ["A", "B", "LD_PRELOAD", "_X.y-z"];

fn name(pool: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    select(pool)
}

fn set(object: &mut Value, field: &str, value: Value) {
    object[field] = value;
}

fn push(object: &mut Value, field: &str, value: Value) {
    match &mut object[field] {
        Value::Array(items) => items.push(value),
        other => *other = json!([value]),
    }
}

// === parts ===

fn env(value: &'static str) -> impl Strategy<Value = Value> {
    (name(&VARIABLES), 0..6).prop_map(move |(name, form)| match form {
        0 => json!({"name": name}),
        1 => json!({"name": name, "value": ""}),
        2 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}),
        3 => json!({"name": name, "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}}),
        4 => json!({"name": name, "value": value}),
        _ => json!({"name": name, "value": "1"}),
    })
}

fn mount() -> impl Strategy<Value = Value> {
    (name(&VOLUMES), name(&PATHS), 0..10).prop_map(|(volume, path, form)| {
        let mut mount = json!({"name": volume, "mountPath": path});
        match form {
            0 => set(&mut mount, "readOnly", json!(true)),
            1 => set(&mut mount, "readOnly", json!(false)),
            2 => set(&mut mount, "subPath", json!("sub")),
            3 => set(&mut mount, "mountPropagation", json!("None")),
            4 => set(&mut mount, "mountPropagation", json!("HostToContainer")),
            _ => {}
        }
        mount
    })
}

/// The volume of that name, usually the same one.
fn volume() -> impl Strategy<Value = Value> {
    (0..VOLUMES.len(), 0..12).prop_map(|(index, form)| {
        let name = VOLUMES[index];
        match (form, index) {
            (0, _) => json!({"name": name}),
            (1, _) => json!({"name": name, "emptyDir": {}}),
            (2, _) => json!({"name": name, "emptyDir": {"medium": "Memory"}}),
            (3, _) => json!({"name": name, "emptyDir": {"sizeLimit": "1024Mi"}}),
            (4, _) => json!({"name": name, "configMap": {"name": "x", "items": [{"key": "k", "path": "p"}]}}),
            (5, _) => json!({"name": name, "hostPath": {"path": "/other", "type": ""}}),
            (_, 0) => json!({"name": name, "hostPath": {"path": "/host", "type": "Directory"}}),
            (_, 1) => json!({"name": name, "emptyDir": {"sizeLimit": "1Gi"}}),
            (_, 2) => json!({"name": name, "configMap": {"name": "x"}}),
            _ => json!({"name": name, "persistentVolumeClaim": {"claimName": "c"}}),
        }
    })
}

fn exec(word: &'static str) -> impl Strategy<Value = Value> {
    (0..7).prop_map(move |form| match form {
        0 => json!({"exec": {"command": ["bash", "-c", "/start"]}}),
        1 => json!({"exec": {"command": ["/bin/bash", "-c", "/start"]}}),
        2 => json!({"exec": {"command": ["bash", "-c", "/start; exit 0"]}}),
        3 => json!({"exec": {"command": ["/run", "a b", ""]}}),
        4 => json!({"exec": {"command": ["sh", "/start"]}}),
        _ => json!({"exec": {"command": ["echo", word]}}),
    })
}

fn hook(word: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => exec(word),
        1 => (0..4).prop_map(|form| match form {
            0 => json!({"httpGet": {"port": 80}}),
            1 => json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}}),
            2 => json!({"tcpSocket": {"port": 80}}),
            _ => json!({"sleep": {"seconds": 1}}),
        }),
    ]
}

fn lifecycle(word: &'static str) -> impl Strategy<Value = Value> {
    (option::of(hook(word)), option::weighted(0.3, hook(word))).prop_map(|(start, stop)| {
        let mut lifecycle = json!({});
        if let Some(start) = start {
            set(&mut lifecycle, "postStart", start);
        }
        if let Some(stop) = stop {
            set(&mut lifecycle, "preStop", stop);
        }
        lifecycle
    })
}

/// A change to a container, by number.
fn change(container: &mut Value, form: u8, mount: Value, env: Value, hook: Value) {
    let sidecar = container["restartPolicy"] == "Always";
    match form {
        0 => set(container, "image", json!("registry/image:2")),
        1 => set(container, "command", json!(["sh", "-c", SECRET])),
        2 => set(container, "args", json!(["--flag", ""])),
        3 => push(container, "env", env),
        4 | 5 => push(container, "volumeMounts", mount),
        6 => set(container, "securityContext", json!({"privileged": true})),
        7 => set(container, "securityContext", json!({"runAsUser": 0})),
        8 => set(container, "securityContext", json!({"privileged": false})),
        9 if sidecar => set(container, "lifecycle", json!({"postStart": hook})),
        10 if sidecar => set(container, "livenessProbe", json!({"httpGet": {"port": 80}})),
        11 => set(container, "resources", json!({"limits": {"cpu": "1000m", "memory": "1024Mi"}})),
        12 => set(container, "resources", json!({"limits": {"cpu": 1}, "requests": {"cpu": 0.5}})),
        13 => set(container, "resources", json!({"limits": {"example.com/gpu": 1}})),
        14 => set(container, "ports", json!([{"containerPort": 53}])),
        15 => {
            set(container, "ports", json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]));
        }
        16 => set(container, "image", json!(format!("registry/image:1@sha256:{}", "0a".repeat(32)))),
        17 => set(container, "futureField", json!({"x": 1})),
        18 => set(container, "imagePullPolicy", json!("Always")),
        19 => set(container, "terminationMessagePath", json!("/dev/termination-log")),
        _ => {}
    }
}

/// The container of that name, usually the same one.
fn container(pool: &'static [&'static str], word: &'static str) -> impl Strategy<Value = Value> {
    let changes = vec((0_u8..20, mount(), env(word), exec(word)), 0..3);
    (name(pool), prop::bool::weighted(0.4), changes).prop_map(|(name, changed, changes)| {
        let mut container = match name {
            "alpha" => json!({"name": name, "image": "registry/image:1", "restartPolicy": "Always",
                "env": [{"name": "A", "value": "1"}], "volumeMounts": [{"name": "scratch", "mountPath": "/a"}]}),
            "beta" => json!({"name": name, "image": "registry/image:1", "restartPolicy": "Always", "args": ["--beta"],
                "securityContext": {"privileged": true},
                "volumeMounts": [{"name": "host", "mountPath": "/b/c", "mountPropagation": "Bidirectional"},
                    {"name": "scratch", "mountPath": "/d"}]}),
            "gamma" => json!({"name": name, "image": "registry/image:1", "command": ["/gamma"],
                "volumeMounts": [{"name": "scratch", "mountPath": "/a"}, {"name": "files", "mountPath": "/d"}]}),
            name => json!({"name": name, "image": "registry/image:1"}),
        };
        for (form, mount, env, hook) in changes.into_iter().filter(|_| changed) {
            change(&mut container, form, mount, env, hook);
        }
        unique(&mut container, "env", |env| env["name"].to_string());
        unique(&mut container, "volumeMounts", |mount| clean(mount["mountPath"].as_str().unwrap()));
        container
    })
}

/// Only the first of the items that share an identity stays.
fn unique(object: &mut Value, field: &str, identity: impl Fn(&Value) -> String) {
    if let Some(items) = object[field].as_array_mut() {
        let mut seen = Vec::new();
        items.retain(|item| {
            let id = identity(item);
            let new = !seen.contains(&id);
            seen.push(id);
            new
        });
    }
    prune(object, field);
}

/// `object[field]` made a null where there was nothing.
fn prune(object: &mut Value, field: &str) {
    if object[field].is_null() {
        object.as_object_mut().unwrap().shift_remove(field);
    }
}

fn texts() -> impl Strategy<Value = Value> {
    vec((select(&["team", "example.com/level"][..]), select(&["1", "2"][..])), 0..3).prop_map(|entries| {
        Value::Object(entries.into_iter().map(|(key, text)| (key.to_owned(), json!(text))).collect())
    })
}

// === configurations ===

fn main_container() -> impl Strategy<Value = Value> {
    let name =
        prop_oneof![8 => Just(None), 1 => Just(Some("")), 2 => Just(Some("main")), 1 => Just(Some("second"))];
    (name, vec(env("x"), 0..3), vec(mount(), 0..3), option::weighted(0.6, lifecycle("x"))).prop_map(
        |(name, env, mounts, lifecycle)| {
            let mut main = json!({"env": env, "volumeMounts": mounts, "resources": {}});
            if let Some(name) = name {
                set(&mut main, "name", json!(name));
            }
            if let Some(lifecycle) = lifecycle {
                set(&mut main, "lifecycle", lifecycle);
            }
            unique(&mut main, "env", |env| env["name"].to_string());
            unique(&mut main, "volumeMounts", |mount| clean(mount["mountPath"].as_str().unwrap()));
            main
        },
    )
}

fn runtime() -> impl Strategy<Value = Value> {
    let list = || vec(container(&CONTAINERS, "x"), 0..2);
    (
        main_container(),
        list(),
        list(),
        vec(container(&CONTAINERS, "x"), 0..2),
        vec(volume(), 0..4),
        texts(),
        texts(),
    )
        .prop_map(|(main, sidecars, init, containers, volumes, labels, annotations)| {
            let mut runtime = json!({"mainContainer": main, "csiSidecar": sidecars, "initContainers": init,
                "containers": containers, "volume": volumes, "labels": labels, "annotations": annotations});
            unique(&mut runtime, "volume", |volume| volume["name"].to_string());
            let mut names = Vec::new();
            for list in ["csiSidecar", "initContainers", "containers"] {
                let items = runtime[list].as_array_mut().unwrap();
                items.retain(|container| {
                    let new = !names.contains(&container["name"]);
                    names.push(container["name"].clone());
                    new
                });
                if list == "containers" {
                    for container in items {
                        container.as_object_mut().unwrap().shift_remove("restartPolicy");
                    }
                }
            }
            runtime
        })
}

/// A configuration that loads, and what is asked of it.
pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    vec(runtime(), 1..4).prop_flat_map(|mut values| {
        let volumes: Vec<Value> = values
            .iter()
            .flat_map(|runtime| runtime["volume"].as_array().unwrap())
            .map(|volume| volume["name"].clone())
            .collect();
        for runtime in &mut values {
            for container in containers_of(runtime) {
                if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                    mounts.retain(|mount| volumes.contains(&mount["name"]));
                }
                prune(container, "volumeMounts");
            }
        }
        let names: Vec<String> = (1..=values.len()).map(|number| format!("runtime-{number}")).collect();
        let runtimes: Vec<(String, Value)> = names.iter().cloned().zip(values).collect();
        let asked = prop_oneof![
            3 => Just(names.clone()),
            1 => subsequence(names.clone(), 1..=names.len()).prop_shuffle(),
        ];
        asked.prop_map(move |asked| Setup { runtimes: runtimes.clone(), asked })
    })
}

/// All containers of a runtime, the main one included.
fn containers_of(runtime: &mut Value) -> Vec<&mut Value> {
    let mut all = Vec::new();
    for (field, value) in runtime.as_object_mut().unwrap() {
        match field.as_str() {
            "mainContainer" => all.push(value),
            "csiSidecar" | "initContainers" | "containers" => all.extend(value.as_array_mut().unwrap()),
            _ => {}
        }
    }
    all
}

// === pods ===

fn own_container() -> impl Strategy<Value = Value> {
    let parts = (vec(env(SECRET), 0..3), vec(mount(), 0..3), option::weighted(0.4, lifecycle(SECRET)), 0..12);
    parts.prop_map(|(env, mounts, lifecycle, form)| {
        let mut main = json!({"name": "main", "image": "ubuntu:24.04", "env": env, "volumeMounts": mounts});
        if let Some(lifecycle) = lifecycle {
            set(&mut main, "lifecycle", lifecycle);
        }
        unique(&mut main, "volumeMounts", |mount| clean(mount["mountPath"].as_str().unwrap()));
        match form {
            0 => set(&mut main, "env", Value::Null),
            1 => set(&mut main, "volumeMounts", Value::Null),
            2 => set(&mut main, "lifecycle", Value::Null),
            3 => set(&mut main, "lifecycle", json!({"postStart": {"exec": {"command": []}}})),
            4 => set(&mut main, "lifecycle", json!({"preStop": null})),
            5 => set(&mut main, "futureField", json!([1, {"x": null}])),
            6 => set(&mut main, "command", json!(["sh", "-c", SECRET])),
            _ => {}
        }
        main
    })
}

fn metadata() -> impl Strategy<Value = Value> {
    (texts(), texts(), 0..10).prop_map(|(mut labels, mut annotations, form)| {
        labels["agents.kruise.io/sandbox-pool"] = json!("demo");
        match form {
            0 => annotations = Value::Null,
            1 => annotations["kubectl.kubernetes.io/default-container"] = json!("second"),
            2 => annotations["kubectl.kubernetes.io/default-container"] = json!("nobody"),
            3 => annotations["sandbox-injector.io/status"] = json!(SECRET),
            _ => {}
        }
        let mut metadata = json!({"namespace": "default", "labels": labels, "annotations": annotations});
        match form {
            4 => set(&mut metadata, "generateName", json!("demo-")),
            _ => set(&mut metadata, "name", json!("demo-x7k2m")),
        }
        if form == 5 {
            metadata.as_object_mut().unwrap().shift_remove("annotations");
        }
        metadata
    })
}

/// A pod as its owner wrote it. It passes the rules of the API server more often than not.
pub(crate) fn pod() -> impl Strategy<Value = Value> {
    let others = vec(container(&CONTAINERS, SECRET), 0..2);
    let init = vec(container(&CONTAINERS, SECRET), 0..3);
    (metadata(), own_container(), others, init, vec(volume(), 0..4), 0..12).prop_map(
        |(metadata, main, others, init, volumes, form)| {
            let mut containers = vec![main];
            containers.extend(others.into_iter().map(|mut container| {
                container.as_object_mut().unwrap().shift_remove("restartPolicy");
                container
            }));
            let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                "spec": {"volumes": volumes, "initContainers": init, "containers": containers}});
            let spec = &mut pod["spec"];
            unique(spec, "volumes", |volume| volume["name"].to_string());
            unique(spec, "initContainers", |container| container["name"].to_string());
            let init = spec["initContainers"].clone();
            let taken: Vec<Value> =
                init.as_array().into_iter().flatten().map(|container| container["name"].clone()).collect();
            let containers = spec["containers"].as_array_mut().unwrap();
            containers.retain(|container| !taken.contains(&container["name"]));
            unique(spec, "containers", |container| container["name"].to_string());
            let fields: &mut Map<String, Value> = spec.as_object_mut().unwrap();
            match form {
                0 => fields["volumes"] = Value::Null,
                1 => fields["initContainers"] = Value::Null,
                2 => drop(fields.shift_remove("volumes")),
                3 => drop(fields.shift_remove("initContainers")),
                4 => drop(fields.insert("securityContext".to_owned(), json!({"runAsNonRoot": true}))),
                5 => drop(fields.insert("runtimeClassName".to_owned(), json!("gvisor"))),
                6 => drop(fields.insert("futureField".to_owned(), json!(SECRET))),
                _ => {}
            }
            pod
        },
    )
}
