//! Losses: equations in `f64`.

use super::{Input, check, run};
use crate::{Hinge, InfoNce, Negatives};

const ALL: [Negatives; 3] = [Negatives::Hardest, Negatives::Mean, Negatives::Sum];

/// One loss per pair; `margin` of the entry in row `i` and column `j` by its anchor.
fn hinges(
    s: &[f64],
    b: usize,
    margin: impl Fn(usize, usize, usize) -> f64,
    negatives: Negatives,
) -> Vec<f64> {
    let joined = |hinges: Vec<f64>| match negatives {
        Negatives::Hardest => hinges.iter().copied().fold(0.0, f64::max),
        Negatives::Mean => hinges.iter().sum::<f64>() / b as f64,
        Negatives::Sum => hinges.iter().sum(),
    };
    let loss = |i: usize| {
        let others = || (0..b).filter(move |j| *j != i);
        let own = s[i * b + i];
        let row = others().map(|j| (margin(i, j, i) + s[i * b + j] - own).max(0.0));
        let column = others().map(|j| (margin(j, i, i) + s[j * b + i] - own).max(0.0));
        joined(row.collect()) + joined(column.collect())
    };
    (0..b).map(loss).collect()
}

#[test]
fn hinges_equal_their_equations_with_every_kind_of_margin() {
    for (b, negatives) in [1, 2, 6].into_iter().flat_map(|b| ALL.map(|n| (b, n))) {
        let scores = Input::normal("scores", &[b, b], 1.0);
        let fixed = Input::of(&[1], vec![0.3]).constant();
        check(&Hinge(negatives), &[scores.clone(), fixed], |x| {
            hinges(&x[0], b, |_, _, _| x[1][0], negatives)
        });
        let per_pair = Input::normal("margins", &[b], 0.3).constant();
        check(&Hinge(negatives), &[scores.clone(), per_pair], |x| {
            hinges(&x[0], b, |_, _, anchor| x[1][anchor], negatives)
        });
        let per_entry = Input::normal("margins", &[b, b], 0.3).constant();
        check(&Hinge(negatives), &[scores, per_entry], |x| {
            hinges(&x[0], b, |row, column, _| x[1][row * b + column], negatives)
        });
    }
}

#[test]
fn a_score_that_is_not_a_number_does_not_look_like_a_small_loss() {
    let scores = [0.9, f32::NAN, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.9];
    let inputs = [
        Input::of(&[3, 3], scores.to_vec()),
        Input::of(&[1], vec![0.2]).constant(),
    ];
    for negatives in ALL {
        use crate::Operation;
        let arrays = [inputs[0].array(), inputs[1].array()];
        let losses = Hinge(negatives).output(&arrays).values;
        assert!(losses[0].is_nan() && losses[1].is_nan() && losses[2] == 0.0);
    }
}

#[test]
fn info_nce_equals_its_equation() {
    let (b, temperature) = (9, 0.3);
    let inputs = [Input::normal("scores", &[b, b], 0.5)];
    check(&InfoNce::new(temperature), &inputs, |x| {
        let s = |i: usize, j: usize| x[0][i * b + j] / temperature;
        let log_sum = |term: &dyn Fn(usize) -> f64| (0..b).map(|j| term(j).exp()).sum::<f64>().ln();
        let loss = |i: usize| {
            let row = log_sum(&|j| s(i, j)) - s(i, i);
            let column = log_sum(&|j| s(j, i)) - s(i, i);
            0.5 * (row + column)
        };
        (0..b).map(loss).collect()
    });
    // The work of several tasks.
    let many = [Input::normal("scores", &[150, 150], 0.5)];
    assert_eq!(run(&InfoNce::new(temperature), &many).output.shape, [150]);
}
