//! JSON lines in, JSON lines out, in order: as many questions as a client likes, at the server's pace.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::ask::{Outcome, bad_json, bad_media_type, media_type};
use crate::body::{Hold, Lines};
use crate::lane::{Lane, Results, ending};
use crate::object::Object;
use crate::refusal::Refusal;
use crate::state::{Ends, Shared};
use crate::task::Task;

/// The type of JSON lines.
const LINES: &str = "application/x-ndjson";

/// A line that is being answered.
enum Pending<T: Task> {
    Asked(oneshot::Receiver<Results<T>>),
    Refused(Refusal),
}

/// Answers a request of JSON lines. `lane` picks the lane out of what is shared.
pub(crate) fn stream<T: Task>(
    shared: Arc<Shared>,
    lane: fn(&Shared) -> &Lane<T>,
    request: Request,
) -> Response {
    if !matches!(
        media_type(request.headers()).as_str(),
        LINES | "application/jsonl"
    ) {
        return bad_media_type(LINES).into_response();
    }
    let Some(ends) = request.extensions().get::<Ends>().copied() else {
        return ending().into_response();
    };
    // As many lines wait as make a batch.
    let (sender, receiver) = mpsc::channel(shared.settings.max_batch);
    let lines = Lines::new(
        request.into_body(),
        shared.settings.max_body,
        shared.settings.body_timeout,
        shared.memory.clone(),
    );
    tokio::spawn(async move {
        let mut is_stopping = shared.is_stopping.clone();
        let last = tokio::select! {
            last = take_lines(&shared, lane(&shared), ends, lines, &sender) => last,
            _ = is_stopping.wait_for(|stopping| *stopping) => Some(ending()),
        };
        if let Some(refusal) = last {
            // A client that is gone needs no reason.
            let _ = sender.send(Pending::Refused(refusal)).await;
        }
    });
    let body = Body::from_stream(unfold(receiver, |mut receiver| async {
        let line = answer::<T>(receiver.recv().await?).await;
        Some((Ok::<_, Infallible>(line), receiver))
    }));
    ([(header::CONTENT_TYPE, LINES)], body).into_response()
}

/// Asks line by line; why it ended before the last line.
async fn take_lines<T: Task>(
    shared: &Shared,
    lane: &Lane<T>,
    ends: Ends,
    mut lines: Lines,
    sender: &mpsc::Sender<Pending<T>>,
) -> Option<Refusal> {
    loop {
        // Asked for first, so that no line is read whose answer nobody could take.
        let place = sender.reserve().await.ok()?;
        let (line, hold) = match lines.next().await {
            Ok(line) => line?,
            Err(refusal) => return Some(refusal),
        };
        while let Err(wait) = shared.budgets.take(ends.remote.ip(), 1.0) {
            sleep(wait).await;
        }
        place.send(match ask(shared, lane, &line, hold).await {
            Ok(results) => Pending::Asked(results),
            Err(refusal) => Pending::Refused(refusal),
        });
    }
}

async fn ask<T: Task>(
    shared: &Shared,
    lane: &Lane<T>,
    line: &[u8],
    hold: Hold,
) -> Result<oneshot::Receiver<Results<T>>, Refusal> {
    let Object(body) = serde_json::from_slice(line).map_err(|error| bad_json(&error))?;
    let input = T::check(body, &shared.settings)?;
    lane.ask_in_turn(vec![input], hold).await
}

async fn answer<T: Task>(pending: Pending<T>) -> Bytes {
    let result = match pending {
        Pending::Refused(refusal) => Err(refusal),
        Pending::Asked(results) => match results.await {
            Ok(results) => results.into_iter().next().unwrap_or_else(|| Err(ending())),
            Err(_) => Err(ending()),
        },
    };
    let outcome: Outcome<T::Output> = result.into();
    let mut line = serde_json::to_vec(&outcome).unwrap_or_default();
    line.push(b'\n');
    line.into()
}
