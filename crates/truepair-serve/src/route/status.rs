//! How the server is, for people's tools: what it holds, whether it is well, what it counted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::lane::ending;
use crate::refusal::{Problem, Refusal};
use crate::service::Description;
use crate::state::Shared;

/// What is served, and what may be asked.
#[utoipa::path(get, path = "/v1/describe", tag = "server",
    responses((status = 200, description = "The description", body = Description)),
    security((), ("token" = [])))]
pub(super) async fn describe(State(shared): State<Arc<Shared>>) -> Json<Description> {
    Json((*shared.current.get().description).clone())
}

/// Whether the server is alive.
#[utoipa::path(get, path = "/healthz", tag = "server",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the server takes requests.
#[utoipa::path(get, path = "/readyz", tag = "server",
    responses(
        (status = 200, description = "It does", body = String, content_type = "text/plain"),
        (status = 503, description = "It is about to end", body = Problem),
    ))]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<&'static str, Refusal> {
    if *shared.is_stopping.borrow() {
        return Err(ending());
    }
    Ok("ok\n")
}

/// What the server counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "server",
    responses((status = 200, description = "Counters, gauges and histograms", body = String, content_type = "text/plain")),
    security((), ("token" = [])))]
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let description = shared.current.get().description;
    let text = shared.metrics.render(&description, shared.waiting());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text)
}
