//! The one place that inflates: gzip, Zstandard, zlib and the members of zip archives.
//!
//! A file made for it inflates to a thousand times its size and more. So everything that is unpacked here has an
//! end: the length that the file declares where it declares one, and many times what is packed. Up to
//! [`SMALL`] any ratio passes, because small files of zeros are common.

use std::io::{self, BufRead, ErrorKind, Read, Seek};

use zip::ZipArchive;
use zip::read::ZipFile;

/// Packed bytes may not become more than this many times as many: texts and pictures shrink far less.
pub(crate) const RATIO: u64 = 250;
/// Bytes up to which no ratio is asked.
pub(crate) const SMALL: u64 = 1 << 26;

/// Bytes that `packed` bytes may become.
pub(crate) fn most(packed: u64) -> u64 {
    packed.saturating_mul(RATIO).max(SMALL)
}

/// Whether a file of `packed` bytes may declare that it holds this many numbers of `width` bytes.
pub(crate) fn may_hold(packed: u64, numbers: u64, width: u64) -> bool {
    numbers
        .checked_mul(width)
        .is_some_and(|bytes| bytes <= most(packed))
}

/// The content of a gzip file of `packed` bytes, all its members.
pub(crate) fn gzip<R: BufRead>(reader: R, packed: u64) -> impl Read + use<R> {
    Bounded::of(flate2::bufread::MultiGzDecoder::new(reader), packed)
}

/// The content of a Zstandard file of `packed` bytes, all its frames.
///
/// # Errors
/// If the decoder cannot be made.
pub(crate) fn zstd<R: BufRead>(reader: R, packed: u64) -> io::Result<impl Read + use<R>> {
    Ok(Bounded::of(
        zstd::stream::read::Decoder::with_buffer(reader)?,
        packed,
    ))
}

/// The content of a zlib stream in memory.
pub(crate) fn zlib(bytes: &[u8]) -> impl Read + use<'_> {
    Bounded::of(flate2::bufread::ZlibDecoder::new(bytes), bytes.len() as u64)
}

/// Opens a zip archive.
///
/// # Errors
/// If it is none.
pub(crate) fn archive<R: Read + Seek>(reader: R) -> zip::result::ZipResult<ZipArchive<R>> {
    ZipArchive::new(reader)
}

/// The content of a member of an archive, no more than it declares.
pub(crate) fn member<'a, R: Read>(member: ZipFile<'a, R>) -> impl Read + use<'a, R> {
    let (declared, packed) = (member.size(), member.compressed_size());
    let mut bounded = Bounded::of(member, packed);
    bounded.declared = declared;
    bounded
}

/// Hands out bytes up to a limit; one more is an error.
struct Bounded<R> {
    reader: R,
    read: u64,
    most: u64,
    declared: u64,
}

impl<R: Read> Bounded<R> {
    fn of(reader: R, packed: u64) -> Self {
        Self {
            reader,
            read: 0,
            most: most(packed),
            declared: u64::MAX,
        }
    }

    fn exceeded(&self) -> io::Error {
        let problem = match self.declared < self.most {
            true => format!(
                "it unpacks to more than the {} bytes that it declares",
                self.declared
            ),
            false => format!(
                "it unpacks to more than {RATIO} times its size (unpack it yourself if it is what \
                 it should be)"
            ),
        };
        io::Error::new(ErrorKind::FileTooLarge, problem)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.most.min(self.declared).saturating_sub(self.read);
        if left == 0 && !out.is_empty() {
            // Whether this is the end is known only to who asks for more.
            return match self.reader.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(self.exceeded()),
            };
        }
        let wanted = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = self.reader.read(&mut out[..wanted])?;
        self.read += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_its_limit_is_read_to_its_end_and_one_byte_more_is_an_error() {
        for (n, declared, whole) in [(5, 5, true), (5, 9, true), (5, 4, false), (0, 0, true)] {
            let bytes = vec![1; n];
            let mut bounded = Bounded::of(bytes.as_slice(), 9);
            bounded.declared = declared;
            let mut out = Vec::new();
            assert_eq!(
                bounded.read_to_end(&mut out).is_ok(),
                whole,
                "{n} {declared}"
            );
            assert!(out.len() as u64 <= declared);
        }
        let mut bounded = Bounded::of(io::repeat(0), 0);
        let error = io::copy(&mut bounded, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("250 times its size"));
        assert_eq!(bounded.read, SMALL);
    }

    #[test]
    fn every_packing_ends_at_its_ratio() {
        let zeros = vec![0; 1 << 20];
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        io::Write::write_all(&mut packer, &zeros).unwrap();
        let member = packer.finish().unwrap();
        let gzipped = member.repeat(80);
        let frames = zstd::encode_all(zeros.as_slice(), 1).unwrap().repeat(80);
        let size = gzipped.len() as u64;
        let unpacked: [Box<dyn Read>; 3] = [
            Box::new(gzip(gzipped.as_slice(), size)),
            Box::new(zstd(frames.as_slice(), frames.len() as u64).unwrap()),
            Box::new(gzip(member.as_slice(), member.len() as u64)),
        ];
        let read = unpacked.map(|mut reader| io::copy(&mut reader, &mut io::sink()));
        let [first, second, whole] = read;
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert!(error.to_string().contains("times its size"), "{error}");
        }
        assert_eq!(whole.unwrap(), 1 << 20);
    }

    #[test]
    fn declared_numbers_are_measured_by_the_size_of_the_file() {
        assert!(may_hold(1, SMALL / 4, 4));
        assert!(!may_hold(1, SMALL / 4 + 1, 4));
        assert!(may_hold(SMALL, SMALL, 8));
        assert!(!may_hold(u64::MAX, u64::MAX, 8));
    }
}
