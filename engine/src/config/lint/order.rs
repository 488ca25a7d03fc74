//! Findings in order of place: as the configuration is read from top to bottom.

use std::collections::HashMap;

use serde_json::Value;

use super::Checked;
use crate::config::POOLS_KEY;
use crate::config::schema::field_path;

/// Sorts the findings by runtime, then by where in its text they are; `pools` is the value of that key.
pub(super) fn sort(checked: &mut Checked, pools: &Value) {
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    for (key, value) in &checked.runtimes {
        visit(key, value, "$", &mut places);
    }
    visit(POOLS_KEY, pools, "$", &mut places);
    // A finding about something that is missing stands where its parent begins.
    let place = |runtime: &str, path: &str| {
        let mut path = path.to_owned();
        loop {
            if let Some(place) = places.get(&(runtime.to_owned(), path.clone())) {
                return *place;
            }
            let Some(end) = path.rfind(['.', '[']) else { return 0 };
            path.truncate(end);
        }
    };
    checked.findings.sort_by_cached_key(|finding| {
        (
            finding.runtime.clone(),
            place(&finding.runtime, &finding.path),
            finding.severity,
            finding.code.as_str(),
        )
    });
}

fn visit(key: &str, value: &Value, path: &str, places: &mut HashMap<(String, String), usize>) {
    places.insert((key.to_owned(), path.to_owned()), places.len());
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                visit(key, value, &field_path(path, field), places);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                visit(key, value, &format!("{path}[{index}]"), places);
            }
        }
        _ => {}
    }
}
