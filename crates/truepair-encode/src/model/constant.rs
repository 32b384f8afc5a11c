//! Constant tensors of a model: what they hold, and where their numbers lie.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use truepair_core::source_file;

use super::wire::{Fault, Value, fields, packed_ints, put_bytes, put_int, text};

/// The type of numbers of single precision, as ONNX counts types.
pub(super) const SINGLE: u64 = 1;
/// The type of the upper halves of such numbers.
pub(super) const BFLOAT16: u64 = 16;

/// Names of types that are not read.
const UNREAD: &[(u64, &str)] = &[
    (8, "string"),
    (14, "complex64"),
    (15, "complex128"),
    (17, "float8e4m3fn"),
    (18, "float8e4m3fnuz"),
    (19, "float8e5m2"),
    (20, "float8e5m2fnuz"),
    (21, "uint4"),
    (22, "int4"),
    (23, "float4e2m1"),
];

/// Types of numbers, by the number that ONNX gives them: bytes of each.
const SIZES: &[(u64, usize)] = &[
    (1, 4),
    (2, 1),
    (3, 1),
    (4, 2),
    (5, 2),
    (6, 4),
    (7, 8),
    (9, 1),
    (10, 2),
    (11, 8),
    (12, 4),
    (13, 8),
    (16, 2),
];

/// Numbers of a type that one field of the message holds by itself.
const LISTS: [u64; 5] = [4, 5, 7, 10, 11];

/// What a `TensorProto` says of itself.
#[derive(Default)]
pub(super) struct Constant<'a> {
    pub(super) name: String,
    dims: Vec<i64>,
    kind: u64,
    raw: Option<&'a [u8]>,
    /// Values in the fields of lists.
    listed: usize,
    /// Whole numbers in the fields of lists.
    ints: Vec<i64>,
    external: Vec<(String, String)>,
}

impl<'a> Constant<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut constant = Self::default();
        for field in fields(bytes) {
            let field = field?;
            match (field.number, field.value) {
                (1, Value::Int(value)) => constant.dims.push(value as i64),
                (1, Value::Bytes(bytes)) => constant.dims.extend(packed_ints(bytes)?),
                (2, Value::Int(kind)) => constant.kind = kind,
                (8, Value::Bytes(bytes)) => constant.name = text(bytes),
                (9, Value::Bytes(bytes)) => constant.raw = Some(bytes),
                (13, Value::Bytes(bytes)) => constant.external.push(entry(bytes)?),
                (list, value) if LISTS.contains(&list) => constant.count(list, value)?,
                _ => {}
            }
        }
        Ok(constant)
    }

    fn count(&mut self, list: u64, value: Value<'_>) -> Result<(), Fault> {
        match value {
            Value::Bytes(bytes) if list == 4 => self.listed += bytes.len() / 4,
            Value::Bytes(bytes) if list == 10 => self.listed += bytes.len() / 8,
            Value::Bytes(bytes) => {
                let values = packed_ints(bytes)?;
                self.listed += values.len();
                self.ints.extend(values);
            }
            Value::Int(value) => {
                self.listed += 1;
                self.ints.push(value as i64);
            }
            Value::Four | Value::Eight => self.listed += 1,
        }
        Ok(())
    }

    /// Numbers that its shape asks for.
    fn len(&self) -> Result<usize, Fault> {
        let mut sizes = self.dims.iter().map(|size| usize::try_from(*size).ok());
        let product = sizes.try_fold(1usize, |product, size| product.checked_mul(size?));
        product.ok_or_else(|| format!("constant '{}': shape {:?}", self.name, self.dims))
    }

    /// Bytes that its shape asks for.
    fn n_bytes(&self) -> Result<usize, Fault> {
        let size = SIZES.iter().find(|(kind, _)| *kind == self.kind);
        let (_, size) = size.ok_or_else(|| {
            let name = UNREAD.iter().find(|(kind, _)| *kind == self.kind);
            let name = name.map_or_else(|| self.kind.to_string(), |(_, name)| (*name).to_owned());
            format!(
                "constant '{}': numbers of type {name} are not supported (export it in single or half \
                 precision, or with 8-bit integers)",
                self.name
            )
        })?;
        (self.len()?.checked_mul(*size))
            .ok_or_else(|| format!("constant '{}': shape {:?}", self.name, self.dims))
    }

    /// # Errors
    /// If it holds other than as many numbers as its shape says. Numbers in a file of their own are
    /// counted when they are read.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if !self.external.is_empty() {
            return self.n_bytes().map(drop);
        }
        let fits = match self.raw {
            Some(raw) => raw.len() == self.n_bytes()?,
            // Two halves of a complex number and the like are nothing that an encoder needs.
            None => self.kind != 8 && self.listed == self.len()?,
        };
        if fits {
            return Ok(());
        }
        Err(format!(
            "constant '{}': {} for shape {:?}",
            self.name,
            match self.raw {
                Some(raw) => format!("{} bytes", raw.len()),
                None => format!("{} numbers", self.listed),
            },
            self.dims
        ))
    }

    /// Its whole numbers, where it is a short list of them.
    pub(super) fn sizes(&self) -> Option<Vec<i64>> {
        if self.dims.len() > 1 || !self.external.is_empty() {
            return None;
        }
        match (self.kind, self.raw) {
            (7, Some(raw)) => {
                let cells = raw.as_chunks::<8>().0.iter();
                Some(cells.map(|cell| i64::from_le_bytes(*cell)).collect())
            }
            (6, Some(raw)) => {
                let cells = raw.as_chunks::<4>().0.iter();
                let values = cells.map(|cell| i64::from(i32::from_le_bytes(*cell)));
                Some(values.collect())
            }
            (6 | 7, None) => Some(self.ints.clone()),
            _ => None,
        }
    }

    /// Its numbers, where they are of single precision and lie in the file as raw bytes.
    pub(super) fn floats(&self) -> Option<Vec<f32>> {
        let raw = self.raw.filter(|_| self.external.is_empty())?;
        match self.kind {
            SINGLE => {
                let cells = raw.as_chunks::<4>().0.iter();
                Some(cells.map(|cell| f32::from_le_bytes(*cell)).collect())
            }
            BFLOAT16 => {
                let cells = raw.as_chunks::<2>().0.iter();
                let widened = cells.map(|[low, high]| f32::from_le_bytes([0, 0, *low, *high]));
                Some(widened.collect())
            }
            _ => None,
        }
    }

    /// The type of its numbers, as ONNX counts types.
    pub(super) fn kind(&self) -> u64 {
        self.kind
    }

    /// Appends a constant of bfloat16 as one of single precision, which holds its numbers exactly.
    pub(super) fn put_single(&self, out: &mut Vec<u8>) {
        match self.raw {
            Some(raw) => self.put_numbers(raw, out),
            None => {
                let halves = self.ints.iter().map(|half| (*half as u16).to_le_bytes());
                self.put_numbers(&halves.flatten().collect::<Vec<u8>>(), out);
            }
        }
    }

    /// Appends it with `numbers` inside; those of bfloat16 become those of single precision.
    fn put_numbers(&self, numbers: &[u8], out: &mut Vec<u8>) {
        for size in &self.dims {
            put_int(1, *size as u64, out);
        }
        let is_half = self.kind == BFLOAT16;
        put_int(2, if is_half { SINGLE } else { self.kind }, out);
        put_bytes(8, self.name.as_bytes(), out);
        if is_half {
            let cells = numbers.as_chunks::<2>().0.iter();
            let widened: Vec<u8> = cells.flat_map(|[low, high]| [0, 0, *low, *high]).collect();
            put_bytes(9, &widened, out);
        } else {
            put_bytes(9, numbers, out);
        }
    }

    pub(super) fn shape(&self) -> &[i64] {
        &self.dims
    }

    pub(super) fn is_external(&self) -> bool {
        !self.external.is_empty()
    }
}

fn entry(bytes: &[u8]) -> Result<(String, String), Fault> {
    let mut entry = (String::new(), String::new());
    for field in fields(bytes) {
        let field = field?;
        match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => entry.0 = text(bytes),
            (2, Value::Bytes(bytes)) => entry.1 = text(bytes),
            _ => {}
        }
    }
    Ok(entry)
}

/// The files beside a model that hold its weights.
pub(super) struct WeightFiles {
    folder: PathBuf,
    open: HashMap<PathBuf, (File, u64)>,
}

impl WeightFiles {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            open: HashMap::new(),
        }
    }

    /// Appends the constant as a message that holds its numbers itself.
    pub(super) fn put(&mut self, constant: &Constant<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let fault = |fault| format!("constant '{}': {fault}", constant.name);
        let numbers = self.read(constant).map_err(fault)?;
        constant.put_numbers(&numbers, out);
        Ok(())
    }

    fn read(&mut self, constant: &Constant<'_>) -> Result<Vec<u8>, Fault> {
        let value = |key: &str| {
            let mut entries = constant.external.iter();
            entries.find(|(k, _)| k == key).map(|(_, value)| value)
        };
        let number = |key: &str| value(key).map(|value| value.parse::<u64>()).transpose();
        let (Ok(offset), Ok(length)) = (number("offset"), number("length")) else {
            return Err("offset and length must be numbers".into());
        };
        let offset = offset.unwrap_or(0);
        let wanted = constant.n_bytes()?;
        if length.is_some_and(|length| length != wanted as u64) {
            return Err(format!(
                "{} bytes for shape {:?}",
                length.unwrap_or(0),
                constant.dims
            ));
        }
        let location = PathBuf::from(value("location").ok_or("no location of its file")?);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !location.components().all(plain) {
            return Err(format!("its file {} lies elsewhere", location.display()));
        }
        let path = self.folder.join(&location);
        let (file, n_bytes) = self.open(&path)?;
        if offset
            .checked_add(wanted as u64)
            .is_none_or(|end| end > *n_bytes)
        {
            return Err(format!(
                "{} has {n_bytes} bytes, {wanted} from byte {offset} on are wanted (was it \
                 downloaded whole?)",
                path.display()
            ));
        }
        let mut numbers = vec![0; wanted];
        let read = (file.seek(SeekFrom::Start(offset))).and_then(|_| file.read_exact(&mut numbers));
        read.map_err(|cause| format!("{}: {cause}", path.display()))?;
        Ok(numbers)
    }

    fn open(&mut self, path: &Path) -> Result<&mut (File, u64), Fault> {
        if !self.open.contains_key(path) {
            let place = path.display();
            let opened = source_file::open(path).and_then(|file| {
                let length = file.metadata()?.len();
                Ok((file, length))
            });
            let opened = opened.map_err(|cause| {
                format!("{place}: {cause} (the weights of this model lie in a file of their own)")
            })?;
            self.open.insert(path.to_path_buf(), opened);
        }
        Ok(self.open.get_mut(path).expect("it was put there"))
    }
}
