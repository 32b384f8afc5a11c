//! How much memory is held, and the most that was.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes after which memory is refused, so that a find does not take the machine with it.
const MOST: usize = 4 << 30;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Begins a new peak and returns the bytes that are held already.
pub(crate) fn start() -> usize {
    let held = HELD.load(Ordering::Relaxed);
    PEAK.store(held, Ordering::Relaxed);
    held
}

/// The most bytes that were held since [`start`].
pub(crate) fn peak() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// The system's allocator, counted.
pub(crate) struct Gauge;

impl Gauge {
    /// Counts `size` more bytes; `false` where they are too many.
    fn take(size: usize) -> bool {
        let held = HELD.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        if held > MOST {
            HELD.fetch_sub(size, Ordering::Relaxed);
            return false;
        }
        PEAK.fetch_max(held, Ordering::Relaxed);
        true
    }

    fn give(size: usize) {
        HELD.fetch_sub(size, Ordering::Relaxed);
    }

    /// What `allocate` gives, counted.
    fn counted(size: usize, allocate: impl FnOnce() -> *mut u8) -> *mut u8 {
        if !Self::take(size) {
            return null_mut();
        }
        let place = allocate();
        if place.is_null() {
            Self::give(size);
        }
        place
    }
}

// SAFETY: every call goes to the system's allocator with the same arguments, or returns null, which
// says that there is no memory.
unsafe impl GlobalAlloc for Gauge {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        Self::counted(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        Self::counted(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::give(layout.size());
        // SAFETY: as above; `place` came from the system's allocator.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; `place` came from the system's allocator.
        let grown = Self::counted(size, || unsafe { System.realloc(place, layout, size) });
        if !grown.is_null() {
            Self::give(layout.size());
        }
        grown
    }
}
