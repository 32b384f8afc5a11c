//! The machine's own rate: one large product with every thread.

use truepair_kernel::product::{Threads, View};

use super::{Setup, Step, Workload};
use crate::error::Result;

const SHAPE: [usize; 3] = [4608, 2048, 1024];

pub(super) fn workloads() -> Vec<Workload> {
    let [m, k, n] = SHAPE;
    let gflop = 2.0 * (m * k * n) as f64 / 1e9;
    vec![Workload::new(format!("product/{m}x{k}x{n}"), gflop, step)]
}

fn step(setup: &Setup) -> Result<Step> {
    let [m, k, n] = SHAPE;
    let (left, right, mut out) = (vec![0.5f32; m * k], vec![0.25f32; n * k], vec![0f32; m * n]);
    let precision = setup.precision;
    Ok(Box::new(move || {
        let (left, right) = (View::rows(&left, k), View::rows(&right, k).t());
        left.times(right)
            .with(precision)
            .on(Threads::All)
            .write(&mut out, n);
    }))
}
