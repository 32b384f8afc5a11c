//! Why something is not answered, as the wire tells it: a stable code, a message and a hint.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why one query, input or pair has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind, which decides code and status.
    pub reason: Reason,
    /// What was found and what was expected.
    pub message: String,
    /// What the caller can do.
    pub hint: String,
}

impl Refusal {
    /// A refusal with its message and its hint.
    pub fn new(reason: Reason, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Kinds of refusals. A code never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The request is not what the route takes.
    BadRequest,
    /// A query that cannot be answered as it is.
    BadQuery,
    /// A filter that cannot be read, or that names a column which is not there.
    BadFilter,
    /// Bytes that are no picture, or one that is not read here.
    BadPicture,
    /// The token is missing or another one.
    Unauthorized,
    /// A page of another site asks.
    CrossSite,
    /// No item of that id, or no picture of it.
    NotFound,
    /// No such route.
    NoRoute,
    /// The route is there, for another method.
    BadMethod,
    /// The client took too long to send its request.
    TooSlow,
    /// More bytes, queries or hits than the server takes.
    TooLarge,
    /// The body is of a type that the route does not take.
    BadMediaType,
    /// A host that this server does not go by.
    BadHost,
    /// The service does not offer this.
    NotOffered,
    /// The client asks more often than it may.
    RateLimited,
    /// The service failed; the request was right.
    Failed,
    /// More is asked than can be answered now, or the server is about to end.
    Busy,
}

impl Reason {
    /// The code on the wire.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// The status of a response that is this refusal.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    fn row(self) -> (&'static str, StatusCode) {
        match self {
            Reason::BadRequest => ("bad_request", StatusCode::BAD_REQUEST),
            Reason::BadQuery => ("bad_query", StatusCode::BAD_REQUEST),
            Reason::BadFilter => ("bad_filter", StatusCode::BAD_REQUEST),
            Reason::BadPicture => ("bad_picture", StatusCode::BAD_REQUEST),
            Reason::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED),
            Reason::CrossSite => ("cross_site", StatusCode::FORBIDDEN),
            Reason::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Reason::NoRoute => ("no_route", StatusCode::NOT_FOUND),
            Reason::BadMethod => ("bad_method", StatusCode::METHOD_NOT_ALLOWED),
            Reason::TooSlow => ("too_slow", StatusCode::REQUEST_TIMEOUT),
            Reason::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Reason::BadMediaType => ("bad_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Reason::BadHost => ("bad_host", StatusCode::MISDIRECTED_REQUEST),
            Reason::NotOffered => ("not_offered", StatusCode::UNPROCESSABLE_ENTITY),
            Reason::RateLimited => ("rate_limited", StatusCode::TOO_MANY_REQUESTS),
            Reason::Failed => ("failed", StatusCode::INTERNAL_SERVER_ERROR),
            Reason::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

/// A refusal as it is sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    error: ProblemDetail,
}

/// What a refusal says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemDetail {
    /// The kind, stable between versions.
    code: &'static str,
    /// What was found and what was expected.
    message: String,
    /// What to do.
    hint: String,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self {
            error: ProblemDetail {
                code: refusal.reason.code(),
                message: refusal.message,
                hint: refusal.hint,
            },
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let reason = self.reason;
        let mut response = (reason.status(), Json(Problem::from(self))).into_response();
        let headers = response.headers_mut();
        match reason {
            Reason::Busy | Reason::RateLimited => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Reason::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What is left of the body is not read, so the connection has no next request.
            Reason::TooLarge | Reason::TooSlow => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
