//! From a checked runtime's JSON to the compiled form that the engine works with.
//!
//! Everything that does not depend on the pod is worked out here, once for each load: compact JSON,
//! normal forms, chained scripts, who is privileged. The input has passed the checks, so nothing
//! here can fail; what is missing reads as absent.

use std::borrow::Cow;

use super::document::{Located, RuntimeDoc, RuntimeList};
use super::{BorrowedVolume, Container, Hook, Item, MainContainer, Runtime, Volume};
use crate::kube::hook_chain::{Chain, Order, exec_command};
use crate::kube::normalize::{Kind, clean_path, normal};
use crate::patch::Fragment;

/// Compiles one runtime.
pub(super) fn runtime(name: &str, doc: RuntimeDoc<'_>) -> Runtime {
    let main = doc.main();
    let privileged: Vec<String> = doc.privileges().iter().map(ToString::to_string).collect();
    let main_mounts: Vec<&str> = main
        .mounts()
        .filter_map(|mount| mount.text("name"))
        .collect();
    let volumes: Vec<Volume> = doc
        .volumes()
        .map(|volume| item(Kind::Volume, &volume))
        .map(|item| Volume {
            must_match: !privileged.is_empty(),
            exclusive: !privileged.is_empty() && !main_mounts.contains(&item.identity.as_str()),
            item,
        })
        .collect();
    Runtime {
        name: name.to_owned(),
        digest: doc.digest(),
        main: MainContainer {
            name: main
                .text("name")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            env: main.items("env").map(|env| item(Kind::Env, &env)).collect(),
            volume_mounts: main
                .items("volumeMounts")
                .map(|mount| item(Kind::Mount, &mount))
                .collect(),
            post_start: hook(&main, "postStart", Order::InjectedFirst),
            pre_stop: hook(&main, "preStop", Order::PodFirst),
        },
        init_containers: containers(doc, RuntimeList::is_init),
        containers: containers(doc, |list| !list.is_init()),
        borrowed_volumes: borrowed_volumes(doc, &volumes),
        volumes,
        labels: texts(doc, "labels"),
        annotations: texts(doc, "annotations"),
        privileged,
    }
}

fn containers(doc: RuntimeDoc<'_>, chosen: fn(RuntimeList) -> bool) -> Vec<Container> {
    let containers = doc.containers().filter(|(list, _)| chosen(*list));
    containers
        .map(|(_, container)| Container {
            item: item(Kind::Container, &container),
            privileged: !container.privileges().is_empty(),
            sets_user: ["runAsUser", "runAsNonRoot"]
                .iter()
                .any(|field| !container.value["securityContext"][field].is_null()),
            bidirectional: container.is_bidirectional(),
            volumes: container
                .mounts()
                .filter_map(|mount| mount.text("name"))
                .map(str::to_owned)
                .collect(),
        })
        .collect()
}

fn item(kind: Kind, item: &Located<'_>) -> Item {
    Item {
        identity: identity(kind, item).into_owned(),
        json: Fragment::new(item.value.to_string()),
        normal: normal(kind, item.value),
    }
}

/// What an item of a list is known by: a name, or a cleaned path; empty where it does not say.
pub(super) fn identity<'v>(kind: Kind, item: &Located<'v>) -> Cow<'v, str> {
    let identity = kind
        .identity()
        .and_then(|field| item.text(field))
        .unwrap_or_default();
    match kind {
        Kind::Mount if !identity.is_empty() => clean_path(identity),
        _ => Cow::Borrowed(identity),
    }
}

fn hook(main: &Located<'_>, name: &str, order: Order) -> Option<Hook> {
    let value = &main.value["lifecycle"][name];
    let normal = normal(Kind::Hook, value)?;
    let argv = exec_command(&normal);
    Some(Hook {
        json: Fragment::new(value.to_string()),
        exec: argv.map(|argv| {
            let chain = Chain::new(&argv, order);
            (argv, chain)
        }),
        normal: Some(normal),
    })
}

fn texts(doc: RuntimeDoc<'_>, field: &'static str) -> Vec<(String, String)> {
    let entries = doc.metadata(field);
    entries
        .map(|(key, at)| {
            (
                key.to_owned(),
                at.value.as_str().unwrap_or_default().to_owned(),
            )
        })
        .collect()
}

fn borrowed_volumes(doc: RuntimeDoc<'_>, own: &[Volume]) -> Vec<BorrowedVolume> {
    let main = doc.main();
    let in_main = main.mounts().map(|mount| (mount, false));
    let in_others = doc.containers().flat_map(|(_, container)| {
        let privileged = !container.privileges().is_empty();
        container.mounts().map(move |mount| (mount, privileged))
    });
    let mut borrowed = Vec::new();
    for (mount, privileged) in in_main.chain(in_others) {
        let volume = mount.text("name").unwrap_or_default();
        if !own.iter().any(|own| own.item.identity == volume) {
            borrowed.push(BorrowedVolume {
                volume: volume.to_owned(),
                at: mount.path,
                privileged,
            });
        }
    }
    borrowed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_is_own_when_the_main_container_does_not_mount_it() {
        let value = json!({"mainContainer": {"volumeMounts": [{"name": "shared", "mountPath": "/s"}]},
                "csiSidecar": [{"name": "c", "securityContext": {"privileged": true}}],
                "volume": [{"name": "shared", "emptyDir": {}}, {"name": "mine", "emptyDir": {}}]});
        let compiled = runtime("x", RuntimeDoc::new(&value));
        let own: Vec<_> = compiled
            .volumes
            .iter()
            .map(|volume| (volume.must_match, volume.exclusive))
            .collect();
        assert_eq!(own, [(true, false), (true, true)]);
        assert_eq!(compiled.privileged, ["container c is privileged"]);
        assert!(compiled.borrowed_volumes.is_empty());
    }
}
