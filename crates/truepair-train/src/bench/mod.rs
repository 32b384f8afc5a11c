//! Training and evaluation steps of stated sizes, for measuring.
//!
//! Names and sizes are those that other programs measure under the same names. The numbers are
//! random; dropout is off. A workload counts the floating-point operations of the matrix products
//! that it runs, so that a time can be set against the machine's own rate.

mod gaussians;
mod heads;
mod labels;
mod matching;
mod product;
mod retrieval;

use burn::tensor::{Device, Tensor, TensorData};
use truepair_core::rng::{Seed, normal};

use crate::error::Result;
use truepair_model::kernel::Precision;

/// One step that is repeated while a clock runs.
pub type Step = Box<dyn FnMut()>;

type Prepare = Box<dyn Fn(&Setup) -> Result<Step>>;

/// What a workload is prepared with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where it runs, without automatic differentiation.
    pub device: Device,
    /// Number format of the factors of matrix products.
    pub precision: Precision,
}

/// A step of stated size.
pub struct Workload {
    /// Kind, method and size, for instance `train/sgr/paper`.
    pub name: String,
    /// Floating-point operations of its matrix products, in units of 10⁹.
    pub gflop: f64,
    prepare: Prepare,
}

impl Workload {
    fn new(
        name: impl Into<String>,
        gflop: f64,
        prepare: impl Fn(&Setup) -> Result<Step> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            gflop,
            prepare: Box::new(prepare),
        }
    }

    /// Allocates what the step works on.
    ///
    /// # Errors
    /// If a matcher cannot be built.
    pub fn prepare(&self, setup: &Setup) -> Result<Step> {
        (self.prepare)(setup)
    }
}

/// Every workload; training first, then evaluation, then the machine's own rate.
pub fn workloads() -> Vec<Workload> {
    let mut all = training(None);
    all.push(gaussians::evaluation());
    all.extend(retrieval::workloads());
    all.extend(product::workloads());
    all
}

/// The training workloads with `batch` pairs a step, at least 1, instead of each one's own number.
/// Names tell: `train/sgr/paper@b64`, `train/clip_head/b64`.
pub fn training_workloads(batch: usize) -> Vec<Workload> {
    training(Some(batch))
}

fn training(batch: Option<usize>) -> Vec<Workload> {
    let mut all = matching::workloads(batch);
    all.extend(gaussians::workloads(batch));
    all.extend(labels::workloads(batch));
    all.extend(heads::workloads(batch));
    all
}

/// Standard normal numbers from the stream `name`.
fn random<const D: usize>(name: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
    let mut rng = Seed(0).stream(name, &[]);
    let n = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| normal(&mut rng) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_batch_runs_under_its_own_name() {
        let setup = Setup {
            device: Device::flex(),
            precision: Precision::F32,
        };
        let own = workloads();
        for workload in training_workloads(3) {
            assert!(workload.name.ends_with("b3"), "{}", workload.name);
            assert!(own.iter().all(|own| own.name != workload.name));
            if workload.name.contains("small") || workload.name.contains("clip_head") {
                workload.prepare(&setup).unwrap()();
            }
        }
    }

    #[test]
    fn small_workloads_run_and_names_differ() {
        let setup = Setup {
            device: Device::flex(),
            precision: Precision::F32,
        };
        let mut names = Vec::new();
        for workload in workloads() {
            assert!(workload.gflop > 0.0, "{}", workload.name);
            if workload.name == "train/vse/small" || workload.name == "eval/recall/1000x5000" {
                workload.prepare(&setup).unwrap()();
            }
            names.push(workload.name);
        }
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n);
    }
}
