//! MATLAB's MAT-file format, versions 5 and 7: real matrices of numbers, and nothing else.
//!
//! A file is a header of 128 bytes and one element a variable, plain or deflated. Sparse matrices are
//! made dense. Cells, structures, objects and texts are listed with the reason why they are not read,
//! so that a message can name the variable. Version 7.3 is HDF5.
//! Format: MathWorks, "MAT-File Format", chapter 1.

use std::io::Read;
use std::path::Path;

use truepair_core::error::{Error, Place, Result};

use super::sparse::Sparse;
use crate::inflate;

const HEADER: usize = 128;
/// Element types.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Class of sparse matrices.
const SPARSE: u32 = 5;
/// Flag of complex matrices.
const COMPLEX: u32 = 0x0800;

/// One variable of a file.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Row-major, or why it is not read.
    pub(super) values: std::result::Result<Vec<f32>, String>,
}

/// Which byte of a number comes first in a file of these versions; `None` for other files.
pub(super) fn byte_order(bytes: &[u8]) -> Option<ByteOrder> {
    match bytes.get(126..HEADER)? {
        b"IM" => Some(ByteOrder::Little),
        b"MI" => Some(ByteOrder::Big),
        _ => None,
    }
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// Reads every variable of a file.
///
/// # Errors
/// If it is damaged or cut short.
pub(super) fn read(path: &Path, bytes: &[u8], order: ByteOrder) -> Result<Vec<Variable>> {
    let bad = |problem: &str, remedy: &str| Error::data(path, Place::Whole, problem, remedy);
    let big_endian = order == ByteOrder::Big;
    let mut input = Input {
        bytes,
        at: HEADER,
        big_endian,
    };
    let mut variables = Vec::new();
    while input.at < bytes.len() {
        let element = input.element(Padding::Compact);
        let variable = element.and_then(|element| match element.kind {
            COMPRESSED => inflate(element.content, big_endian),
            MATRIX => variable(element.content, big_endian).map(Some),
            _ => Some(None),
        });
        let variable = variable.ok_or_else(|| {
            bad(
                &format!("the variable at byte {} is damaged or ends early", input.at),
                "it was cut short: copy or write it again",
            )
        })?;
        variables.extend(variable);
    }
    Ok(variables)
}

/// Numbers that lie column by column as rows one after another.
pub(super) fn row_major(values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
    let [n, d] = shape[..] else { return values };
    if n <= 1 || d <= 1 {
        return values;
    }
    let mut out = Vec::with_capacity(values.len());
    for row in 0..n {
        out.extend((0..d).map(|column| values[column * n + row]));
    }
    out
}

/// The one variable of a deflated element; `None` outside when it is damaged, inside when the element
/// is no variable.
fn inflate(content: &[u8], big_endian: bool) -> Option<Option<Variable>> {
    // The tag says how long the variable is; no more is unpacked.
    let mut unpacker = inflate::zlib(content);
    let mut plain = vec![0; 8];
    unpacker.read_exact(&mut plain).ok()?;
    let length = Input {
        bytes: &plain,
        at: 0,
        big_endian,
    }
    .number_at(&plain, 4)?;
    unpacker.take(length.into()).read_to_end(&mut plain).ok()?;
    let mut input = Input {
        bytes: &plain,
        at: 0,
        big_endian,
    };
    let element = input.element(Padding::Compact)?;
    match element.kind {
        MATRIX => variable(element.content, big_endian).map(Some),
        _ => Some(None),
    }
}

/// `None` when the element is damaged.
fn variable(content: &[u8], big_endian: bool) -> Option<Variable> {
    let mut input = Input {
        bytes: content,
        at: 0,
        big_endian,
    };
    let flags = input.element(Padding::Eight)?;
    let flags = input.number_at(flags.content, 0)?;
    let class = flags & 0xff;
    let mut shape = Vec::new();
    // Objects of newer MATLAB have no dimensions here.
    if class != 17 {
        let dimensions = input.element(Padding::Eight)?.content;
        for at in 0..dimensions.len() / 4 {
            shape.push(input.number_at(dimensions, 4 * at)? as usize);
        }
    }
    let name = input.element(Padding::Eight)?.content;
    let name = String::from_utf8_lossy(name).into_owned();
    let values = match refusal(class, flags) {
        Some(problem) => Err(problem),
        None if class == SPARSE => sparse(&mut input, &shape, big_endian)?.dense(),
        None => {
            let n = shape
                .iter()
                .try_fold(1usize, |n, axis| n.checked_mul(*axis))?;
            let values = input.element(Padding::Eight)?.floats(big_endian)?;
            if values.len() != n {
                return None;
            }
            Ok(row_major(values, &shape))
        }
    };
    Some(Variable {
        name,
        shape,
        values,
    })
}

/// The rest of a sparse matrix: rows of its entries, starts of its columns, and numbers.
fn sparse(input: &mut Input<'_>, shape: &[usize], big_endian: bool) -> Option<Sparse> {
    let [n_rows, n_columns] = shape[..] else {
        return None;
    };
    let mut indices = || -> Option<Vec<usize>> {
        let content = input.element(Padding::Eight)?.content;
        let n = content.len() / 4;
        (0..n)
            .map(|at| Some(input.number_at(content, 4 * at)? as usize))
            .collect()
    };
    let (rows, starts) = (indices()?, indices()?);
    if starts.len() != n_columns.checked_add(1)? {
        return None;
    }
    // A matrix of zeros may have no numbers at all.
    let values = match input.element(Padding::Eight) {
        Some(element) => element.floats(big_endian)?,
        None => Vec::new(),
    };
    Some(Sparse {
        n_rows,
        rows,
        starts,
        values,
    })
}

/// Why a variable of this class is not read.
fn refusal(class: u32, flags: u32) -> Option<String> {
    let what = match class {
        1 => "a cell array",
        2 => "a structure",
        3 | 17 => "an object",
        4 => "text",
        SPARSE..=15 if flags & COMPLEX != 0 => "a complex matrix",
        SPARSE..=15 => return None,
        16 => "a function",
        _ => "of an unknown class",
    };
    Some(format!(
        "the variable is {what}, expected a matrix of numbers"
    ))
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

struct Element<'a> {
    kind: u32,
    content: &'a [u8],
}

/// What follows an element's content.
#[derive(Clone, Copy, PartialEq)]
enum Padding {
    /// Filled up to a multiple of 8 bytes, as inside a matrix.
    Eight,
    /// Nothing after deflated elements, up to 8 bytes after others.
    Compact,
}

impl<'a> Input<'a> {
    fn number_at(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(match self.big_endian {
            true => u32::from_be_bytes(four),
            false => u32::from_le_bytes(four),
        })
    }

    /// The next element; short ones keep their content in the tag itself.
    fn element(&mut self, padding: Padding) -> Option<Element<'a>> {
        let tag = self.number_at(self.bytes, self.at)?;
        let (kind, start, length) = match tag >> 16 {
            0 => (tag, 8, self.number_at(self.bytes, self.at + 4)? as usize),
            length => (tag & 0xffff, 4, length as usize),
        };
        let first = self.at + start;
        let content = self.bytes.get(first..first.checked_add(length)?)?;
        let padded = match (start, padding) {
            (4, _) => 8,
            (_, Padding::Compact) if kind == COMPRESSED => start + length,
            _ => start + length.next_multiple_of(8),
        };
        // The padding of the last element may be missing.
        self.at = (self.at + padded).min(self.bytes.len());
        Some(Element { kind, content })
    }
}

impl Element<'_> {
    /// The numbers as `f32`. MATLAB stores a matrix of doubles in the smallest type that holds it.
    fn floats(&self, big_endian: bool) -> Option<Vec<f32>> {
        fn each<const N: usize>(
            bytes: &[u8],
            big_endian: bool,
            number: impl Fn([u8; N]) -> f32,
        ) -> Vec<f32> {
            let ordered = |chunk: &[u8]| -> [u8; N] {
                let mut bytes: [u8; N] = chunk.try_into().expect("chunks of N bytes");
                if big_endian {
                    bytes.reverse();
                }
                bytes
            };
            bytes
                .chunks_exact(N)
                .map(|chunk| number(ordered(chunk)))
                .collect()
        }
        let bytes = self.content;
        Some(match self.kind {
            1 => each(bytes, big_endian, |b: [u8; 1]| f32::from(b[0] as i8)),
            2 => each(bytes, big_endian, |b: [u8; 1]| f32::from(b[0])),
            3 => each(bytes, big_endian, |b| f32::from(i16::from_le_bytes(b))),
            4 => each(bytes, big_endian, |b| f32::from(u16::from_le_bytes(b))),
            5 => each(bytes, big_endian, |b| i32::from_le_bytes(b) as f32),
            6 => each(bytes, big_endian, |b| u32::from_le_bytes(b) as f32),
            7 => each(bytes, big_endian, f32::from_le_bytes),
            9 => each(bytes, big_endian, |b| f64::from_le_bytes(b) as f32),
            12 => each(bytes, big_endian, |b| i64::from_le_bytes(b) as f32),
            13 => each(bytes, big_endian, |b| u64::from_le_bytes(b) as f32),
            _ => return None,
        })
    }
}
