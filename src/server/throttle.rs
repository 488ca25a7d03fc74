//! Log lines that anyone can cause, held back so that they cannot fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets one line pass every ten seconds. It takes a lock: not for the path of requests that go
/// well.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// When a line may pass now, how many were held back since the previous one.
    pub(super) fn pass(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.last.is_some_and(|last| now < last + PAUSE) {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_passes_and_the_next_after_a_pause_tells_of_the_others() {
        let throttle = Throttle::default();
        assert_eq!(
            [throttle.pass(), throttle.pass(), throttle.pass()],
            [Some(0), None, None]
        );
        tokio::time::advance(PAUSE).await;
        assert_eq!([throttle.pass(), throttle.pass()], [Some(2), None]);
    }
}
