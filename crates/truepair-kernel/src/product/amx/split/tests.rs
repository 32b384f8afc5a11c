//! Against `f64` and beside ordinary `f32` arithmetic. On processors without tiles nothing runs here.

use super::*;
use crate::product::{View, Write};
use crate::tests::Draws;

struct Rows {
    values: Vec<f32>,
    width: usize,
}

impl Rows {
    /// Rows of length 1, each multiplied by what `scale` gives for its index.
    fn new(n: usize, width: usize, stream: &str, scale: impl Fn(usize) -> f64) -> Self {
        let mut draws = Draws::new(&format!("{stream} {n} {width}"));
        let values = (0..n).flat_map(|row| {
            let row_values: Vec<f64> = (0..width).map(|_| draws.normal()).collect();
            let length = row_values.iter().map(|x| x * x).sum::<f64>().sqrt();
            let scale = scale(row) / length;
            row_values.into_iter().map(move |x| (x * scale) as f32)
        });
        Self {
            values: values.collect(),
            width,
        }
    }

    fn unit(n: usize, width: usize, stream: &str) -> Self {
        Self::new(n, width, stream, |_| 1.0)
    }

    fn n(&self) -> usize {
        self.values.len() / self.width
    }

    fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.width..][..self.width]
    }

    fn map(&self, change: impl Fn(f32) -> f32) -> Self {
        Self {
            values: self.values.iter().map(|&x| change(x)).collect(),
            width: self.width,
        }
    }

    fn picked(&self, rows: &[usize]) -> Self {
        Self {
            values: rows
                .iter()
                .flat_map(|&row| self.row(row))
                .copied()
                .collect(),
            width: self.width,
        }
    }
}

fn split(amx: Amx, left: &Rows, right: &Rows) -> Vec<f32> {
    let pack =
        |side, rows: &Rows| SplitRows::pack(amx, side, rows.n(), rows.width, |at| rows.row(at));
    let (a, b) = (pack(Side::Left, left), pack(Side::Right, right));
    let mut out = vec![f32::NAN; left.n() * right.n()];
    product(amx, &a, &b, &mut out);
    out
}

fn plain(left: &Rows, right: &Rows) -> Vec<f32> {
    let mut out = vec![f32::NAN; left.n() * right.n()];
    let (a, b) = (
        View::rows(&left.values, left.width),
        View::rows(&right.values, right.width),
    );
    (a.times(b.t())).put_f32(Write::Replace, &mut out, right.n());
    out
}

fn inner_product(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(x, y)| f64::from(*x) * f64::from(*y))
        .sum()
}

/// Errors of products, relative to the lengths of both rows: the largest and the root mean square.
#[derive(Debug)]
struct Errors {
    largest: f64,
    typical: f64,
}

fn errors(left: &Rows, right: &Rows, products: &[f32]) -> Errors {
    let length = |row: &[f32]| inner_product(row, row).sqrt();
    let (mut largest, mut squares) = (0.0f64, 0.0);
    for i in 0..left.n() {
        for j in 0..right.n() {
            let exact = inner_product(left.row(i), right.row(j));
            let scale = length(left.row(i)) * length(right.row(j));
            let error = (f64::from(products[i * right.n() + j]) - exact).abs() / scale;
            assert!(error.is_finite(), "row {i}, column {j}");
            largest = largest.max(error);
            squares += error * error;
        }
    }
    let typical = (squares / products.len() as f64).sqrt();
    Errors { largest, typical }
}

/// Whether products of these rows err by little more than those in ordinary `f32` arithmetic.
fn check_errors(amx: Amx, left: &Rows, right: &Rows, what: &str) {
    let own = errors(left, right, &split(amx, left, right));
    let plain = errors(left, right, &plain(left, right));
    // Below half a unit in the last place there is nothing to compare. Six partial products are added where `f32` adds
    // one, each with a rounding: at most six times the error, and typically the root of it, 2.45 times.
    let floor = f64::from(f32::EPSILON) / 2.0;
    assert!(
        own.largest <= 6.0 * plain.largest.max(floor)
            && own.typical <= 2.5 * plain.typical.max(floor),
        "{what}, {} wide: {own:?}, f32 {plain:?}",
        left.width
    );
}

#[test]
fn errors_are_those_of_f32() {
    let Some(amx) = Amx::or_skip() else { return };
    for width in [1, 2, 16, 31, 32, 33, 100, 512, 1024, 2500] {
        let (left, right) = (
            Rows::unit(70, width, "left"),
            Rows::unit(90, width, "right"),
        );
        check_errors(amx, &left, &right, "random");
        check_errors(amx, &left, &left, "alike");
        check_errors(amx, &left.map(f32::abs), &right.map(f32::abs), "positive");
    }
}

#[test]
fn rows_of_any_magnitude_keep_their_precision() {
    let Some(amx) = Amx::or_skip() else { return };
    let magnitudes = |exponents: Range<i32>| {
        let n = exponents.len();
        move |row: usize| 10f64.powi(exponents.start + (row * 7 % n) as i32)
    };
    for width in [5, 64, 512] {
        let rows = |stream, exponents| Rows::new(60, width, stream, magnitudes(exponents));
        check_errors(amx, &rows("left", -6..7), &rows("right", -6..7), "scaled");
        check_errors(
            amx,
            &rows("left", -37..-7),
            &rows("right", -1..38),
            "tiny and huge",
        );
        // Subnormal values of which digits are left, and products that are normal numbers.
        check_errors(
            amx,
            &rows("left", -40..-38),
            &rows("right", 20..30),
            "subnormal",
        );
        // One number of a row outweighs the others by far.
        let uneven = |rows: Rows| Rows {
            values: (rows.values.iter().enumerate())
                .map(|(at, x)| if at % width == 3 { 1e6 * x } else { *x })
                .collect(),
            width,
        };
        check_errors(
            amx,
            &uneven(rows("left", -6..7)),
            &uneven(rows("right", -6..7)),
            "uneven",
        );
    }
}

#[test]
fn products_beyond_f32_are_infinite_and_those_below_vanish() {
    let Some(amx) = Amx::or_skip() else { return };
    let rows = |values: &[f32]| Rows {
        values: values.to_vec(),
        width: 1,
    };
    let left = rows(&[1e30, -1e-30, f32::MAX, 1e-45, 0.0]);
    let products = split(amx, &left, &rows(&[1e30, 1e-30, 1.0, -0.0]));
    let expected = [
        [f32::INFINITY, 1e30 * 1e-30, 1e30, 0.0],
        [-1e-30 * 1e30, 0.0, -1e-30, 0.0],
        [f32::INFINITY, f32::MAX * 1e-30, f32::MAX, 0.0],
        [1e-45 * 1e30, 0.0, 1e-45, 0.0],
        [0.0; 4],
    ];
    for (found, expected) in products.iter().zip(expected.as_flattened()) {
        let close = (found - expected).abs() <= 2.0 * f32::EPSILON * expected.abs();
        assert!(found == expected || close, "{found:e}, not {expected:e}");
    }
}

#[test]
fn a_product_depends_on_its_two_rows_alone() {
    let Some(amx) = Amx::or_skip() else { return };
    for width in [3, 64, 1100] {
        // Every eleventh row is packed divided by a power of two.
        let scale = |row: usize| if row % 11 == 5 { 1e20 } else { 1.0 };
        let left = Rows::new(130, width, "left", scale);
        let right = Rows::new(700, width, "right", scale);
        let all = split(amx, &left, &right);
        let mut draws = Draws::new("order");
        for (m, n) in [(1, 1), (3, 700), (130, 2), (130, 700), (45, 33)] {
            let mut pick = |from: usize, n: usize| {
                let mut rows: Vec<usize> = (0..from).collect();
                draws.shuffle(&mut rows);
                // The last one twice: duplicates tie.
                rows.truncate(n);
                rows.push(rows[n - 1]);
                rows
            };
            let (rows, columns) = (pick(left.n(), m), pick(right.n(), n));
            let products = split(amx, &left.picked(&rows), &right.picked(&columns));
            for (i, &row) in rows.iter().enumerate() {
                for (j, &column) in columns.iter().enumerate() {
                    let found = products[i * columns.len() + j];
                    let expected = all[row * right.n() + column];
                    assert_eq!(found.to_bits(), expected.to_bits(), "{row} {column}");
                }
            }
        }
        for threads in 1..5 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            assert_eq!(pool.unwrap().install(|| split(amx, &left, &right)), all);
        }
    }
}

#[test]
fn infinities_and_nan_reach_every_product_of_their_row_and_no_other() {
    let Some(amx) = Amx::or_skip() else { return };
    let (mut left, right) = (Rows::unit(40, 70, "left"), Rows::unit(50, 70, "right"));
    let expected = split(amx, &left, &right);
    let bad = [(3, f32::NAN), (17, f32::INFINITY), (39, f32::NEG_INFINITY)];
    for (row, value) in bad {
        left.values[row * 70 + 69] = value;
    }
    let is_bad = |row: usize| bad.iter().any(|bad| bad.0 == row);
    let rows = split(amx, &left, &right);
    let columns = split(amx, &right, &left);
    for i in 0..40 {
        for j in 0..50 {
            let (a, b) = (rows[i * 50 + j], columns[j * 40 + i]);
            assert_eq!((a.is_finite(), b.is_finite()), (!is_bad(i), !is_bad(i)));
            assert!(is_bad(i) || a == expected[i * 50 + j]);
        }
    }
}
