//! When to stop: the signals of the process, or a handle for whoever runs a server otherwise.

use std::io;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Tells how often stopping was asked for: once drains, twice ends at once.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<usize>);

/// Asks for it.
#[derive(Debug)]
pub struct Trigger(watch::Sender<usize>);

impl Shutdown {
    /// Asked for through the returned handle.
    #[must_use]
    pub fn manual() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(0);
        (Trigger(sender), Self(receiver))
    }

    /// Asked for by SIGTERM and SIGINT, which from now on no longer end the process by themselves.
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

    /// Waits for the `count`th time. Without anybody left to ask, for ever.
    pub(super) async fn signal(&mut self, count: usize) {
        if self.0.wait_for(|seen| *seen >= count).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Trigger {
    /// Asks once more.
    pub fn fire(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}
