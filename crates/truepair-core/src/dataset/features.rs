//! Feature rows, in memory or mapped from a file larger than memory.

use crate::error::Result;

/// Feature vectors `[n, d]` or `[n, regions, d]`.
#[derive(Debug, Clone)]
pub struct Features {}

impl Features {
    /// Number of rows.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Copies row `index` as `f32` into `out` `[regions * d]`.
    pub fn copy_row(&self, index: usize, out: &mut [f32]) -> Result<()> {
        let _ = (index, out);
        todo!()
    }
}
