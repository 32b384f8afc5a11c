//! Fixture files and comparisons.

use std::sync::OnceLock;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use truepair_core::rng::Seed;
use truepair_model::Accelerator;
use truepair_model::backbone::{Backbone, BackboneConfig, InputShape};
use truepair_model::kernel::Precision;
use truepair_model::layer::Init;
use truepair_model::parameters::{self, Parameters, Values};

use crate::entry::Entry;
pub(crate) use crate::entry::{in_name, stated};

/// One file of tensors with its entry of the index.
pub(crate) struct Golden(Entry);

impl std::ops::Deref for Golden {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.0
    }
}

impl Golden {
    pub(crate) fn open(name: &str) -> Self {
        Self(Entry::open(name))
    }

    pub(crate) fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    /// The names between `before` and `after` among all tensors'; at least one.
    pub(crate) fn cases(&self, before: &str, after: &str) -> Vec<String> {
        let tensors = self.tensors();
        let names = tensors.names().into_iter();
        let mut cases: Vec<String> = names
            .filter_map(|name| name.strip_prefix(before)?.strip_suffix(after))
            .map(str::to_owned)
            .collect();
        cases.sort();
        assert!(!cases.is_empty(), "the file holds no {before}…{after}");
        cases
    }

    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        let tensors = self.tensors();
        tensors
            .tensor(name)
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .shape()
            .to_vec()
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = self.tensors();
        let tensor = tensors
            .tensor(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
        let chunks = tensor.data().chunks_exact(4);
        chunks
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        let tensors = self.tensors();
        let tensor = tensors
            .tensor(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tensor.dtype(), Dtype::I64, "{name}");
        let chunks = tensor.data().chunks_exact(8);
        chunks
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    /// The tensor on the differentiating device, tracked.
    pub(crate) fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let shape: [usize; D] = self.shape(name).try_into().unwrap();
        let data = TensorData::new(self.floats(name), shape);
        Tensor::from_data(data, &device()).require_grad()
    }

    pub(crate) fn values(&self, name: &str) -> Values {
        Values {
            shape: self.shape(name),
            values: self.floats(name),
        }
    }
}

/// Where the numbers are worked out: on the processor, or on what `TRUEPAIR_TEST_DEVICE` names (`gpu`, `gpu:1`), which
/// `scripts/check_gpu.sh` sets.
pub(crate) fn accelerator() -> Accelerator {
    match std::env::var("TRUEPAIR_TEST_DEVICE") {
        Ok(named) => named.parse().unwrap(),
        Err(_) => Accelerator::Cpu,
    }
}

pub(crate) fn plain_device() -> Device {
    static CHOSEN: OnceLock<Device> = OnceLock::new();
    CHOSEN
        .get_or_init(|| accelerator().device().unwrap())
        .clone()
}

pub(crate) fn device() -> Device {
    plain_device().autodiff()
}

pub(crate) fn vector<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// `|a − b| ≤ relative · max|b| + absolute`.
pub(crate) fn assert_close(
    name: &str,
    found: &[f32],
    expected: &[f32],
    relative: f32,
    absolute: f32,
) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = (a - b).abs();
        assert!(
            error <= relative * largest + absolute,
            "{name}[{at}]: {a} where {b} is expected (off by {error}, largest {largest})"
        );
    }
}

pub(crate) fn loaded(config: &BackboneConfig, shape: InputShape, weights: Parameters) -> Backbone {
    let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
    parameters::import(config.build(shape, &mut init).unwrap(), weights).unwrap()
}

pub(crate) fn check_gradients(
    golden: &Golden,
    module: &impl Module,
    loss: Tensor<1>,
    names: &[(&str, &str)],
) {
    assert_close(
        "loss",
        &vector(loss.clone()),
        &golden.floats("out.loss"),
        1e-4,
        1e-5,
    );
    let mut collect = Collect {
        gradients: &loss.backward(),
        found: Vec::new(),
    };
    module.visit(&mut collect);
    let found = collect.found;
    let largest = names
        .iter()
        .flat_map(|(_, theirs)| golden.floats(&format!("grad.{theirs}")))
        .fold(0f32, |m, g| m.max(g.abs()));
    for (name, gradient) in parameters::names(module).iter().zip(found) {
        let theirs = names.iter().find(|(ours, _)| ours == name).unwrap().1;
        let key = format!("grad.{theirs}");
        assert_close(
            &key,
            &gradient,
            &golden.floats(&key),
            2e-5,
            1e-6 + 1e-5 * largest,
        );
    }
}

struct Collect<'a> {
    gradients: &'a Gradients,
    found: Vec<Vec<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param
            .val()
            .grad(self.gradients)
            .expect("every weight takes part");
        self.found.push(vector(gradient));
    }
}
