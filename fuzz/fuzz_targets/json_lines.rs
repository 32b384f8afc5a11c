//! The fuzzing program of the target `json_lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("json_lines", data));
