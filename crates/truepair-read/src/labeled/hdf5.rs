//! HDF5: what the released code of MRL and its family reads, and what MATLAB writes as v7.3.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use hdf5_pure::{
    AttrValue, DType, Dataset, Datatype, DatatypeByteOrder, File, Group, ReadSeekSource,
};
use truepair_core::error::{Error, Place, Result};

use super::LabeledFormat;
use super::container::{self, Arrays, Dense, HOLDS_TEXTS};
use super::hdf5_links::{self, WithoutLinks};
use super::sparse::Sparse;
use crate::inflate;
use crate::text_file::open_regular;

/// An HDF5 file.
pub(super) struct Hdf5;

impl LabeledFormat for Hdf5 {
    fn name(&self) -> &'static str {
        "hdf5"
    }

    fn summary(&self) -> &'static str {
        "One HDF5 file, whatever its ending (`.h5`, `.hdf5`, `.h5py`)."
    }

    fn files(&self) -> &'static str {
        "`train_imgs_deep`, `train_text` or `train_texts`, `train_imgs_labels`, \
         `train_texts_labels`, the same for `valid` and `test`; groups count as parts of a name"
    }

    fn sniff(&self, path: &Path) -> bool {
        path.is_file() && hdf5_pure::is_hdf5(path).unwrap_or(false)
    }

    fn arrays(&self, path: &Path) -> Result<Arrays> {
        read(path, Orientation::Rows)
    }
}

/// Which axis of a matrix counts the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orientation {
    /// The first, as Python writes.
    Rows,
    /// The last: MATLAB stores columns one after another, and HDF5 then names the axes backwards.
    Columns,
}

/// Every dataset of the root and of the groups directly below it.
///
/// # Errors
/// If the file is damaged or cut short.
pub(super) fn read(path: &Path, orientation: Orientation) -> Result<Arrays> {
    // The library may panic on a damaged file, as any may that reads so rich a format.
    let read = catch_unwind(AssertUnwindSafe(|| read_unguarded(path, orientation)));
    read.unwrap_or_else(|_| {
        let problem = "it is damaged in a way that the reader of HDF5 does not expect";
        Err(Error::data(path, Place::Whole, problem, DAMAGED))
    })
}

fn read_unguarded(path: &Path, orientation: Orientation) -> Result<Arrays> {
    let damaged = |cause: hdf5_pure::Error| damaged(path, &cause);
    let source = || -> Result<_> {
        let source = ReadSeekSource::new(open_regular(path)?);
        source.map_err(|cause| damaged(cause.into()))
    };
    let file = File::from_source(source()?).map_err(damaged)?;
    check_length(path, &file)?;
    let listed = arrays_of(path, &file, orientation);
    let Err(cause) = listed else { return listed };
    // A soft link stops the library's list of names.
    let links = hdf5_links::links(path).filter(|links| !links.found.is_empty());
    let Some(links) = links else {
        return Err(cause);
    };
    let file = File::from_source(WithoutLinks::of(source()?, &links)).map_err(damaged)?;
    let mut arrays = arrays_of(path, &file, orientation)?;
    for (name, target) in &links.found {
        let why = "it is a soft link, which is not followed";
        let name = format!("{name} -> {target}");
        arrays.account().pass("link", why, name);
    }
    Ok(arrays)
}

fn arrays_of(path: &Path, file: &File, orientation: Orientation) -> Result<Arrays> {
    let mut source = Source {
        path,
        file,
        orientation,
        arrays: Arrays::of(path),
    };
    source.add_group("", &file.root())?;
    Ok(source.arrays)
}

/// A file on its way into arrays.
struct Source<'a> {
    path: &'a Path,
    file: &'a File,
    orientation: Orientation,
    arrays: Arrays,
}

impl Source<'_> {
    fn damaged(&self, cause: &hdf5_pure::Error) -> Error {
        damaged(self.path, cause)
    }

    /// Adds what lies in the root (`""`) or in a group of the root.
    fn add_group(&mut self, name: &str, group: &Group) -> Result<()> {
        if self.add_sparse(name, group)? {
            return Ok(());
        }
        let datasets = group.iter_datasets();
        for (own, dataset) in datasets.map_err(|cause| self.damaged(&cause))? {
            self.add(&inside(name, &own), &dataset)?;
        }
        for (own, inner) in group.iter_groups().map_err(|cause| self.damaged(&cause))? {
            self.enter(name, &own, |source, full| source.add_group(full, &inner))?;
        }
        Ok(())
    }

    /// Reads a group unless it is MATLAB's own or lies too deep.
    fn enter(
        &mut self,
        group: &str,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
        let full = inside(group, name);
        if !group.is_empty() {
            let why = "it lies deeper than two levels";
            self.arrays.account().pass("group", why, full);
        } else if name.starts_with('#') {
            // MATLAB keeps what its cell arrays refer to in `#refs#`.
            let why = "MATLAB keeps there what its cell arrays refer to";
            self.arrays.account().pass("group", why, full);
        } else {
            return read(self, &full);
        }
        Ok(())
    }

    /// Adds the sparse matrix that a group of a MATLAB file is; says whether it is one.
    fn add_sparse(&mut self, name: &str, group: &Group) -> Result<bool> {
        let attributes = group.attrs().map_err(|cause| self.damaged(&cause))?;
        let n_rows = match attributes.get("MATLAB_sparse") {
            Some(AttrValue::U64(n)) => usize::try_from(*n).unwrap_or(usize::MAX),
            Some(AttrValue::I64(n)) => usize::try_from(*n).unwrap_or(usize::MAX),
            _ => return Ok(false),
        };
        let part = |own: &str| -> Result<Vec<f64>> {
            let path = PathBuf::from(format!("{}:{name}/{own}", self.path.display()));
            match group.dataset(own) {
                Ok(dataset) => {
                    self.check_size(&path, &dataset)?;
                    dataset.read_f64().map_err(|cause| damaged(&path, &cause))
                }
                // A matrix of zeros has no entries.
                Err(_) => Ok(Vec::new()),
            }
        };
        let indices = |values: Vec<f64>| values.into_iter().map(|x| x as usize).collect();
        let sparse = Sparse {
            n_rows,
            rows: indices(part("ir")?),
            starts: indices(part("jc")?),
            values: part("data")?.into_iter().map(|x| x as f32).collect(),
        };
        let path = PathBuf::from(format!("{}:{name}", self.path.display()));
        let shape = vec![n_rows, sparse.starts.len().saturating_sub(1)];
        self.arrays
            .add(name, dense_or_refused(path, shape, sparse.dense()));
        Ok(true)
    }
}

fn dense_or_refused(
    path: PathBuf,
    shape: Vec<usize>,
    values: std::result::Result<Vec<f32>, String>,
) -> container::Source {
    match values {
        Ok(values) => container::Source::Dense(Dense {
            path,
            shape,
            values,
        }),
        Err(problem) => container::Source::Refused { path, problem },
    }
}

fn inside(group: &str, name: &str) -> String {
    match group.is_empty() {
        true => name.to_owned(),
        false => format!("{group}/{name}"),
    }
}

/// The file says itself how long it is; parts that are not read may be missing all the same.
fn check_length(path: &Path, file: &File) -> Result<()> {
    let (length, expected) = (file.file_size(), file.superblock().eof_address);
    if length >= expected {
        return Ok(());
    }
    Err(Error::data(
        path,
        Place::Whole,
        format!("cannot be read as HDF5: it has {length} bytes and should have {expected}"),
        DAMAGED,
    ))
}

impl Source<'_> {
    /// An array may be declared and never written, and then it is all zeros.
    ///
    /// # Errors
    /// If there are far more numbers than the file has bytes.
    fn check_size(&self, path: &Path, dataset: &Dataset) -> Result<()> {
        let axes = dataset.shape().map_err(|cause| damaged(path, &cause))?;
        let n = axes.iter().try_fold(1u64, |n, axis| n.checked_mul(*axis));
        let size = self.file.file_size();
        if n.is_some_and(|n| inflate::may_hold(size, n, LARGEST_NUMBER)) {
            return Ok(());
        }
        Err(Error::data(
            path,
            Place::Whole,
            format!("shape {axes:?} in a file of {size} bytes, most of it would be zeros"),
            "write the array that is meant, without compression",
        ))
    }

    fn add(&mut self, name: &str, dataset: &Dataset) -> Result<()> {
        let path = PathBuf::from(format!("{}:{name}", self.path.display()));
        let damaged = |cause: hdf5_pure::Error| damaged(&path, &cause);
        let kind = dataset.dtype().map_err(damaged)?;
        let axes = dataset.shape().map_err(damaged)?;
        self.check_size(&path, dataset)?;
        let values = match Numbers::of(&kind) {
            Some(numbers) => numbers.read(dataset).map_err(damaged)?,
            None => {
                let problem = describe(&kind);
                self.arrays
                    .add(name, container::Source::Refused { path, problem });
                return Ok(());
            }
        };
        let mut shape: Vec<usize> = axes.iter().map(|&axis| axis as usize).collect();
        let expected = (shape.iter()).try_fold(1usize, |n, axis| n.checked_mul(*axis));
        if values.is_empty() && shape.is_empty() {
            let problem = "it holds nothing".to_owned();
            self.arrays
                .add(name, container::Source::Refused { path, problem });
            return Ok(());
        }
        if expected != Some(values.len()) {
            return Err(Error::data(
                &path,
                Place::Whole,
                format!(
                    "{} numbers where shape {shape:?} needs more or fewer",
                    values.len()
                ),
                DAMAGED,
            ));
        }
        let values = match self.orientation {
            Orientation::Rows => values,
            Orientation::Columns => {
                shape.reverse();
                super::matlab::row_major(values, &shape)
            }
        };
        self.arrays
            .add(name, dense_or_refused(path, shape, Ok(values)));
        Ok(())
    }
}

/// How the numbers of an array are read.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    /// By the library.
    Plain,
    /// Half precision, and which byte comes first.
    Half(DatatypeByteOrder),
    /// The upper half of single precision.
    Brain(DatatypeByteOrder),
    /// Truth values of one byte, which h5py writes as an enumeration.
    Truth,
}

impl Numbers {
    fn of(kind: &DType) -> Option<Self> {
        match kind {
            DType::F32
            | DType::F64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64 => Some(Self::Plain),
            DType::Enum(names) if names == &["FALSE", "TRUE"] => Some(Self::Truth),
            DType::Other(kind) => match **kind {
                Datatype::FloatingPoint {
                    size: 2,
                    byte_order,
                    layout,
                } => match layout.exponent_size {
                    5 => Some(Self::Half(byte_order)),
                    8 => Some(Self::Brain(byte_order)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    fn read(self, dataset: &Dataset) -> std::result::Result<Vec<f32>, hdf5_pure::Error> {
        let order = match self {
            Self::Plain => return dataset.read_f32(),
            Self::Truth => {
                let bytes = dataset.read_raw()?;
                return Ok(bytes.into_iter().map(f32::from).collect());
            }
            Self::Half(order) | Self::Brain(order) => order,
        };
        let bytes = dataset.read_raw()?;
        let bits = bytes.as_chunks::<2>().0.iter().map(|two| match order {
            DatatypeByteOrder::BigEndian => u16::from_be_bytes(*two),
            _ => u16::from_le_bytes(*two),
        });
        Ok(match self {
            Self::Brain(_) => bits.map(|bits| bf16::from_bits(bits).to_f32()).collect(),
            _ => bits.map(|bits| f16::from_bits(bits).to_f32()).collect(),
        })
    }
}

fn describe(kind: &DType) -> String {
    match kind {
        DType::ObjectReference => "it holds references to other objects, as a MATLAB cell array \
             does; expected a matrix of numbers"
            .to_owned(),
        DType::String | DType::VariableLengthString => HOLDS_TEXTS.to_owned(),
        DType::Compound(_) => "it holds records with named fields, expected numbers".to_owned(),
        _ => "its type is not a plain number".to_owned(),
    }
}

/// Bytes of the widest number.
const LARGEST_NUMBER: u64 = 8;

const DAMAGED: &str = "it was cut short or is damaged: copy or write it again";

fn damaged(path: &Path, cause: &hdf5_pure::Error) -> Error {
    // The library's errors for what it does not know are many, and all are named alike.
    let kind = format!("{cause:?}");
    let is_unknown = kind.contains("Unsupported") || kind.contains("Version");
    let (problem, remedy) = match is_unknown {
        true => (
            "it holds a part of HDF5 that is not read",
            "write it again without a libver, or with libver='v110'; if it was so, it is damaged",
        ),
        false => ("cannot be read as HDF5", DAMAGED),
    };
    Error::data(path, Place::Whole, format!("{problem}: {cause}"), remedy)
}
