//! Patterns in which `*` stands for any text.

use std::fmt;
use std::str::FromStr;

/// A pattern such as `system:serviceaccount:sandbox-system:*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// An empty pattern, which would match nothing that has a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an empty pattern matches nothing; write a name, or * for any")]
pub struct EmptyPattern;

impl FromStr for Pattern {
    type Err = EmptyPattern;
    fn from_str(text: &str) -> Result<Self, EmptyPattern> {
        if text.is_empty() {
            Err(EmptyPattern)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl Pattern {
    /// Whether the whole of `text` matches. Linear in its length for each `*`.
    pub fn matches(&self, text: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut left) = text.strip_prefix(head) else {
            return false;
        };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let tail = parts.pop().unwrap_or_default();
        for part in parts {
            let Some(at) = left.find(part) else {
                return false;
            };
            left = &left[at + part.len()..];
        }
        left.ends_with(tail)
    }

    /// Whether the pattern holds a `*`.
    pub fn is_wild(&self) -> bool {
        self.0.contains('*')
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "a", true),
            ("*b", "ab", true),
            ("a*c", "abc", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("**", "x", true),
            ("sandbox-*", "sandbox-a", true),
            ("sandbox-*", "my-sandbox-a", false),
        ] {
            assert_eq!(
                pattern.parse::<Pattern>().unwrap().matches(text),
                expected,
                "{pattern} {text}"
            );
        }
        assert!("".parse::<Pattern>().is_err());
    }
}
