//! Checks JSON against the fields and types that Kubernetes has, without decoding it.
//!
//! The types are data: [`core_v1`] is generated from the API's own schema, and the runtime's fields
//! stand beside it. One walk of a value and its type finds everything at once. The JSON itself is
//! what gets emitted later, so a newer Kubernetes' fields survive.

#[rustfmt::skip]
mod core_v1;
mod runtime;

use serde_json::{Map, Value};

pub(super) use self::runtime::RUNTIME;
use crate::json_path::{JsonPath, Step};
use crate::kube::normalize::{Kind, normal};
use crate::kube::quantity::Quantity;

/// What a value must look like. Null stands for absence, except in lists and maps.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// A string.
    Text,
    /// True or false.
    Boolean,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A string or a whole number of 32 bits.
    IntOrString,
    /// A quantity, as a string or a number.
    Quantity,
    /// A point in time, as RFC 3339 writes it.
    Time,
    /// A list of values of one shape.
    List(&'static Shape),
    /// An object with keys of the author's choice.
    Map(&'static Shape),
    /// An object with known fields.
    Object(&'static ObjectType),
}

/// The fields of a kind of object.
#[derive(Debug)]
pub(super) struct ObjectType {
    /// The name of the type in the Kubernetes API.
    name: &'static str,
    fields: &'static [(&'static str, Shape)],
    /// No other field is allowed, and this sentence lists those that are. Otherwise a field that
    /// is not known may be one of a newer Kubernetes.
    closed: Option<&'static str>,
    /// The whole type where injection supports a part of it only.
    part_of: Option<&'static ObjectType>,
}

/// A type of the Kubernetes API with all its fields.
const fn object(name: &'static str, fields: &'static [(&'static str, Shape)]) -> ObjectType {
    ObjectType {
        name,
        fields,
        closed: None,
        part_of: None,
    }
}

impl ObjectType {
    fn field(&self, name: &str) -> Option<&'static Shape> {
        self.fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, shape)| shape)
    }

    /// The field that `unknown` is probably a misspelling of.
    fn similar(&self, unknown: &str) -> Option<&'static str> {
        let fields = self
            .part_of
            .unwrap_or(self)
            .fields
            .iter()
            .map(|(field, _)| *field);
        similar(unknown, fields).filter(|similar| self.field(similar).is_some())
    }
}

/// Something in the JSON that its type does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem<'v> {
    /// A value of another type than the one expected.
    WrongType { expected: &'static str },
    /// A field that the object does not have, and that looks like one of its own.
    MisspeltField {
        field: &'v str,
        similar: &'static str,
    },
    /// A field that the object does not have and may not have.
    UnknownField {
        field: &'v str,
        fields: &'static str,
    },
    /// A field that a newer Kubernetes may know.
    NewField {
        field: &'v str,
        object: &'static str,
    },
    /// A field that Kubernetes has and injection does not support.
    UnsupportedField { fields: &'static str },
    /// A text that is not a quantity.
    InvalidQuantity,
}

/// Reports each problem of the runtime `value` with its place.
pub(super) fn check<'v>(
    value: &'v Value,
    shape: &'static Shape,
    found: &mut dyn FnMut(&JsonPath, Problem<'v>),
) {
    Walk {
        path: JsonPath::root(),
        wrong_types: 0,
        found,
    }
    .value(value, shape);
}

/// So many values of the wrong type are reported; the others can wait until these are corrected.
const MAX_WRONG_TYPES: usize = 100;

struct Walk<'v, 'f> {
    path: JsonPath,
    wrong_types: usize,
    found: &'f mut dyn FnMut(&JsonPath, Problem<'v>),
}

impl<'v> Walk<'v, '_> {
    fn found(&mut self, problem: Problem<'v>) {
        (self.found)(&self.path, problem);
    }

    fn expected(&mut self, expected: &'static str) {
        self.wrong_types += 1;
        if self.wrong_types <= MAX_WRONG_TYPES {
            self.found(Problem::WrongType { expected });
        }
    }

    fn inside(&mut self, step: Step, value: &'v Value, shape: &'static Shape) {
        self.path.push(step);
        self.value(value, shape);
        self.path.pop();
    }

    fn value(&mut self, value: &'v Value, shape: &'static Shape) {
        match (shape, value) {
            (Shape::Any, _) | (Shape::Text | Shape::IntOrString, Value::String(_)) => {}
            (Shape::Boolean, Value::Bool(_)) => {}
            (Shape::Text, _) => self.expected("a string"),
            (Shape::Boolean, _) => self.expected("a boolean"),
            (Shape::Int32, value) if is_int32(value) => {}
            (Shape::Int64, value) if value.is_i64() => {}
            (Shape::Int32 | Shape::Int64, _) => self.expected("a whole number"),
            (Shape::IntOrString, value) if is_int32(value) => {}
            (Shape::IntOrString, _) => self.expected("a whole number or a string"),
            (Shape::Quantity, Value::String(text)) => self.quantity(text),
            (Shape::Quantity, Value::Number(number)) => self.quantity(&number.to_string()),
            (Shape::Quantity, _) => self.expected("a quantity such as 500m or 1Gi"),
            (Shape::Time, Value::String(text)) if is_time(text) => {}
            (Shape::Time, _) => self.expected("a time such as 2025-01-31T12:00:00Z"),
            (Shape::List(item), Value::Array(items)) => {
                for (index, value) in items.iter().enumerate() {
                    self.inside(Step::Index(index), value, item);
                }
            }
            (Shape::List(_), _) => self.expected("a list"),
            (Shape::Map(item), Value::Object(entries)) => {
                for (key, value) in entries {
                    self.inside(Step::Field(key.as_str().into()), value, item);
                }
            }
            (Shape::Object(object), Value::Object(fields)) => self.object(fields, object),
            (Shape::Map(_) | Shape::Object(_), _) => self.expected("an object"),
        }
    }

    fn object(&mut self, fields: &'v Map<String, Value>, object: &'static ObjectType) {
        for (field, value) in fields {
            self.path.push(Step::Field(field.as_str().into()));
            self.field(field, value, object);
            self.path.pop();
        }
    }

    fn field(&mut self, field: &'v str, value: &'v Value, object: &'static ObjectType) {
        if let Some(shape) = object.field(field) {
            self.present(value, shape);
        } else if let Some(shape) = object.part_of.and_then(|whole| whole.field(field)) {
            self.present(value, shape);
            if let Some(fields) = object
                .closed
                .filter(|_| normal(Kind::Plain, value).is_some())
            {
                self.found(Problem::UnsupportedField { fields });
            }
        } else {
            self.found(match (object.similar(field), object.closed) {
                (Some(similar), _) => Problem::MisspeltField { field, similar },
                (None, Some(fields)) => Problem::UnknownField { field, fields },
                (None, None) => Problem::NewField {
                    field,
                    object: object.name,
                },
            });
        }
    }

    /// The value of a field, of which null is the absence.
    fn present(&mut self, value: &'v Value, shape: &'static Shape) {
        if !value.is_null() {
            self.value(value, shape);
        }
    }

    fn quantity(&mut self, text: &str) {
        if Quantity::parse(text).is_err() {
            self.found(Problem::InvalidQuantity);
        }
    }
}

fn is_int32(value: &Value) -> bool {
    value
        .as_i64()
        .is_some_and(|number| i32::try_from(number).is_ok())
}

/// Whether a text is a time of RFC 3339, as far as its digits and separators tell.
fn is_time(text: &str) -> bool {
    let fits = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(byte, expected)| match expected {
                    b'0' => byte.is_ascii_digit(),
                    expected => byte == expected,
                })
    };
    let Some((seconds, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else {
        return false;
    };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() {
                return false;
            }
            zone
        }
        None => rest,
    };
    let zoned = zone == "Z" || fits(zone, "+00:00") || fits(zone, "-00:00");
    zoned && fits(seconds, "0000-00-00T00:00:00")
}

/// The field that `unknown` is probably a misspelling of: the same but for case, `-` and `_`, a
/// plural, or at most two letters.
fn similar(unknown: &str, fields: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_'], "");
    let wanted = plain(unknown);
    let closeness = |field: &'static str| {
        let plain = plain(field);
        let allowed = if plain.len().min(wanted.len()) < 5 {
            1
        } else {
            2
        };
        if plain.len().abs_diff(wanted.len()) > MAX_LENGTH_DIFFERENCE {
            return None;
        }
        let distance = strsim::osa_distance(&wanted, &plain);
        (distance <= allowed).then_some((distance, field))
    };
    fields.filter_map(closeness).min().map(|(_, field)| field)
}

/// Two letters of UTF-8 are at most so many bytes; texts that differ by more in length are not
/// alike.
const MAX_LENGTH_DIFFERENCE: usize = 2 * 4;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::core_v1::{CONTAINER, VOLUME};
    use super::*;

    fn problems<'v>(value: &'v Value, object: &'static ObjectType) -> Vec<(String, Problem<'v>)> {
        let mut problems = Vec::new();
        let mut found = |path: &JsonPath, problem| problems.push((path.to_string(), problem));
        Walk {
            path: JsonPath::root(),
            wrong_types: 0,
            found: &mut found,
        }
        .object(value.as_object().unwrap(), object);
        problems
    }

    fn paths(value: &Value, object: &'static ObjectType) -> Vec<String> {
        problems(value, object)
            .into_iter()
            .map(|(path, _)| path)
            .collect()
    }

    #[test]
    fn a_misspelt_field_names_its_sibling() {
        let value = json!({"name": "c", "volumeMount": [], "futureField": 1});
        let misspelt = Problem::MisspeltField {
            field: "volumeMount",
            similar: "volumeMounts",
        };
        let new = Problem::NewField {
            field: "futureField",
            object: "Container",
        };
        assert_eq!(
            problems(&value, &CONTAINER),
            [
                ("$.volumeMount".to_owned(), misspelt),
                ("$.futureField".to_owned(), new)
            ]
        );
    }

    #[test]
    fn every_wrong_type_is_reported() {
        let value = json!({
            "name": 5,
            "env": [{"name": "A"}, {"name": "B", "value": 1}, 7, {"name": true}],
            "command": "sh",
            "args": ["a", 1, {"b": 2}],
            "resources": {"limits": {"cpu": "many"}}
        });
        let mut paths = paths(&value, &CONTAINER);
        paths.sort();
        assert_eq!(
            paths,
            [
                "$.args[1]",
                "$.args[2]",
                "$.command",
                "$.env[1].value",
                "$.env[2]",
                "$.env[3].name",
                "$.name",
                "$.resources.limits.cpu"
            ]
        );
    }

    #[test]
    fn wrong_types_are_reported_up_to_a_bound_and_everything_else_beyond_it() {
        let args: Vec<u32> = (0..1000).collect();
        let found = paths(&json!({"args": args, "futureField": 1}), &CONTAINER);
        assert_eq!(found.len(), MAX_WRONG_TYPES + 1);
        assert_eq!(found.last().map(String::as_str), Some("$.futureField"));
    }

    #[test]
    fn numbers_are_quantities_and_ports_are_numbers_or_names() {
        let limits = json!({"name": "c", "resources": {"limits": {"cpu": 1, "memory": 0.5}}});
        assert_eq!(problems(&limits, &CONTAINER), []);
        let probe = |port: Value| {
            paths(
                &json!({"name": "c", "livenessProbe": {"httpGet": {"port": port}}}),
                &CONTAINER,
            )
            .len()
        };
        assert_eq!(probe(json!(80)), 0);
        assert_eq!(probe(json!("http")), 0);
        assert_eq!(probe(json!(true)), 1);
        assert_eq!(probe(json!(1_u64 << 31)), 1);
        assert_eq!(problems(&json!({"name": "v", "emptyDir": {}}), &VOLUME), []);
    }

    #[test]
    fn null_is_absent_where_a_field_is_and_not_in_a_list() {
        assert_eq!(
            problems(&json!({"name": null, "env": null}), &CONTAINER),
            []
        );
        assert_eq!(paths(&json!({"args": [null]}), &CONTAINER), ["$.args[0]"]);
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        for good in ["2025-01-31T12:00:00Z", "2025-01-31T12:00:00.5+01:00"] {
            assert!(is_time(good), "{good}");
        }
        for bad in [
            "",
            "2025-01-31",
            "2025-01-31T12:00:00",
            "2025-01-31T12:00:00.Z",
            "2025-01-31t12:00:00Z",
        ] {
            assert!(!is_time(bad), "{bad}");
        }
    }
}
