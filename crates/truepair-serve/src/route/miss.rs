//! Requests that no route takes, and those that a route fails on.

use axum::response::{IntoResponse, Response};

use crate::refusal::{Reason, Refusal};

pub(super) async fn no_route() -> Refusal {
    Refusal::new(
        Reason::NoRoute,
        "there is nothing at this path",
        "/openapi.json lists every route",
    )
}

pub(super) async fn bad_method() -> Refusal {
    Refusal::new(
        Reason::BadMethod,
        "this path takes another method",
        "/openapi.json lists every route with its methods",
    )
}

pub(super) fn defect() -> Response {
    Refusal::new(
        Reason::Failed,
        "the server failed on this request",
        "this is a defect, please report it",
    )
    .into_response()
}
