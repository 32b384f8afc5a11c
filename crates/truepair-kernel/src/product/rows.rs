//! Every row of one matrix against every row of another: scores.

use std::borrow::Cow;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::amx::{self, Amx, SplitRows};
use super::{Side, Threads, View, Write};

/// Bytes of prepared rows that a [`RowCache`] keeps: 128 MiB.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
const MAX_KEPT_BYTES: usize = 128 << 20;
/// Sets of rows that a [`RowCache`] keeps, so that looking for one stays cheap.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
const MAX_KEPT_SETS: usize = 128;

/// Rows of one factor `[n, width]`, prepared for the products of [`multiply`](Self::multiply).
///
/// On processors with matrix tiles (Intel AMX, on Linux) every value is split into three numbers of 8
/// significant bits, and the six products of two such triples that count are added up in `f32`. The
/// error is that of ordinary `f32` arithmetic, and a product of two rows depends only on their values,
/// not on their place, their neighbors or the number of threads. Rows of any magnitude keep that
/// precision; a row with infinity or NaN gives products that are not finite.
///
/// Elsewhere the values stay as they are, and the product is `f32` arithmetic whose rounding may
/// depend on the shape.
///
/// ```
/// use truepair_kernel::product::{RowFactor, Side};
///
/// // Rows 1 and 0 of one factor against every row of the other.
/// let left = RowFactor::new(Side::Left, &[1.0, 2.0, 3.0, 4.0], 2, &[1, 0]);
/// let right = RowFactor::of_all(Side::Right, &[1.0, 1.0], 2);
/// let mut out = [0.0; 2];
/// left.multiply(&right, &mut out);
/// assert_eq!(out, [7.0, 3.0]);
/// ```
#[derive(Debug, Clone)]
pub struct RowFactor<'a>(Form<'a>);

#[derive(Debug, Clone)]
enum Form<'a> {
    Plain(PlainRows<'a>),
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Split(Amx, Arc<SplitRows>),
}

impl<'a> RowFactor<'a> {
    /// Prepares the rows of `values` `[.., width]` that `rows` names.
    ///
    /// # Panics
    /// If `width` is 0, does not divide the number of values, or a row does not exist.
    pub fn new(side: Side, values: &'a [f32], width: usize, rows: &[u32]) -> Self {
        check(values, width);
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if let Some(amx) = Amx::get() {
            let row = |at: usize| &values[rows[at] as usize * width..][..width];
            let split = SplitRows::pack(amx, side, rows.len(), width, row);
            return Self(Form::Split(amx, Arc::new(split)));
        }
        Self(Form::Plain(PlainRows {
            side,
            values: gather(values, width, rows),
            width,
        }))
    }

    /// Prepares all rows of `values` `[n, width]`.
    ///
    /// # Panics
    /// If `width` is 0 or does not divide the number of values.
    pub fn of_all(side: Side, values: &'a [f32], width: usize) -> Self {
        check(values, width);
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if let Some(amx) = Amx::get() {
            let row = |at: usize| &values[at * width..][..width];
            let split = SplitRows::pack(amx, side, values.len() / width, width, row);
            return Self(Form::Split(amx, Arc::new(split)));
        }
        Self(Form::Plain(PlainRows {
            side,
            values: Cow::Borrowed(values),
            width,
        }))
    }

    /// `out[m, n] = self[m, width] · right[n, width]ᵀ`, on all threads of the current pool.
    ///
    /// # Panics
    /// If `self` was not prepared as the left factor or `right` not as the right one, if their
    /// widths differ, or if `out` has another length.
    pub fn multiply(&self, right: &RowFactor<'_>, out: &mut [f32]) {
        match (&self.0, &right.0) {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            (Form::Split(amx, left), Form::Split(_, right)) => {
                amx::split_product(*amx, left, right, out);
            }
            (Form::Plain(left), Form::Plain(right)) => left.multiply(right, out),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            _ => unreachable!("what the processor has does not change"),
        }
    }
}

/// `out[m, n] = a[m, width] · b[n, width]ᵀ` as [`RowFactor::multiply`] computes it, on all threads
/// of the current pool.
///
/// # Panics
/// If a slice's length does not fit the others.
pub fn multiply_transposed(a: &[f32], b: &[f32], width: usize, out: &mut [f32]) {
    let left = RowFactor::of_all(Side::Left, a, width);
    left.multiply(&RowFactor::of_all(Side::Right, b, width), out);
}

/// Prepared rows of one factor, which has one matrix and whose same rows are requested again and again.
///
/// Holds up to 128 MiB, and at least the rows requested last; nothing where rows are used as they are.
#[derive(Debug)]
pub struct RowCache {
    side: Side,
    /// The most recently requested rows come last.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    kept: Mutex<Vec<Kept>>,
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[derive(Debug)]
struct Kept {
    rows: Vec<u32>,
    split: Arc<SplitRows>,
}

impl RowCache {
    /// An empty cache.
    pub fn new(side: Side) -> Self {
        Self {
            side,
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            kept: Mutex::default(),
        }
    }

    /// [`RowFactor::new`], or what it gave before for these rows of the same `values`.
    ///
    /// # Panics
    /// As [`RowFactor::new`].
    pub fn prepare<'a>(&self, values: &'a [f32], width: usize, rows: &[u32]) -> RowFactor<'a> {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if let Some(amx) = Amx::get() {
            if let Some(split) = self.find(rows) {
                return RowFactor(Form::Split(amx, split));
            }
            let prepared = RowFactor::new(self.side, values, width, rows);
            if let Form::Split(_, split) = &prepared.0 {
                self.keep(rows, split);
            }
            return prepared;
        }
        RowFactor::new(self.side, values, width, rows)
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn find(&self, rows: &[u32]) -> Option<Arc<SplitRows>> {
        // A thread that panicked has left whole entries.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().rposition(|kept| kept.rows == rows)?;
        kept[at..].rotate_left(1);
        kept.last().map(|kept| Arc::clone(&kept.split))
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn keep(&self, rows: &[u32], split: &Arc<SplitRows>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = split.bytes();
        let fits = |kept: &&Kept| {
            bytes += kept.split.bytes();
            bytes <= MAX_KEPT_BYTES
        };
        let n_fitting = (kept.iter().rev().take(MAX_KEPT_SETS - 1))
            .take_while(fits)
            .count();
        let n_dropped = kept.len() - n_fitting;
        kept.drain(..n_dropped);
        kept.push(Kept {
            rows: rows.to_vec(),
            split: Arc::clone(split),
        });
    }
}

/// Of the same matrix, so far without rows.
impl Clone for RowCache {
    fn clone(&self) -> Self {
        Self::new(self.side)
    }
}

/// Rows as they are.
#[derive(Debug, Clone)]
struct PlainRows<'a> {
    side: Side,
    values: Cow<'a, [f32]>,
    width: usize,
}

impl PlainRows<'_> {
    fn multiply(&self, right: &PlainRows<'_>, out: &mut [f32]) {
        assert_eq!((self.side, right.side), (Side::Left, Side::Right));
        assert_eq!(self.width, right.width, "rows of another width");
        let left = View::rows(&self.values, self.width);
        let right = View::rows(&right.values, self.width).t();
        let stride = right.columns;
        assert_eq!(out.len(), left.rows * stride, "product of another size");
        if !out.is_empty() {
            (left.times(right).on(Threads::All)).put_f32(Write::Replace, out, stride);
        }
    }
}

/// The values of these rows, one after another; nothing is copied when they follow each other.
fn gather<'a>(values: &'a [f32], width: usize, rows: &[u32]) -> Cow<'a, [f32]> {
    let consecutive = (rows.windows(2)).all(|two| two[0].checked_add(1) == Some(two[1]));
    if let (true, Some(&first)) = (consecutive, rows.first()) {
        return Cow::Borrowed(&values[first as usize * width..][..rows.len() * width]);
    }
    let rows = rows
        .iter()
        .map(|&row| &values[row as usize * width..][..width]);
    Cow::Owned(rows.collect::<Vec<_>>().concat())
}

fn check(values: &[f32], width: usize) {
    assert!(
        width > 0 && values.len().is_multiple_of(width),
        "{} values do not make rows of {width}",
        values.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 37;

    fn matrix(n: usize, step: f32) -> Vec<f32> {
        (0..n * WIDTH).map(|i| (i as f32 * step).sin()).collect()
    }

    fn product(left: &RowFactor<'_>, right: &RowFactor<'_>, size: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; size];
        left.multiply(right, &mut out);
        out
    }

    /// The two forms of a factor.
    fn forms<'a>(side: Side, values: &'a [f32], rows: &[u32]) -> [RowFactor<'a>; 2] {
        let plain = PlainRows {
            side,
            values: gather(values, WIDTH, rows),
            width: WIDTH,
        };
        [
            RowFactor::new(side, values, WIDTH, rows),
            RowFactor(Form::Plain(plain)),
        ]
    }

    #[test]
    fn both_forms_equal_the_definition_for_any_rows() {
        let (a, b) = (matrix(80, 0.7), matrix(120, 1.3));
        let picks: [(&[u32], &[u32]); 5] = [
            (&[7], &[9]),
            (&[6, 0, 3, 3], &[119, 2]),
            (
                &[4, 5, 6],
                &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
            ),
            (&[79], &[]),
            (&[], &[1]),
        ];
        for (rows, columns) in picks {
            let left = forms(Side::Left, &a, rows);
            let right = forms(Side::Right, &b, columns);
            for (left, right) in left.iter().zip(&right) {
                let found = product(left, right, rows.len() * columns.len());
                let pairs = (rows.iter()).flat_map(|&i| columns.iter().map(move |&j| (i, j)));
                for (found, (i, j)) in found.iter().zip(pairs) {
                    let row = &a[i as usize * WIDTH..][..WIDTH];
                    let other = &b[j as usize * WIDTH..][..WIDTH];
                    let expected: f32 = row.iter().zip(other).map(|(x, y)| x * y).sum();
                    assert!((found - expected).abs() < 2e-5, "{i} {j}");
                }
            }
        }
    }

    #[test]
    fn all_rows_are_all_rows() {
        let (a, b) = (matrix(40, 0.7), matrix(33, 1.3));
        let mut all = vec![0.0; 40 * 33];
        multiply_transposed(&a, &b, WIDTH, &mut all);
        let (rows, columns): (Vec<u32>, Vec<u32>) = ((0..40).collect(), (0..33).collect());
        let left = RowFactor::new(Side::Left, &a, WIDTH, &rows);
        let right = RowFactor::new(Side::Right, &b, WIDTH, &columns);
        assert_eq!(all, product(&left, &right, 40 * 33));
    }

    #[test]
    fn a_cache_gives_what_was_asked_for() {
        let (a, b) = (matrix(200, 0.7), matrix(3, 1.3));
        let right = RowFactor::of_all(Side::Right, &b, WIDTH);
        let cache = RowCache::new(Side::Left);
        // More sets than are kept, and every set twice in a row.
        for first in (0..200).chain([0, 199, 3]) {
            let rows = [first, (first + 50) % 200];
            let expected = RowFactor::new(Side::Left, &a, WIDTH, &rows);
            let expected = product(&expected, &right, 6);
            for _ in 0..2 {
                let found = cache.prepare(&a, WIDTH, &rows);
                assert_eq!(product(&found, &right, 6), expected);
            }
        }
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[test]
    fn a_cache_forgets_what_was_not_asked_for_lately() {
        if Amx::or_skip().is_none() {
            return;
        }
        let values = vec![0.5; 1 << 20];
        let cache = RowCache::new(Side::Right);
        // 6 MiB each.
        let many: Vec<u32> = (0..1 << 10).collect();
        for last in 0..30 {
            cache.prepare(&values, 1 << 10, &[&many[..], &[last]].concat());
            cache.prepare(&values, 1 << 10, &[1]);
        }
        let kept = cache.kept.lock().unwrap();
        let bytes: usize = kept.iter().map(|kept| kept.split.bytes()).sum();
        assert!(
            bytes <= MAX_KEPT_BYTES && bytes > MAX_KEPT_BYTES - (8 << 20),
            "{bytes}"
        );
        assert_eq!(kept.last().unwrap().rows, [1]);
        assert_eq!(kept.iter().filter(|kept| kept.rows.len() == 1).count(), 1);
    }

    #[test]
    #[should_panic(expected = "rows of another width")]
    fn widths_must_agree() {
        let (a, b) = (matrix(2, 0.7), vec![0.5; 2 * (WIDTH + 1)]);
        let left = RowFactor::of_all(Side::Left, &a, WIDTH);
        product(&left, &RowFactor::of_all(Side::Right, &b, WIDTH + 1), 4);
    }

    #[test]
    #[should_panic(expected = "do not make rows of")]
    fn rows_must_be_whole() {
        RowFactor::of_all(Side::Left, &matrix(2, 0.7), 5);
    }
}
