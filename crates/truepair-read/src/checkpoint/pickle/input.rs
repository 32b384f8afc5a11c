//! The bytes of a pickle, read forward, with their offsets for messages.

use std::io::{self, BufRead, Read};

use crate::checkpoint::error::{Origin, Result};

/// A reader that counts what it has read.
pub(in crate::checkpoint) struct Input<'a> {
    reader: &'a mut dyn BufRead,
    origin: Origin<'a>,
    offset: u64,
}

impl<'a> Input<'a> {
    /// Reads `reader`, which stands at the start of `origin`.
    pub(in crate::checkpoint) fn new(reader: &'a mut dyn BufRead, origin: Origin<'a>) -> Self {
        Self {
            reader,
            origin,
            offset: 0,
        }
    }

    /// Bytes read so far.
    pub(in crate::checkpoint) fn offset(&self) -> u64 {
        self.offset
    }

    /// What is being read.
    pub(super) fn origin(&self) -> Origin<'a> {
        self.origin
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => {
                self.offset += N as u64;
                Ok(bytes)
            }
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Err(self.ended(N as u64)),
            Err(cause) => Err(self.origin.unreadable(Some(self.offset), cause)),
        }
    }

    /// The next `length` bytes. Memory grows with what is there, not with what is promised.
    pub(super) fn bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut limited = Read::take(&mut *self.reader, length);
        let n = (limited.read_to_end(&mut bytes))
            .map_err(|cause| self.origin.unreadable(Some(self.offset), cause))?;
        if (n as u64) < length {
            return Err(self.ended(length));
        }
        self.offset += length;
        Ok(bytes)
    }

    /// The bytes before the next line feed, which is consumed.
    pub(super) fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut limited = Read::take(&mut *self.reader, MAX_LINE);
        limited
            .read_until(b'\n', &mut line)
            .map_err(|cause| self.origin.unreadable(Some(self.offset), cause))?;
        if line.pop() != Some(b'\n') {
            let expected = format!("a name of less than {MAX_LINE} bytes that ends in a line feed");
            return Err((self.origin).content(Some(self.offset), "none", expected));
        }
        self.offset += line.len() as u64 + 1;
        Ok(line)
    }

    fn ended(&self, length: u64) -> crate::checkpoint::Error {
        let expected = format!("{length} more bytes (the file was cut short: copy it again)");
        (self.origin).content(Some(self.offset), "the end of the data", expected)
    }
}

/// Longest module or class name, in bytes.
const MAX_LINE: u64 = 4096;
