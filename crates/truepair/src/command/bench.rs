//! `truepair bench`: how long training and evaluation steps of stated sizes take on this machine.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use truepair_model::kernel::Precision;
use truepair_train::bench::{Setup, Workload, training_workloads, workloads};

use crate::accelerator;
use crate::exit::Exit;
use crate::memory::peak_mib;
use crate::output::Output;
use crate::render::Form;

const EXAMPLES: &str = "\
Examples:
  truepair bench                               every workload; the large ones take seconds per run
  truepair bench --only small                  those whose name contains `small`
  truepair bench --only sgr/paper --precision bf16 --json
  truepair bench --only sgr/paper --batch 64   the training step with 64 pairs";

/// Arguments of `truepair bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// Only workloads whose name contains this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,

    /// Measured runs of each workload, after one that is not measured.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Pairs per training step, instead of each workload's own number; the name says so
    /// (`train/sgr/paper@b64`). Only training workloads run.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,

    /// Number format of the factors of matrix products.
    #[arg(long, value_name = "FORMAT", default_value = "f32")]
    precision: Factors,
}

/// Number format of the factors of matrix products.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Factors {
    /// Single precision
    F32,
    /// 8 significant bits; sums in single precision
    Bf16,
}

impl From<Factors> for Precision {
    fn from(factors: Factors) -> Self {
        match factors {
            Factors::F32 => Self::F32,
            Factors::Bf16 => Self::Bf16,
        }
    }
}

/// The JSON object of `truepair bench --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BenchResult {
    command: &'static str,
    timings: Vec<Timing>,
}

impl Output for BenchResult {
    const SCHEMA: &'static str = "truepair/bench/1";
}

/// How long one workload took.
#[derive(Debug, Serialize, JsonSchema)]
struct Timing {
    workload: String,
    device: String,
    /// `f32` or `bf16`.
    #[schemars(with = "String")]
    dtype: Precision,
    threads: usize,
    median_ms: f64,
    min_ms: f64,
    runs: usize,
    /// Peak memory of the process so far; run one workload alone for its own.
    peak_mib: Option<u64>,
    /// Floating-point operations of the matrix products, in 10⁹.
    gflop: f64,
    gflop_per_s: f64,
}

pub(crate) fn run(args: &BenchArgs, form: Form) -> Result<Exit> {
    let setup = Setup {
        device: accelerator::chosen().device()?,
        precision: args.precision.into(),
    };
    let all = match args.batch {
        None => workloads(),
        Some(batch) => training_workloads(batch as usize),
    };
    let (chosen, others): (Vec<Workload>, Vec<Workload>) =
        (all.into_iter()).partition(|workload| workload.name.contains(&args.only));
    if chosen.is_empty() {
        let names: Vec<String> = others.into_iter().map(|row| row.name).collect();
        bail!(
            "no workload has a name that contains `{}` (choose from {})",
            args.only,
            names.join(", ")
        );
    }
    let mut result = BenchResult {
        command: "bench",
        timings: Vec::new(),
    };
    for workload in chosen {
        let measured = measure(&workload, &setup, args.runs.into())?;
        if form == Form::Text {
            // A line as soon as it is known: all of them take minutes.
            form.print(&result, || text(&measured))?;
        }
        result.timings.push(measured);
    }
    if form == Form::Json {
        form.print(&result, String::new)?;
    }
    Ok(Exit::Success)
}

fn measure(workload: &Workload, setup: &Setup, runs: usize) -> Result<Timing> {
    let mut step = workload.prepare(setup)?;
    step();
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            step();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = (times[(runs - 1) / 2] + times[runs / 2]) / 2.0;
    Ok(Timing {
        workload: workload.name.clone(),
        device: accelerator::chosen().to_string(),
        dtype: setup.precision,
        threads: rayon::current_num_threads(),
        median_ms: median,
        min_ms: times[0],
        runs,
        peak_mib: peak_mib(),
        gflop: workload.gflop,
        gflop_per_s: workload.gflop / median * 1e3,
    })
}

fn text(measured: &Timing) -> String {
    let peak = match measured.peak_mib {
        Some(mib) => format!("{mib:>6} MiB"),
        None => String::new(),
    };
    format!(
        "{:<26} {:>9.1} ms (fastest {:.1} ms) {:>7.0} GFLOP/s {peak}\n",
        measured.workload, measured.median_ms, measured.min_ms, measured.gflop_per_s
    )
}
