//! Findings in order of place: as the configuration is read from top to bottom.

use std::collections::HashMap;

use serde_json::Value;

use crate::config::POOLS_KEY;
use crate::config::finding::Finding;
use crate::config::load::Documents;
use crate::json_path::{JsonPath, walk_all};

/// Sorts the findings by key, then by where in its value they are.
pub(super) fn sort(findings: &mut [Finding], documents: &Documents) {
    let runtimes = documents
        .runtimes
        .iter()
        .map(|(key, value)| (key.as_str(), value));
    let pools = documents.pools.iter().map(|value| (POOLS_KEY, value));
    let values: HashMap<&str, &Value> = runtimes.chain(pools).collect();
    // A finding about something that is missing stands where its parent begins.
    let place = |finding: &Finding| {
        let value = values.get(finding.runtime.as_str())?;
        Some(finding.path.as_ref()?.nearest_in(value))
    };
    let mut order: HashMap<String, HashMap<JsonPath, usize>> = HashMap::new();
    for finding in &*findings {
        if let Some(path) = place(finding) {
            order
                .entry(finding.runtime.clone())
                .or_default()
                .insert(path, 0);
        }
    }
    for (key, places) in &mut order {
        let Some(value) = values.get(key.as_str()) else {
            continue;
        };
        let mut number = 0;
        walk_all(value, &mut |path, _| {
            number += 1;
            if let Some(place) = places.get_mut(path) {
                *place = number;
            }
        });
    }
    findings.sort_by_cached_key(|finding| {
        let place =
            place(finding).and_then(|path| order.get(&finding.runtime)?.get(&path).copied());
        (
            finding.runtime.clone(),
            place,
            finding.severity,
            finding.code.as_str(),
        )
    });
}
