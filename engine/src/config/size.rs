//! How much there is to check.
//!
//! A text of a few kilobytes can unfold to millions of values by aliases, and values under a long
//! key have long paths. Checking keeps paths and findings for them, so that is bounded before
//! anything else looks at a value.

use std::ops::ControlFlow;

use serde_json::Value;

use crate::json_path::{JsonPath, Step, walk};

/// Bytes of the paths of all values of a configuration together. A ConfigMap holds 1 MiB, which
/// comes to about this when it is full of variables with a name and nothing else.
pub(in crate::config) const MAX_PATH_BYTES: usize = 4 << 20;

/// Takes the paths of `value` and of all values in it out of `left`; false when that does not
/// suffice.
pub(in crate::config) fn spend(value: &Value, left: &mut usize) -> bool {
    let mut visit = |path: &JsonPath, _: &Value| match left.checked_sub(length(path)) {
        Some(rest) => {
            *left = rest;
            ControlFlow::Continue(())
        }
        None => ControlFlow::Break(()),
    };
    walk(value, &mut JsonPath::root(), &mut visit).is_continue()
}

fn length(path: &JsonPath) -> usize {
    let steps = path.steps().iter().map(|step| match step {
        // The point in front of a name, or the brackets and an index of a few digits.
        Step::Field(name) => 1 + name.len(),
        Step::Index(_) => 5,
    });
    1 + steps.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::config_map::Entries;
    use crate::config::lint::check;

    #[test]
    fn every_value_counts_with_its_path() {
        let mut left = 100;
        // $, $.ab, $.ab[0], $.ab[1]
        assert!(spend(&json!({"ab": [0, 1]}), &mut left));
        assert_eq!(left, 100 - 1 - 4 - 9 - 9);
        let mut left = 22;
        assert!(!spend(&json!({"ab": [0, 1]}), &mut left));
    }

    #[test]
    fn what_unfolds_too_far_is_refused_and_not_walked() {
        let aliases = format!(
            "csiSidecar: [&a {{env: [{}]}}, {}]",
            "{},".repeat(400),
            "*a,".repeat(100)
        );
        let long_key = format!("{{{:?}: [{}0]}}", "k".repeat(10_000), "0,".repeat(500));
        // All keys count together.
        let keys = |count: usize, text: &str| -> Entries {
            (0..count)
                .map(|number| (format!("key-{number}"), text))
                .collect()
        };
        for (count, text) in [(1, &long_key), (5, &aliases)] {
            let entries = keys(count, text);
            let findings = check(&entries, None).findings;
            let last = findings.last().map(ToString::to_string).unwrap_or_default();
            let expected = format!(
                "key-{}: $: is too large once aliases are expanded",
                count - 1
            );
            assert!(last.starts_with(&expected), "{last}");
        }
    }
}
