//! What keeps the store fresh: a directory, a ConfigMap and the node's region, each followed by one
//! task.
//!
//! What is read is offered to the store, which keeps the last good configuration. An API server
//! that cannot be reached is not an offer once there is a configuration: nothing was rejected.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::config::config_map::{ConfigMapName, Entries};
use kube::Client;
use tokio::time::{Instant, sleep};

use super::store::{ReadError, Store};
use crate::cluster::backoff::Backoff;
use crate::cluster::config_map::{self, ConfigMapError, Listed};
use crate::cluster::region;
use crate::readiness::Gate;
use crate::source::Source;
use crate::telemetry::LastWarning;
use crate::watch;

/// The first pause between two watches of the ConfigMap.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// The longest. An edit is to be live within a second also when the API server has just come back.
const MAX_PAUSE: Duration = Duration::from_millis(400);

/// A watch that lasted this long went well.
const GOOD_WATCH: Duration = Duration::from_secs(2);

/// Offers what the directory contains to `store`: once before this returns, then after every change
/// for as long as the returned future is polled. It never ends.
pub fn follow_directory(directory: PathBuf, store: Arc<Store>) -> impl Future<Output = ()> + Send {
    // Before the first read, so that no change falls in between.
    let mut watch = watch::directory(&directory);
    let source = Source::Directory(directory);
    store.offer(source.read().map_err(ReadError::from));
    async move {
        loop {
            watch.changed().await;
            let source = source.clone();
            offer(&store, move || Ok(source.read()?)).await;
        }
    }
}

/// Offers what the ConfigMap contains to `store`, now and after every edit. Never ends.
pub async fn follow_config_map(client: Client, name: ConfigMapName, store: Arc<Store>) {
    let mut backoff = Backoff::new(MIN_PAUSE, MAX_PAUSE);
    let mut last_warning = LastWarning::default();
    loop {
        let begun = Instant::now();
        if let Err(error) = list_and_watch(&client, &name, &store, &mut last_warning).await {
            if store.current().is_none() && !store.waits_for_region() {
                offer(&store, move || Err(error.into())).await;
            } else {
                let why = error.to_string();
                if last_warning.replace(&why) {
                    tracing::warn!(
                        why,
                        "cannot watch the ConfigMap; the current configuration stays in use"
                    );
                }
            }
        }
        if begun.elapsed() >= GOOD_WATCH {
            backoff.reset();
        }
        sleep(backoff.pause()).await;
    }
}

/// One list, and the watch that follows on it, until that ends.
async fn list_and_watch(
    client: &Client,
    name: &ConfigMapName,
    store: &Arc<Store>,
    last_warning: &mut LastWarning,
) -> Result<(), ConfigMapError> {
    let Listed { entries, version } = config_map::list(client, name).await?;
    offer(store, move || Ok(entries?)).await;
    // Expired before it began: the next round starts from a fresh list.
    let Some(mut edits) = config_map::watch(client, name, &version).await? else {
        return Ok(());
    };
    if last_warning.clear() {
        tracing::info!(config_map = %name, "watching the ConfigMap again");
    }
    while let Some(entries) = edits.next().await? {
        offer(store, move || Ok(entries?)).await;
    }
    Ok(())
}

/// Reading and compiling a configuration stay off the threads that answer requests.
async fn offer(
    store: &Arc<Store>,
    read: impl FnOnce() -> Result<Entries, ReadError> + Send + 'static,
) {
    let store = Arc::clone(store);
    if tokio::task::spawn_blocking(move || store.offer(read()))
        .await
        .is_err()
    {
        tracing::error!("a configuration reload panicked; the current configuration stays in use");
    }
}

/// Reads the region of `node` (`NODE_NAME`) until it is known, and gives it to `store`. From the
/// call on, and not only once polled, a configuration that needs the region waits for it. `gate` is
/// not ready while one waits.
///
/// A node has its region from the moment the cloud's controller labels it, which may be later than
/// our start; then it never changes, so it is read until it is known and never again.
pub fn follow_region(
    client: Client,
    node: String,
    store: Arc<Store>,
    gate: Gate,
) -> impl Future<Output = ()> + Send {
    store.await_region();
    gate.ready();
    async move {
        let mut backoff = Backoff::default();
        let mut last_warning = LastWarning::default();
        loop {
            match region::read(&client, &node).await {
                Ok(region) => {
                    tracing::info!(node, %region, "region read from the node");
                    store.set_region(region);
                    return gate.ready();
                }
                Err(error) => {
                    let why = error.to_string();
                    if last_warning.replace(&why) {
                        tracing::warn!(why, "cannot read the region from the node; retrying");
                    }
                    // A configuration that is in use does not become worse by an edit that has to
                    // wait.
                    if store.waits_for_region() && store.current().is_none() {
                        gate.not_ready(why);
                    } else {
                        gate.ready();
                    }
                }
            }
            sleep(backoff.pause()).await;
        }
    }
}
