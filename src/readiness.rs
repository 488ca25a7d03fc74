//! Whether this process may be sent requests, and if not, why.
//!
//! Readiness is a set of named gates, each held by the part that knows: ready, or not and why. A
//! reason is shown to anyone who asks, so it must never contain a pod's contents or a secret.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What `/readyz` says. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    shutting_down: bool,
    /// In the order in which they were made; `None` is ready.
    gates: Vec<(&'static str, Option<String>)>,
}

/// One condition of readiness. It stays in force when the handle is dropped.
#[derive(Debug, Clone)]
pub struct Gate {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    /// No conditions, so ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new condition named `name`, not ready until its handle says so.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        let mut state = self.lock();
        state.gates.push((name, Some("starting".to_owned())));
        Gate {
            readiness: self.clone(),
            index: state.gates.len() - 1,
        }
    }

    /// Never ready again from now on.
    pub fn shut_down(&self) {
        self.lock().shutting_down = true;
    }

    /// Nothing when ready, otherwise one line per reason, each ending in a newline.
    ///
    /// # Errors
    /// The reasons.
    pub fn check(&self) -> Result<(), String> {
        let state = self.lock();
        if state.shutting_down {
            return Err("shutting down\n".to_owned());
        }
        let mut reasons = String::new();
        for (name, reason) in &state.gates {
            if let Some(reason) = reason {
                // Writing to a String cannot fail.
                let _ = writeln!(reasons, "{name}: {reason}");
            }
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(reasons)
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// The condition holds.
    pub fn ready(&self) {
        self.set(None);
    }

    /// The condition does not hold, because of `reason`.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, reason: Option<String>) {
        if let Some(gate) = self.readiness.lock().gates.get_mut(self.index) {
            gate.1 = reason;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failed_gate_has_its_line() {
        let readiness = Readiness::new();
        assert_eq!(readiness.check(), Ok(()));
        let certificate = readiness.gate("certificate");
        let configuration = readiness.gate("configuration");
        assert_eq!(
            readiness.check(),
            Err("certificate: starting\nconfiguration: starting\n".to_owned())
        );
        certificate.ready();
        configuration.not_ready("key csi: $.volume: not a list");
        assert_eq!(
            readiness.check(),
            Err("configuration: key csi: $.volume: not a list\n".to_owned())
        );
        configuration.ready();
        assert_eq!(readiness.check(), Ok(()));
        configuration.not_ready("gone");
        assert!(readiness.check().is_err());
    }

    #[test]
    fn nothing_is_ready_during_shutdown() {
        let readiness = Readiness::new();
        let gate = readiness.gate("certificate");
        gate.ready();
        readiness.shut_down();
        assert_eq!(readiness.check(), Err("shutting down\n".to_owned()));
    }
}
