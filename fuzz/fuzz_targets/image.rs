//! The fuzzing program of the target `image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("image", data));
