//! Pods and configurations out of a stream of bytes. They collide often: everything comes from
//! small pools, and most of it is the same on both sides.
//!
//! A [`Generator::tidy`] one makes configurations that load and pods as their owners write them, in
//! the forms that the model of the engine's tests knows. A [`Generator::wild`] one knows more
//! forms, and spoils some of what it makes.

mod container;
mod spoil;

use arbitrary::Unstructured;
use engine::config::config_map::Entries;
use serde_json::{Value, json};

pub use self::spoil::pointers;
use super::paths::clean;

/// What a pod contains and no answer may repeat.
pub const SECRET: &str = "s3cr3t";

const RUNTIMES: [&str; 3] = ["csi", "agent-runtime", "tools"];
const CONTAINERS: [&str; 4] = ["alpha", "beta", "gamma", "second"];
const VOLUMES: [&str; 4] = ["host", "scratch", "files", "claim"];
const PATHS: [&str; 5] = ["/a", "/a/", "/b//c", "/b/c", "/d"];
const VARIABLES: [&str; 4] = ["A", "B", "LD_PRELOAD", "_X.y-z"];

/// A configuration and the requested runtimes.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The runtimes by name.
    pub runtimes: Vec<(String, Value)>,
    /// Which ones, in which order.
    pub asked: Vec<String>,
}

impl Setup {
    /// The entries of the configuration.
    pub fn entries(&self) -> Entries {
        self.runtimes
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect()
    }

    /// The requested runtimes.
    pub fn asked(&self) -> Vec<(&str, &Value)> {
        let find = |name: &String| self.runtimes.iter().find(|(other, _)| other == name);
        self.asked
            .iter()
            .filter_map(find)
            .map(|(name, value)| (name.as_str(), value))
            .collect()
    }
}

/// Makes pods and configurations of the choices that bytes stand for. Where the bytes end, the
/// first choice is made.
pub struct Generator<'s, 'd> {
    bytes: &'s mut Unstructured<'d>,
    wild: bool,
}

impl<'s, 'd> Generator<'s, 'd> {
    /// Makes what the model knows.
    pub fn tidy(bytes: &'s mut Unstructured<'d>) -> Self {
        Self { bytes, wild: false }
    }

    /// Makes more forms, and spoils some.
    pub fn wild(bytes: &'s mut Unstructured<'d>) -> Self {
        Self { bytes, wild: true }
    }

    // Choices

    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        self.bytes.int_in_range(0..=count - 1).unwrap_or(0)
    }

    /// A form below `tidy`, or below `wild` where more forms are wanted.
    fn form(&mut self, tidy: usize, wild: usize) -> usize {
        let count = if self.wild { wild } else { tidy };
        self.below(count)
    }

    /// True once in `count` times, and never once the bytes are used up.
    fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn pick<'p>(&mut self, pool: &[&'p str]) -> &'p str {
        pool[self.below(pool.len())]
    }

    /// Up to `most` items.
    fn list(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> Value) -> Vec<Value> {
        (0..self.below(most + 1)).map(|_| item(self)).collect()
    }

    // Parts

    /// The volume of that name, usually the same one.
    fn volume(&mut self) -> Value {
        let index = self.below(VOLUMES.len());
        let name = VOLUMES[index];
        match (self.form(12, 15), index) {
            (0, _) => json!({"name": name}),
            (1, _) => json!({"name": name, "emptyDir": {}}),
            (2, _) => json!({"name": name, "emptyDir": {"medium": "Memory"}}),
            (3, _) => json!({"name": name, "emptyDir": {"sizeLimit": "1024Mi"}}),
            (4, _) => {
                json!({"name": name, "configMap": {"name": "x", "items": [{"key": "k", "path": "p"}]}})
            }
            (5, _) => json!({"name": name, "hostPath": {"path": "/other", "type": ""}}),
            (12, _) => json!({"name": name, "hostPath": {"path": "/host"}}),
            (13, _) => json!({"name": name, "configMap": {"name": "x", "defaultMode": 420}}),
            (14, _) => {
                let token =
                    json!({"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}});
                json!({"name": name, "projected": {"sources": [token]}})
            }
            (_, 0) => json!({"name": name, "hostPath": {"path": "/host", "type": "Directory"}}),
            (_, 1) => json!({"name": name, "emptyDir": {"sizeLimit": "1Gi"}}),
            (_, 2) => json!({"name": name, "configMap": {"name": "x"}}),
            _ => json!({"name": name, "persistentVolumeClaim": {"claimName": "c"}}),
        }
    }

    /// Labels or annotations.
    fn metadata_map(&mut self) -> Value {
        let mut map = json!({});
        for _ in 0..self.below(3) {
            let keys = [
                "team",
                "example.com/level",
                "a~b",
                "sandbox-injector.io/status",
            ];
            let key = keys[self.form(2, 4)];
            map[key] = json!(["1", "2", ""][self.form(2, 3)]);
        }
        map
    }

    // Configurations

    fn runtime(&mut self) -> Value {
        let mut runtime = json!({
            "mainContainer": self.main_container(),
            "csiSidecar": self.list(1, |this| this.container("x")),
            "initContainers": self.list(1, |this| this.container("x")),
            "containers": self.list(1, |this| this.container("x")),
            "volume": self.list(3, Self::volume),
            "labels": self.metadata_map(),
            "annotations": self.metadata_map(),
        });
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
                    remove(container, "restartPolicy");
                }
            }
        }
        runtime
    }

    /// A configuration that loads unless it is spoilt, and what is requested of it.
    pub fn setup(&mut self) -> Setup {
        let count = 1 + self.below(RUNTIMES.len());
        let mut values: Vec<Value> = (0..count).map(|_| self.runtime()).collect();
        let volumes: Vec<Value> = values
            .iter()
            .flat_map(|runtime| runtime["volume"].as_array().unwrap())
            .map(|volume| volume["name"].clone())
            .collect();
        for container in values.iter_mut().flat_map(containers_of) {
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.retain(|mount| volumes.contains(&mount["name"]));
            }
            prune(container, "volumeMounts");
        }
        for value in &mut values {
            if self.wild && self.once_in(8) {
                self.spoil(value);
            }
        }
        // The model knows none of the names that have a meaning of their own.
        let name = |index: usize| {
            if self.wild {
                RUNTIMES[index].to_owned()
            } else {
                format!("runtime-{}", index + 1)
            }
        };
        let mut asked: Vec<String> = (0..count).map(name).collect();
        let runtimes = asked.iter().cloned().zip(values).collect();
        // Usually all of them; now and then some, in another order.
        if self.once_in(4) {
            let first = self.below(count);
            asked.rotate_left(first);
            asked.truncate(1 + self.below(count));
        }
        Setup { runtimes, asked }
    }

    /// The entries of a configuration, now and then with rules for pools.
    pub fn entries(&mut self) -> Entries {
        let mut entries = self.setup().entries();
        if self.once_in(16) {
            let rule = json!({"system": "opensandbox", "pool": "team-*", "runtimes": [self.pick(&RUNTIMES)]});
            let added = entries.insert("pools", &json!([rule]).to_string());
            assert_eq!(added, Ok(()), "no runtime is called so");
        }
        entries
    }

    // Pods

    fn metadata(&mut self) -> Value {
        let (mut labels, mut annotations) = (self.metadata_map(), self.metadata_map());
        let systems = [
            ("agents.kruise.io/sandbox-pool", "demo"),
            ("sandbox.opensandbox.io/pool-name", "team-a"),
            ("agents.x-k8s.io/pool", "ed572cc4"),
        ];
        let (key, value) = systems[self.form(1, systems.len())];
        labels[key] = json!(value);
        let form = self.form(10, 12);
        match form {
            5 => annotations = Value::Null,
            6 => annotations["kubectl.kubernetes.io/default-container"] = json!("second"),
            7 => annotations["kubectl.kubernetes.io/default-container"] = json!("nobody"),
            8 => annotations["sandbox-injector.io/status"] = json!(SECRET),
            10 | 11 => {
                let wanted = [
                    "csi",
                    "none",
                    "tools,csi",
                    "all",
                    "agent-runtime, csi",
                    "\u{7f}",
                ];
                annotations["sandbox-injector.io/runtimes"] = json!(self.pick(&wanted));
            }
            _ => {}
        }
        let mut metadata =
            json!({"namespace": "default", "labels": labels, "annotations": annotations});
        match form {
            4 => metadata["generateName"] = json!("demo-"),
            _ => metadata["name"] = json!(["demo-x7k2m", "\u{7f}\u{e9}\"", ""][self.form(1, 3)]),
        }
        if form == 9 {
            remove(&mut metadata, "annotations");
        }
        metadata
    }

    /// A pod as its owner wrote it. It passes the rules of the API server more often than not.
    pub fn pod(&mut self) -> Value {
        let mut containers = vec![self.own_container()];
        containers.extend(self.list(1, |this| {
            let mut container = this.container(SECRET);
            remove(&mut container, "restartPolicy");
            container
        }));
        let init = self.list(2, |this| this.container(SECRET));
        let mut spec = json!({
            "volumes": self.list(3, Self::volume),
            "initContainers": init,
            "containers": containers,
        });
        unique(&mut spec, "volumes", |volume| volume["name"].to_string());
        unique(&mut spec, "initContainers", |container| {
            container["name"].to_string()
        });
        let init = spec["initContainers"].clone();
        let taken: Vec<&Value> = init
            .as_array()
            .into_iter()
            .flatten()
            .map(|container| &container["name"])
            .collect();
        spec["containers"]
            .as_array_mut()
            .unwrap()
            .retain(|container| !taken.contains(&&container["name"]));
        unique(&mut spec, "containers", |container| {
            container["name"].to_string()
        });
        match self.form(12, 13) {
            5 => spec["volumes"] = Value::Null,
            6 => spec["initContainers"] = Value::Null,
            7 => remove(&mut spec, "volumes"),
            8 => remove(&mut spec, "initContainers"),
            9 => spec["securityContext"] = json!({"runAsNonRoot": true}),
            10 => spec["runtimeClassName"] = json!("gvisor"),
            11 => spec["futureField"] = json!(SECRET),
            12 => spec["hostNetwork"] = json!(true),
            _ => {}
        }
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": self.metadata(), "spec": spec});
        if self.wild && self.once_in(4) {
            self.spoil(&mut pod);
        }
        pod
    }
}

/// All containers of a runtime, the main one included.
fn containers_of(runtime: &mut Value) -> Vec<&mut Value> {
    let mut all = Vec::new();
    for (field, value) in runtime.as_object_mut().unwrap() {
        match field.as_str() {
            "mainContainer" => all.push(value),
            "csiSidecar" | "initContainers" | "containers" => {
                all.extend(value.as_array_mut().unwrap())
            }
            _ => {}
        }
    }
    all
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

/// Only the first mount at each path stays.
fn unique_mounts(container: &mut Value) {
    unique(container, "volumeMounts", |mount| {
        clean(mount["mountPath"].as_str().unwrap())
    });
}

/// Takes the null away that indexing left where there was nothing.
fn prune(object: &mut Value, field: &str) {
    if object[field].is_null() {
        remove(object, field);
    }
}

fn remove(object: &mut Value, field: &str) {
    object.as_object_mut().unwrap().shift_remove(field);
}

fn push(object: &mut Value, field: &str, value: Value) {
    match &mut object[field] {
        Value::Array(items) => items.push(value),
        other => *other = json!([value]),
    }
}
