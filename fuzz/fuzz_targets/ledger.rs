//! The fuzzing program of the target `ledger`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truepair_fuzz::fuzz("ledger", data));
