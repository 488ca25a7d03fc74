//! What a plain (unquoted) scalar means.
//!
//! The table is that of go-yaml v2, which sigs.k8s.io/yaml and so kubectl and the Kubernetes
//! clients use:
//!
//! | text | value |
//! |---|---|
//! | `` (nothing), `~`, `null`, `Null`, `NULL` | null |
//! | `y`, `yes`, `true`, `on`, `n`, `no`, `false`, `off` in three spellings each | boolean |
//! | `12`, `-3`, `1_000`, `0x1f`, `0b11`, `0o17`, `017` (octal) | integer |
//! | `1.5`, `.5`, `1e3`, `089` | float, unless it overflows: then a string |
//! | `.inf`, `-.Inf`, `.nan` | not representable, refused by the caller |
//! | anything else: `8302e04b`, `2001-01-01`, `1:20`, `=` | string |

use serde_json::{Number, Value};

/// A plain scalar's meaning.
#[derive(Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number(Number),
    NonFinite,
    Text,
}

impl Plain {
    /// The value, where `text` is what was resolved; `None` for what JSON does not have.
    pub(super) fn into_value(self, text: &str) -> Option<Value> {
        match self {
            Self::Null => Some(Value::Null),
            Self::Bool(value) => Some(Value::Bool(value)),
            Self::Number(number) => Some(Value::Number(number)),
            Self::NonFinite => None,
            Self::Text => Some(Value::String(text.to_owned())),
        }
    }
}

/// Resolves the text of a plain scalar.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Plain::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Plain::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return Plain::NonFinite,
        _ => {}
    }
    number(text).map_or(Plain::Text, Plain::Number)
}

/// The number that a text spells, if it does.
pub(super) fn number(text: &str) -> Option<Number> {
    match text.as_bytes().first()? {
        b'.' => float(&text.replace('_', "")),
        b'0'..=b'9' | b'+' | b'-' => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| float(&digits))
        }
        _ => None,
    }
}

/// Go's `strconv.ParseInt(text, 0, 64)` and `ParseUint`: the prefix says the base, a leading 0 is
/// octal.
pub(super) fn integer(text: &str) -> Option<Number> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &unsigned[2..]),
        [b'0', b'o' | b'O', ..] => (8, &unsigned[2..]),
        [b'0', b'b' | b'B', ..] => (2, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    // from_str_radix takes a sign of its own.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// A finite decimal float.
pub(super) fn float(text: &str) -> Option<Number> {
    if !looks_like_float(text) {
        return None;
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, also where the value overflows.
pub(super) fn looks_like_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa
        && exponent
            .is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}
