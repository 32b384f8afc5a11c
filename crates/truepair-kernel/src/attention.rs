//! Attention weights of one item's vectors over another's, as SCAN defines them.

mod block;
#[cfg(test)]
pub(crate) mod tests;
mod tile;

pub use block::Block;
pub(crate) use tile::{Room, Tile};

use super::segment;
use super::vector::exp;

const SLOPE: f32 = 0.1;
const GUARD: f32 = 1e-8;

/// Up to this inverse temperature, exponentials of attention of at most 1 need no shift: they and
/// the squared length of a context stay far inside the range of `f32`.
const UNSHIFTED: f32 = 20.0;

/// How raw inner products are normalized over the queries of each context before the softmax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RawNorm {
    /// Leaky ReLU with slope 0.1, then divided by the Euclidean norm.
    #[default]
    #[cfg_attr(feature = "serde", serde(rename = "clipped_l2norm"))]
    ClippedL2,
    /// Divided by the Euclidean norm.
    #[cfg_attr(feature = "serde", serde(rename = "l2norm"))]
    L2,
    /// Leaky ReLU with slope 0.1, then divided by the sum of magnitudes.
    #[cfg_attr(feature = "serde", serde(rename = "clipped_l1norm"))]
    ClippedL1,
    /// Divided by the sum of magnitudes.
    #[cfg_attr(feature = "serde", serde(rename = "l1norm"))]
    L1,
    /// Leaky ReLU with slope 0.1 only.
    #[cfg_attr(feature = "serde", serde(rename = "clipped"))]
    Clipped,
    /// Softmax.
    #[cfg_attr(feature = "serde", serde(rename = "softmax"))]
    Softmax,
    /// Left as they are.
    #[cfg_attr(feature = "serde", serde(rename = "no_norm"))]
    Plain,
}

impl RawNorm {
    /// Slope of the leaky ReLU; 1 makes it the identity.
    #[inline(always)]
    pub fn slope(self) -> f32 {
        match self {
            Self::ClippedL2 | Self::ClippedL1 | Self::Clipped => SLOPE,
            Self::L2 | Self::L1 | Self::Softmax | Self::Plain => 1.0,
        }
    }

    /// Whether normalized values are in [-1, 1] whatever the raw ones are.
    fn is_bounded(self) -> bool {
        !matches!(self, Self::Clipped | Self::Plain)
    }
}

/// Attention of queries over contexts:
///
/// ```text
/// a_cq = norm over q of leaky(raw_cq)      w_cq = softmax over c of λ a_cq
/// ```
/// # Source
/// Lee et al., ECCV 2018; kuanghuei/SCAN@8063557, `func_attention` (golden `u05_scan_attention`).
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// How raw inner products are normalized over queries.
    pub norm: RawNorm,
    /// Inverse temperature λ of the softmax over contexts.
    pub smooth: f32,
}

/// Where the numerators of a tile are written.
pub(crate) struct Numerators<'a> {
    /// What [`Attention::numerators_backward`] needs, one number per context and item.
    pub(crate) norms: &'a mut [f32],
    /// The numerators, a row for each context.
    pub(crate) out: &'a mut [f32],
    /// Their sums over contexts.
    pub(crate) sums: &'a mut [f32],
}

impl Attention {
    /// Numerators `exp(λ a − shift)` of the softmax of every column, where a column's shift is 0
    /// or its largest `λ a`, and their sums over contexts. Inline it into [`wide`](super::vector::wide).
    #[inline(always)]
    pub(crate) fn numerators(
        self,
        tile: Tile<'_>,
        raw: &[f32],
        target: Numerators<'_>,
        room: &mut Room,
    ) {
        let Numerators { norms, out, sums } = target;
        let (columns, items) = (tile.columns(), tile.items());
        let shifted = !self.norm.is_bounded() || self.smooth > UNSHIFTED;
        let sums = &mut sums[..columns];
        sums.fill(0.0);
        for context in 0..tile.contexts {
            let raw = &raw[context * tile.raw_stride..][..columns];
            let out = &mut out[context * tile.stride..][..columns];
            let norms = &mut norms[context * items..][..items];
            self.norms(tile, raw, norms, room);
            self.logits(tile, raw, norms, out, room);
            if !shifted {
                exponentiate(out, sums);
            }
        }
        if shifted {
            let largest = &mut room.terms[..columns];
            shift(tile, out, largest);
            for row in out.chunks_mut(tile.stride).take(tile.contexts) {
                exponentiate(&mut row[..columns], sums);
            }
        }
    }

    /// Turns the gradient by `λ a` into the gradient by the raw inner products, in place. Inline it
    /// into [`wide`](super::vector::wide).
    #[inline(always)]
    pub(crate) fn numerators_backward(
        self,
        tile: Tile<'_>,
        raw: &[f32],
        norms: &[f32],
        gradient: &mut [f32],
        room: &mut Room,
    ) {
        let (columns, items) = (tile.columns(), tile.items());
        for context in 0..tile.contexts {
            let at = context * tile.raw_stride;
            let (raw, gradient) = (&raw[at..][..columns], &mut gradient[at..][..columns]);
            let norms = &norms[context * items..][..items];
            self.logits_backward(tile, raw, norms, gradient, room);
        }
    }

    /// What normalizes one context's raw values over the queries of each item: a length, a sum of
    /// magnitudes, or the logarithm of a sum of exponentials.
    #[inline(always)]
    fn norms(self, tile: Tile<'_>, raw: &[f32], norms: &mut [f32], room: &mut Room) {
        let slope = self.norm.slope();
        let terms = room.terms.iter_mut().zip(raw);
        match self.norm {
            RawNorm::Clipped | RawNorm::Plain => norms.fill(1.0),
            RawNorm::ClippedL2 | RawNorm::L2 => {
                terms.for_each(|(t, x)| *t = leaky(*x, slope) * leaky(*x, slope));
                segment::sums(&room.terms, tile.segments(), norms);
                norms.iter_mut().for_each(|x| *x = x.sqrt());
            }
            RawNorm::ClippedL1 | RawNorm::L1 => {
                terms.for_each(|(t, x)| *t = leaky(*x, slope).abs());
                segment::sums(&room.terms, tile.segments(), norms);
            }
            RawNorm::Softmax => {
                for (largest, (start, n)) in room.items.iter_mut().zip(tile.segments()) {
                    let own = raw[start..start + n].iter();
                    *largest = own.fold(f32::NEG_INFINITY, |m, x| m.max(*x));
                }
                segment::spread(&room.items, tile.segments(), &mut room.factors);
                let terms = terms.zip(&room.factors);
                terms.for_each(|((t, x), largest)| *t = exp(x - largest));
                segment::sums(&room.terms, tile.segments(), norms);
                let norms = norms.iter_mut().zip(&room.items);
                norms.for_each(|(norm, largest)| *norm = largest + norm.ln());
            }
        }
    }

    /// `λ a` of one context's raw values.
    #[inline(always)]
    fn logits(self, tile: Tile<'_>, raw: &[f32], norms: &[f32], out: &mut [f32], room: &mut Room) {
        let (smooth, slope) = (self.smooth, self.norm.slope());
        if self.norm == RawNorm::Softmax {
            segment::spread(norms, tile.segments(), &mut room.factors);
            for ((out, x), norm) in out.iter_mut().zip(raw).zip(&room.factors) {
                *out = smooth * exp(x - norm);
            }
            return;
        }
        self.inverses(norms, &mut room.items);
        segment::spread(&room.items, tile.segments(), &mut room.factors);
        for ((out, x), inverse) in out.iter_mut().zip(raw).zip(&room.factors) {
            *out = smooth * inverse * leaky(*x, slope);
        }
    }

    #[inline(always)]
    fn inverses(self, norms: &[f32], out: &mut [f32]) {
        let unit = matches!(self.norm, RawNorm::Clipped | RawNorm::Plain);
        for (out, norm) in out.iter_mut().zip(norms) {
            *out = if unit { 1.0 } else { 1.0 / (norm + GUARD) };
        }
    }

    /// The same for one context: `gradient` holds the derivative by `λ a`, afterwards by the raw values.
    #[inline(always)]
    fn logits_backward(
        self,
        tile: Tile<'_>,
        raw: &[f32],
        norms: &[f32],
        gradient: &mut [f32],
        room: &mut Room,
    ) {
        let (smooth, slope) = (self.smooth, self.norm.slope());
        match self.norm {
            RawNorm::Clipped | RawNorm::Plain => {
                for (g, x) in gradient.iter_mut().zip(raw) {
                    *g *= smooth * kink(*x, slope);
                }
            }
            RawNorm::Softmax => {
                let Room {
                    terms,
                    factors,
                    items,
                } = room;
                let segments = || tile.segments();
                segment::spread(norms, segments(), factors);
                let values = raw.iter().zip(gradient.iter());
                let shares = terms.iter_mut().zip(&*factors).zip(values);
                shares.for_each(|((t, norm), (x, g))| *t = exp(x - norm) * g);
                segment::sums(terms, segments(), items);
                segment::spread(items, segments(), terms);
                let along = terms.iter().zip(&*factors);
                for ((g, x), (along, norm)) in gradient.iter_mut().zip(raw).zip(along) {
                    *g = smooth * exp(x - norm) * (*g - along);
                }
            }
            RawNorm::ClippedL2 | RawNorm::L2 | RawNorm::ClippedL1 | RawNorm::L1 => {
                self.lengths_backward(tile, raw, norms, gradient, room);
            }
        }
    }

    /// [`logits_backward`](Self::logits_backward) through a division by a length or a sum.
    #[inline(always)]
    fn lengths_backward(
        self,
        tile: Tile<'_>,
        raw: &[f32],
        norms: &[f32],
        gradient: &mut [f32],
        room: &mut Room,
    ) {
        let (smooth, slope) = (self.smooth, self.norm.slope());
        let Room {
            terms,
            factors,
            items,
        } = room;
        let segments = || tile.segments();
        let products = terms.iter_mut().zip(raw.iter().zip(gradient.iter()));
        products.for_each(|(t, (x, g))| *t = leaky(*x, slope) * g);
        self.inverses(norms, items);
        segment::spread(items, segments(), factors);
        segment::sums(terms, segments(), items);
        let euclidean = matches!(self.norm, RawNorm::ClippedL2 | RawNorm::L2);
        for (along, norm) in items.iter_mut().zip(norms) {
            let norm = if euclidean { *norm } else { 1.0 };
            *along = if norm > 0.0 { *along / norm } else { 0.0 };
        }
        segment::spread(items, segments(), terms);
        let columns = terms.iter().zip(&*factors);
        let rows = gradient.iter_mut().zip(raw).zip(columns);
        if euclidean {
            rows.for_each(|((g, x), (along, inverse))| {
                let across = *g - leaky(*x, slope) * along * inverse;
                *g = smooth * inverse * across * kink(*x, slope);
            });
        } else {
            rows.for_each(|((g, x), (along, inverse))| {
                let across = *g - sign(*x) * along * inverse;
                *g = smooth * inverse * across * kink(*x, slope);
            });
        }
    }
}

#[inline(always)]
fn leaky(x: f32, slope: f32) -> f32 {
    if x > 0.0 { x } else { slope * x }
}

/// Derivative of [`leaky`].
#[inline(always)]
fn kink(x: f32, slope: f32) -> f32 {
    if x > 0.0 { 1.0 } else { slope }
}

#[inline(always)]
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// Subtracts each column's largest value; `largest` is room for one row.
#[inline(always)]
fn shift(tile: Tile<'_>, values: &mut [f32], largest: &mut [f32]) {
    largest.fill(f32::NEG_INFINITY);
    for row in values.chunks(tile.stride).take(tile.contexts) {
        for (m, x) in largest.iter_mut().zip(row) {
            *m = if *x > *m { *x } else { *m };
        }
    }
    for row in values.chunks_mut(tile.stride).take(tile.contexts) {
        (row.iter_mut().zip(&*largest)).for_each(|(x, m)| *x -= *m);
    }
}

#[inline(always)]
fn exponentiate(row: &mut [f32], sums: &mut [f32]) {
    for (x, sum) in row.iter_mut().zip(sums) {
        *x = exp(*x);
        *sum += *x;
    }
}
