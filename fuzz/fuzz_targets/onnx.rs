//! The fuzzing program of the target `onnx`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("onnx", data));
