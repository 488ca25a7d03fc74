//! Patches as text, and in base64 as an AdmissionReview carries them.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fragment::pad;
use super::{Fragment, List, Op, Operation, Path, Value};

/// Letters of base64 for an operation's own words, path and all, where nothing is out of the ordinary.
const OPERATION: usize = 160;

/// Appends the patch, a JSON array, to `out`.
pub fn write(operations: &[Operation<'_>], out: &mut Vec<u8>) {
    write_to(operations, out);
}

/// Appends the patch in base64 to `out`. It says the same as what [`write()`] gives, with some more white space.
pub fn write_encoded(operations: &[Operation<'_>], out: &mut Vec<u8>) {
    let mut encoded = Encoded { out, words: Vec::with_capacity(OPERATION) };
    write_to(operations, &mut encoded);
    encoded.flush();
}

/// How long the patch is in base64, near enough to reserve room for it.
pub fn encoded_size_hint(operations: &[Operation<'_>]) -> usize {
    // What is not encoded yet grows by a third, and each piece by its padding.
    let words = |length: usize| length * 4 / 3 + 16;
    let value = |value: &Value<'_>| match value {
        Value::Ready(fragment) => fragment.encoded().len(),
        Value::List(items) => items.iter().map(|item| item.encoded().len() + 4).sum(),
        Value::Json(json) => words(json.len()),
        // Quotes become two.
        Value::Text(text) => words(text.len() * 5 / 4),
        Value::Texts(entries) => {
            entries.iter().map(|(key, text)| words(key.len() + text.len() * 5 / 4)).sum()
        }
        Value::Hooks(hooks) => hooks.iter().map(|(_, hook)| hook.encoded().len() + 24).sum(),
    };
    operations.iter().map(|operation| OPERATION + value(&operation.value)).sum()
}

/// Where a patch goes: words in between, and fragments that are ready.
trait Sink {
    /// Room for words.
    fn words(&mut self) -> &mut Vec<u8>;
    /// A fragment behind the words so far.
    fn ready(&mut self, fragment: &Fragment);

    /// A comma.
    fn next(&mut self) {
        self.say(b",");
    }

    fn say(&mut self, words: &[u8]) {
        self.words().extend_from_slice(words);
    }
}

impl Sink for Vec<u8> {
    fn words(&mut self) -> &mut Vec<u8> {
        self
    }
    fn ready(&mut self, fragment: &Fragment) {
        self.extend_from_slice(fragment.json().as_bytes());
    }
}

/// A patch on its way to base64.
struct Encoded<'o> {
    out: &'o mut Vec<u8>,
    /// What is said since the last fragment.
    words: Vec<u8>,
}

/// `,  ` in base64.
const COMMA: &[u8] = b"LCAg";

impl Encoded<'_> {
    fn flush(&mut self) {
        if self.words.is_empty() {
            return;
        }
        pad(&mut self.words);
        let start = self.out.len();
        self.out.resize(start + self.words.len() / 3 * 4, 0);
        // The room is what base64 needs, so there is nothing that can fail.
        let _ = STANDARD.encode_slice(&self.words, &mut self.out[start..]);
        self.words.clear();
    }
}

impl Sink for Encoded<'_> {
    fn words(&mut self) -> &mut Vec<u8> {
        &mut self.words
    }
    fn ready(&mut self, fragment: &Fragment) {
        self.flush();
        self.out.extend_from_slice(fragment.encoded().as_bytes());
    }
    fn next(&mut self) {
        match self.words.as_slice() {
            // Between two fragments, which is where most of them are.
            [] => self.out.extend_from_slice(COMMA),
            _ => self.say(b","),
        }
    }
}

fn write_to(operations: &[Operation<'_>], out: &mut impl Sink) {
    separated(b'[', operations, b']', out, |Operation { op, path, value }, out| {
        out.say(match op {
            Op::Add => br#"{"op":"add","path":""#,
            Op::Replace => br#"{"op":"replace","path":""#,
        });
        write_path(path, out.words());
        out.say(br#"","value":"#);
        write_value(value, out);
        out.say(b"}");
    });
}

fn write_value(value: &Value<'_>, out: &mut impl Sink) {
    match value {
        Value::Ready(fragment) => out.ready(fragment),
        Value::Json(json) => out.say(json.as_bytes()),
        Value::Text(text) => write_text(text, out.words()),
        Value::List(items) => separated(b'[', items, b']', out, |item, out| out.ready(item)),
        Value::Texts(entries) => separated(b'{', entries, b'}', out, |(key, text), out| {
            write_text(key, out.words());
            out.say(b":");
            write_text(text, out.words());
        }),
        Value::Hooks(hooks) => separated(b'{', hooks, b'}', out, |(hook, fragment), out| {
            write_text(hook.as_str(), out.words());
            out.say(b":");
            out.ready(fragment);
        }),
    }
}

fn separated<T, S: Sink>(open: u8, items: &[T], close: u8, out: &mut S, mut write: impl FnMut(&T, &mut S)) {
    out.say(&[open]);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.next();
        }
        write(item, out);
    }
    out.say(&[close]);
}

fn write_path(path: &Path<'_>, out: &mut Vec<u8>) {
    match path {
        Path::List(list) => write_list_path(*list, out),
        Path::End(list) => {
            write_list_path(*list, out);
            out.extend_from_slice(b"/-");
        }
        Path::Texts(texts) => {
            out.extend_from_slice(b"/metadata/");
            out.extend_from_slice(texts.as_str().as_bytes());
        }
        Path::Text(texts, key) => {
            write_path(&Path::Texts(*texts), out);
            out.push(b'/');
            write_token(key, out);
        }
        Path::Lifecycle(index) => write_container_path(*index, "lifecycle", out),
        Path::Hook(index, hook) => {
            write_path(&Path::Lifecycle(*index), out);
            out.push(b'/');
            out.extend_from_slice(hook.as_str().as_bytes());
        }
    }
}

fn write_list_path(list: List, out: &mut Vec<u8>) {
    match list {
        List::Volumes => out.extend_from_slice(b"/spec/volumes"),
        List::InitContainers => out.extend_from_slice(b"/spec/initContainers"),
        List::Containers => out.extend_from_slice(b"/spec/containers"),
        List::Env(index) => write_container_path(index, "env", out),
        List::VolumeMounts(index) => write_container_path(index, "volumeMounts", out),
    }
}

fn write_container_path(index: usize, field: &str, out: &mut Vec<u8>) {
    // Writing into memory has no way to fail, here and below.
    let _ = write!(out, "/spec/containers/{index}/{field}");
}

/// A key as one token of a JSON Pointer (RFC 6901), inside a JSON string.
fn write_token(key: &str, out: &mut Vec<u8>) {
    for piece in key.split_inclusive(['~', '/']) {
        let (plain, escaped) = match (piece.strip_suffix('~'), piece.strip_suffix('/')) {
            (Some(plain), _) => (plain, "~0"),
            (_, Some(plain)) => (plain, "~1"),
            _ => (piece, ""),
        };
        write_escaped(plain, out);
        out.extend_from_slice(escaped.as_bytes());
    }
}

/// Appends a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, text);
}

/// Appends what is between the quotes of a JSON string.
pub fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    write_text(text, out);
    out.pop();
    out.remove(start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::{HookName, Texts};
    use serde_json::json;

    fn written(operations: &[Operation<'_>]) -> serde_json::Value {
        let (mut out, mut encoded) = (Vec::new(), Vec::new());
        write(operations, &mut out);
        write_encoded(operations, &mut encoded);
        assert!(encoded.len() <= encoded_size_hint(operations));
        let written: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let decoded = STANDARD.decode(encoded).unwrap();
        assert_eq!(written, serde_json::from_slice::<serde_json::Value>(&decoded).unwrap());
        written
    }

    #[test]
    fn paths_and_values_are_written_as_rfc_6902_wants_them() {
        let [volume, two, env, hook] =
            [r#"{"name":"v"}"#, "2", r#"{"name":"A"}"#, "{}"].map(|json| Fragment::new(json.to_owned()));
        let add = |path, value| Operation { op: Op::Add, path, value };
        let operations = [
            add(Path::List(List::Volumes), Value::List(vec![&volume, &two])),
            add(Path::End(List::Env(3)), Value::Ready(&env)),
            add(Path::Text(Texts::Annotations, "a.b/c~\"d"), Value::Text("x\ny".into())),
            add(Path::Texts(Texts::Labels), Value::Texts(vec![("k", "v".into())])),
            add(Path::Lifecycle(0), Value::Hooks(vec![(HookName::PreStop, &hook)])),
            Operation {
                op: Op::Replace,
                path: Path::Hook(0, HookName::PostStart),
                value: Value::Json("1".into()),
            },
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
