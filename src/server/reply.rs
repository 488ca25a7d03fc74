//! What goes back: the webhook's reply, and the refusals that the server gives by itself.
//!
//! Refusals that the API server shows to a person at that code (400, 500, 503) are a Kubernetes
//! `Status`, the others one line of text. None repeats anything of the request's body.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use engine::text::{clipped, printable};
use serde_json::json;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status; a denial is a 200 whose body denies.
    status: StatusCode,
    /// The `Content-Type`.
    content_type: HeaderValue,
    /// The whole body.
    body: Bytes,
    /// Seconds for `Retry-After`: at 429 and 5xx the API server then retries within the webhook's
    /// time-out.
    retry_after: Option<u32>,
}

impl Reply {
    /// A 200 with a JSON body.
    #[must_use]
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: JSON,
            body: body.into(),
            retry_after: None,
        }
    }

    /// A line of text; the newline is added.
    #[must_use]
    pub fn text(status: StatusCode, line: &str) -> Self {
        Self {
            status,
            content_type: TEXT,
            body: format!("{line}\n").into(),
            retry_after: None,
        }
    }

    /// A Kubernetes `Status` that says that the request failed, and why. The API server shows the
    /// message of one at 400, 500 and 503.
    #[must_use]
    pub fn status(status: StatusCode, message: &str) -> Self {
        let reason = match status {
            StatusCode::BAD_REQUEST => "BadRequest",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
            StatusCode::GATEWAY_TIMEOUT => "Timeout",
            StatusCode::INTERNAL_SERVER_ERROR => "InternalError",
            _ => "",
        };
        let body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": status.as_u16(),
        });
        Self {
            status,
            content_type: JSON,
            body: body.to_string().into(),
            retry_after: None,
        }
    }

    /// A `Status` at 503 after which the API server retries in a second.
    #[must_use]
    pub fn overloaded(message: &str) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::status(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }

    /// The HTTP status.
    pub(super) fn code(&self) -> StatusCode {
        self.status
    }

    /// As an answer after which the connection closes.
    pub(super) fn into_last_response(self) -> Response<Body> {
        let mut response = self.into_response();
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// As what the HTTP library takes.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, self.content_type);
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A path that is served on neither method; `fix` says what is.
pub(super) fn not_found(uri: &Uri, fix: &str) -> Response<Body> {
    // CONNECT, and a path without its slash, have only an authority.
    let place = match uri.authority() {
        Some(authority) if uri.path().is_empty() => authority.as_str(),
        _ => uri.path(),
    };
    let place = printable(clipped(place, 80));
    Reply::text(
        StatusCode::NOT_FOUND,
        &format!("nothing is served at {place}; {fix}"),
    )
    .into_last_response()
}

/// A served path with another method; the router adds `Allow`.
pub(super) async fn wrong_method(method: Method) -> Response<Body> {
    let method = clipped(method.as_str(), 16);
    let line = format!("method {method} is not allowed here; see the Allow header");
    Reply::text(StatusCode::METHOD_NOT_ALLOWED, &line).into_last_response()
}
