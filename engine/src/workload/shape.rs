//! Reading fields of an untyped object with the JSON path at hand, so that an error can say where.

use serde_json::{Map, Value};

/// A manifest whose shape does not give a pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ManifestError {
    /// The JSON path in the document, `$.spec.template.spec`; with the name of the SandboxTemplate in front where that is
    /// the one at fault.
    pub path: String,
    /// What is wrong there, and the fix.
    pub problem: ManifestProblem,
}

/// What can be wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// The field is not there, or null.
    #[error("missing; {fix}")]
    Missing {
        /// What belongs there.
        fix: &'static str,
    },
    /// The field is of another type.
    #[error("must be {expected}, not {found}{}", if *quote { "; quote it" } else { "" })]
    Type {
        /// The type that it must have.
        expected: &'static str,
        /// The type that it has.
        found: &'static str,
        /// Whether it is a scalar that only lacks its quotes.
        quote: bool,
    },
    /// The field has a value that is not one of those allowed.
    #[error("must be {expected}, not {found:?}")]
    Value {
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A SandboxTemplate that is referred to is not in the input.
    #[error("SandboxTemplate {namespace}/{name} is not in the input; pass its manifest too")]
    NoTemplate {
        /// The namespace of the referring object.
        namespace: String,
        /// The name it refers to.
        name: String,
    },
}

/// The group of an `apiVersion`; empty for the core group.
pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value and where it is.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, path: "$".to_owned() }
    }

    /// The root of another document that the one at hand refers to.
    pub(super) fn root_of(value: &'a Value, document: &str) -> Self {
        Self { value, path: format!("{document} $") }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn child(&self, key: &str) -> String {
        let plain = key.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
        if plain && !key.is_empty() {
            format!("{}.{key}", self.path)
        } else {
            format!("{}['{key}']", self.path)
        }
    }

    fn mistyped(&self, expected: &'static str) -> ManifestError {
        let quote = expected == "a string" && matches!(self.value, Value::Bool(_) | Value::Number(_));
        let problem = ManifestProblem::Type { expected, found: type_name(self.value), quote };
        ManifestError { path: self.path.clone(), problem }
    }

    pub(super) fn missing(&self, key: &str, fix: &'static str) -> ManifestError {
        ManifestError { path: self.child(key), problem: ManifestProblem::Missing { fix } }
    }

    pub(super) fn refused(&self, expected: &'static str) -> ManifestError {
        let found = self.value.as_str().map_or_else(|| self.value.to_string(), str::to_owned);
        ManifestError { path: self.path.clone(), problem: ManifestProblem::Value { expected, found } }
    }

    pub(super) fn no_template(&self, namespace: &str, name: &str) -> ManifestError {
        let problem = ManifestProblem::NoTemplate { namespace: namespace.to_owned(), name: name.to_owned() };
        ManifestError { path: self.path.clone(), problem }
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, ManifestError> {
        self.value.as_object().ok_or_else(|| self.mistyped("an object"))
    }

    pub(super) fn text(&self) -> Result<&'a str, ManifestError> {
        self.value.as_str().ok_or_else(|| self.mistyped("a string"))
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, ManifestError> {
        let items = self.value.as_array().ok_or_else(|| self.mistyped("a list"))?;
        let item = |(index, value)| Node { value, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.value.get(key).is_some_and(|value| !value.is_null())
    }

    /// A field; null is absent, as it is to the API server.
    pub(super) fn field(&self, key: &str) -> Result<Option<Node<'a>>, ManifestError> {
        let value = self.object()?.get(key).filter(|value| !value.is_null());
        Ok(value.map(|value| Node { value, path: self.child(key) }))
    }

    pub(super) fn need(&self, key: &str, fix: &'static str) -> Result<Node<'a>, ManifestError> {
        self.field(key)?.ok_or_else(|| self.missing(key, fix))
    }

    /// A text field; the empty string is absent, as it is to the API server.
    pub(super) fn text_field(&self, key: &str) -> Result<Option<&'a str>, ManifestError> {
        match self.field(key)? {
            Some(node) => Ok(Some(node.text()?).filter(|text| !text.is_empty())),
            None => Ok(None),
        }
    }

    pub(super) fn list_field(&self, key: &str) -> Result<Vec<Node<'a>>, ManifestError> {
        self.field(key)?.map_or_else(|| Ok(Vec::new()), |node| node.list())
    }

    /// A field that is an object of strings, such as labels; `None` if it is absent.
    pub(super) fn texts_field(&self, key: &str) -> Result<Option<Map<String, Value>>, ManifestError> {
        let Some(node) = self.field(key)? else { return Ok(None) };
        let texts = node.object()?;
        for (key, value) in texts {
            Node { value, path: node.child(key) }.text()?;
        }
        Ok(Some(texts.clone()))
    }
}
