//! Answers and their bodies, the endless ones of watches included.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Response;
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Sleep;

use super::store::Path;

/// What goes over the wire for a request.
pub(super) enum Answer {
    Text {
        code: u16,
        media: &'static str,
        text: String,
        retry_after: Option<u64>,
    },
    Watch(Watch),
}

/// The events of a watch; an error cuts the connection.
pub(super) struct Watch {
    pub(super) events: UnboundedReceiver<Result<String, ()>>,
    pub(super) ends: Option<Duration>,
}

/// A body of either kind.
pub(super) enum Body {
    Whole(Option<Bytes>),
    Events {
        events: UnboundedReceiver<Result<String, ()>>,
        ends: Option<Pin<Box<Sleep>>>,
    },
}

impl Answer {
    pub(super) fn json(code: u16, value: &Value) -> Self {
        Answer::Text {
            code,
            media: "application/json",
            text: value.to_string(),
            retry_after: None,
        }
    }

    /// The text that stands for a path nobody serves.
    pub(super) fn no_path() -> Self {
        let text = "404 page not found\n".to_owned();
        Answer::Text {
            code: 404,
            media: "text/plain; charset=utf-8",
            text,
            retry_after: None,
        }
    }

    pub(super) fn no_object(path: &Path) -> Self {
        let name = path.name.as_deref().unwrap_or_default();
        let message = format!("{} {name:?} not found", path.qualified());
        let details = json!({"name": name, "group": path.group, "kind": path.plural});
        Self::status(404, "NotFound", &message, &details)
    }

    pub(super) fn status(code: u16, reason: &str, message: &str, details: &Value) -> Self {
        Self::json(code, &status(code, reason, message, details))
    }

    pub(super) fn into_response(self) -> Response<Body> {
        match self {
            Answer::Text {
                code,
                media,
                text,
                retry_after,
            } => {
                let mut response = Response::builder().status(code).header(CONTENT_TYPE, media);
                if let Some(seconds) = retry_after {
                    response = response.header(RETRY_AFTER, seconds);
                }
                response.body(Body::Whole(Some(text.into()))).unwrap()
            }
            Answer::Watch(Watch { events, ends }) => {
                let ends = ends.map(|after| Box::pin(tokio::time::sleep(after)));
                let response = Response::builder().header(CONTENT_TYPE, "application/json");
                response.body(Body::Events { events, ends }).unwrap()
            }
        }
    }
}

/// A `metav1.Status` of failure.
pub(super) fn status(code: u16, reason: &str, message: &str, details: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message, "details": details})
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match &mut *self {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Events { events, ends } => {
                if let Poll::Ready(event) = events.poll_recv(context) {
                    return Poll::Ready(event.map(|event| match event {
                        Ok(line) => Ok(Frame::data(line.into())),
                        Err(()) => Err(std::io::Error::other("cut")),
                    }));
                }
                match ends.as_mut().map(|ends| ends.as_mut().poll(context)) {
                    Some(Poll::Ready(())) => Poll::Ready(None),
                    _ => Poll::Pending,
                }
            }
        }
    }
}
