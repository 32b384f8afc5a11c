//! Bytes of strangers against every reader: one target for each kind of file that the program opens.
//!
//! A target is a function of bytes. It hands them to the readers as the program does and checks what
//! came out: shapes, ranges, that a second reading gives the same, that what is written reads back. An
//! error of a reader is a good answer; a panic, a hang and memory out of proportion are finds.
//!
//! The programs in `fuzz_targets/` mutate bytes for as long as they are let; `tests/replay.rs` runs
//! what they kept, in ordinary builds.

mod arrays;
#[cfg(feature = "train")]
mod config;
mod csv;
mod gauge;
mod hdf5;
mod image;
mod json_lines;
mod json_list;
mod judged;
mod labeled;
mod ledger;
mod mat;
mod noise_file;
mod npy;
mod npz;
#[cfg(feature = "encode")]
mod onnx;
mod pairs;
mod parquet;
mod pickle;
mod qrels;
mod relevance;
#[cfg(feature = "train")]
mod run_files;
mod safetensors;
mod scratch;
mod table;
mod tar;
mod tensors;
#[cfg(feature = "encode")]
mod tokenizer;
mod trec_run;

use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use gauge::Gauge;

/// Counts what the readers hold.
#[global_allocator]
static GAUGE: Gauge = Gauge;

const MIB: usize = 1 << 20;

/// A kind of file.
pub struct Target {
    /// Names its program, its corpus and its dictionary.
    pub name: &'static str,
    /// Hands bytes to the readers and checks what comes out.
    pub read: fn(&[u8]),
    /// Bytes that may be held at once beside [`PER_BYTE`] of the input.
    pub allowance: usize,
}

/// Bytes that may be held for each byte of the input.
pub const PER_BYTE: usize = 256;

const fn target(name: &'static str, read: fn(&[u8]), allowance: usize) -> Target {
    Target {
        name,
        read,
        allowance,
    }
}

/// Every target, sorted by name.
pub const TARGETS: &[Target] = &[
    #[cfg(feature = "train")]
    target("config", config::config, 32 * MIB),
    target("csv", csv::csv, 32 * MIB),
    target("hdf5", hdf5::hdf5, 64 * MIB),
    // A picture of `MAX_PIXELS` takes this whatever its file is.
    target("image", image::image, 2048 * MIB),
    target("json_lines", json_lines::json_lines, 32 * MIB),
    target("json_list", json_list::json_list, 32 * MIB),
    target("ledger", ledger::ledger, 16 * MIB),
    target("mat", mat::mat, 64 * MIB),
    target("noise_file", noise_file::noise_file, 16 * MIB),
    target("npy", npy::npy, 16 * MIB),
    target("npz", npz::npz, 64 * MIB),
    #[cfg(feature = "encode")]
    target("onnx", onnx::onnx, 256 * MIB),
    target("parquet", parquet::parquet, 128 * MIB),
    target("pickle", pickle::pickle, 32 * MIB),
    target("qrels", qrels::qrels, 16 * MIB),
    target("relevance", relevance::relevance, 16 * MIB),
    #[cfg(feature = "train")]
    target("run_files", run_files::run_files, 128 * MIB),
    target("safetensors", safetensors::safetensors, 16 * MIB),
    target("tar", tar::tar, 64 * MIB),
    #[cfg(feature = "encode")]
    target("tokenizer", tokenizer::tokenizer, 64 * MIB),
    target("trec_run", trec_run::trec_run, 16 * MIB),
];

/// Runs the target called `name` on `data`.
///
/// # Panics
/// If there is none, or it finds something.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|target| target.name == name);
    let target = found.unwrap_or_else(|| panic!("there is no target `{name}`"));
    let before = gauge::start();
    (target.read)(data);
    let held = gauge::peak().saturating_sub(before);
    let allowed = target.allowance + PER_BYTE * data.len();
    assert!(
        held <= allowed,
        "{} bytes were read and {held} held at once, of which {allowed} are in proportion",
        data.len()
    );
}

/// As [`run`], for the fuzzing programs: a find ends the process, and a panic that a reader contains
/// does not.
pub fn fuzz(name: &str, data: &[u8]) {
    static QUIET: Once = Once::new();
    // The hook of the fuzzing loop would end the process at any panic.
    QUIET.call_once(|| panic::set_hook(Box::new(|found| *last_panic() = found.to_string())));
    if panic::catch_unwind(|| run(name, data)).is_err() {
        #[expect(clippy::print_stderr, reason = "the log of the fuzzing program")]
        {
            eprintln!("{}", last_panic());
        }
        std::process::abort();
    }
}

/// What the last panic said, contained or not.
fn last_panic() -> MutexGuard<'static, String> {
    static LAST: Mutex<String> = Mutex::new(String::new());
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}
