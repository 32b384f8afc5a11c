//! The fuzzing program of the target `noise_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("noise_file", data));
