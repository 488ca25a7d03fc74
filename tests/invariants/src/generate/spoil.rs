//! Values that stand where nobody expects them.

use serde_json::{Value, json};

use super::Generator;

impl Generator<'_, '_> {
    /// Puts anything in place of one or two parts of a document, or takes them away.
    pub(super) fn spoil(&mut self, document: &mut Value) {
        for _ in 0..1 + self.below(2) {
            let mut places = Vec::new();
            pointers(document, &mut places);
            if places.is_empty() {
                return;
            }
            let place = &places[self.below(places.len())];
            let (parent, last) = place.rsplit_once('/').unwrap();
            match (document.pointer_mut(parent), self.once_in(4)) {
                (Some(Value::Object(fields)), true) => {
                    drop(fields.shift_remove(&last.replace("~1", "/").replace("~0", "~")))
                }
                (Some(Value::Array(items)), true) => drop(items.remove(last.parse().unwrap())),
                _ => *document.pointer_mut(place).unwrap() = self.anything(),
            }
        }
    }

    fn anything(&mut self) -> Value {
        let values = [
            Value::Null,
            json!(false),
            json!(true),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(""),
            json!("x"),
            json!("\u{1}\u{7f}\u{202e}~/"),
            json!([]),
            json!({}),
            json!([null]),
            json!([[]]),
            json!({"name": null}),
            json!({"x": {"y": [1]}}),
        ];
        values[self.below(values.len())].clone()
    }
}

/// The JSON pointer of every value below the document itself.
pub fn pointers(value: &Value, out: &mut Vec<String>) {
    fn walk(value: &Value, path: &str, out: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields
                .iter()
                .map(|(field, value)| (field.replace('~', "~0").replace('/', "~1"), value))
                .collect(),
            Value::Array(items) => (0..)
                .zip(items)
                .map(|(index, value): (usize, _)| (index.to_string(), value))
                .collect(),
            _ => Vec::new(),
        };
        for (name, value) in children {
            let path = format!("{path}/{name}");
            walk(value, &path, out);
            out.push(path);
        }
    }
    walk(value, "", out);
}
