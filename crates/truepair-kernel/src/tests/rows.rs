//! Normalizations: equations in `f64`.

use super::{Input, check, check_threads, run};
use crate::{LayerNormRows, SoftmaxRows, UnitColumns, UnitRows};

#[test]
fn softmax_equals_its_equation() {
    let input = |n, d| [Input::normal("x", &[n, d], 2.0)];
    for d in [3, 20] {
        check(&SoftmaxRows, &input(4, d), |x| {
            let row = |row: &[f64]| {
                let total: f64 = row.iter().map(|x| x.exp()).sum();
                row.iter().map(|x| x.exp() / total).collect::<Vec<_>>()
            };
            x[0].chunks(d).flat_map(row).collect()
        });
    }
    // The work of several tasks.
    check_threads(&SoftmaxRows, &input(700, 100));
}

#[test]
fn unit_rows_equal_their_equation() {
    check(&UnitRows, &[Input::normal("x", &[2, 2, 37], 1.0)], |x| {
        let row = |row: &[f64]| {
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-8;
            row.iter().map(|x| x / length).collect::<Vec<_>>()
        };
        x[0].chunks(37).flat_map(row).collect()
    });
}

#[test]
fn zero_rows_and_columns_stay_zero_with_finite_gradients() {
    let zeros = [Input::of(&[2, 3], vec![0.0; 6])];
    let columns = UnitColumns { lengths: vec![2] };
    for found in [run(&UnitRows, &zeros), run(&columns, &zeros)] {
        assert_eq!(found.output.values, [0.0; 6]);
        assert!(found.gradients[0].iter().flatten().all(|g| g.is_finite()));
    }
}

#[test]
fn unit_columns_equal_their_equation() {
    let (lengths, d) = (vec![2, 0, 3], 4);
    let operation = UnitColumns {
        lengths: lengths.clone(),
    };
    // The last row belongs to no item.
    check(&operation, &[Input::normal("x", &[6, d], 1.0)], |x| {
        let mut out = vec![0.0; 6 * d];
        let mut first = 0;
        for m in &lengths {
            for k in 0..d {
                let places = || (first..first + m).map(|row| row * d + k);
                let length = places().map(|at| x[0][at].powi(2)).sum::<f64>().sqrt() + 1e-8;
                places().for_each(|at| out[at] = x[0][at] / length);
            }
            first += m;
        }
        out
    });
}

#[test]
fn layer_norm_equals_its_equation() {
    let inputs = |n, d| {
        [
            Input::normal("x", &[n, d], 3.0),
            Input::normal("weight", &[d], 1.0),
            Input::normal("bias", &[d], 1.0),
        ]
    };
    let d = 19;
    check(&LayerNormRows, &inputs(5, d), |x| {
        let row = |row: &[f64]| {
            let mean = row.iter().sum::<f64>() / d as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            (0..d)
                .map(|k| (row[k] - mean) * scale * x[1][k] + x[2][k])
                .collect::<Vec<_>>()
        };
        x[0].chunks(d).flat_map(row).collect()
    });
    check_threads(&LayerNormRows, &inputs(700, 100));
}
