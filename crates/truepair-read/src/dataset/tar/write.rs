//! Members of a tar archive as every program reads them.

use std::io::{self, Write};

use super::header::BLOCK;

/// Longest name that the header itself has room for.
const NAME_BYTES: usize = 100;
/// Largest size that the header itself has room for.
const LARGEST: u64 = 0o777_7777_7777;

/// Writes what stands before the bytes of a member: a ustar header, and a PAX header before it
/// where name or size are too long. Nothing of the machine or the time comes into the archive.
///
/// # Errors
/// Those of `out`.
pub(in crate::dataset) fn write_header(
    out: &mut (impl Write + ?Sized),
    name: &str,
    len: u64,
) -> io::Result<()> {
    let mut records = String::new();
    if name.len() > NAME_BYTES {
        records += &record("path", name);
    }
    if len > LARGEST {
        records += &record("size", &len.to_string());
    }
    if !records.is_empty() {
        out.write_all(&block("PaxHeader", b'x', records.len() as u64))?;
        out.write_all(records.as_bytes())?;
        write_padding(out, records.len() as u64)?;
    }
    out.write_all(&block(name, b'0', len.min(LARGEST)))
}

/// Fills the last block of a member of `len` bytes.
///
/// # Errors
/// Those of `out`.
pub(in crate::dataset) fn write_padding(
    out: &mut (impl Write + ?Sized),
    len: u64,
) -> io::Result<()> {
    let used = (len % BLOCK as u64) as usize;
    match used {
        0 => Ok(()),
        used => out.write_all(&[0; BLOCK][used..]),
    }
}

/// Writes the mark of the archive's end.
///
/// # Errors
/// Those of `out`.
pub(in crate::dataset) fn write_end(out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    format!("{len} {key}={value}\n")
}

fn block(name: &str, kind: u8, len: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name.as_bytes()[..name.len().min(NAME_BYTES)]);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{len:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A member of any kind.
#[cfg(test)]
pub(super) fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len() as u64;
    let mut bytes = block(name, kind, len).to_vec();
    bytes.extend(content);
    write_padding(&mut bytes, len).unwrap();
    bytes
}

/// An archive of these files.
#[cfg(test)]
pub(in crate::dataset) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        write_header(&mut bytes, name, content.len() as u64).unwrap();
        bytes.extend(*content);
        write_padding(&mut bytes, content.len() as u64).unwrap();
    }
    write_end(&mut bytes).unwrap();
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::scan::scan;
    use super::*;

    #[test]
    fn long_names_are_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let long = "ü/".repeat(60) + "a.jpg";
        std::fs::write(&path, archive(&[(&long, b"12"), ("b", b"")])).unwrap();
        let found = scan(&path, |_, content| content.up_to(9)).unwrap();
        let (first, bytes) = &found.entries[0];
        assert_eq!(
            (first.name.as_str(), bytes.as_deref()),
            (long.as_str(), Some(&b"12"[..]))
        );
        assert_eq!(found.entries[1].0.name, "b");
        assert_eq!(record("path", &"x".repeat(90)).len(), 99);
        assert_eq!(record("path", &"x".repeat(91)).len(), 101);
    }
}
