//! The one reader and writer of YAML and JSON text in this project.
//!
//! Manifests and the values of configuration keys come in as text that a person wrote for kubectl,
//! so the rule is: *what kubectl would read is what we read*. kubectl reads with
//! [sigs.k8s.io/yaml](https://pkg.go.dev/sigs.k8s.io/yaml), a YAML 1.1 reader, where `yes` and `on` are booleans,
//! `0644` is octal, and `123e4567` (too large for a float) is a string. Off-the-shelf serde readers
//! differ in such corners, so this module composes values from the events of the `granit-parser`
//! crate itself; `yaml/scalar.rs` has the table of plain scalars.
//!
//! Stricter than kubectl in what it would read wrongly or by accident: a duplicate key, a tag
//! outside the core schema (`!!binary`, `!include`, …), a key that is not a scalar, `.nan` and
//! `.inf`, and input whose aliases or nesting blow up are errors.
//!
//! It never touches files and never panics; an error is one line that says where and what.

mod compose;
mod emit;
mod json;
mod scalar;

use serde_json::Value;

pub use self::emit::to_string;

/// How deep lists and mappings may nest, aliases included. serde_json stops at the same depth.
const MAX_DEPTH: usize = 127;

/// One document of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The position in the stream, from 1, empty documents not counted.
    pub number: usize,
    /// The line, from 1, of the document's first content.
    pub line: usize,
    /// The content; mapping keys are strings and keep their order.
    pub value: Value,
}

/// Why a document cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("document {document}, line {line}, column {column}: {problem}")]
pub struct Error {
    /// The document's position in the stream, from 1, empty documents not counted.
    pub document: usize,
    /// The line in the text, from 1.
    pub line: usize,
    /// The column, from 1, in characters for YAML and in bytes for JSON.
    pub column: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not YAML; the parser's own words.
    #[error("not valid YAML: {0}")]
    Yaml(String),
    /// The text is not JSON; the parser's own words.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// A mapping has a key twice.
    #[error("duplicate key {0:?}; remove one")]
    DuplicateKey(String),
    /// A mapping key is a list, a mapping or null.
    #[error("a mapping key must be a string, not {0}")]
    Key(&'static str),
    /// A tag that has no meaning in Kubernetes manifests.
    #[error("the tag {0} is not supported; write the value itself")]
    Tag(String),
    /// A tag of the core schema on a value that is not one.
    #[error("{value:?} is not of the type {tag}")]
    NotOfTag {
        /// The tag as written.
        tag: String,
        /// The scalar's text.
        value: String,
    },
    /// NaN or an infinity, which JSON does not have.
    #[error("{0} cannot be represented in JSON; quote it if it is meant as text")]
    NonFinite(String),
    /// `<<` with something else than a mapping or a list of mappings.
    #[error("the merge key << takes a mapping or a list of mappings")]
    Merge,
    /// An alias inside the node that its anchor names.
    #[error("an alias refers to the node that contains it")]
    Cycle,
    /// Nesting beyond what is read.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// Aliases that expand beyond what is read.
    #[error("the aliases expand to too much data")]
    Aliases,
    /// A value was asked for and the text has none.
    #[error("the input is empty (only whitespace or comments)")]
    Empty,
    /// One value was asked for and the text has more.
    #[error("expected a single document, found more than one")]
    Several,
}

/// Splits a stream into its documents: YAML documents between `---` lines, or JSON values one after
/// another.
///
/// Documents that are empty, hold only comments or are `null` are skipped. A broken document is an
/// error in its place, and those after the next `---` line are read nonetheless; nothing can be
/// read after broken JSON.
///
/// ```
/// let text = "kind: Pod\n---\nkind: [\n---\nkind: Job\n";
/// let found = engine::yaml::documents(text);
/// assert_eq!(found[0].as_ref().unwrap().value["kind"], "Pod");
/// assert!(found[1].as_ref().unwrap_err().to_string().starts_with("document 2, line "));
/// assert_eq!(found[2].as_ref().unwrap().value["kind"], "Job");
/// ```
pub fn documents(text: &str) -> Vec<Result<Document, Error>> {
    // A byte order mark is how some editors begin a file; inside a document it is content.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // JSON is nearly YAML, yet values one after another are not, and serde_json's positions are
    // exact.
    if let Some(attempt) = json::documents(text) {
        if !attempt.broken {
            return attempt.documents;
        }
        let yaml = compose::documents(text);
        return if attempt.surely_json && yaml.iter().any(Result::is_err) {
            attempt.documents
        } else {
            yaml
        };
    }
    compose::documents(text)
}

/// Reads a text that is exactly one value, such as that of a ConfigMap key.
pub fn value(text: &str) -> Result<Value, Error> {
    let mut found = documents(text).into_iter();
    let first = match found.next() {
        Some(first) => first?.value,
        None => {
            return Err(Error {
                document: 1,
                line: 1,
                column: 1,
                problem: Problem::Empty,
            });
        }
    };
    match found.next() {
        None => Ok(first),
        Some(Ok(Document { number, line, .. })) => Err(Error {
            document: number,
            line,
            column: 1,
            problem: Problem::Several,
        }),
        Some(Err(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
