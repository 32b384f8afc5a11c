//! Constant tensors of a model, in the model's file or in one beside it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use half::{bf16, f16};

use super::tensor::Tensor;
use super::wire::{Fault, Value, fields, packed_floats, packed_ints, text};

/// What a `TensorProto` holds before its numbers are decoded.
#[derive(Default)]
struct Stored {
    name: String,
    dims: Vec<i64>,
    kind: u64,
    raw: Vec<u8>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    external: Vec<(String, String)>,
}

/// Name and value of a constant.
pub(super) fn read(bytes: &[u8], folder: &Path) -> Result<(String, Tensor), Fault> {
    let mut stored = Stored::default();
    for field in fields(bytes) {
        match field? {
            (1, Value::Int(value)) => stored.dims.push(value as i64),
            (1, Value::Bytes(bytes)) => stored.dims.extend(packed_ints(bytes)?),
            (2, Value::Int(kind)) => stored.kind = kind,
            (4, Value::Four(bits)) => stored.floats.push(f32::from_bits(bits)),
            (4, Value::Bytes(bytes)) => stored.floats.extend(packed_floats(bytes)),
            (5 | 7, Value::Int(value)) => stored.ints.push(value as i64),
            (5 | 7, Value::Bytes(bytes)) => stored.ints.extend(packed_ints(bytes)?),
            (8, Value::Bytes(bytes)) => stored.name = text(bytes),
            (9, Value::Bytes(bytes)) => stored.raw = bytes.to_vec(),
            (13, Value::Bytes(bytes)) => stored.external.push(entry(bytes)?),
            _ => {}
        }
    }
    let name = stored.name.clone();
    let tensor = stored.tensor(folder);
    let tensor = tensor.map_err(|fault| format!("constant '{name}': {fault}"))?;
    Ok((name, tensor))
}

fn entry(bytes: &[u8]) -> Result<(String, String), Fault> {
    let mut entry = (String::new(), String::new());
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => entry.0 = text(bytes),
            (2, Value::Bytes(bytes)) => entry.1 = text(bytes),
            _ => {}
        }
    }
    Ok(entry)
}

impl Stored {
    fn tensor(mut self, folder: &Path) -> Result<Tensor, Fault> {
        if !self.external.is_empty() {
            self.raw = self.read_external(folder)?;
        }
        let shape = (self.dims.iter().map(|dim| usize::try_from(*dim)))
            .collect::<Result<Vec<usize>, _>>()
            .map_err(|_| format!("shape {:?}", self.dims))?;
        let raw = &self.raw;
        match self.kind {
            1 if raw.is_empty() => Tensor::floats(shape, self.floats),
            1 => Tensor::floats(shape, packed_floats(raw).collect()),
            10 => {
                let halves = self.words(|bits| f16::from_bits(bits).to_f32());
                Tensor::floats(shape, halves)
            }
            16 => {
                let halves = self.words(|bits| bf16::from_bits(bits).to_f32());
                Tensor::floats(shape, halves)
            }
            11 => Tensor::floats(shape, cells(raw, |b| f64::from_le_bytes(b) as f32)),
            2 | 3 | 5 | 6 | 7 | 9 if raw.is_empty() => Tensor::ints(shape, self.ints),
            2 | 9 => Tensor::ints(shape, raw.iter().map(|b| i64::from(*b)).collect()),
            3 => Tensor::ints(
                shape,
                cells(raw, |b: [u8; 1]| i64::from(i8::from_le_bytes(b))),
            ),
            5 => Tensor::ints(shape, cells(raw, |b| i64::from(i16::from_le_bytes(b)))),
            6 => Tensor::ints(shape, cells(raw, |b| i64::from(i32::from_le_bytes(b)))),
            7 => Tensor::ints(shape, cells(raw, i64::from_le_bytes)),
            kind => Err(format!("numbers of type {kind} are not supported")),
        }
    }

    /// Numbers of 16 bits, from raw bytes or from a list of integers.
    fn words(&self, convert: impl Fn(u16) -> f32) -> Vec<f32> {
        if self.raw.is_empty() {
            return self.ints.iter().map(|bits| convert(*bits as u16)).collect();
        }
        cells(&self.raw, |b| convert(u16::from_le_bytes(b)))
    }

    fn read_external(&self, folder: &Path) -> Result<Vec<u8>, Fault> {
        let value = |key: &str| self.external.iter().find(|(k, _)| k == key).map(|(_, v)| v);
        let number = |key: &str| value(key).map(|v| v.parse::<u64>()).transpose();
        let location = PathBuf::from(value("location").ok_or("no location of its file")?);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !location.components().all(plain) {
            return Err(format!("its file {} lies elsewhere", location.display()));
        }
        let (Ok(offset), Ok(length)) = (number("offset"), number("length")) else {
            return Err("offset and length must be numbers".into());
        };
        let path = folder.join(location);
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(offset.unwrap_or(0)))?;
            let mut bytes = Vec::new();
            file.take(length.unwrap_or(u64::MAX))
                .read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|cause: std::io::Error| format!("{}: {cause}", path.display()))
    }
}

fn cells<const W: usize, T>(bytes: &[u8], convert: impl Fn([u8; W]) -> T) -> Vec<T> {
    let (cells, _) = bytes.as_chunks::<W>();
    cells.iter().map(|cell| convert(*cell)).collect()
}
