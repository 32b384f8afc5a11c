//! Negative learning and early-learning regularization on labels, as their releases compute them.

use burn::tensor::Tensor;
use burn::tensor::TensorData;
use burn::tensor::activation::{log_softmax, softmax};
use truepair_model::objective::{accumulate, early_learning, negative_log};

use crate::support::{Golden, assert_close, device, vector};

/// A constant `[n, c]`.
fn constant(values: Vec<f32>, [n, c]: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [n, c]), &device())
}

/// A scalar loss of logits and its gradient against case `case`, which is empty or ends with a point.
fn check(golden: &Golden, logits: &str, case: &str, loss: impl Fn(&Tensor<2>) -> Tensor<1>) {
    let logits_tensor: Tensor<2> = golden.tensor(logits);
    let value = loss(&logits_tensor);
    let name = format!("out.{case}loss");
    let expected = golden.floats(&name);
    assert_close(&name, &vector(value.clone()), &expected, 2e-5, 1e-6);
    let gradient = logits_tensor.grad(&value.backward()).unwrap();
    let name = format!("grad.{case}{logits}");
    assert_close(&name, &vector(gradient), &golden.floats(&name), 5e-5, 1e-6);
}

/// Rows of weights: `weight(i)` at each of `classes(i)`.
fn weights(
    [n, c]: [usize; 2],
    classes: impl Fn(usize) -> Vec<usize>,
    weight: impl Fn(usize) -> f32,
) -> Tensor<2> {
    let mut values = vec![0.0; n * c];
    for i in 0..n {
        for class in classes(i) {
            values[i * c + class] += weight(i);
        }
    }
    constant(values, [n, c])
}

#[test]
fn golden_negative_learning_and_its_selection() {
    let golden = Golden::open("u04_nlnl.safetensors");
    let shape: [usize; 2] = golden.shape("in.logits").try_into().unwrap();
    let [n, c] = shape;
    let integers = |name: &str| -> Vec<usize> {
        let values = golden.integers(name).into_iter();
        values.map(|value| value as usize).collect()
    };
    let (labels, negatives) = (integers("in.labels"), integers("in.labels_neg"));
    let per_sample = negatives.len() / n;
    // A term weighs as much as the class that was given, not the one that it denies.
    let class_weight = golden.floats("in.class_weight");
    let history = golden.floats("in.pred_hist");
    let epochs = golden.shape("in.pred_hist")[1];
    let given = |i: usize| -> f32 {
        let rows = (0..epochs).map(|epoch| history[(i * epochs + epoch) * c + labels[i]]);
        rows.sum::<f32>() / epochs as f32
    };
    let above = |bar: f32| -> Vec<usize> { (0..n).map(|i| usize::from(given(i) >= bar)).collect() };
    let chance = 1.0 / c as f32;
    let cases = [
        ("NL", 1, vec![1; n]),
        ("NL3", per_sample, vec![1; n]),
        ("SelNL", 1, above(chance)),
    ];
    for (case, k, selected) in cases {
        assert_eq!(
            integers(&format!("out.{case}.selected")),
            selected,
            "{case}"
        );
        let used = selected.iter().sum::<usize>() as f32;
        let mut values = vec![0.0; n * c];
        for i in (0..n).filter(|&i| selected[i] == 1) {
            for &negative in &negatives[i * per_sample..][..k] {
                values[i * c + negative] += class_weight[labels[i]] / used;
            }
        }
        let terms = constant(values, shape);
        check(&golden, "in.logits", &format!("{case}."), |x| {
            // The release clips 1 − p to [1e-5, 1].
            let clipped = negative_log(x.clone()).clamp_max(-golden.number("clamp").ln());
            (clipped * terms.clone()).sum()
        });
    }
    let selected = above(golden.number("cut") as f32);
    assert_eq!(integers("out.SelPL.selected"), selected);
    let weight = |i: usize| selected[i] as f32 * class_weight[labels[i]];
    let total: f32 = (0..n).map(weight).sum();
    let terms = weights(shape, |i| vec![labels[i]], |i| weight(i) / total);
    check(&golden, "in.logits", "SelPL.", |x| {
        (log_softmax(x.clone(), 1) * terms.clone()).sum().neg()
    });
}

#[test]
fn golden_early_learning_targets_and_loss() {
    let golden = Golden::open("u04_elr.safetensors");
    let [n, c]: [usize; 2] = golden.shape("in.logits1").try_into().unwrap();
    let labels = golden.integers("in.label");
    let rows = golden.integers("in.index");
    let mut memory = golden.floats("in.target0");
    let given = weights([n, c], |i| vec![labels[i] as usize], |_| 1.0 / n as f32);
    for step in ["1", "2"] {
        let logits = format!("in.logits{step}");
        let p = vector(softmax(golden.tensor::<2>(&logits), 1));
        for (i, &row) in rows.iter().enumerate() {
            let target = &mut memory[row as usize * c..][..c];
            accumulate(target, &p[i * c..][..c], golden.number("beta"));
        }
        let name = format!("out.step{step}.target");
        assert_close(&name, &memory, &golden.floats(&name), 1e-5, 1e-6);
        let targets: Vec<f32> = (rows.iter())
            .flat_map(|&row| memory[row as usize * c..][..c].to_vec())
            .collect();
        check(&golden, &logits, &format!("step{step}."), |x| {
            let entropy = (log_softmax(x.clone(), 1) * given.clone()).sum().neg();
            let held = early_learning(softmax(x.clone(), 1), constant(targets.clone(), [n, c]));
            entropy + held.mean() * golden.number("lambda")
        });
    }
}

#[test]
fn golden_early_learning_with_mixed_targets() {
    let golden = Golden::open("u04_elr_plus.safetensors");
    let shape: [usize; 2] = golden.shape("in.logits").try_into().unwrap();
    let (mixed, labels) = (golden.floats("out.q"), golden.floats("in.y"));
    let weight = golden.number("lambda") * f64::from(golden.floats("out.rampup")[0]);
    check(&golden, "in.logits", "", |x| {
        let given = log_softmax(x.clone(), 1) * constant(labels.clone(), shape);
        let held = early_learning(softmax(x.clone(), 1), constant(mixed.clone(), shape));
        given.sum().neg() / shape[0] as f64 + held.mean() * weight
    });
}
