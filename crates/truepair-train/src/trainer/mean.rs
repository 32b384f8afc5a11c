//! A running mean.

/// A running mean weighted by counts.
#[derive(Debug, Default)]
pub(super) struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    pub(super) fn add(&mut self, mean: f64, count: usize) {
        self.sum += mean * count as f64;
        self.count += count;
    }

    pub(super) fn value(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}
