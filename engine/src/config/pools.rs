//! Pool rules: the configuration's own word on which runtimes the pods of a pool or template get.
//!
//! agent-sandbox and OpenSandbox have no `spec.runtimes`, so the reserved key `pools` holds a list
//! of rules for their pods, of which the first that matches decides:
//!
//! ```yaml
//! - system: agent-sandbox        # or opensandbox
//!   pool: python-pool            # the SandboxWarmPool; a plain name
//!   template: python-template    # the SandboxTemplate; a plain name
//!   namespace: team-*            # any, where it is left out
//!   runtimes: [agent-runtime]    # or [none]
//! ```
//!
//! A rule without `pool` and `template` is for every pod of the system. An agent-sandbox pod
//! carries hashes of its pool's and template's names and not the names, so those can only be
//! matched whole, and a pattern is refused.
//!
//! Reading and checking are one pass; nothing here looks at pods.

use serde_json::Value;

use super::document::Located;
use super::finding::{Code, Findings};
use crate::json_path::JsonPath;
use crate::pattern::Pattern;
use crate::systems::agent_sandbox::name_hash;
use crate::text::listed;

/// So many runtimes a message lists: each wrong rule has the list.
const MAX_LISTED_RUNTIMES: usize = 20;

/// A system whose pools can have rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolSystem {
    /// kubernetes-sigs/agent-sandbox: `agent-sandbox`.
    AgentSandbox,
    /// OpenSandbox: `opensandbox`.
    OpenSandbox,
}

/// How a rule names a pool or a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The name's hash, as agent-sandbox writes it into labels.
    Hash(String),
    /// A pattern for the name itself.
    Name(Pattern),
}

/// One rule. What is absent matches anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRule {
    /// The system of the pods.
    pub system: PoolSystem,
    /// The warm pool.
    pub pool: Option<Wanted>,
    /// The template; agent-sandbox only.
    pub template: Option<Wanted>,
    /// The pod's namespace.
    pub namespace: Option<Pattern>,
    /// What the pods get; empty where the rule says `none`.
    pub runtimes: Vec<String>,
}

const FIELDS: &str = "a pool rule has system, pool, template, namespace and runtimes";

impl Wanted {
    /// Whether a label's value stands for what the rule names.
    pub fn matches(&self, label: &str) -> bool {
        match self {
            Wanted::Hash(hash) => hash == label,
            Wanted::Name(pattern) => pattern.matches(label),
        }
    }
}

/// Reads the value of the key `pools`; `known` are the runtimes of the configuration. Only without
/// an error are the rules whole.
pub(super) fn read(value: &Value, known: &[&str], findings: &mut Findings<'_>) -> Vec<PoolRule> {
    if !value.is_array() {
        findings.add(
            Code::WrongType,
            JsonPath::root(),
            "must be a list of pool rules",
        );
        return Vec::new();
    }
    let rules = Located::root(value).list();
    rules
        .filter_map(|at| {
            Reader {
                at,
                known,
                findings,
            }
            .rule()
        })
        .collect()
}

struct Reader<'r, 'f, 'k> {
    at: Located<'r>,
    known: &'r [&'r str],
    findings: &'f mut Findings<'k>,
}

impl Reader<'_, '_, '_> {
    fn found(&mut self, code: Code, field: &str, message: impl Into<String>) {
        self.findings.add(code, self.at.path.field(field), message);
    }

    fn rule(mut self) -> Option<PoolRule> {
        let rule = self.at.value;
        let Some(fields) = rule.as_object() else {
            let message = format!("must be an object; {FIELDS}");
            self.findings.add(Code::WrongType, self.at.path, message);
            return None;
        };
        for field in fields.keys() {
            if !matches!(
                field.as_str(),
                "system" | "pool" | "template" | "namespace" | "runtimes"
            ) {
                self.found(
                    Code::UnknownField,
                    field,
                    format!("unknown field {field:?}; {FIELDS}"),
                );
            }
        }
        let system = self.system(&rule["system"]);
        let runtimes = self.runtimes();
        let namespace = self.pattern(&rule["namespace"], "namespace");
        let pool = self.wanted(&rule["pool"], "pool", system);
        if system == Some(PoolSystem::OpenSandbox) && !rule["template"].is_null() {
            self.found(
                Code::UnsupportedField,
                "template",
                "OpenSandbox pods carry no template label; use pool instead",
            );
        }
        let template = self.wanted(&rule["template"], "template", system);
        Some(PoolRule {
            system: system?,
            pool,
            template,
            namespace,
            runtimes: runtimes?,
        })
    }

    fn system(&mut self, value: &Value) -> Option<PoolSystem> {
        let fix = "write agent-sandbox or opensandbox";
        match value.as_str() {
            Some("agent-sandbox") => return Some(PoolSystem::AgentSandbox),
            Some("opensandbox") => return Some(PoolSystem::OpenSandbox),
            Some(other) => self.found(
                Code::UnknownSystem,
                "system",
                format!("pool rules do not apply to {other:?}; use agent-sandbox or opensandbox (OpenKruise sandboxes set spec.runtimes instead)"),
            ),
            None if value.is_null() => {
                self.found(Code::MissingField, "system", format!("is missing; {fix}"));
            }
            None => self.found(Code::WrongType, "system", format!("must be a string; {fix}")),
        }
        None
    }

    fn pattern(&mut self, value: &Value, field: &str) -> Option<Pattern> {
        match value {
            Value::Null => None,
            Value::String(text) => match text.parse() {
                Ok(pattern) => Some(pattern),
                Err(_) => {
                    let message = "is empty and matches nothing; write a name, or omit the field to match any";
                    self.found(Code::InvalidName, field, message);
                    None
                }
            },
            _ => {
                self.found(Code::WrongType, field, "must be a string");
                None
            }
        }
    }

    fn wanted(&mut self, value: &Value, field: &str, system: Option<PoolSystem>) -> Option<Wanted> {
        let pattern = self.pattern(value, field)?;
        match system? {
            PoolSystem::OpenSandbox => Some(Wanted::Name(pattern)),
            PoolSystem::AgentSandbox if pattern.is_wild() => {
                let message = format!(
                    "{pattern:?} is a pattern, but agent-sandbox pods carry only a hash of the {field}'s name; \
                     write the full name, or omit the field to match any",
                    pattern = pattern.as_str()
                );
                self.found(Code::HashedName, field, message);
                None
            }
            PoolSystem::AgentSandbox => Some(Wanted::Hash(name_hash(pattern.as_str()))),
        }
    }

    fn runtimes(&mut self) -> Option<Vec<String>> {
        let fix = "list runtimes, or [none]";
        let list = self.at.field("runtimes");
        let Some(items) = list.value.as_array() else {
            let (code, what) = match list.value {
                Value::Null => (Code::MissingField, "is missing"),
                _ => (Code::WrongType, "must be a list"),
            };
            self.found(code, "runtimes", format!("{what}; {fix}"));
            return None;
        };
        if items.is_empty() {
            self.found(Code::MissingField, "runtimes", format!("is empty; {fix}"));
            return None;
        }
        let mut names = Vec::with_capacity(items.len());
        for item in list.list() {
            let (code, message) = match item.value.as_str() {
                None => (Code::WrongType, "must be a string".to_owned()),
                Some("none") if items.len() == 1 => return Some(Vec::new()),
                Some("none") => (
                    Code::UnknownRuntime,
                    "\"none\" cannot be combined with other names".to_owned(),
                ),
                Some(name) if self.known.contains(&name) => {
                    names.push(name.to_owned());
                    continue;
                }
                Some(name) => {
                    let known = listed(self.known.iter(), MAX_LISTED_RUNTIMES);
                    let message =
                        format!("runtime {name:?} is not configured; configured runtimes: {known}");
                    (Code::UnknownRuntime, message)
                }
            };
            self.findings.add(code, item.path, message);
        }
        Some(names)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::config::POOLS_KEY;
    use crate::config::config_map::Entries;
    use crate::config::finding::Finding;

    fn read_with(rules: &Value, known: &[&str]) -> (Vec<PoolRule>, Vec<Finding>) {
        let mut found = Vec::new();
        let rules = read(rules, known, &mut Findings::new(POOLS_KEY, &mut found));
        (rules, found)
    }

    fn problems(rules: &Value) -> Vec<String> {
        let (_, found) = read_with(rules, &["agent-runtime", "csi"]);
        let line = |found: &Finding| {
            format!(
                "{} {}: {}",
                found.code,
                found.path.as_ref().unwrap(),
                found.message
            )
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn a_rule_is_read_with_hashes_where_only_they_are_known() {
        let rules = json!([
            {"system": "agent-sandbox", "pool": "python-pool", "runtimes": ["csi"]},
            {"system": "opensandbox", "pool": "pool-*", "namespace": "open*", "runtimes": ["none"]},
        ]);
        let (read, found) = read_with(&rules, &["csi"]);
        assert_eq!(found, []);
        assert_eq!(read[0].pool, Some(Wanted::Hash("ed572cc4".to_owned())));
        assert_eq!(read[1].pool, Some(Wanted::Name("pool-*".parse().unwrap())));
        assert!(read[1].runtimes.is_empty() && read[1].template.is_none());
    }

    #[test]
    fn a_message_names_so_many_runtimes_and_no_more() {
        let names: Vec<String> = (0..10_000)
            .map(|number| format!("runtime-{number}"))
            .collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let rules = json!([{"system": "opensandbox", "runtimes": ["oss"]}]);
        let (_, found) = read_with(&rules, &known);
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .message
                .ends_with(", runtime-18, runtime-19 and 9980 more"),
            "{found:?}"
        );
    }

    #[test]
    fn a_configuration_with_a_broken_rule_is_refused_with_its_place() {
        let load = |pools: &str| {
            let entries = Entries::from([("csi", "{}"), ("pools", pools)]);
            let loaded = crate::config::Config::load(&entries, None);
            loaded
                .map(|config| config.pools().len())
                .map_err(|rejected| {
                    rejected
                        .findings
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                })
        };
        assert_eq!(load("- {system: opensandbox, runtimes: [csi]}"), Ok(1));
        assert_eq!(load("[]"), Ok(0));
        let found = load("- {system: opensandbox, runtimes: [oss]}\n- {system: x}").unwrap_err();
        let found: Vec<_> = found
            .iter()
            .filter(|found| found.starts_with("pools: "))
            .collect();
        let starts = [
            "$[0].runtimes[0]: ",
            "$[1].runtimes: is missing",
            "$[1].system: ",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for start in starts {
            assert!(
                found
                    .iter()
                    .any(|found| found["pools: ".len()..].starts_with(start)),
                "{start} {found:#?}"
            );
        }
        assert!(found[0].contains(starts[0]), "{found:#?}");
        assert!(
            load("- [")
                .unwrap_err()
                .iter()
                .any(|found| found.starts_with("pools: $: "))
        );
        // Rules alone are not a configuration.
        let entries = Entries::from([("pools", "[]")]);
        let error = crate::config::Config::load(&entries, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the configuration defines no runtime"),
            "{error}"
        );
    }

    #[rstest]
    #[case::no_list(json!({}), &["wrong-type $: must be a list"])]
    #[case::no_object(json!(["csi"]), &["wrong-type $[0]: must be an object"])]
    #[case::empty_rule(json!([{}]), &["missing-field $[0].system: is missing", "missing-field $[0].runtimes: is missing"])]
    #[case::misspelt(
        json!([{"system": "opensandbox", "pol": "x", "runtimes": ["csi"]}]),
        &["unknown-field $[0].pol: unknown field \"pol\"; a pool rule has"]
    )]
    #[case::system(
        json!([{"system": "openkruise", "runtimes": ["csi"]}]),
        &["unknown-system $[0].system: pool rules do not apply to \"openkruise\"; use agent-sandbox or opensandbox"]
    )]
    #[case::pattern_of_a_hash(
        json!([{"system": "agent-sandbox", "pool": "py-*", "template": "*", "runtimes": ["csi"]}]),
        &["hashed-name $[0].pool: \"py-*\" is a pattern, but", "hashed-name $[0].template: \"*\" is a pattern, but"]
    )]
    #[case::template_of_open_sandbox(
        json!([{"system": "opensandbox", "template": "x", "runtimes": ["csi"]}]),
        &["unsupported-field $[0].template: OpenSandbox pods carry no template label"]
    )]
    #[case::unknown_runtime(
        json!([{"system": "opensandbox", "runtimes": ["csi", "oss"]}]),
        &["unknown-runtime $[0].runtimes[1]: runtime \"oss\" is not configured; configured runtimes: agent-runtime, csi"]
    )]
    #[case::none_with_others(
        json!([{"system": "opensandbox", "runtimes": ["none", "csi"]}]),
        &["unknown-runtime $[0].runtimes[0]: \"none\" cannot be combined with other names"]
    )]
    #[case::nothing(
        json!([{"system": "opensandbox", "pool": "", "namespace": 1, "runtimes": []}]),
        &["missing-field $[0].runtimes: is empty; list runtimes, or [none]", "wrong-type $[0].namespace: must be a string",
          "invalid-name $[0].pool: is empty"]
    )]
    fn what_is_wrong_is_said_with_its_place(#[case] rules: Value, #[case] expected: &[&str]) {
        let problems = problems(&rules);
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}\n{expected}");
        }
    }
}
