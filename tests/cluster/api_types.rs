//! The engine's table of API types is that of the k8s-openapi crate, which the cluster client
//! speaks too.

use std::fmt::Write as _;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Volume};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

const TABLE: &str = "engine/src/config/schema/core_v1.rs";

const HEAD: &str = r#"//! The fields of core/v1 Container and Volume and of all that is inside them, in Kubernetes 1.37.
//!
//! Generated from the OpenAPI schema in the k8s-openapi crate: `UPDATE_GOLDEN=1 cargo test --test cluster api_types`.

use super::Shape::{Any, Boolean, Int32, Int64, IntOrString, List, Map, Object, Quantity, Text, Time};
use super::{ObjectType, object};

"#;

/// A line of fields is broken before it is longer.
const MAX_LINE: usize = 100;

#[test]
fn the_engine_knows_the_fields_of_the_newest_kubernetes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let mut generator = SchemaSettings::draft07().into_generator();
    generator.subschema_for::<Container>();
    generator.subschema_for::<Volume>();
    let table = table(generator.definitions());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == table,
        "{TABLE} differs; UPDATE_GOLDEN=1 writes it"
    );
}

fn table(definitions: &Map<String, Value>) -> String {
    let objects = definitions
        .iter()
        .filter(|(name, _)| leaf(short(name)).is_none());
    let mut objects: Vec<(&str, &Value)> = objects
        .map(|(name, schema)| (short(name), schema))
        .collect();
    objects.sort_unstable_by_key(|(name, _)| *name);
    let mut text = HEAD.to_owned();
    for (name, schema) in objects {
        writeln!(
            text,
            "pub(super) static {}: ObjectType = object({name:?}, &[",
            constant(name)
        )
        .unwrap();
        let mut properties: Vec<_> = schema["properties"].as_object().unwrap().iter().collect();
        properties.sort_unstable_by_key(|(field, _)| *field);
        let mut line = "   ".to_owned();
        for (field, schema) in properties {
            let entry = format!(" ({field:?}, {}),", shape(schema));
            if line.len() + entry.len() > MAX_LINE {
                writeln!(text, "{line}").unwrap();
                line = "   ".to_owned();
            }
            line.push_str(&entry);
        }
        writeln!(text, "{line}\n]);").unwrap();
    }
    text
}

fn shape(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = short(reference);
        return leaf(name).map_or_else(|| format!("Object(&{})", constant(name)), str::to_owned);
    }
    match (schema["type"].as_str().unwrap(), schema["format"].as_str()) {
        ("string", None) => "Text".to_owned(),
        ("boolean", None) => "Boolean".to_owned(),
        ("integer", Some("int32")) => "Int32".to_owned(),
        ("integer", Some("int64")) => "Int64".to_owned(),
        ("array", None) => format!("List(&{})", shape(&schema["items"])),
        ("object", None) => format!("Map(&{})", shape(&schema["additionalProperties"])),
        other => panic!("{other:?} is not in the table yet: {schema}"),
    }
}

/// The types that are no objects, or of which nothing is checked.
fn leaf(name: &str) -> Option<&'static str> {
    match name {
        "Quantity" => Some("Quantity"),
        "IntOrString" => Some("IntOrString"),
        "Time" => Some("Time"),
        "FieldsV1" => Some("Any"),
        _ => None,
    }
}

/// `Container` of `io.k8s.api.core.v1.Container`.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap()
}

/// `CSI_VOLUME_SOURCE` of `CSIVolumeSource`: a capital begins a word after a small letter and
/// before one.
fn constant(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut constant = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| letters.get(index));
        let after_small = before.is_some_and(|before| !before.is_ascii_uppercase());
        let before_small = letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && before.is_some() && (after_small || before_small) {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
    }
    constant
}
