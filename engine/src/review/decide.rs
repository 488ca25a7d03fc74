//! What is decided about one pod, before it is put into any format.
//!
//! [`decide`] asks the rules which runtimes the pod gets, whether it may have them, and what
//! injecting them changes. Any of these steps may need an answer first: it then ends in
//! [`Progress::Asks`], and the decision is made again from the start with the answer, its work
//! charged again. So a question may also come up after the injection was worked out, such
//! as the age of an owner before a conflict is denied: it is a new variant of `Question` and of
//! `Answer`, and a look into the answers where they are needed. A newer configuration is not an
//! answer: the caller that finds one starts over with it.

use super::refusal::{Denial, Refusal};
use crate::budget::Budget;
use crate::config::{Config, Runtime};
use crate::inject::decision::Decision;
use crate::inject::{self, Conflicts, InjectError, Plan};
use crate::pod::ShapeError;
use crate::runtimes::{
    Answer, Answers, Candidate, DecidedBy, PrivilegedRules, Question, Selection, SelectionRules,
};

/// The operator's settings: everything a decision depends on beside the pod and the configuration.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Which pods, and who decides on their runtimes.
    pub selection: SelectionRules,
    /// Who may have privileged runtimes.
    pub privileged: PrivilegedRules,
    /// How to inject.
    pub injection: inject::Options,
    /// Decide, log, count and warn, but never patch or deny.
    pub report_only: bool,
}

/// How far a decision came.
#[derive(Debug)]
pub enum Progress<'p, 'c> {
    /// It is decided.
    Decided(Decided<'c>),
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

/// What is decided, and by whom.
#[derive(Debug)]
pub struct Decided<'c> {
    /// The rule that answered; `None` where none was asked or none could answer.
    pub by: Option<DecidedBy>,
    /// The runtimes that the pod is to have, in the order of injection.
    pub runtimes: Vec<&'c Runtime>,
    /// What becomes of the pod.
    pub verdict: Verdict<'c>,
}

/// What becomes of a pod.
#[derive(Debug)]
pub enum Verdict<'c> {
    /// It is left as it is: it is out of scope, or requests no runtime.
    Ignored(Ignored),
    /// It gets what the plan says, which may be nothing any more.
    Injected(Plan<'c>),
    /// It is refused.
    Denied(Denial<'c>),
}

/// Why a pod is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Not the creation of a pod.
    NotAPod,
    /// A pod without any of the labels.
    NotASandbox,
    /// Its annotation says `none`.
    OptedOut,
    /// The rule that answered says "nothing".
    NothingRequested,
}

/// Decides on one pod: which runtimes apply, whether they are permitted, and what injecting them
/// changes.
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
    let (by, runtimes) = match settings
        .selection
        .select(candidate, config, &answers, budget)
    {
        Ok(Selection::NotASandbox) => {
            return Progress::Decided(Decided::ignored(Ignored::NotASandbox));
        }
        Ok(Selection::Decided(by, runtimes)) => (by, runtimes),
        Ok(Selection::Unanswered(questions)) => {
            return Progress::Asks(Pending {
                candidate,
                config,
                settings,
                answers,
                questions,
            });
        }
        Err(error) => {
            let denial = Denial::of_pod(candidate.pod.name(), error.into());
            return Progress::Decided(Decided::denied(denial));
        }
    };
    let verdict = if runtimes.is_empty() {
        let opted_out = by == DecidedBy::Annotation;
        Verdict::Ignored(if opted_out {
            Ignored::OptedOut
        } else {
            Ignored::NothingRequested
        })
    } else {
        injected(candidate, &runtimes, settings, budget)
    };
    Progress::Decided(Decided {
        by: Some(by),
        runtimes,
        verdict,
    })
}

fn injected<'c>(
    candidate: Candidate<'_>,
    runtimes: &[&'c Runtime],
    settings: &Settings,
    budget: &mut Budget,
) -> Verdict<'c> {
    let Candidate {
        pod,
        namespace,
        creator,
        declared: _,
    } = candidate;
    let forbidden: Vec<_> = runtimes
        .iter()
        .filter_map(|runtime| settings.privileged.check(runtime, namespace, creator).err())
        .collect();
    if !forbidden.is_empty() {
        return Verdict::Denied(Denial::of_pod(pod.name(), Refusal::Forbidden(forbidden)));
    }
    match inject::inject(pod, runtimes, settings.injection, budget) {
        Ok(plan) => Verdict::Injected(plan),
        Err(InjectError::Denied(Conflicts { causes, decisions })) => Verdict::Denied(Denial {
            decisions,
            ..Denial::of_pod(pod.name(), Refusal::Invalid(causes))
        }),
        Err(InjectError::Exhausted(exhausted)) => {
            Verdict::Denied(Denial::of_pod(pod.name(), Refusal::Exhausted(exhausted)))
        }
    }
}

impl<'c> Progress<'_, 'c> {
    /// Goes on until it is decided, with answers from `answer`.
    pub fn finish(
        self,
        budget: &mut Budget,
        mut answer: impl FnMut(&Question) -> Answer,
    ) -> Decided<'c> {
        let mut progress = self;
        loop {
            match progress {
                Progress::Decided(decided) => return decided,
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
    pub fn answered(self, answers: Vec<Answer>, budget: &mut Budget) -> Progress<'p, 'c> {
        let Self {
            candidate,
            config,
            settings,
            answers: mut known,
            questions,
        } = self;
        for (question, answer) in questions.into_iter().zip(answers) {
            known.insert(question, answer);
        }
        decide_with(candidate, config, settings, known, budget)
    }
}

impl<'c> Decided<'c> {
    /// A pod that is left as it is.
    pub fn ignored(why: Ignored) -> Self {
        Self {
            by: None,
            runtimes: Vec::new(),
            verdict: Verdict::Ignored(why),
        }
    }

    /// A pod whose shape is not a pod's.
    pub fn malformed_pod(name: &str, error: ShapeError) -> Self {
        Self::denied(Denial::of_pod(name, Refusal::Invalid(vec![error.into()])))
    }

    fn denied(denial: Denial<'c>) -> Self {
        Self {
            by: None,
            runtimes: Vec::new(),
            verdict: Verdict::Denied(denial),
        }
    }

    /// The decisions on single items.
    pub fn decisions(&self) -> &[Decision<'c>] {
        match &self.verdict {
            Verdict::Ignored(_) => &[],
            Verdict::Injected(plan) => &plan.decisions,
            Verdict::Denied(denial) => &denial.decisions,
        }
    }
}

impl Denial<'_> {
    fn of_pod(name: &str, refusal: Refusal) -> Self {
        Self {
            kind: "Pod",
            name: name.to_owned(),
            refusal,
            decisions: Vec::new(),
        }
    }
}

impl Verdict<'_> {
    /// The word for it in every report.
    pub fn as_str(&self) -> &'static str {
        match self {
            Verdict::Ignored(_) => "ignored",
            Verdict::Injected(plan) if plan.operations.is_empty() => "unchanged",
            Verdict::Injected(_) => "injected",
            Verdict::Denied(_) => "denied",
        }
    }
}

impl Ignored {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Ignored::NotAPod => "not a pod creation",
            Ignored::NotASandbox => "no sandbox label",
            Ignored::OptedOut => "opted out by annotation",
            Ignored::NothingRequested => {
                "the pod requests no runtimes (annotation sandbox-injector.io/runtimes, or a pool rule)"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::{fixture, rstest};

    use super::*;
    use crate::budget::Work;
    use crate::pod::Pod;
    use crate::runtimes::LookupError;

    /// A pod of a Sandbox that a SandboxSet made.
    const POD: &str = r#"{"metadata": {"name": "code-1",
        "labels": {"agents.kruise.io/created-by": "sandbox", "agents.kruise.io/sandbox-pool": "code"},
        "ownerReferences": [{"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox", "name": "code-1",
            "uid": "u-1", "controller": true}]},
        "spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}"#;

    #[fixture]
    fn config() -> Config {
        let entries = [
            ("one", "{mainContainer: {env: [{name: A, value: '1'}]}}"),
            ("two", "{labels: {b: c}}"),
        ];
        Config::load(&entries.into(), None).unwrap()
    }

    #[fixture]
    fn settings() -> Settings {
        let selection = SelectionRules {
            lookups: true,
            ..SelectionRules::default()
        };
        Settings {
            selection,
            ..Settings::default()
        }
    }

    fn candidate<'p>(pod: &'p Pod<'p>) -> Candidate<'p> {
        Candidate {
            pod,
            namespace: "team-a",
            creator: None,
            declared: None,
        }
    }

    fn pending<'p, 'c>(progress: Progress<'p, 'c>) -> Pending<'p, 'c> {
        match progress {
            Progress::Asks(pending) => pending,
            Progress::Decided(decided) => panic!("{decided:?}"),
        }
    }

    fn decided<'c>(progress: Progress<'_, 'c>) -> Decided<'c> {
        match progress {
            Progress::Decided(decided) => decided,
            Progress::Asks(pending) => panic!("{pending:?}"),
        }
    }

    fn names<'c>(decided: &Decided<'c>) -> Vec<&'c str> {
        decided
            .runtimes
            .iter()
            .map(|runtime| runtime.name.as_str())
            .collect()
    }

    fn set_question() -> Question {
        Question::SandboxSet {
            namespace: "team-a".to_owned(),
            name: "code".to_owned(),
        }
    }

    #[rstest]
    fn the_sandbox_is_asked_about_first_and_then_the_set(config: Config, settings: Settings) {
        let pod = Pod::read(POD).unwrap();
        let mut budget = Budget::unlimited();
        let first = pending(decide(candidate(&pod), &config, &settings, &mut budget));
        let sandbox = Question::Sandbox {
            namespace: "team-a".to_owned(),
            name: "code-1".to_owned(),
            uid: "u-1".to_owned(),
        };
        assert_eq!(first.questions(), [sandbox]);
        let second = pending(first.answered(vec![Answer::NotFound], &mut budget));
        assert_eq!(second.questions(), [set_question()]);
        let decided =
            decided(second.answered(vec![Answer::Runtimes(vec!["two".to_owned()])], &mut budget));
        assert_eq!(
            (decided.by, names(&decided)),
            (Some(DecidedBy::SandboxSet), vec!["two"])
        );
        assert!(matches!(decided.verdict, Verdict::Injected(_)));
    }

    #[rstest]
    #[case::its_runtimes(vec!["two", "one"], vec!["two", "one"], "injected")]
    #[case::no_runtimes(vec![], vec![], "ignored")]
    fn what_the_sandbox_declares_decides(
        config: Config,
        settings: Settings,
        #[case] declared: Vec<&str>,
        #[case] expected: Vec<&str>,
        #[case] verdict: &str,
    ) {
        let pod = Pod::read(POD).unwrap();
        let mut budget = Budget::unlimited();
        let answer = Answer::Runtimes(declared.into_iter().map(str::to_owned).collect());
        let pending = pending(decide(candidate(&pod), &config, &settings, &mut budget));
        let decided = decided(pending.answered(vec![answer], &mut budget));
        assert_eq!(
            (decided.by, names(&decided)),
            (Some(DecidedBy::Sandbox), expected)
        );
        assert_eq!(decided.verdict.as_str(), verdict);
    }

    #[rstest]
    fn without_an_answer_to_either_question_the_default_decides(
        config: Config,
        settings: Settings,
    ) {
        let pod = Pod::read(POD).unwrap();
        let mut budget = Budget::unlimited();
        let mut asked = 0;
        let decided =
            decide(candidate(&pod), &config, &settings, &mut budget).finish(&mut budget, |_| {
                asked += 1;
                Answer::NotFound
            });
        assert_eq!(
            (asked, decided.by, names(&decided)),
            (2, Some(DecidedBy::Default), vec![])
        );
        assert!(matches!(
            decided.verdict,
            Verdict::Ignored(Ignored::NothingRequested)
        ));
    }

    #[rstest]
    #[case::the_first(0)]
    #[case::the_second(1)]
    fn a_failed_answer_denies(config: Config, settings: Settings, #[case] failing: usize) {
        let pod = Pod::read(POD).unwrap();
        let mut budget = Budget::unlimited();
        let error = LookupError::Transient("the API server did not answer".to_owned());
        let mut asked = 0;
        let decided =
            decide(candidate(&pod), &config, &settings, &mut budget).finish(&mut budget, |_| {
                asked += 1;
                if asked > failing {
                    Answer::Failed(error.clone())
                } else {
                    Answer::NotFound
                }
            });
        assert_eq!((asked, decided.by), (failing + 1, None));
        let Verdict::Denied(denial) = decided.verdict else {
            panic!("{decided:?}")
        };
        assert_eq!(denial.refusal, Refusal::LookupFailed(error));
        assert_eq!((denial.kind, denial.name.as_str()), ("Pod", "code-1"));
    }

    /// One budget is for the decision as a whole, however often it stops to ask.
    #[rstest]
    fn the_budget_is_charged_over_the_whole(config: Config, settings: Settings) {
        let pod = Pod::read(POD).unwrap();
        let answer = |_: &Question| Answer::Runtimes(vec!["one".to_owned()]);
        let whole = |mut budget: Budget| {
            let decided = decide(candidate(&pod), &config, &settings, &mut budget)
                .finish(&mut budget, answer);
            (decided.verdict.as_str(), budget.spent())
        };
        let (verdict, Work { steps, bytes }) = whole(Budget::unlimited());
        assert_eq!(verdict, "injected");
        assert!(steps > 0);
        assert_eq!(whole(Budget::new(steps, bytes)).0, "injected");
        let mut spent_elsewhere = Budget::new(steps, bytes);
        spent_elsewhere.steps(1).unwrap();
        assert_eq!(whole(spent_elsewhere).0, "denied");
    }
}
