//! Readiness of look-ups: the API server has answered once.
//!
//! A replica that cannot reach the API server at all (a wrong network policy, a wrong address) must
//! not get reviews. One that could and then cannot stays ready: the same outage hits every replica
//! at once, and to take all of them out of service would turn "denied, retry in a second" into "no
//! endpoints" for pods that need no look-up at all.

use kube::Client;
use serde::Deserialize;
use tokio::time::sleep;

use super::api::{self, ApiError, Rule};
use super::backoff::Backoff;
use crate::readiness::Gate;
use crate::telemetry::LastWarning;

/// `/version`, as far as it is read: enough to know an API server.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionInfo {
    git_version: String,
}

/// Asks until the API server answers, and then opens `gate` for good.
pub async fn await_api_server(client: Client, gate: Gate) {
    gate.not_ready("the API server has not answered yet");
    let mut backoff = Backoff::default();
    let mut last_warning = LastWarning::default();
    loop {
        match version(&client).await {
            Ok(version) => {
                tracing::info!(version, "the API server answers; look-ups are on");
                return gate.ready();
            }
            Err(error) => {
                let why = error.to_string();
                if last_warning.replace(&why) {
                    tracing::warn!(
                        why,
                        "the API server cannot be reached; not ready until it can"
                    );
                }
                gate.not_ready(why);
            }
        }
        sleep(backoff.pause()).await;
    }
}

async fn version(client: &Client) -> Result<String, ApiError> {
    let rule = Rule {
        verbs: "get",
        resource: "/version",
        group: "",
        namespace: None,
    };
    match api::get_within(client, "/version", &rule).await {
        Ok(json) => match serde_json::from_slice(&json) {
            Ok(VersionInfo { git_version }) => Ok(git_version),
            Err(error) => Err(ApiError::NotAnApiServer {
                path: "/version".to_owned(),
                source: error.into(),
            }),
        },
        // A caller that is known and may not see the version has reached the API server.
        Err(ApiError::Refused { .. } | ApiError::NoObject) => Ok("unknown".to_owned()),
        Err(error) => Err(error),
    }
}
