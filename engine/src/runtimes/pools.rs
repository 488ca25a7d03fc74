//! Which pool rule is for a pod, by the labels that its system's controller wrote.

use crate::config::pools::{PoolRule, PoolSystem, Wanted};
use crate::pod::{Pod, ShapeError};
use crate::systems::System;

/// The first rule that matches.
pub(super) fn find<'r>(
    rules: &'r [PoolRule],
    pod: &Pod<'_>,
    system: System,
    namespace: &str,
) -> Result<Option<&'r PoolRule>, ShapeError> {
    for rule in rules {
        if matches(rule, pod, system, namespace)? {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

fn matches(
    rule: &PoolRule,
    pod: &Pod<'_>,
    system: System,
    namespace: &str,
) -> Result<bool, ShapeError> {
    let PoolRule {
        system: of,
        pool,
        template,
        namespace: within,
        runtimes: _,
    } = rule;
    let of = match of {
        PoolSystem::AgentSandbox => System::AgentSandbox,
        PoolSystem::OpenSandbox => System::OpenSandbox,
    };
    Ok(of == system
        && within
            .as_ref()
            .is_none_or(|pattern| pattern.matches(namespace))
        && carries(pod, system.pool_labels(), pool.as_ref())?
        && carries(pod, system.template_labels(), template.as_ref())?)
}

/// Whether one of the labels holds what is wanted, if anything is.
fn carries(pod: &Pod<'_>, labels: &[&str], wanted: Option<&Wanted>) -> Result<bool, ShapeError> {
    let Some(wanted) = wanted else {
        return Ok(true);
    };
    for key in labels {
        if pod.label(key)?.is_some_and(|value| wanted.matches(&value)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::budget::Budget;
    use crate::config::Config;
    use crate::runtimes::{Answers, Candidate, DecidedBy, Selection, SelectionRules};

    const RULES: &str = r#"
- {system: agent-sandbox, pool: python-pool, namespace: quiet, runtimes: [none]}
- {system: agent-sandbox, pool: python-pool, template: python-template, runtimes: [one]}
- {system: agent-sandbox, pool: python-pool, runtimes: [two]}
- {system: opensandbox, pool: "ml-*", namespace: "team-*", runtimes: [one, two]}
- {system: opensandbox, runtimes: [two]}
"#;

    #[rstest]
    #[case::first_that_matches("default", json!({"agents.x-k8s.io/sandbox-name-hash": "1", "agents.x-k8s.io/warm-pool-sandbox": "ed572cc4"}),
        (DecidedBy::PoolRule, "two"))]
    #[case::opted_out("quiet", json!({"agents.x-k8s.io/sandbox-name-hash": "1", "agents.x-k8s.io/warm-pool-sandbox": "ed572cc4"}),
        (DecidedBy::PoolRule, ""))]
    #[case::template_too("default", json!({"agents.x-k8s.io/sandbox-name-hash": "1", "agents.x-k8s.io/warm-pool-sandbox": "ed572cc4",
        "agents.x-k8s.io/sandbox-template-ref-hash": crate::systems::agent_sandbox::name_hash("python-template")}), (DecidedBy::PoolRule, "one"))]
    #[case::old_release("default", json!({"agents.x-k8s.io/pool": "ed572cc4"}), (DecidedBy::PoolRule, "two"))]
    #[case::another_pool("default", json!({"agents.x-k8s.io/pool": "00000000"}), (DecidedBy::Default, ""))]
    #[case::no_pool("default", json!({"agents.x-k8s.io/sandbox-name-hash": "1"}), (DecidedBy::Default, ""))]
    #[case::pattern("team-a", json!({"sandbox.opensandbox.io/pool-name": "ml-1"}), (DecidedBy::PoolRule, "one,two"))]
    #[case::other_namespace("default", json!({"sandbox.opensandbox.io/pool-name": "ml-1"}), (DecidedBy::PoolRule, "two"))]
    #[case::any_of_the_system("x", json!({"batch-sandbox.sandbox.opensandbox.io/name": "b"}), (DecidedBy::PoolRule, "two"))]
    fn rules_match_by_what_pods_carry(
        #[case] namespace: &str,
        #[case] labels: serde_json::Value,
        #[case] expected: (DecidedBy, &str),
    ) {
        let entries = [("one", "{}"), ("two", "{}"), ("pools", RULES)];
        let config = Config::load(&entries.into(), None).unwrap();
        let pod = json!({"metadata": {"labels": labels}}).to_string();
        let pod: Pod<'_> = serde_json::from_str(&pod).unwrap();
        let candidate = Candidate {
            pod: &pod,
            namespace,
            creator: None,
            declared: None,
        };
        let selection = SelectionRules::default().select(
            candidate,
            &config,
            &Answers::default(),
            &mut Budget::unlimited(),
        );
        let Selection::Decided(by, runtimes) = selection.unwrap() else {
            panic!("not a sandbox pod")
        };
        let names: Vec<_> = runtimes
            .iter()
            .map(|runtime| runtime.name.as_str())
            .collect();
        assert_eq!((by, names.join(",").as_str()), expected);
    }
}
