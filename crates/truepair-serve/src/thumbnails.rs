//! Small pictures, each made once and kept while there is room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::refusal::Refusal;

/// Sizes that are made: the next larger one answers a request, so that nobody fills the cache with one picture.
const SIZES: &[u32] = &[96, 192, 320, 480, 640, 960, 1280];

/// What a place is remembered to take besides the picture.
const OVERHEAD: usize = 256;

/// The size that is made for a wish.
pub(crate) fn made_size(wish: u32) -> u32 {
    let larger = SIZES.iter().find(|size| **size >= wish);
    *larger.unwrap_or(&SIZES[SIZES.len() - 1])
}

/// Which thumbnail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ThumbnailKey {
    pub(crate) version: String,
    pub(crate) id: String,
    pub(crate) size: u32,
}

/// A picture ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: String,
}

/// What is kept.
pub(crate) struct Thumbnails {
    capacity: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    places: HashMap<ThumbnailKey, Place>,
    taken: usize,
    tick: u64,
}

struct Place {
    cell: Arc<OnceCell<Option<Ready>>>,
    bytes: usize,
    used: u64,
}

impl Thumbnails {
    /// Keeps at most `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            shelf: Mutex::default(),
        }
    }

    /// The thumbnail of `key`, made by `make` unless it is kept. Several who ask at once wait for one making; a
    /// failure is not kept.
    pub(crate) async fn get<F>(&self, key: ThumbnailKey, make: F) -> Result<Option<Ready>, Refusal>
    where
        F: Future<Output = Result<Option<Ready>, Refusal>>,
    {
        let cell = self.locked(|shelf| shelf.cell(&key));
        let result = cell.get_or_try_init(|| make).await.cloned();
        self.locked(|shelf| {
            match &result {
                Ok(ready) => shelf.keep(&key, ready.as_ref().map_or(0, |ready| ready.bytes.len())),
                Err(_) => shelf.forget(&key, &cell),
            }
            shelf.shrink(self.capacity);
        });
        result
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Shelf) -> T) -> T {
        act(&mut self.shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shelf {
    fn cell(&mut self, key: &ThumbnailKey) -> Arc<OnceCell<Option<Ready>>> {
        self.tick += 1;
        let used = self.tick;
        if let Some(place) = self.places.get_mut(key) {
            place.used = used;
            return Arc::clone(&place.cell);
        }
        let cell = Arc::new(OnceCell::new());
        let place = Place {
            cell: Arc::clone(&cell),
            bytes: OVERHEAD,
            used,
        };
        self.taken += OVERHEAD;
        self.places.insert(key.clone(), place);
        cell
    }

    fn keep(&mut self, key: &ThumbnailKey, bytes: usize) {
        if let Some(place) = self.places.get_mut(key) {
            self.taken = self.taken - place.bytes + bytes + OVERHEAD;
            place.bytes = bytes + OVERHEAD;
        }
    }

    /// Forgets a place without a picture, unless another request has made one meanwhile.
    fn forget(&mut self, key: &ThumbnailKey, cell: &Arc<OnceCell<Option<Ready>>>) {
        if cell.initialized() {
            return;
        }
        if let Some(place) = self.places.get(key)
            && Arc::ptr_eq(&place.cell, cell)
        {
            self.taken -= place.bytes;
            self.places.remove(key);
        }
    }

    /// Drops what was not asked for the longest, a tenth more than needed, so that this is not done each time.
    fn shrink(&mut self, capacity: usize) {
        if self.taken <= capacity {
            return;
        }
        let mut by_age: Vec<(u64, ThumbnailKey)> = self
            .places
            .iter()
            .map(|(key, place)| (place.used, key.clone()))
            .collect();
        by_age.sort_by_key(|(used, _)| *used);
        for (_, key) in by_age {
            if self.taken <= capacity - capacity / 10 {
                break;
            }
            if let Some(place) = self.places.remove(&key) {
                self.taken -= place.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::refusal::Reason;

    fn key(id: usize) -> ThumbnailKey {
        ThumbnailKey {
            version: "1".to_owned(),
            id: id.to_string(),
            size: 96,
        }
    }

    fn ready(n: usize) -> Option<Ready> {
        Some(Ready {
            bytes: vec![0; n].into(),
            media_type: "image/png".to_owned(),
        })
    }

    #[tokio::test]
    async fn a_thumbnail_is_made_once_and_a_failure_is_not_kept() {
        let thumbnails = Thumbnails::new(1 << 20);
        let made = AtomicUsize::new(0);
        let fail = async { Err(Refusal::new(Reason::Failed, "no", "again")) };
        assert!(thumbnails.get(key(1), fail).await.is_err());
        let make = || async {
            made.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(ready(10))
        };
        let (a, b) = tokio::join!(
            thumbnails.get(key(1), make()),
            thumbnails.get(key(1), make())
        );
        assert!(a.unwrap().is_some() && b.unwrap().is_some());
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn the_longest_unused_go_first() {
        let thumbnails = Thumbnails::new(10_000);
        for id in 0..30 {
            thumbnails
                .get(key(0), async { Ok(ready(744)) })
                .await
                .unwrap();
            thumbnails
                .get(key(id), async { Ok(ready(744)) })
                .await
                .unwrap();
        }
        let shelf = thumbnails.shelf.lock().unwrap();
        assert!(shelf.taken <= 10_000, "{}", shelf.taken);
        assert_eq!(shelf.taken, 1000 * shelf.places.len());
        assert!(shelf.places.contains_key(&key(0)) && shelf.places.contains_key(&key(29)));
        assert!(!shelf.places.contains_key(&key(1)));
    }

    #[test]
    fn a_wish_is_rounded_up_to_what_is_made() {
        assert_eq!(
            (made_size(1), made_size(97), made_size(99_999)),
            (96, 192, 1280)
        );
    }
}
