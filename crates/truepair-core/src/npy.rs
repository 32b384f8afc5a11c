//! NumPy's `.npy`, the one array file that this crate reads and writes by itself: the header of feature
//! rows, and the small arrays of indices and labels that come with them.
//!
//! Numbers are never converted here: a [`Header`] says where they begin and how to read them, so
//! that a feature file larger than memory can stay on disk. Pickled objects are refused, because
//! reading them means running code from the file.
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::path::Path;

use crate::error::{Error, Place, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// How the numbers of one array lie in their file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Kind and width of one number.
    pub number: Number,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
    /// Whether the first axis varies fastest.
    pub fortran: bool,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Offset of the first number from the start of the file.
    pub start: usize,
}

/// Kinds of numbers that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// IEEE half precision.
    F16,
    /// The upper half of an `f32`; occurs in safetensors only.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Signed integers of this many bytes.
    Int(usize),
    /// Unsigned integers of this many bytes; NumPy's booleans count as one byte.
    Uint(usize),
    /// Text of this many 4-byte characters.
    Unicode(usize),
    /// Text of this many bytes.
    Ascii(usize),
}

impl Number {
    /// Bytes of one number.
    pub fn width(self) -> usize {
        match self {
            Number::F16 | Number::Bf16 => 2,
            Number::F32 => 4,
            Number::F64 => 8,
            Number::Int(width) | Number::Uint(width) | Number::Ascii(width) => width,
            Number::Unicode(characters) => 4 * characters,
        }
    }

    /// Whether features may have this type.
    pub fn is_float(self) -> bool {
        matches!(self, Number::F16 | Number::Bf16 | Number::F32 | Number::F64)
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::F16 => f.write_str("f16"),
            Number::Bf16 => f.write_str("bf16"),
            Number::F32 => f.write_str("f32"),
            Number::F64 => f.write_str("f64"),
            Number::Int(width) => write!(f, "i{}", 8 * width),
            Number::Uint(width) => write!(f, "u{}", 8 * width),
            Number::Unicode(_) | Number::Ascii(_) => f.write_str("text"),
        }
    }
}

impl Header {
    /// Reads the header at the start of `bytes`, the whole content of `path`, and checks that the
    /// numbers it promises are there.
    ///
    /// # Errors
    /// If the magic is wrong, the file ends too early, or the type is neither a plain number nor text.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Header> {
        let bad = |problem: String, remedy: &str| Error::data(path, Place::Whole, problem, remedy);
        if !bytes.starts_with(MAGIC) {
            return Err(bad(
                "not a .npy file: it does not begin with the bytes \\x93NUMPY".into(),
                "write it with numpy.save",
            ));
        }
        let cut = || {
            bad(
                format!(
                    "the file ends inside its header, after {} bytes",
                    bytes.len()
                ),
                "it was cut short: copy or write it again",
            )
        };
        let version = *bytes.get(6).ok_or_else(cut)?;
        let (length, text_start) = match version {
            1 => {
                let length = bytes.get(8..10).ok_or_else(cut)?;
                (usize::from(u16::from_le_bytes([length[0], length[1]])), 10)
            }
            2 | 3 => {
                let length = bytes.get(8..12).ok_or_else(cut)?;
                let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
                (length as usize, 12)
            }
            other => {
                return Err(bad(
                    format!("version {other} of the .npy format is unknown; 1 to 3 are read"),
                    "write it with numpy.save",
                ));
            }
        };
        let start = text_start + length;
        let text = String::from_utf8_lossy(bytes.get(text_start..start).ok_or_else(cut)?);
        let header = parse_dictionary(path, &text, start)?;
        header.check_length(path, bytes.len())?;
        Ok(header)
    }

    /// Number of elements; `None` when the product overflows.
    fn n_elements(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1usize, |product, axis| product.checked_mul(*axis))
    }

    fn check_length(&self, path: &Path, n_bytes: usize) -> Result<()> {
        let needed = self
            .n_elements()
            .and_then(|n| n.checked_mul(self.number.width()))
            .and_then(|n| n.checked_add(self.start));
        if needed.is_some_and(|needed| needed <= n_bytes) {
            return Ok(());
        }
        let needed =
            needed.map_or_else(|| "more than 2^64".to_owned(), |needed| needed.to_string());
        Err(Error::data(
            path,
            Place::Whole,
            format!(
                "shape {:?} of {} needs {needed} bytes, the file has {n_bytes}",
                self.shape, self.number
            ),
            "it was cut short: copy or write it again",
        ))
    }
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse_dictionary(path: &Path, text: &str, start: usize) -> Result<Header> {
    let missing = |key: &str| {
        Error::data(
            path,
            Place::Whole,
            format!("the header has no readable '{key}': {}", text.trim()),
            "write it with numpy.save",
        )
    };
    let value = |key: &str| {
        let (_, rest) = text.split_once(&format!("'{key}'"))?;
        rest.trim_start().strip_prefix(':').map(str::trim_start)
    };
    let descr = value("descr").ok_or_else(|| missing("descr"))?;
    let (number, big_endian) = parse_descr(path, descr)?;
    let order = value("fortran_order").ok_or_else(|| missing("fortran_order"))?;
    let shape = value("shape")
        .and_then(|rest| rest.strip_prefix('(')?.split_once(')'))
        .ok_or_else(|| missing("shape"))?
        .0;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|axis| !axis.is_empty());
    let shape: Result<Vec<usize>, _> = shape.map(str::parse).collect();
    Ok(Header {
        number,
        big_endian,
        fortran: order.starts_with("True"),
        shape: shape.map_err(|_| missing("shape"))?,
        start,
    })
}

/// Reads a type such as `'<f4'`; the flag is whether the most significant byte comes first.
fn parse_descr(path: &Path, descr: &str) -> Result<(Number, bool)> {
    let refuse = |what: String, remedy: &str| Err(Error::data(path, Place::Whole, what, remedy));
    if descr.starts_with('[') {
        return refuse(
            "it holds records with named fields, expected plain numbers".into(),
            "save one field as a separate array: np.save(path, a['name'])",
        );
    }
    let code = descr
        .trim_start_matches('\'')
        .split('\'')
        .next()
        .unwrap_or_default();
    let (order, kind) = match code.strip_prefix(['<', '>', '|', '=']) {
        Some(kind) => (code.as_bytes()[0], kind),
        None => (b'=', code),
    };
    let width = kind
        .get(1..)
        .and_then(|width| width.parse().ok())
        .unwrap_or(0);
    let number = match (kind.as_bytes().first(), width) {
        (Some(b'f'), 2) => Number::F16,
        (Some(b'f'), 4) => Number::F32,
        (Some(b'f'), 8) => Number::F64,
        (Some(b'i'), 1 | 2 | 4 | 8) => Number::Int(width),
        (Some(b'u'), 1 | 2 | 4 | 8) => Number::Uint(width),
        (Some(b'b'), 1) => Number::Uint(1),
        (Some(b'U'), _) => Number::Unicode(width),
        (Some(b'S'), _) => Number::Ascii(width),
        (Some(b'O'), _) => {
            return refuse(
                "it holds pickled Python objects, which are never loaded".into(),
                "save plain numbers: np.save(path, np.stack(list(a)).astype('float32'))",
            );
        }
        _ => {
            return refuse(
                format!("type '{code}' is not read; expected f2, f4, f8 or integers"),
                "convert it: np.save(path, a.astype('float32'))",
            );
        }
    };
    let big_endian = match order {
        b'>' => true,
        b'<' | b'|' => false,
        _ => cfg!(target_endian = "big"),
    };
    Ok((number, big_endian))
}

/// Reads an integer array `[n]` or `[n, k]`, flattened row by row, with its shape.
///
/// # Errors
/// If the file cannot be read, is not an integer array, or has more than two axes or a number that does
/// not fit `i64`.
pub fn read_ints(path: &Path) -> Result<(Vec<i64>, Vec<usize>)> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, "read", source))?;
    let header = Header::parse(path, &bytes)?;
    ints(path, &header, &bytes)
}

/// The integers of an array whose file is already in memory; see [`read_ints`].
///
/// # Errors
/// Those of [`read_ints`], except failing to read.
///
/// # Panics
/// If `header` promises more than `bytes` has; [`Header::parse`] has checked that.
pub fn ints(path: &Path, header: &Header, bytes: &[u8]) -> Result<(Vec<i64>, Vec<usize>)> {
    let width = match header.number {
        Number::Int(width) | Number::Uint(width) if (1..=2).contains(&header.shape.len()) => width,
        other => {
            return Err(Error::data(
                path,
                Place::Whole,
                format!(
                    "expected integers [n] or [n, k], found {other} {:?}",
                    header.shape
                ),
                "convert it: np.save(path, a.astype('int64'))",
            ));
        }
    };
    let (n, k) = (header.shape[0], header.shape.get(1).copied().unwrap_or(1));
    let mut values = Vec::with_capacity(n * k);
    for row in 0..n {
        for column in 0..k {
            let at = if header.fortran {
                column * n + row
            } else {
                row * k + column
            };
            let at = header.start + at * width;
            let value = int(&bytes[at..at + width], header);
            values.push(value.ok_or_else(|| {
                Error::data(
                    path,
                    Place::Row(row as u64),
                    "a number larger than 2^63",
                    "use int64 numbers",
                )
            })?);
        }
    }
    Ok((values, header.shape.clone()))
}

fn int(bytes: &[u8], header: &Header) -> Option<i64> {
    let digit = |i: usize| {
        if header.big_endian {
            bytes[bytes.len() - 1 - i]
        } else {
            bytes[i]
        }
    };
    let unsigned = (0..bytes.len()).fold(0u64, |sum, i| sum | u64::from(digit(i)) << (8 * i));
    if matches!(header.number, Number::Int(_)) {
        let unused = 64 - 8 * bytes.len() as u32;
        Some((unsigned << unused) as i64 >> unused)
    } else {
        i64::try_from(unsigned).ok()
    }
}

/// The strings of a text array `[n]`, without their padding zeros.
///
/// # Errors
/// If the array is not a list of texts or a text is not Unicode.
///
/// # Panics
/// If `header` promises more than `bytes` has; [`Header::parse`] has checked that.
pub fn texts(path: &Path, header: &Header, bytes: &[u8]) -> Result<Vec<String>> {
    let width = header.number.width();
    let (Number::Unicode(_) | Number::Ascii(_), [n]) = (header.number, header.shape.as_slice())
    else {
        return Err(Error::data(
            path,
            Place::Whole,
            format!(
                "expected a list of texts, found {} {:?}",
                header.number, header.shape
            ),
            "save the ids as text: np.array(ids, dtype=str)",
        ));
    };
    let text = |row: usize| {
        let cell = &bytes[header.start + row * width..header.start + (row + 1) * width];
        if matches!(header.number, Number::Ascii(_)) {
            let end = cell
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            return String::from_utf8(cell[..end].to_vec()).ok();
        }
        let character = |code: &[u8]| {
            let code: [u8; 4] = code.try_into().expect("chunks of four bytes");
            if header.big_endian {
                u32::from_be_bytes(code)
            } else {
                u32::from_le_bytes(code)
            }
        };
        let codes = cell
            .chunks_exact(4)
            .map(character)
            .take_while(|code| *code != 0);
        codes.map(char::from_u32).collect()
    };
    let row_text = |row: usize| {
        text(row).ok_or_else(|| {
            Error::data(
                path,
                Place::Row(row as u64),
                "the text is not valid Unicode",
                "write the ids again",
            )
        })
    };
    (0..*n).map(row_text).collect()
}

/// The header that [`numpy.save`](https://numpy.org/doc/stable/reference/generated/numpy.save.html)
/// would write for a little-endian, C-order array of type `descr`, for instance `<f4`.
///
/// ```
/// use std::path::Path;
/// use truepair_core::npy::{Header, Number, header_bytes};
///
/// let file = [header_bytes("<f4", &[1, 2]), vec![0; 8]].concat();
/// let header = Header::parse(Path::new("rows.npy"), &file)?;
/// assert_eq!((header.number, header.shape), (Number::F32, vec![1, 2]));
/// # Ok::<(), truepair_core::Error>(())
/// ```
pub fn header_bytes(descr: &str, shape: &[usize]) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let mut text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}",
        axes.trim_end()
    );
    // Numbers begin at a multiple of 64 bytes, so that a mapped file is aligned for any of them.
    let padding = (64 - (MAGIC.len() + 4 + text.len() + 1) % 64) % 64;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(descr: &str, fortran: bool, shape: &str, numbers: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(numbers);
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Header> {
        Header::parse(Path::new("a.npy"), bytes)
    }

    #[test]
    fn our_own_header_is_read_back_and_aligned() {
        for shape in [&[3usize][..], &[3, 4], &[2, 3, 512]] {
            let mut bytes = header_bytes("<f2", shape);
            assert_eq!(bytes.len() % 64, 0);
            bytes.extend(std::iter::repeat_n(0, 2 * shape.iter().product::<usize>()));
            let header = parse(&bytes).unwrap();
            assert_eq!(
                (header.number, header.shape.as_slice()),
                (Number::F16, shape)
            );
            assert!(!header.fortran && !header.big_endian);
        }
    }

    #[test]
    fn byte_order_and_axis_order_are_read() {
        let header = parse(&array("'>f8'", true, "(2,)", &[0; 16])).unwrap();
        assert!(header.big_endian && header.fortran);
        assert_eq!(header.number, Number::F64);
    }

    #[test]
    fn what_is_not_a_plain_number_is_refused_with_a_remedy() {
        let message = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
        assert!(message(b"PK\x03\x04").contains("numpy.save"));
        assert!(message(b"\x93NUMPY\x01\x00\xff\x00{").contains("cut short"));
        assert!(message(&array("'|O'", false, "(2,)", &[0; 16])).contains("np.stack"));
        assert!(message(&array("'<c8'", false, "(2,)", &[0; 16])).contains("astype('float32')"));
        assert!(message(&array("[('a', '<f4')]", false, "(2,)", &[0; 8])).contains("a['name']"));
        assert!(message(&array("'<f4'", false, "(2, 3)", &[0; 23])).contains("the file has"));
        assert!(
            message(&array("'<f4'", false, "(4294967296, 4294967296, 9)", &[])).contains("2^64")
        );
    }

    #[test]
    fn integers_of_every_width_and_order_are_read() {
        let read = |descr: &str, fortran, shape: &str, numbers: &[u8]| {
            let bytes = array(descr, fortran, shape, numbers);
            ints(Path::new("a.npy"), &parse(&bytes).unwrap(), &bytes)
                .unwrap()
                .0
        };
        assert_eq!(read("'|i1'", false, "(2,)", &[0xff, 3]), [-1, 3]);
        assert_eq!(read("'>i2'", false, "(2,)", &[0xff, 0xfe, 1, 0]), [-2, 256]);
        assert_eq!(read("'<u4'", false, "(1,)", &[0, 0, 0, 0x80]), [1 << 31]);
        assert_eq!(read("'|u1'", true, "(2, 2)", &[1, 2, 3, 4]), [1, 3, 2, 4]);
    }

    #[test]
    fn texts_lose_their_padding() {
        let mut cells = Vec::new();
        for code in ['a' as u32, 0, 'é' as u32, 'b' as u32] {
            cells.extend(code.to_le_bytes());
        }
        let bytes = array("'<U2'", false, "(2,)", &cells);
        let header = parse(&bytes).unwrap();
        assert_eq!(
            texts(Path::new("a.npy"), &header, &bytes).unwrap(),
            ["a", "éb"]
        );
    }
}
