//! Probes and metrics over plain HTTP: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::reply::{not_found, wrong_method};
use crate::metrics::{self, Metrics};
use crate::readiness::Readiness;

/// The routes of the plain listener.
pub(super) fn router(readiness: Readiness, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || readyz(&readiness)))
        .route("/metrics", get(async move || metrics_text(&metrics)))
        .fallback(async |uri: Uri| not_found(&uri, "GET /livez, /readyz or /metrics"))
        .method_not_allowed_fallback(wrong_method)
}

fn readyz(readiness: &Readiness) -> Response {
    match readiness.check() {
        Ok(()) => "ok\n".into_response(),
        Err(reasons) => (StatusCode::SERVICE_UNAVAILABLE, reasons).into_response(),
    }
}

fn metrics_text(metrics: &Metrics) -> Response {
    (
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)],
        metrics.text(),
    )
        .into_response()
}
