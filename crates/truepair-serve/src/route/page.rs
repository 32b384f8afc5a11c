//! The pages and their files, carried in the program.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::miss::no_route;

/// Files of the pages: name, type, content.
const FILES: &[(&str, &str, &str)] = &[
    ("base.css", CSS, include_str!("../../assets/base.css")),
    ("search.css", CSS, include_str!("../../assets/search.css")),
    ("docs.css", CSS, include_str!("../../assets/docs.css")),
    ("theme.js", JS, include_str!("../../assets/theme.js")),
    ("server.js", JS, include_str!("../../assets/server.js")),
    ("query.js", JS, include_str!("../../assets/query.js")),
    ("results.js", JS, include_str!("../../assets/results.js")),
    ("detail.js", JS, include_str!("../../assets/detail.js")),
    ("search.js", JS, include_str!("../../assets/search.js")),
    ("docs.js", JS, include_str!("../../assets/docs.js")),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../../assets/icon.svg"),
    ),
];

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

pub(super) async fn search() -> Response {
    file(HTML, include_str!("../../assets/search.html"))
}

pub(super) async fn docs() -> Response {
    file(HTML, include_str!("../../assets/docs.html"))
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
