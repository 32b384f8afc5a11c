//! The fuzzing program of the target `trec_run`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("trec_run", data));
