//! Scores against their definition, and that their bits depend on nothing else.

use super::block::{Closest, Form, Inner, Job};
use super::lanes::{Plain, wide_half};
use super::*;

fn numbers(n: usize, seed: u32) -> Vec<f32> {
    (0..n)
        .map(|i| ((i as u32 + 1).wrapping_mul(2_654_435_761) ^ seed) as f32 / 2f32.powi(31) - 1.0)
        .collect()
}

/// Half-precision bits without subtleties: every number is a multiple of 1/64 below 16.
fn halves(n: usize) -> Vec<u16> {
    (0..n)
        .map(|i| 0x3000 + (i as u32).wrapping_mul(2_654_435_761) as u16 % 0x1400)
        .collect()
}

const FORMS: [Closeness; 2] = [Closeness::InnerProduct, Closeness::SquaredDistance];

#[test]
fn scores_equal_their_definition() {
    for (width, n_queries, n_rows) in [
        (1, 1, 1),
        (7, 5, 13),
        (16, 4, 6),
        (33, 9, 20),
        (513, 6, 200),
    ] {
        let (queries, rows) = (numbers(n_queries * width, 3), numbers(n_rows * width, 99));
        for closeness in FORMS {
            let mut out = vec![0.0; n_queries * n_rows];
            score_rows(closeness, &queries, width, StoredRows::F32(&rows), &mut out);
            for (at, score) in out.iter().enumerate() {
                let query = &queries[at / n_rows * width..][..width];
                let row = &rows[at % n_rows * width..][..width];
                let exact: f64 = (query.iter().zip(row))
                    .map(|(q, x)| (f64::from(*q), f64::from(*x)))
                    .map(|(q, x)| match closeness {
                        Closeness::InnerProduct => q * x,
                        Closeness::SquaredDistance => -(q - x) * (q - x),
                    })
                    .sum();
                assert!(
                    (f64::from(*score) - exact).abs() < 1e-6 * width as f64,
                    "{width} {at}"
                );
            }
        }
    }
}

#[test]
fn a_score_has_the_same_bits_alone_in_a_batch_and_in_half_precision() {
    let (width, n_queries, n_rows) = (77, 11, 61);
    let (queries, rows) = (numbers(n_queries * width, 3), halves(n_rows * width));
    let wide: Vec<f32> = rows.iter().map(|bits| wide_half(*bits)).collect();
    for closeness in FORMS {
        let mut batch = vec![0.0; n_queries * n_rows];
        score_rows(
            closeness,
            &queries,
            width,
            StoredRows::F16(&rows),
            &mut batch,
        );
        let mut single = vec![0.0; n_queries * n_rows];
        score_rows(
            closeness,
            &queries,
            width,
            StoredRows::F32(&wide),
            &mut single,
        );
        assert_eq!(batch, single);
        for (at, score) in batch.iter().enumerate() {
            let (query, row) = (at / n_rows, at % n_rows);
            let mut alone = [0.0];
            let query = &queries[query * width..][..width];
            let row = StoredRows::F16(&rows).part(width, row, row + 1);
            score_rows(closeness, query, width, row, &mut alone);
            assert_eq!(alone[0].to_bits(), score.to_bits());
        }
    }
}

#[test]
fn every_processor_adds_in_the_same_order() {
    fn check<F: Form>(closeness: Closeness) {
        let (width, n_queries, n_rows) = (45, 5, 9);
        // Integers: fused or not, every sum is exact, so only a wrong lane could differ.
        let queries: Vec<f32> = (0..n_queries * width)
            .map(|i| (i % 13) as f32 - 6.0)
            .collect();
        let rows: Vec<f32> = (0..n_rows * width).map(|i| (i % 17) as f32 - 8.0).collect();
        let mut found = vec![0.0; n_queries * n_rows];
        score_rows(
            closeness,
            &queries,
            width,
            StoredRows::F32(&rows),
            &mut found,
        );
        let job = Job {
            queries: &queries,
            width,
            n_queries,
            n_rows,
        };
        let mut plain = vec![0.0; n_queries * n_rows];
        // SAFETY: plain arithmetic needs nothing, and lengths fit.
        unsafe { run::<Plain, F>(&job, StoredRows::F32(&rows), &mut plain) };
        assert_eq!(found, plain);
    }
    check::<Inner>(Closeness::InnerProduct);
    check::<Closest>(Closeness::SquaredDistance);
}

#[test]
fn every_half_precision_number_is_widened_exactly() {
    let all: Vec<u16> = (0..=u16::MAX)
        .filter(|bits| bits & 0x7c00 != 0x7c00)
        .collect();
    let mut ones = vec![0.0; all.len()];
    score_rows(
        Closeness::InnerProduct,
        &[1.0],
        1,
        StoredRows::F16(&all),
        &mut ones,
    );
    for (bits, score) in all.iter().zip(ones) {
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
        let magnitude = match exponent {
            0 => fraction * 2f64.powi(-24),
            _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
        };
        let exact = if bits & 0x8000 == 0 {
            magnitude
        } else {
            -magnitude
        };
        assert_eq!(f64::from(wide_half(*bits)), exact);
        assert_eq!(f64::from(score), exact);
    }
}

#[test]
fn integer_products_are_exact_by_every_instruction() {
    for (width, n_queries, n_rows) in [
        (1, 1, 1),
        (31, 3, 70),
        (65, 4, 5),
        (512, 5, 9),
        (512, 9, 41),
        (8192, 4, 3),
    ] {
        let queries: Vec<i16> = (0..n_queries * width)
            .map(|i| (i * 37 % 4095) as i16 - 2047)
            .collect();
        let rows: Vec<i8> = (0..n_rows * width)
            .map(|i| (i * 101 % 256) as u8 as i8)
            .collect();
        let mut exact = vec![0; n_queries * n_rows];
        integer::plain_tile(&queries, &rows, width, &mut exact, n_rows);
        for (at, found) in exact.iter().enumerate() {
            let query = &queries[at / n_rows * width..][..width];
            let row = &rows[at % n_rows * width..][..width];
            let sum: i64 = (query.iter().zip(row))
                .map(|(q, x)| i64::from(*q) * i64::from(*x))
                .sum();
            assert_eq!(i64::from(*found), sum);
        }
        #[cfg(target_arch = "x86_64")]
        if integer::avx512::is_there() {
            let mut out = vec![0; exact.len()];
            // SAFETY: the instructions are there, and lengths fit.
            unsafe { integer::avx512::tile(&queries, &rows, width, &mut out, n_rows) };
            assert_eq!(out, exact);
        }
        let mut out = vec![0; exact.len()];
        IntegerQueries::new(queries, width).products(&rows, &mut out);
        assert_eq!(out, exact, "{width} {n_queries} {n_rows}");
    }
}

/// The largest numbers everywhere: where a sum comes nearest to the end of 32 bits.
#[test]
fn the_largest_sums_of_integers_fit() {
    for (q, x) in [(2047, 127), (-2047, -128), (2047, -128), (-2047, 127)] {
        let mut out = [0; 8];
        let queries = IntegerQueries::new(vec![q; 4 * 8192], 8192);
        queries.products(&[x; 2 * 8192], &mut out);
        let sum = i64::from(q) * i64::from(x) * 8192;
        assert!(out.iter().all(|found| i64::from(*found) == sum), "{out:?}");
    }
}
