//! Pauses between attempts: doubling up to a bound, and jittered, so that replicas do not ask in
//! step.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// The next pause and how long pauses get.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    next: Duration,
    longest: Duration,
}

impl Default for Backoff {
    /// For what is needed at start and usually there at once.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(1))
    }
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            next: first,
            longest,
        }
    }

    /// How long to pause now: at least half and at most all of the current step.
    pub(crate) fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        step.mul_f64(0.5 + jitter() / 2.0)
    }

    /// Begins anew after things went well.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A number from 0 to 1 that need not be hard to guess: each hasher of the standard library has
/// keys of its own.
fn jitter() -> f64 {
    let bits = RandomState::new().hash_one(()) >> 32;
    u32::try_from(bits).map_or(0.0, |bits| f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_differ() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(400));
        for bound in [100, 200, 400, 400] {
            let pause = backoff.pause();
            assert!(
                pause >= Duration::from_millis(bound / 2) && pause <= Duration::from_millis(bound)
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(100));
        assert!((0..100).map(|_| jitter()).any(|number| number < 0.4));
        assert!((0..100).map(|_| jitter()).any(|number| number > 0.6));
    }
}
