//! Injection undone: the pod as it was before, as far as that can be told from the pod.
//!
//! Saved and running pods have been injected already. To see what another configuration would have
//! made of them, what this one brought is taken out again. It only serves comparisons: no pod is
//! ever changed by it.

use serde_json::{Map, Value};

use crate::annotations::STATUS_ANNOTATION;
use crate::budget::Budget;
use crate::config::{Hook, Item, Runtime};
use crate::inject::compare::{Extras, differences};
use crate::inject::mains::main_container;
use crate::kube::hook_chain::{Chain, exec_command, same_command};
use crate::kube::normalize::{Kind, clean_path, normal};
use crate::pod::DEFAULT_CONTAINER;

/// By what an item of the pod is taken for an injected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is what the runtimes bring: the configuration is the one that was injected.
    Equal,
    /// It has the identity of something that they bring: the configuration is a later one.
    Named,
}

/// The runtimes and revisions that a pod's mark names, in its order; `None` without a mark that can
/// be read.
pub fn mark(pod: &Value) -> Option<Vec<(String, String)>> {
    let text = pod["metadata"]["annotations"][STATUS_ANNOTATION].as_str()?;
    let mark: Value = serde_json::from_str(text).ok()?;
    let runtimes = mark["runtimes"].as_object()?;
    runtimes
        .iter()
        .map(|(name, revision)| Some((name.clone(), revision.as_str()?.to_owned())))
        .collect()
}

/// The pod without what `runtimes` brought, and without the mark.
pub fn uninject(pod: &Value, runtimes: &[&Runtime], known: Known) -> Value {
    let mut pod = pod.clone();
    for runtime in runtimes {
        take_from_main(&mut pod, runtime, runtimes, known);
        if let Some(spec) = pod["spec"].as_object_mut() {
            let inits: Vec<&Item> = runtime
                .init_containers
                .iter()
                .map(|container| &container.item)
                .collect();
            let containers: Vec<&Item> = runtime
                .containers
                .iter()
                .map(|container| &container.item)
                .collect();
            let volumes: Vec<&Item> = runtime.volumes.iter().map(|volume| &volume.item).collect();
            take(spec, "initContainers", Kind::Container, &inits, known);
            take(spec, "containers", Kind::Container, &containers, known);
            take(spec, "volumes", Kind::Volume, &volumes, known);
        }
        for (field, texts) in [
            ("labels", &runtime.labels),
            ("annotations", &runtime.annotations),
        ] {
            for (key, value) in texts {
                if known == Known::Named || pod["metadata"][field][key] == **value {
                    forget(&mut pod, field, key);
                }
            }
        }
    }
    forget(&mut pod, "annotations", STATUS_ANNOTATION);
    pod
}

fn forget(pod: &mut Value, field: &str, key: &str) {
    if let Some(texts) = pod["metadata"]
        .get_mut(field)
        .and_then(Value::as_object_mut)
    {
        texts.shift_remove(key);
    }
}

fn take(object: &mut Map<String, Value>, field: &str, kind: Kind, items: &[&Item], known: Known) {
    let Some(Value::Array(found)) = object.get_mut(field) else {
        return;
    };
    found.retain(|entry| !items.iter().any(|item| is_ours(kind, item, entry, known)));
    if found.is_empty() {
        object.shift_remove(field);
    }
}

fn is_ours(kind: Kind, item: &Item, found: &Value, known: Known) -> bool {
    let identity = kind
        .identity()
        .and_then(|field| found[field].as_str())
        .unwrap_or_default();
    let same = match kind {
        Kind::Mount => clean_path(identity) == *item.identity,
        _ => identity == item.identity,
    };
    let equal = || {
        let found = normal(kind, found);
        let budget = &mut Budget::unlimited();
        let fields = differences(
            kind,
            item.normal.as_ref(),
            found.as_ref(),
            Extras::Allowed,
            budget,
        );
        fields.is_ok_and(|fields| fields.is_empty())
    };
    same && (known == Known::Named || equal())
}

fn take_from_main(pod: &mut Value, runtime: &Runtime, runtimes: &[&Runtime], known: Known) {
    let annotated = pod["metadata"]["annotations"][DEFAULT_CONTAINER]
        .as_str()
        .map(str::to_owned);
    let Some(containers) = pod["spec"]["containers"].as_array_mut() else {
        return;
    };
    let names = containers
        .iter()
        .map(|container| container["name"].as_str().unwrap_or_default());
    let index = main_container(
        names,
        runtime.main.name.as_deref(),
        annotated.as_deref(),
        runtimes,
    );
    let container = index
        .and_then(|index| containers.get_mut(index))
        .and_then(Value::as_object_mut);
    let Some(container) = container else { return };
    take(
        container,
        "env",
        Kind::Env,
        &runtime.main.env.iter().collect::<Vec<_>>(),
        known,
    );
    let mounts: Vec<&Item> = runtime.main.volume_mounts.iter().collect();
    take(container, "volumeMounts", Kind::Mount, &mounts, known);
    for (field, hook) in [
        ("postStart", &runtime.main.post_start),
        ("preStop", &runtime.main.pre_stop),
    ] {
        if let (Some(hook), Some(lifecycle)) = (
            hook,
            container
                .get_mut("lifecycle")
                .and_then(Value::as_object_mut),
        ) {
            take_hook(lifecycle, field, hook, known);
        }
    }
    if container
        .get("lifecycle")
        .and_then(Value::as_object)
        .is_some_and(Map::is_empty)
    {
        container.shift_remove("lifecycle");
    }
}

fn take_hook(lifecycle: &mut Map<String, Value>, field: &str, hook: &Hook, known: Known) {
    let Some(found) = lifecycle
        .get(field)
        .and_then(|found| normal(Kind::Hook, found))
    else {
        return;
    };
    let argv = exec_command(&found);
    if let (Some((injected, chain)), Some(argv)) = (&hook.exec, &argv) {
        if let Some(chained) = Chain::parse(argv)
            && (known == Known::Named || chained.is_of(chain))
        {
            lifecycle.insert(
                field.to_owned(),
                serde_json::json!({"exec": {"command": chained.own}}),
            );
            return;
        }
        if same_command(injected, argv) {
            lifecycle.shift_remove(field);
            return;
        }
    }
    if known == Known::Named || Some(&found) == hook.normal.as_ref() {
        lifecycle.shift_remove(field);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::inject::{Options, inject};
    use crate::patch;
    use crate::pod::Pod;

    const TOOLS: &str = r#"{"mainContainer": {"env": [{"name": "A", "value": "1"}],
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
        "lifecycle": {"postStart": {"exec": {"command": ["/start"]}}, "preStop": {"exec": {"command": ["/stop"]}}}},
        "csiSidecar": [{"name": "helper", "image": "i:1", "restartPolicy": "Always"}],
        "containers": [{"name": "other", "image": "i:1"}],
        "volume": [{"name": "work", "emptyDir": {}}], "labels": {"l": "1"}, "annotations": {"a": "1"}}"#;

    fn config(text: &str) -> Config {
        Config::load(&[("tools", text)].into(), None).unwrap()
    }

    fn injected(pod: &Value, config: &Config) -> Value {
        let text = pod.to_string();
        let view: Pod<'_> = serde_json::from_str(&text).unwrap();
        let runtimes: Vec<&Runtime> = config.runtimes().iter().collect();
        let plan = inject(
            &view,
            &runtimes,
            Options::default(),
            &mut Budget::unlimited(),
        )
        .unwrap();
        let mut operations = Vec::new();
        patch::write(&plan.operations, &mut operations);
        let patch: json_patch::Patch = serde_json::from_slice(&operations).unwrap();
        let mut pod = pod.clone();
        json_patch::patch(&mut pod, &patch).unwrap();
        pod
    }

    fn pod(lifecycle: Value) -> Value {
        json!({"metadata": {"name": "p", "labels": {"x": "y"}, "annotations": {"b": "2"}},
            "spec": {"containers": [{"name": "main", "image": "i", "env": [{"name": "B"}], "lifecycle": lifecycle}],
                     "volumes": [{"name": "own", "emptyDir": {}}]}})
    }

    #[test]
    fn what_was_injected_goes_and_the_rest_stays() {
        let config = config(TOOLS);
        let runtimes: Vec<&Runtime> = config.runtimes().iter().collect();
        for lifecycle in [
            json!({"postStart": {"exec": {"command": ["echo", "a b"]}}, "preStop": {"exec": {"command": ["x"]}}}),
            json!({"stopSignal": "SIGINT"}),
        ] {
            let before = pod(lifecycle);
            let after = injected(&before, &config);
            assert_ne!(before, after);
            assert_eq!(
                mark(&after).unwrap()[0],
                ("tools".to_owned(), runtimes[0].revision().to_owned())
            );
            assert_eq!(uninject(&after, &runtimes, Known::Equal), before);
            assert_eq!(uninject(&after, &runtimes, Known::Named), before);
        }
    }

    #[test]
    fn what_an_older_configuration_brought_goes_by_name_alone() {
        let newer = TOOLS
            .replace("i:1", "i:2")
            .replace("/start", "/go")
            .replace("\"1\"", "\"2\"");
        let newer = config(&newer);
        let runtimes: Vec<&Runtime> = newer.runtimes().iter().collect();
        let before = pod(json!({"postStart": {"exec": {"command": ["echo"]}}}));
        let after = injected(&before, &config(TOOLS));
        assert_eq!(uninject(&after, &runtimes, Known::Named), before);
        let equal = uninject(&after, &runtimes, Known::Equal);
        assert_eq!(equal["spec"]["initContainers"][0]["image"], "i:1");
        assert_eq!(equal["spec"]["containers"][0]["env"][1]["value"], "1");
        assert_eq!(equal["metadata"]["labels"]["l"], "1");
    }

    #[test]
    fn the_own_hooks_come_back_from_chains_with_an_older_command() {
        let newer = config(&TOOLS.replace("/start", "/go").replace("/stop", "/halt"));
        let runtimes: Vec<&Runtime> = newer.runtimes().iter().collect();
        let lifecycle = json!({"postStart": {"exec": {"command": ["own-start", "a b"]}},
            "preStop": {"exec": {"command": ["own-stop", "arg"]}}});
        let before = pod(lifecycle.clone());
        let undone = uninject(&injected(&before, &config(TOOLS)), &runtimes, Known::Named);
        assert_eq!(undone["spec"]["containers"][0]["lifecycle"], lifecycle);
    }

    #[test]
    fn the_main_container_is_the_one_that_was_injected_into() {
        let config = config(TOOLS);
        let runtimes: Vec<&Runtime> = config.runtimes().iter().collect();
        let mut before = pod(json!({"stopSignal": "SIGINT"}));
        before["spec"]["containers"]
            .as_array_mut()
            .unwrap()
            .insert(0, json!({"name": "other", "image": "i:1"}));
        let after = injected(&before, &config);
        assert_eq!(after["spec"]["containers"][1]["env"][1]["name"], "A");
        let undone = uninject(&after, &runtimes, Known::Named);
        assert_eq!(
            undone["spec"]["containers"][0]["env"],
            json!([{"name": "B"}])
        );
    }

    #[test]
    fn a_mark_that_makes_no_sense_is_none() {
        for text in [
            "",
            "{",
            "[]",
            "{\"runtimes\": []}",
            "{\"runtimes\": {\"a\": 1}}",
        ] {
            assert_eq!(
                mark(&json!({"metadata": {"annotations": {STATUS_ANNOTATION: text}}})),
                None,
                "{text}"
            );
        }
        assert_eq!(mark(&json!({})), None);
    }
}
