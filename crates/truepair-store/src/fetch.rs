//! Objects into the cache: several at a time, in pieces, with another try where a connection broke off.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;
use truepair_core::watch::Watch;

use crate::cache::Cache;
use crate::error::{Cause, StoreError};
use crate::object::RemoteObject;
use crate::part::Part;
use crate::source::Source;
use crate::traffic::{AT_ONCE, Attempts};

/// Wait for another program that fetches the same object.
const OTHERS_WAIT: Duration = Duration::from_millis(200);

/// One fetch of several objects.
pub(crate) struct Fetch<'a> {
    source: &'a Source,
    cache: &'a Cache,
    progress: RefCell<Progress<'a>>,
}

struct Progress<'a> {
    watch: &'a mut dyn Watch,
    /// Bytes.
    done: u64,
    total: u64,
}

/// What the progress counts: bars show whole numbers.
const UNIT: u64 = 1_000_000;

impl<'a> Fetch<'a> {
    pub(crate) fn new(source: &'a Source, cache: &'a Cache, watch: &'a mut dyn Watch) -> Self {
        let progress = RefCell::new(Progress {
            watch,
            done: 0,
            total: 0,
        });
        Self {
            source,
            cache,
            progress,
        }
    }

    /// Fetches the objects that the cache does not hold; returns how many bytes came.
    ///
    /// # Errors
    /// If one cannot be fetched; what is whole stays.
    pub(crate) async fn all(&self, objects: &[RemoteObject]) -> Result<u64, StoreError> {
        let missing = objects.iter().filter(|object| !self.cache.holds(object));
        let missing: Vec<&RemoteObject> = missing.collect();
        self.progress.borrow_mut().total = missing.iter().filter_map(|object| object.size).sum();
        let missing = stream::iter(missing.into_iter().map(Ok));
        let fetched = missing.try_for_each_concurrent(AT_ONCE, |object| self.one(object));
        fetched.await?;
        let mut progress = self.progress.borrow_mut();
        // The last report ends the bar.
        progress.total = progress.done;
        progress.report();
        Ok(progress.done)
    }

    async fn one(&self, object: &RemoteObject) -> Result<(), StoreError> {
        let place = self.cache.place(object);
        let path = place.with_extension("part");
        // Another program may fetch the same object just now.
        let (part, missing) = loop {
            if self.cache.holds(object) {
                return Ok(());
            }
            match Part::open(&path, object.size.unwrap_or(0))? {
                Some(opened) => break opened,
                None => sleep(OTHERS_WAIT).await,
            }
        };
        let part = if object.reads_ranges {
            let part = Rc::new(part);
            let pieces = stream::iter(missing.into_iter().map(Ok));
            let fetched = pieces.try_for_each_concurrent(AT_ONCE, |piece| {
                let part = Rc::clone(&part);
                async move { self.piece(object, &part, piece).await }
            });
            fetched.await?;
            Rc::into_inner(part).expect("every piece has ended")
        } else {
            self.whole(object, part).await?
        };
        part.finish(&place)
    }

    /// Fetches a piece; after an interruption the rest of it.
    async fn piece(
        &self,
        object: &RemoteObject,
        part: &Rc<Part>,
        piece: u64,
    ) -> Result<(), StoreError> {
        let mut left = part.range(piece);
        let mut attempts = Attempts::default();
        while !left.is_empty() {
            let before = left.start;
            let read = self.read(object, part, &mut left).await;
            if left.start > before {
                attempts = Attempts::default();
            }
            if let Err(error) = read {
                attempts.after(error).await?;
            }
        }
        part.keep(piece)
    }

    /// Writes what comes of `left`, and moves its start along.
    async fn read(
        &self,
        object: &RemoteObject,
        part: &Part,
        left: &mut Range<u64>,
    ) -> Result<(), StoreError> {
        let mut bytes = self.source.read(object, Some(left.clone())).await?;
        while let Some(bytes) = bytes.next().await {
            let bytes = bytes?;
            let length = bytes.len() as u64;
            if length > left.end - left.start {
                return Err(longer(object));
            }
            part.write(left.start, &bytes)?;
            left.start += length;
            self.advance(object, length)?;
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(broken_off(object))
    }

    /// Fetches an object of which no ranges can be read, from its beginning at every attempt.
    async fn whole(&self, object: &RemoteObject, mut part: Part) -> Result<Part, StoreError> {
        let mut attempts = Attempts::default();
        loop {
            let mut got = 0;
            match self.read_whole(object, &part, &mut got).await {
                Ok(()) => {
                    part.set_size(got)?;
                    return Ok(part);
                }
                Err(error) => {
                    self.progress.borrow_mut().done -= got;
                    attempts.after(error).await?;
                }
            }
        }
    }

    async fn read_whole(
        &self,
        object: &RemoteObject,
        part: &Part,
        got: &mut u64,
    ) -> Result<(), StoreError> {
        // Nothing is asked for where nothing is.
        if object.size == Some(0) {
            return Ok(());
        }
        let mut bytes = self.source.read(object, None).await?;
        while let Some(bytes) = bytes.next().await {
            let bytes = bytes?;
            part.write(*got, &bytes)?;
            *got += bytes.len() as u64;
            self.advance(object, bytes.len() as u64)?;
        }
        match object.size {
            Some(size) if *got < size => Err(broken_off(object)),
            Some(size) if *got > size => Err(longer(object)),
            _ => Ok(()),
        }
    }

    fn advance(&self, object: &RemoteObject, bytes: u64) -> Result<(), StoreError> {
        let mut progress = self.progress.borrow_mut();
        progress.done += bytes;
        progress.report();
        if progress.watch.is_stopped() {
            let problem = "the fetch was stopped before its end";
            return Err(StoreError::address(
                &object.address,
                problem,
                "run the same command again",
            ));
        }
        Ok(())
    }
}

impl Progress<'_> {
    fn report(&mut self) {
        let (done, total) = (self.done.div_ceil(UNIT), self.total.div_ceil(UNIT));
        if total > 0 {
            self.watch.advance("fetch (MB)", done.min(total), total);
        }
    }
}

fn broken_off(object: &RemoteObject) -> StoreError {
    let problem = "the connection broke off";
    StoreError::new(
        Cause::Passing,
        &object.address,
        problem,
        "run the same command again",
    )
}

fn longer(object: &RemoteObject) -> StoreError {
    StoreError::address(
        &object.address,
        "the server sends more bytes than it said",
        "check what lies there",
    )
}
