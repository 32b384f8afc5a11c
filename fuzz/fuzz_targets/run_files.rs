//! The fuzzing program of the target `run_files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("run_files", data));
