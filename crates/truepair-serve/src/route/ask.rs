//! One request with one question or several: read, checked, put into the lane, and answered.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{Hold, read};
use crate::guard::spend;
use crate::lane::{Lane, ending};
use crate::object::Object;
use crate::refusal::{Problem, Reason, Refusal};
use crate::service::{Ask, Query, Side};
use crate::settings::ServerSettings;
use crate::state::{Ends, Shared};
use crate::task::{QueryBody, Task, checked};

/// One question, or a list of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Asked<B> {
    /// One question; the reply is its answer or an error.
    One(B),
    /// Several; the reply is a list in the same order.
    Several(Vec<B>),
}

/// The answer to one question, or a list of outcomes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Reply<T> {
    /// To one question.
    One(T),
    /// To several, in their order.
    Several(Vec<Outcome<T>>),
}

/// An answer, or why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Outcome<T> {
    /// The answer.
    Done(T),
    /// Why there is none.
    Refused(Problem),
}

impl<T> From<Result<T, Refusal>> for Outcome<T> {
    fn from(result: Result<T, Refusal>) -> Self {
        match result {
            Ok(done) => Outcome::Done(done),
            Err(refusal) => Outcome::Refused(refusal.into()),
        }
    }
}

/// Answers a request of JSON.
pub(crate) async fn ask<T: Task>(shared: &Shared, lane: &Lane<T>, request: Request) -> Response {
    if media_type(request.headers()) != "application/json" {
        return bad_media_type("application/json").into_response();
    }
    let ends = request.extensions().get::<Ends>().copied();
    let settings = &shared.settings;
    let asked = async {
        let body = request.into_body();
        let (bytes, hold) = read(
            body,
            settings.max_body,
            settings.body_timeout,
            &shared.memory,
        )
        .await?;
        Ok((parse::<T::Body>(&bytes)?, hold))
    };
    let (asked, hold) = match asked.await {
        Ok(asked) => asked,
        Err(refusal) => return Refusal::into_response(refusal),
    };
    match asked {
        Asked::One(body) => match one(lane, T::check(body, settings), hold).await {
            Ok(output) => Json(Reply::One(output)).into_response(),
            Err(refusal) => refusal.into_response(),
        },
        Asked::Several(bodies) => {
            let n = bodies.len();
            if n > settings.max_batch {
                return too_many(n, settings.max_batch).into_response();
            }
            if let Some(ends) = ends
                && n > 1
                && let Err(refused) = spend(&shared.budgets, ends, (n - 1) as f64)
            {
                return *refused;
            }
            let checked = bodies.into_iter().map(|body| T::check(body, settings));
            match several(lane, checked.collect(), hold).await {
                Ok(outcomes) => Json(Reply::Several(outcomes)).into_response(),
                Err(refusal) => refusal.into_response(),
            }
        }
    }
}

/// Answers one question that was checked.
pub(crate) async fn one<T: Task>(
    lane: &Lane<T>,
    input: Result<T::Input, Refusal>,
    hold: Hold,
) -> Result<T::Output, Refusal> {
    let results = lane.ask(vec![input?], hold)?.await;
    let first = results.map_err(|_| ending())?.into_iter().next();
    first.unwrap_or_else(|| Err(ending()))
}

/// Answers those questions that stood the check.
async fn several<T: Task>(
    lane: &Lane<T>,
    checked: Vec<Result<T::Input, Refusal>>,
    hold: Hold,
) -> Result<Vec<Outcome<T::Output>>, Refusal> {
    let mut inputs = Vec::new();
    let places: Vec<Option<Refusal>> = checked
        .into_iter()
        .map(|input| input.map(|input| inputs.push(input)).err())
        .collect();
    let answered = match inputs.is_empty() {
        true => Vec::new(),
        false => lane.ask(inputs, hold)?.await.map_err(|_| ending())?,
    };
    let mut answered = answered.into_iter();
    let outcomes = places.into_iter().map(|refused| match refused {
        Some(refusal) => Err(refusal).into(),
        None => answered.next().unwrap_or_else(|| Err(ending())).into(),
    });
    Ok(outcomes.collect())
}

fn parse<B: DeserializeOwned>(bytes: &[u8]) -> Result<Asked<B>, Refusal> {
    // Told apart by its first byte, so that an error is about the fields and not about the alternatives.
    let asked = match bytes.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice::<Vec<Object<B>>>(bytes)
            .map(|bodies| Asked::Several(bodies.into_iter().map(|body| body.0).collect())),
        _ => serde_json::from_slice::<Object<B>>(bytes).map(|body| Asked::One(body.0)),
    };
    asked.map_err(|error| bad_json(&error))
}

/// JSON that is not what the route takes.
pub(crate) fn bad_json(error: &serde_json::Error) -> Refusal {
    Refusal::new(
        Reason::BadRequest,
        error.to_string(),
        "/openapi.json describes the fields of every request",
    )
}

/// The type of a body, without parameters, in small letters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or("");
    essence.trim().to_ascii_lowercase()
}

/// A body of another type than the route takes.
pub(crate) fn bad_media_type(expected: &str) -> Refusal {
    Refusal::new(
        Reason::BadMediaType,
        format!("the body's Content-Type is not {expected}"),
        format!("send it as {expected}"),
    )
}

fn too_many(n: usize, most: usize) -> Refusal {
    Refusal::new(
        Reason::TooLarge,
        format!("a list of {n}, expected at most {most}"),
        "split it, or use the route that ends with /stream",
    )
}

/// A query as a form with a picture's file, as `curl -F image=@dog.jpg` sends it.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "it describes the form; the parts are read one by one"
)]
pub(crate) struct QueryForm {
    /// A picture file.
    #[schema(content_media_type = "application/octet-stream", value_type = Option<String>, nullable = false)]
    image: Option<Vec<u8>>,
    /// Words that say what is looked for.
    #[schema(nullable = false)]
    text: Option<String>,
    /// Id of an item of the index.
    #[schema(nullable = false)]
    like: Option<String>,
    /// What kind of item is wanted.
    #[schema(nullable = false)]
    of: Option<Side>,
    /// Hits wanted, 20 unless given.
    #[schema(nullable = false)]
    top: Option<usize>,
    /// A condition on columns.
    #[schema(nullable = false)]
    filter: Option<String>,
    /// Share of queries, in (0, 1), whose answer set is to hold a right answer.
    #[schema(nullable = false)]
    coverage: Option<f64>,
}

/// Reads a query that came as a form.
pub(crate) async fn query_form(
    shared: &Arc<Shared>,
    request: Request,
) -> Result<(Query, Hold), Refusal> {
    let settings = &shared.settings;
    let (parts, body) = request.into_parts();
    let (bytes, hold) = read(
        body,
        settings.max_body,
        settings.body_timeout,
        &shared.memory,
    )
    .await?;
    let request = Request::from_parts(parts, bytes.into());
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| bad_form(error.body_text()))?;
    let mut body = QueryBody::default();
    let mut image = None;
    let mut names: Vec<String> = Vec::new();
    while let Some(field) = form
        .next_field()
        .await
        .map_err(|error| bad_form(error.body_text()))?
    {
        let name = field.name().unwrap_or_default().to_owned();
        // Either part may be meant, as with a key of JSON that stands twice.
        if names.contains(&name) {
            return Err(bad_form(format!("the part `{name}` stands there twice")));
        }
        let value = field.bytes().await;
        let value = value.map_err(|error| bad_form(error.body_text()))?;
        match name.as_str() {
            "image" => image = Some(value),
            name => set(&mut body, name, &value)?,
        }
        names.push(name);
    }
    Ok((form_query(body, image, settings)?, hold))
}

fn form_query(
    mut body: QueryBody,
    image: Option<Bytes>,
    settings: &ServerSettings,
) -> Result<Query, Refusal> {
    let Some(image) = image else {
        return crate::task::Search::check(body, settings);
    };
    if image.is_empty() {
        return Err(Refusal::new(
            Reason::BadPicture,
            "`image` is empty",
            "send a picture file",
        ));
    }
    if body.text.is_some() || body.like.is_some() {
        return Err(bad_form(
            "`image` stands beside `text` or `like`".to_owned(),
        ));
    }
    // The rest is checked as that of a query by words.
    body.text = Some("image".to_owned());
    let query = crate::task::Search::check(body, settings)?;
    checked(
        Query {
            ask: Ask::Image(image.to_vec()),
            ..query
        },
        settings,
    )
}

fn set(body: &mut QueryBody, name: &str, value: &[u8]) -> Result<(), Refusal> {
    let text = std::str::from_utf8(value)
        .map_err(|_| bad_form(format!("the part `{name}` is not UTF-8")))?
        .to_owned();
    let bad = |expected: &str| bad_form(format!("`{name}` is `{text}`, expected {expected}"));
    match name {
        "top" => body.top = Some(text.parse().map_err(|_| bad("a whole number"))?),
        "coverage" => body.coverage = Some(text.parse().map_err(|_| bad("a number"))?),
        "of" => {
            body.of = match text.as_str() {
                "images" => Side::Images,
                "captions" => Side::Captions,
                _ => return Err(bad("images or captions")),
            }
        }
        "text" => body.text = Some(text),
        "like" => body.like = Some(text),
        "filter" => body.filter = Some(text),
        _ => return Err(bad_form(format!("no part is named `{name}`"))),
    }
    Ok(())
}

fn bad_form(message: String) -> Refusal {
    Refusal::new(
        Reason::BadRequest,
        message,
        "a form has the parts image, or text, or like; and of, top, filter, coverage",
    )
}
