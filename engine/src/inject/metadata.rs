//! Labels, annotations, and the mark that says what a pod got.

use std::borrow::Cow;

use super::decision::{Action, Field};
use super::{Injection, Mark};
use crate::annotations::STATUS_ANNOTATION;
use crate::config::Runtime;
use crate::patch::{Op, Operation, Path, Texts, Value, write_text};
use crate::pod::{Object, ShapeError};

impl<'a> Injection<'_, 'a> {
    pub(super) fn metadata(&mut self) -> Result<(), ShapeError> {
        let labels = self.texts(Texts::Labels)?;
        self.emit_texts(Texts::Labels, self.pod.metadata.labels.as_ref(), labels);
        let mut annotations: Vec<(&'a str, Cow<'a, str>)> = self.texts(Texts::Annotations)?;
        if self.options.status_annotation {
            let mark = mark(self.runtimes);
            match self.pod.annotation(STATUS_ANNOTATION)? {
                Some(found) if *found == *mark => {}
                Some(_) => {
                    self.mark = Some(Mark::Replaced);
                    self.operations.push(Operation {
                        op: Op::Replace,
                        path: Path::Text(Texts::Annotations, STATUS_ANNOTATION),
                        value: Value::Text(mark.into()),
                    });
                }
                None => {
                    self.mark = Some(Mark::Added);
                    annotations.push((STATUS_ANNOTATION, mark.into()));
                }
            }
        }
        self.emit_texts(Texts::Annotations, self.pod.metadata.annotations.as_ref(), annotations);
        Ok(())
    }

    /// The entries that the pod lacks. What it has stays: other controllers select by it.
    fn texts(&mut self, texts: Texts) -> Result<Vec<(&'a str, Cow<'a, str>)>, ShapeError> {
        let mut added: Vec<(&'a str, Cow<'a, str>)> = Vec::new();
        for runtime in self.runtimes.iter().copied() {
            let asked = match texts {
                Texts::Labels => &runtime.labels,
                Texts::Annotations => &runtime.annotations,
            };
            for (key, value) in asked {
                let field = Field::Text(texts, key);
                let found = match texts {
                    Texts::Labels => self.pod.label(key)?,
                    Texts::Annotations => self.pod.annotation(key)?,
                };
                let earlier = added.iter().find(|(other, _)| other == key).map(|(_, value)| value);
                match (found, earlier) {
                    (Some(found), _) if *found == *value => self.decide(runtime, field, Action::Unchanged),
                    (None, Some(earlier)) if *earlier == *value => {
                        self.decide(runtime, field, Action::Unchanged);
                    }
                    (Some(_), _) => {
                        self.keep(runtime, field, "the pod already has a different value".to_owned());
                    }
                    (None, Some(_)) => {
                        self.keep(
                            runtime,
                            field,
                            "another runtime already sets a different value".to_owned(),
                        );
                    }
                    (None, None) => {
                        added.push((key, Cow::Borrowed(value)));
                        self.decide(runtime, field, Action::Added);
                    }
                }
            }
        }
        Ok(added)
    }

    fn emit_texts(&mut self, texts: Texts, found: Option<&Object<'_>>, added: Vec<(&'a str, Cow<'a, str>)>) {
        if added.is_empty() {
            return;
        }
        if found.is_some() {
            let add = |(key, value)| Operation {
                op: Op::Add,
                path: Path::Text(texts, key),
                value: Value::Text(value),
            };
            self.operations.extend(added.into_iter().map(add));
        } else {
            self.operations.push(Operation {
                op: Op::Add,
                path: Path::Texts(texts),
                value: Value::Texts(added),
            });
        }
    }
}

/// The mark's text: compact JSON of the runtimes and their revisions, in the order of injection.
fn mark(runtimes: &[&Runtime]) -> String {
    // Names and revisions are short.
    let mut out = Vec::with_capacity(16 + 48 * runtimes.len());
    out.extend_from_slice(br#"{"runtimes":{"#);
    for (index, runtime) in runtimes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(&runtime.name, &mut out);
        out.push(b':');
        write_text(runtime.revision(), &mut out);
    }
    out.extend_from_slice(b"}}");
    String::from_utf8(out).unwrap_or_default()
}
