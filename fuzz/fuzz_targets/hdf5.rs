//! The fuzzing program of the target `hdf5`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("hdf5", data));
