//! What is wrong in a configuration, all of it at once.
//!
//! The same findings stop a load, are printed offline and refuse a broken edit at admission.
//! Checking works on the JSON itself and reports every problem with the runtime's key and the JSON
//! path.

mod container;
mod cross_runtime;
mod order;
mod risks;
mod volume;

use std::collections::HashSet;

use serde_json::Value;

use super::config_map::Entries;
use super::document::{Located, RuntimeDoc};
use super::finding::{Code, Finding, Findings};
use super::pools::{self, PoolRule};
use super::region::Region;
use super::schema::{self, Problem};
use super::{POOLS_KEY, load};
use crate::json_path::JsonPath;
use crate::kube::names;
use crate::kube::quantity::InvalidQuantity;

/// The outcome of a check.
#[derive(Debug, Default)]
pub struct Checked {
    /// The runtimes that could be read, region put in, in the order of their keys.
    pub runtimes: Vec<(String, Value)>,
    /// The pool rules that could be read.
    pub pools: Vec<PoolRule>,
    /// Everything found, in order of place.
    pub findings: Vec<Finding>,
}

/// Reads and checks the `entries`: the keys of the ConfigMap and their texts.
pub fn check(entries: &Entries, region: Option<&Region>) -> Checked {
    let mut found = Vec::new();
    let documents = load::read(entries, region, &mut found);
    let runtimes: Vec<(&str, RuntimeDoc<'_>)> = documents
        .runtimes
        .iter()
        .map(|(key, value)| (key.as_str(), RuntimeDoc::new(value)))
        .collect();
    let volumes: HashSet<&str> = runtimes
        .iter()
        .flat_map(|(_, doc)| doc.volumes())
        .filter_map(|volume| volume.text("name"))
        .collect();
    for (key, value) in &documents.runtimes {
        let findings = &mut Findings::new(key, &mut found);
        model(value, findings);
        if value.is_object() {
            runtime(RuntimeDoc::new(value), &volumes, findings);
            risks::check(key, RuntimeDoc::new(value), region, findings);
        }
    }
    let pools = documents.pools.as_ref().map(|value| {
        // A runtime that is there and broken has its own findings.
        let known: Vec<&str> = entries
            .keys()
            .filter(|key| load::check_key(key).is_ok())
            .collect();
        pools::read(value, &known, &mut Findings::new(POOLS_KEY, &mut found))
    });
    cross_runtime::check(&runtimes, &mut found);
    order::sort(&mut found, &documents);
    Checked {
        runtimes: documents.runtimes,
        pools: pools.unwrap_or_default(),
        findings: found,
    }
}

/// Fields and types, against those that Kubernetes has.
fn model(value: &Value, findings: &mut Findings<'_>) {
    schema::check(value, &schema::RUNTIME, &mut |path, problem| {
        let (code, message) = match problem {
            Problem::WrongType { expected } => (Code::WrongType, format!("must be {expected}")),
            Problem::MisspeltField { field, similar } => (
                Code::UnknownField,
                format!("unknown field {field:?}; did you mean {similar:?}?"),
            ),
            Problem::UnknownField { field, fields } => (
                Code::UnknownField,
                format!("unknown field {field:?}; {fields}"),
            ),
            Problem::NewField { field, object } => (
                Code::NewField,
                format!("unknown field {field:?} in {object}; passed through as written"),
            ),
            Problem::UnsupportedField { fields } => (
                Code::UnsupportedField,
                format!("is not injected and would be ignored; {fields}. Remove it"),
            ),
            Problem::InvalidQuantity => (Code::InvalidQuantity, InvalidQuantity.to_string()),
        };
        findings.add(code, path.clone(), message);
    });
}

/// What the API server would refuse in a pod.
fn runtime(doc: RuntimeDoc<'_>, volumes: &HashSet<&str>, findings: &mut Findings<'_>) {
    container::check_main(&doc.main(), volumes, findings);
    let mut seen = HashSet::new();
    for (_, container) in doc.containers() {
        container::check(&container, volumes, findings);
        unique(&mut seen, &container, "container", findings);
    }
    let mut seen = HashSet::new();
    for volume in doc.volumes() {
        volume::check(&volume, findings);
        unique(&mut seen, &volume, "volume", findings);
    }
    for (key, at) in doc.metadata("labels") {
        if let Err(wrong) = names::check_label(key, at.value.as_str().unwrap_or_default()) {
            findings.add(Code::InvalidName, at.path, wrong.to_string());
        }
    }
    for (key, at) in doc.metadata("annotations") {
        if let Err(wrong) = names::check_annotation(key) {
            findings.add(Code::InvalidName, at.path, wrong.to_string());
        }
    }
}

/// An item whose name an earlier one has.
fn unique<'v>(
    seen: &mut HashSet<&'v str>,
    item: &Located<'v>,
    what: &'static str,
    findings: &mut Findings<'_>,
) {
    if let Some(name) = item.text("name").filter(|name| !name.is_empty())
        && !seen.insert(name)
    {
        let message = format!("{what} {name:?} is defined twice; remove or rename one");
        findings.add(Code::Duplicate, item.path.field("name"), message);
    }
}

/// The name of a container or volume.
fn name(item: &Located<'_>, findings: &mut Findings<'_>) {
    let path = || item.path.field("name");
    match &item.value["name"] {
        Value::Null => findings.add(Code::MissingField, path(), "is missing"),
        Value::String(name) if name.is_empty() => {
            findings.add(Code::MissingField, path(), "is empty");
        }
        Value::String(name) => valid_name(name, path(), findings),
        _ => {}
    }
}

fn valid_name(name: &str, path: JsonPath, findings: &mut Findings<'_>) {
    if !names::is_dns_label(name) {
        let message = format!(
            "{name:?} is not a valid name; use at most 63 lowercase letters, digits and hyphens (not at the ends)"
        );
        findings.add(Code::InvalidName, path, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::finding::Severity;

    fn findings(runtime: &str) -> Vec<(Code, Severity, String)> {
        let checked = check(&Entries::from([("tools", runtime)]), None);
        let found = checked.findings.into_iter();
        found
            .map(|found| (found.code, found.severity, found.path.unwrap().to_string()))
            .collect()
    }

    #[test]
    fn a_misspelt_main_container_is_found() {
        let found = findings("mainContainers: {env: [{name: A}]}");
        assert_eq!(
            found,
            [(
                Code::UnknownField,
                Severity::Error,
                "$.mainContainers".to_owned()
            )]
        );
    }

    #[test]
    fn a_field_of_a_newer_kubernetes_is_a_warning_and_a_misspelt_one_an_error() {
        let found = findings(
            "csiSidecar: [{name: a, image: 'i:1', restartPolicy: Always, resources: {limits: {cpu: 1}}, \
             futureField: 1, volumeMount: []}]",
        );
        let at = |field: &str| format!("$.csiSidecar[0].{field}");
        assert_eq!(
            found,
            [
                (Code::NewField, Severity::Warning, at("futureField")),
                (Code::UnknownField, Severity::Error, at("volumeMount"))
            ]
        );
    }

    #[test]
    fn a_field_of_the_main_container_that_is_not_supported_is_reported_once() {
        let found = findings("mainContainer: {image: 'i:1', imag: x, env: null, command: []}");
        assert_eq!(
            found,
            [
                (
                    Code::UnsupportedField,
                    Severity::Error,
                    "$.mainContainer.image".to_owned()
                ),
                (
                    Code::UnknownField,
                    Severity::Error,
                    "$.mainContainer.imag".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn a_volume_may_be_named_after_the_region() {
        let found = findings(
            "{mainContainer: {volumeMounts: [{name: 'v-<region-id>', mountPath: /v}]}, \
             volume: [{name: 'v-<region-id>', emptyDir: {}}]}",
        );
        assert!(
            found.iter().all(|(code, _, _)| *code == Code::NoRegion),
            "{found:?}"
        );
    }
}
