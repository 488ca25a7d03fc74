//! Builds values from the parser's events.
//!
//! One stack instead of recursion, and a budget for aliases, so that hostile input ends in an error
//! and not in a full stack or memory.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::scalar::{self, Plain};
use super::{Document, Error, MAX_DEPTH, Problem};

/// How many bytes of memory the aliases of one document may copy. A manifest with anchors copies a
/// few thousand nodes at most; ten lines of nested aliases can ask for billions.
const MAX_ALIASED: usize = 4 << 20;

/// Reads every document of a YAML stream.
pub(super) fn documents(text: &str) -> Vec<Result<Document, Error>> {
    let mut options =
        granit_parser::options! { flow_nesting_limit: 1024, block_nesting_limit: 1024 };
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);

    let mut found = Vec::new();
    let mut number = 1;
    loop {
        let read = match next_document(&mut parser) {
            Ok(None) => return found,
            Ok(Some((Value::Null, _))) => continue,
            Ok(Some((value, line))) => Ok(Document {
                number,
                line,
                value,
            }),
            Err((problem, mark)) => Err(Error {
                document: number,
                line: mark.line(),
                column: mark.col() + 1,
                problem,
            }),
        };
        let broken = read.is_err();
        found.push(read);
        number += 1;
        if broken && !matches!(parser.proceed_next_document(), Ok(true)) {
            return found;
        }
    }
}

type Failure = (Problem, Marker);

fn next_document<'a>(
    parser: &mut Parser<'a, StrInput<'a>>,
) -> Result<Option<(Value, usize)>, Failure> {
    let mut composer = Composer::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        match event {
            Event::StreamEnd => return Ok(None),
            Event::DocumentEnd => {
                let line = composer.line.unwrap_or(1);
                return Ok(Some((composer.root.unwrap_or(Value::Null), line)));
            }
            event => composer
                .take(event, span)
                .map_err(|problem| (problem, span.start))?,
        }
    }
    Ok(None)
}

fn syntax(error: &ScanError) -> Failure {
    // Some of the parser's messages are of several lines.
    let message = error
        .info()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    (Problem::Yaml(message), *error.marker())
}

/// A list or mapping whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    /// Levels below this one that are complete.
    height: usize,
}

enum Node {
    List(Vec<Value>),
    Mapping {
        entries: Map<String, Value>,
        merged: Vec<Map<String, Value>>,
        key: Option<Key>,
    },
}

enum Key {
    Text(String),
    Merge,
}

/// An anchor's value with what a copy of it costs.
struct Anchored {
    value: Value,
    size: usize,
    height: usize,
}

#[derive(Default)]
struct Composer {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    aliased: usize,
    root: Option<Value>,
    line: Option<usize>,
}

impl Composer {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        if event.is_node() || event.is_alias() {
            self.line.get_or_insert(span.start.line());
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain_merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
                if plain_merge && self.expects_key() {
                    return self.set_key(Key::Merge);
                }
                let value = scalar_value(text, style, tag.as_deref())?;
                self.complete(value, anchor, 0)
            }
            Event::SequenceStart(_, anchor, tag) => {
                accept_tag(tag.as_deref(), "seq")?;
                self.push(Node::List(Vec::new()), anchor, "a list")
            }
            Event::MappingStart(_, anchor, tag) => {
                accept_tag(tag.as_deref(), "map")?;
                let node = Node::Mapping {
                    entries: Map::new(),
                    merged: Vec::new(),
                    key: None,
                };
                self.push(node, anchor, "a mapping")
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open {
                    node,
                    anchor,
                    height,
                }) => self.complete(node.close(), anchor, height),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor),
            _ => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                node: Node::Mapping { key: None, .. },
                ..
            })
        )
    }

    fn push(&mut self, node: Node, anchor: usize, what: &'static str) -> Result<(), Problem> {
        if self.expects_key() {
            return Err(Problem::Key(what));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::Depth);
        }
        self.open.push(Open {
            node,
            anchor,
            height: 1,
        });
        Ok(())
    }

    fn alias(&mut self, anchor: usize) -> Result<(), Problem> {
        // The parser has refused unknown names, so what is missing here is not complete yet.
        let Anchored {
            value,
            size,
            height,
        } = self.anchors.get(&anchor).ok_or(Problem::Cycle)?;
        self.aliased = self.aliased.saturating_add(*size);
        if self.aliased > MAX_ALIASED {
            return Err(Problem::Aliases);
        }
        if self.open.len() + height > MAX_DEPTH {
            return Err(Problem::Depth);
        }
        let (value, height) = (value.clone(), *height);
        self.complete(value, 0, height)
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, value: Value, anchor: usize, height: usize) -> Result<(), Problem> {
        if anchor != 0 {
            let size = size(&value);
            // An anchor is a copy too.
            self.aliased = self.aliased.saturating_add(size);
            if self.aliased > MAX_ALIASED {
                return Err(Problem::Aliases);
            }
            self.anchors.insert(
                anchor,
                Anchored {
                    value: value.clone(),
                    size,
                    height,
                },
            );
        }
        if self.expects_key() {
            return self.set_key(Key::Text(key_text(value)?));
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        parent.height = parent.height.max(height + 1);
        match &mut parent.node {
            Node::List(items) => items.push(value),
            Node::Mapping {
                entries,
                merged,
                key,
            } => match key.take() {
                Some(Key::Text(key)) => {
                    entries.insert(key, value);
                }
                Some(Key::Merge) => merge(merged, value)?,
                None => {}
            },
        }
        Ok(())
    }

    fn set_key(&mut self, next: Key) -> Result<(), Problem> {
        if let Some(Open {
            node: Node::Mapping { entries, key, .. },
            ..
        }) = self.open.last_mut()
        {
            match &next {
                Key::Text(text) if entries.contains_key(text) => {
                    return Err(Problem::DuplicateKey(text.clone()));
                }
                _ => *key = Some(next),
            }
        }
        Ok(())
    }
}

impl Node {
    fn close(self) -> Value {
        match self {
            Self::List(items) => Value::Array(items),
            Self::Mapping {
                mut entries,
                merged,
                ..
            } => {
                // https://yaml.org/type/merge.html: the mapping's own keys win, then the earlier source.
                for (key, value) in merged.into_iter().flatten() {
                    entries.entry(key).or_insert(value);
                }
                Value::Object(entries)
            }
        }
    }
}

fn merge(merged: &mut Vec<Map<String, Value>>, value: Value) -> Result<(), Problem> {
    match value {
        Value::Object(source) => merged.push(source),
        Value::Array(sources) => {
            for source in sources {
                match source {
                    Value::Object(source) => merged.push(source),
                    _ => return Err(Problem::Merge),
                }
            }
        }
        _ => return Err(Problem::Merge),
    }
    Ok(())
}

/// The bytes of nodes and texts, which is about what a copy takes.
fn size(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(size).sum(),
            Value::Object(entries) => entries
                .iter()
                .map(|(key, value)| key.len() + size(value))
                .sum(),
            _ => 0,
        }
}

/// Keys become strings as sigs.k8s.io/yaml makes them: `8080:` is "8080", `on:` is "true".
fn key_text(value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => Ok(float.to_string()),
            _ => Ok(number.to_string()),
        },
        Value::Null => Err(Problem::Key("null")),
        Value::Array(_) => Err(Problem::Key("a list")),
        Value::Object(_) => Err(Problem::Key("a mapping")),
    }
}

fn scalar_value(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
) -> Result<Value, Problem> {
    let Some(tag) = tag else {
        if style != ScalarStyle::Plain {
            return Ok(Value::String(text.into_owned()));
        }
        return scalar::resolve(&text)
            .into_value(&text)
            .ok_or_else(|| Problem::NonFinite(text.into_owned()));
    };
    let not_of_tag = || Problem::NotOfTag {
        tag: tag.original(),
        value: text.to_string(),
    };
    // A lone `!` says "not to be resolved".
    if tag.original() == "!" {
        return Ok(Value::String(text.into_owned()));
    }
    match tag.core_suffix() {
        Some("str") => Ok(Value::String(text.into_owned())),
        Some("null") if scalar::resolve(&text) == Plain::Null => Ok(Value::Null),
        Some("bool") => match scalar::resolve(&text) {
            Plain::Bool(value) => Ok(Value::Bool(value)),
            _ => Err(not_of_tag()),
        },
        Some("int") => scalar::integer(&text.replace('_', ""))
            .map(Value::Number)
            .ok_or_else(not_of_tag),
        Some("float") => scalar::number(&text)
            .map(Value::Number)
            .ok_or_else(not_of_tag),
        Some("null" | "seq" | "map") => Err(not_of_tag()),
        _ => Err(Problem::Tag(tag.original())),
    }
}

fn accept_tag(tag: Option<&Tag>, kind: &str) -> Result<(), Problem> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.original() == "!" || tag.is_yaml_core_schema_tag(kind) => Ok(()),
        Some(tag) => Err(Problem::Tag(tag.original())),
    }
}
