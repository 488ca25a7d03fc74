//! Readiness of look-ups: the API server has answered once.
//!
//! A replica that cannot reach the API server at all (a wrong network policy, a wrong address) must not get reviews. One
//! that could and then cannot stays ready: the same outage hits every replica at once, and to take all of them out of
//! service would turn "denied, try again in a second" into "no endpoints" for pods that need no look-up at all.

use std::time::Duration;

use kube::Client;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::ask::{self, Rule};
use super::backoff::Backoff;
use crate::readiness::Gate;

const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// `/version`, as far as it is read: enough to know an API server.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

/// Asks until the API server answers, and then opens `gate` for good.
pub async fn reach(client: Client, gate: Gate) {
    gate.not_ready("the API server has not answered yet");
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let mut said = String::new();
    loop {
        match version(&client).await {
            Ok(version) => {
                tracing::info!(version, "the API server answers; look-ups are on");
                return gate.ready();
            }
            Err(why) => {
                gate.not_ready(why.as_str());
                if said != why {
                    tracing::warn!(why, "the API server cannot be reached; not ready until it can");
                    said = why;
                }
            }
        }
        sleep(backoff.pause()).await;
    }
}

async fn version(client: &Client) -> Result<String, String> {
    let rule = Rule { verbs: "get", resource: "/version", group: "", namespace: None };
    let answer = timeout(ANSWER_WITHIN, ask::get(client, "/version")).await;
    match answer.map_err(|_| format!("no answer within {} s", ANSWER_WITHIN.as_secs()))? {
        Ok(json) => serde_json::from_slice(&json)
            .map(|Version { git_version }| git_version)
            .map_err(|error| format!("unexpected response from /version ({error}); is this an API server?")),
        // Whoever is known and may not see the version has reached the API server.
        Err(trouble) if ask::is_known(&trouble) => Ok("unknown".to_owned()),
        Err(trouble) => Err(trouble.describe(rule)),
    }
}
