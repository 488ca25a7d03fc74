//! Which connections are open, what each is doing, and a way to ask one to close.
//!
//! The table is locked when a connection opens, closes or is displaced, never during a request:
//! what a connection is doing is one atomic of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::TimeLimits;

/// How far the server's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Stage {
    /// As usual.
    Serving,
    /// Answers ask the client to close.
    Draining,
    /// No new connections; idle ones are closed.
    Stopping,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The TLS handshake.
    Handshake,
    /// Nothing, and there was no request yet.
    Fresh,
    /// Nothing, since the last answer.
    Idle,
    /// Reading a request's head.
    Head,
    /// Reading a request's body or working on the answer.
    Request,
    /// Writing the answer.
    Reply,
    /// Waiting for the client to close as well.
    Closing,
}

/// What one connection is doing since when, and whether it should close.
pub(super) struct Activity {
    epoch: Instant,
    /// Milliseconds since the epoch, and the phase in the low three bits.
    state: AtomicU64,
    displaced: AtomicBool,
    stop: AtomicBool,
    attention: Notify,
}

/// The open connections of one listener.
pub(super) struct Registry {
    epoch: Instant,
    room: usize,
    spare: usize,
    stage: AtomicU8,
    stopping: Notify,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Activity>>,
    /// How many of them were displaced and have not gone yet.
    leaving: usize,
}

/// A place in the table, free again when dropped.
pub(super) struct Seat {
    registry: Arc<Registry>,
    id: u64,
    pub(super) activity: Arc<Activity>,
    /// Beyond the limit: requests are to be refused.
    pub(super) spare: bool,
}

impl Registry {
    pub(super) fn new(room: usize, spare: usize) -> Arc<Self> {
        Arc::new(Self {
            epoch: Instant::now(),
            room,
            spare,
            stage: AtomicU8::new(Stage::Serving as u8),
            stopping: Notify::new(),
            open: Mutex::default(),
        })
    }

    /// A place for a new connection: a free one, else that of the one idle longest (but not less
    /// than `displace_after`), else a spare one, else none.
    pub(super) fn seat(self: &Arc<Self>, displace_after: Duration) -> Option<Seat> {
        let mut open = self.lock();
        let spare = open.staying() >= self.room && !open.displace(displace_after);
        if open.staying() >= self.room + self.spare {
            return None;
        }
        let id = open.next;
        open.next += 1;
        let activity = Arc::new(Activity::new(self.epoch, self.stage() == Stage::Stopping));
        open.connections.insert(id, Arc::clone(&activity));
        drop(open);
        Some(Seat {
            registry: Arc::clone(self),
            id,
            activity,
            spare,
        })
    }

    /// Asks the connection that has been idle longest to close; says whether there was one.
    pub(super) fn displace(&self, idle_for: Duration) -> bool {
        self.lock().displace(idle_for)
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Draining,
            _ => Stage::Stopping,
        }
    }

    /// Moves on. At [`Stage::Stopping`] every connection is asked to close when it can.
    pub(super) fn enter(&self, stage: Stage) {
        // Under the lock, so that a connection that opens meanwhile sees the one or is seen by the
        // other.
        let open = self.lock();
        self.stage.store(stage as u8, Ordering::Release);
        if stage == Stage::Stopping {
            for activity in open.connections.values() {
                activity.stop.store(true, Ordering::Release);
                activity.attention.notify_one();
            }
            self.stopping.notify_waiters();
            self.stopping.notify_one();
        }
    }

    /// Waits for [`Stage::Stopping`]; for the accept loop alone.
    pub(super) async fn stopping(&self) {
        while self.stage() != Stage::Stopping {
            self.stopping.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn staying(&self) -> usize {
        self.connections.len() - self.leaving
    }

    fn displace(&mut self, idle_for: Duration) -> bool {
        let now = Instant::now();
        let longest = self
            .connections
            .values()
            .filter(|activity| !activity.displaced.load(Ordering::Acquire))
            .filter_map(|activity| match activity.get() {
                (Phase::Fresh | Phase::Idle, since) if since + idle_for <= now => {
                    Some((since, activity))
                }
                _ => None,
            })
            .min_by_key(|(since, _)| *since);
        let Some((_, activity)) = longest else {
            return false;
        };
        activity.displaced.store(true, Ordering::Release);
        activity.attention.notify_one();
        self.leaving += 1;
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.connections.remove(&self.id);
        // Under the lock, as when it is set.
        open.leaving -= usize::from(self.activity.asked_to_leave());
    }
}

impl Activity {
    fn new(epoch: Instant, stop: bool) -> Self {
        let activity = Self {
            epoch,
            state: AtomicU64::new(0),
            displaced: AtomicBool::new(false),
            stop: AtomicBool::new(stop),
            attention: Notify::new(),
        };
        activity.enter(Phase::Handshake);
        if stop {
            activity.attention.notify_one();
        }
        activity
    }

    /// Notes the phase, from now on.
    pub(super) fn enter(&self, phase: Phase) {
        let since = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX >> 3);
        self.state
            .store((since << 3) | phase as u64, Ordering::Release);
        let is_asked = || self.asked_to_stop() || self.asked_to_leave();
        if phase == Phase::Closing || phase == Phase::Idle && is_asked() {
            self.attention.notify_one();
        }
    }

    /// Waits until the connection has to look at what is wanted of it: it is asked to end, or began
    /// to close, which has less time than anything else. One call is remembered.
    pub(super) async fn attention(&self) {
        self.attention.notified().await;
    }

    pub(super) fn phase(&self) -> Phase {
        phase(self.state.load(Ordering::Acquire))
    }

    /// The phase and when it began.
    pub(super) fn get(&self) -> (Phase, Instant) {
        let state = self.state.load(Ordering::Acquire);
        (phase(state), self.epoch + Duration::from_millis(state >> 3))
    }

    /// When the present phase has taken too long.
    pub(super) fn due(&self, times: &TimeLimits) -> Instant {
        let (phase, since) = self.get();
        since
            + match phase {
                Phase::Handshake => times.handshake,
                Phase::Fresh | Phase::Idle => times.idle,
                Phase::Head => times.head,
                // Body and answer have deadlines of their own; this is for an error in those.
                Phase::Request => times.max_timeout * 2,
                Phase::Reply => times.write,
                Phase::Closing => times.linger,
            }
    }

    /// Whether the server stops and this connection should end with what it is doing.
    pub(super) fn asked_to_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Whether another connection needs the place. A request that came first is answered first.
    pub(super) fn asked_to_leave(&self) -> bool {
        self.displaced.load(Ordering::Acquire)
    }
}

fn phase(state: u64) -> Phase {
    match state & 0b111 {
        0 => Phase::Handshake,
        1 => Phase::Fresh,
        2 => Phase::Idle,
        3 => Phase::Head,
        4 => Phase::Request,
        5 => Phase::Reply,
        _ => Phase::Closing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_connection_idle_longest_makes_room() {
        let registry = Registry::new(2, 1);
        let first = registry.seat(Duration::ZERO).unwrap();
        first.activity.enter(Phase::Idle);
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = registry.seat(Duration::ZERO).unwrap();
        second.activity.enter(Phase::Idle);
        tokio::time::advance(Duration::from_secs(1)).await;
        let third = registry.seat(Duration::ZERO).unwrap();
        assert!(!third.spare);
        assert!(first.activity.asked_to_leave());
        assert!(!second.activity.asked_to_leave());
    }

    #[tokio::test(start_paused = true)]
    async fn busy_connections_keep_their_place_and_newcomers_are_refused_then_turned_away() {
        let registry = Registry::new(1, 1);
        let first = registry.seat(Duration::ZERO).unwrap();
        first.activity.enter(Phase::Request);
        let second = registry.seat(Duration::ZERO).unwrap();
        assert!(second.spare && !first.activity.asked_to_leave());
        assert!(registry.seat(Duration::ZERO).is_none());
        drop(second);
        drop(first);
        assert!(!registry.seat(Duration::ZERO).unwrap().spare);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_opens_while_stopping_knows() {
        let registry = Registry::new(1, 1);
        let before = registry.seat(Duration::ZERO).unwrap();
        registry.enter(Stage::Stopping);
        let after = registry.seat(Duration::ZERO).unwrap();
        assert!(before.activity.asked_to_stop() && after.activity.asked_to_stop());
        registry.stopping().await;
    }
}
