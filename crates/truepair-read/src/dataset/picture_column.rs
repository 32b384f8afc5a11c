//! Pictures whose bytes stand in a column of a parquet file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use parquet::basic::Type as Physical;
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::record::Field;
use parquet::schema::types::Type;
use truepair_core::dataset::PictureColumn;
use truepair_core::error::Result;

use super::records::parquet_reader;

/// A column of pictures: bytes, or structs with `bytes` as Hugging Face data sets store images.
///
/// One row group is held at a time, so reading in the order of the records reads the file once.
pub(super) struct ParquetPictures {
    path: PathBuf,
    name: String,
    has_names: bool,
    /// Index of the first record of every row group, and at last the number of records.
    starts: Vec<u32>,
    held: Mutex<Option<Group>>,
}

struct Group {
    index: usize,
    values: Vec<Option<Arc<[u8]>>>,
}

impl ParquetPictures {
    /// The column `name` of the file at `path`; `None` when it holds no bytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn open(path: &Path, name: &str) -> Result<Option<Arc<Self>>> {
        let reader = parquet_reader(path)?;
        let metadata = reader.metadata();
        let fields = metadata.file_metadata().schema().get_fields();
        let field = fields.iter().find(|field| field.name() == name);
        let Some(field) = field.filter(|field| holds_bytes(field)) else {
            return Ok(None);
        };
        let has_names = !field.is_primitive();
        let mut starts = vec![0];
        for group in metadata.row_groups() {
            let last = starts[starts.len() - 1];
            starts.push(last + group.num_rows() as u32);
        }
        Ok(Some(Arc::new(Self {
            path: path.to_path_buf(),
            name: name.to_owned(),
            has_names,
            starts,
            held: Mutex::new(None),
        })))
    }

    /// Whether its values are structs, which name the picture beside its bytes.
    pub(super) fn has_names(&self) -> bool {
        self.has_names
    }

    fn group(&self, index: usize) -> Result<Vec<Option<Arc<[u8]>>>, ParquetError> {
        let reader =
            parquet_reader(&self.path).map_err(|cause| ParquetError::General(cause.to_string()))?;
        let schema = reader.metadata().file_metadata().schema();
        let field = schema.get_fields().iter().find(|f| f.name() == self.name);
        let projection = Type::group_type_builder(schema.name())
            .with_fields(field.cloned().into_iter().collect())
            .build()?;
        let group = reader.get_row_group(index)?;
        let rows = group.get_row_iter(Some(projection))?;
        rows.map(|row| {
            let field = row?.into_columns().pop().map(|(_, field)| field);
            Ok(field.and_then(bytes_of))
        })
        .collect()
    }
}

impl PictureColumn for ParquetPictures {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, record: u32) -> Result<Vec<u8>, String> {
        let index = self.starts.partition_point(|start| *start <= record) - 1;
        // A thread that panicked left the group as it was.
        let mut held = self.held.lock().unwrap_or_else(|held| held.into_inner());
        let group = match held.take() {
            Some(group) if group.index == index => group,
            _ => Group {
                index,
                values: (self.group(index)).map_err(|cause| format!("cannot be read: {cause}"))?,
            },
        };
        let at = (record - self.starts[index]) as usize;
        let value = group.values.get(at).cloned().flatten();
        *held = Some(group);
        value
            .map(|bytes| bytes.to_vec())
            .ok_or_else(|| "the record has no bytes".into())
    }
}

impl fmt::Debug for ParquetPictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParquetPictures({}, {})", self.path.display(), self.name)
    }
}

fn holds_bytes(field: &Type) -> bool {
    if field.is_primitive() {
        let text = field.get_basic_info().converted_type() == parquet::basic::ConvertedType::UTF8
            || field.get_basic_info().logical_type_ref().is_some();
        return field.get_physical_type() == Physical::BYTE_ARRAY && !text;
    }
    (field.get_fields().iter()).any(|part| part.name() == "bytes" && part.is_primitive())
}

fn bytes_of(field: Field) -> Option<Arc<[u8]>> {
    match field {
        Field::Bytes(bytes) => Some(bytes.data().into()),
        Field::Group(row) => {
            let columns = row.into_columns();
            let bytes = columns.into_iter().find(|(name, _)| name == "bytes")?;
            bytes_of(bytes.1)
        }
        _ => None,
    }
}
