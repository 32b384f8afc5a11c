//! The memory of this process, where the system tells.

use truepair_core::source_file;

/// The process's peak resident memory in MiB, since its start or since [`forget_peak`].
pub(crate) fn peak_mib() -> Option<u64> {
    let status =
        source_file::read_text("/proc/self/status".as_ref(), source_file::SETTINGS).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}

/// Lets the peak begin anew at what is used now. Where that cannot be done, [`peak_mib`] stays that of the whole
/// process.
pub(crate) fn forget_peak() {
    // Linux: 5 resets the peak (proc(5), /proc/PID/clear_refs).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

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
