//! All rows of a gallery in blocks, and the blocks in as many tasks as threads can share.

use crate::bitmap::Bitmap;
use crate::segment::Part;

/// Tasks for each thread of the pool, so that a slow one does not keep the others waiting.
const TASKS_PER_THREAD: usize = 4;

/// The rows that are searched.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) dim: usize,
    pub(crate) parts: &'a [Part],
    /// The first row of each part.
    pub(crate) starts: &'a [usize],
    /// Rows that may be hits; all where there is none.
    pub(crate) allowed: Option<&'a Bitmap>,
}

/// Some rows of one part.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowBlock {
    pub(super) part: usize,
    /// The first row inside the part.
    pub(super) first: usize,
    pub(super) n: usize,
    /// The first row in the gallery.
    pub(super) row: usize,
}

impl<'a> Rows<'a> {
    /// The blocks that hold allowed rows, of at most `size` rows, in order.
    pub(super) fn blocks(&self, size: usize) -> Vec<RowBlock> {
        let mut blocks = Vec::new();
        for (part, &start) in self.starts.iter().enumerate() {
            let n = self.parts[part].n();
            for first in (0..n).step_by(size) {
                let block = RowBlock {
                    part,
                    first,
                    n: size.min(n - first),
                    row: start + first,
                };
                if self.n_allowed(block) > 0 {
                    blocks.push(block);
                }
            }
        }
        blocks
    }

    /// Allowed rows of a block.
    pub(super) fn n_allowed(&self, block: RowBlock) -> usize {
        let range = block.row..block.row + block.n;
        self.allowed
            .map_or(block.n, |allowed| allowed.count_in(range))
    }

    /// Whether a row of the gallery may be a hit.
    pub(super) fn allows(&self, row: usize) -> bool {
        self.allowed.is_none_or(|allowed| allowed.contains(row))
    }

    /// The part of a row of the gallery, and its row there.
    pub(crate) fn place(&self, row: usize) -> (&'a Part, usize) {
        let part = self.starts.partition_point(|start| *start <= row) - 1;
        (&self.parts[part], row - self.starts[part])
    }
}

/// How many blocks of `n` one task takes.
pub(super) fn blocks_per_task(n: usize) -> usize {
    n.div_ceil(rayon::current_num_threads() * TASKS_PER_THREAD)
        .max(1)
}
