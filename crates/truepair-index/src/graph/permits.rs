//! No more searches in a graph at once than it has room for.

use std::sync::{Condvar, Mutex, PoisonError};

/// Places that searches take and give back.
#[derive(Debug)]
pub(super) struct Permits {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// A place that is given back when this is dropped.
pub(super) struct Permit<'a>(&'a Permits);

impl Permits {
    pub(super) fn new(n: usize) -> Self {
        Self {
            free: Mutex::new(n),
            given_back: Condvar::new(),
        }
    }

    /// Waits for a place.
    pub(super) fn take(&self) -> Permit<'_> {
        // A count is whole whatever happened to who held the lock.
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = (self.given_back.wait_while(free, |free| *free == 0))
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.given_back.notify_one();
    }
}
