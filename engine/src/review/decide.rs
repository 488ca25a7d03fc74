//! What is decided about one pod, before it is put into any format.

use crate::budget::{Budget, Exhausted};
use crate::config::{Config, Runtime};
use crate::inject::decision::{Cause, Decision};
use crate::inject::{self, Denial, Plan};
use crate::pod::{Pod, ShapeError};
use crate::runtimes::privileged::Policy;
use crate::runtimes::{
    Answer, Answers, DecidedBy, LookupError, Question, Rules, Selected, Selection, SelectionError,
};
use crate::text::{LINE, shown};

/// The operator's settings: everything a decision depends on beside the pod and the configuration.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Which pods, and who decides on their runtimes.
    pub rules: Rules,
    /// Who may ask for privileged runtimes.
    pub policy: Policy,
    /// How to inject.
    pub injection: inject::Options,
    /// Decide, log, count and warn, but never patch or deny.
    pub report_only: bool,
}

/// One pod to decide on.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'p> {
    /// The pod.
    pub pod: &'p Pod<'p>,
    /// The review's namespace; the pod's own may be missing.
    pub namespace: &'p str,
    /// Who creates it; `None` offline, where that is not checked.
    pub creator: Option<&'p str>,
    /// What the object that made the pod says, where that is known without asking: offline, from its manifest.
    pub declared: Option<(DecidedBy, &'p [String])>,
}

/// How far a decision came.
#[derive(Debug)]
pub enum Progress<'p, 'c> {
    /// It is decided.
    Decided(Verdict<'c>),
    /// Something has to be asked first.
    Asks(Pending<'p, 'c>),
}

/// A decision that waits for answers.
#[derive(Debug)]
pub struct Pending<'p, 'c> {
    candidate: Candidate<'p>,
    config: &'c Config,
    settings: &'p Settings,
    answers: Answers,
    questions: Vec<Question>,
}

impl<'p, 'c> Progress<'p, 'c> {
    /// Goes on until it is decided, with answers from `answer`.
    pub fn finish(self, budget: &mut Budget, mut answer: impl FnMut(&Question) -> Answer) -> Verdict<'c> {
        let mut progress = self;
        loop {
            match progress {
                Progress::Decided(verdict) => return verdict,
                Progress::Asks(pending) => {
                    let answers = pending.questions().iter().map(&mut answer).collect();
                    progress = pending.answered(answers, budget);
                }
            }
        }
    }
}

impl<'p, 'c> Pending<'p, 'c> {
    /// What has to be asked; the answers may be sought all at once.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Goes on with the answers, which stand in the order of the questions.
    ///
    /// The decision is made again with what is known by now: what came before a question is little beside asking it.
    pub fn answered(self, answers: Vec<Answer>, budget: &mut Budget) -> Progress<'p, 'c> {
        let Self { candidate, config, settings, answers: mut known, questions } = self;
        for (question, answer) in questions.into_iter().zip(answers) {
            known.insert(question, answer);
        }
        decide_with(candidate, config, settings, known, budget)
    }
}

/// What is decided, and by whom.
#[derive(Debug)]
pub struct Verdict<'c> {
    /// The rule that answered; `None` where none was asked or none could answer.
    pub decided_by: Option<DecidedBy>,
    /// The runtimes that the pod is to have, in the order of injection.
    pub runtimes: Vec<&'c Runtime>,
    /// What becomes of the pod.
    pub outcome: Outcome<'c>,
}

/// What becomes of a pod.
#[derive(Debug)]
pub enum Outcome<'c> {
    /// It is out of scope, or no runtime was requested.
    Passed(Passed),
    /// It gets what the plan says, which may be nothing any more.
    Injected(Plan<'c>),
    /// It is refused.
    Denied(Denied<'c>),
}

impl Outcome<'_> {
    /// The word for it in every report.
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Passed(_) => "ignored",
            Outcome::Injected(plan) if plan.operations.is_empty() => "unchanged",
            Outcome::Injected(_) => "injected",
            Outcome::Denied(_) => "denied",
        }
    }
}

/// Why a pod is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// Not the creation of a pod.
    NotPod,
    /// A pod without any of the labels.
    NotSandbox,
    /// Its annotation says `none`.
    OptedOut,
    /// The rule that answered says "nothing".
    NothingAsked,
}

impl Passed {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Passed::NotPod => "not a pod creation",
            Passed::NotSandbox => "no sandbox label",
            Passed::OptedOut => "opted out by annotation",
            Passed::NothingAsked => {
                "the pod requests no runtimes (annotation sandbox-injector.io/runtimes, or a pool rule)"
            }
        }
    }
}

/// Why a pod is refused, with what the API server and kubectl make of it.
#[derive(Debug)]
pub struct Denied<'c> {
    /// The HTTP code in the status.
    pub code: u16,
    /// The machine-readable reason in the status.
    pub reason: &'static str,
    /// The kind of the object.
    pub kind: &'static str,
    /// The object's name, or what its name will start with.
    pub name: String,
    /// What is wrong, for denials that are not about fields.
    pub summary: Option<String>,
    /// What is wrong, field by field.
    pub causes: Vec<Cause>,
    /// After how many seconds a client may try again.
    pub retry_after_seconds: Option<u32>,
    /// What injection had decided on other items.
    pub decisions: Vec<Decision<'c>>,
}

impl Denied<'_> {
    fn of_causes(pod: &Pod<'_>, causes: Vec<Cause>) -> Self {
        Self::invalid("Pod", pod.name().to_owned(), causes)
    }

    /// A refusal for what the object says, field by field.
    pub fn invalid(kind: &'static str, name: String, causes: Vec<Cause>) -> Self {
        Self {
            code: 422,
            reason: "Invalid",
            kind,
            name,
            summary: None,
            causes,
            retry_after_seconds: None,
            decisions: Vec::new(),
        }
    }

    /// Every reason, a line each, clean for a terminal.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let causes = self.causes.iter().map(|cause| shown(&cause.to_string(), LINE));
        self.summary.iter().map(|summary| shown(summary, LINE)).chain(causes)
    }

    /// The whole text of the refusal.
    pub fn message(&self) -> String {
        let lines: Vec<String> = self.lines().collect();
        match lines.as_slice() {
            [one] => one.clone(),
            lines => format!("{} reasons:\n* {}", lines.len(), lines.join("\n* ")),
        }
    }
}

impl<'c> Verdict<'c> {
    /// A pod that is left as it is.
    pub fn passed(why: Passed) -> Self {
        Self { decided_by: None, runtimes: Vec::new(), outcome: Outcome::Passed(why) }
    }

    /// A pod whose shape is no pod's.
    pub fn malformed_pod(name: &str, error: ShapeError) -> Self {
        let denied = Denied::invalid("Pod", name.to_owned(), vec![error.into()]);
        Self { decided_by: None, runtimes: Vec::new(), outcome: Outcome::Denied(denied) }
    }

    /// Whether the pod is refused.
    pub fn is_denied(&self) -> bool {
        matches!(self.outcome, Outcome::Denied(_))
    }

    /// The decisions on single items.
    pub fn decisions(&self) -> &[Decision<'c>] {
        match &self.outcome {
            Outcome::Passed(_) => &[],
            Outcome::Injected(plan) => &plan.decisions,
            Outcome::Denied(denied) => &denied.decisions,
        }
    }
}

/// Decides on one pod: which runtimes apply, whether they are permitted, and what injecting them changes.
///
/// The work is charged to `budget`; when that is used up the verdict is a denial that says so.
pub fn decide<'p, 'c>(
    candidate: Candidate<'p>,
    config: &'c Config,
    settings: &'p Settings,
    budget: &mut Budget,
) -> Progress<'p, 'c> {
    decide_with(candidate, config, settings, Answers::default(), budget)
}

fn decide_with<'p, 'c>(
    candidate: Candidate<'p>,
    config: &'c Config,
    settings: &'p Settings,
    answers: Answers,
    budget: &mut Budget,
) -> Progress<'p, 'c> {
    let Candidate { pod, namespace, creator, declared } = candidate;
    let selected = Selected { pod, namespace, declared };
    let (by, runtimes) = match settings.rules.select(selected, config, &answers) {
        Ok(Selection::NotSandbox) => return Progress::Decided(Verdict::passed(Passed::NotSandbox)),
        Ok(Selection::Decided { by, runtimes }) => (by, runtimes),
        Ok(Selection::Unanswered(questions)) => {
            return Progress::Asks(Pending { candidate, config, settings, answers, questions });
        }
        Err(error) => {
            let outcome = Outcome::Denied(selection_denied(pod, error));
            return Progress::Decided(Verdict { decided_by: None, runtimes: Vec::new(), outcome });
        }
    };
    let outcome = if runtimes.is_empty() {
        Outcome::Passed(if by == DecidedBy::Annotation { Passed::OptedOut } else { Passed::NothingAsked })
    } else {
        injected(pod, namespace, creator, &runtimes, settings, budget)
    };
    Progress::Decided(Verdict { decided_by: Some(by), runtimes, outcome })
}

fn injected<'c>(
    pod: &Pod<'_>,
    namespace: &str,
    creator: Option<&str>,
    runtimes: &[&'c Runtime],
    settings: &Settings,
    budget: &mut Budget,
) -> Outcome<'c> {
    let forbidden: Vec<String> = runtimes
        .iter()
        .filter_map(|runtime| settings.policy.check(runtime, namespace, creator).err())
        .map(|forbidden| forbidden.to_string())
        .collect();
    if !forbidden.is_empty() {
        return Outcome::Denied(Denied {
            code: 403,
            reason: "Forbidden",
            summary: Some(forbidden.join("; ")),
            ..Denied::of_causes(pod, Vec::new())
        });
    }
    match inject::inject(pod, runtimes, settings.injection, budget) {
        Ok(plan) => Outcome::Injected(plan),
        Err(inject::InjectError::Denied(Denial { causes, decisions })) => {
            Outcome::Denied(Denied { decisions, ..Denied::of_causes(pod, causes) })
        }
        Err(inject::InjectError::Exhausted(exhausted)) => Outcome::Denied(too_much_work(pod, exhausted)),
    }
}

fn too_much_work<'c>(pod: &Pod<'_>, exhausted: Exhausted) -> Denied<'c> {
    Denied {
        code: 413,
        reason: "RequestEntityTooLarge",
        summary: Some(format!("injecting into this pod {exhausted}")),
        ..Denied::of_causes(pod, Vec::new())
    }
}

fn selection_denied<'c>(pod: &Pod<'_>, error: SelectionError) -> Denied<'c> {
    let field = match &error {
        SelectionError::Shape(shape) => return Denied::of_causes(pod, vec![shape.clone().into()]),
        SelectionError::Lookup(trouble) => {
            let (code, reason, retry) = match trouble {
                LookupError::Transient(_) => (503, "ServiceUnavailable", Some(1)),
                LookupError::Permanent(_) => (500, "InternalError", None),
            };
            return Denied {
                code,
                reason,
                summary: Some(trouble.to_string()),
                retry_after_seconds: retry,
                ..Denied::of_causes(pod, Vec::new())
            };
        }
        SelectionError::Names(_) => annotation_field(),
        SelectionError::Unknown { by: DecidedBy::Annotation, .. } => annotation_field(),
        SelectionError::Unknown { .. } => "metadata".to_owned(),
    };
    let message = match error {
        SelectionError::Names(error) => error.to_string(),
        error => error.to_string(),
    };
    Denied::of_causes(pod, vec![Cause { field, runtime: None, message }])
}

fn annotation_field() -> String {
    format!("metadata.annotations[{}]", crate::annotations::RUNTIMES_ANNOTATION)
}
