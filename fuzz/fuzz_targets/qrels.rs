//! The fuzzing program of the target `qrels`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("qrels", data));
