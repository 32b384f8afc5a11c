//! Recalls of both directions from embeddings, five captions an image.

use burn::tensor::Device;
use truepair_core::metric::{Protocol, evaluate};
use truepair_core::pair::Pair;
use truepair_core::relevance::Relevance;
use truepair_core::scores::{InnerProduct, Matrix};

use super::{Setup, Step, Workload, random};
use crate::error::Result;
use crate::optimizer::floats;

const DIM: usize = 512;
const CAPTIONS: usize = 5;

pub(super) fn workloads() -> Vec<Workload> {
    let row = |n: usize| {
        let gflop = 2.0 * (n * n * CAPTIONS * DIM) as f64 / 1e9;
        let name = format!("eval/recall/{n}x{}", n * CAPTIONS);
        Workload::new(name, gflop, move |_: &Setup| step(n))
    };
    vec![row(1000), row(5000)]
}

/// Metrics are computed on the processor whatever the device.
fn step(n: usize) -> Result<Step> {
    let vectors = |name, rows| {
        let mut matrix = Matrix::new(floats(random(name, [rows, DIM], &Device::flex())), DIM);
        matrix.normalize();
        matrix
    };
    let scorer = InnerProduct::new(vectors("images", n), vectors("captions", n * CAPTIONS))?;
    let pairs: Vec<Pair> = (0..(n * CAPTIONS) as u32)
        .map(|caption| Pair {
            image: caption / CAPTIONS as u32,
            caption,
        })
        .collect();
    let relevance = Relevance::from_pairs(n, n * CAPTIONS, &pairs);
    Ok(Box::new(move || {
        let protocol = Protocol::new("random", "test", &relevance);
        evaluate(&scorer, &relevance, protocol, &mut ()).expect("finite scores can be ranked");
    }))
}
