//! The configuration's ConfigMap: the findings of a load, before there is one.

use serde_json::Value;

use super::Remarks;
use crate::config::config_map::{ConfigMapName, entries};
use crate::config::finding::{Finding, Severity};
use crate::config::lint::check as findings;
use crate::config::region::Region;

/// Checks a ConfigMap that is created, or of which what a configuration is read from has changed.
pub(super) fn check(object: &Value, old: &Value, region: Option<&Region>, remarks: &mut Remarks) {
    let changed = ["data", "binaryData"]
        .iter()
        .any(|field| !same(&object[*field], &old[*field]));
    if old.is_object() && !changed {
        return;
    }
    let entries = match entries(object) {
        Ok(entries) => entries,
        Err(error) => {
            return remarks.refuse(error.path().field_path().to_string(), error.problem());
        }
    };
    for finding in findings(&entries, region).findings {
        match finding.severity {
            Severity::Error => {
                remarks.refuse(
                    field(&finding),
                    format!("{} ({})", finding.message, finding.code),
                );
            }
            Severity::Warning => {
                remarks.warn(format!(
                    "{}: {} ({})",
                    field(&finding),
                    finding.message,
                    finding.code
                ));
            }
        }
    }
}

/// A ConfigMap that goes away changes nothing yet.
pub(super) fn deleted(name: &ConfigMapName, remarks: &mut Remarks) {
    remarks.warn(format!(
        "{name} is the injection configuration; the current one stays in use until a restart, after which sandbox-injector waits for a new one"
    ));
}

/// No data and empty data are the same.
fn same(one: &Value, other: &Value) -> bool {
    let empty = |value: &Value| value.as_object().is_none_or(serde_json::Map::is_empty);
    one == other || (empty(one) && empty(other))
}

/// The place in the ConfigMap: `data[csi].csiSidecar[0].image`.
fn field(finding: &Finding) -> String {
    let key = if finding.runtime.is_empty() {
        String::new()
    } else {
        format!("[{}]", finding.runtime)
    };
    match &finding.path {
        Some(path) => format!("data{key}{}", path.below_root()),
        None => format!("data{key}"),
    }
}
