//! A scan of one byte a number that misses nothing.
//!
//! A row is `s c + e`: codes times a scale, and what rounding took away, of known length. A query is
//! `t b + f` in the same way, with codes of 12 bits. By Cauchy and Schwarz `q · x` lies within
//! `‖q‖ ‖e‖ + ‖f‖ ‖s c‖` of `s t (b · c)`, whose integer part is exact. With the rounding of the `f32`
//! score besides, every row has bounds between which its score certainly lies. The `k`-th highest lower
//! bound is a score that `k` rows reach; rows whose upper bound is below it are no hits. The others are
//! scored from their `f32` rows, by falling upper bound, until no bound reaches the `k`-th score.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use truepair_kernel::product::dots::{Closeness, IntegerQueries};
use truepair_kernel::vector::wide;

use super::blocks::{RowBlock, Rows, blocks_per_task};
use super::scan::score_one;
use super::top::{Hit, Top};
use crate::segment::Codes;

const ROWS_OF_ONE: usize = 1024;
const ROWS_OF_SEVERAL: usize = 128;
const QUERIES: usize = 128;
/// Upper bounds that are compared with what is reached at once.
const STRIP: usize = 16;
/// Largest code of a query's number: 12 bits, so that sums of 8192 products stay in 32.
const LARGEST_CODE: f64 = 2040.0;
/// Candidates from which those that later bounds ruled out are dropped.
const MANY: usize = 4096;
/// More than what products too small for `f32` lose.
const TINY: f64 = 1e-38;

/// A query and what bounds need of it.
struct CodedQuery {
    scale: f64,
    norm: f64,
    /// Times a row's norm: what rounding the query, and computing its score in `f32`, may change.
    slack: f64,
    /// Share of a squared distance that computing it may change.
    rounding: f64,
}

/// A row that may be a hit.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    row: usize,
    low: f64,
    high: f64,
}

/// A number in the order of a heap whose top is the lowest.
#[derive(PartialEq)]
struct Lowest(f64);

impl Eq for Lowest {}

impl PartialOrd for Lowest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Lowest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.total_cmp(&self.0)
    }
}

/// Rows that may be among the `k` best.
struct Candidates {
    k: usize,
    /// What `k` rows of other parts of the scan reach at least.
    floor: f64,
    /// The `k` highest lower bounds.
    lows: BinaryHeap<Lowest>,
    kept: Vec<Candidate>,
    /// Kept ones at which the next clearing happens.
    limit: usize,
}

impl Candidates {
    fn new(k: usize) -> Self {
        Self {
            k,
            floor: f64::NEG_INFINITY,
            lows: BinaryHeap::new(),
            kept: Vec::new(),
            limit: MANY,
        }
    }

    /// What `k` rows reach at least.
    fn reached(&self) -> f64 {
        match self.lows.peek() {
            Some(lowest) if self.lows.len() == self.k => lowest.0.max(self.floor),
            _ => self.floor,
        }
    }

    fn offer(&mut self, candidate: Candidate) {
        if candidate.high < self.reached() {
            return;
        }
        self.kept.push(candidate);
        if self.lows.len() < self.k {
            self.lows.push(Lowest(candidate.low));
        } else if let Some(mut lowest) = self.lows.peek_mut()
            && candidate.low > lowest.0
        {
            *lowest = Lowest(candidate.low);
        }
        if self.kept.len() >= self.limit {
            let reached = self.reached();
            self.kept.retain(|candidate| candidate.high >= reached);
            self.limit = MANY.max(2 * self.kept.len());
        }
    }
}

/// The highest score that any part of a scan knows to be reached by `k` rows.
struct Shared(AtomicU64);

impl Shared {
    /// The order of these bits is that of the numbers.
    fn bits(x: f64) -> u64 {
        let bits = x.to_bits();
        bits ^ ((bits as i64 >> 63) as u64 | 1 << 63)
    }

    fn new() -> Self {
        Self(AtomicU64::new(Self::bits(f64::NEG_INFINITY)))
    }

    /// Tells what one part found, and returns what is known of all.
    fn exchange(&self, reached: f64) -> f64 {
        let own = Self::bits(reached);
        let known = self.0.load(Ordering::Relaxed);
        // One more store only where it changes something: the line stays shared.
        if own > known {
            self.0.fetch_max(own, Ordering::Relaxed);
        }
        let bits = own.max(known);
        f64::from_bits(bits ^ (!(bits as i64 >> 63) as u64 | 1 << 63))
    }
}

/// The `k` best allowed rows for each query `[n, dim]`, best first: the hits of a scan of the `f32` rows.
/// Every part has codes.
pub(crate) fn certified(
    rows: &Rows<'_>,
    closeness: Closeness,
    queries: &[f32],
    k: usize,
) -> Vec<Vec<Hit>> {
    let groups = queries.chunks(QUERIES * rows.dim);
    groups
        .flat_map(|group| certified_group(rows, closeness, group, k))
        .collect()
}

fn certified_group(
    rows: &Rows<'_>,
    closeness: Closeness,
    queries: &[f32],
    k: usize,
) -> Vec<Vec<Hit>> {
    let mut codes = vec![0i16; queries.len()];
    let coded: Vec<CodedQuery> = (queries.chunks_exact(rows.dim))
        .zip(codes.chunks_exact_mut(rows.dim))
        .map(|(query, codes)| code_query(query, codes))
        .collect();
    let codes = IntegerQueries::new(codes, rows.dim);
    let shared: Vec<Shared> = coded.iter().map(|_| Shared::new()).collect();
    let size = if coded.len() < 4 {
        ROWS_OF_ONE
    } else {
        ROWS_OF_SEVERAL
    };
    let blocks = rows.blocks(size);
    let tasks = blocks.par_chunks(blocks_per_task(blocks.len()));
    let found: Vec<Vec<Candidates>> = tasks
        .map(|blocks| {
            let mut found: Vec<Candidates> = coded.iter().map(|_| Candidates::new(k)).collect();
            let mut products = vec![0; size * coded.len()];
            for block in blocks {
                let products = &mut products[..block.n * coded.len()];
                for (found, shared) in found.iter_mut().zip(&shared) {
                    found.floor = shared.exchange(found.reached());
                }
                take_block(
                    rows,
                    closeness,
                    (&codes, &coded),
                    *block,
                    products,
                    &mut found,
                );
            }
            found
        })
        .collect();
    let mut merged: Vec<Candidates> = coded.iter().map(|_| Candidates::new(k)).collect();
    for (of_query, candidates) in found
        .into_iter()
        .flat_map(|task| task.into_iter().enumerate())
    {
        candidates
            .kept
            .into_iter()
            .for_each(|one| merged[of_query].offer(one));
    }
    (merged
        .into_par_iter()
        .zip(queries.par_chunks_exact(rows.dim)))
    .map(|(candidates, query)| best(rows, closeness, query, candidates))
    .collect()
}

fn code_query(query: &[f32], codes: &mut [i16]) -> CodedQuery {
    let wide = |x: f32| f64::from(x);
    let largest = query
        .iter()
        .fold(0f64, |largest, x| largest.max(wide(*x).abs()));
    let scale = largest / LARGEST_CODE;
    let (mut error, mut norm) = (0f64, 0f64);
    for (code, &x) in codes.iter_mut().zip(query) {
        let rounded = if scale > 0.0 {
            (wide(x) / scale).round()
        } else {
            0.0
        };
        *code = rounded as i16;
        error += (wide(x) - scale * rounded).powi(2);
        norm += wide(x).powi(2);
    }
    // Sixteen chains of fused additions and four more; twice that for processors that do not fuse.
    let rounding = (query.len() as f64 / 16.0 + 8.0) * 2f64.powi(-23);
    let (error, norm) = (error.sqrt() * (1.0 + 1e-9), norm.sqrt() * (1.0 + 1e-9));
    CodedQuery {
        scale,
        norm,
        // Sums in `f64`, of the rounding error above too, are far more exact than this.
        slack: error + norm * (rounding + 1e-9),
        rounding,
    }
}

fn take_block(
    rows: &Rows<'_>,
    closeness: Closeness,
    (codes, coded): (&IntegerQueries, &[CodedQuery]),
    block: RowBlock,
    products: &mut [i32],
    found: &mut [Candidates],
) {
    let Some(Codes {
        codes: row_codes,
        bounds,
    }) = rows.parts[block.part].codes()
    else {
        unreachable!("every part of an index of this storage has codes")
    };
    let (first, end) = (block.first, block.first + block.n);
    let row_codes = &row_codes[first * rows.dim..end * rows.dim];
    codes.products(row_codes, products);
    let all = rows.n_allowed(block) == block.n;
    let bounds = &bounds[first..end];
    let of_queries = coded.iter().zip(found).zip(products.chunks_exact(block.n));
    for ((query, found), products) in of_queries {
        let offer = |at: usize, found: &mut Candidates| {
            let row = block.row + at;
            if all || rows.allows(row) {
                let (low, high) = interval(closeness, query, products[at], bounds[at]);
                found.offer(Candidate { row, low, high });
            }
        };
        wide(
            #[inline(always)]
            || reaching(closeness, query, products, bounds, found, offer),
        );
    }
}

/// Offers the rows whose upper bound reaches what `found` has.
#[inline(always)]
fn reaching(
    closeness: Closeness,
    query: &CodedQuery,
    products: &[i32],
    bounds: &[[f32; 3]],
    found: &mut Candidates,
    offer: impl Fn(usize, &mut Candidates),
) {
    let mut reached = found.reached();
    for first in (0..products.len()).step_by(STRIP) {
        let end = (first + STRIP).min(products.len());
        let mut highs = [f64::NEG_INFINITY; STRIP];
        let rows = products[first..end].iter().zip(&bounds[first..end]);
        for (high, (product, bounds)) in highs.iter_mut().zip(rows) {
            *high = interval(closeness, query, *product, *bounds).1;
        }
        if !highs
            .iter()
            .fold(false, |any, high| any | (*high >= reached))
        {
            continue;
        }
        for (at, high) in highs.iter().enumerate().take(end - first) {
            if *high >= reached {
                offer(first + at, found);
                reached = found.reached();
            }
        }
    }
}

/// Between what the `f32` score of a row certainly lies.
#[inline(always)]
fn interval(
    closeness: Closeness,
    query: &CodedQuery,
    product: i32,
    [scale, error, norm]: [f32; 3],
) -> (f64, f64) {
    let (error, norm) = (f64::from(error), f64::from(norm));
    let middle = query.scale * f64::from(scale) * f64::from(product);
    // ‖s c‖ ≤ ‖x‖ + ‖e‖
    let reach = (query.norm + query.slack) * error + query.slack * norm + TINY;
    match closeness {
        Closeness::InnerProduct => (middle - reach, middle + reach),
        Closeness::SquaredDistance => {
            let distance = query.norm * query.norm + norm * norm - 2.0 * middle;
            // The norms were rounded up, by less than 2⁻²² of themselves.
            let longest = query.norm + norm;
            let rounding = longest * longest * (query.rounding + 2f64.powi(-20));
            let reach = 2.0 * reach + rounding;
            (-distance - reach, reach - distance)
        }
    }
}

/// The exact hits among the candidates.
fn best(rows: &Rows<'_>, closeness: Closeness, query: &[f32], candidates: Candidates) -> Vec<Hit> {
    let reached = candidates.reached();
    let (k, mut kept) = (candidates.k, candidates.kept);
    kept.retain(|candidate| candidate.high >= reached);
    kept.sort_unstable_by(|a, b| b.high.total_cmp(&a.high));
    let mut top = Top::new(k);
    for candidate in kept {
        // An equal score could be that of a lower row.
        if candidate.high < f64::from(top.threshold()) {
            break;
        }
        let row = candidate.row;
        let score = score_one(rows, closeness, query, row);
        top.offer(Hit { row, score });
    }
    top.into_hits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_the_highest_of_all() {
        let shared = Shared::new();
        let inf = f64::NEG_INFINITY;
        assert_eq!(shared.exchange(inf), inf);
        for (own, all) in [
            (-3.5, -3.5),
            (-7.0, -3.5),
            (0.0, 0.0),
            (-0.0, 0.0),
            (2.0, 2.0),
        ] {
            assert_eq!(shared.exchange(own), all);
        }
        assert_eq!(shared.exchange(inf), 2.0);
    }
}
