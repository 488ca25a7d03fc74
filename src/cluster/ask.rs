//! One GET to the API server, and what its answer means.
//!
//! kube's client does the connection, TLS and credentials. Its typed calls are not used for reading, because they lose
//! `Retry-After` and the difference between an object and a whole path that is not there. Nothing is retried here.

use std::error::Error;
use std::fmt::{self, Write};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, RETRY_AFTER};
use hyper::{Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde::Deserialize;

use engine::text::shown;

/// More than etcd takes for one object.
const MAX_BYTES: usize = 8 << 20;

/// How much of what the API server says about a trouble is passed on.
const MAX_SAID: usize = 300;

/// Why there is no answer to use.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The API server knows the kind and has no such object.
    NoObject,
    /// The API server does not know the path, so not even the kind.
    NoPath,
    /// We may not ask: 401 or 403.
    Refused(Refused),
    /// It may be better in a moment.
    Passing {
        /// What happened.
        why: String,
        /// When the API server wants to be asked again.
        after: Option<Duration>,
    },
    /// It stays so until somebody mends it.
    Lasting(String),
}

/// A refusal by the API server.
#[derive(Debug)]
pub(super) struct Refused {
    known: bool,
    user: Option<String>,
}

/// What one has to be allowed to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule<'a> {
    pub(super) verbs: &'a str,
    pub(super) resource: &'a str,
    pub(super) group: &'a str,
    pub(super) namespace: Option<&'a str>,
}

/// The part of a `metav1.Status` that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    kind: String,
    code: u16,
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

/// Asks for `path`, once.
pub(super) async fn get(client: &Client, path: &str) -> Result<Bytes, Trouble> {
    let request = Request::get(path).header(ACCEPT, "application/json").body(Body::empty());
    let request =
        request.map_err(|error| Trouble::Lasting(format!("{path:?} is not a valid path: {error}")))?;
    let answer = client.send(request).await?;
    let status = answer.status();
    let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
    let body = body.map_err(|error| Trouble::passing(chain(&*error)))?.to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    let mut said: Status = serde_json::from_slice(&body).unwrap_or_default();
    if said.kind != "Status" {
        said = Status { message: String::from_utf8_lossy(&body).trim().to_owned(), ..Status::default() };
    }
    said.code = status.as_u16();
    Err(said.trouble(after))
}

impl Status {
    /// What the answer means; `after` is from the header, which goes before the body.
    fn trouble(self, after: Option<u64>) -> Trouble {
        let Self { kind: _, code, reason, message, details } = self;
        let details = details.unwrap_or_default();
        let said = shorten(&message);
        let answered = if said.is_empty() {
            format!("the API server answered {code}")
        } else {
            format!("the API server answered {code}: {said}")
        };
        match code {
            // An object that is not there is named in the details. A path that is not there gets `404 page not found`.
            404 if reason == "NotFound" && !details.name.is_empty() => Trouble::NoObject,
            404 => Trouble::NoPath,
            401 => Trouble::Refused(Refused { known: false, user: None }),
            403 => Trouble::Refused(Refused { known: true, user: user(&message) }),
            408 | 429 | 500.. => {
                let after = after.unwrap_or(details.retry_after_seconds);
                Trouble::Passing {
                    why: answered,
                    after: Some(Duration::from_secs(after)).filter(|after| !after.is_zero()),
                }
            }
            _ => Trouble::Lasting(answered),
        }
    }
}

impl Trouble {
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Trouble::Passing { why: why.into(), after: None }
    }

    /// The trouble in words; `rule` is what was needed.
    pub(super) fn describe(&self, rule: Rule<'_>) -> String {
        match self {
            Trouble::NoObject => "there is no such object".to_owned(),
            Trouble::NoPath => "the API server does not know the kind".to_owned(),
            Trouble::Refused(Refused { known: false, .. }) => {
                "the API server rejected our credentials (401); check \
                 the service account's token, or the kubeconfig's user"
                    .to_owned()
            }
            Trouble::Refused(Refused { user, .. }) => {
                let user = user.as_deref().unwrap_or("the service account in use");
                format!("the API server forbids it (403); {rule} to {user}")
            }
            Trouble::Passing { why, .. } | Trouble::Lasting(why) => why.clone(),
        }
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let details = status.details.as_ref();
                let details = details.map(|details| Details {
                    name: details.name.clone(),
                    retry_after_seconds: details.retry_after_seconds.into(),
                });
                Status {
                    kind: "Status".to_owned(),
                    code: status.code,
                    reason: status.reason.clone(),
                    message: status.message.clone(),
                    details,
                }
                .trouble(None)
            }
            error => Trouble::passing(chain(&error)),
        }
    }
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verbs, resource, group, namespace } = self;
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
fn user(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("User \"")?;
    let (user, _) = rest.split_once('"')?;
    (!user.is_empty() && user.len() < MAX_SAID).then(|| user.to_owned())
}

fn shorten(message: &str) -> String {
    shown(message.lines().next().unwrap_or_default().trim(), MAX_SAID)
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

/// Whether an object can have this name: an RFC 1123 subdomain. Anything else would also change the path.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether a namespace can have this name: an RFC 1123 label.
pub(super) fn is_namespace(name: &str) -> bool {
    name.len() <= 63 && is_label(name)
}

fn is_label(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    plain && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether the answer is a code that only an API server gives.
pub(super) fn is_known(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Refused(Refused { known: true, .. }) | Trouble::NoObject)
}

/// The codes that stand for a watch that has to begin anew with a list.
pub(super) const GONE: u16 = StatusCode::GONE.as_u16();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_objects_get_into_a_path() {
        for good in ["a", "code-interpreter-7x2kd", "a.b", "0b1e6a34-58f7"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "..", "a/b", "../secrets", "a?x", "A", "a_b", "-a", "a%2f", "a\n", &"a.".repeat(200)]
        {
            assert!(!is_name(bad) && !is_namespace(bad), "{bad}");
        }
        assert!(!is_namespace("a.b"));
    }

    #[test]
    fn a_refusal_names_the_rule_and_the_user() {
        let rule = Rule {
            verbs: "get",
            resource: "sandboxes",
            group: "agents.kruise.io",
            namespace: Some("default"),
        };
        let said = Status {
            code: 403,
            message:
                "sandboxes.agents.kruise.io \"x\" is forbidden: User \"system:serviceaccount:s:i\" cannot get"
                    .to_owned(),
            ..Status::default()
        };
        assert_eq!(
            said.trouble(None).describe(rule),
            "the API server forbids it (403); grant get on sandboxes.agents.kruise.io in namespace default \
             to system:serviceaccount:s:i"
        );
    }
}
