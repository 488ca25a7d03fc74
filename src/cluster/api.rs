//! One GET to the API server, and what the response means.
//!
//! kube's client does the connection, TLS and credentials. Its typed calls are not used for
//! reading, because they lose `Retry-After` and the difference between an object and a whole path
//! that does not exist. Nothing is retried here.

use std::error::Error;
use std::fmt::{self, Write};
use std::time::Duration;

use engine::text::shown;
use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, RETRY_AFTER};
use hyper::{Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde::Deserialize;
use tokio::time::timeout;

/// More than etcd accepts for one object.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// How much of an error message of the API server is passed on.
const MAX_MESSAGE_BYTES: usize = 300;

/// How long the API server may take for an answer that no pod waits for.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The code that says that a watch has to begin again with a list.
pub(super) const GONE: u16 = StatusCode::GONE.as_u16();

/// Why there is no usable answer of the API server.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The API server knows the kind and has no such object.
    #[error("there is no such object")]
    NoObject,
    /// The API server does not know the path, so not even the kind.
    #[error("the API server does not know the kind")]
    NoPath,
    /// Discovery lists the kind, but does not serve its path yet.
    #[error("the API server does not serve the kind yet")]
    NotServedYet,
    /// The credentials were rejected.
    #[error(
        "the API server rejected our credentials (401); check the service account's token, or the kubeconfig's user"
    )]
    Unauthenticated,
    /// The user may not do this.
    #[error(
        "the API server forbids it (403); {rule} to {}",
        user.as_deref().unwrap_or("the service account in use")
    )]
    Refused {
        /// The rule to grant.
        rule: Rule,
        /// To whom, where the API server says so.
        user: Option<String>,
    },
    /// There was no answer in time.
    #[error("no answer within {} s", limit.as_secs())]
    Timeout {
        /// The time limit.
        limit: Duration,
    },
    /// The API server answered with another code.
    #[error("the API server answered {code}{}{message}", if message.is_empty() { "" } else { ": " })]
    Answered {
        /// The HTTP status.
        code: u16,
        /// The first line of the message; may be empty.
        message: String,
        /// How long the API server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The request did not get an answer.
    #[error("{}", chain(.0))]
    Connection(#[source] Box<kube::Error>),
    /// The answer broke off, or was too long.
    #[error("{}", chain(&**.0))]
    Body(#[source] Box<dyn Error + Send + Sync>),
    /// The answer is not what was requested.
    #[error("unexpected response: {0}")]
    Malformed(#[from] MalformedAnswer),
    /// Something answers that does not look like an API server.
    #[error("unexpected response from {path} ({source}); is this an API server?")]
    NotAnApiServer {
        /// The path of the request.
        path: String,
        /// What is wrong with the answer.
        source: MalformedAnswer,
    },
    /// The request cannot be made.
    #[error("{path:?} is not a valid path: {source}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        source: hyper::http::Error,
    },
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum MalformedAnswer {
    /// It is not JSON, or lacks a field.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A field is not what it should be.
    #[error("{}: {}", json_path(.0), engine::pod::reason(.0.inner()))]
    Field(#[from] serde_path_to_error::Error<serde_json::Error>),
    /// It is another object.
    #[error("$: not the requested object")]
    OtherObject,
    /// It is a list from which no watch can begin.
    #[error("no metadata.resourceVersion")]
    NoResourceVersion,
    /// A path that every API server serves is missing.
    #[error("404")]
    NotFound,
}

/// A permission that a request needs.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) verbs: &'static str,
    pub(super) resource: &'static str,
    pub(super) group: &'static str,
    pub(super) namespace: Option<String>,
}

/// The part of a `metav1.Status` that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    kind: String,
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    name: String,
    retry_after_seconds: u64,
}

/// GETs `path`, once; `rule` is what that needs.
pub(super) async fn get(client: &Client, path: &str, rule: &Rule) -> Result<Bytes, ApiError> {
    let request = Request::get(path)
        .header(ACCEPT, "application/json")
        .body(Body::empty());
    let request = request.map_err(|source| ApiError::Path {
        path: path.to_owned(),
        source,
    })?;
    let answer = client
        .send(request)
        .await
        .map_err(|error| ApiError::of_client(error, rule))?;
    let code = answer.status();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
        .collect()
        .await;
    let body = body.map_err(ApiError::Body)?.to_bytes();
    if code.is_success() {
        return Ok(body);
    }
    let mut status: Status = serde_json::from_slice(&body).unwrap_or_default();
    if status.kind != "Status" {
        status = Status {
            message: String::from_utf8_lossy(&body).trim().to_owned(),
            ..Status::default()
        };
    }
    Err(status.error(code.as_u16(), retry_after, rule))
}

/// GETs `path`, once, within [`ANSWER_TIMEOUT`].
pub(super) async fn get_within(
    client: &Client,
    path: &str,
    rule: &Rule,
) -> Result<Bytes, ApiError> {
    let answer = timeout(ANSWER_TIMEOUT, get(client, path, rule)).await;
    answer.unwrap_or(Err(ApiError::Timeout {
        limit: ANSWER_TIMEOUT,
    }))
}

impl Status {
    /// What the answer means; `retry_after` is the header, which goes before the body.
    fn error(self, code: u16, retry_after: Option<u64>, rule: &Rule) -> ApiError {
        let Self {
            kind: _,
            reason,
            message,
            details,
        } = self;
        let details = details.unwrap_or_default();
        match code {
            // A missing object is named in the details. A missing path gets `404 page not found`.
            404 if reason == "NotFound" && !details.name.is_empty() => ApiError::NoObject,
            404 => ApiError::NoPath,
            401 => ApiError::Unauthenticated,
            403 => ApiError::Refused {
                rule: rule.clone(),
                user: user(&message),
            },
            _ => {
                let seconds = retry_after.unwrap_or(details.retry_after_seconds);
                ApiError::Answered {
                    code,
                    message: shorten(&message),
                    retry_after: Some(Duration::from_secs(seconds))
                        .filter(|after| !after.is_zero()),
                }
            }
        }
    }
}

impl ApiError {
    /// What an error of kube's client means.
    pub(super) fn of_client(error: kube::Error, rule: &Rule) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::Connection(Box::new(error));
        };
        let details = status.details.as_ref().map(|details| Details {
            name: details.name.clone(),
            retry_after_seconds: details.retry_after_seconds.into(),
        });
        Status {
            kind: "Status".to_owned(),
            reason: status.reason.clone(),
            message: status.message.clone(),
            details,
        }
        .error(status.code, None, rule)
    }

    /// Whether it may be better in a moment.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Connection(_) | Self::Body(_) | Self::NotServedYet => true,
            Self::Answered { code, .. } => matches!(code, 408 | 429 | 500..),
            Self::NoObject
            | Self::NoPath
            | Self::Unauthenticated
            | Self::Refused { .. }
            | Self::Malformed(_)
            | Self::NotAnApiServer { .. }
            | Self::Path { .. } => false,
        }
    }

    /// How long the API server wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verbs,
            resource,
            group,
            namespace,
        } = self;
        write!(f, "grant {verbs} on {resource}")?;
        if !group.is_empty() {
            write!(f, ".{group}")?;
        }
        match namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => f.write_str(" in the cluster"),
        }
    }
}

/// The user that a refusal names: `… is forbidden: User "system:serviceaccount:a:b" cannot get …`.
/// A `Status` has no field for it.
fn user(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("User \"")?;
    let (user, _) = rest.split_once('"')?;
    (!user.is_empty() && user.len() < MAX_MESSAGE_BYTES).then(|| user.to_owned())
}

fn shorten(message: &str) -> String {
    shown(
        message.lines().next().unwrap_or_default().trim(),
        MAX_MESSAGE_BYTES,
    )
}

fn json_path<E>(error: &serde_path_to_error::Error<E>) -> String {
    match error.path().to_string().as_str() {
        "." => "$".to_owned(),
        path => format!("$.{path}"),
    }
}

/// An error with its causes; a cause that repeats what was said already is left out.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {said}");
        }
        cause = error.source();
    }
    shorten(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_rule_and_the_user() {
        let rule = Rule {
            verbs: "get",
            resource: "sandboxes",
            group: "agents.kruise.io",
            namespace: Some("default".to_owned()),
        };
        let status = Status {
            message:
                "sandboxes.agents.kruise.io \"x\" is forbidden: User \"system:serviceaccount:s:i\" cannot get"
                    .to_owned(),
            ..Status::default()
        };
        assert_eq!(
            status.error(403, None, &rule).to_string(),
            "the API server forbids it (403); grant get on sandboxes.agents.kruise.io in namespace default \
             to system:serviceaccount:s:i"
        );
    }

    #[test]
    fn an_answer_is_transient_by_its_code() {
        let rule = Rule {
            verbs: "get",
            resource: "nodes",
            group: "",
            namespace: None,
        };
        let error = |code, after| Status::default().error(code, after, &rule);
        assert!(error(429, None).is_transient() && error(503, None).is_transient());
        assert!(!error(400, None).is_transient() && !error(404, None).is_transient());
        assert_eq!(
            error(503, Some(2)).retry_after(),
            Some(Duration::from_secs(2))
        );
        assert_eq!(error(503, None).to_string(), "the API server answered 503");
    }
}
