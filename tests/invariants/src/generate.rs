//! Pods and configurations out of a stream of bytes: all names come from small pools, so that most of them meet, and
//! now and then something stands where nobody expects it.

use arbitrary::{Result, Unstructured};
use engine::config::config_map::Entries;
use serde_json::{Map, Value, json};

type Source<'s, 'd> = &'s mut Unstructured<'d>;

const RUNTIMES: [&str; 3] = ["csi", "agent-runtime", "tools"];
const CONTAINERS: [&str; 4] = ["main", "alpha", "beta", "gamma"];
const VOLUMES: [&str; 3] = ["host", "scratch", "files"];
const PATHS: [&str; 5] = ["/a", "/a/", "/b//c", "/b/c", "/d"];
const VARIABLES: [&str; 3] = ["A", "B", "REGION_ID"];
const KEYS: [&str; 4] = ["team", "example.com/level", "a~b", "sandbox-injector.io/status"];

/// The keys of a configuration. Most of them load.
pub fn entries(source: Source<'_, '_>) -> Result<Entries> {
    let count = source.int_in_range(1..=RUNTIMES.len())?;
    let mut entries = Entries::new();
    for name in &RUNTIMES[..count] {
        entries.push(((*name).to_owned(), runtime(source)?.to_string()));
    }
    if rarely(source)? {
        let name = source.choose(&RUNTIMES)?;
        let rule = json!({"system": "opensandbox", "pool": "team-*", "runtimes": [name]});
        entries.push(("pools".to_owned(), json!([rule]).to_string()));
    }
    Ok(entries)
}

fn runtime(source: Source<'_, '_>) -> Result<Value> {
    let mut runtime = Object::default();
    let mut main = Object::default();
    // Seldom named: what is not there denies the pod.
    if source.int_in_range(0..=3)? == 3 {
        main.set(source, "name", |source| name(source, &CONTAINERS))?;
    }
    main.list(source, "env", Some("name"), env)?;
    main.list(source, "volumeMounts", Some("mountPath"), mount)?;
    main.set(source, "lifecycle", lifecycle)?;
    runtime.0.insert("mainContainer".to_owned(), main.close());
    runtime.list(source, "csiSidecar", Some("name"), sidecar)?;
    runtime.list(source, "initContainers", Some("name"), sidecar)?;
    runtime.list(source, "containers", Some("name"), container)?;
    runtime.list(source, "volume", Some("name"), volume)?;
    runtime.set(source, "labels", texts)?;
    runtime.set(source, "annotations", texts)?;
    let mut runtime = runtime.close();
    if !rarely(source)? {
        repair(&mut runtime);
    }
    Ok(runtime)
}

/// Takes out what would only be refused: mounts of volumes that there are not, and names that are there twice.
fn repair(runtime: &mut Value) {
    let volumes: Vec<Value> = items(runtime, "volume").map(|volume| volume["name"].clone()).collect();
    let mut names = Vec::new();
    for list in ["csiSidecar", "initContainers", "containers"] {
        if let Some(containers) = runtime.get_mut(list).and_then(Value::as_array_mut) {
            containers.retain(|container| {
                let new = !names.contains(&container["name"]);
                names.push(container["name"].clone());
                new
            });
            for container in containers {
                known_mounts(container, &volumes);
            }
        }
    }
    known_mounts(&mut runtime["mainContainer"], &volumes);
}

fn items<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value[field].as_array().into_iter().flatten()
}

fn known_mounts(container: &mut Value, volumes: &[Value]) {
    if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
        mounts.retain(|mount| volumes.contains(&mount["name"]));
    }
}

/// A pod, which is a sandbox more often than not.
pub fn pod(source: Source<'_, '_>) -> Result<Value> {
    let mut metadata = Object::default();
    metadata.set(source, "name", |source| name(source, &["demo-x7k2m", "\u{7f}\u{e9}\"", ""]))?;
    metadata.set(source, "annotations", |source| {
        let mut annotations = texts(source)?;
        match source.int_in_range(0..=7_u8)? {
            5 => {
                let value =
                    name(source, &["csi", "none", "tools,csi", "all", "agent-runtime, csi", "\u{7f}"])?;
                annotations["sandbox-injector.io/runtimes"] = value;
            }
            6 => annotations["kubectl.kubernetes.io/default-container"] = name(source, &CONTAINERS)?,
            7 => annotations["sandbox-injector.io/status"] = anything(source)?,
            _ => {}
        }
        Ok(annotations)
    })?;
    metadata.set(source, "labels", |source| {
        let mut labels = texts(source)?;
        let (key, value) = *source.choose(&[
            ("agents.kruise.io/sandbox-pool", "demo"),
            ("sandbox.opensandbox.io/pool-name", "team-a"),
            ("agents.x-k8s.io/pool", "ed572cc4"),
        ])?;
        labels[key] = json!(value);
        Ok(labels)
    })?;
    let mut spec = Object::default();
    spec.list(source, "containers", None, container)?;
    spec.list(source, "initContainers", None, sidecar)?;
    spec.list(source, "volumes", None, volume)?;
    match source.int_in_range(0..=7_u8)? {
        5 => spec.set(source, "securityContext", |_| Ok(json!({"runAsNonRoot": true})))?,
        6 => spec.set(source, "runtimeClassName", |_| Ok(json!("gvisor")))?,
        7 => spec.set(source, "hostNetwork", |_| Ok(json!(true)))?,
        _ => {}
    }
    Ok(json!({"metadata": metadata.close(), "spec": spec.close()}))
}

// === parts ===

fn container(source: Source<'_, '_>) -> Result<Value> {
    let name = *source.choose(&CONTAINERS)?;
    let mut container = Object::default();
    container.0.insert("name".to_owned(), json!(name));
    container.0.insert("image".to_owned(), json!("registry/image:1"));
    // Usually the one of that name that the other side has too.
    match name {
        "beta" => {
            container.0.insert("securityContext".to_owned(), json!({"privileged": true}));
            let mounts = json!([{"name": "host", "mountPath": "/b/c", "mountPropagation": "Bidirectional"}]);
            container.0.insert("volumeMounts".to_owned(), mounts);
        }
        "gamma" => {
            let mounts = json!([{"name": "scratch", "mountPath": "/a"}]);
            container.0.insert("volumeMounts".to_owned(), mounts);
        }
        _ => {}
    }
    for _ in 0..source.int_in_range(0..=3_u8)?.saturating_sub(1) {
        change(source, &mut container)?;
    }
    Ok(container.close())
}

fn sidecar(source: Source<'_, '_>) -> Result<Value> {
    let mut sidecar = container(source)?;
    if !rarely(source)? {
        sidecar["restartPolicy"] = json!("Always");
    }
    Ok(sidecar)
}

fn change(source: Source<'_, '_>, container: &mut Object) -> Result<()> {
    match source.int_in_range(0..=11_u8)? {
        0 => container.set(source, "image", |source| {
            let pinned = format!("registry/image:1@sha256:{}", "0a".repeat(32));
            name(source, &["registry/image:2", &pinned, "registry/image"])
        }),
        1 => container.list(source, "env", None, env),
        2 => container.list(source, "volumeMounts", None, mount),
        3 => container.set(source, "lifecycle", lifecycle),
        4 => container.set(source, "command", words),
        5 => container.set(source, "args", words),
        6 => container.set(source, "securityContext", |source| {
            let user: u8 = source.int_in_range(0..=1)?;
            pick(source, &[json!({}), json!({"privileged": false}), json!({"runAsUser": user})])
        }),
        7 => container.set(source, "resources", |source| {
            let amount = pick(source, &[json!("1000m"), json!(1), json!("1"), json!("0.5"), json!("1e3Ki")])?;
            pick(source, &[json!({"limits": {"cpu": amount}}), json!({"requests": {"a.b/gpu": amount}})])
        }),
        8 => container.list(source, "ports", None, |source| {
            let port: u8 = source.int_in_range(1..=2)?;
            let host = json!({"containerPort": port, "hostPort": port});
            pick(
                source,
                &[json!({"containerPort": port}), json!({"containerPort": port, "protocol": "UDP"}), host],
            )
        }),
        9 => container.list(source, "volumeDevices", None, |source| {
            Ok(json!({"name": name(source, &VOLUMES)?, "devicePath": name(source, &PATHS)?}))
        }),
        10 => container.set(source, "livenessProbe", hook),
        _ => container.set(source, "futureField", anything),
    }
}

fn env(source: Source<'_, '_>) -> Result<Value> {
    let mut env = Object::default();
    env.set(source, "name", |source| name(source, &VARIABLES))?;
    match source.int_in_range(0..=3_u8)? {
        0 => {}
        1 => env.set(source, "value", |source| name(source, &["", "cn-hangzhou", "<region-id>"]))?,
        2 => env.set(source, "value", |_| Ok(json!("1")))?,
        _ => env.set(source, "valueFrom", |source| {
            let field = json!({"fieldRef": {"fieldPath": "metadata.uid"}});
            let resource = json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}});
            pick(source, &[field, resource])
        })?,
    }
    Ok(env.close())
}

fn mount(source: Source<'_, '_>) -> Result<Value> {
    let mut mount = Object::default();
    mount.set(source, "name", |source| name(source, &VOLUMES))?;
    mount.set(source, "mountPath", |source| name(source, &PATHS))?;
    match source.int_in_range(0..=7_u8)? {
        4 => mount.set(source, "readOnly", |source| Ok(json!(source.arbitrary::<bool>()?)))?,
        5 => mount.set(source, "subPath", |source| name(source, &["sub", ""]))?,
        6 | 7 => mount.set(source, "mountPropagation", |source| {
            name(source, &["None", "HostToContainer", "Bidirectional"])
        })?,
        _ => {}
    }
    Ok(mount.close())
}

fn volume(source: Source<'_, '_>) -> Result<Value> {
    let mut volume = Object::default();
    volume.set(source, "name", |source| name(source, &VOLUMES))?;
    match source.int_in_range(0..=6_u8)? {
        0 => {}
        1 => volume.set(source, "emptyDir", |source| {
            pick(source, &[json!({}), json!({"sizeLimit": "1024Mi"}), json!({"sizeLimit": "1Gi"})])
        })?,
        2 => volume.set(source, "hostPath", |source| {
            pick(source, &[json!({"path": "/host"}), json!({"path": "/host", "type": ""})])
        })?,
        3 => volume.set(source, "configMap", |_| Ok(json!({"name": "x", "defaultMode": 420})))?,
        4 => volume.set(source, "projected", |_| {
            Ok(json!({"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}]}))
        })?,
        _ => volume.set(source, "persistentVolumeClaim", |_| Ok(json!({"claimName": "c"})))?,
    }
    Ok(volume.close())
}

fn lifecycle(source: Source<'_, '_>) -> Result<Value> {
    let mut lifecycle = Object::default();
    for name in ["postStart", "preStop"] {
        if source.arbitrary()? {
            lifecycle.set(source, name, hook)?;
        }
    }
    Ok(lifecycle.close())
}

fn hook(source: Source<'_, '_>) -> Result<Value> {
    match source.int_in_range(0..=5_u8)? {
        0 => pick(source, &[json!({"httpGet": {"port": 80}}), json!({"httpGet": {"port": 80, "path": "/"}})]),
        1 => pick(source, &[json!({"sleep": {"seconds": 1}}), json!({"tcpSocket": {"port": 80}}), json!({})]),
        _ => Ok(json!({"exec": {"command": words(source)?}})),
    }
}

fn words(source: Source<'_, '_>) -> Result<Value> {
    let starts = [vec!["bash", "-c"], vec!["/bin/bash", "-c"], vec!["sh", "-c"], vec!["/run"], vec![]];
    let mut words = source.choose(&starts)?.clone();
    for _ in 0..source.int_in_range(0..=2_u8)? {
        words.push(source.choose(&["/start", "a b", "", "don't", "--", "(exec /run) && exec \"$@\""])?);
    }
    Ok(json!(words))
}

fn texts(source: Source<'_, '_>) -> Result<Value> {
    let mut texts = Object::default();
    for _ in 0..source.int_in_range(0..=2_u8)? {
        let key = *source.choose(&KEYS)?;
        texts.set(source, key, |source| name(source, &["1", "2", ""]))?;
    }
    Ok(texts.close())
}

// === pieces ===

/// An object in the making.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    /// Sets a field to what `value` says, or seldom to anything.
    fn set<'d>(
        &mut self,
        source: &mut Unstructured<'d>,
        field: &str,
        value: impl FnOnce(&mut Unstructured<'d>) -> Result<Value>,
    ) -> Result<()> {
        let value = if rarely(source)? { anything(source)? } else { value(source)? };
        self.0.insert(field.to_owned(), value);
        Ok(())
    }

    /// Sets a field to a short list, or to none at all; of the items that share an `identity` only one is taken.
    fn list<'d>(
        &mut self,
        source: &mut Unstructured<'d>,
        field: &str,
        identity: Option<&str>,
        item: impl Fn(&mut Unstructured<'d>) -> Result<Value>,
    ) -> Result<()> {
        let count = source.int_in_range(0..=3_u8)?;
        if count == 0 && source.arbitrary()? {
            return Ok(());
        }
        self.set(source, field, |source| {
            let mut list: Vec<Value> = Vec::new();
            for _ in 0..count {
                let item = if rarely(source)? { anything(source)? } else { item(source)? };
                if identity.is_none_or(|id| list.iter().all(|other| other[id] != item[id])) {
                    list.push(item);
                }
            }
            Ok(Value::Array(list))
        })
    }

    fn close(self) -> Value {
        Value::Object(self.0)
    }
}

/// Seldom true, and never once the bytes are used up.
fn rarely(source: Source<'_, '_>) -> Result<bool> {
    Ok(source.int_in_range(0..=47_u8)? == 47)
}

fn name(source: Source<'_, '_>, names: &[&str]) -> Result<Value> {
    source.choose(names).map(|name| json!(name))
}

fn pick(source: Source<'_, '_>, values: &[Value]) -> Result<Value> {
    source.choose(values).cloned()
}

fn anything(source: Source<'_, '_>) -> Result<Value> {
    pick(
        source,
        &[
            Value::Null,
            json!(false),
            json!(true),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(""),
            json!("x"),
            json!("\u{1}\u{7f}\u{202e}~/"),
            json!([]),
            json!({}),
            json!([null]),
            json!([[]]),
            json!({"name": null}),
            json!({"x": {"y": [1]}}),
        ],
    )
}
