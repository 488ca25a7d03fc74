//! Why an object is refused, and what the API server and kubectl make of it.

use crate::annotations::RUNTIMES_ANNOTATION;
use crate::budget::Exhausted;
use crate::inject::decision::{Cause, Decision};
use crate::runtimes::{DecidedBy, Forbidden, LookupError, SelectionError};
use crate::text::{LINE, shown};

/// An object that is refused.
#[derive(Debug)]
pub struct Denial<'c> {
    /// The object's kind.
    pub kind: &'static str,
    /// The object's name, or what its name will start with.
    pub name: String,
    /// Why it is refused.
    pub refusal: Refusal,
    /// What injection had decided on single items.
    pub decisions: Vec<Decision<'c>>,
}

/// Why an object is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// What the object says, field by field.
    Invalid(Vec<Cause>),
    /// It is to get privileged runtimes that it may not have.
    Forbidden(Vec<Forbidden>),
    /// A question to the cluster was not answered.
    LookupFailed(LookupError),
    /// Deciding on it takes more work than the caller allows.
    Exhausted(Exhausted),
}

impl Refusal {
    /// The HTTP code in the status.
    pub fn code(&self) -> u16 {
        match self {
            Refusal::Invalid(_) => 422,
            Refusal::Forbidden(_) => 403,
            Refusal::LookupFailed(LookupError::Transient(_)) => 503,
            Refusal::LookupFailed(LookupError::Permanent(_)) => 500,
            Refusal::Exhausted(_) => 413,
        }
    }

    /// The machine-readable reason in the status.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::Invalid(_) => "Invalid",
            Refusal::Forbidden(_) => "Forbidden",
            Refusal::LookupFailed(LookupError::Transient(_)) => "ServiceUnavailable",
            Refusal::LookupFailed(LookupError::Permanent(_)) => "InternalError",
            Refusal::Exhausted(_) => "RequestEntityTooLarge",
        }
    }

    /// After how many seconds a client may try again; `None` where that is of no use.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Refusal::LookupFailed(LookupError::Transient(_)) => Some(1),
            Refusal::LookupFailed(LookupError::Permanent(_))
            | Refusal::Invalid(_)
            | Refusal::Forbidden(_)
            | Refusal::Exhausted(_) => None,
        }
    }

    /// Whether it is not the fault of the object: the decision could not be made.
    pub fn is_failure(&self) -> bool {
        matches!(self, Refusal::LookupFailed(_))
    }

    /// What is wrong, field by field; empty for a refusal that is not about fields.
    pub fn causes(&self) -> &[Cause] {
        match self {
            Refusal::Invalid(causes) => causes,
            Refusal::Forbidden(_) | Refusal::LookupFailed(_) | Refusal::Exhausted(_) => &[],
        }
    }

    /// Every reason, a line each, clean for a terminal.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let summary = match self {
            Refusal::Invalid(_) => None,
            Refusal::Forbidden(forbidden) => Some(
                forbidden
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
            Refusal::LookupFailed(error) => Some(error.to_string()),
            Refusal::Exhausted(exhausted) => Some(format!("deciding on this pod {exhausted}")),
        };
        let causes = self
            .causes()
            .iter()
            .map(|cause| shown(&cause.to_string(), LINE));
        summary
            .into_iter()
            .map(|summary| shown(&summary, LINE))
            .chain(causes)
    }

    /// The whole text.
    pub fn message(&self) -> String {
        let lines: Vec<String> = self.lines().collect();
        match lines.as_slice() {
            [one] => one.clone(),
            lines => format!("{} reasons:\n* {}", lines.len(), lines.join("\n* ")),
        }
    }
}

impl From<SelectionError> for Refusal {
    fn from(error: SelectionError) -> Self {
        let annotation = || format!("metadata.annotations[{RUNTIMES_ANNOTATION}]");
        let field = match error {
            SelectionError::Shape(error) => return Refusal::Invalid(vec![error.into()]),
            SelectionError::Lookup(error) => return Refusal::LookupFailed(error),
            SelectionError::Exhausted(exhausted) => return Refusal::Exhausted(exhausted),
            SelectionError::Annotation(_)
            | SelectionError::Unknown {
                by: DecidedBy::Annotation,
                ..
            } => annotation(),
            SelectionError::Unknown { .. } => "metadata".to_owned(),
        };
        Refusal::Invalid(vec![Cause {
            field,
            runtime: None,
            message: error.to_string(),
        }])
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::budget::Budget;
    use crate::pod::ShapeError;
    use crate::runtimes::NamesError;

    fn exhausted() -> Exhausted {
        Budget::new(0, 0).steps(1).unwrap_err()
    }

    #[rstest]
    #[case::invalid(Refusal::Invalid(Vec::new()), (422, "Invalid", None, false))]
    #[case::forbidden(Refusal::Forbidden(Vec::new()), (403, "Forbidden", None, false))]
    #[case::transient(
        Refusal::LookupFailed(LookupError::Transient("late".to_owned())),
        (503, "ServiceUnavailable", Some(1), true)
    )]
    #[case::permanent(
        Refusal::LookupFailed(LookupError::Permanent("403".to_owned())),
        (500, "InternalError", None, true)
    )]
    #[case::exhausted(Refusal::Exhausted(exhausted()), (413, "RequestEntityTooLarge", None, false))]
    fn the_status_follows_from_the_reason(
        #[case] refusal: Refusal,
        #[case] expected: (u16, &str, Option<u32>, bool),
    ) {
        let status = (
            refusal.code(),
            refusal.reason(),
            refusal.retry_after_seconds(),
            refusal.is_failure(),
        );
        assert_eq!(status, expected);
    }

    #[rstest]
    #[case::shape(
        SelectionError::Shape(ShapeError::new("spec", "is odd")),
        "spec: is odd"
    )]
    #[case::names(
        SelectionError::Annotation(NamesError::All),
        "metadata.annotations[sandbox-injector.io/runtimes]: \"all\" is not a runtime; list the runtimes by name"
    )]
    #[case::unknown_by_annotation(
        SelectionError::Unknown { name: "x".to_owned(), by: DecidedBy::Annotation, known: vec!["csi".to_owned()] },
        "metadata.annotations[sandbox-injector.io/runtimes]: runtime \"x\" (requested by annotation) is not configured; \
         configured runtimes: csi"
    )]
    #[case::unknown_by_owner(
        SelectionError::Unknown { name: "x".to_owned(), by: DecidedBy::Sandbox, known: vec!["csi".to_owned()] },
        "metadata: runtime \"x\" (requested by sandbox) is not configured; configured runtimes: csi"
    )]
    #[case::lookup(SelectionError::Lookup(LookupError::Transient("late".to_owned())), "late")]
    fn a_failed_selection_is_refused_at_the_field_at_fault(
        #[case] error: SelectionError,
        #[case] expected: &str,
    ) {
        assert_eq!(Refusal::from(error).message(), expected);
    }

    #[test]
    fn several_reasons_are_counted_and_listed() {
        let cause = |field: &str| Cause {
            field: field.to_owned(),
            runtime: Some("csi".to_owned()),
            message: "differs".to_owned(),
        };
        let refusal = Refusal::Invalid(vec![cause("spec.a"), cause("spec.b")]);
        assert_eq!(refusal.lines().count(), 2);
        assert!(
            refusal.message().starts_with("2 reasons:\n* spec.a: "),
            "{}",
            refusal.message()
        );
    }
}
