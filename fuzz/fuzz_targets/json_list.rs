//! The fuzzing program of the target `json_list`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("json_list", data));
