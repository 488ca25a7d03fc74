//! The configuration's ConfigMap, read through the API: listed once, or listed and watched.
//!
//! A watch is short, because a connection that died without a word is only noticed when the watch
//! is over. The follower lists the ConfigMap again after each watch, however that ended. So expiry
//! (410), a restarted API server, a lost event or a restored etcd need no rules of their own: no
//! version is carried from one watch to the next.

use std::time::Duration;

use engine::config::config_map::{self, ConfigMapName, Entries, InvalidConfigMap};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hyper::Request;
use kube::Client;
use kube::core::WatchEvent;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::api::{self, ANSWER_TIMEOUT, ApiError, GONE, MalformedAnswer, Rule};

/// How long one watch lasts.
const WATCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a ConfigMap gives no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigMapError {
    /// There is none of the name.
    #[error("ConfigMap {0} does not exist; create it or correct --config-map")]
    Missing(ConfigMapName),
    /// The API server gives no answer about it.
    #[error("cannot read ConfigMap {name}: {source}")]
    Unreadable {
        /// The ConfigMap.
        name: ConfigMapName,
        /// What happened.
        source: Box<ApiError>,
    },
    /// It contains something else.
    #[error("ConfigMap {name}: {source}")]
    Invalid {
        /// The ConfigMap.
        name: ConfigMapName,
        /// What is wrong with it and how to fix it.
        source: InvalidConfigMap,
    },
}

/// The ConfigMap as the API server has it now.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Its entries, or why it has none.
    pub(crate) entries: Result<Entries, ConfigMapError>,
    /// The version from which to watch.
    pub(crate) version: String,
}

/// The edits of a ConfigMap, for a while.
pub(crate) struct Edits {
    name: ConfigMapName,
    events: BoxStream<'static, kube::Result<WatchEvent<Value>>>,
    end: Instant,
}

/// Reads the ConfigMap once.
///
/// # Errors
/// When it cannot be read, does not exist or is not a configuration.
pub async fn read(client: &Client, name: &ConfigMapName) -> Result<Entries, ConfigMapError> {
    list(client, name).await?.entries
}

/// Lists the one name: a list says from which version to watch, also where there is no ConfigMap.
pub(crate) async fn list(client: &Client, name: &ConfigMapName) -> Result<Listed, ConfigMapError> {
    let json = api::get_within(client, &collection(name), &rule(name)).await;
    let List {
        metadata: ListMetadata {
            resource_version: version,
        },
        items,
    } = json
        .and_then(|json| Ok(serde_json::from_slice(&json).map_err(MalformedAnswer::Json)?))
        .map_err(|error| unreadable(name, error))?;
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(unreadable(name, MalformedAnswer::NoResourceVersion.into()));
    }
    let mut items = items.unwrap_or_default();
    let entries = match items
        .iter_mut()
        .find(|item| item["metadata"]["name"] == *name.name)
    {
        Some(object) => entries_of(name, object),
        None => Err(ConfigMapError::Missing(name.clone())),
    };
    Ok(Listed { entries, version })
}

/// Watches from `version` on; `None` when that has expired.
pub(crate) async fn watch(
    client: &Client,
    name: &ConfigMapName,
    version: &str,
) -> Result<Option<Edits>, ConfigMapError> {
    let seconds = WATCH_TIMEOUT.as_secs();
    let path = format!(
        "{}&watch=true&timeoutSeconds={seconds}&resourceVersion={version}",
        collection(name)
    );
    let request = Request::get(&path)
        .body(Vec::new())
        .map_err(|source| unreadable(name, ApiError::Path { path, source }))?;
    match timeout(ANSWER_TIMEOUT, client.request_events::<Value>(request)).await {
        Ok(Ok(events)) => {
            // The API server ends the watch by itself; one that outlives that has lost its
            // connection.
            let end = Instant::now() + WATCH_TIMEOUT + ANSWER_TIMEOUT;
            Ok(Some(Edits {
                name: name.clone(),
                events: events.boxed(),
                end,
            }))
        }
        Ok(Err(kube::Error::Api(status))) if status.code == GONE => Ok(None),
        Ok(Err(error)) => Err(unreadable(name, ApiError::of_client(error, &rule(name)))),
        Err(_) => Err(unreadable(
            name,
            ApiError::Timeout {
                limit: ANSWER_TIMEOUT,
            },
        )),
    }
}

impl Edits {
    /// Waits for the next edit, and returns what the ConfigMap contains since then; `None` at the
    /// end of the watch.
    pub(crate) async fn next(
        &mut self,
    ) -> Result<Option<Result<Entries, ConfigMapError>>, ConfigMapError> {
        let Self { name, events, end } = self;
        let failed = |error| unreadable(name, ApiError::of_client(error, &rule(name)));
        while let Ok(Some(event)) = timeout_at(*end, events.next()).await {
            match event.map_err(failed)? {
                WatchEvent::Added(mut object) | WatchEvent::Modified(mut object) => {
                    return Ok(Some(entries_of(name, &mut object)));
                }
                WatchEvent::Deleted(_) => {
                    return Ok(Some(Err(ConfigMapError::Missing(name.clone()))));
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) if status.code == GONE => break,
                WatchEvent::Error(status) => return Err(failed(kube::Error::Api(status))),
            }
        }
        Ok(None)
    }
}

fn collection(ConfigMapName { namespace, name }: &ConfigMapName) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps?fieldSelector=metadata.name%3D{name}")
}

fn rule(name: &ConfigMapName) -> Rule {
    let namespace = Some(name.namespace.clone());
    Rule {
        verbs: "list and watch",
        resource: "configmaps",
        group: "",
        namespace,
    }
}

fn unreadable(name: &ConfigMapName, source: ApiError) -> ConfigMapError {
    ConfigMapError::Unreadable {
        name: name.clone(),
        source: Box::new(source),
    }
}

/// The entries of an object that is the ConfigMap `name`.
fn entries_of(name: &ConfigMapName, object: &mut Value) -> Result<Entries, ConfigMapError> {
    // The items of a list have no type of their own.
    object["apiVersion"] = "v1".into();
    object["kind"] = "ConfigMap".into();
    config_map::entries(object).map_err(|source| ConfigMapError::Invalid {
        name: name.clone(),
        source,
    })
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
