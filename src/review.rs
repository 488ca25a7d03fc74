//! Admission reviews: bytes in, bytes out, no sockets.
//!
//! [`request`] decodes, [`verdict`] decides (who says which runtimes, whether they may be had, what injecting them
//! means) and [`response`] encodes. The dry run enters at [`verdict::decide`] with pods of its own.

pub mod request;
pub mod response;
pub mod verdict;

use tokio::time::Instant;

use crate::config::Config;
use crate::runtimes::Lookup;
use request::{Malformed, Subject};
use verdict::{Candidate, Passed, Settings, Verdict};

/// A decided review.
#[derive(Debug)]
pub struct Answer<'c> {
    /// The response's bytes.
    pub body: Vec<u8>,
    /// What was decided.
    pub verdict: Verdict<'c>,
    /// The review's uid.
    pub uid: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name, or what its name will start with.
    pub name: String,
}

/// Answers the review in `body`; an error is a body that is no review, and is answered with a 400.
pub async fn mutate<'c>(
    body: &[u8],
    config: &'c Config,
    settings: &Settings,
    lookups: &impl Lookup,
    deadline: Instant,
) -> Result<Answer<'c>, Malformed> {
    let (uid, namespace, name, verdict) = match request::decode(body)? {
        Subject::Other(uid) => (uid, String::new(), String::new(), Verdict::passed(Passed::NotPod)),
        Subject::NoPod(request, error) => {
            let namespace = request.namespace().to_owned();
            let name = request.name.as_deref().unwrap_or_default().to_owned();
            // Whatever else is wrong with it: without a label it is not ours to refuse.
            let ours = request.object.is_none_or(|object| settings.rules.may_be_sandbox(object.get()));
            let verdict =
                if ours { Verdict::no_pod(&name, error) } else { Verdict::passed(Passed::NotSandbox) };
            (request.uid, namespace, name, verdict)
        }
        Subject::Pod(request) => {
            let Some(pod) = &request.object else {
                return Err(Malformed("request.object: is missing".to_owned()));
            };
            let candidate = Candidate {
                pod,
                namespace: request.namespace(),
                creator: Some(request.user_info.username.as_deref().unwrap_or_default()),
            };
            let verdict = verdict::decide(candidate, config, settings, lookups, deadline).await;
            let (namespace, name) = (request.namespace().to_owned(), verdict::pod_name(pod));
            (request.uid, namespace, name, verdict)
        }
    };
    let body = response::write(&uid, &verdict, settings.report_only);
    Ok(Answer { body, verdict, uid: uid.0.into_owned(), namespace, name })
}
