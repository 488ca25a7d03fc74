//! The region that `<region-id>` stands for.

use std::fmt;

use serde_json::Value;

use crate::json_path::{JsonPath, walk_all};
use crate::kube::names::is_dns_label;
/// The placeholder that is replaced in every string value of a configuration.
pub const PLACEHOLDER: &str = "<region-id>";

/// A region's identifier, such as `cn-hangzhou`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

/// A text that does not look like a region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a valid region: use lowercase letters, digits and hyphens (not at the ends), such as cn-hangzhou \
     (--region-id, or REGION_ID in the environment)"
)]
pub struct InvalidRegion(String);

impl Region {
    /// Takes the region's place in a configuration that is only checked.
    pub fn stand_in() -> Self {
        Self("some-region".to_owned())
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        if is_dns_label(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidRegion(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The string values that hold the placeholder; keys never do.
pub(super) fn placeholders(value: &Value) -> Vec<JsonPath> {
    let mut places = Vec::new();
    walk_all(value, &mut |path, value| {
        if value
            .as_str()
            .is_some_and(|text| text.contains(PLACEHOLDER))
        {
            places.push(path.clone());
        }
    });
    places
}

/// Replaces the placeholder at the `places` of `value`.
pub(super) fn substitute(value: &mut Value, places: &[JsonPath], region: &Region) {
    for place in places {
        if let Some(Value::String(text)) = place.find_mut(value) {
            *text = text.replace(PLACEHOLDER, region.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_region_looks_like_one() {
        for good in ["cn-hangzhou", "r", "us-west-2", "1a"] {
            assert!(good.parse::<Region>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "CN",
            "cn_hangzhou",
            "-cn",
            "cn-",
            "a b",
            "<region-id>",
            "é",
            "a\n",
        ] {
            assert!(bad.parse::<Region>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_string_value_is_replaced_and_keys_are_not() {
        let mut value = json!({"a": ["x-<region-id>-<region-id>"], "<region-id>": 1});
        let places = placeholders(&value);
        assert_eq!(places, [JsonPath::root().field("a").index(0)]);
        substitute(&mut value, &places, &"cn".parse().unwrap());
        assert_eq!(value, json!({"a": ["x-cn-cn"], "<region-id>": 1}));
    }
}
