//! When to stop: the signals of the process, or a handle for code that runs a server otherwise.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells how often a stop was requested: the first request drains, the second ends at once.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<usize>);

/// Requests a stop.
#[derive(Debug)]
pub struct Trigger(watch::Sender<usize>);

impl Shutdown {
    /// Requested through the returned handle.
    #[must_use]
    pub fn manual() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(0);
        (Trigger(sender), Self(receiver))
    }

    /// Requested by SIGTERM and SIGINT, which from now on no longer end the process by themselves.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (trigger, shutdown) = Self::manual();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                trigger.fire();
            }
        });
        Ok(shutdown)
    }

    /// Waits for the `count`th request; forever, if nobody is left to make one.
    pub(super) async fn signal(&mut self, count: usize) {
        if self.0.wait_for(|seen| *seen >= count).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Trigger {
    /// Requests it once more.
    pub fn fire(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}
