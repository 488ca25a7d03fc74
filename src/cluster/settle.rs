//! Decisions that need the cluster: the engine's questions asked, until it decides.

use engine::budget::Budget;
use engine::review::decide::{Decided, Progress};
use engine::runtimes::Answer;
use tokio::time::Instant;

use super::Lookups;

/// Asks what `progress` asks, until the engine decides. Each answer comes before `deadline`, if
/// only as an error.
///
/// Without look-ups nothing is there: the engine asks nothing where they are off.
pub async fn settle<'c>(
    progress: Progress<'_, 'c>,
    lookups: Option<&Lookups>,
    budget: &mut Budget,
    deadline: Instant,
) -> Decided<'c> {
    let mut progress = progress;
    loop {
        let pending = match progress {
            Progress::Decided(decided) => return decided,
            Progress::Asks(pending) => pending,
        };
        let mut answers = Vec::with_capacity(pending.questions().len());
        for question in pending.questions() {
            answers.push(match lookups {
                Some(lookups) => lookups.declared(question, deadline).await.into(),
                None => Answer::NotFound,
            });
        }
        progress = pending.answered(answers, budget);
    }
}
