//! Items one by one, and their pictures.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::refusal::{Problem, Reason, Refusal};
use crate::service::{ItemView, Picture, Service, Side};
use crate::state::Shared;
use crate::thumbnails::{Ready, ThumbnailKey, made_size};

/// Pictures that are shown in place; anything else is sent as bytes to be saved.
const SHOWN: &[&str] = &[
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "image/tiff",
];

/// Which side an item is of.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ItemParams {
    /// The side, images unless given.
    #[serde(default)]
    #[param(required = false)]
    of: Side,
}

/// How a picture is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PictureParams {
    /// Longest side in pixels, rounded up to one of a few sizes; the original bytes when absent.
    #[param(minimum = 1)]
    size: Option<u32>,
    /// The index's version, so that a browser's cache tells two versions apart. Not read.
    #[allow(dead_code, reason = "part of the address only")]
    version: Option<String>,
}

/// Everything that is known of one item.
#[utoipa::path(get, path = "/v1/items/{id}", tag = "items",
    params(("id" = String, Path, description = "The item"), ItemParams),
    responses(
        (status = 200, description = "The item", body = ItemView),
        (status = "4XX", description = "No such item", body = Problem),
    ), security((), ("token" = [])))]
pub(super) async fn item(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    params: Result<Query<ItemParams>, QueryRejection>,
) -> Result<Json<ItemView>, Refusal> {
    let Path(id) = id.map_err(|error| bad_address(error.body_text()))?;
    let Query(params) = params.map_err(|error| bad_address(error.body_text()))?;
    let item = look_up(&shared, move |service| service.item(params.of, &id)).await?;
    item.map(Json).ok_or_else(|| not_found("item"))
}

/// The picture of an image: as it was given, or as a thumbnail.
#[utoipa::path(get, path = "/v1/items/{id}/image", tag = "items",
    params(("id" = String, Path, description = "The image"), PictureParams),
    responses(
        (status = 200, description = "The picture", body = String, content_type = "image/*"),
        (status = "4XX", description = "No such picture", body = Problem),
    ), security((), ("token" = [])))]
pub(super) async fn image(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    params: Result<Query<PictureParams>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Path(id) = id.map_err(|error| bad_address(error.body_text()))?;
    let Query(params) = params.map_err(|error| bad_address(error.body_text()))?;
    let ready = match params.size {
        None => look_up(&shared, move |service| service.picture(&id))
            .await?
            .map(ready),
        Some(0) => return Err(bad_address("size is 0, expected at least 1".to_owned())),
        Some(size) => thumbnail(&shared, id, made_size(size)).await?,
    };
    ready.map(send).ok_or_else(|| not_found("picture"))
}

async fn thumbnail(shared: &Shared, id: String, size: u32) -> Result<Option<Ready>, Refusal> {
    let key = ThumbnailKey {
        version: shared.current.get().description.version.clone(),
        id: id.clone(),
        size,
    };
    let make = async {
        let made = look_up(shared, move |service| service.thumbnail(&id, size)).await?;
        Ok(made.map(ready))
    };
    shared.thumbnails.get(key, make).await
}

/// Asks the service on a thread that may block.
async fn look_up<T: Send + 'static>(
    shared: &Shared,
    act: impl FnOnce(&dyn Service) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let failed = || {
        Refusal::new(
            Reason::Failed,
            "the service failed on this item",
            "this is a defect, please report it",
        )
    };
    let _permit = shared.lookups.acquire().await.map_err(|_| failed())?;
    let service = shared.current.get().service;
    let result = tokio::task::spawn_blocking(move || act(&*service)).await;
    result.unwrap_or_else(|_| Err(failed()))
}

fn ready(picture: Picture) -> Ready {
    Ready {
        bytes: picture.bytes.into(),
        media_type: picture.media_type,
    }
}

fn send(picture: Ready) -> Response {
    let shown = SHOWN.iter().find(|shown| **shown == picture.media_type);
    let mut response = picture.bytes.into_response();
    let headers = response.headers_mut();
    let media_type = shown.copied().unwrap_or("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if shown.is_none() {
        let save = HeaderValue::from_static("attachment");
        headers.insert(header::CONTENT_DISPOSITION, save);
    }
    // Other people's bytes get to do nothing.
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    let caching = HeaderValue::from_static("private, max-age=600");
    headers.insert(header::CACHE_CONTROL, caching);
    response
}

fn not_found(what: &str) -> Refusal {
    Refusal::new(
        Reason::NotFound,
        format!("there is no {what} of this id"),
        "ids are those of the hits of a search",
    )
}

fn bad_address(message: String) -> Refusal {
    Refusal::new(
        Reason::BadRequest,
        message,
        "/openapi.json describes the parameters of every route",
    )
}
