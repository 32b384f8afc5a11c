//! MATLAB's MAT-file format, version 4: full and sparse matrices of numbers without a file header.
//!
//! Format: MathWorks, "MAT-File Format", chapter 2.

use std::path::Path;

use truepair_core::error::{Error, Place, Result};

use super::matlab::{Variable, row_major};
use super::sparse::dense_length;

/// Header of one matrix: type, rows, columns, imaginary flag, length of the name.
const HEADER: usize = 20;
/// The longest name that is believed.
const LONGEST_NAME: u32 = 4096;

/// Whether the bytes begin as a file of this version does.
pub(super) fn is_of_this_version(bytes: &[u8]) -> bool {
    header_at(bytes, 0).is_some()
}

/// Reads every variable of a file.
///
/// # Errors
/// If it is damaged or cut short.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Vec<Variable>> {
    let mut variables = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (variable, next) = variable(bytes, at).ok_or_else(|| {
            Error::data(
                path,
                Place::Whole,
                format!("the variable at byte {at} is damaged or ends early"),
                "it was cut short: copy or write it again",
            )
        })?;
        variables.push(variable);
        at = next;
    }
    Ok(variables)
}

/// What the header of one matrix says.
struct Header {
    big_endian: bool,
    /// Kind of its numbers, 0 to 5.
    precision: u32,
    /// 0 full, 1 text, 2 sparse.
    kind: u32,
    n_rows: usize,
    n_columns: usize,
    is_complex: bool,
    name_length: usize,
}

fn header_at(bytes: &[u8], at: usize) -> Option<Header> {
    let word = |n: usize, big_endian: bool| {
        let start = at.checked_add(4 * n)?;
        let four: [u8; 4] = bytes.get(start..start.checked_add(4)?)?.try_into().ok()?;
        Some(match big_endian {
            true => u32::from_be_bytes(four),
            false => u32::from_le_bytes(four),
        })
    };
    // The type is a number MOPT in decimal digits; M says which byte comes first.
    let mut orders = [false, true].into_iter();
    let big_endian = orders.find(|big_endian| {
        let machine = u32::from(*big_endian);
        let kind = word(0, *big_endian).unwrap_or(u32::MAX);
        kind / 1000 == machine && kind / 100 % 10 == 0 && kind / 10 % 10 < 6 && kind % 10 < 3
    })?;
    let kind = word(0, big_endian)?;
    let name_length = word(4, big_endian)?;
    let is_complex = word(3, big_endian)?;
    if is_complex > 1 || !(1..=LONGEST_NAME).contains(&name_length) {
        return None;
    }
    Some(Header {
        big_endian,
        precision: kind / 10 % 10,
        kind: kind % 10,
        n_rows: word(1, big_endian)? as usize,
        n_columns: word(2, big_endian)? as usize,
        is_complex: is_complex == 1,
        name_length: name_length as usize,
    })
}

/// The variable at a place, and where the next one begins; `None` when it is damaged.
fn variable(bytes: &[u8], at: usize) -> Option<(Variable, usize)> {
    let header = header_at(bytes, at)?;
    let name_start = at.checked_add(HEADER)?;
    let start = name_start.checked_add(header.name_length)?;
    let name = bytes.get(name_start..start)?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    let width = match header.precision {
        0 => 8,
        1 | 2 => 4,
        3 | 4 => 2,
        _ => 1,
    };
    let n = header.n_rows.checked_mul(header.n_columns)?;
    let length = n.checked_mul(width)?;
    let end = start.checked_add(length)?;
    let content = bytes.get(start..end)?;
    let next = match header.is_complex {
        true => end.checked_add(length)?,
        false => end,
    };
    if next > bytes.len() {
        return None;
    }
    let mut shape = vec![header.n_rows, header.n_columns];
    let refused = |what: &str| {
        Err(format!(
            "the variable is {what}, expected a matrix of numbers"
        ))
    };
    let values = match (header.kind, header.is_complex) {
        (1, _) => refused("text"),
        (_, true) => refused("a complex matrix"),
        (0, _) => {
            let values = content
                .chunks_exact(width)
                .map(|cell| number(cell, &header));
            Ok(row_major(values.map(|x| x as f32).collect(), &shape))
        }
        _ => {
            let values = content
                .chunks_exact(width)
                .map(|cell| number(cell, &header));
            sparse(&values.collect::<Vec<f64>>(), header.n_rows, &mut shape)
        }
    };
    let variable = Variable {
        name,
        shape,
        values,
    };
    Some((variable, next))
}

fn number(cell: &[u8], header: &Header) -> f64 {
    let mut bytes = [0; 8];
    bytes[..cell.len()].copy_from_slice(cell);
    if header.big_endian {
        bytes[..cell.len()].reverse();
    }
    let [a, b, c, d, ..] = bytes;
    match header.precision {
        0 => f64::from_le_bytes(bytes),
        1 => f32::from_le_bytes([a, b, c, d]).into(),
        2 => i32::from_le_bytes([a, b, c, d]).into(),
        3 => i16::from_le_bytes([a, b]).into(),
        4 => u16::from_le_bytes([a, b]).into(),
        _ => a.into(),
    }
}

/// A sparse matrix is a list of row, column and value, column by column; its last entry has the shape.
fn sparse(values: &[f64], n: usize, shape: &mut Vec<usize>) -> Result<Vec<f32>, String> {
    let broken = || "the list of the sparse matrix is damaged".to_owned();
    if n == 0 || values.len() != 3 * n {
        return Err(broken());
    }
    let index = |value: f64| {
        (value.fract() == 0.0 && (0.0..4e9).contains(&value)).then_some(value as usize)
    };
    let (rows, rest) = values.split_at(n);
    let (columns, numbers) = rest.split_at(n);
    let n_rows = index(rows[n - 1]).ok_or_else(broken)?;
    let n_columns = index(columns[n - 1]).ok_or_else(broken)?;
    let mut dense = vec![0.0; dense_length(n_rows, n_columns, n)?];
    for entry in 0..n - 1 {
        let row = index(rows[entry]).filter(|row| (1..=n_rows).contains(row));
        let column = index(columns[entry]).filter(|column| (1..=n_columns).contains(column));
        let (row, column) = row.zip(column).ok_or_else(broken)?;
        dense[(row - 1) * n_columns + column - 1] = numbers[entry] as f32;
    }
    *shape = vec![n_rows, n_columns];
    Ok(dense)
}
