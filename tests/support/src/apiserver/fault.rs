//! What goes wrong on the way to an answer.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::answer::Answer;

/// One fault, for requests whose path and query contain a text.
#[derive(Debug, Clone)]
pub struct Fault {
    part: String,
    times: Option<usize>,
    happens: Happens,
}

#[derive(Debug, Clone)]
enum Happens {
    Delay(Duration),
    Hang,
    Drop,
    Status { code: u16, retry_after: Option<u64> },
    NoPath,
    Body(String),
}

/// The faults in force.
#[derive(Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Fault {
    fn new(part: &str, happens: Happens) -> Self {
        Self {
            part: part.to_owned(),
            times: None,
            happens,
        }
    }

    /// The answer comes late.
    pub fn delay(part: &str, delay: Duration) -> Self {
        Self::new(part, Happens::Delay(delay))
    }

    /// No answer comes.
    pub fn hang(part: &str) -> Self {
        Self::new(part, Happens::Hang)
    }

    /// The connection is closed.
    pub fn drop(part: &str) -> Self {
        Self::new(part, Happens::Drop)
    }

    /// The answer is a failure.
    pub fn status(part: &str, code: u16) -> Self {
        Self::new(
            part,
            Happens::Status {
                code,
                retry_after: None,
            },
        )
    }

    /// The answer is a failure that says when to ask again.
    pub fn retry_after(part: &str, code: u16, seconds: u64) -> Self {
        Self::new(
            part,
            Happens::Status {
                code,
                retry_after: Some(seconds),
            },
        )
    }

    /// The path is not served.
    pub fn no_path(part: &str) -> Self {
        Self::new(part, Happens::NoPath)
    }

    /// The answer is this text.
    pub fn body(part: &str, text: &str) -> Self {
        Self::new(part, Happens::Body(text.to_owned()))
    }

    /// Only so many times.
    pub fn times(self, times: usize) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }
}

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.0.lock().unwrap().push(fault);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// The answer that a fault makes of a request; an error is a closed connection.
    pub(super) async fn meet(&self, path: &str, query: &str) -> std::io::Result<Option<Answer>> {
        let whole = format!("{path}?{query}");
        let happens = {
            let mut faults = self.0.lock().unwrap();
            let met = faults
                .iter_mut()
                .find(|fault| fault.times != Some(0) && whole.contains(&fault.part));
            met.map(|fault| {
                fault.times = fault.times.map(|left| left - 1);
                fault.happens.clone()
            })
        };
        Ok(match happens {
            None => None,
            Some(Happens::Delay(delay)) => {
                sleep(delay).await;
                None
            }
            Some(Happens::Hang) => std::future::pending().await,
            Some(Happens::Drop) => return Err(std::io::Error::other("dropped")),
            Some(Happens::NoPath) => Some(Answer::no_path()),
            Some(Happens::Body(text)) => Some(Answer::Text {
                code: 200,
                media: "application/json",
                text,
                retry_after: None,
            }),
            Some(Happens::Status { code, retry_after }) => Some(failure(code, retry_after)),
        })
    }
}

fn failure(code: u16, retry_after: Option<u64>) -> Answer {
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => (
            "Forbidden",
            "it is forbidden: User \"system:serviceaccount:sandbox-system:sandbox-injector\" cannot get resource",
        ),
        410 => ("Expired", "too old resource version: 1 (2)"),
        429 => ("TooManyRequests", "too many requests"),
        503 => ("ServiceUnavailable", "apiserver is shutting down"),
        _ => ("InternalError", "etcdserver: request timed out"),
    };
    match Answer::status(code, reason, message, &json!({})) {
        Answer::Text {
            code, media, text, ..
        } => Answer::Text {
            code,
            media,
            text,
            retry_after,
        },
        watch @ Answer::Watch(_) => watch,
    }
}
