//! What is answered.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::guard::{self, Guard};
use super::negotiate::wants_open_metrics;
use crate::metrics::{Metrics, not_ready, open_metrics};

const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything else is not found, and another method is not allowed.
pub(super) fn router(metrics: Arc<Metrics>, guard: Guard) -> Router {
    Router::new()
        .route("/metrics", get(serve_metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(serve_ready))
        .with_state(metrics)
        // Before it is looked what is asked for.
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n")
        })
        .layer(middleware::from_fn_with_state(guard, guard::check))
}

async fn serve_metrics(State(metrics): State<Arc<Metrics>>, headers: HeaderMap) -> Response {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepts: Vec<_> = accepts.collect();
    let text = metrics.render();
    if wants_open_metrics(&accepts.join(",")) {
        ([(CONTENT_TYPE, OPEN_METRICS)], open_metrics(&text)).into_response()
    } else {
        ([(CONTENT_TYPE, PLAIN)], text).into_response()
    }
}

async fn serve_ready(State(metrics): State<Arc<Metrics>>) -> Response {
    let reasons = not_ready(metrics.snapshot().as_deref(), Instant::now());
    let is_ready = reasons.is_empty();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({ "ready": is_ready, "reasons": reasons });
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, format!("{body}\n")).into_response()
}
