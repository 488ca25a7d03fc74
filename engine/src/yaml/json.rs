//! JSON text: one value, or several one after another (`kubectl get -o json`, audit logs, JSON
//! lines).
//!
//! serde_json keeps the last of two equal keys without a word, so values are built by a visitor
//! that refuses.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Document, Error, Problem};

/// What came of reading a text as JSON.
pub(super) struct Attempt {
    /// The values up to the first that is broken, which is the last entry.
    pub(super) documents: Vec<Result<Document, Error>>,
    /// Whether there is a broken one.
    pub(super) broken: bool,
    /// Whether the author will have meant JSON, so that its error is the one to show: `{"` or
    /// `[{`, and what stopped the reader was no `---`.
    pub(super) surely_json: bool,
}

/// Reads a text that begins like JSON; `None` for one that does not.
pub(super) fn documents(text: &str) -> Option<Attempt> {
    let begin = text.trim_start();
    let mut inside = begin.strip_prefix(['{', '['])?.trim_start().chars();
    let opening = matches!(inside.next(), Some('"' | '{' | '[' | '}' | ']'));

    let mut attempt = Attempt {
        documents: Vec::new(),
        broken: false,
        surely_json: false,
    };
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Strict>();
    let mut number = 0;
    loop {
        let rest = &text[stream.byte_offset()..];
        let start = stream.byte_offset() + (rest.len() - rest.trim_start().len());
        match stream.next() {
            None => return Some(attempt),
            Some(Ok(Strict(Value::Null))) => {}
            Some(Ok(Strict(value))) => {
                number += 1;
                let line = line_of(text, start);
                attempt.documents.push(Ok(Document {
                    number,
                    line,
                    value,
                }));
            }
            Some(Err(error)) => {
                attempt.broken = true;
                attempt.surely_json = opening && !text[start..].starts_with("---");
                attempt.documents.push(Err(locate(&error, number + 1)));
                return Some(attempt);
            }
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

fn locate(error: &serde_json::Error, document: usize) -> Error {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let text = text
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&text);
    let problem = match text.strip_prefix(DUPLICATE) {
        Some(key) => Problem::DuplicateKey(key.to_owned()),
        None if text.starts_with("recursion limit exceeded") => Problem::Depth,
        None => Problem::Json(text.to_owned()),
    };
    Error {
        document,
        line: line.max(1),
        column: column.max(1),
        problem,
    }
}

/// How the visitor's own error is told from serde_json's.
const DUPLICATE: &str = "duplicate key ";

/// A [`Value`] that refuses duplicate keys.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(serde::de::Error::custom(format_args!("{DUPLICATE}{key}")));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
