//! The region that `<region-id>` stands for.

use std::fmt;

use serde_json::Value;

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
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if inner && edge(text.chars().next()) && edge(text.chars().next_back()) && text.len() <= 63 {
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

/// Replaces the placeholder in every string value (keys stay); with no region, returns where one is needed.
pub fn substitute(value: &mut Value, region: Option<&Region>) -> Vec<String> {
    let mut missing = Vec::new();
    walk(value, region, "$", &mut missing);
    missing
}

fn walk(value: &mut Value, region: Option<&Region>, path: &str, missing: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains(PLACEHOLDER) => match region {
            Some(region) => *text = text.replace(PLACEHOLDER, region.as_str()),
            None => missing.push(path.to_owned()),
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, region, &format!("{path}[{index}]"), missing);
            }
        }
        Value::Object(fields) => {
            for (field, item) in fields {
                walk(item, region, &super::schema::field_path(path, field), missing);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_region_looks_like_one() {
        for good in ["cn-hangzhou", "r", "us-west-2", "1a"] {
            assert!(good.parse::<Region>().is_ok(), "{good}");
        }
        for bad in ["", "CN", "cn_hangzhou", "-cn", "cn-", "a b", "<region-id>", "é", "a\n"] {
            assert!(bad.parse::<Region>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_string_value_is_replaced_and_keys_are_not() {
        let mut value = json!({"a": ["x-<region-id>-<region-id>"], "<region-id>": 1});
        assert_eq!(substitute(&mut value, None), ["$.a[0]"]);
        assert!(substitute(&mut value, "cn".parse().ok().as_ref()).is_empty());
        assert_eq!(value, json!({"a": ["x-cn-cn"], "<region-id>": 1}));
    }
}
