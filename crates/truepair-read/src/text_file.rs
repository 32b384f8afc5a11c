//! Text files as they are downloaded: plain or packed, in UTF-8 or in UTF-16 with its mark, with
//! the line ends of any system.
//!
//! Bytes are handed out line by line and never held whole, and nothing is read that is no regular
//! file. Whether a line is valid UTF-8 is for its reader to say.

use std::fs::File;
use std::io::{BufRead, BufReader, Chain, Cursor, Read, Write};
use std::path::Path;

use memchr::memchr_iter;
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use crate::inflate;

/// Bytes that are looked at before a file is read.
const SAMPLE: usize = 1 << 16;
/// The longest line that is read; a picture as base64 has some millions of letters.
const LONGEST_LINE: usize = 1 << 28;
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a text file is packed, as its first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    Plain,
    /// With gzip.
    Gzip,
    /// With Zstandard.
    Zstd,
}

/// The packing that the ending of a name promises.
pub(crate) fn packing_named_by(path: &Path) -> Packing {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    match ending.as_ref().and_then(|ending| ending.to_str()) {
        Some("gz") => Packing::Gzip,
        Some("zst") => Packing::Zstd,
        _ => Packing::Plain,
    }
}

/// Packs the content of a file.
///
/// # Errors
/// If the packer fails.
pub(crate) fn pack(packing: Packing, bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    match packing {
        Packing::Plain => Ok(bytes),
        Packing::Gzip => {
            let level = flate2::Compression::default();
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
            packer.write_all(&bytes)?;
            packer.finish()
        }
        Packing::Zstd => zstd::encode_all(bytes.as_slice(), 0),
    }
}

/// The lines of an opened text file.
pub(crate) struct TextFile<'a> {
    path: &'a Path,
    reader: Chain<Cursor<Vec<u8>>, Box<dyn BufRead + Send>>,
    line_end: u8,
    n_lines: u64,
}

impl<'a> TextFile<'a> {
    /// Opens the file and finds its packing, encoding and line ends.
    ///
    /// # Errors
    /// If it is no regular file, cannot be read, or is evidently no text; the message says what it
    /// is.
    pub(crate) fn open(path: &'a Path) -> Result<Self> {
        let failed = |source| Error::io(path, "read", source);
        let file = open_regular(path)?;
        let size = file.metadata().map_err(failed)?.len();
        let (mut start, reader) = sampled(Box::new(file)).map_err(failed)?;
        let packed = BufReader::new(Cursor::new(start.clone()).chain(reader));
        let packing = packing_of(path, &start)?;
        let plain: Box<dyn Read + Send> = match packing {
            Packing::Plain => Box::new(packed),
            Packing::Gzip => Box::new(inflate::gzip(packed, size)),
            Packing::Zstd => Box::new(inflate::zstd(packed, size).map_err(failed)?),
        };
        let unpacked = |source| unpacking(path, packing, source);
        let mut reader;
        (start, reader) = sampled(plain).map_err(unpacked)?;
        if packing != Packing::Plain && packing_of(path, &start)? != Packing::Plain {
            return Err(Error::data(
                path,
                Place::Whole,
                "it is packed twice",
                "unpack it once, or all of it",
            ));
        }
        if let Some(order) = Utf16::of(path, &start)? {
            let bytes = Cursor::new(start).chain(reader);
            (start, reader) = sampled(Box::new(order.decoder(bytes))).map_err(unpacked)?;
        }
        let marked = if start.starts_with(UTF8_MARK) {
            UTF8_MARK.len()
        } else {
            0
        };
        start.drain(..marked);
        Ok(Self {
            path,
            line_end: line_end(&start),
            reader: Cursor::new(start).chain(Box::new(BufReader::with_capacity(SAMPLE, reader))),
            n_lines: 0,
        })
    }

    /// How many lines were read so far.
    pub(crate) fn n_lines(&self) -> u64 {
        self.n_lines
    }

    /// The byte that ends a line.
    pub(crate) fn line_end(&self) -> u8 {
        self.line_end
    }

    /// Appends lines with their ends to `lines`: about `size` bytes, or what is left; says whether there
    /// were any.
    ///
    /// # Errors
    /// Those of [`read_line`](Self::read_line).
    pub(crate) fn read_lines(&mut self, lines: &mut Vec<u8>, size: usize) -> Result<bool> {
        let start = lines.len();
        let read = (&mut self.reader).take(size as u64).read_to_end(lines);
        let n = read.map_err(|source| unpacking(self.path, Packing::Plain, source))?;
        self.n_lines += memchr_iter(self.line_end, &lines[start..]).count() as u64;
        if n > 0 && lines.last() != Some(&self.line_end) && !self.read_line(lines)? {
            // The last line of the file has no end.
            self.n_lines += 1;
        }
        Ok(n > 0)
    }

    /// Appends the next line with its end to `line`; says whether there was one.
    ///
    /// # Errors
    /// If the file cannot be read, or the line is longer than any text.
    pub(crate) fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        let mut bounded = (&mut self.reader).take(LONGEST_LINE as u64 + 1);
        let n = bounded.read_until(self.line_end, line);
        let n = n.map_err(|source| unpacking(self.path, Packing::Plain, source))?;
        self.n_lines += u64::from(n > 0);
        if n > LONGEST_LINE {
            return Err(Error::data(
                self.path,
                Place::Line(self.n_lines),
                format!("more than {LONGEST_LINE} bytes without a line end"),
                "check that it is a text file",
            ));
        }
        Ok(n > 0)
    }
}

/// The line without the bytes that end it.
pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => line.strip_suffix(b"\r").unwrap_or(line),
    }
}

/// Opens a regular file.
///
/// # Errors
/// If it is a folder, pipe or device, which may have no end, or cannot be opened.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    source_file::open(path).map_err(|source| Error::io(path, "open", source))
}

/// Reads the whole of a regular file.
///
/// # Errors
/// If it is none, cannot be read, or is larger than `limit` bytes.
pub(crate) fn read_whole(path: &Path, limit: u64) -> Result<Vec<u8>> {
    source_file::read(path, limit).map_err(|source| Error::io(path, "read", source))
}

/// The first bytes of `reader`, and the rest.
fn sampled(mut reader: Box<dyn Read + Send>) -> std::io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut start = Vec::with_capacity(SAMPLE);
    (&mut reader).take(SAMPLE as u64).read_to_end(&mut start)?;
    Ok((start, reader))
}

fn is_of_no_text(byte: &u8) -> bool {
    byte.is_ascii_control() && !byte.is_ascii_whitespace()
}

/// What packed the file; other kinds of files are refused by name.
fn packing_of(path: &Path, start: &[u8]) -> Result<Packing> {
    const OTHERS: &[(&[u8], &str, &str)] = &[
        (
            b"PK\x03\x04",
            "a zip archive, or a spreadsheet, and no text",
            "unpack it, or save the sheet as CSV in UTF-8",
        ),
        (
            b"\xd0\xcf\x11\xe0",
            "an old spreadsheet, and no text",
            "save the sheet as CSV in UTF-8",
        ),
        (b"BZh", "packed with bzip2", "unpack it with bunzip2"),
        (b"\xfd7zXZ\0", "packed with xz", "unpack it with unxz"),
        (
            b"\x04\x22\x4d\x18",
            "packed with lz4",
            "unpack it with lz4 -d",
        ),
        (
            b"PAR1",
            "a parquet file by its content, and no text",
            "name it .parquet",
        ),
        (
            b"\x93NUMPY",
            "an array of NumPy by its content, and no text",
            "name it .npy",
        ),
    ];
    if start.starts_with(b"\x1f\x8b") {
        return Ok(Packing::Gzip);
    }
    if start.starts_with(b"\x28\xb5\x2f\xfd") {
        return Ok(Packing::Zstd);
    }
    match OTHERS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        // Letters alone may also begin a text.
        Some((magic, ..))
            if magic.iter().all(u8::is_ascii_alphanumeric) && !start.iter().any(is_of_no_text) =>
        {
            Ok(Packing::Plain)
        }
        Some((_, what, remedy)) => Err(Error::data(
            path,
            Place::Whole,
            format!("it is {what}"),
            *remedy,
        )),
        None => Ok(Packing::Plain),
    }
}

fn unpacking(path: &Path, packing: Packing, source: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match source.kind() {
        InvalidData | InvalidInput | UnexpectedEof => {
            let packed = match packing {
                Packing::Plain => "",
                Packing::Gzip => "the gzip file ",
                Packing::Zstd => "the zstd file ",
            };
            Error::data(
                path,
                Place::Whole,
                format!("{packed}cannot be read to its end: {source}"),
                "it was cut short or is damaged: copy or write it again",
            )
        }
        _ => Error::io(path, "read", source),
    }
}

/// A carriage return where the text has some and no line feed, else a line feed.
fn line_end(sample: &[u8]) -> u8 {
    if sample.contains(&b'\r') && !sample.contains(&b'\n') {
        b'\r'
    } else {
        b'\n'
    }
}

/// UTF-16, and which byte of a unit comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Utf16 {
    LittleEndian,
    BigEndian,
}

impl Utf16 {
    /// What the mark at the start says; `None` for other texts.
    fn of(path: &Path, start: &[u8]) -> Result<Option<Self>> {
        let refuse = |what: &str| {
            Err(Error::data(
                path,
                Place::Whole,
                what,
                "save the file as UTF-8",
            ))
        };
        if start.starts_with(b"\xff\xfe\0\0") || start.starts_with(b"\0\0\xfe\xff") {
            return refuse("it is text in UTF-32, which is not read");
        }
        if start.starts_with(b"\xff\xfe") {
            return Ok(Some(Self::LittleEndian));
        }
        if start.starts_with(b"\xfe\xff") {
            return Ok(Some(Self::BigEndian));
        }
        let zeros = |first: usize| {
            let units = start.iter().skip(first).step_by(2).take(32);
            start.len() >= 4 && units.clone().all(|byte| *byte == 0) && units.count() > 1
        };
        if zeros(0) || zeros(1) {
            return refuse("every second byte is 0: it looks like UTF-16 without its mark");
        }
        Ok(None)
    }

    fn decoder<R: Read>(self, mut reader: R) -> Utf16Decoder<R> {
        // The mark itself is no text.
        let mut mark = [0; 2];
        let skipped = reader.read_exact(&mut mark);
        Utf16Decoder {
            order: self,
            reader,
            failed: skipped.err(),
            high: None,
            ready: Vec::new(),
            at: 0,
        }
    }
}

/// Reads UTF-16 and hands out UTF-8.
struct Utf16Decoder<R> {
    order: Utf16,
    reader: R,
    failed: Option<std::io::Error>,
    /// The first half of a pair.
    high: Option<u16>,
    ready: Vec<u8>,
    at: usize,
}

impl<R: Read> Utf16Decoder<R> {
    fn fill(&mut self) -> std::io::Result<()> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let mut bytes = Vec::with_capacity(SAMPLE);
        (&mut self.reader)
            .take(SAMPLE as u64)
            .read_to_end(&mut bytes)?;
        let broken = |what| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
        if bytes.len() % 2 == 1 {
            return Err(broken("UTF-16 with an odd number of bytes"));
        }
        let units = bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|unit| match self.order {
                Utf16::LittleEndian => u16::from_le_bytes(*unit),
                Utf16::BigEndian => u16::from_be_bytes(*unit),
            });
        let mut units: Vec<u16> = self.high.take().into_iter().chain(units).collect();
        let is_high = |unit: &u16| (0xd800..0xdc00).contains(unit);
        if units.last().is_some_and(is_high) && !bytes.is_empty() {
            self.high = units.pop();
        }
        self.ready.clear();
        self.at = 0;
        for letter in char::decode_utf16(units) {
            let letter = letter.map_err(|_| broken("half a letter in UTF-16"))?;
            let mut bytes = [0; 4];
            (self.ready).extend_from_slice(letter.encode_utf8(&mut bytes).as_bytes());
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.ready.len() {
            self.fill()?;
            // A block may end in the first half of a pair and hold nothing else.
            if self.ready.is_empty() && self.high.is_some() {
                self.fill()?;
            }
        }
        let n = out.len().min(self.ready.len() - self.at);
        out[..n].copy_from_slice(&self.ready[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(content: &[u8]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, content).unwrap();
        let mut file = TextFile::open(&path)?;
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        while file.read_line(&mut line)? {
            lines.push(String::from_utf8_lossy(without_end(&line)).into_owned());
            line.clear();
        }
        Ok(lines)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(content).unwrap();
        packed.finish().unwrap()
    }

    fn utf16(text: &str, to_bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        "\u{feff}"
            .encode_utf16()
            .chain(text.encode_utf16())
            .flat_map(to_bytes)
            .collect()
    }

    #[test]
    fn packings_encodings_and_line_ends_read_the_same() {
        let text = "one\ntwo é\n🎈 three";
        let plain = ["one", "two é", "🎈 three"];
        let in_two = [gzip(b"one\ntwo "), gzip("é\n🎈 three".as_bytes())].concat();
        let kinds = [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            text.replace('\n', "\r\n").into_bytes(),
            text.replace('\n', "\r").into_bytes(),
            gzip(text.as_bytes()),
            gzip(&utf16(text, u16::to_le_bytes)),
            in_two,
            zstd::encode_all(text.as_bytes(), 1).unwrap(),
            utf16(text, u16::to_le_bytes),
            utf16(&text.replace('\n', "\r\n"), u16::to_be_bytes),
        ];
        for (n, content) in kinds.iter().enumerate() {
            assert_eq!(lines(content).unwrap(), plain, "{n}");
        }
        let balloons = "🎈".repeat(40_000);
        for at in 0..2 {
            let text = format!("{}{balloons}", "x".repeat(at));
            assert_eq!(lines(&utf16(&text, u16::to_le_bytes)).unwrap(), [text]);
        }
        assert!(lines(b"").unwrap().is_empty());
        for text in ["BZh is a word", "PAR1 as well"] {
            assert_eq!(lines(format!("{text}\n").as_bytes()).unwrap(), [text]);
        }
    }

    #[test]
    fn what_is_no_text_is_refused_by_its_kind() {
        let message = |content: &[u8]| lines(content).unwrap_err().to_string();
        let mut cut = gzip(&[b'x'; 5000]);
        cut.truncate(cut.len() - 9);
        for (content, words) in [
            (&b"PK\x03\x04more"[..], "save the sheet as CSV"),
            (b"BZh91AY\0", "bunzip2"),
            (b"\xfd7zXZ\0\0", "unxz"),
            (b"PAR1\x15", "name it .parquet"),
            (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
            (b"a\0b\0c\0\n\0", "UTF-16 without its mark"),
            (b"\xff\xfea\0b", "odd number of bytes"),
            (b"\xff\xfea\0\0\xdcb\0", "half a letter"),
            (&cut, "gzip file cannot be read to its end"),
            (&gzip(&gzip(b"a")), "packed twice"),
        ] {
            let error = message(content);
            assert!(error.contains(words) && error.contains("a.txt"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = TextFile::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
