//! What shows only when the runtimes are seen together: warnings, as not every pod gets them all.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Checked, list};
use crate::config::compile::CONTAINER_LISTS;
use crate::config::finding::{Code, Finding};
use crate::config::schema::field_path;
use crate::kube::normalize::{Kind, clean_path, normal};

/// Something of a runtime that must be the same wherever it is asked for.
struct Claim<'v> {
    runtime: &'v str,
    /// What is claimed, in a word and by its identity: the same pair is the same place in the pod.
    place: (&'static str, String),
    /// The name of the main container for what goes there; empty where the pod decides on it.
    main: &'v str,
    path: String,
    content: Option<Value>,
}

impl Claim<'_> {
    fn disagrees_with(&self, other: &Claim<'_>) -> bool {
        let apart = !self.main.is_empty() && !other.main.is_empty() && self.main != other.main;
        self.runtime != other.runtime && !apart && self.content != other.content
    }

    fn says_the_same_as(&self, other: &Claim<'_>) -> bool {
        self.main == other.main && self.content == other.content
    }
}

/// Looks at the runtimes side by side.
pub(super) fn check(checked: &mut Checked) {
    let mut findings = disagreements(&checked.runtimes);
    findings.extend(volumes(&checked.runtimes));
    let has = |name: &str| checked.runtimes.iter().any(|(key, _)| key == name);
    if has("csi") && !has("agent-runtime") {
        let message = "csi mounts are requested through agent-runtime, which is not configured; add it";
        findings.push(Finding::new(Code::CsiAlone, "csi", "$", message));
    }
    checked.findings.append(&mut findings);
}

fn disagreements(runtimes: &[(String, Value)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut places: HashMap<(&'static str, String), Vec<Claim<'_>>> = HashMap::new();
    for claim in runtimes.iter().flat_map(|(key, value)| claims(key, value)) {
        let earlier = places.entry(claim.place.clone()).or_default();
        if let Some(other) = earlier.iter().find(|other| claim.disagrees_with(other)) {
            let (kind, name) = &claim.place;
            let message = format!(
                "{kind} {name:?} differs from the one in runtime {} ({}); a pod that requests both is denied or keeps the first",
                other.runtime, other.path
            );
            findings.push(Finding::new(Code::Disagreement, claim.runtime, &claim.path, message));
        }
        // A runtime that claims a place twice is told so elsewhere, and may do so any number of times.
        if !earlier.iter().any(|other| claim.runtime == other.runtime || claim.says_the_same_as(other)) {
            earlier.push(claim);
        }
    }
    findings
}

fn claims<'v>(runtime: &'v str, value: &'v Value) -> Vec<Claim<'v>> {
    let mut claims = Vec::new();
    let main = &value["mainContainer"];
    let main_name = main["name"].as_str().unwrap_or_default();
    let mut add = |what: &'static str, identity: &str, main, path: String, content| {
        let place = (what, identity.to_owned());
        claims.push(Claim { runtime, place, main, path, content });
    };
    for (kind, what, field) in [(Kind::Env, "variable", "env"), (Kind::Mount, "mount", "volumeMounts")] {
        for (index, item) in list(main, field).iter().enumerate() {
            let path = format!("$.mainContainer.{field}[{index}]");
            add(what, &identity(kind, item), main_name, path, normal(kind, item));
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(content) = normal(Kind::Hook, &main["lifecycle"][hook]) {
            add("hook", hook, main_name, format!("$.mainContainer.lifecycle.{hook}"), Some(content));
        }
    }
    for name in CONTAINER_LISTS {
        for (index, item) in list(value, name).iter().enumerate() {
            // The same container in the pod's other list is another one.
            let content = json!([name == "containers", normal(Kind::Container, item)]);
            add(
                "container",
                &identity(Kind::Container, item),
                "",
                format!("$.{name}[{index}]"),
                Some(content),
            );
        }
    }
    for (index, item) in list(value, "volume").iter().enumerate() {
        let content = normal(Kind::Volume, item);
        add("volume", &identity(Kind::Volume, item), "", format!("$.volume[{index}]"), content);
    }
    for (field, what) in [("labels", "label"), ("annotations", "annotation")] {
        for (key, content) in value[field].as_object().into_iter().flatten() {
            add(what, key, "", field_path(&format!("$.{field}"), key), Some(content.clone()));
        }
    }
    claims.retain(|claim| !claim.place.1.is_empty());
    claims
}

/// What an item is known by; empty where it does not say.
fn identity(kind: Kind, item: &Value) -> String {
    let identity = kind.identity().and_then(|field| item[field].as_str()).unwrap_or_default();
    match kind {
        Kind::Mount if !identity.is_empty() => clean_path(identity).into_owned(),
        _ => identity.to_owned(),
    }
}

/// Mounts of volumes that only another runtime defines, and of host paths into the main container.
fn volumes(runtimes: &[(String, Value)]) -> Vec<Finding> {
    let mut owners: HashMap<&str, Vec<(&str, &Value)>> = HashMap::new();
    for (key, value) in runtimes {
        for volume in list(value, "volume") {
            owners.entry(volume["name"].as_str().unwrap_or_default()).or_default().push((key, volume));
        }
    }
    let mut findings = Vec::new();
    for (key, value) in runtimes {
        let mut visit = |container: &Value, path: &str, is_main: bool| {
            for field in ["volumeMounts", "volumeDevices"] {
                for (index, mount) in list(container, field).iter().enumerate() {
                    let path = format!("{path}.{field}[{index}]");
                    let Some(name) = mount["name"].as_str().filter(|name| !name.is_empty()) else { continue };
                    let Some(owners) = owners.get(name) else { continue };
                    let own = owners.iter().find(|(owner, _)| owner == key);
                    let Some((owner, volume)) = own.or(owners.first()) else { continue };
                    if own.is_none() {
                        let message = format!(
                            "volume {name:?} is defined only in runtime {owner}; define it here too, or pods must request both runtimes"
                        );
                        findings.push(Finding::new(
                            Code::BorrowedVolume,
                            key,
                            format!("{path}.name"),
                            message,
                        ));
                    }
                    if is_main && !volume["hostPath"].is_null() {
                        let message = format!(
                            "mounts hostPath volume {name:?} into the main container; every sandbox on the node shares it"
                        );
                        findings.push(Finding::new(Code::HostPathInMain, key, path, message));
                    }
                }
            }
        };
        visit(&value["mainContainer"], "$.mainContainer", true);
        for name in CONTAINER_LISTS {
            for (index, container) in list(value, name).iter().enumerate() {
                visit(container, &format!("$.{name}[{index}]"), false);
            }
        }
    }
    findings
}
