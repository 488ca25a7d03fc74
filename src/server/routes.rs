//! The webhook's routes: what is refused before the webhook is asked, and the deadlines of what is
//! not.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, Uri};
use axum::routing::post;
use tokio::time::{Instant, timeout_at};

use super::body::{self, BodyBudget, BodyError};
use super::reply::{Reply, not_found, wrong_method};
use super::throttle::Throttle;
use super::{Limits, Reviews, head};
use crate::duration::GoDuration;
use crate::metrics::{Admission, Metrics};

/// Of a request's time, the part that the answer needs to get back: a tenth, but no more than this.
const MAX_MARGIN: Duration = Duration::from_millis(500);

/// What every request needs.
struct Endpoint<R> {
    reviews: Arc<R>,
    metrics: Arc<Metrics>,
    limits: Arc<Limits>,
    budget: BodyBudget,
    refusals: Throttle,
}

/// Which question is asked.
#[derive(Clone, Copy)]
enum Verb {
    Mutate,
    Validate,
}

/// The routes of the HTTPS listener.
pub(super) fn router<R: Reviews>(
    reviews: Arc<R>,
    metrics: Arc<Metrics>,
    limits: Arc<Limits>,
) -> Router {
    let budget = BodyBudget::new(limits.bytes.in_flight);
    let endpoint = Arc::new(Endpoint {
        reviews,
        metrics,
        limits,
        budget,
        refusals: Throttle::default(),
    });
    Router::new()
        .route("/mutate", post(mutate::<R>))
        .route("/validate", post(validate::<R>))
        .fallback(async |uri: Uri| not_found(&uri, "POST reviews to /mutate or /validate"))
        .method_not_allowed_fallback(wrong_method)
        .with_state(endpoint)
}

async fn mutate<R: Reviews>(
    State(endpoint): State<Arc<Endpoint<R>>>,
    request: Request,
) -> Response<Body> {
    endpoint.answer(Verb::Mutate, request).await
}

async fn validate<R: Reviews>(
    State(endpoint): State<Arc<Endpoint<R>>>,
    request: Request,
) -> Response<Body> {
    endpoint.answer(Verb::Validate, request).await
}

impl<R: Reviews> Endpoint<R> {
    /// The answer to the review, or a refusal, which is counted here: [`Reviews`] counts its own
    /// answers.
    async fn answer(&self, verb: Verb, request: Request) -> Response<Body> {
        let begun = Instant::now();
        match self.ask(verb, request, begun).await {
            Ok(reply) => reply.into_response(),
            Err((outcome, reply)) => {
                self.metrics.admission(outcome, begun.elapsed());
                if let Some(unlogged) = self.refusals.pass() {
                    let (outcome, status) = (outcome.as_str(), reply.code().as_u16());
                    tracing::warn!(outcome, status, unlogged, "request refused");
                }
                // Its body may not have been read, and then nothing can follow it.
                reply.into_last_response()
            }
        }
    }

    async fn ask(
        &self,
        verb: Verb,
        request: Request,
        begun: Instant,
    ) -> Result<Reply, (Admission, Reply)> {
        let (head, body) = request.into_parts();
        head::check(&head).map_err(|reply| (Admission::Malformed, reply))?;
        let time = head
            .uri
            .query()
            .and_then(timeout_parameter)
            .unwrap_or(self.limits.times.default_timeout);
        let time = time.min(self.limits.times.max_timeout);
        let end = begun + time;

        let body_end = end.min(begun + self.limits.times.body);
        let read = timeout_at(
            body_end,
            body::collect(body, self.limits.bytes.body, &self.budget),
        )
        .await;
        let (body, _hold) = match read {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Err(self.unread(error)),
            Err(_) => {
                let reply = Reply::text(
                    StatusCode::REQUEST_TIMEOUT,
                    "timed out reading the request body",
                );
                return Err((Admission::TimedOut, reply));
            }
        };
        let deadline = end - (time / 10).min(MAX_MARGIN);
        let answer = async {
            match verb {
                Verb::Mutate => self.reviews.mutate(body, deadline).await,
                Verb::Validate => self.reviews.validate(body, deadline).await,
            }
        };
        timeout_at(end, answer).await.map_err(|_| {
            let message = format!("sandbox-injector did not decide within {time:?}");
            (
                Admission::TimedOut,
                Reply::status(StatusCode::GATEWAY_TIMEOUT, &message),
            )
        })
    }

    fn unread(&self, error: BodyError) -> (Admission, Reply) {
        match error {
            BodyError::TooLarge => {
                let line = format!(
                    "the request's body is larger than {} bytes",
                    self.limits.bytes.body
                );
                (
                    Admission::Malformed,
                    Reply::text(StatusCode::PAYLOAD_TOO_LARGE, &line),
                )
            }
            BodyError::Overloaded => {
                let message = format!(
                    "sandbox-injector is overloaded: requests in progress already hold {} bytes",
                    self.limits.bytes.in_flight
                );
                (Admission::Overloaded, Reply::overloaded(&message))
            }
            BodyError::Broken => {
                let line = "the request body is truncated or badly framed";
                (
                    Admission::Malformed,
                    Reply::text(StatusCode::BAD_REQUEST, line),
                )
            }
        }
    }
}

/// The time that the API server waits for an answer, from its `timeout=10s`.
fn timeout_parameter(query: &str) -> Option<Duration> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("timeout="))?;
    let GoDuration(time) = value.parse().ok()?;
    Some(time).filter(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("timeout=5s", Some(Duration::from_secs(5)))]
    #[case("a=b&timeout=1m0s", Some(Duration::from_secs(60)))]
    #[case("timeout=500ms", Some(Duration::from_millis(500)))]
    #[case("timeout=1.5s", Some(Duration::from_millis(1500)))]
    #[case("timeout=1h1m1s", Some(Duration::from_secs(3661)))]
    #[case("timeout=0s", None)]
    #[case("timeout=", None)]
    #[case("timeout=5", None)]
    #[case("timeout=-5s", None)]
    #[case("timeout=s", None)]
    #[case("timeout=1e400s", None)]
    #[case("timeout=99999999999999999999h", None)]
    #[case("timeouts=5s", None)]
    fn the_api_servers_timeout_is_read(#[case] query: &str, #[case] expected: Option<Duration>) {
        assert_eq!(timeout_parameter(query), expected);
    }
}
