//! Whether the header of a parquet page announces more than its file can hold.
//!
//! A header is a structure of Thrift's compact protocol. The library skips fields that it does not know,
//! and counts through a list of truth values, of which it reads none, as far as the list says: 2^31 steps
//! for seven bytes. Each value of a list takes at least a byte, so a list longer than the rest of the file is
//! damage, and is found here before the library begins. It also makes room for a page as large as the header says
//! before it unpacks anything; a page may not be larger than what its packed bytes could become.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Seek};

use crate::inflate;

/// Structures inside one another; pages have three.
const DEEPEST: usize = 16;

// Types of the compact protocol; whatever is not among them cannot be skipped.
const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

/// Goes through the header that begins here.
///
/// # Errors
/// If a list or a map announces more values than `left` bytes hold, or a page of more bytes than they become. What
/// is no header at all is left to the library, which refuses it.
pub(super) fn check(file: impl Read + Seek, left: u64) -> Result<()> {
    let mut walk = Walk {
        file: BufReader::with_capacity(512, file),
        left,
        sizes: [0; 2],
    };
    match walk.structure(0) {
        Err(error) if error.kind() == ErrorKind::FileTooLarge => return Err(error),
        _ => {}
    }
    let [unpacked, packed] = walk.sizes;
    if unpacked > inflate::most(packed.min(left)) {
        let text = format!("a page of {packed} bytes announces that it unpacks to {unpacked}");
        return Err(Error::new(ErrorKind::FileTooLarge, text));
    }
    Ok(())
}

struct Walk<F> {
    file: BufReader<F>,
    /// Bytes to the end of the file.
    left: u64,
    /// Bytes of the page, unpacked and packed: the header's fields of these numbers.
    sizes: [u64; 2],
}

/// The number of the first of [`Walk::sizes`] among the fields.
const FIRST_SIZE: u64 = 2;

impl<F: Read + Seek> Walk<F> {
    fn structure(&mut self, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut field = 0u64;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == STOP {
                return Ok(());
            }
            field = match u64::from(head >> 4) {
                0 => signed(self.number()?),
                step => field.saturating_add(step),
            };
            let size = (depth == 0).then(|| field.wrapping_sub(FIRST_SIZE) as usize);
            match (kind, size) {
                (I32, Some(at @ 0..2)) => self.sizes[at] = signed(self.number()?),
                // The value of a truth is in its type.
                (TRUE | FALSE, _) => {}
                _ => self.value(kind, depth)?,
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<()> {
        match kind {
            TRUE | FALSE | BYTE => self.skip(1),
            I16 | I32 | I64 => self.number().map(drop),
            DOUBLE => self.skip(8),
            BINARY => {
                let length = self.number()?;
                self.skip(length)
            }
            LIST | SET => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.number()?,
                    few => u64::from(few),
                };
                self.values(count, &[head & 0x0f], depth)
            }
            MAP => match self.number()? {
                0 => Ok(()),
                count => {
                    let kinds = self.byte()?;
                    self.values(count, &[kinds >> 4, kinds & 0x0f], depth)
                }
            },
            STRUCT => self.structure(depth + 1),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    fn values(&mut self, count: u64, kinds: &[u8], depth: usize) -> Result<()> {
        if count > self.left {
            let text = format!(
                "the header of a page announces {count} values, and {} bytes are left",
                self.left
            );
            return Err(Error::new(ErrorKind::FileTooLarge, text));
        }
        for _ in 0..count {
            for kind in kinds {
                self.value(*kind, depth + 1)?;
            }
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        let mut one = [0];
        self.file.read_exact(&mut one)?;
        self.left = self.left.saturating_sub(1);
        Ok(one[0])
    }

    /// A number of variable length.
    fn number(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ErrorKind::InvalidData.into())
    }

    fn skip(&mut self, n: u64) -> Result<()> {
        if n > self.left {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= n;
        if n as usize <= self.file.buffer().len() {
            self.file.consume(n as usize);
            return Ok(());
        }
        self.file.seek_relative(n as i64)
    }
}

/// What a number of either sign says, which is written as zigzag; 0 where it is below that.
fn signed(number: u64) -> u64 {
    match number & 1 {
        0 => number >> 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn walk(bytes: &[u8]) -> Result<()> {
        check(Cursor::new(bytes.to_vec()), bytes.len() as u64)
    }

    #[test]
    fn lists_longer_than_the_file_are_refused_and_others_pass() {
        for kind in [TRUE, FALSE, I64, STRUCT] {
            // Field 9: a list of 2^31 - 1.
            let bytes = [0x99, 0xf0 | kind, 0xff, 0xff, 0xff, 0xff, 0x07];
            let error = walk(&bytes).unwrap_err().to_string();
            assert!(error.contains("2147483647 values"), "{error}");
        }
        let map = [0x1b, 0xff, 0xff, 0xff, 0x07, 0x11];
        assert!(walk(&map).is_err());
        // Three truths, a text, a number, a structure with one, the end.
        let fine = [
            0x19, 0x31, 1, 2, 1, 0x18, 2, b'a', b'b', 0x15, 0x80, 1, 0x1c, 0x13, 5, 0, 0,
        ];
        walk(&fine).unwrap();
        // What is no header is the library's.
        walk(&[0x1f, 1, 2]).unwrap();
        walk(&[]).unwrap();
    }

    #[test]
    fn a_page_unpacks_to_what_its_bytes_can_become() {
        let header = |unpacked: u32, packed: u32| {
            let mut bytes = vec![0x15, 0];
            for size in [unpacked, packed] {
                bytes.push(0x15);
                let mut rest = u64::from(size) << 1;
                while rest > 127 {
                    bytes.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                bytes.push(rest as u8);
            }
            [bytes, vec![STOP; 1000]].concat()
        };
        walk(&header(64 << 20, 20)).unwrap();
        let error = walk(&header(1_396_538_040, 20)).unwrap_err().to_string();
        assert!(error.contains("unpacks to 1396538040"), "{error}");
        // Bytes behind the end of the file become nothing.
        assert!(walk(&header(1_396_538_040, 1_000_000_000)).is_err());
    }

    #[test]
    fn structures_inside_structures_end() {
        walk(&[0x1c; 4000]).unwrap();
    }
}
