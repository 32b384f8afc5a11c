//! The files of a run directory, one of which is the input: its first byte says which.

use truepair_core::ledger::Ledger;
use truepair_model::Accelerator;
use truepair_train::{ledgers, load, load_last, recipe};

use crate::scratch;

/// A stored run of today's version.
const RUN: [(&str, &[u8]); 5] = [
    (
        "config.toml",
        include_bytes!("../../crates/truepair-train/fixtures/formats/run/config.toml"),
    ),
    (
        "metrics.jsonl",
        include_bytes!("../../crates/truepair-train/fixtures/formats/run/metrics.jsonl"),
    ),
    (
        "weights.safetensors",
        include_bytes!("../../crates/truepair-train/fixtures/formats/run/weights.safetensors"),
    ),
    (
        "checkpoint.bin",
        include_bytes!("../../crates/truepair-train/fixtures/formats/run/checkpoint.bin"),
    ),
    (
        "ledger.bin",
        include_bytes!("../../crates/truepair-train/fixtures/formats/run/ledger.bin"),
    ),
];

pub(crate) fn run_files(data: &[u8]) {
    let Some((which, data)) = data.split_first() else {
        return;
    };
    let mut files = RUN;
    files[usize::from(*which) % RUN.len()].1 = data;
    scratch::with_files(&files, |folder| {
        let _ = recipe(folder);
        if let Ok(trained) = load(folder, Accelerator::Cpu) {
            assert!(!trained.peers.is_empty());
        }
        let _ = load_last(folder, Accelerator::Cpu);
        for ledger in ledgers(folder).unwrap_or_default() {
            let bytes = ledger.to_bytes();
            let again = Ledger::from_bytes(&bytes, "again.bin");
            let again = again.expect("a ledger that was just written");
            assert_eq!(again.to_bytes(), bytes);
        }
    });
}
