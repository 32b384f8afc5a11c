//! The description of the API, made from the handlers and types that it describes.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, OneOfBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{item, question, status};

static TEXT: LazyLock<String> = LazyLock::new(|| {
    // The types come from this crate, so the description is the same every time; a test reads it.
    Api::openapi().to_json().unwrap_or_default()
});

#[derive(OpenApi)]
#[openapi(
    info(
        title = "truepair",
        description = "Search over images and captions, with probabilities."
    ),
    paths(
        question::search,
        question::embed,
        question::score,
        question::search_stream,
        question::embed_stream,
        question::score_stream,
        item::item,
        item::image,
        status::describe,
        status::healthz,
        status::readyz,
        status::metrics,
    ),
    tags(
        (name = "questions", description = "One question as an object, or several as a list. What arrives together is answered together."),
        (name = "streams", description = "JSON lines in, JSON lines out, in order. Read while you write: answers are not kept for you."),
        (name = "items", description = "What was found, one by one."),
        (name = "server", description = "What is served, and how it is."),
    ),
    modifiers(&Token, &Alternatives)
)]
struct Api;

/// How a token is sent, for servers that ask for one.
struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Fields of which a body has exactly one, which the types alone do not say.
struct Alternatives;

const ALTERNATIVES: &[(&str, &[&[&str]])] = &[
    ("QueryBody", &[&["text", "image", "like"]]),
    ("QueryForm", &[&["text", "image", "like"]]),
    ("EmbedBody", &[&["text", "image"]]),
    (
        "PairBody",
        &[&["image", "image_id"], &["caption", "caption_id"]],
    ),
];

impl Modify for Alternatives {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let Some(components) = &mut openapi.components else {
            return;
        };
        for (name, choices) in ALTERNATIVES {
            let Some(fields) = components.schemas.remove(*name) else {
                continue;
            };
            let mut all = AllOfBuilder::new().item(fields);
            for choice in *choices {
                let one = choice.iter().fold(OneOfBuilder::new(), |one, field| {
                    one.item(ObjectBuilder::new().required(*field))
                });
                all = all.item(one);
            }
            components.schemas.insert((*name).to_owned(), all.into());
        }
    }
}

pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}
