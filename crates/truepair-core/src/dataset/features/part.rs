//! Rows of one file or of memory, handed out as `f32`.

use std::path::PathBuf;
use std::sync::Arc;

use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::bytes::Bytes;
use super::picture_rows::PictureRows;
use super::scale::Scale;
use crate::npy::Number;

/// Consecutive rows that lie in one file or in memory.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The file, for messages.
    pub(super) path: PathBuf,
    /// Index of the first row among all parts.
    pub(super) first: usize,
    /// Number of rows.
    pub(super) n: usize,
    pub(super) numbers: Numbers,
    /// What its integers are multiplied by.
    pub(super) scale: Option<Scale>,
}

/// The numbers of a part as they are stored.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    Memory(Arc<[f32]>),
    Encoded {
        bytes: Bytes,
        start: usize,
        number: Number,
        big_endian: bool,
        fortran: bool,
    },
    Pictures(PictureRows),
}

impl Part {
    /// Copies row `row` of the part as `f32` into `out`.
    pub(super) fn copy_row(&self, row: usize, regions: usize, dim: usize, out: &mut [f32]) {
        self.copy_numbers(row, regions, dim, out);
        if let Some(scale) = &self.scale {
            scale.apply(row, out);
        }
    }

    fn copy_numbers(&self, row: usize, regions: usize, dim: usize, out: &mut [f32]) {
        let row_len = regions * dim;
        match &self.numbers {
            Numbers::Memory(values) => {
                out.copy_from_slice(&values[row * row_len..(row + 1) * row_len]);
            }
            Numbers::Encoded {
                bytes,
                start,
                number,
                big_endian,
                fortran: false,
            } => {
                let width = row_len * number.width();
                let start = start + row * width;
                decode(&bytes[start..start + width], *number, *big_endian, out);
            }
            Numbers::Pictures(_) => unreachable!("pictures are decoded by their reader"),
            Numbers::Encoded {
                bytes,
                start,
                number,
                big_endian,
                fortran: true,
            } => {
                // The first axis varies fastest: neighbours in a row lie a whole column apart.
                for (at, out) in out.iter_mut().enumerate() {
                    let (region, column) = (at / dim, at % dim);
                    let element = row + self.n * (region + regions * column);
                    let start = start + element * number.width();
                    let cell = &bytes[start..start + number.width()];
                    decode(cell, *number, *big_endian, std::slice::from_mut(out));
                }
            }
        }
    }
}

/// Converts numbers to `f32`; values too large for it become infinite, which the check for finite
/// features then names.
fn decode(bytes: &[u8], number: Number, big_endian: bool, out: &mut [f32]) {
    match (number, big_endian) {
        (Number::F16, false) if cfg!(target_endian = "little") => {
            // Whole rows convert several numbers per instruction when they are aligned.
            match bytemuck::try_cast_slice::<u8, f16>(bytes) {
                Ok(row) => row.convert_to_f32_slice(out),
                Err(_) => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            }
        }
        (Number::F16, false) => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
        (Number::F16, true) => each(bytes, out, |b| f16::from_be_bytes(b).to_f32()),
        (Number::Bf16, false) => each(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
        (Number::Bf16, true) => each(bytes, out, |b| bf16::from_be_bytes(b).to_f32()),
        (Number::F32, false) => each(bytes, out, f32::from_le_bytes),
        (Number::F32, true) => each(bytes, out, f32::from_be_bytes),
        (Number::F64, false) => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        (Number::F64, true) => each(bytes, out, |b| f64::from_be_bytes(b) as f32),
        (Number::Int(1), _) => each(bytes, out, |b: [u8; 1]| f32::from(b[0] as i8)),
        (Number::Uint(1), _) => each(bytes, out, |b: [u8; 1]| f32::from(b[0])),
        (other, _) => unreachable!("features of {other} are refused when they are opened"),
    }
}

fn each<const W: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; W]) -> f32) {
    let (cells, _) = bytes.as_chunks::<W>();
    out.iter_mut()
        .zip(cells)
        .for_each(|(out, cell)| *out = convert(*cell));
}
