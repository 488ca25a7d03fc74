//! A place in a JSON document, and the one way to walk such a document.
//!
//! A [`JsonPath`] is kept as its steps and written only for people: nothing ever reads the written
//! form back.

use std::convert::Infallible;
use std::fmt;
use std::ops::ControlFlow;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// To the field of an object.
    Field(Box<str>),
    /// To the item of a list, from 0.
    Index(usize),
}

/// A place in a document, such as `$.csiSidecar[0].env[2].value`.
///
/// ```
/// use engine::json_path::JsonPath;
///
/// let labels = JsonPath::root().field("metadata").field("labels");
/// assert_eq!(labels.field("a.b/c").to_string(), "$.metadata.labels[\"a.b/c\"]");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// The document itself: `$`.
    pub fn root() -> Self {
        Self::default()
    }

    /// The place of a field in the object at this place.
    pub fn field(&self, name: &str) -> Self {
        self.child(Step::Field(name.into()))
    }

    /// The place of an item in the list at this place.
    pub fn index(&self, index: usize) -> Self {
        self.child(Step::Index(index))
    }

    fn child(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Self(steps)
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The last step; `None` for the root.
    pub fn last(&self) -> Option<&Step> {
        self.0.last()
    }

    /// The place that holds this one; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, steps) = self.0.split_last()?;
        Some(Self(steps.to_vec()))
    }

    /// Goes one step down.
    pub fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    /// Goes one step up; `None` at the root.
    pub fn pop(&mut self) -> Option<Step> {
        self.0.pop()
    }

    /// The value at this place of `document`.
    pub fn find_mut<'v>(&self, document: &'v mut Value) -> Option<&'v mut Value> {
        self.0.iter().try_fold(document, |value, step| match step {
            Step::Field(name) => value.as_object_mut()?.get_mut(&**name),
            Step::Index(index) => value.as_array_mut()?.get_mut(*index),
        })
    }

    /// This place or, where `document` has none, the nearest place above that it has.
    pub fn nearest_in(&self, document: &Value) -> Self {
        let mut value = document;
        let inside = self.0.iter().take_while(|step| {
            let next = match step {
                Step::Field(name) => value.as_object().and_then(|fields| fields.get(&**name)),
                Step::Index(index) => value.as_array().and_then(|items| items.get(*index)),
            };
            next.inspect(|next| value = next).is_some()
        });
        Self(inside.cloned().collect())
    }

    /// The written form as Kubernetes has it in `causes`: `data.csi`.
    pub fn field_path(&self) -> impl fmt::Display {
        fmt::from_fn(|f| match self.0.split_first() {
            Some((Step::Field(name), steps)) => {
                f.write_str(name)?;
                steps.iter().try_for_each(|step| write!(f, "{step}"))
            }
            _ => write!(f, "{}", self.below_root()),
        })
    }

    /// The written form without the leading `$`, to be put behind the name of the document.
    pub fn below_root(&self) -> impl fmt::Display {
        fmt::from_fn(|f| self.0.iter().try_for_each(|step| write!(f, "{step}")))
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.below_root())
    }
}

impl Serialize for JsonPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Field(name) if is_plain(name) => write!(f, ".{name}"),
            Step::Field(name) => write!(f, "[\"{name}\"]"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// Visits `value`, which is at `path`, and everything in it: parents first, in the order of the
/// text.
///
/// The visitor may break off; what it breaks with is returned, and `path` is then where it did.
pub fn walk<'v, B>(
    value: &'v Value,
    path: &mut JsonPath,
    visit: &mut impl FnMut(&JsonPath, &'v Value) -> ControlFlow<B>,
) -> ControlFlow<B> {
    visit(path, value)?;
    let mut inside = |step, value| {
        path.push(step);
        walk(value, path, visit)?;
        path.pop();
        ControlFlow::Continue(())
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(name, value)| inside(Step::Field(name.as_str().into()), value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| inside(Step::Index(index), value)),
        _ => ControlFlow::Continue(()),
    }
}

/// As [`walk`], from the root to the end.
pub fn walk_all<'v>(value: &'v Value, visit: &mut impl FnMut(&JsonPath, &'v Value)) {
    let mut visit = |path: &JsonPath, value: &'v Value| {
        visit(path, value);
        ControlFlow::<Infallible>::Continue(())
    };
    let ControlFlow::Continue(()) = walk(value, &mut JsonPath::root(), &mut visit);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_are_no_names_are_quoted() {
        let path = JsonPath::root()
            .field("csiSidecar")
            .index(0)
            .field("my-key_1");
        assert_eq!(path.to_string(), "$.csiSidecar[0].my-key_1");
        assert_eq!(
            path.field("a.b/c").to_string(),
            "$.csiSidecar[0].my-key_1[\"a.b/c\"]"
        );
        assert_eq!(
            JsonPath::root().field("").below_root().to_string(),
            "[\"\"]"
        );
        assert_eq!(JsonPath::root().to_string(), "$");
        assert_eq!(path.field_path().to_string(), "csiSidecar[0].my-key_1");
        assert_eq!(json!(path), json!("$.csiSidecar[0].my-key_1"));
    }

    #[test]
    fn a_path_leads_up_and_down() {
        let path = JsonPath::root().field("a").index(1);
        assert_eq!(path.last(), Some(&Step::Index(1)));
        assert_eq!(path.parent(), Some(JsonPath::root().field("a")));
        assert_eq!(JsonPath::root().parent(), None);
        let mut document = json!({"a": [1, 2]});
        assert_eq!(path.nearest_in(&document), path);
        assert_eq!(path.field("b").index(0).nearest_in(&document), path);
        assert_eq!(path.find_mut(&mut document), Some(&mut json!(2)));
        assert_eq!(path.field("b").find_mut(&mut document), None);
    }

    #[test]
    fn a_walk_meets_every_value_in_the_order_of_the_text() {
        let document = json!({"b": [true, {"x.y": null}], "a": 1});
        let mut met = Vec::new();
        walk_all(&document, &mut |path, _| met.push(path.to_string()));
        assert_eq!(
            met,
            ["$", "$.b", "$.b[0]", "$.b[1]", "$.b[1][\"x.y\"]", "$.a"]
        );
    }

    #[test]
    fn a_walk_stops_where_the_visitor_breaks_off() {
        let document = json!([[0, 1], 2]);
        let mut path = JsonPath::root();
        let end = walk(
            &document,
            &mut path,
            &mut |path, value| match value.as_u64() {
                Some(number) => ControlFlow::Break((path.to_string(), number)),
                None => ControlFlow::Continue(()),
            },
        );
        assert_eq!(end, ControlFlow::Break(("$[0][0]".to_owned(), 0)));
    }
}
