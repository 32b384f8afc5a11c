//! Search, embedding and scores: six routes over three lanes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};

use super::ask::{Asked, Outcome, QueryForm, Reply, ask, media_type, one, query_form};
use super::stream::stream;
use crate::refusal::Problem;
use crate::service::{Answer, PairScore};
use crate::state::Shared;
use crate::task::{EmbedBody, Embedding, PairBody, QueryBody};

/// Finds images or captions: by words, by a picture, or like an item.
#[utoipa::path(post, path = "/v1/search", tag = "questions",
    request_body(content(
        (Asked<QueryBody> = "application/json"),
        (QueryForm = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "The hits, best first", body = Reply<Answer>),
        (status = "4XX", description = "The request cannot be answered", body = Problem),
        (status = 503, description = "Too much is asked; come again", body = Problem),
    ), security((), ("token" = [])))]
pub(super) async fn search(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if media_type(request.headers()) != "multipart/form-data" {
        return ask(&shared, &shared.search, request).await;
    }
    match query_form(&shared, request).await {
        Ok((query, hold)) => match one(&shared.search, Ok(query), hold).await {
            Ok(answer) => Json(answer).into_response(),
            Err(refusal) => refusal.into_response(),
        },
        Err(refusal) => refusal.into_response(),
    }
}

/// Searches line by line: one question in each line, one answer in each line, in order.
#[utoipa::path(post, path = "/v1/search/stream", tag = "streams",
    request_body(content = QueryBody, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "A line for each line", body = Outcome<Answer>, content_type = "application/x-ndjson"),
        (status = "4XX", description = "The request cannot be answered", body = Problem),
    ), security((), ("token" = [])))]
pub(super) async fn search_stream(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    stream(shared, |shared| &shared.search, request)
}

/// Embeds texts and pictures.
#[utoipa::path(post, path = "/v1/embed", tag = "questions",
    request_body = Asked<EmbedBody>,
    responses(
        (status = 200, description = "The embeddings", body = Reply<Embedding>),
        (status = "4XX", description = "The request cannot be answered", body = Problem),
        (status = 503, description = "Too much is asked; come again", body = Problem),
    ), security((), ("token" = [])))]
pub(super) async fn embed(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    ask(&shared, &shared.embed, request).await
}

/// Embeds line by line.
#[utoipa::path(post, path = "/v1/embed/stream", tag = "streams",
    request_body(content = EmbedBody, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "A line for each line", body = Outcome<Embedding>, content_type = "application/x-ndjson"),
        (status = "4XX", description = "The request cannot be answered", body = Problem),
    ), security((), ("token" = [])))]
pub(super) async fn embed_stream(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    stream(shared, |shared| &shared.embed, request)
}

/// Scores pairs of an image and a caption.
#[utoipa::path(post, path = "/v1/score", tag = "questions",
    request_body = Asked<PairBody>,
    responses(
        (status = 200, description = "The scores", body = Reply<PairScore>),
        (status = "4XX", description = "The request cannot be answered", body = Problem),
        (status = 503, description = "Too much is asked; come again", body = Problem),
    ), security((), ("token" = [])))]
pub(super) async fn score(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    ask(&shared, &shared.score, request).await
}

/// Scores line by line.
#[utoipa::path(post, path = "/v1/score/stream", tag = "streams",
    request_body(content = PairBody, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "A line for each line", body = Outcome<PairScore>, content_type = "application/x-ndjson"),
        (status = "4XX", description = "The request cannot be answered", body = Problem),
    ), security((), ("token" = [])))]
pub(super) async fn score_stream(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    stream(shared, |shared| &shared.score, request)
}
