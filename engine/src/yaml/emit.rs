//! Writes a value as YAML the way kubectl does: block style, lists not indented below their key.
//!
//! A string is left unquoted only where every reader, YAML 1.1 or 1.2, takes it for the same
//! string.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use super::scalar::{self, Plain};

/// A longer key needs the `? key` form, as readers look no further than 1024 characters for its
/// colon.
const MAX_SIMPLE_KEY: usize = 1000;

/// Writes one document, with a newline at its end and without `---`.
///
/// ```
/// let pod = serde_json::json!({"metadata": {"labels": {"acs": "true"}}, "args": ["-c", "a\nb\n"]});
/// let text = engine::yaml::to_string(&pod);
/// assert_eq!(text, "metadata:\n  labels:\n    acs: \"true\"\nargs:\n- -c\n- |\n  a\n  b\n");
/// ```
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(entries) if !entries.is_empty() => mapping(&mut out, entries, 0),
        Value::Array(items) if !items.is_empty() => list(&mut out, items, 0),
        Value::String(text) => {
            string(&mut out, text, 0);
            out.push('\n');
        }
        other => {
            scalar(&mut out, other);
            out.push('\n');
        }
    }
    out
}

/// Writes entries; the first line's indentation is already there.
fn mapping(out: &mut String, entries: &Map<String, Value>, indent: usize) {
    for (position, (key, value)) in entries.iter().enumerate() {
        if position > 0 {
            pad(out, indent);
        }
        let key = inline_string(key);
        if key.len() > MAX_SIMPLE_KEY {
            let _ = writeln!(out, "? {key}");
            pad(out, indent);
        } else {
            out.push_str(&key);
        }
        out.push(':');
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                out.push('\n');
                pad(out, indent + 2);
                mapping(out, entries, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                pad(out, indent);
                list(out, items, indent);
            }
            other => leaf(out, other, indent),
        }
    }
}

/// Writes items; the first line's indentation is already there.
fn list(out: &mut String, items: &[Value], indent: usize) {
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            pad(out, indent);
        }
        out.push('-');
        match item {
            Value::Object(entries) if !entries.is_empty() => {
                out.push(' ');
                mapping(out, entries, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push(' ');
                list(out, items, indent + 2);
            }
            other => leaf(out, other, indent),
        }
    }
}

fn leaf(out: &mut String, value: &Value, indent: usize) {
    out.push(' ');
    match value {
        Value::String(text) => string(out, text, indent),
        other => scalar(out, other),
    }
    out.push('\n');
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => out.push_str(&number(value)),
        Value::String(text) => out.push_str(&inline_string(text)),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// YAML 1.1 readers want a point before an exponent, and a sign in it: `1.0e+20`.
fn number(value: &Number) -> String {
    let text = value.to_string();
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let point = if mantissa.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with(['-', '+']) {
                ""
            } else {
                "+"
            };
            format!("{mantissa}{point}e{sign}{exponent}")
        }
        None => text,
    }
}

/// Writes a string where the value of an entry or item stands, without the newline that ends it.
fn string(out: &mut String, text: &str, indent: usize) {
    let Some(header) = block_header(text) else {
        out.push_str(&inline_string(text));
        return;
    };
    out.push_str(header);
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent + 2);
            out.push_str(line);
        }
    }
}

/// The header of a literal block that gives the text back exactly, if there is one without an
/// indentation digit.
fn block_header(text: &str) -> Option<&'static str> {
    let (body, header) = match text.strip_suffix('\n') {
        Some(body) => (body, "|"),
        None => (text, "|-"),
    };
    // Readers guess the indentation from the first line, and count lines of white space in
    // different ways.
    let exact = text.contains('\n')
        && !body.is_empty()
        && !body.starts_with([' ', '\t', '\n'])
        && !body.ends_with('\n')
        && body
            .split('\n')
            .all(|line| line.is_empty() || !line.trim().is_empty())
        && body
            .chars()
            .all(|character| matches!(character, '\n' | '\t') || printable(character));
    exact.then_some(header)
}

/// A string on one line.
fn inline_string(text: &str) -> String {
    if plain(text) {
        return text.to_owned();
    }
    // JSON inside a string, as in many annotations, is easier to read between single quotes.
    if text.contains(['"', '\\']) && text.chars().all(printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            character if printable(character) => quoted.push(character),
            character => {
                let code = u32::from(character);
                let _ = if code > 0xffff {
                    write!(quoted, "\\U{code:08x}")
                } else {
                    write!(quoted, "\\u{code:04x}")
                };
            }
        }
    }
    quoted.push('"');
    quoted
}

/// What YAML 1.1 and 1.2 both allow as it is, less what is taken for a line break or a byte order
/// mark.
fn printable(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}'
        | '\u{10000}'..='\u{10fffd}')
        && !matches!(character, '\u{2028}' | '\u{2029}')
}

/// Whether a string may stand without quotes.
fn plain(text: &str) -> bool {
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return false;
    };
    let begins = match first {
        '-' => {
            matches!(characters.next(), Some(next) if next == '-' || next.is_ascii_alphanumeric())
                && !text.starts_with("---")
        }
        '?' | ':' | ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\''
        | '"' | '%' | '@' | '`' => false,
        // `<<` merges and `=` is YAML 1.1's default value; `...` ends a document.
        '<' | '=' | '.' => text.len() > 1 && !text.starts_with("<<") && !text.starts_with("..."),
        _ => true,
    };
    begins
        && text.chars().all(printable)
        && !text.starts_with(' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && scalar::resolve(text) == Plain::Text
        && !taken_for_other(text)
}

/// What some reader takes for a boolean, null, number or date though [`scalar::resolve`] does not.
fn taken_for_other(text: &str) -> bool {
    let folded = text.to_ascii_lowercase().replace('_', "");
    let unsigned = folded.strip_prefix(['-', '+']).unwrap_or(&folded);
    let word = matches!(
        folded.as_str(),
        "y" | "yes" | "n" | "no" | "true" | "false" | "on" | "off" | "null"
    );
    // Too large for the reader at hand is not too large for every reader.
    let prefixed = unsigned.len() > 2
        && matches!(&unsigned.as_bytes()[..2], b"0x" | b"0o" | b"0b")
        && unsigned[2..].bytes().all(|byte| byte.is_ascii_hexdigit());
    // Base 60 (`1:20`) and dates (`2001-01-01`, also with a time).
    let base_60 = unsigned.starts_with(|first: char| first.is_ascii_digit())
        && unsigned.contains(':')
        && unsigned
            .chars()
            .all(|character| character.is_ascii_digit() || ":.".contains(character));
    let date = matches!(unsigned.as_bytes(), [a, b, c, d, b'-', e, ..]
        if [a, b, c, d, e].iter().all(|byte| byte.is_ascii_digit()));
    word || prefixed || base_60 || date || scalar::looks_like_float(&folded)
}
