//! Bodies of requests: never more bytes, and never longer, than the settings allow, over all requests together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::refusal::{Reason, Refusal};

/// Memory is counted in pieces of this many bytes.
const PIECE: usize = 1024;

/// How long the rest of a body that is too large is read for, so that its sender sees the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Memory for bodies, shared by all requests.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Semaphore>);

/// A share of that memory, given back when dropped.
#[derive(Default)]
pub(crate) struct Hold(Option<OwnedSemaphorePermit>);

impl Hold {
    /// Pieces that are lacking for `bytes` bytes.
    fn lacks(&self, bytes: usize) -> u32 {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX);
        let held = self.0.as_ref().map_or(0, |permit| permit.num_permits());
        pieces.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX))
    }

    fn grow(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(held) => held.merge(more),
            None => self.0 = Some(more),
        }
    }
}

fn full() -> Refusal {
    Refusal::new(
        Reason::Busy,
        "the server holds as many bodies as it can",
        "ask again in a moment",
    )
}

impl Memory {
    /// Room for `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let pieces = (bytes / PIECE).clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(pieces)))
    }

    /// Makes `hold` cover `bytes` bytes, if there is room.
    fn cover(&self, hold: &mut Hold, bytes: usize) -> Result<(), Refusal> {
        let permit = Arc::clone(&self.0).try_acquire_many_owned(hold.lacks(bytes));
        hold.grow(permit.map_err(|_| full())?);
        Ok(())
    }

    /// Makes `hold` cover `bytes` bytes, once there is room.
    async fn cover_in_turn(&self, hold: &mut Hold, bytes: usize) -> Result<(), Refusal> {
        let permit = Arc::clone(&self.0).acquire_many_owned(hold.lacks(bytes));
        hold.grow(permit.await.map_err(|_| full())?);
        Ok(())
    }
}

/// Reads a whole body of at most `limit` bytes within `patience`.
pub(crate) async fn read(
    mut body: Body,
    limit: usize,
    patience: Duration,
    memory: &Memory,
) -> Result<(Bytes, Hold), Refusal> {
    let whole = timeout(patience, collect(&mut body, limit, memory)).await;
    let result = whole.unwrap_or_else(|_| Err(too_slow(patience)));
    if matches!(&result, Err(refusal) if refusal.reason == Reason::TooLarge) {
        let _ = timeout(LINGER, async {
            while frame(&mut body).await.is_ok_and(|f| f.is_some()) {}
        })
        .await;
    }
    result
}

async fn collect(body: &mut Body, limit: usize, memory: &Memory) -> Result<(Bytes, Hold), Refusal> {
    let mut hold = Hold::default();
    let mut bytes = BytesMut::new();
    while let Some(data) = frame(body).await? {
        if bytes.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        memory.cover(&mut hold, bytes.len() + data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), hold))
}

/// The next bytes of a body; `None` at its end.
async fn frame(body: &mut Body) -> Result<Option<Bytes>, Refusal> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => {
                return Err(Refusal::new(
                    Reason::BadRequest,
                    "the body ended before its end",
                    "send all of it",
                ));
            }
        }
    }
}

/// The lines of a body, one after the other.
pub(crate) struct Lines {
    body: Body,
    rest: BytesMut,
    /// Bytes of `rest` that are known to hold no end of a line.
    searched: usize,
    is_over: bool,
    limit: usize,
    patience: Duration,
    memory: Memory,
}

impl Lines {
    /// The lines of `body`, each of at most `limit` bytes, each within `patience`.
    pub(crate) fn new(body: Body, limit: usize, patience: Duration, memory: Memory) -> Self {
        Self {
            body,
            rest: BytesMut::new(),
            searched: 0,
            is_over: false,
            limit,
            patience,
            memory,
        }
    }

    /// The next line that is not blank, without its end, and the memory it takes; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<(Bytes, Hold)>, Refusal> {
        match timeout(self.patience, self.line()).await {
            Ok(result) => result,
            Err(_) => Err(too_slow(self.patience)),
        }
    }

    async fn line(&mut self) -> Result<Option<(Bytes, Hold)>, Refusal> {
        let mut hold = Hold::default();
        loop {
            let end = self.rest[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            let line = match end {
                Some(end) => {
                    let line = self.rest.split_to(self.searched + end + 1);
                    self.searched = 0;
                    line
                }
                None if self.is_over => {
                    self.searched = 0;
                    self.rest.split()
                }
                None => {
                    self.searched = self.rest.len();
                    if self.searched > self.limit {
                        return Err(too_large(self.limit));
                    }
                    match frame(&mut self.body).await? {
                        Some(data) => {
                            let needed = self.rest.len() + data.len();
                            self.memory.cover_in_turn(&mut hold, needed).await?;
                            self.rest.extend_from_slice(&data);
                        }
                        None => self.is_over = true,
                    }
                    continue;
                }
            };
            if !line.trim_ascii().is_empty() {
                return Ok(Some((line.freeze(), hold)));
            }
            if self.is_over && self.rest.is_empty() {
                return Ok(None);
            }
        }
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        Reason::TooLarge,
        format!("more than {limit} bytes"),
        "send less at once; a picture may be made smaller before it is sent",
    )
}

fn too_slow(patience: Duration) -> Refusal {
    Refusal::new(
        Reason::TooSlow,
        format!("nothing whole came within {} s", patience.as_secs_f64()),
        "send the request without a pause",
    )
}
