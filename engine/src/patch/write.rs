//! Patches as text, and in base64 as an AdmissionReview carries them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fragment::pad;
use super::{Fragment, Operation, Value};
use crate::json_text::write_text;

/// Letters of base64 for what surrounds an operation's value, path and all, where nothing is out of
/// the ordinary.
const OPERATION: usize = 160;

/// Appends the patch, a JSON array, to `out`.
pub fn write(operations: &[Operation<'_>], out: &mut Vec<u8>) {
    write_to(operations, out);
}

/// Appends the patch in base64 to `out`. It says the same as what [`write()`] gives, with some more
/// white space.
pub fn write_encoded(operations: &[Operation<'_>], out: &mut Vec<u8>) {
    let mut encoded = Encoded {
        out,
        pending: Vec::with_capacity(OPERATION),
    };
    write_to(operations, &mut encoded);
    encoded.flush();
}

/// How long the patch is in base64, near enough to reserve room for it.
pub fn encoded_size_hint(operations: &[Operation<'_>]) -> usize {
    // What is not encoded yet grows by a third, and each piece by its padding.
    let encoded = |length: usize| length * 4 / 3 + 16;
    let value = |value: &Value<'_>| match value {
        Value::Fragment(fragment) => fragment.encoded().len(),
        Value::List(items) => items.iter().map(|item| item.encoded().len() + 4).sum(),
        Value::Json(json) => encoded(json.len()),
        // Quotes become two.
        Value::Text(text) => encoded(text.len() * 5 / 4),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, text)| encoded(key.len() + text.len() * 5 / 4))
            .sum(),
        Value::Hooks(hooks) => hooks
            .iter()
            .map(|(_, hook)| hook.encoded().len() + 24)
            .sum(),
    };
    operations
        .iter()
        .map(|operation| OPERATION + value(operation.value()))
        .sum()
}

/// Where a patch goes: plain bytes, and between them fragments that are encoded already.
trait Sink {
    /// The bytes since the last fragment.
    fn bytes(&mut self) -> &mut Vec<u8>;

    /// Appends a fragment.
    fn fragment(&mut self, fragment: &Fragment);

    /// Appends the comma between two items.
    fn separator(&mut self) {
        self.push(b",");
    }

    /// Appends plain bytes.
    fn push(&mut self, bytes: &[u8]) {
        self.bytes().extend_from_slice(bytes);
    }
}

impl Sink for Vec<u8> {
    fn bytes(&mut self) -> &mut Vec<u8> {
        self
    }

    fn fragment(&mut self, fragment: &Fragment) {
        self.extend_from_slice(fragment.json().as_bytes());
    }
}

/// A patch on its way to base64.
struct Encoded<'o> {
    out: &'o mut Vec<u8>,
    /// What follows the last fragment and is not encoded yet.
    pending: Vec<u8>,
}

/// `,  ` in base64.
const SEPARATOR: &[u8] = b"LCAg";

impl Encoded<'_> {
    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        pad(&mut self.pending);
        let start = self.out.len();
        self.out.resize(start + self.pending.len() / 3 * 4, 0);
        // The room is what base64 needs, so there is nothing that can fail.
        let _ = STANDARD.encode_slice(&self.pending, &mut self.out[start..]);
        self.pending.clear();
    }
}

impl Sink for Encoded<'_> {
    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    fn fragment(&mut self, fragment: &Fragment) {
        self.flush();
        self.out.extend_from_slice(fragment.encoded().as_bytes());
    }

    fn separator(&mut self) {
        match self.pending.as_slice() {
            // Between two fragments, which is where most of them are.
            [] => self.out.extend_from_slice(SEPARATOR),
            _ => self.push(b","),
        }
    }
}

fn write_to(operations: &[Operation<'_>], out: &mut impl Sink) {
    separated(b'[', operations, b']', out, |operation, out| {
        let (head, place, value): (&[u8], _, _) = match operation {
            Operation::Add(place, value) => (br#"{"op":"add","path":""#, place, value),
            Operation::Replace(place, value) => (br#"{"op":"replace","path":""#, place, value),
        };
        out.push(head);
        place.write_pointer(out.bytes());
        out.push(br#"","value":"#);
        write_value(value, out);
        out.push(b"}");
    });
}

fn write_value(value: &Value<'_>, out: &mut impl Sink) {
    match value {
        Value::Fragment(fragment) => out.fragment(fragment),
        Value::Json(json) => out.push(json.as_bytes()),
        Value::Text(text) => write_text(text, out.bytes()),
        Value::List(items) => separated(b'[', items, b']', out, |item, out| out.fragment(item)),
        Value::Map(entries) => separated(b'{', entries, b'}', out, |(key, text), out| {
            write_text(key, out.bytes());
            out.push(b":");
            write_text(text, out.bytes());
        }),
        Value::Hooks(hooks) => separated(b'{', hooks, b'}', out, |(hook, fragment), out| {
            write_text(hook.as_str(), out.bytes());
            out.push(b":");
            out.fragment(fragment);
        }),
    }
}

fn separated<T, S: Sink>(
    open: u8,
    items: &[T],
    close: u8,
    out: &mut S,
    mut write: impl FnMut(&T, &mut S),
) {
    out.push(&[open]);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.separator();
        }
        write(item, out);
    }
    out.push(&[close]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::place::{HookName, Key, MetadataMap, Place};

    fn written(operations: &[Operation<'_>]) -> serde_json::Value {
        let (mut out, mut encoded) = (Vec::new(), Vec::new());
        write(operations, &mut out);
        write_encoded(operations, &mut encoded);
        assert!(encoded.len() <= encoded_size_hint(operations));
        let written: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let decoded = STANDARD.decode(encoded).unwrap();
        assert_eq!(
            written,
            serde_json::from_slice::<serde_json::Value>(&decoded).unwrap()
        );
        written
    }

    #[test]
    fn paths_and_values_are_written_as_rfc_6902_wants_them() {
        let [volume, two, env, hook] = [r#"{"name":"v"}"#, "2", r#"{"name":"A"}"#, "{}"]
            .map(|json| Fragment::new(json.to_owned()));
        let operations = [
            Operation::Add(Place::Volumes, Value::List(vec![&volume, &two])),
            Operation::Add(Place::env(3, Key::Identity("A")), Value::Fragment(&env)),
            Operation::Add(
                Place::Entry(MetadataMap::Annotations, "a.b/c~\"d"),
                Value::Text("x\ny".into()),
            ),
            Operation::Add(
                Place::Map(MetadataMap::Labels),
                Value::Map(vec![("k", "v".into())]),
            ),
            Operation::Add(
                Place::lifecycle(0),
                Value::Hooks(vec![(HookName::PreStop, &hook)]),
            ),
            Operation::Replace(Place::Hook(0, HookName::PostStart), Value::Json("1".into())),
        ];
        assert_eq!(
            written(&operations),
            json!([
                {"op": "add", "path": "/spec/volumes", "value": [{"name": "v"}, 2]},
                {"op": "add", "path": "/spec/containers/3/env/-", "value": {"name": "A"}},
                {"op": "add", "path": "/metadata/annotations/a.b~1c~0\"d", "value": "x\ny"},
                {"op": "add", "path": "/metadata/labels", "value": {"k": "v"}},
                {"op": "add", "path": "/spec/containers/0/lifecycle", "value": {"preStop": {}}},
                {"op": "replace", "path": "/spec/containers/0/lifecycle/postStart", "value": 1},
            ])
        );
    }
}
