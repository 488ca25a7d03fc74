//! Checks JSON against the typed model of the Kubernetes API without decoding into it for use.
//!
//! The types of `k8s-openapi` say which fields an object has while they are being read; a reader in between
//! listens. So unknown fields and wrong types are found with their paths, and the JSON itself is what gets
//! emitted later: a newer Kubernetes' fields survive.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use crate::kube::quantity::Quantity;

/// Something in the JSON that the type does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A value of the wrong type.
    WrongType {
        /// Where, from `$`.
        path: String,
        /// What was expected.
        expected: String,
    },
    /// A field that the object does not have.
    UnknownField {
        /// Where, from `$`, the field included.
        path: String,
        /// The Rust name of the object's type.
        object: &'static str,
        /// A field of the object that looks like it.
        similar: Option<&'static str>,
    },
    /// A text that is no quantity.
    InvalidQuantity {
        /// Where, from `$`.
        path: String,
    },
}

/// Checks `value` as a `T`; all problems are reported, in order of place as far as the type is read in order.
pub fn check<T: DeserializeOwned>(value: &Value) -> Vec<Problem> {
    let mut value = value.clone();
    let mut wrong: Vec<Problem> = Vec::new();
    // What stood in for the item that failed last, for lists of which the item type is not known yet.
    let mut stand_ins = (String::new(), STAND_INS.iter());
    loop {
        let mut found = Vec::new();
        let failure =
            T::deserialize(Checked { value: &value, path: "$".to_owned(), found: &mut found }).err();
        wrong.append(&mut found);
        let Some(Failure { path: Some(path), message }) = failure else { return wrong };
        if path != stand_ins.0 {
            let expected =
                message.rsplit_once("expected ").map_or(message.as_str(), |(_, expected)| expected);
            wrong.retain(|problem| matches!(problem, Problem::WrongType { .. }));
            wrong.push(Problem::WrongType { path: path.clone(), expected: expected.to_owned() });
            stand_ins = (path, STAND_INS.iter());
        } else {
            wrong.retain(|problem| matches!(problem, Problem::WrongType { .. }));
        }
        // What was wrong is taken out and the rest is read again, so that one mistake hides no other.
        if wrong.len() >= MOST_WRONG_TYPES || !replace(&mut value, &stand_ins.0, &mut stand_ins.1) {
            return wrong;
        }
    }
}

/// Each costs another reading; beyond this many the rest can wait until these are mended.
const MOST_WRONG_TYPES: usize = 100;

/// Valid items for lists of texts, of objects and of numbers.
const STAND_INS: &[fn() -> Value] =
    &[|| Value::String(String::new()), || Value::Object(serde_json::Map::new()), || Value::from(0)];

/// Takes the value at `path` out, or puts the next stand-in there; false when there is nothing to try.
fn replace<'s>(
    root: &mut Value,
    path: &str,
    stand_ins: &mut impl Iterator<Item = &'s fn() -> Value>,
) -> bool {
    let mut steps = steps(path);
    let Some(last) = steps.pop() else { return false };
    let mut at = root;
    for step in steps {
        let next = match (at, step) {
            (Value::Object(fields), Step::Field(name)) => fields.get_mut(&name),
            (Value::Array(items), Step::Index(index)) => items.get_mut(index),
            _ => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    match (at, last) {
        (Value::Object(fields), Step::Field(name)) => fields.shift_remove(&name).is_some(),
        (Value::Array(items), Step::Index(index)) => match (items.get_mut(index), stand_ins.next()) {
            (Some(item), Some(stand_in)) => {
                *item = stand_in();
                true
            }
            _ => false,
        },
        _ => false,
    }
}

enum Step {
    Field(String),
    Index(usize),
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let Some((name, after)) = quoted.split_once("\"]") else { break };
            steps.push(Step::Field(name.to_owned()));
            rest = after;
        } else if let Some(indexed) = rest.strip_prefix('[') {
            let Some((index, after)) = indexed.split_once(']') else { break };
            let Ok(index) = index.parse() else { break };
            steps.push(Step::Index(index));
            rest = after;
        } else {
            let named = rest.strip_prefix('.').unwrap_or(rest);
            let end = named.find(['.', '[']).unwrap_or(named.len());
            steps.push(Step::Field(named[..end].to_owned()));
            rest = &named[end..];
        }
    }
    steps
}

/// The path of a field inside the object at `path`.
pub fn field_path(path: &str, field: &str) -> String {
    let plain =
        !field.is_empty() && field.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if plain { format!("{path}.{field}") } else { format!("{path}[\"{field}\"]") }
}

/// The path of an object and the name of its field, of the field's path.
pub fn parent_and_field(path: &str) -> (&str, &str) {
    if let Some((parent, field)) =
        path.strip_suffix("\"]").and_then(|path| path.split_at_checked(path.rfind("[\"")?))
    {
        return (parent, &field[2..]);
    }
    path.rsplit_once('.').unwrap_or(("", path))
}

struct Checked<'v, 'f> {
    value: &'v Value,
    path: String,
    found: &'f mut Vec<Problem>,
}

impl<'v, 'f> Checked<'v, 'f> {
    fn failed(self, expected: &dyn serde::de::Expected) -> Failure {
        Failure { path: Some(self.path), message: format!("expected {expected}") }
    }

    /// Hands a scalar to the type and remembers where it was if the type does not want it.
    fn scalar<T>(self, read: impl FnOnce(&'v Value) -> Result<T, serde_json::Error>) -> Result<T, Failure> {
        let Self { value, path, .. } = self;
        read(value).map_err(|error| Failure { path: Some(path), message: error.to_string() })
    }
}

/// A reading error; the innermost place that failed is kept.
#[derive(Debug)]
struct Failure {
    path: Option<String>,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Failure {}
impl serde::de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: None, message: message.to_string() }
    }
}

impl Failure {
    fn at(mut self, path: &str) -> Self {
        self.path.get_or_insert_with(|| path.to_owned());
        self
    }
}

macro_rules! scalars {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.scalar(|value| value.$method(visitor))
        })+
    };
}

impl<'de, 'v, 'f> Deserializer<'de> for Checked<'v, 'f>
where
    'v: 'de,
{
    type Error = Failure;

    scalars! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value {
            Value::Object(_) => self.deserialize_map(visitor),
            Value::Array(_) => self.deserialize_seq(visitor),
            _ => self.scalar(|value| value.deserialize_any(visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        if name != "Quantity" {
            return visitor.visit_newtype_struct(self);
        }
        // The API takes quantities as texts and as numbers.
        let text = match self.value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(self.failed(&"a quantity such as 500m or 1Gi")),
        };
        if Quantity::parse(&text).is_err() {
            self.found.push(Problem::InvalidQuantity { path: self.path.clone() });
        }
        let reader: StrDeserializer<'_, Failure> = text.as_str().into_deserializer();
        visitor.visit_newtype_struct(reader)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let Value::Object(entries) = self.value else { return Err(self.failed(&"an object")) };
        for field in entries.keys().filter(|field| !fields.contains(&field.as_str())) {
            self.found.push(Problem::UnknownField {
                path: field_path(&self.path, field),
                object: name,
                similar: similar(field, fields),
            });
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let Value::Object(entries) = self.value else { return Err(self.failed(&"an object")) };
        let Self { path, found, .. } = self;
        let fields = Fields { entries: entries.iter(), pending: None, path: &path, found };
        visitor.visit_map(fields).map_err(|failure| failure.at(&path))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let Value::Array(items) = self.value else { return Err(self.failed(&"a list")) };
        let Self { path, found, .. } = self;
        let items = Items { items: items.iter().enumerate(), path: &path, found };
        visitor.visit_seq(items).map_err(|failure| failure.at(&path))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self.value {
            Value::String(text) => visitor.visit_enum(Variant(text)),
            _ => Err(self.failed(&"a text")),
        }
    }

    forward_to_deserialize_any! { i128 u128 unit_struct tuple tuple_struct ignored_any }
}

struct Variant<'v>(&'v str);

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Failure;
    type Variant = UnitVariant;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, UnitVariant), Failure> {
        let reader: StrDeserializer<'_, Failure> = self.0.into_deserializer();
        Ok((seed.deserialize(reader)?, UnitVariant))
    }
}

/// API enumerations carry no data.
struct UnitVariant;

impl<'de> VariantAccess<'de> for UnitVariant {
    type Error = Failure;
    fn unit_variant(self) -> Result<(), Failure> {
        Ok(())
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Failure> {
        Err(Failure::custom("expected a text"))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, Failure> {
        Err(Failure::custom("expected a text"))
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Failure> {
        Err(Failure::custom("expected a text"))
    }
}

struct Fields<'v, 'f> {
    entries: serde_json::map::Iter<'v>,
    pending: Option<(&'v str, &'v Value)>,
    path: &'f str,
    found: &'f mut Vec<Problem>,
}

impl<'de, 'v: 'de> MapAccess<'de> for Fields<'v, '_> {
    type Error = Failure;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some((field, value)) = self.entries.next() else { return Ok(None) };
        self.pending = Some((field, value));
        let reader: StrDeserializer<'_, Failure> = field.as_str().into_deserializer();
        seed.deserialize(reader).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let Some((field, value)) = self.pending.take() else {
            return Err(Failure::custom("expected a value"));
        };
        let path = field_path(self.path, field);
        seed.deserialize(Checked { value, path: path.clone(), found: self.found })
            .map_err(|failure| failure.at(&path))
    }
}

struct Items<'v, 'f> {
    items: std::iter::Enumerate<std::slice::Iter<'v, Value>>,
    path: &'f str,
    found: &'f mut Vec<Problem>,
}

impl<'de, 'v: 'de> SeqAccess<'de> for Items<'v, '_> {
    type Error = Failure;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let Some((index, value)) = self.items.next() else { return Ok(None) };
        let path = format!("{}[{index}]", self.path);
        let item = Checked { value, path: path.clone(), found: self.found };
        seed.deserialize(item).map(Some).map_err(|failure| failure.at(&path))
    }
}

/// The field that `unknown` is probably a misspelling of: the same but for case, `-` and `_`, a plural, or at
/// most two letters.
fn similar(unknown: &str, fields: &'static [&'static str]) -> Option<&'static str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_'], "");
    let wanted = plain(unknown);
    let closeness = |field: &&'static str| {
        let field = plain(field);
        let allowed = if field.len().min(wanted.len()) < 5 { 1 } else { 2 };
        let distance = distance(&wanted, &field);
        (distance <= allowed).then_some(distance)
    };
    fields.iter().filter_map(|field| Some((closeness(field)?, *field))).min().map(|(_, field)| field)
}

/// The number of letters to insert, drop, replace or swap to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(64).collect();
    let other: Vec<char> = other.chars().take(64).collect();
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Container, Volume};
    use serde_json::json;

    #[test]
    fn a_misspelt_field_names_its_sibling() {
        let problems = check::<Container>(&json!({"name": "c", "volumeMount": [], "futureField": 1}));
        let [
            Problem::UnknownField { path: first, similar: near, object: "Container" },
            Problem::UnknownField { path: second, similar: None, .. },
        ] = problems.as_slice()
        else {
            panic!("{problems:?}")
        };
        assert_eq!((first.as_str(), *near), ("$.volumeMount", Some("volumeMounts")));
        assert_eq!(second, "$.futureField");
    }

    #[test]
    fn every_wrong_type_is_reported() {
        let problems = check::<Container>(&json!({
            "name": 5,
            "env": [{"name": "A"}, {"name": "B", "value": 1}, 7, {"name": true}],
            "command": "sh",
            "args": ["a", 1, {"b": 2}],
            "resources": {"limits": {"cpu": "many"}}
        }));
        let mut paths: Vec<String> = problems
            .into_iter()
            .map(|problem| match problem {
                Problem::WrongType { path, .. } | Problem::InvalidQuantity { path } => path,
                Problem::UnknownField { path, .. } => panic!("{path}"),
            })
            .collect();
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
    fn numbers_are_quantities_and_ports_are_numbers_or_names() {
        assert_eq!(
            check::<Container>(&json!({"name": "c", "resources": {"limits": {"cpu": 1, "memory": 0.5}}})),
            []
        );
        let probe = |port: Value| {
            check::<Container>(&json!({"name": "c", "livenessProbe": {"httpGet": {"port": port}}}))
        };
        assert_eq!(probe(json!(80)), []);
        assert_eq!(probe(json!("http")), []);
        assert_eq!(probe(json!(true)).len(), 1);
        assert_eq!(check::<Volume>(&json!({"name": "v", "emptyDir": {}})), []);
    }

    #[test]
    fn keys_that_are_no_names_are_quoted_in_paths() {
        assert_eq!(field_path("$.limits", "a.b/c"), "$.limits[\"a.b/c\"]");
        assert_eq!(field_path("$", "name"), "$.name");
        assert_eq!(parent_and_field("$.limits[\"a.b/c\"]"), ("$.limits", "a.b/c"));
        assert_eq!(parent_and_field("$.volume[0].name"), ("$.volume[0]", "name"));
    }
}
