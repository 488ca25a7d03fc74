//! The configuration's way in: the keys of a ConfigMap and their texts.

use std::sync::LazyLock;

use engine::config::config_map::Entries;
use engine::config::finding::{Finding, Severity};
use engine::config::region::Region;
use engine::config::{Config, config_map};
use engine::inject::OnConflict;
use engine::review::decide::Settings;
use engine::runtimes::DefaultRuntimes;
use engine::yaml;
use serde_json::{Value, json};

use super::edge::Edge;
use super::pair::review;

/// The loader on any text.
///
/// A text that begins with `@` contains keys, each on a line of its own after an `@` and followed
/// by its value, as the files of a directory do; another one is a ConfigMap's manifest or else the
/// value of a single key. Whatever loads injects into pods as it should.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let entries = entries(text);
    for (_, text) in entries.iter() {
        same_when_written_again(text);
    }
    let region: Region = "cn-hangzhou".parse().expect("a region");
    for region in [None, Some(&region)] {
        match Config::load(&entries, region) {
            Ok(config) => {
                findings(config.warnings(), &[Severity::Warning]);
                usable(&config);
            }
            Err(rejected) => {
                findings(&rejected.findings, &[Severity::Warning, Severity::Error]);
                let errors = rejected
                    .findings
                    .iter()
                    .filter(|finding| finding.severity == Severity::Error);
                assert!(errors.count() > 0, "refused for nothing");
            }
        }
    }
    // Both ways in turn, as loading costs more than all the rest.
    injects(&entries, data.len().is_multiple_of(2));
}

/// However far an input unfolds, what is said of it stays below this. A path and its finding take a
/// few hundred bytes for each value, and the paths of all values have a bound.
const MOST_SAID: usize = 64 << 20;

fn findings(findings: &[Finding], severities: &[Severity]) {
    let mut length = 0;
    for finding in findings {
        let said = finding.to_string();
        assert!(severities.contains(&finding.severity), "{said:?}");
        assert!(
            !finding.message.is_empty() && !said.contains(['\n', '\r']),
            "{said:?}"
        );
        length += said.len();
    }
    assert!(
        length <= MOST_SAID,
        "{} findings with {length} bytes",
        findings.len()
    );
}

fn entries(text: &str) -> Entries {
    if let Some(keys) = text.strip_prefix('@') {
        return keys
            .split("\n@")
            .map(|part| part.split_once('\n').unwrap_or((part, "")))
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .collect();
    }
    let manifest = yaml::value(text)
        .ok()
        .and_then(|manifest| config_map::entries(&manifest).ok());
    manifest.unwrap_or_else(|| Entries::from([("tools", text)]))
}

/// What can be read can be written, as YAML and as JSON, and reads the same again.
fn same_when_written_again(text: &str) {
    let Ok(value) = yaml::value(text) else { return };
    for written in [yaml::to_string(&value), value.to_string()] {
        match yaml::value(&written) {
            Ok(again) => assert_eq!(again, value, "{written}"),
            Err(error) => panic!("{error}: {written}"),
        }
    }
}

fn usable(config: &Config) {
    for runtime in config.runtimes() {
        assert!(runtime.digest.len() == 64 && runtime.revision().len() == 12);
        assert!(config.runtime(&runtime.name).is_some());
    }
    for rule in config.pools() {
        assert!(
            rule.runtimes
                .iter()
                .all(|name| config.runtime(name).is_some()),
            "{rule:?}"
        );
    }
}

/// All of it at once into pods with little and with much of their own.
fn injects(entries: &Entries, keep: bool) {
    let names = entries
        .iter()
        .map(|(key, _)| key.clone())
        .filter(|key| key != "pools");
    let mut settings = Settings::default();
    settings.selection.forced = Some(DefaultRuntimes(names.collect()));
    settings.injection.on_conflict = if keep {
        OnConflict::Keep
    } else {
        OnConflict::Deny
    };
    let Some(edge) = Edge::new(entries.clone(), settings) else {
        return;
    };
    for body in PODS.iter() {
        edge.check(body);
    }
}

static PODS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let little = json!({"metadata": {"labels": {"agents.kruise.io/sandbox-pool": "demo"}},
        "spec": {"containers": [{"name": "main"}]}});
    let much = json!({
    "metadata": {"labels": {"agents.kruise.io/sandbox-pool": "demo", "team": "a"},
        "annotations": {"team": "b", "kubectl.kubernetes.io/default-container": "second"}},
    "spec": {
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "envd-volume", "emptyDir": {}}],
        "initContainers": [{"name": "init", "image": "i:1", "restartPolicy": "Always"}],
        "containers": [
            {"name": "main", "image": "i:1"},
            {"name": "second", "image": "i:1", "env": [{"name": "A", "value": "1"}],
                "volumeMounts": [{"name": "data", "mountPath": "/data/"}],
                "lifecycle": {"postStart": {"exec": {"command": ["bash", "-c", "echo 'a b'"]}},
                    "preStop": {"httpGet": {"port": 80}}}},
        ],
    }});
    [little, much].map(|pod: Value| review(&pod).to_string().into_bytes())
});
