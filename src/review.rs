//! Admission reviews: bytes in, bytes out, no sockets.
//!
//! [`request`] decodes, [`verdict`] decides (who says which runtimes, whether they may be had, what injecting them
//! means) and [`response`] encodes. The dry run enters at [`verdict::decide`] with pods of its own.

pub mod request;
pub mod response;
pub mod verdict;

use std::borrow::Cow;

use tokio::time::Instant;

use crate::config::Config;
use crate::pod::Text;
use crate::runtimes::Lookup;
use request::{Malformed, Subject};
use verdict::{Candidate, Passed, Settings, Verdict};

/// A decided review.
#[derive(Debug)]
pub struct Answer<'b, 'c> {
    /// The response's bytes.
    pub body: Vec<u8>,
    /// What was decided.
    pub verdict: Verdict<'c>,
    /// The review's uid.
    pub uid: Cow<'b, str>,
    /// The pod's namespace; empty where the review names none.
    pub namespace: Cow<'b, str>,
    /// The pod's name, or what its name will start with; empty where it has neither.
    pub name: Cow<'b, str>,
}

/// Answers the review in `body`; an error is a body that is no review, and is answered with a 400.
pub async fn mutate<'b, 'c>(
    body: &'b [u8],
    config: &'c Config,
    settings: &Settings,
    lookups: &impl Lookup,
    deadline: Instant,
) -> Result<Answer<'b, 'c>, Malformed> {
    let text = |text: Option<Text<'b>>| text.map(|text| text.0).unwrap_or_default();
    let (uid, namespace, name, verdict) = match request::decode(body)? {
        Subject::Other(uid) => (uid.0, Cow::default(), Cow::default(), Verdict::passed(Passed::NotPod)),
        Subject::NoPod(request, error) => {
            let name = text(request.name);
            // Whatever else is wrong with it: without a label it is not ours to refuse.
            let ours = request.object.is_none_or(|object| settings.rules.may_be_sandbox(object.get()));
            let verdict =
                if ours { Verdict::no_pod(&name, error) } else { Verdict::passed(Passed::NotSandbox) };
            (request.uid.0, text(request.namespace), name, verdict)
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
            let name = request.object.and_then(|pod| pod.metadata.name.or(pod.metadata.generate_name));
            (request.uid.0, text(request.namespace), text(name), verdict)
        }
    };
    let body = response::write(&uid, &verdict, settings.report_only);
    Ok(Answer { body, verdict, uid, namespace, name })
}
