//! The webhook in service: reviews answered with the configuration in use, counted and logged.
//!
//! The only place that joins the pure review to what a running process has: the store, the clock, the metrics and
//! the log. One line a decision; it names the pod and the runtimes and holds nothing of the pod's contents.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::time::Instant;

use crate::config::source::ConfigMapName;
use crate::config::store::{Active, Store};
use crate::inject::decision::Action;
use crate::metrics::{Metrics, Outcome as Counted};
use crate::printable::{NAME, clipped};
use crate::review::request::Malformed;
use crate::review::verdict::{Denied, Outcome, Passed, Settings, Verdict};
use crate::review::{self, Answer};
use crate::runtimes::Lookup;
use crate::server::{Admission, Reply};
use crate::validate::{self, validate};

/// Answers reviews.
#[derive(Debug)]
pub struct Webhook<L> {
    store: Arc<Store>,
    settings: Settings,
    lookups: L,
    metrics: Arc<Metrics>,
    validation: validate::Rules,
}

impl<L: Lookup> Webhook<L> {
    /// A webhook that decides by `settings` with whatever configuration `store` has at the time.
    pub fn new(store: Arc<Store>, settings: Settings, lookups: L, metrics: Arc<Metrics>) -> Self {
        let validation = validate::Rules { report_only: settings.report_only, ..validate::Rules::default() };
        Self { store, settings, lookups, metrics, validation }
    }

    /// The ConfigMap that is validated, where it is not `sandbox-system/sandbox-injection-config`.
    #[must_use]
    pub fn validating(mut self, config_map: ConfigMapName) -> Self {
        self.validation.config_map = config_map;
        self
    }

    fn record(&self, answer: &Answer<'_, '_>, active: &Active, begun: Instant) {
        let Answer { verdict, uid, namespace, name, body: _ } = answer;
        let (uid, namespace, name) = (clipped(uid, NAME), clipped(namespace, NAME), clipped(name, NAME));
        let counted = self.counted(verdict);
        self.metrics.admission(counted, begun.elapsed());
        let Verdict { decided_by, runtimes, outcome } = verdict;
        for runtime in runtimes {
            let Some(counters) = active.counters(runtime) else { continue };
            match outcome {
                Outcome::Injected(_) if counted == Counted::Injected => counters.injection(),
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
        self.metrics.admission(Counted::Malformed, begun.elapsed());
        tracing::warn!(outcome = Counted::Malformed.as_str(), why = %malformed, "review");
        Reply::status(StatusCode::BAD_REQUEST, &format!("sandbox-injector: {malformed}"))
    }

    fn validated(&self, answer: &validate::Answer) -> Counted {
        match (&answer.denied, answer.subject) {
            (Some(_), _) if self.settings.report_only => Counted::Reported,
            (Some(_), _) => Counted::Denied,
            (None, Some(_)) => Counted::Valid,
            (None, None) => Counted::Ignored,
        }
    }

    fn counted(&self, verdict: &Verdict<'_>) -> Counted {
        let report_only = self.settings.report_only;
        match &verdict.outcome {
            Outcome::Passed(_) => Counted::Ignored,
            Outcome::Injected(plan) if plan.operations.is_empty() => Counted::Unchanged,
            Outcome::Injected(_) | Outcome::Denied(_) if report_only => Counted::Reported,
            Outcome::Injected(_) => Counted::Injected,
            Outcome::Denied(denied) if denied.code >= 500 => Counted::Failed,
            Outcome::Denied(_) => Counted::Denied,
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

impl<L: Lookup + 'static> Admission for Webhook<L> {
    async fn mutate(&self, body: Bytes, deadline: Instant) -> Reply {
        let begun = Instant::now();
        let Some(active) = self.store.current() else {
            self.metrics.admission(Counted::Failed, begun.elapsed());
            return Reply::overloaded(
                "sandbox-injector has no configuration yet; see its /readyz for the reason",
            );
        };
        match review::mutate(&body, &active.config, &self.settings, &self.lookups, deadline).await {
            Ok(answer) => {
                self.record(&answer, &active, begun);
                Reply::json(answer.body)
            }
            Err(malformed) => self.malformed(&malformed, begun),
        }
    }

    async fn validate(&self, body: Bytes, _deadline: Instant) -> Reply {
        let begun = Instant::now();
        let (rules, region) = (self.validation.clone(), self.store.region());
        // A large ConfigMap takes milliseconds, in which reviews of pods must not wait.
        let work = tokio::task::spawn_blocking(move || validate(&body, &rules, region.as_ref()));
        let Ok(answer) = work.await else {
            self.metrics.admission(Counted::Panicked, begun.elapsed());
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

fn log_validation(answer: &validate::Answer, counted: Counted, begun: Instant) {
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
