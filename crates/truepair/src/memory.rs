//! The memory of this process: what is kept for later, and what the system tells of it.

use std::ffi::{c_int, c_long};

use truepair_core::source_file;

/// `purge_delay` in mimalloc's list of options, which its crate does not name.
const PURGE_DELAY: c_int = 15;
/// Milliseconds for which freed memory is kept: an hour.
const KEPT_FOR: c_long = 3_600_000;

/// Keeps what is freed for what is allocated next, instead of handing it back after a second. Steps of training
/// and passes over all pairs free and allocate buffers of the same large sizes, and what the system hands out
/// anew it fills with zeros first. To be called once, before there are other threads.
pub(crate) fn keep_freed() {
    // SAFETY: it writes a number of the allocator's own, unless the environment has set it; there is one thread.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, KEPT_FOR) }
}

/// The process's peak resident memory in MiB, since its start or since [`forget_peak`].
pub(crate) fn peak_mib() -> Option<u64> {
    let status =
        source_file::read_text("/proc/self/status".as_ref(), source_file::SETTINGS).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}

/// Hands back what is kept and lets the peak begin anew at what is used now. Where that cannot be done, [`peak_mib`] stays that of the whole
/// process.
pub(crate) fn forget_peak() {
    // SAFETY: it takes nothing; what is in use stays.
    unsafe { libmimalloc_sys::mi_collect(true) }
    // Linux: 5 resets the peak (proc(5), /proc/PID/clear_refs).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: it reads a number.
        let set = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(set, 1000, "mimalloc's own delay, which no other option has");
    }

    #[test]
    fn the_peak_is_in_mebibytes_and_holds_what_was_used() {
        const MIB: usize = 300;
        forget_peak();
        let Some(before) = peak_mib() else { return };
        let block = vec![1u8; MIB << 20];
        assert_eq!(
            block.iter().map(|byte| usize::from(*byte)).sum::<usize>(),
            MIB << 20
        );
        let with_block = peak_mib().unwrap();
        assert!(
            with_block >= before.max(MIB as u64) && with_block < 100 * MIB as u64,
            "{before} and then {with_block}"
        );
    }
}
