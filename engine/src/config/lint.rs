//! What is wrong in a configuration, all of it at once.
//!
//! The same findings stop a load, are printed offline and refuse a broken edit at admission. Checking works on
//! the JSON itself and reports every problem with the runtime's key and the JSON path.

mod across;
mod container;
mod order;
mod risks;
mod size;

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::compile::CONTAINER_LISTS;
use super::finding::{Code, Finding};
use super::pools::{self, PoolRule};
use super::region::{PLACEHOLDER, Region, substitute};
use super::schema::{self, Problem};
use super::{POOLS_KEY, RESERVED_NAMES};
use crate::kube::names;
use crate::kube::normalize::{Kind, normal};
use k8s_openapi::api::core::v1 as api;

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

/// The fields of a runtime, for the typed check alone; the JSON is what gets used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the fields say what is allowed; nobody reads them")]
struct RuntimeModel {
    main_container: Option<api::Container>,
    csi_sidecar: Option<Vec<api::Container>>,
    init_containers: Option<Vec<api::Container>>,
    containers: Option<Vec<api::Container>>,
    volume: Option<Vec<api::Volume>>,
    labels: Option<std::collections::BTreeMap<String, String>>,
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// Reads and checks the `entries`: the keys of the ConfigMap and their texts.
pub fn check(entries: &[(String, String)], region: Option<&Region>) -> Checked {
    let mut checked = Checked::default();
    let mut left = size::MOST;
    for (key, text) in entries.iter().filter(|(key, _)| key != POOLS_KEY) {
        if let Some(reason) = bad_key(key) {
            checked.findings.push(Finding::new(Code::BadKey, key, "", reason));
            continue;
        }
        match read(text, &mut left) {
            Ok(value) => checked.runtimes.push((key.clone(), value)),
            Err(reason) => checked.findings.push(Finding::new(Code::Syntax, key, "$", reason)),
        }
    }
    if checked.runtimes.is_empty() && checked.findings.is_empty() {
        checked.findings.push(Finding::new(
            Code::NoRuntime,
            "",
            "",
            "the configuration defines no runtime; add at least one key, such as agent-runtime or csi",
        ));
    }
    let volumes: HashSet<String> =
        checked.runtimes.iter().flat_map(|(_, value)| volume_names(value)).collect();
    for (key, value) in &mut checked.runtimes {
        let mut check = Check { runtime: key, findings: &mut checked.findings };
        check.region(value, region);
        check.model(value);
        if value.is_object() {
            check.runtime(value, &volumes);
            check.risks(value, region);
        }
    }
    let pools = entries.iter().find(|(key, _)| key == POOLS_KEY);
    let pools =
        pools.map(|(_, text)| checked.pool_rules(text, entries, region, &mut left)).unwrap_or_default();
    across::check(&mut checked);
    order::sort(&mut checked, &pools);
    checked
}

impl Checked {
    /// Reads the pool rules; returns the value that they were read from.
    fn pool_rules(
        &mut self,
        text: &str,
        entries: &[(String, String)],
        region: Option<&Region>,
        left: &mut usize,
    ) -> Value {
        let mut check = Check { runtime: POOLS_KEY, findings: &mut self.findings };
        let mut value = match read(text, left) {
            Ok(value) => value,
            Err(reason) => {
                check.found(Code::Syntax, "$", reason);
                return Value::Null;
            }
        };
        check.region(&mut value, region);
        // A runtime that is there and broken has its own findings.
        let keys = entries.iter().map(|(key, _)| key.as_str());
        let known: Vec<&str> = keys.filter(|key| bad_key(key).is_none()).collect();
        self.pools = pools::read(&value, &known, &mut |code, path, message| check.found(code, path, message));
        value
    }
}

/// The value of a key, or why there is none; `left` is what it may still weigh.
fn read(text: &str, left: &mut usize) -> Result<Value, String> {
    let value = crate::yaml::value(text).map_err(|error| error.to_string())?;
    match size::spend(&value, left) {
        true => Ok(value),
        false => Err("is too large once aliases are expanded; use fewer aliases or shorter names".to_owned()),
    }
}

fn bad_key(key: &str) -> Option<String> {
    if RESERVED_NAMES.contains(&key) {
        return Some("is reserved and cannot name a runtime; rename the key".to_owned());
    }
    // What a ConfigMap key may hold, less what could not be written in a list of names.
    let fits = !key.is_empty() && key.len() <= 253;
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (!fits || !plain).then(|| "is not a valid runtime name; use letters, digits, '-', '_' and '.'".to_owned())
}

fn volume_names(value: &Value) -> impl Iterator<Item = String> + '_ {
    list(value, "volume").iter().filter_map(|volume| volume["name"].as_str().map(str::to_owned))
}

/// The items of a list; none where there is no list.
pub(super) fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The check of one runtime.
struct Check<'c> {
    runtime: &'c str,
    findings: &'c mut Vec<Finding>,
}

impl Check<'_> {
    fn found(&mut self, code: Code, path: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding::new(code, self.runtime, path, message));
    }

    fn region(&mut self, value: &mut Value, region: Option<&Region>) {
        let missing = substitute(value, region);
        if missing.is_empty() {
            return;
        }
        for path in missing {
            let message =
                format!("contains {PLACEHOLDER}, but no region is set; set --region-id or REGION_ID");
            self.found(Code::NoRegion, path, message);
        }
        // What else is wrong shows with any region in its place.
        substitute(value, Some(&Region::stand_in()));
    }

    /// Fields and types, against the API's own model.
    fn model(&mut self, value: &Value) {
        for problem in schema::check::<RuntimeModel>(value) {
            match problem {
                Problem::WrongType { path, expected } => {
                    self.found(Code::WrongType, path, format!("must be {}", plain_type(&expected)));
                }
                Problem::InvalidQuantity { path } => {
                    self.found(
                        Code::InvalidQuantity,
                        path,
                        crate::kube::quantity::InvalidQuantity.to_string(),
                    );
                }
                Problem::UnknownField { path, object, similar } => {
                    let (parent, field) = schema::parent_and_field(&path);
                    if let Some(what) = container::main_object(parent) {
                        let message = match similar.filter(|similar| what.has(similar)) {
                            Some(similar) => {
                                format!("unknown field {field:?}; did you mean {similar:?}?")
                            }
                            None => format!("unknown field {field:?}; {}", what.holds()),
                        };
                        self.found(Code::UnknownField, path, message);
                        continue;
                    }
                    match (object, similar) {
                        (_, Some(similar)) => {
                            let message = format!("unknown field {field:?}; did you mean {similar:?}?");
                            self.found(Code::UnknownField, path, message);
                        }
                        ("RuntimeModel", None) => {
                            let message = format!(
                                "unknown field {field:?}; a runtime has mainContainer, csiSidecar, initContainers, \
                                 containers, volume, labels and annotations"
                            );
                            self.found(Code::UnknownField, path, message);
                        }
                        (object, None) => {
                            let message =
                                format!("unknown field {field:?} in {object}; passed through as written");
                            self.found(Code::NewField, path, message);
                        }
                    }
                }
            }
        }
    }

    fn runtime(&mut self, value: &Value, volumes: &HashSet<String>) {
        self.main_container(&value["mainContainer"], volumes);
        let mut names = HashSet::new();
        for list_name in CONTAINER_LISTS {
            for (index, container) in list(value, list_name).iter().enumerate() {
                let path = format!("$.{list_name}[{index}]");
                self.container(container, &path, volumes);
                self.unique(&mut names, container["name"].as_str(), &format!("{path}.name"), "container");
            }
        }
        let mut names = HashSet::new();
        for (index, volume) in list(value, "volume").iter().enumerate() {
            let path = format!("$.volume[{index}]");
            self.volume(volume, &path);
            self.unique(&mut names, volume["name"].as_str(), &format!("{path}.name"), "volume");
        }
        for (field, kind) in
            [("labels", names::check_label as fn(&str, &str) -> _), ("annotations", names::check_annotation)]
        {
            for (key, text) in value[field].as_object().into_iter().flatten() {
                if let Err(reason) = kind(key, text.as_str().unwrap_or_default()) {
                    self.found(Code::InvalidName, schema::field_path(&format!("$.{field}"), key), reason);
                }
            }
        }
    }

    fn unique<'v>(&mut self, seen: &mut HashSet<&'v str>, name: Option<&'v str>, path: &str, what: &str) {
        if let Some(name) = name.filter(|name| !name.is_empty())
            && !seen.insert(name)
        {
            self.found(
                Code::Duplicate,
                path,
                format!("{what} {name:?} is defined twice; remove or rename one"),
            );
        }
    }

    fn volume(&mut self, volume: &Value, path: &str) {
        self.name(&volume["name"], &format!("{path}.name"), names::is_dns_label);
        let sources: Vec<&str> = volume
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(field, value)| *field != "name" && !value.is_null())
            .map(|(field, _)| field.as_str())
            .collect();
        if sources.len() > 1 {
            let message =
                format!("has several sources ({}); a volume may have only one", sources.join(" and "));
            self.found(Code::VolumeSources, path, message);
        }
    }

    fn name(&mut self, name: &Value, path: &str, valid: fn(&str) -> bool) {
        match name {
            Value::Null => self.found(Code::MissingField, path, "is missing"),
            Value::String(name) if name.is_empty() => self.found(Code::MissingField, path, "is empty"),
            Value::String(name) if !valid(name) => {
                let message = format!(
                    "{name:?} is not a valid name; use at most 63 lowercase letters, digits and hyphens (not at the ends)"
                );
                self.found(Code::InvalidName, path, message);
            }
            _ => {}
        }
    }
}

/// A type in the words of JSON rather than of Rust.
fn plain_type(expected: &str) -> String {
    match expected {
        "a string" | "a boolean" | "a list" | "an object" => expected.to_owned(),
        "i32" | "i64" | "u32" | "u64" | "an integer" => "a whole number".to_owned(),
        expected if expected.starts_with("a ") || expected.starts_with("an ") => expected.to_owned(),
        expected => format!("of type {expected}"),
    }
}

/// Whether a value says anything.
fn is_set(value: &Value) -> bool {
    normal(Kind::Plain, value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::finding::Severity;

    fn findings(runtime: &str) -> Vec<(Code, Severity, String)> {
        let checked = check(&[("tools".to_owned(), runtime.to_owned())], None);
        checked.findings.into_iter().map(|found| (found.code, found.severity, found.path)).collect()
    }

    #[test]
    fn a_misspelt_main_container_is_not_passed_over() {
        let found = findings("mainContainers: {env: [{name: A}]}");
        assert_eq!(found, [(Code::UnknownField, Severity::Error, "$.mainContainers".to_owned())]);
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
}
