//! Files with several cases a module, and modules with running statistics.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use truepair_model::parameters::{self, Parameters, Values};
use truepair_train::published::Names;

use crate::support::{Golden, assert_close, vector};

pub(crate) fn weights(golden: &Golden, names: &Names) -> Parameters {
    (names.iter())
        .map(|(ours, theirs)| (ours.clone(), weight(golden, theirs)))
        .collect()
}

/// A 1 × 1 convolution is a dense layer.
fn weight(golden: &Golden, theirs: &str) -> Values {
    let mut values = golden.values(&format!("w.{theirs}"));
    if let [d_out, d_in, 1] = values.shape[..] {
        values.shape = vec![d_out, d_in];
    }
    values
}

/// The loss of a case and every gradient of it. `case` is empty or ends with a point.
pub(crate) fn check_case(
    golden: &Golden,
    case: &str,
    module: &impl Module,
    names: &Names,
    (input_name, input): (&str, Option<Tensor<3>>),
    loss: Tensor<1>,
    relative: f32,
) {
    let key = format!("out.{case}loss");
    assert_close(
        &key,
        &vector(loss.clone()),
        &golden.floats(&key),
        1e-4,
        1e-5,
    );
    let mut collect = Collect {
        gradients: &loss.backward(),
        found: Vec::new(),
    };
    module.visit(&mut collect);
    let key = |theirs: &str| format!("grad.{case}w.{theirs}");
    let mut checked = Vec::new();
    for (ours, gradient) in parameters::names(module).iter().zip(collect.found) {
        let (_, theirs) = (names.iter().find(|(name, _)| name == ours))
            .unwrap_or_else(|| panic!("{ours} has no counterpart"));
        let measured = ours.contains(".running_");
        assert_eq!(gradient.is_none(), measured, "{ours}");
        checked.extend(gradient.map(|gradient| (key(theirs), gradient)));
    }
    if let Some(input) = input {
        let gradient = input.grad(collect.gradients).expect("the input is tracked");
        checked.push((format!("grad.{case}{input_name}"), vector(gradient)));
    }
    let largest = (checked.iter())
        .flat_map(|(key, _)| golden.floats(key))
        .fold(0f32, |m, g| m.max(g.abs()));
    for (key, gradient) in checked {
        let expected = golden.floats(&key);
        assert_close(&key, &gradient, &expected, relative, 1e-6 + 1e-5 * largest);
    }
}

struct Collect<'a> {
    gradients: &'a Gradients,
    found: Vec<Option<Vec<f32>>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found
            .push(param.val().grad(self.gradients).map(vector));
    }
}

/// The running statistics after one training pass; returns how many were compared.
pub(crate) fn check_running(
    golden: &Golden,
    case: &str,
    module: &impl Module,
    names: &Names,
) -> usize {
    let found = parameters::export(module);
    let running = names.iter().filter(|(ours, _)| ours.contains(".running_"));
    running
        .map(|(ours, theirs)| {
            let key = format!("out.{case}{theirs}");
            assert_close(&key, &found[ours].values, &golden.floats(&key), 1e-5, 1e-6);
        })
        .count()
}
