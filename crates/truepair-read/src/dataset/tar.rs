//! Where the members of an uncompressed tar archive lie, so that each can be read alone.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use truepair_core::error::{Error, Place, Result};

const BLOCK: u64 = 512;

/// A regular file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Path inside the archive.
    pub(super) name: String,
    /// Offset of the first byte.
    pub(super) start: u64,
    /// Bytes.
    pub(super) len: u64,
}

/// The members of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// Regular files in their order.
    pub(super) members: Vec<Member>,
    /// Whether the archive ends inside a member, as one that is still written or was cut does.
    pub(super) cut_short: bool,
}

/// Reads the headers of an archive (ustar, PAX or GNU names); contents are skipped.
///
/// # Errors
/// If the file cannot be read or a header is damaged.
pub(super) fn index(path: &Path) -> Result<Index> {
    let failed = |source| Error::io(path, "read", source);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut index = Index {
        members: Vec::new(),
        cut_short: false,
    };
    let mut at = 0;
    let mut long_name = None;
    while at + BLOCK <= size {
        let mut header = [0; BLOCK as usize];
        reader.read_exact(&mut header).map_err(failed)?;
        at += BLOCK;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(index);
        }
        let len = checked_len(&header).ok_or_else(|| damaged(path, at - BLOCK))?;
        let padded = len.div_ceil(BLOCK) * BLOCK;
        if at + len > size {
            index.cut_short = true;
            return Ok(index);
        }
        match header[156] {
            b'L' | b'x' => {
                let mut content = vec![0; len as usize];
                reader.read_exact(&mut content).map_err(failed)?;
                long_name = match header[156] {
                    b'L' => Some(text(&content)),
                    _ => pax_path(&content).or(long_name),
                };
                reader
                    .seek_relative((padded - len) as i64)
                    .map_err(failed)?;
            }
            kind => {
                let name = long_name.take().unwrap_or_else(|| name_of(&header));
                if matches!(kind, b'0' | 0) {
                    index.members.push(Member {
                        name,
                        start: at,
                        len,
                    });
                }
                reader.seek_relative(padded as i64).map_err(failed)?;
            }
        }
        at += padded;
    }
    index.cut_short = true;
    Ok(index)
}

/// Reads one member.
///
/// # Errors
/// If the archive cannot be read.
pub(super) fn read(path: &Path, member: &Member) -> Result<Vec<u8>> {
    let failed = |source| Error::io(path, "read", source);
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(member.start)).map_err(failed)?;
    let mut bytes = vec![0; member.len as usize];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn damaged(path: &Path, at: u64) -> Error {
    Error::data(
        path,
        Place::Whole,
        format!("no tar header at byte {at}"),
        "unpack compressed archives, or copy the file again",
    )
}

/// The member's bytes, when the header's checksum holds.
fn checked_len(header: &[u8; BLOCK as usize]) -> Option<u64> {
    let (before, after) = (&header[..148], &header[156..]);
    let bytes = before.iter().chain(after).map(|byte| u64::from(*byte));
    // The checksum is taken with spaces in its own place.
    let sum = bytes.sum::<u64>() + 8 * u64::from(b' ');
    (octal(&header[148..156])? == sum).then_some(())?;
    if header[124] & 0x80 != 0 {
        return Some(
            header[128..136]
                .iter()
                .fold(0, |n, byte| n << 8 | u64::from(*byte)),
        );
    }
    octal(&header[124..136])
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = text(field);
    u64::from_str_radix(digits.trim(), 8).ok()
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
}

fn name_of(header: &[u8; BLOCK as usize]) -> String {
    let name = text(&header[..100]);
    let prefix = match &header[257..262] {
        b"ustar" if header[262] == 0 => text(&header[345..500]),
        _ => String::new(),
    };
    match prefix.is_empty() {
        true => name,
        false => format!("{prefix}/{name}"),
    }
}

/// The value of `path` among records of `LENGTH KEY=VALUE\n`.
fn pax_path(content: &[u8]) -> Option<String> {
    let mut rest = content;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let len: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
        let record = rest.get(space + 1..len.checked_sub(1)?)?;
        if let Some(path) = record.strip_prefix(b"path=") {
            return Some(String::from_utf8_lossy(path).into_owned());
        }
        rest = rest.get(len..)?;
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut header = [0u8; BLOCK as usize];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut bytes = header.to_vec();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        bytes
    }

    /// An archive of these files.
    pub(in crate::dataset) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes: Vec<u8> = (files.iter())
            .flat_map(|(name, content)| entry(name, b'0', content))
            .collect();
        bytes.extend([0; 1024]);
        bytes
    }

    fn index_of(bytes: &[u8]) -> Result<Index> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        std::fs::write(&path, bytes).unwrap();
        index(&path)
    }

    #[test]
    fn members_are_found_under_long_names_too() {
        let long = "x".repeat(130) + ".jpg";
        let mut bytes = entry("folder/", b'5', b"");
        bytes.extend(entry("a.jpg", b'0', &[7; 513]));
        bytes.extend(entry("././@LongLink", b'L', format!("{long}\0").as_bytes()));
        bytes.extend(entry("xxx", b'0', b"12"));
        bytes.extend(entry("pax", b'x', "15 path=é.jpg\n".as_bytes()));
        bytes.extend(entry("yyy", b'0', b"3"));
        bytes.extend([0; 1024]);
        let found = index_of(&bytes).unwrap();
        let names: Vec<&str> = found.members.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["a.jpg", &long, "é.jpg"]);
        assert_eq!((found.members[0].start, found.members[0].len), (1024, 513));
        assert!(!found.cut_short);
    }

    #[test]
    fn what_a_cut_archive_holds_whole_is_kept() {
        let bytes = archive(&[("a", &[1; 600]), ("b", &[2; 600])]);
        let found = index_of(&bytes[..2300]).unwrap();
        assert_eq!((found.members.len(), found.cut_short), (1, true));
        let error = index_of(&[b'x'; 1024]).unwrap_err().to_string();
        assert!(error.contains("no tar header at byte 0"), "{error}");
    }
}
