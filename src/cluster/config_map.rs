//! The configuration's ConfigMap, watched through the API.
//!
//! A round is one list of the one name and the watch that follows on it; when the watch ends, for whatever reason, the
//! next round begins with a list again. So expiry (410), a restarted API server, a lost event or a restored etcd need no
//! rules of their own: no version is carried from one round to the next. A round is short, because a connection that died
//! without a word is only noticed when the round is over.
//!
//! What is read is offered to the store, which keeps the last good configuration. An API server that cannot be reached
//! is no offer once there is a configuration: nothing was refused.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use hyper::Request;
use kube::Client;
use kube::core::WatchEvent;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::ask::{self, GONE, Rule, Trouble};
use super::backoff::Backoff;
use crate::serve::store::Store;
use engine::config::config_map::{self, ConfigMapName, Entries};

/// Pauses between rounds. An edit is to be live within a second also when the API server has just come back.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long a round lasts.
const ROUND: Duration = Duration::from_secs(30);

/// A round that lasted this long went well.
const WENT_WELL: Duration = Duration::from_secs(2);

fn collection(ConfigMapName { namespace, name }: &ConfigMapName) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps?fieldSelector=metadata.name%3D{name}")
}

fn missing(source: &ConfigMapName) -> String {
    format!("ConfigMap {source} does not exist; create it or correct --config-map")
}

fn unreadable(source: &ConfigMapName, trouble: &Trouble) -> String {
    let rule = Rule {
        verbs: "list and watch",
        resource: "configmaps",
        group: "",
        namespace: Some(&source.namespace),
    };
    format!("cannot read ConfigMap {source}: {}", trouble.describe(rule))
}

/// The entries of an object that is the ConfigMap `source`.
fn entries_of(source: &ConfigMapName, object: &mut Value) -> Result<Entries, String> {
    // The items of a list have no type of their own.
    object["apiVersion"] = "v1".into();
    object["kind"] = "ConfigMap".into();
    config_map::entries(object).map_err(|reason| format!("ConfigMap {source}: {reason}"))
}

/// Reads the ConfigMap once, for runs that end.
///
/// # Errors
/// When it cannot be read, is not there or is no configuration, in words that name it and the fix.
pub async fn read(client: &Client, source: &ConfigMapName) -> Result<Entries, String> {
    let (entries, _) = list(client, source).await.map_err(|trouble| unreadable(source, &trouble))?;
    entries
}

/// Offers what the ConfigMap holds to `store`, now and after every edit. Never ends.
pub async fn follow(client: Client, source: ConfigMapName, store: Arc<Store>) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let mut said = None;
    loop {
        let begun = Instant::now();
        if let Err(trouble) = round(&client, &source, &store, &mut said).await {
            let why = unreadable(&source, &trouble);
            if store.current().is_none() && !store.waits_for_region() {
                offer(&store, Err(why)).await;
            } else if said.as_ref() != Some(&why) {
                tracing::warn!(why, "cannot watch the ConfigMap; the current configuration stays in use");
                said = Some(why);
            }
        }
        if begun.elapsed() >= WENT_WELL {
            backoff.reset();
        }
        sleep(backoff.pause()).await;
    }
}

/// One list, and the watch until it ends.
async fn round(
    client: &Client,
    source: &ConfigMapName,
    store: &Arc<Store>,
    said: &mut Option<String>,
) -> Result<(), Trouble> {
    let (entries, version) = list(client, source).await?;
    offer(store, entries).await;
    let path = format!(
        "{}&watch=true&timeoutSeconds={}&resourceVersion={version}",
        collection(source),
        ROUND.as_secs()
    );
    let request = Request::get(path).body(Vec::new()).map_err(|error| Trouble::Lasting(error.to_string()))?;
    let events = timeout(ANSWER_WITHIN, client.request_events::<Value>(request)).await;
    let events = match events.map_err(|_| late())? {
        // Expired before it began: the next round starts from a fresh list.
        Err(kube::Error::Api(status)) if status.code == GONE => return Ok(()),
        events => events?,
    };
    if said.take().is_some() {
        tracing::info!(config_map = %source, "watching the ConfigMap again");
    }
    pin_mut!(events);
    let watched = async {
        while let Some(event) = events.next().await {
            match event? {
                WatchEvent::Added(mut object) | WatchEvent::Modified(mut object) => {
                    offer(store, entries_of(source, &mut object)).await;
                }
                WatchEvent::Deleted(_) => {
                    offer(store, Err(missing(source))).await;
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) if status.code == GONE => return Ok(()),
                WatchEvent::Error(status) => return Err(kube::Error::Api(status).into()),
            }
        }
        Ok(())
    };
    // The API server ends the watch by itself; a round that outlives that has lost its connection.
    timeout(ROUND + ANSWER_WITHIN, watched).await.unwrap_or(Ok(()))
}

/// Compiling a configuration stays off the threads that answer requests.
async fn offer(store: &Arc<Store>, entries: Result<Entries, String>) {
    let store = Arc::clone(store);
    if tokio::task::spawn_blocking(move || store.offer(entries)).await.is_err() {
        tracing::error!("a configuration reload panicked; the current configuration stays in use");
    }
}

/// The entries, or why there are none; and the version from which to watch.
async fn list(client: &Client, source: &ConfigMapName) -> Result<(Result<Entries, String>, String), Trouble> {
    let answer = timeout(ANSWER_WITHIN, ask::get(client, &collection(source))).await;
    let json = answer.map_err(|_| late())??;
    let list: List = serde_json::from_slice(&json)
        .map_err(|error| Trouble::Lasting(format!("unexpected response: {error}")))?;
    let version = list.metadata.resource_version;
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Trouble::Lasting("unexpected response: no metadata.resourceVersion".to_owned()));
    }
    let mut items = list.items.unwrap_or_default();
    let entries = match items.iter_mut().find(|item| item["metadata"]["name"] == *source.name) {
        Some(object) => entries_of(source, object),
        None => Err(missing(source)),
    };
    Ok((entries, version))
}

fn late() -> Trouble {
    Trouble::passing(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))
}

/// A list, as far as it is read.
#[derive(Deserialize)]
struct List {
    metadata: ListMetadata,
    #[serde(default)]
    items: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default)]
    resource_version: String,
}
