//! What shows only when the runtimes are seen together: warnings, as not every pod gets them all.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::config::compile::identity;
use crate::config::document::{Located, RuntimeDoc};
use crate::config::finding::{Code, Finding};
use crate::json_path::JsonPath;
use crate::kube::normalize::{Kind, normal};

/// Something of a runtime that must be the same wherever it is asked for.
struct Claim<'v> {
    runtime: &'v str,
    /// What is claimed, in a word and by its identity: the same pair is the same place in the pod.
    place: (&'static str, String),
    /// The name of the main container for what goes there; empty where the pod decides on it.
    main: &'v str,
    path: JsonPath,
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
pub(super) fn check(runtimes: &[(&str, RuntimeDoc<'_>)], findings: &mut Vec<Finding>) {
    disagreements(runtimes, findings);
    volumes(runtimes, findings);
    let has = |name: &str| runtimes.iter().any(|(key, _)| *key == name);
    if has("csi") && !has("agent-runtime") {
        let message =
            "csi mounts are requested through agent-runtime, which is not configured; add it";
        findings.push(Finding::new(
            Code::CsiAlone,
            "csi",
            JsonPath::root(),
            message,
        ));
    }
}

fn disagreements(runtimes: &[(&str, RuntimeDoc<'_>)], findings: &mut Vec<Finding>) {
    let mut places: HashMap<(&'static str, String), Vec<Claim<'_>>> = HashMap::new();
    for claim in runtimes.iter().flat_map(|(key, doc)| claims(key, *doc)) {
        let earlier = places.entry(claim.place.clone()).or_default();
        if let Some(other) = earlier.iter().find(|other| claim.disagrees_with(other)) {
            let (kind, name) = &claim.place;
            let message = format!(
                "{kind} {name:?} differs from the one in runtime {} ({}); a pod that requests both is denied or keeps the first",
                other.runtime, other.path
            );
            findings.push(Finding::new(
                Code::Disagreement,
                claim.runtime,
                claim.path.clone(),
                message,
            ));
        }
        // A runtime that claims a place twice is told so elsewhere, and may do so any number of
        // times.
        if !earlier
            .iter()
            .any(|other| claim.runtime == other.runtime || claim.says_the_same_as(other))
        {
            earlier.push(claim);
        }
    }
}

fn claims<'v>(runtime: &'v str, doc: RuntimeDoc<'v>) -> Vec<Claim<'v>> {
    let mut claims = Vec::new();
    let main = doc.main();
    let main_name = main.text("name").unwrap_or_default();
    let mut add = |what: &'static str, identity: &str, main, path: JsonPath, content| {
        let place = (what, identity.to_owned());
        claims.push(Claim {
            runtime,
            place,
            main,
            path,
            content,
        });
    };
    for (kind, what, field) in [
        (Kind::Env, "variable", "env"),
        (Kind::Mount, "mount", "volumeMounts"),
    ] {
        for item in main.items(field) {
            add(
                what,
                &identity(kind, &item),
                main_name,
                item.path,
                normal(kind, item.value),
            );
        }
    }
    for name in ["postStart", "preStop"] {
        let hook = main.field("lifecycle").field(name);
        if let Some(content) = normal(Kind::Hook, hook.value) {
            add("hook", name, main_name, hook.path, Some(content));
        }
    }
    for (list, container) in doc.containers() {
        // The same container in the pod's other list is another one.
        let content = json!([!list.is_init(), normal(Kind::Container, container.value)]);
        add(
            "container",
            &identity(Kind::Container, &container),
            "",
            container.path,
            Some(content),
        );
    }
    for volume in doc.volumes() {
        let content = normal(Kind::Volume, volume.value);
        add(
            "volume",
            &identity(Kind::Volume, &volume),
            "",
            volume.path,
            content,
        );
    }
    for (field, what) in [("labels", "label"), ("annotations", "annotation")] {
        for (key, at) in doc.metadata(field) {
            add(what, key, "", at.path, Some(at.value.clone()));
        }
    }
    claims.retain(|claim| !claim.place.1.is_empty());
    claims
}

/// Mounts of volumes that only another runtime defines, and of host paths into the main container.
fn volumes(runtimes: &[(&str, RuntimeDoc<'_>)], findings: &mut Vec<Finding>) {
    let mut owners: HashMap<&str, Vec<(&str, Located<'_>)>> = HashMap::new();
    for (key, doc) in runtimes {
        for volume in doc.volumes() {
            owners
                .entry(volume.text("name").unwrap_or_default())
                .or_default()
                .push((key, volume));
        }
    }
    for (key, doc) in runtimes {
        let in_main = doc.main().mounts().map(|mount| (mount, true));
        let in_others = doc
            .containers()
            .flat_map(|(_, container)| container.mounts());
        for (mount, is_main) in in_main.chain(in_others.map(|mount| (mount, false))) {
            let Some(name) = mount.text("name").filter(|name| !name.is_empty()) else {
                continue;
            };
            let Some(owners) = owners.get(name) else {
                continue;
            };
            let own = owners.iter().find(|(owner, _)| owner == key);
            let Some((owner, volume)) = own.or(owners.first()) else {
                continue;
            };
            if own.is_none() {
                let message = format!(
                    "volume {name:?} is defined only in runtime {owner}; define it here too, or pods must request both runtimes"
                );
                findings.push(Finding::new(
                    Code::BorrowedVolume,
                    key,
                    mount.path.field("name"),
                    message,
                ));
            }
            if is_main && !volume.value["hostPath"].is_null() {
                let message = format!(
                    "mounts hostPath volume {name:?} into the main container; every sandbox on the node shares it"
                );
                findings.push(Finding::new(Code::HostPathInMain, key, mount.path, message));
            }
        }
    }
}
