//! Log odds of the mean match probability of two Gaussians' draws, in tiles.
//!
//! For `n` images and `m` captions with `j` draws each there are `n m j²` distances; none of them is
//! kept. A block of images is compared with all captions at a time, and the backward pass computes
//! the distances again.

mod block;

use super::product::{Threads, View};
use super::vector::zeros;
use super::{Array, Gradients, Operation, Output};
use block::{Block, Sums};

/// How far two draws are from one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Distance {
    /// `√(Σ (x − y)² + guard)`
    Euclidean,
    /// `Σ (x − y)² + guard`
    Squared,
}

/// The form of a match probability `p = σ(factor (−a δ + b))` of two draws at distance `δ`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchForm {
    /// δ
    pub distance: Distance,
    /// Added to the squared distance: a root's slope at 0 is not a number.
    pub guard: f64,
    /// 1 for the logistic function, 2 for what `eˢ / (eˢ + e⁻ˢ)` amounts to.
    pub factor: f64,
}

/// `log P − log (1 − P)` with `P = mean_{k,l} σ(factor (−a δ(xᵢₖ, yⱼₗ) + b))`.
///
/// Both means are taken of scaled terms, so that no probability is rounded to 0 or 1.
///
/// # Shapes
/// - inputs: draws `x` `[n, j, d]` and `y` `[m, j, d]`, scale `a` and shift `b` `[1]`
/// - output: `[n, m]`
/// # Panics
/// If widths or numbers of draws differ.
#[derive(Debug, Clone, Copy)]
pub struct MatchOdds(pub MatchForm);

/// The inputs as flat rows.
struct Draws<'a> {
    x: &'a [f32],
    y: &'a [f32],
    /// Squared lengths of the rows of `y`.
    y_squares: Vec<f32>,
    n: usize,
    m: usize,
    j: usize,
    d: usize,
    block: Block,
}

/// Distances of one block of images; fixed by the shapes, so that sums never depend on threads.
const DISTANCES: usize = 1 << 20;

impl MatchOdds {
    fn draws<'a>(&self, inputs: &[Array<'a>]) -> Draws<'a> {
        let ([n, j, d], [m, j_y, d_y]) = (inputs[0].dims(), inputs[1].dims());
        assert_eq!((j, d), (j_y, d_y), "draws of one number and width");
        assert_eq!((inputs[2].shape, inputs[3].shape), (&[1][..], &[1][..]));
        let (x, y) = (inputs[0].values, inputs[1].values);
        Draws {
            x,
            y,
            y_squares: block::squares(y, d),
            n,
            m,
            j,
            d,
            block: Block {
                form: self.0,
                scale: inputs[2].values[0],
                shift: inputs[3].values[0],
                m,
                j,
            },
        }
    }
}

impl Draws<'_> {
    /// Images of one block.
    fn step(&self) -> usize {
        (DISTANCES / (self.j * self.j * self.m).max(1)).clamp(1, self.n.max(1))
    }

    /// Inner products of the draws of images from `first` with all draws of captions, turned into
    /// distances.
    fn distances(&self, first: usize, count: usize, out: &mut Vec<f32>) {
        let (width, rows) = (self.m * self.j, count * self.j);
        out.resize(rows * width, 0.0);
        let x = &self.x[first * self.j * self.d..][..rows * self.d];
        let (left, right) = (View::rows(x, self.d), View::rows(self.y, self.d));
        left.times(right.t()).on(Threads::All).write(out, width);
        let x_squares = block::squares(x, self.d);
        self.block.distances(out, &x_squares, &self.y_squares);
    }
}

impl Operation for MatchOdds {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let draws = self.draws(inputs);
        let (n, m) = (draws.n, draws.m);
        let mut out = vec![0.0; n * m];
        let mut distances = Vec::new();
        for (at, scores) in out.chunks_mut((draws.step() * m).max(1)).enumerate() {
            draws.distances(at * draws.step(), scores.len() / m, &mut distances);
            draws.block.scores(&distances, scores);
        }
        (Output::new(out, [n, m]), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let draws = self.draws(inputs);
        let (m, j, d) = (draws.m, draws.j, draws.d);
        let width = m * j;
        let mut by_x = gradients.wants(0).then(|| zeros(draws.x.len()));
        let mut by_y = gradients.wants(1).then(|| zeros(draws.y.len()));
        let mut columns = vec![0.0; width];
        let mut sums = Sums::default();
        let mut slopes = Vec::new();
        for (at, upstream) in gradient.chunks((draws.step() * m).max(1)).enumerate() {
            let (first, count) = (at * draws.step(), upstream.len() / m);
            draws.distances(first, count, &mut slopes);
            let rows = (draws.block).slopes(&mut slopes, upstream, &mut columns, &mut sums);
            let x = &draws.x[first * j * d..][..count * j * d];
            let slopes = View::rows(&slopes, width);
            if let Some(out) = &mut by_x {
                let out = &mut out[first * j * d..][..count * j * d];
                let y = View::rows(draws.y, d);
                slopes.times(y).on(Threads::All).write(out, d);
                block::subtract_from_scaled(out, &rows, x, d);
            }
            if let Some(out) = &mut by_y {
                let x = View::rows(x, d);
                slopes.t().times(x).on(Threads::All).add(out, d);
            }
        }
        if let Some(out) = &mut by_y {
            block::subtract_from_scaled(out, &columns, draws.y, d);
        }
        gradients.put(0, by_x);
        gradients.put(1, by_y);
        for (input, sum) in [(2, sums.by_scale), (3, sums.by_shift)] {
            if let Some(out) = gradients.get(input) {
                out[0] += sum as f32;
            }
        }
    }
}
