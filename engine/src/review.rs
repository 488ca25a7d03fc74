//! Admission reviews: bytes in, bytes out, no sockets.
//!
//! [`decode`] reads, [`decide`] decides (which runtimes apply, whether they are permitted, what
//! injecting them changes) and [`respond`] writes. [`validate`] answers the reviews of
//! configurations and storage requests. The dry run enters at [`decide::decide`] with pods of its
//! own.

pub mod decide;
pub mod decode;
pub mod refusal;
pub mod respond;
pub mod validate;

use decide::{Decided, Ignored, Progress, Settings};
use decode::{PodReview, Request, Reviewed};

use crate::budget::Budget;
use crate::config::Config;
use crate::runtimes::Candidate;

/// What a response and a log line repeat of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Envelope<'r> {
    /// The review's uid.
    pub uid: &'r str,
    /// The object's namespace; empty where the review names none.
    pub namespace: &'r str,
    /// The object's name, or what its name will start with; empty where it has neither.
    pub name: &'r str,
}

impl Request<'_> {
    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            uid: &self.uid,
            namespace: self.namespace(),
            name: self.name.as_deref().unwrap_or_default(),
        }
    }
}

impl PodReview<'_> {
    /// What a response and a log line repeat of the review.
    pub fn envelope(&self) -> Envelope<'_> {
        let envelope = self.request.envelope();
        match &self.reviewed {
            Reviewed::Pod(pod) => Envelope {
                name: pod.name(),
                ..envelope
            },
            Reviewed::MalformedPod { .. } => envelope,
            Reviewed::Other => Envelope {
                uid: envelope.uid,
                ..Envelope::default()
            },
        }
    }

    /// Decides on the review. The work is charged to `budget`.
    pub fn decide<'p, 'c>(
        &'p self,
        config: &'c Config,
        settings: &'p Settings,
        budget: &mut Budget,
    ) -> Progress<'p, 'c> {
        let decided = match &self.reviewed {
            Reviewed::Pod(pod) => {
                let candidate = Candidate {
                    pod,
                    namespace: self.request.namespace(),
                    creator: Some(
                        self.request
                            .user_info
                            .username
                            .as_deref()
                            .unwrap_or_default(),
                    ),
                    declared: None,
                };
                return decide::decide(candidate, config, settings, budget);
            }
            // Whatever else is wrong with it: without a label it is not ours to refuse.
            Reviewed::MalformedPod { object, error }
                if settings.selection.may_be_sandbox(object.get()) =>
            {
                Decided::malformed_pod(self.envelope().name, error.clone())
            }
            Reviewed::MalformedPod { .. } => Decided::ignored(Ignored::NotASandbox),
            Reviewed::Other => Decided::ignored(Ignored::NotAPod),
        };
        Progress::Decided(decided)
    }
}
