//! What a decision has to ask of a cluster, and what comes of it.
//!
//! Another kind of question is another variant of [`Question`], and another kind of answer one of
//! [`Answer`].

/// Something to ask of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The runtimes of the Sandbox that owns the pod.
    Sandbox {
        /// The pod's namespace.
        namespace: String,
        /// From the ownerReference.
        name: String,
        /// From the ownerReference; another uid is another object. Empty where the pod was worked
        /// out offline: then no object of a cluster is meant.
        uid: String,
    },
    /// The runtimes of the SandboxSet that a pool label names.
    SandboxSet {
        /// The pod's namespace.
        namespace: String,
        /// The label's value.
        name: String,
    },
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The names in the object's `spec.runtimes`.
    Runtimes(Vec<String>),
    /// There is no such object.
    NotFound,
    /// It could not be asked.
    Failed(LookupError),
}

/// A look-up that did not answer. It is never "no runtimes".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// A transient error; the caller may retry in a second.
    #[error("{0}")]
    Transient(String),
    /// A permanent error, until somebody fixes its cause.
    #[error("{0}")]
    Permanent(String),
}

impl From<Result<Option<Vec<String>>, LookupError>> for Answer {
    /// The answer of a look-up, for which `None` is an object that is not there.
    fn from(result: Result<Option<Vec<String>>, LookupError>) -> Self {
        match result {
            Ok(Some(runtimes)) => Answer::Runtimes(runtimes),
            Ok(None) => Answer::NotFound,
            Err(error) => Answer::Failed(error),
        }
    }
}

/// The questions that were answered so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers(Vec<(Question, Answer)>);

impl Answers {
    pub(crate) fn insert(&mut self, question: Question, answer: Answer) {
        self.0.push((question, answer));
    }

    pub(super) fn get(&self, question: &Question) -> Option<&Answer> {
        self.0
            .iter()
            .find(|(asked, _)| asked == question)
            .map(|(_, answer)| answer)
    }
}
