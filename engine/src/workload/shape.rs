//! Reading fields of an untyped object with the JSON path at hand, so that an error can say where.

use serde_json::{Map, Value};

use crate::json_path::{JsonPath, Step};
use crate::pod::JsonFault;

/// A manifest whose shape does not give a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{path}: {problem}", document.as_ref().map_or(String::new(), |document| format!("{document}: ")))]
pub struct ManifestError {
    /// The object at fault, where it is not the one that was read but one that it refers to: a
    /// SandboxTemplate.
    pub document: Option<String>,
    /// Where in the document.
    pub path: JsonPath,
    /// What is wrong there, and the fix.
    pub problem: ManifestProblem,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// The field is not there, or null.
    #[error("missing; {fix}")]
    Missing {
        /// What belongs there.
        fix: &'static str,
    },
    /// The document does not decode.
    #[error("{0}")]
    Undecodable(JsonFault),
    /// The field is of another type.
    #[error("must be {expected}, not {found}{}", if *quote { "; quote it" } else { "" })]
    Type {
        /// The type that it must have.
        expected: String,
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
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    value: &'a Value,
    document: Option<String>,
    path: JsonPath,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            value,
            document: None,
            path: JsonPath::root(),
        }
    }

    /// The root of another document that the one at hand refers to.
    pub(super) fn root_of(value: &'a Value, document: String) -> Self {
        Self {
            value,
            document: Some(document),
            path: JsonPath::root(),
        }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn path(&self) -> &JsonPath {
        &self.path
    }

    fn at(&self, value: &'a Value, path: JsonPath) -> Self {
        Self {
            value,
            document: self.document.clone(),
            path,
        }
    }

    /// The value that `steps` lead to from here, or the last one on the way that is there.
    pub(super) fn follow(&self, steps: &[Step]) -> Self {
        let mut node = self.clone();
        for step in steps {
            let (value, path) = match step {
                Step::Field(name) => (node.value.get(&**name), node.path.field(name)),
                Step::Index(index) => (node.value.get(*index), node.path.index(*index)),
            };
            let Some(value) = value else { break };
            node = self.at(value, path);
        }
        node
    }

    fn error(&self, path: JsonPath, problem: ManifestProblem) -> ManifestError {
        ManifestError {
            document: self.document.clone(),
            path,
            problem,
        }
    }

    /// This value has another type than it must have, in the words of `fault` where that is not the
    /// matter.
    pub(super) fn undecodable(&self, fault: JsonFault) -> ManifestError {
        match fault {
            JsonFault::Mistyped { expected, .. } => self.mistyped(&expected),
            fault => self.error(self.path.clone(), ManifestProblem::Undecodable(fault)),
        }
    }

    fn mistyped(&self, expected: &str) -> ManifestError {
        let quote =
            expected == "a string" && matches!(self.value, Value::Bool(_) | Value::Number(_));
        let problem = ManifestProblem::Type {
            expected: expected.to_owned(),
            found: type_name(self.value),
            quote,
        };
        self.error(self.path.clone(), problem)
    }

    pub(super) fn missing(&self, key: &str, fix: &'static str) -> ManifestError {
        self.error(self.path.field(key), ManifestProblem::Missing { fix })
    }

    pub(super) fn refused(&self, expected: &'static str) -> ManifestError {
        let found = self
            .value
            .as_str()
            .map_or_else(|| self.value.to_string(), str::to_owned);
        self.error(
            self.path.clone(),
            ManifestProblem::Value { expected, found },
        )
    }

    pub(super) fn no_template(&self, namespace: &str, name: &str) -> ManifestError {
        let problem = ManifestProblem::NoTemplate {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.error(self.path.clone(), problem)
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, ManifestError> {
        self.value
            .as_object()
            .ok_or_else(|| self.mistyped("an object"))
    }

    pub(super) fn text(&self) -> Result<&'a str, ManifestError> {
        self.value.as_str().ok_or_else(|| self.mistyped("a string"))
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, ManifestError> {
        let items = self
            .value
            .as_array()
            .ok_or_else(|| self.mistyped("a list"))?;
        let item = |(index, value)| self.at(value, self.path.index(index));
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.value.get(key).is_some_and(|value| !value.is_null())
    }

    /// A field; null is absent, as it is to the API server.
    pub(super) fn field(&self, key: &str) -> Result<Option<Node<'a>>, ManifestError> {
        let value = self.object()?.get(key).filter(|value| !value.is_null());
        Ok(value.map(|value| self.at(value, self.path.field(key))))
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
        self.field(key)?
            .map_or_else(|| Ok(Vec::new()), |node| node.list())
    }

    /// A field that is an object of strings, such as labels; `None` if it is absent.
    pub(super) fn texts_field(
        &self,
        key: &str,
    ) -> Result<Option<Map<String, Value>>, ManifestError> {
        let Some(node) = self.field(key)? else {
            return Ok(None);
        };
        let texts = node.object()?;
        for (key, value) in texts {
            node.at(value, node.path.field(key)).text()?;
        }
        Ok(Some(texts.clone()))
    }
}
