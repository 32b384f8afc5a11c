//! Which queries attend together, and the memory that this takes.

/// The contexts of one item against the queries of several items, one item after another: each is
/// attended on its own. Rows are contexts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile<'a> {
    pub(crate) contexts: usize,
    /// Item `i` has the columns `offsets[i]..offsets[i + 1]`, counted from `offsets[0]`.
    pub(crate) offsets: &'a [usize],
    /// Rows of raw inner products and of gradients by them start this far apart.
    pub(crate) raw_stride: usize,
    /// Rows of everything else start this far apart, at least [`padded`](crate::segment::padded) of the columns.
    pub(crate) stride: usize,
}

impl Tile<'_> {
    /// Number of items on the query side.
    pub(crate) fn items(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of queries of all items.
    pub(crate) fn columns(&self) -> usize {
        self.offsets[self.items()] - self.offsets[0]
    }

    /// First column and number of columns of every item.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let first = self.offsets[0];
        (self.offsets.windows(2)).map(move |at| (at[0] - first, at[1] - at[0]))
    }
}

/// Room for the rows that [`Attention`](super::Attention) works with.
#[derive(Debug)]
pub(crate) struct Room {
    pub(super) terms: Vec<f32>,
    pub(super) factors: Vec<f32>,
    /// One number per item.
    pub(super) items: Vec<f32>,
}

impl Room {
    /// For tiles with rows of up to `stride` and up to `items` items.
    pub(crate) fn new(stride: usize, items: usize) -> Self {
        Self {
            terms: vec![0.0; stride],
            factors: vec![0.0; stride],
            items: vec![0.0; items],
        }
    }
}
