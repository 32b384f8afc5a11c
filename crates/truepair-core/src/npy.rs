//! NumPy's `.npy`, the one array file that this crate reads and writes by itself: the header of
//! feature rows, and the small arrays of indices and labels that ride along with them.
//!
//! Numbers are never converted here: a [`Header`] says where they begin and how to read them, so
//! that a feature file larger than memory can stay on disk. Pickled objects are refused, because
//! reading them means running code from the file.
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

mod descr;
mod dictionary;
mod values;

use std::path::Path;

use self::dictionary::Item;
pub(crate) use self::values::number_at;
pub use self::values::{floats, ints, read_ints, texts};
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
    /// The upper half of an `f32`; in `.npy` files numbers of two bytes without a name, as
    /// `ml_dtypes` saves them.
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
    /// numbers it promises are there, and nothing else.
    ///
    /// # Errors
    /// If the magic is wrong, the file ends too early or late, or the type is no plain number or
    /// text.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Header> {
        let header = Self::parse_start(path, bytes)?;
        header.check_length(path, bytes)?;
        Ok(header)
    }

    /// Reads the header at the start of `bytes`, the first bytes of `path`; whether the numbers are
    /// there is for the caller to check.
    ///
    /// # Errors
    /// If the magic is wrong, `bytes` end inside the header, or the type is no plain number or text.
    pub fn parse_start(path: &Path, bytes: &[u8]) -> Result<Header> {
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
        Self::of_dictionary(path, &text, start)
    }

    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, whoever wrote it.
    fn of_dictionary(path: &Path, text: &str, start: usize) -> Result<Header> {
        let unreadable = |what: &str| {
            Error::data(
                path,
                Place::Whole,
                format!("the header has {what}: {}", text.trim()),
                "write it with numpy.save",
            )
        };
        let items = dictionary::parse(text).ok_or_else(|| unreadable("no readable dictionary"))?;
        let item = |key: &str| {
            let found = items.iter().find(|(name, _)| name == key);
            let missing = || unreadable(&format!("no readable '{key}'"));
            found.map(|(_, item)| item).ok_or_else(missing)
        };
        let (number, big_endian) = descr::parse(path, item("descr")?)?;
        let Item::Flag(fortran) = *item("fortran_order")? else {
            return Err(unreadable("no readable 'fortran_order'"));
        };
        let Item::Axes(shape) = item("shape")? else {
            return Err(unreadable("no readable 'shape'"));
        };
        Ok(Header {
            number,
            big_endian,
            fortran,
            shape: shape.clone(),
            start,
        })
    }

    /// Bytes from the start of the file to the end of the last number; `None` when that is no
    /// number of this machine.
    pub fn n_bytes(&self) -> Option<usize> {
        let numbers = self.n_elements()?.checked_mul(self.number.width())?;
        numbers.checked_add(self.start)
    }

    /// Number of elements; `None` when the product overflows.
    fn n_elements(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1usize, |product, axis| product.checked_mul(*axis))
    }

    fn check_length(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let n_bytes = bytes.len();
        let needed = self.n_bytes();
        if needed == Some(n_bytes) {
            return Ok(());
        }
        if let Some(rest) = needed.and_then(|needed| bytes.get(needed..)) {
            let (problem, remedy) = match rest.starts_with(MAGIC) {
                true => (
                    "several arrays stand in it one after another".to_owned(),
                    "save every array into a file of its own",
                ),
                false => (
                    format!(
                        "{} bytes follow after shape {:?} of {}",
                        rest.len(),
                        self.shape,
                        self.number
                    ),
                    "write it with numpy.save",
                ),
            };
            return Err(Error::data(path, Place::Whole, problem, remedy));
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
    fn what_is_no_plain_number_is_refused_with_a_remedy() {
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
        assert!(message(&array("'|V1'", false, "(2,)", &[0; 2])).contains("8-bit floats"));
        assert!(message(&array("'<U0'", false, "(9,)", &[])).contains("type '<U0' is not read"));
        assert!(message(&array("'<f4'", false, "(2,)", &[0; 9])).contains("1 bytes follow"));
        let two = [
            array("'<f4'", false, "(1,)", &[0; 4]),
            header_bytes("<f4", &[0]),
        ]
        .concat();
        assert!(message(&two).contains("several arrays stand in it"));
        assert!(
            message(&array("'<f4'", false, "(-1, 2)", &[0; 8])).contains("no readable 'shape'")
        );
        assert!(message(b"\x93NUMPY\x01\x00\x02\x00{\n").contains("no readable dictionary"));
    }

    #[test]
    fn other_names_of_types_and_nameless_ones_are_read() {
        for (descr, number) in [
            ("'float32'", Number::F32),
            ("'=f8'", Number::F64),
            ("'?'", Number::Uint(1)),
            ("'|V2'", Number::Bf16),
            ("'<V2'", Number::Bf16),
            ("'int64'", Number::Int(8)),
        ] {
            let header = parse(&array(descr, false, "(2,)", &vec![0; 2 * number.width()])).unwrap();
            assert_eq!(header.number, number, "{descr}");
        }
    }

    #[test]
    fn floats_without_a_fraction_are_whole_numbers_and_others_are_refused_by_row() {
        let read = |descr: &str, shape: &str, numbers: &[u8]| {
            let bytes = array(descr, false, shape, numbers);
            ints(Path::new("a.npy"), &parse(&bytes).unwrap(), &bytes)
        };
        let doubles =
            |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let whole = read("'<f8'", "(3,)", &doubles(&[1.0, -2.0, 4e9])).unwrap();
        assert_eq!(whole.0, [1, -2, 4_000_000_000]);
        let halves = half::f16::from_f32(3.0).to_be_bytes();
        assert_eq!(read("'>f2'", "(1,)", &halves).unwrap().0, [3]);
        assert_eq!(read("'|b1'", "(2, 1)", &[0, 1]).unwrap().0, [0, 1]);
        assert!(
            read("'<i8'", "(0, 1099511627776)", &[])
                .unwrap()
                .0
                .is_empty()
        );
        assert!(
            read("'<i8'", "(1099511627776, 0)", &[])
                .unwrap()
                .0
                .is_empty()
        );
        for (value, words) in [
            (0.5, "0.5 is no"),
            (f64::NAN, "NaN is no"),
            (1e300, "000 is no"),
        ] {
            let error = read("'<f8'", "(2, 2)", &doubles(&[0.0, 1.0, 2.0, value]));
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("row 1: ") && error.contains(words),
                "{error}"
            );
        }
        let texts = ['c', 'a', 't', '\0']
            .map(|letter| (letter as u32).to_le_bytes())
            .concat();
        let error = read("'<U4'", "(1,)", &texts).unwrap_err().to_string();
        assert!(error.contains("row 0: the text 'cat'"), "{error}");
        assert!(read("'<i8'", "()", &[0; 8]).is_err());
        assert!(read("'<u8'", "(1,)", &[0xff; 8]).is_err());
    }

    #[test]
    fn floats_of_any_shape_follow_the_rows() {
        let read = |fortran, shape: &str, n: u8| {
            let numbers: Vec<u8> = (0..n).collect();
            let bytes = array("'|u1'", fortran, shape, &numbers);
            floats(Path::new("a.npy"), &parse(&bytes).unwrap(), &bytes).unwrap()
        };
        assert_eq!(read(false, "()", 1), [0.0]);
        assert_eq!(read(true, "(2, 2)", 4), [0.0, 2.0, 1.0, 3.0]);
        assert_eq!(read(true, "(2, 1, 3)", 6), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
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
        let bytes = array("'<i2'", false, "(2, 1)", &[7, 0, 0xff, 0xff]);
        let header = parse(&bytes).unwrap();
        let numbers = texts(Path::new("a.npy"), &header, &bytes).unwrap();
        assert_eq!(numbers, ["7", "-1"]);
    }
}
