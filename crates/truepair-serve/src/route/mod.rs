//! The routes, one file for each kind; `router` is their table.

mod ask;
mod item;
mod miss;
mod openapi;
mod page;
mod question;
mod status;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::guard::guard;
use crate::state::Shared;

/// Every route behind the guard.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/search", post(question::search))
        .route("/v1/search/stream", post(question::search_stream))
        .route("/v1/embed", post(question::embed))
        .route("/v1/embed/stream", post(question::embed_stream))
        .route("/v1/score", post(question::score))
        .route("/v1/score/stream", post(question::score_stream))
        .route("/v1/items/{id}", get(item::item))
        .route("/v1/items/{id}/image", get(item::image))
        .route("/v1/describe", get(status::describe))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .route("/", get(page::search))
        .route("/docs", get(page::docs))
        .route("/assets/{name}", get(page::asset))
        .fallback(miss::no_route)
        .method_not_allowed_fallback(miss::bad_method)
        .layer(CatchPanicLayer::custom(|_| miss::defect()))
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}
