//! One number per query: what is left of a context once its direction is not needed.

use super::Pool;
use super::attention::Tile;

/// The cosine divides by at least this.
const GUARD: f32 = 1e-8;

/// Rows of one number per query. Every method is to be inlined into
/// [`wide`](super::vector::wide).
#[derive(Debug)]
pub(crate) struct Columns {
    /// `Σ_c e_c`
    pub(crate) sums: Vec<f32>,
    /// `Σ_c e_c raw_c`
    dots: Vec<f32>,
    /// `eᵀ G e`
    squares: Vec<f32>,
    /// Cosine with the context.
    cosines: Vec<f32>,
    /// Gradient by the cosine; going forward, room.
    slopes: Vec<f32>,
    /// Factors of `raw`, of `G e` and of 1 in the gradient by `e`.
    factors: [Vec<f32>; 3],
    /// Room for one number per item.
    items: Vec<f32>,
}

impl Columns {
    /// For rows of `stride` and up to `items` items.
    pub(crate) fn new(stride: usize, items: usize) -> Self {
        let row = || vec![0.0; stride];
        Self {
            sums: row(),
            dots: row(),
            squares: row(),
            cosines: row(),
            slopes: row(),
            factors: [row(), row(), row()],
            items: vec![0.0; items],
        }
    }

    /// Fills `dots` from numerators `e` and raw inner products.
    #[inline(always)]
    pub(crate) fn dots(&mut self, tile: Tile<'_>, e: &[f32], raw: &[f32]) {
        let strides = (tile.stride, tile.raw_stride);
        sum_of_products(tile, (e, raw), strides, &mut self.dots);
    }

    /// Fills `squares` from `e` and `lifted = G e`, then the cosines; `lengths` are the queries'.
    #[inline(always)]
    pub(crate) fn cosines(&mut self, tile: Tile<'_>, e: &[f32], lifted: &[f32], lengths: &[f32]) {
        let strides = (tile.stride, tile.stride);
        sum_of_products(tile, (e, lifted), strides, &mut self.squares);
        let n = lengths.len();
        let (sums, dots, squares) = (&self.sums[..n], &self.dots[..n], &self.squares[..n]);
        let out = &mut self.cosines[..n];
        for q in 0..n {
            let product = lengths[q] * squares[q].max(0.0).sqrt();
            out[q] = dots[q] / product.max(GUARD * sums[q]);
        }
    }

    /// One score per item.
    #[inline(always)]
    pub(crate) fn scores(&mut self, tile: Tile<'_>, pool: Pool, out: &mut [f32]) {
        let (n, room) = (tile.columns(), &mut self.slopes);
        pool.scores(|| tile.segments(), n, &self.cosines, room, out);
    }

    /// From the gradient by the scores to the one by the cosines, and on to the factors in the gradient
    /// by the numerators and to `pull`. Where the guard is what divides, lengths do not matter but the
    /// scale of the numerators does.
    #[inline(always)]
    pub(crate) fn slopes(
        &mut self,
        tile: Tile<'_>,
        pool: Pool,
        upstream: &[f32],
        lengths: &[f32],
        pull: &mut [f32],
    ) {
        let n = tile.columns();
        let (cosines, slopes) = (&self.cosines[..], &mut self.slopes);
        let items = &mut self.items;
        pool.backward(|| tile.segments(), &cosines[..n], upstream, items, slopes);
        let (sums, dots, squares) = (&self.sums[..n], &self.dots[..n], &self.squares[..n]);
        let (cosines, slopes) = (&cosines[..n], &slopes[..n]);
        let [direct, twist, offset] = &mut self.factors;
        let (direct, twist, offset) = (&mut direct[..n], &mut twist[..n], &mut offset[..n]);
        let (lengths, pull) = (&lengths[..n], &mut pull[..n]);
        for q in 0..n {
            let product = lengths[q] * squares[q].max(0.0).sqrt();
            let least = GUARD * sums[q];
            let free = product > least;
            let along = slopes[q] * cosines[q];
            direct[q] = slopes[q] / product.max(least);
            twist[q] = if free { -along / squares[q] } else { 0.0 };
            let own = direct[q] * dots[q] / sums[q];
            offset[q] = if free { 0.0 } else { -own };
            let share = along / (lengths[q] * lengths[q]);
            pull[q] -= if free { share } else { 0.0 };
        }
    }

    /// Gradient by `λ a` into `by_raw`; `lifted` turns from `G e` into `2 κ e`.
    #[inline(always)]
    pub(crate) fn by_logits(
        &self,
        tile: Tile<'_>,
        raw: &[f32],
        e: &[f32],
        lifted: &mut [f32],
        by_raw: &mut [f32],
    ) {
        let n = tile.columns();
        let [direct, twist, offset] = &self.factors;
        let (direct, twist, offset) = (&direct[..n], &twist[..n], &offset[..n]);
        for context in 0..tile.contexts {
            let raw = &raw[context * tile.raw_stride..][..n];
            let out = &mut by_raw[context * tile.raw_stride..][..n];
            let e = &e[context * tile.stride..][..n];
            let lifted = &mut lifted[context * tile.stride..][..n];
            for q in 0..n {
                out[q] = e[q] * (direct[q] * raw[q] + twist[q] * lifted[q] + offset[q]);
                lifted[q] = twist[q] * e[q];
            }
        }
    }

    /// Adds to `by_raw` what does not go through the weights.
    #[inline(always)]
    pub(crate) fn add_direct(&self, tile: Tile<'_>, e: &[f32], by_raw: &mut [f32]) {
        let n = tile.columns();
        let direct = &self.factors[0][..n];
        for context in 0..tile.contexts {
            let out = &mut by_raw[context * tile.raw_stride..][..n];
            let e = &e[context * tile.stride..][..n];
            for q in 0..n {
                out[q] += direct[q] * e[q];
            }
        }
    }
}

/// `Σ_c x_c y_c` of every column.
#[inline(always)]
fn sum_of_products(
    tile: Tile<'_>,
    (x, y): (&[f32], &[f32]),
    strides: (usize, usize),
    out: &mut [f32],
) {
    let n = tile.columns();
    let out = &mut out[..n];
    out.fill(0.0);
    for context in 0..tile.contexts {
        let (x, y) = (
            &x[context * strides.0..][..n],
            &y[context * strides.1..][..n],
        );
        for q in 0..n {
            out[q] += x[q] * y[q];
        }
    }
}
