//! The bytes of an archive from its beginning on, packed or not, with jumps over what nobody wants.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use truepair_core::error::{Error, Place, Result};

use crate::inflate;
use crate::text_file::open_regular;

/// How an archive is packed, as its first bytes show, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataset) enum Packing {
    /// Not at all.
    Plain,
    /// With gzip, in one or several members.
    Gzip,
    /// With Zstandard, in one or several frames.
    Zstd,
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Packing::Plain => "unpacked",
            Packing::Gzip => "gzip",
            Packing::Zstd => "Zstandard",
        })
    }
}

/// First bytes of files that are no tar archives, and what they are.
const OTHERS: &[(&[u8], &str)] = &[
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
];

/// An archive that is read forwards.
pub(in crate::dataset) struct Tape {
    path: PathBuf,
    packing: Packing,
    /// Bytes of the file.
    size: u64,
    source: Source,
    at: u64,
}

enum Source {
    File(BufReader<File>),
    Stream(Box<dyn Read + Send>),
}

impl Tape {
    /// Opens an archive at its beginning.
    ///
    /// # Errors
    /// If it is no regular file, cannot be read or is packed in another way; the message says how.
    pub(in crate::dataset) fn open(path: &Path) -> Result<Tape> {
        let failed = |source| Error::io(path, "read", source);
        let mut file = open_regular(path)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut start = Vec::new();
        (&mut file)
            .take(8)
            .read_to_end(&mut start)
            .map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        if let Some((_, kind)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Err(Error::data(
                path,
                Place::Whole,
                format!("it is a {kind} file, expected tar, or tar packed with gzip or Zstandard"),
                "unpack it, or pack it again in one of these",
            ));
        }
        let packing = match start.as_slice() {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            _ => Packing::Plain,
        };
        let source = match packing {
            Packing::Plain => Source::File(BufReader::with_capacity(1 << 16, file)),
            Packing::Gzip => {
                let file = BufReader::with_capacity(1 << 16, file);
                Source::Stream(Box::new(inflate::gzip(file, size)))
            }
            Packing::Zstd => {
                let file = BufReader::with_capacity(1 << 16, file);
                Source::Stream(Box::new(inflate::zstd(file, size).map_err(failed)?))
            }
        };
        Ok(Tape {
            path: path.to_path_buf(),
            packing,
            size,
            source,
            at: 0,
        })
    }

    pub(in crate::dataset) fn packing(&self) -> Packing {
        self.packing
    }

    /// Bytes of the archive before the next one.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Reads as many bytes as `buffer` has room for, fewer where the archive ends.
    ///
    /// # Errors
    /// If the file cannot be read, or unpacks to far more than its size.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let reader: &mut dyn Read = match &mut self.source {
            Source::File(reader) => reader,
            Source::Stream(reader) => reader,
        };
        let mut filled = 0;
        while filled < buffer.len() {
            match reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                // A packed file that was cut ends here, as one that is not packed does.
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(cause) => return Err(self.unreadable(cause)),
            }
        }
        self.at = self.at.saturating_add(filled as u64);
        Ok(filled)
    }

    /// Why a read failed: what the system refuses, or what is packed cannot be unpacked.
    fn unreadable(&self, cause: io::Error) -> Error {
        let is_of_system = cause.raw_os_error().is_some();
        // What unpacks to too much says itself what to do.
        let is_too_large = cause.kind() == io::ErrorKind::FileTooLarge;
        if self.packing == Packing::Plain || is_of_system || is_too_large {
            return Error::io(&self.path, "read", cause);
        }
        let packing = self.packing;
        Error::data(
            &self.path,
            Place::Whole,
            format!("the {packing} file cannot be read to its end: {cause}"),
            format!(
                "it was cut short, is damaged or is not {packing}: copy it again, or unpack it"
            ),
        )
    }

    /// Leaves out `n` bytes, and says how many there were.
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill).
    pub(super) fn skip(&mut self, n: u64) -> Result<u64> {
        if let Source::File(reader) = &mut self.source {
            let there = n.min(self.size.saturating_sub(self.at));
            // At most the size of a file, which fits.
            (reader.seek_relative(there as i64))
                .map_err(|cause| Error::io(&self.path, "read", cause))?;
            self.at += there;
            return Ok(there);
        }
        let mut buffer = [0; 1 << 14];
        let mut left = n;
        while left > 0 {
            let wanted = left.min(buffer.len() as u64) as usize;
            let filled = self.fill(&mut buffer[..wanted])?;
            left -= filled as u64;
            if filled < wanted {
                break;
            }
        }
        Ok(n - left)
    }

    /// Whether `n` more bytes can be there; a packed file does not tell before it is read.
    pub(super) fn may_hold(&self, n: u64) -> bool {
        self.packing != Packing::Plain || n <= self.size.saturating_sub(self.at)
    }

    /// Goes to byte `at`: a packed archive is unpacked up to there, from its beginning where the
    /// tape is past it.
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill), and if the archive ends before.
    pub(in crate::dataset) fn go_to(&mut self, at: u64) -> Result<()> {
        if at < self.at {
            *self = Tape::open(&self.path)?;
        }
        let ahead = at - self.at;
        if self.skip(ahead)? < ahead {
            return Err(self.ended());
        }
        Ok(())
    }

    /// Reads `len` bytes in pieces and hands each to `take`.
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill) and `take`, and if the archive ends before.
    pub(in crate::dataset) fn read_part(
        &mut self,
        len: u64,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<()> {
        let mut buffer = vec![0; len.min(1 << 16) as usize];
        let mut left = len;
        while left > 0 {
            let wanted = left.min(buffer.len() as u64) as usize;
            if self.fill(&mut buffer[..wanted])? < wanted {
                return Err(self.ended());
            }
            take(&buffer[..wanted]).map_err(|cause| Error::io(&self.path, "copy", cause))?;
            left -= wanted as u64;
        }
        Ok(())
    }

    fn ended(&self) -> Error {
        Error::io(&self.path, "read", io::ErrorKind::UnexpectedEof.into())
    }
}
