//! Decisions that need the cluster: the engine's questions asked, until it decides.

use engine::budget::Budget;
use engine::review::decide::{Progress, Verdict};
use tokio::time::Instant;

use super::Lookups;

/// Asks what `progress` asks, until the engine decides. Each answer comes before `deadline`, if only as an error.
///
/// Without look-ups nothing is there: the engine asks nothing where they are off.
pub async fn settle<'c>(
    progress: Progress<'_, 'c>,
    lookups: Option<&Lookups>,
    budget: &mut Budget,
    deadline: Instant,
) -> Verdict<'c> {
    let mut progress = progress;
    loop {
        let pending = match progress {
            Progress::Decided(verdict) => return verdict,
            Progress::Asks(pending) => pending,
        };
        let mut answers = Vec::with_capacity(pending.questions().len());
        for question in pending.questions() {
            answers.push(match lookups {
                Some(lookups) => lookups.declared(question, deadline).await,
                None => Ok(None),
            });
        }
        progress = pending.answered(answers, budget);
    }
}
