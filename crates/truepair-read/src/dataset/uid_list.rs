//! Lists of uids as DataComp keeps them: a NumPy array of pairs of 64-bit numbers, the two halves of
//! each uid, sorted.

use std::path::{Path, PathBuf};

use truepair_core::dataset::Bytes;
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};

use crate::text_file::open_regular;

/// The type of the array as NumPy writes it.
const DESCR: &str = "[('f0', '<u8'), ('f1', '<u8')]";
/// Where the header's text begins in version 1.
const TEXT_START: usize = 10;

/// A uid as a number; `None` when it is not 32 hexadecimal digits.
pub(super) fn uid_of(text: &str) -> Option<u128> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

/// Writes `uids` in their order, each once.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write(path: &Path, mut uids: Vec<u128>) -> Result<PathBuf> {
    uids.sort_unstable();
    uids.dedup();
    let text = format!(
        "{{'descr': {DESCR}, 'fortran_order': False, 'shape': ({},), }}",
        uids.len()
    );
    // The numbers begin at a multiple of 64, as NumPy has them.
    let padded = (TEXT_START + text.len() + 1).next_multiple_of(64) - TEXT_START;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(TEXT_START + padded - 1, b' ');
    bytes.push(b'\n');
    for uid in uids {
        bytes.extend(((uid >> 64) as u64).to_le_bytes());
        bytes.extend((uid as u64).to_le_bytes());
    }
    durable::write(path, &bytes)?;
    Ok(path.to_path_buf())
}

/// Reads the uids of such a list.
///
/// # Errors
/// If the file is no such list.
pub(super) fn read(path: &Path) -> Result<Vec<u128>> {
    drop(open_regular(path)?);
    let bytes = Bytes::map(path)?;
    let bad = |problem: &str| {
        let remedy = "write it as np.array(pairs, dtype='u8,u8'), one pair of halves a uid";
        Error::data(path, Place::Whole, problem, remedy)
    };
    let no_list = || bad("no list of uids: not a .npy file of pairs of 64-bit numbers");
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(no_list());
    }
    let version = bytes.get(6).copied().unwrap_or(0);
    let (length, start) = match (version, bytes.get(8..12)) {
        (1, Some(length)) => (
            usize::from(length[0]) | usize::from(length[1]) << 8,
            TEXT_START,
        ),
        (2 | 3, Some(&[a, b, c, d])) => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
        _ => return Err(no_list()),
    };
    let end = start.checked_add(length).ok_or_else(no_list)?;
    let text = bytes.get(start..end).ok_or_else(no_list)?;
    let text: String = String::from_utf8_lossy(text).split_whitespace().collect();
    let descr: String = DESCR.split_whitespace().collect();
    if !text.replace('"', "'").contains(&format!("'descr':{descr}")) {
        return Err(no_list());
    }
    let shape = text
        .split("'shape':(")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    let n = shape.and_then(|shape| shape.strip_suffix(',')?.parse::<usize>().ok());
    let n = n.ok_or_else(|| bad("a list of uids has one axis"))?;
    let numbers = bytes.get(end..).unwrap_or_default();
    if n.checked_mul(16) != Some(numbers.len()) {
        return Err(bad("the file is shorter or longer than its header says"));
    }
    let half = |bytes: &[u8; 8]| u128::from(u64::from_le_bytes(*bytes));
    let halves = numbers.as_chunks::<8>().0.as_chunks::<2>().0;
    Ok(halves
        .iter()
        .map(|[high, low]| half(high) << 64 | half(low))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_written_sorted_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.npy");
        let [small, large] = [
            "0123456789abcdef0123456789abcdef",
            "ff00000000000000000000000000000a",
        ];
        let uids = [large, small, large].map(|text| uid_of(text).unwrap());
        write(&path, uids.to_vec()).unwrap();
        assert_eq!(read(&path).unwrap(), [uids[1], uids[0]]);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() % 64, 32);
        assert_eq!(
            bytes[bytes.len() - 32..][..8],
            0x0123_4567_89ab_cdef_u64.to_le_bytes()
        );
        for no_uid in [
            "",
            "xyz",
            "0123456789abcdef0123456789abcdefg",
            "é123456789abcdef0123456789abcde",
        ] {
            assert_eq!(uid_of(no_uid), None);
        }
        std::fs::write(&path, &bytes[..bytes.len() - 8]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("shorter or longer"), "{error}");
    }
}
