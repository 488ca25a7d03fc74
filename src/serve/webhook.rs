//! The webhook in service: reviews answered with the configuration in use, counted and logged.
//!
//! The only place that joins the pure review to what a running process has: the store, the clock, the metrics and
//! the log. One line a decision; it names the pod and the runtimes and holds nothing of the pod's contents.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::time::Instant;

use crate::cluster::{self, Lookups};
use crate::metrics::{Admission, Metrics};
use crate::serve::store::{Active, Store};
use crate::server::{Reply, Reviews};
use engine::budget::Budget;
use engine::config::config_map::ConfigMapName;
use engine::inject::decision::Action;
use engine::review::decide::{Denied, Outcome, Passed, Settings, Verdict};
use engine::review::decode::{Malformed, decode};
use engine::review::validate::{self, validate};
use engine::review::{Envelope, respond};
use engine::text::{NAME, clipped};

/// What one review may cost: far more than any pod that is created for its use, and no more than a replica can bear.
/// A 7 MiB review of a pod that repeats every item of a configuration stays below both.
const MAX_STEPS: u64 = 50_000_000;
/// Bytes of JSON that one review may have parsed beside its first reading.
const MAX_PARSED_BYTES: u64 = 256 << 20;

/// Answers reviews.
#[derive(Debug)]
pub struct Webhook {
    store: Arc<Store>,
    settings: Settings,
    lookups: Option<Lookups>,
    metrics: Arc<Metrics>,
    validation: validate::Rules,
}

impl Webhook {
    /// A webhook that decides by `settings` with whatever configuration `store` has at the time.
    pub fn new(
        store: Arc<Store>,
        mut settings: Settings,
        lookups: Option<Lookups>,
        metrics: Arc<Metrics>,
    ) -> Self {
        settings.rules.lookups = lookups.is_some();
        let validation = validate::Rules { report_only: settings.report_only, ..validate::Rules::default() };
        Self { store, settings, lookups, metrics, validation }
    }

    /// The ConfigMap that is validated, where it is not `sandbox-system/sandbox-injection-config`.
    #[must_use]
    pub fn validating(mut self, config_map: ConfigMapName) -> Self {
        self.validation.config_map = config_map;
        self
    }

    fn record(&self, envelope: Envelope<'_>, verdict: &Verdict<'_>, active: &Active, begun: Instant) {
        let Envelope { uid, namespace, name } = envelope;
        let (uid, namespace, name) = (clipped(uid, NAME), clipped(namespace, NAME), clipped(name, NAME));
        let counted = self.counted(verdict);
        self.metrics.admission(counted, begun.elapsed());
        let Verdict { decided_by, runtimes, outcome } = verdict;
        for runtime in runtimes {
            let Some(counters) = active.counters(runtime) else { continue };
            match outcome {
                Outcome::Injected(_) if counted == Admission::Injected => counters.injection(),
                Outcome::Denied(denied) if conflicts(denied, &runtime.name) => counters.conflict(),
                _ => {}
            }
        }
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        let runtimes = runtimes.iter().map(|runtime| runtime.name.as_str()).collect::<Vec<_>>().join(",");
        let decided_by = decided_by.map_or("-", |by| by.as_str());
        // The words of every other report; what is counted apart from them is in the metrics.
        let said = outcome.as_str();
        let enforced = !self.settings.report_only;
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let count = |action| verdict.decisions().iter().filter(|decision| decision.action == action).count();
        match outcome {
            // Most pods are not sandbox pods: log those at debug.
            Outcome::Passed(why @ (Passed::NotPod | Passed::NotSandbox)) => {
                let why = why.as_str();
                tracing::debug!(outcome = said, why, namespace, name, uid, micros, "review");
            }
            Outcome::Passed(why) => {
                let why = why.as_str();
                tracing::info!(outcome = said, why, namespace, name, uid, decided_by, micros, "review");
            }
            Outcome::Injected(_) => tracing::info!(
                outcome = said,
                enforced,
                namespace,
                name,
                uid,
                decided_by,
                runtimes,
                added = count(Action::Added),
                unchanged = count(Action::Unchanged),
                chained = count(Action::Chained),
                kept = count(Action::Kept),
                micros,
                "review"
            ),
            Outcome::Denied(denied) => tracing::warn!(
                outcome = said,
                enforced,
                namespace,
                name,
                uid,
                decided_by,
                runtimes,
                code = denied.code,
                conflict = count(Action::Conflict),
                why = why(denied),
                micros,
                "review"
            ),
        }
    }

    fn malformed(&self, malformed: &Malformed, begun: Instant) -> Reply {
        self.metrics.admission(Admission::Malformed, begun.elapsed());
        tracing::warn!(outcome = Admission::Malformed.as_str(), why = %malformed, "review");
        Reply::status(StatusCode::BAD_REQUEST, &format!("sandbox-injector: {malformed}"))
    }

    fn validated(&self, answer: &validate::Answer) -> Admission {
        match (&answer.denied, answer.subject) {
            (Some(_), _) if self.settings.report_only => Admission::Reported,
            (Some(_), _) => Admission::Denied,
            (None, Some(_)) => Admission::Valid,
            (None, None) => Admission::Ignored,
        }
    }

    fn counted(&self, verdict: &Verdict<'_>) -> Admission {
        let report_only = self.settings.report_only;
        match &verdict.outcome {
            Outcome::Passed(_) => Admission::Ignored,
            Outcome::Injected(plan) if plan.operations.is_empty() => Admission::Unchanged,
            Outcome::Injected(_) | Outcome::Denied(_) if report_only => Admission::Reported,
            Outcome::Injected(_) => Admission::Injected,
            Outcome::Denied(denied) if denied.code >= 500 => Admission::Failed,
            Outcome::Denied(_) => Admission::Denied,
        }
    }
}

/// The first reasons; the API server has them all.
fn why(denied: &Denied<'_>) -> String {
    const LOGGED: usize = 8;
    let mut lines: Vec<String> = denied.lines().take(LOGGED).collect();
    let more = denied.lines().skip(LOGGED).count();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("; ")
}

fn conflicts(denied: &Denied<'_>, runtime: &str) -> bool {
    denied.causes.iter().any(|cause| cause.runtime.as_deref() == Some(runtime))
}

impl Reviews for Webhook {
    async fn mutate(&self, body: Bytes, deadline: Instant) -> Reply {
        let begun = Instant::now();
        let Some(active) = self.store.current() else {
            self.metrics.admission(Admission::Failed, begun.elapsed());
            return Reply::overloaded(
                "sandbox-injector has no configuration yet; see its /readyz for the reason",
            );
        };
        let review = match decode(&body) {
            Ok(review) => review,
            Err(malformed) => return self.malformed(&malformed, begun),
        };
        let mut budget = Budget::new(MAX_STEPS, MAX_PARSED_BYTES);
        let progress = review.decide(&active.config, &self.settings, &mut budget);
        let verdict = cluster::settle(progress, self.lookups.as_ref(), &mut budget, deadline).await;
        let envelope = review.envelope();
        let answer = respond::write(envelope.uid, &verdict, self.settings.report_only);
        self.record(envelope, &verdict, &active, begun);
        Reply::json(answer)
    }

    async fn validate(&self, body: Bytes, _deadline: Instant) -> Reply {
        let begun = Instant::now();
        let (rules, region) = (self.validation.clone(), self.store.region());
        // A large ConfigMap takes milliseconds, in which reviews of pods must not wait.
        let work = tokio::task::spawn_blocking(move || validate(&body, &rules, region.as_ref()));
        let Ok(answer) = work.await else {
            self.metrics.admission(Admission::Panicked, begun.elapsed());
            return Reply::status(
                StatusCode::INTERNAL_SERVER_ERROR,
                "sandbox-injector: the check failed unexpectedly; see its log",
            );
        };
        match answer {
            Ok(answer) => {
                let counted = self.validated(&answer);
                self.metrics.admission(counted, begun.elapsed());
                log_validation(&answer, counted, begun);
                Reply::json(answer.body)
            }
            Err(malformed) => self.malformed(&malformed, begun),
        }
    }
}

fn log_validation(answer: &validate::Answer, counted: Admission, begun: Instant) {
    let validate::Answer { subject, uid, namespace, name, denied, warnings, body: _ } = answer;
    let (outcome, kind) = (counted.as_str(), subject.unwrap_or("-"));
    let (uid, namespace, name) = (clipped(uid, NAME), clipped(namespace, NAME), clipped(name, NAME));
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    match (subject, denied) {
        (_, Some(denied)) => {
            // The first says enough; the API server has them all.
            let why = denied.lines().next().unwrap_or_default();
            let reasons = denied.causes.len();
            tracing::warn!(outcome, kind, namespace, name, uid, reasons, why, micros, "validation");
        }
        (Some(_), None) => {
            let warnings = warnings.len();
            tracing::info!(outcome, kind, namespace, name, uid, warnings, micros, "validation");
        }
        (None, None) => tracing::debug!(outcome, kind, namespace, name, uid, micros, "validation"),
    }
}
