//! The numbers and texts of small arrays, in memory.

use std::path::Path;

use super::{Header, Number};
use crate::error::{Error, Place, Result};
use crate::source_file;

/// Reads whole numbers `[n]` or `[n, k]`, flattened row by row, with their shape; see [`ints`].
///
/// # Errors
/// If the file cannot be read, and those of [`ints`].
pub fn read_ints(path: &Path) -> Result<(Vec<i64>, Vec<usize>)> {
    let failed = |source| Error::io(path, "read", source);
    let bytes = source_file::read(path, source_file::LIST).map_err(failed)?;
    let header = Header::parse(path, &bytes)?;
    ints(path, &header, &bytes)
}

/// The whole numbers of an array `[n]` or `[n, k]` whose file is already in memory: integers, truth
/// values, or floating-point numbers without a fraction.
///
/// # Errors
/// If it holds anything else, has more than two axes or a number that does not fit; the row is
/// named.
///
/// # Panics
/// If `header` promises more than `bytes` has; [`Header::parse`] has checked that.
pub fn ints(path: &Path, header: &Header, bytes: &[u8]) -> Result<(Vec<i64>, Vec<usize>)> {
    if !(1..=2).contains(&header.shape.len()) {
        return Err(Error::data(
            path,
            Place::Whole,
            format!(
                "expected whole numbers [n] or [n, k], found {} {:?}",
                header.number, header.shape
            ),
            "reshape it: np.save(path, a.reshape(len(a), -1))",
        ));
    }
    if let Number::Unicode(_) | Number::Ascii(_) = header.number {
        let first = text_at(header, bytes, 0).filter(|_| !header.shape.contains(&0));
        return Err(Error::data(
            path,
            Place::Row(0),
            format!(
                "the text '{}', expected whole numbers",
                first.unwrap_or_default()
            ),
            "number the texts: np.unique(a, return_inverse=True)[1]",
        ));
    }
    let n_columns = header.shape.get(1).copied().unwrap_or(1);
    let cells = cells(header, bytes).enumerate();
    let whole = |(at, cell): (usize, &[u8])| {
        whole_number(header, cell).map_err(|problem| {
            Error::data(
                path,
                Place::Row((at / n_columns) as u64),
                problem,
                "use whole numbers of at most 53 bits: np.save(path, a.astype('int64'))",
            )
        })
    };
    let values = cells.map(whole).collect::<Result<Vec<i64>>>()?;
    Ok((values, header.shape.clone()))
}

/// The numbers of an array of any shape in memory, in the order of its rows.
///
/// # Errors
/// If it holds texts.
///
/// # Panics
/// If `header` promises more than `bytes` has; [`Header::parse`] has checked that.
pub fn floats(path: &Path, header: &Header, bytes: &[u8]) -> Result<Vec<f64>> {
    if let Number::Unicode(_) | Number::Ascii(_) = header.number {
        return Err(Error::data(
            path,
            Place::Whole,
            "it holds texts, expected numbers",
            "convert it: np.save(path, a.astype('float32'))",
        ));
    }
    Ok(cells(header, bytes)
        .map(|cell| float(header, cell))
        .collect())
}

/// The number at a place in the file, counted in numbers.
///
/// # Panics
/// If it holds texts, or has no such place.
pub(crate) fn number_at(header: &Header, bytes: &[u8], place: usize) -> f64 {
    let width = header.number.width();
    let at = header.start + place * width;
    float(header, &bytes[at..at + width])
}

/// The bytes of every number, row by row.
fn cells<'a>(header: &Header, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let width = header.number.width();
    let n: usize = header.shape.iter().product();
    let (start, shape, fortran) = (header.start, header.shape.clone(), header.fortran);
    let place = move |at: usize| {
        if !fortran {
            return at;
        }
        // The first axis varies fastest in the file, the last one here.
        let (mut rest, mut place, mut size) = (at, 0, n);
        for axis in shape.iter().rev() {
            size /= axis;
            place += rest % axis * size;
            rest /= axis;
        }
        place
    };
    (0..n).map(move |at| {
        let at = start + place(at) * width;
        &bytes[at..at + width]
    })
}

fn whole_number(header: &Header, cell: &[u8]) -> std::result::Result<i64, String> {
    if let Number::Int(_) | Number::Uint(_) = header.number {
        let signed = matches!(header.number, Number::Int(_));
        let whole = int(cell, header.big_endian, signed);
        return whole.ok_or_else(|| "a number larger than 2^63".to_owned());
    }
    let value = float(header, cell);
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return Ok(value as i64);
    }
    Err(format!("{value} is no whole number"))
}

fn float(header: &Header, cell: &[u8]) -> f64 {
    let mut little: [u8; 8] = [0; 8];
    let width = cell.len();
    little[..width].copy_from_slice(cell);
    if header.big_endian {
        little[..width].reverse();
    }
    let bits = u64::from_le_bytes(little);
    match header.number {
        Number::F16 => half::f16::from_bits(bits as u16).to_f64(),
        Number::Bf16 => half::bf16::from_bits(bits as u16).to_f64(),
        Number::F32 => f32::from_bits(bits as u32).into(),
        Number::F64 => f64::from_bits(bits),
        Number::Uint(_) => bits as f64,
        Number::Int(_) => {
            let unused = 64 - 8 * width as u32;
            ((bits << unused) as i64 >> unused) as f64
        }
        Number::Unicode(_) | Number::Ascii(_) => unreachable!("texts are refused before"),
    }
}

fn int(bytes: &[u8], big_endian: bool, signed: bool) -> Option<i64> {
    let digit = |i: usize| {
        if big_endian {
            bytes[bytes.len() - 1 - i]
        } else {
            bytes[i]
        }
    };
    let unsigned = (0..bytes.len()).fold(0u64, |sum, i| sum | u64::from(digit(i)) << (8 * i));
    if signed {
        let unused = 64 - 8 * bytes.len() as u32;
        Some((unsigned << unused) as i64 >> unused)
    } else {
        i64::try_from(unsigned).ok()
    }
}

/// The strings of a text array `[n]` or `[n, 1]`; padding zeros are removed, and whole numbers are
/// texts of their digits.
///
/// # Errors
/// If the array is no list of texts or whole numbers, or a text is no Unicode.
///
/// # Panics
/// If `header` promises more than `bytes` has; [`Header::parse`] has checked that.
pub fn texts(path: &Path, header: &Header, bytes: &[u8]) -> Result<Vec<String>> {
    let is_list = matches!(header.shape.as_slice(), [_] | [_, 1]);
    match header.number {
        Number::Unicode(_) | Number::Ascii(_) if is_list => {}
        Number::Int(_) | Number::Uint(_) if is_list => {
            let (values, _) = ints(path, header, bytes)?;
            return Ok(values.iter().map(ToString::to_string).collect());
        }
        _ => {
            return Err(Error::data(
                path,
                Place::Whole,
                format!(
                    "expected a list of texts, found {} {:?}",
                    header.number, header.shape
                ),
                "save the ids as text: np.array(ids, dtype=str)",
            ));
        }
    }
    let row_text = |row: usize| {
        text_at(header, bytes, row).ok_or_else(|| {
            Error::data(
                path,
                Place::Row(row as u64),
                "the text is not valid Unicode",
                "write the ids again",
            )
        })
    };
    (0..header.shape[0]).map(row_text).collect()
}

/// The text at a place among all texts; `None` where it is no Unicode or there is none.
fn text_at(header: &Header, bytes: &[u8], at: usize) -> Option<String> {
    let width = header.number.width();
    let start = header.start + at * width;
    let cell = bytes.get(start..start + width)?;
    if matches!(header.number, Number::Ascii(_)) {
        let last = cell.iter().rposition(|byte| *byte != 0);
        let end = last.map_or(0, |last| last + 1);
        return String::from_utf8(cell[..end].to_vec()).ok();
    }
    let character = |code: &[u8; 4]| match header.big_endian {
        true => u32::from_be_bytes(*code),
        false => u32::from_le_bytes(*code),
    };
    let codes = cell.as_chunks::<4>().0.iter().map(character);
    codes
        .take_while(|code| *code != 0)
        .map(char::from_u32)
        .collect()
}
