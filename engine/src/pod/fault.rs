//! What is wrong with JSON that does not decode, without the value that was met: pods hold secrets.

use std::fmt;

/// Why JSON does not decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonFault {
    /// A field that every such object has is not there.
    Missing(String),
    /// A field occurs twice.
    Duplicate(String),
    /// A value has another type.
    Mistyped {
        /// What it must be.
        expected: String,
        /// The type that it has; empty where that is not known.
        found: String,
    },
    /// Anything else, in the decoder's words.
    Other(String),
}

impl JsonFault {
    /// Reads what the decoder says. Its errors are opaque, and their texts repeat the value that
    /// was met, so what is kept of one is taken out of the text: here, and nowhere else.
    pub fn of(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        // Both are looked for from the end, as a value in front of them may hold the same words.
        let text = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(text, _)| text);
        // The names in these two are our own.
        let named = |what| Some(text.strip_prefix(what)?.trim_end_matches('`').to_owned());
        if let Some(field) = named("missing field `") {
            return JsonFault::Missing(field);
        }
        if let Some(field) = named("duplicate field `") {
            return JsonFault::Duplicate(field);
        }
        let met = text
            .strip_prefix("invalid type: ")
            .or_else(|| text.strip_prefix("invalid value: "));
        match met.and_then(|met| met.rsplit_once(", expected ")) {
            Some((found, expected)) => JsonFault::Mistyped {
                expected: expected.to_owned(),
                found: found
                    .split([' ', '`'])
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            },
            None => {
                let words = text.split(['`', '"']).next().unwrap_or_default();
                JsonFault::Other(words.trim_end_matches([':', ' ']).to_owned())
            }
        }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonFault::Missing(field) => write!(f, "missing field {field}"),
            JsonFault::Duplicate(field) => write!(f, "duplicate field {field}"),
            JsonFault::Mistyped { expected, found } if found.is_empty() => {
                write!(f, "must be {expected}, not this")
            }
            JsonFault::Mistyped { expected, found } => write!(f, "must be {expected}, not {found}"),
            JsonFault::Other(words) => f.write_str(words),
        }
    }
}

/// What a decoding error says, without its position and without the value it met.
pub fn reason(error: &serde_json::Error) -> String {
    JsonFault::of(error).to_string()
}
