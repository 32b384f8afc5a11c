//! HDF5: what the released code of MRL and its family reads, and what MATLAB writes as v7.3.

use std::path::{Path, PathBuf};

use hdf5_pure::{DType, Dataset, File};
use truepair_core::error::{Error, Place, Result};

use super::LabeledFormat;
use super::container::{Arrays, Dense, Source};

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
    let damaged = |cause: hdf5_pure::Error| damaged(path, &cause);
    let file = File::open_streaming(path).map_err(damaged)?;
    check_length(path, &file)?;
    let root = file.root();
    let mut arrays = Arrays::of(path);
    for (name, dataset) in root.iter_datasets().map_err(damaged)? {
        add(&mut arrays, path, &name, &dataset, orientation)?;
    }
    for group in root.groups().map_err(damaged)? {
        // MATLAB keeps what its cell arrays refer to in `#refs#`.
        if group.starts_with('#') {
            let why = "MATLAB keeps there what its cell arrays refer to";
            arrays.account().pass("group", why, &group);
            continue;
        }
        let inner = root.group(&group).map_err(damaged)?;
        for deeper in inner.groups().map_err(damaged)? {
            let name = format!("{group}/{deeper}");
            (arrays.account()).pass("group", "it lies deeper than two levels", name);
        }
        let datasets = inner.datasets();
        for name in datasets.map_err(damaged)? {
            let name = format!("{group}/{name}");
            let dataset = file.dataset(&name).map_err(damaged)?;
            add(&mut arrays, path, &name, &dataset, orientation)?;
        }
    }
    Ok(arrays)
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

fn add(
    arrays: &mut Arrays,
    file: &Path,
    name: &str,
    dataset: &Dataset,
    orientation: Orientation,
) -> Result<()> {
    let path = PathBuf::from(format!("{}:{name}", file.display()));
    let kind = dataset.dtype().map_err(|cause| damaged(&path, &cause))?;
    let numbers = matches!(
        kind,
        DType::F32
            | DType::F64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
    );
    if !numbers {
        if matches!(kind, DType::String | DType::VariableLengthString) {
            arrays.account().pass("array", "it holds texts", name);
        } else {
            let problem = describe(&kind);
            arrays.add(name, Source::Refused { path, problem });
        }
        return Ok(());
    }
    let axes = dataset.shape().map_err(|cause| damaged(&path, &cause))?;
    let mut shape: Vec<usize> = axes.iter().map(|&axis| axis as usize).collect();
    let mut values = dataset.read_f32().map_err(|cause| damaged(&path, &cause))?;
    if values.len() != shape.iter().product::<usize>() {
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
    if orientation == Orientation::Columns {
        shape.reverse();
        values = super::matlab::row_major(values, &shape);
    }
    arrays.add(
        name,
        Source::Dense(Dense {
            path,
            shape,
            values,
        }),
    );
    Ok(())
}

fn describe(kind: &DType) -> String {
    match kind {
        DType::ObjectReference => "it holds references to other objects, as a MATLAB cell array \
             does; expected a matrix of numbers"
            .to_owned(),
        DType::Compound(_) => "it holds records with named fields, expected numbers".to_owned(),
        _ => "its type is no plain number".to_owned(),
    }
}

const DAMAGED: &str = "it was cut short or is damaged: copy or write it again";

fn damaged(path: &Path, cause: &hdf5_pure::Error) -> Error {
    Error::data(
        path,
        Place::Whole,
        format!("cannot be read as HDF5: {cause}"),
        DAMAGED,
    )
}
