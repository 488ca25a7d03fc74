//! RFC 6902 patches, written directly: the only place that builds patch paths.
//!
//! Values are the configuration's own JSON, copied as it is. No patch is ever a difference of two pods, so what
//! nobody asked to change cannot change (<https://www.rfc-editor.org/rfc/rfc6902>).

use std::borrow::Cow;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Adds a member or an item.
    Add,
    /// Replaces a member that is there.
    Replace,
}

/// A lifecycle event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookName {
    /// Right after the container starts.
    PostStart,
    /// Before the container is stopped.
    PreStop,
}

impl HookName {
    /// The field's name.
    pub fn as_str(self) -> &'static str {
        match self {
            HookName::PostStart => "postStart",
            HookName::PreStop => "preStop",
        }
    }
}

/// A list of the pod that items are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// `spec.volumes`
    Volumes,
    /// `spec.initContainers`
    InitContainers,
    /// `spec.containers`
    Containers,
    /// `spec.containers[i].env`
    Env(usize),
    /// `spec.containers[i].volumeMounts`
    VolumeMounts(usize),
}

/// A map of the pod's metadata that entries are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Texts {
    /// `metadata.labels`
    Labels,
    /// `metadata.annotations`
    Annotations,
}

impl Texts {
    /// The field's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Texts::Labels => "labels",
            Texts::Annotations => "annotations",
        }
    }
}

/// The place that an operation changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path<'a> {
    /// A whole list, where the pod has none.
    List(List),
    /// Behind the last item of a list.
    End(List),
    /// A whole map, where the pod has none.
    Texts(Texts),
    /// One entry of a map.
    Text(Texts, &'a str),
    /// `spec.containers[i].lifecycle`, where the container has none.
    Lifecycle(usize),
    /// One hook of a container.
    Hook(usize, HookName),
}

/// The value that an operation brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Ready JSON.
    Json(Cow<'a, str>),
    /// A list of ready JSON.
    List(Vec<&'a str>),
    /// A text, escaped when written.
    Text(Cow<'a, str>),
    /// A map of texts.
    Texts(Vec<(&'a str, Cow<'a, str>)>),
    /// A lifecycle of ready hooks.
    Hooks(Vec<(HookName, Cow<'a, str>)>),
}

/// One operation of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<'a> {
    /// What it does.
    pub op: Op,
    /// Where.
    pub path: Path<'a>,
    /// With what.
    pub value: Value<'a>,
}

/// Appends the patch, a JSON array, to `out`.
pub fn write(operations: &[Operation<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, Operation { op, path, value }) in operations.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(match op {
            Op::Add => br#"{"op":"add","path":""#,
            Op::Replace => br#"{"op":"replace","path":""#,
        });
        write_path(path, out);
        out.extend_from_slice(br#"","value":"#);
        write_value(value, out);
        out.push(b'}');
    }
    out.push(b']');
}

/// The patch's size in bytes, near enough to reserve room for it.
pub fn size_hint(operations: &[Operation<'_>]) -> usize {
    let value = |value: &Value<'_>| match value {
        Value::Json(json) | Value::Text(json) => json.len() + 16,
        Value::List(items) => items.iter().map(|item| item.len() + 1).sum(),
        Value::Texts(entries) => entries.iter().map(|(key, text)| key.len() + text.len() + 32).sum(),
        Value::Hooks(hooks) => hooks.iter().map(|(_, json)| json.len() + 16).sum(),
    };
    operations.iter().map(|operation| 80 + value(&operation.value)).sum()
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
    out.extend_from_slice(b"/spec/containers/");
    out.extend_from_slice(index.to_string().as_bytes());
    out.push(b'/');
    out.extend_from_slice(field.as_bytes());
}

/// A key as one token of a JSON Pointer (RFC 6901), inside a JSON string.
fn write_token(key: &str, out: &mut Vec<u8>) {
    let token = key.replace('~', "~0").replace('/', "~1");
    let mut quoted = Vec::with_capacity(token.len() + 2);
    write_text(&token, &mut quoted);
    out.extend_from_slice(quoted.get(1..quoted.len() - 1).unwrap_or_default());
}

fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Json(json) => out.extend_from_slice(json.as_bytes()),
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            separated(b'[', items, b']', out, |item, out| out.extend_from_slice(item.as_bytes()));
        }
        Value::Texts(entries) => separated(b'{', entries, b'}', out, |(key, text), out| {
            write_text(key, out);
            out.push(b':');
            write_text(text, out);
        }),
        Value::Hooks(hooks) => separated(b'{', hooks, b'}', out, |(hook, json), out| {
            write_text(hook.as_str(), out);
            out.push(b':');
            out.extend_from_slice(json.as_bytes());
        }),
    }
}

fn separated<T>(
    open: u8,
    items: &[T],
    close: u8,
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>),
) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(close);
}

/// Appends a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a string into memory has no way to fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(operations: &[Operation<'_>]) -> serde_json::Value {
        let mut out = Vec::new();
        write(operations, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn paths_and_values_are_written_as_rfc_6902_wants_them() {
        let add = |path, value| Operation { op: Op::Add, path, value };
        let operations = [
            add(Path::List(List::Volumes), Value::List(vec![r#"{"name":"v"}"#, "2"])),
            add(Path::End(List::Env(3)), Value::Json(r#"{"name":"A"}"#.into())),
            add(Path::Text(Texts::Annotations, "a.b/c~\"d"), Value::Text("x\ny".into())),
            add(Path::Texts(Texts::Labels), Value::Texts(vec![("k", "v".into())])),
            add(Path::Lifecycle(0), Value::Hooks(vec![(HookName::PreStop, "{}".into())])),
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
