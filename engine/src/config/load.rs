//! From the texts of a ConfigMap to JSON with the region in it.

use serde_json::Value;

use super::config_map::Entries;
use super::finding::{Code, Finding, Findings};
use super::region::{PLACEHOLDER, Region, placeholders, substitute};
use super::{POOLS_KEY, RESERVED_NAMES, size};
use crate::json_path::JsonPath;

/// The values of the keys, as far as they can be read.
pub(super) struct Documents {
    /// The runtimes and their keys.
    pub(super) runtimes: Vec<(String, Value)>,
    /// The key of the pool rules.
    pub(super) pools: Option<Value>,
}

/// Parses the texts and puts the region in.
pub(super) fn read(
    entries: &Entries,
    region: Option<&Region>,
    found: &mut Vec<Finding>,
) -> Documents {
    let mut left = size::MAX_PATH_BYTES;
    let mut runtimes = Vec::new();
    let mut pools = None;
    for (key, text) in entries.iter() {
        if key == POOLS_KEY {
            pools = Some(text);
            continue;
        }
        if let Err(bad) = check_key(key) {
            found.push(Finding::about_key(Code::BadKey, key, bad.to_string()));
            continue;
        }
        if let Some(value) = value(text, &mut left, region, &mut Findings::new(key, found)) {
            runtimes.push((key.clone(), value));
        }
    }
    if runtimes.is_empty() && found.is_empty() {
        let message = "the configuration defines no runtime; add at least one key, such as agent-runtime or csi";
        found.push(Finding::about_key(Code::NoRuntime, "", message));
    }
    // Last, so that the runtimes do not change with the rules.
    let pools = pools.and_then(|text| {
        value(
            text,
            &mut left,
            region,
            &mut Findings::new(POOLS_KEY, found),
        )
    });
    Documents { runtimes, pools }
}

/// The value of a key; `left` is what it may still weigh.
fn value(
    text: &str,
    left: &mut usize,
    region: Option<&Region>,
    findings: &mut Findings<'_>,
) -> Option<Value> {
    let mut value = match crate::yaml::value(text) {
        Ok(value) => value,
        Err(error) => {
            findings.add(Code::Syntax, JsonPath::root(), error.to_string());
            return None;
        }
    };
    if !size::spend(&value, left) {
        let message = "is too large once aliases are expanded; use fewer aliases or shorter names";
        findings.add(Code::Syntax, JsonPath::root(), message);
        return None;
    }
    let places = placeholders(&value);
    if region.is_none() {
        for path in &places {
            let message = format!(
                "contains {PLACEHOLDER}, but no region is set; set --region-id or REGION_ID"
            );
            findings.add(Code::NoRegion, path.clone(), message);
        }
    }
    // Without a region, what else is wrong shows with any in its place.
    let stand_in = Region::stand_in();
    substitute(&mut value, &places, region.unwrap_or(&stand_in));
    Some(value)
}

/// A key that cannot be the name of a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadKey {
    #[error("is reserved and cannot name a runtime; rename the key")]
    Reserved,
    #[error("is not a valid runtime name; use letters, digits, '-', '_' and '.'")]
    Invalid,
}

pub(super) fn check_key(key: &str) -> Result<(), BadKey> {
    if RESERVED_NAMES.contains(&key) {
        return Err(BadKey::Reserved);
    }
    // What a ConfigMap key may hold, less what could not be written in a list of names.
    let fits = !key.is_empty() && key.len() <= 253;
    let plain = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if fits && plain {
        Ok(())
    } else {
        Err(BadKey::Invalid)
    }
}
