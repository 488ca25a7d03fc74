//! The rules of injection once more, written as plainly as possible on whole JSON values, without a
//! thought for speed or for telling anybody what went wrong.

use serde_json::{Map, Value, json};

use super::same::{
    command, list, path, same_container, same_fields, same_hook, same_volume, without_token,
};

/// A requested runtime.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runtime<'r> {
    /// Its name.
    pub(crate) name: &'r str,
    /// Its value in the configuration.
    pub(crate) value: &'r Value,
    /// What the mark says of it.
    pub(crate) revision: &'r str,
}

/// The pod as it should come out; nothing when it is to be denied.
pub(crate) fn merge(pod: &Value, runtimes: &[Runtime<'_>], keep: bool) -> Option<Value> {
    if runtimes.is_empty() {
        return Some(pod.clone());
    }
    let mut merge = Merge {
        before: pod,
        after: pod.clone(),
        runtimes,
        keep,
        denied: false,
    };
    merge.metadata();
    let present = merge.containers();
    merge.volumes(&present);
    merge.borrowed();
    merge.mains();
    (!merge.denied).then_some(merge.after)
}

struct Merge<'m> {
    before: &'m Value,
    after: Value,
    runtimes: &'m [Runtime<'m>],
    keep: bool,
    denied: bool,
}

fn push(value: &mut Value, field: &str, item: Value) {
    match &mut value[field] {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

/// The containers of a runtime, each with the pod's list that it goes to.
fn containers(runtime: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    [
        ("csiSidecar", "initContainers"),
        ("initContainers", "initContainers"),
        ("containers", "containers"),
    ]
    .into_iter()
    .flat_map(|(from, to)| {
        list(runtime, from)
            .iter()
            .map(move |container| (to, container))
    })
}

fn is_privileged(container: &Value) -> bool {
    container["securityContext"]["privileged"] == true
        || !list(&container["securityContext"]["capabilities"], "add").is_empty()
        || list(container, "volumeMounts")
            .iter()
            .any(|mount| mount["mountPropagation"] == "Bidirectional")
}

fn mounts_volume(container: &Value, name: &Value) -> bool {
    list(container, "volumeMounts")
        .iter()
        .any(|mount| mount["name"] == *name)
}

impl Merge<'_> {
    fn conflict(&mut self) {
        self.denied |= !self.keep;
    }

    fn metadata(&mut self) {
        for field in ["labels", "annotations"] {
            for runtime in self.runtimes {
                for (key, text) in runtime.value[field].as_object().into_iter().flatten() {
                    let texts = &mut self.after["metadata"][field];
                    if texts.get(key).is_none_or(Value::is_null) {
                        texts[key] = text.clone();
                    }
                }
            }
            if self.after["metadata"][field].is_null()
                && self.before["metadata"].get(field).is_none()
            {
                self.after["metadata"]
                    .as_object_mut()
                    .unwrap()
                    .shift_remove(field);
            }
        }
        let revisions: Map<String, Value> = self
            .runtimes
            .iter()
            .map(|runtime| (runtime.name.to_owned(), json!(runtime.revision)))
            .collect();
        let mark = json!({"runtimes": revisions}).to_string();
        self.after["metadata"]["annotations"]["sandbox-injector.io/status"] = json!(mark);
    }

    /// Whether a privileged runtime brings this volume, or a privileged container mounts it.
    fn is_guarded(&self, runtime: &Value, volume: &Value) -> bool {
        let by_runtime = containers(runtime).any(|(_, container)| is_privileged(container))
            || is_privileged(&runtime["mainContainer"])
            || list(runtime, "volume")
                .iter()
                .any(|volume| !volume["hostPath"].is_null());
        let mut all = self
            .runtimes
            .iter()
            .flat_map(|runtime| containers(runtime.value));
        by_runtime
            || all.any(|(_, container)| {
                is_privileged(container) && mounts_volume(container, &volume["name"])
            })
    }

    /// The names of the volumes that nobody but the runtimes may mount.
    fn own_volumes(&self) -> Vec<&Value> {
        let mut own = Vec::new();
        for runtime in self.runtimes {
            for volume in list(runtime.value, "volume") {
                if self.is_guarded(runtime.value, volume)
                    && !mounts_volume(&runtime.value["mainContainer"], &volume["name"])
                {
                    own.push(&volume["name"]);
                }
            }
        }
        own
    }

    fn is_exact(&self, container: &Value) -> bool {
        is_privileged(container)
            || self
                .own_volumes()
                .iter()
                .any(|name| mounts_volume(container, name))
    }

    /// Returns the privileged containers that the pod ends up with.
    fn containers(&mut self) -> Vec<Value> {
        let (mut present, mut trusted) = (Vec::new(), Vec::new());
        for wanted_list in ["initContainers", "containers"] {
            let other_list = if wanted_list == "containers" {
                "initContainers"
            } else {
                "containers"
            };
            for runtime in self.runtimes {
                for (_, wanted) in containers(runtime.value).filter(|(to, _)| *to == wanted_list) {
                    let named = |container: &Value| container["name"] == wanted["name"];
                    let before = &self.before["spec"];
                    if let Some(index) = list(before, wanted_list).iter().position(named) {
                        let found = &list(before, wanted_list)[index];
                        let exact = self.is_exact(wanted);
                        if same_container(wanted, &without_token(before, found), exact) {
                            if exact {
                                trusted.push((wanted_list, index));
                            }
                            if is_privileged(wanted) {
                                present.push(wanted.clone());
                            }
                        } else {
                            self.conflict();
                        }
                    } else if list(before, other_list).iter().any(named)
                        || list(&self.after["spec"], other_list).iter().any(named)
                    {
                        self.conflict();
                    } else if let Some(added) = list(&self.after["spec"], wanted_list)
                        .iter()
                        .find(|c| named(c))
                    {
                        if !(same_container(wanted, added, true)
                            && same_container(added, wanted, true))
                        {
                            self.conflict();
                        }
                    } else {
                        if is_privileged(wanted) {
                            present.push(wanted.clone());
                        }
                        push(&mut self.after["spec"], wanted_list, wanted.clone());
                    }
                }
            }
        }
        self.guard(&trusted);
        present
    }

    fn guard(&mut self, trusted: &[(&str, usize)]) {
        let own: Vec<Value> = self.own_volumes().into_iter().cloned().collect();
        for in_list in ["initContainers", "containers"] {
            for (index, container) in list(&self.before["spec"], in_list).iter().enumerate() {
                if trusted.contains(&(in_list, index)) {
                    continue;
                }
                for mount in list(container, "volumeMounts") {
                    let injected = in_list == "containers" && self.is_injected_mount(index, mount);
                    self.denied |= own.contains(&mount["name"]) && !injected;
                }
            }
        }
    }

    fn is_injected_mount(&self, index: usize, mount: &Value) -> bool {
        self.runtimes.iter().any(|runtime| {
            self.main(runtime.value) == Some(index)
                && list(&runtime.value["mainContainer"], "volumeMounts")
                    .iter()
                    .any(|wanted| wanted["name"] == mount["name"] && path(wanted) == path(mount))
        })
    }

    fn volumes(&mut self, present: &[Value]) {
        let mut added: Vec<Value> = Vec::new();
        for runtime in self.runtimes {
            for wanted in list(runtime.value, "volume") {
                let named = |volume: &&Value| volume["name"] == wanted["name"];
                if let Some(found) = list(&self.before["spec"], "volumes").iter().find(named) {
                    if !same_volume(wanted, found, self.is_guarded(runtime.value, wanted)) {
                        let privileged = present
                            .iter()
                            .any(|container| mounts_volume(container, &wanted["name"]));
                        let mut all = self
                            .runtimes
                            .iter()
                            .flat_map(|runtime| list(runtime.value, "volume"));
                        let first = all.find(named).unwrap();
                        self.denied |= privileged && !same_volume(first, found, true);
                        self.conflict();
                    }
                } else if let Some(other) = added.iter().find(named) {
                    if !(same_volume(wanted, other, true) && same_volume(other, wanted, true)) {
                        self.conflict();
                    }
                } else {
                    added.push(wanted.clone());
                    push(&mut self.after["spec"], "volumes", wanted.clone());
                }
            }
        }
    }

    /// Mounts of volumes that their own runtime does not bring.
    fn borrowed(&mut self) {
        let brings = |runtime: &Value, name: &Value| {
            list(runtime, "volume")
                .iter()
                .any(|volume| volume["name"] == *name)
        };
        for runtime in self.runtimes {
            let main = std::iter::once(("containers", &runtime.value["mainContainer"]));
            for (privileged, container) in main.map(|(_, main)| (false, main)).chain(
                containers(runtime.value)
                    .map(|(_, container)| (is_privileged(container), container)),
            ) {
                for mount in list(container, "volumeMounts") {
                    let name = &mount["name"];
                    let brought = self.runtimes.iter().any(|other| brings(other.value, name));
                    let in_pod = list(&self.before["spec"], "volumes")
                        .iter()
                        .any(|volume| volume["name"] == *name);
                    self.denied |= !brought && (privileged || !in_pod);
                }
            }
        }
    }

    /// The main container of a runtime: never one that must be exactly a runtime's, and of those
    /// that a runtime brings only one that the configuration names or that stands alone.
    fn main(&self, runtime: &Value) -> Option<usize> {
        let pods = list(&self.before["spec"], "containers");
        let brought = |name: &Value| {
            let all = self
                .runtimes
                .iter()
                .flat_map(|runtime| list(runtime.value, "containers"));
            all.clone().find(|container| container["name"] == *name)
        };
        let position = |name: &Value| pods.iter().position(|container| container["name"] == *name);
        let index = match &runtime["mainContainer"]["name"] {
            Value::String(name) if !name.is_empty() => position(&json!(name)),
            _ => {
                let annotation = &self.before["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"];
                let named = position(annotation).filter(|_| brought(annotation).is_none());
                let own = || {
                    pods.iter()
                        .position(|container| brought(&container["name"]).is_none())
                };
                named.or_else(own).or((!pods.is_empty()).then_some(0))
            }
        };
        index.filter(|index| {
            brought(&pods[*index]["name"]).is_none_or(|container| !self.is_exact(container))
        })
    }

    fn mains(&mut self) {
        for number in 0..self.runtimes.len() {
            let runtime = self.runtimes[number].value;
            let Some(index) = self.main(runtime) else {
                self.denied = true;
                continue;
            };
            let main = &runtime["mainContainer"];
            let before = &self.before["spec"]["containers"][index];
            for wanted in list(main, "env") {
                let after = &mut self.after["spec"]["containers"][index];
                if !list(after, "env")
                    .iter()
                    .any(|env| env["name"] == wanted["name"])
                {
                    push(after, "env", wanted.clone());
                }
            }
            for wanted in list(main, "volumeMounts") {
                let after = &self.after["spec"]["containers"][index];
                let mut mounts = list(before, "volumeMounts")
                    .iter()
                    .chain(list(after, "volumeMounts"));
                match mounts.find(|mount| path(mount) == path(wanted)) {
                    Some(found) if same_fields(wanted, found, true) => {}
                    Some(_) => self.conflict(),
                    None => {
                        push(
                            &mut self.after["spec"]["containers"][index],
                            "volumeMounts",
                            wanted.clone(),
                        );
                    }
                }
            }
            for name in ["postStart", "preStop"] {
                let wanted = &main["lifecycle"][name];
                if wanted.is_null() {
                    continue;
                }
                let earlier = self.runtimes[..number]
                    .iter()
                    .filter(|other| self.main(other.value) == Some(index))
                    .map(|other| &other.value["mainContainer"]["lifecycle"][name])
                    .find(|hook| !hook.is_null());
                if let Some(earlier) = earlier {
                    if !same_hook(wanted, earlier) {
                        self.conflict();
                    }
                    continue;
                }
                match merged_hook(name, wanted, &before["lifecycle"][name]) {
                    Some(hook) if hook == before["lifecycle"][name] => {}
                    Some(hook) => {
                        self.after["spec"]["containers"][index]["lifecycle"][name] = hook;
                    }
                    None => self.conflict(),
                }
            }
        }
    }
}

/// The pod's hook after injection; nothing when the two cannot go together.
fn merged_hook(name: &str, wanted: &Value, found: &Value) -> Option<Value> {
    let empty = found.is_null() || (found.get("exec").is_some() && command(found).is_empty());
    if empty {
        return Some(wanted.clone());
    }
    if same_hook(wanted, found) {
        return Some(found.clone());
    }
    let (ours, pods) = (command(wanted), command(found));
    if ours.is_empty() || pods.is_empty() {
        return None;
    }
    let quoted: Vec<String> = ours
        .iter()
        .map(|word| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+:,./-".contains(c);
            let plain = !word.is_empty() && word.chars().all(plain);
            if plain {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect();
    let ours_quoted = quoted.join(" ");
    let script = match name {
        "postStart" => format!(r#"(exec {ours_quoted}) && exec "$@""#),
        _ => format!(r#"(exec "$@"); set -- $?; (exec {ours_quoted}) && exit "$1""#),
    };
    let shell = match ours.as_slice() {
        [shell, flag, _] if flag == "-c" => shell.as_str(),
        _ => "sh",
    };
    let mut chained: Vec<&str> = vec![shell, "-c", &script, "--"];
    if pods.len() > 4 && pods[1..4] == chained[1..4] {
        return Some(found.clone());
    }
    chained.extend(pods.iter().map(String::as_str));
    Some(json!({"exec": {"command": chained}}))
}
