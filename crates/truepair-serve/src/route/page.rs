//! The pages and their files.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::miss::no_route;
use crate::assets::{DOCS, FILES, HTML, SEARCH};

pub(super) async fn search() -> Response {
    file(HTML, SEARCH)
}

pub(super) async fn docs() -> Response {
    file(HTML, DOCS)
}

pub(super) async fn asset(name: Result<Path<String>, PathRejection>) -> Response {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    match FILES.iter().find(|(own, ..)| *own == name) {
        Some((_, kind, content)) => file(kind, content),
        None => no_route().await.into_response(),
    }
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}
