//! Inputs side by side, each on one thread.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rten::ThreadPool;

/// One thread on which a model runs.
pub(crate) struct Lane {
    pub(super) pool: Arc<ThreadPool>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lane")
    }
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self {
            pool: Arc::new(ThreadPool::with_num_threads(1)),
        }
    }
}

/// `job` of every index below `n`, in order, on as many lanes as there are threads.
pub(crate) fn side_by_side<T: Send>(n: usize, job: impl Fn(usize, &Lane) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(n));
    let work = || {
        let lane = Lane::new();
        // On the lane's own thread, so that a model that runs there does not wait for another.
        lane.pool.run(|| {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= n {
                    break;
                }
                let result = job(index, &lane);
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.push((index, result));
            }
        });
    };
    let n_lanes = rayon::current_num_threads().min(n);
    std::thread::scope(|scope| {
        for _ in 0..n_lanes {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_done_once_and_in_order() {
        let squares = side_by_side(100, |index, _| index * index);
        let expected: Vec<usize> = (0..100).map(|index| index * index).collect();
        assert_eq!(squares, expected);
        assert!(side_by_side(0, |index, _| index).is_empty());
    }
}
