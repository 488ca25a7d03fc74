//! What does not fit between runtimes: warnings, as not every pod gets both.

use serde_json::Value;

use super::{Checked, list};
use crate::config::compile::CONTAINER_LISTS;
use crate::config::finding::{Code, Finding};
use crate::normal::{Kind, clean_path, normal};

/// Something of a runtime that must be the same wherever it is asked for.
struct Claim {
    runtime: String,
    /// The kind of thing and its identity: the same pair is the same place in the pod.
    place: (&'static str, String),
    path: String,
    content: Option<Value>,
}

/// Looks at every pair of runtimes.
pub(super) fn check(checked: &mut Checked) {
    let claims: Vec<Claim> = checked.runtimes.iter().flat_map(|(key, value)| claims(key, value)).collect();
    for (index, claim) in claims.iter().enumerate() {
        let first = claims[..index].iter().find(|other| other.place == claim.place);
        if let Some(other) = first
            && other.runtime != claim.runtime
            && other.content != claim.content
        {
            let (kind, name) = &claim.place;
            let message = format!(
                "the {kind} {name:?} is another one than that of runtime {} ({}); a pod that asks for both is denied or keeps the first",
                other.runtime, other.path
            );
            checked.findings.push(Finding::new(Code::Disagreement, &claim.runtime, &claim.path, message));
        }
    }
    borrowed(checked);
    let has = |name: &str| checked.runtimes.iter().any(|(key, _)| key == name);
    if has("csi") && !has("agent-runtime") {
        let message = "mounts at run time need agent-runtime, which is not configured; add it";
        checked.findings.push(Finding::new(Code::CsiAlone, "csi", "$", message));
    }
}

fn claims(runtime: &str, value: &Value) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut add = |kind: Kind, what: &'static str, path: String, items: &[Value]| {
        for (index, item) in items.iter().enumerate() {
            let Some(identity) = kind.identity().and_then(|field| item[field].as_str()) else { continue };
            let identity =
                if kind == Kind::Mount { clean_path(identity).into_owned() } else { identity.to_owned() };
            claims.push(Claim {
                runtime: runtime.to_owned(),
                place: (what, identity),
                path: format!("{path}[{index}]"),
                content: normal(kind, item),
            });
        }
    };
    let main = &value["mainContainer"];
    add(Kind::Env, "variable", "$.mainContainer.env".to_owned(), list(main, "env"));
    add(Kind::Mount, "mount", "$.mainContainer.volumeMounts".to_owned(), list(main, "volumeMounts"));
    for name in CONTAINER_LISTS {
        add(Kind::Container, "container", format!("$.{name}"), list(value, name));
    }
    add(Kind::Volume, "volume", "$.volume".to_owned(), list(value, "volume"));
    for hook in ["postStart", "preStop"] {
        if let Some(content) = normal(Kind::Hook, &main["lifecycle"][hook]) {
            claims.push(Claim {
                runtime: runtime.to_owned(),
                place: ("hook", hook.to_owned()),
                path: format!("$.mainContainer.lifecycle.{hook}"),
                content: Some(content),
            });
        }
    }
    for (field, what) in [("labels", "label"), ("annotations", "annotation")] {
        for (key, content) in value[field].as_object().into_iter().flatten() {
            claims.push(Claim {
                runtime: runtime.to_owned(),
                place: (what, key.clone()),
                path: crate::config::schema::field_path(&format!("$.{field}"), key),
                content: Some(content.clone()),
            });
        }
    }
    claims
}

/// Mounts of volumes that only another runtime defines.
fn borrowed(checked: &mut Checked) {
    let owners: Vec<(&String, Vec<&str>)> = checked
        .runtimes
        .iter()
        .map(|(key, value)| {
            (key, list(value, "volume").iter().filter_map(|volume| volume["name"].as_str()).collect())
        })
        .collect();
    let mut found = Vec::new();
    for (key, value) in &checked.runtimes {
        let mut visit = |container: &Value, path: &str| {
            for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
                let Some(name) = mount["name"].as_str() else { continue };
                let owned = owners.iter().any(|(owner, names)| *owner == key && names.contains(&name));
                let other = owners.iter().find(|(_, names)| names.contains(&name));
                if let (false, Some((other, _))) = (owned, other) {
                    let message = format!(
                        "the volume {name:?} comes from runtime {other} alone; a pod must ask for both"
                    );
                    let path = format!("{path}.volumeMounts[{index}].name");
                    found.push(Finding::new(Code::BorrowedVolume, key, path, message));
                }
            }
        };
        visit(&value["mainContainer"], "$.mainContainer");
        for name in CONTAINER_LISTS {
            for (index, container) in list(value, name).iter().enumerate() {
                visit(container, &format!("$.{name}[{index}]"));
            }
        }
    }
    checked.findings.append(&mut found);
}
