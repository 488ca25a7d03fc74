//! The labels that make a pod a sandbox pod, those of the systems and those that the operator adds.

use std::fmt;
use std::str::FromStr;

use crate::pod::{Pod, ShapeError};

/// A label that an operator chose to mean "sandbox pod": `--pod-label`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLabel {
    key: String,
    value: Option<String>,
}

/// A `--pod-label` that no pod can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPodLabel {
    /// Nothing is before the `=`.
    #[error("has no key; write KEY or KEY=VALUE, such as team/sandbox=true")]
    NoKey,
    /// There is white space in the key.
    #[error("has white space in its key; write KEY or KEY=VALUE, such as team/sandbox=true")]
    WhiteSpace,
}

impl PodLabel {
    /// The label's key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The value that it must have; `None` stands for any value.
    pub(super) fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl FromStr for PodLabel {
    type Err = InvalidPodLabel;

    fn from_str(text: &str) -> Result<Self, InvalidPodLabel> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err(InvalidPodLabel::NoKey);
        }
        if key.chars().any(char::is_whitespace) {
            return Err(InvalidPodLabel::WhiteSpace);
        }
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }
}

impl fmt::Display for PodLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

/// Whether the pod carries a label, with that value if one is given.
pub(super) fn has_label(pod: &Pod<'_>, key: &str, value: Option<&str>) -> Result<bool, ShapeError> {
    let present = pod
        .metadata
        .labels
        .as_ref()
        .is_some_and(|labels| labels.get(key).is_some());
    match (present, value) {
        (true, Some(value)) => Ok(pod.label(key)?.is_some_and(|found| *found == *value)),
        (present, _) => Ok(present),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_key_with_or_without_a_value() {
        for text in ["team/sandbox", "team/sandbox=true", "a=", "a=b=c"] {
            assert_eq!(text.parse::<PodLabel>().unwrap().to_string(), text);
        }
        assert_eq!("=true".parse::<PodLabel>(), Err(InvalidPodLabel::NoKey));
        assert_eq!("".parse::<PodLabel>(), Err(InvalidPodLabel::NoKey));
        assert_eq!(
            "team/sand box=true".parse::<PodLabel>(),
            Err(InvalidPodLabel::WhiteSpace)
        );
    }
}
