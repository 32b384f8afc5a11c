//! A folder as clip-retrieval writes it: embeddings of pictures and captions in half precision, and what they are of.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use half::f16;
use parquet::errors::ParquetError;
use truepair_core::durable;
use truepair_core::error::{Error, Result};
use truepair_core::npy::header_bytes;

use super::column_kinds::ColumnKinds;
use super::columns::{OwnColumn, TableColumns};
use super::staged::Staged;
use super::table::add_ids;
use crate::layout::{Geometry, Layout};
use crate::record::{Record, check_batch};
use crate::store::{Prepared, VectorWriter};

/// Numbers of embeddings of one side that a part holds, which are in memory together.
const PART_NUMBERS: usize = 1 << 25;

const OWN: &[(&str, OwnColumn)] = &[
    ("image_path", OwnColumn::PictureOrId),
    ("caption", OwnColumn::Caption),
    ("truepair_id", OwnColumn::Id),
    ("p_mismatched", OwnColumn::PMismatched),
];

/// Folders of a part's files: name, and ending.
const PICTURES: (&str, &str) = ("img_emb", "npy");
const CAPTIONS: (&str, &str) = ("text_emb", "npy");
const METADATA: (&str, &str) = ("metadata", "parquet");

pub(super) fn open(path: &Path, kinds: &ColumnKinds) -> Box<dyn VectorWriter> {
    Box::new(ClipFolder {
        path: path.to_path_buf(),
        place: path.display().to_string(),
        columns: TableColumns {
            own: OWN,
            kinds: kinds.clone(),
            width: None,
        },
        open: None,
    })
}

#[derive(Debug)]
struct ClipFolder {
    path: PathBuf,
    place: String,
    columns: TableColumns,
    open: Option<OpenFolder>,
}

/// A folder under construction.
#[derive(Debug)]
struct OpenFolder {
    layout: Layout,
    staged: Staged,
    n_parts: usize,
    /// Those of the next part.
    records: Vec<Record>,
    pictures: Vec<f16>,
    captions: Vec<f16>,
    /// Whether captions have embeddings; of the first record, and so of all.
    has_captions: Option<bool>,
    ids: HashSet<String>,
}

impl ClipFolder {
    fn wrong(&self, problem: &str, remedy: &str) -> Error {
        Error::argument(format!("{}: {problem}", self.place), remedy)
    }

    fn add(&mut self, record: &Record) -> Result<()> {
        let not_prepared = self.wrong("nothing is prepared", "prepare it first");
        let some_only = self.wrong(
            &format!(
                "some captions have embeddings, that of record {:?} differs",
                record.id
            ),
            "give embeddings of all captions or of none",
        );
        let open = self.open.as_mut().ok_or(not_prepared)?;
        let picture = open.layout.point(record)?;
        let has_caption = record.caption_vector.is_some();
        if *open.has_captions.get_or_insert(has_caption) != has_caption {
            return Err(some_only);
        }
        if let Some(caption) = &record.caption_vector {
            let caption = open.layout.point(&Record {
                vector: caption.clone(),
                id: record.id.clone(),
                ..Record::default()
            })?;
            open.captions.extend(halves(&record.id, &caption)?);
        }
        open.pictures.extend(halves(&record.id, &picture)?);
        open.records.push(Record {
            vector: Vec::new(),
            caption_vector: None,
            ..record.clone()
        });
        if open.pictures.len() >= PART_NUMBERS {
            open.write_part(&self.columns)?;
        }
        Ok(())
    }
}

/// # Errors
/// If a number is too large for half precision.
fn halves(id: &str, numbers: &[f32]) -> Result<Vec<f16>> {
    let halves: Vec<f16> = numbers
        .iter()
        .map(|number| f16::from_f32(*number))
        .collect();
    if halves.iter().all(|half| half.is_finite()) {
        return Ok(halves);
    }
    Err(Error::argument(
        format!("record {id:?} has numbers too large for half precision"),
        "normalize the embeddings, as clip-retrieval expects them",
    ))
}

impl OpenFolder {
    fn part(&self, (folder, ending): (&str, &str), number: &str) -> PathBuf {
        self.staged
            .partial()
            .join(folder)
            .join(format!("{folder}_{number}.{ending}"))
    }

    fn write_part(&mut self, columns: &TableColumns) -> Result<()> {
        let number = self.n_parts.to_string();
        let sides = [(PICTURES, &self.pictures), (CAPTIONS, &self.captions)];
        for (side, numbers) in sides {
            if numbers.is_empty() {
                continue;
            }
            let path = self.part(side, &number);
            make_folder(&path)?;
            let header = header_bytes("<f2", &[self.records.len(), self.layout.width()]);
            durable::write_with(&path, |file| {
                file.write_all(&header)?;
                numbers
                    .iter()
                    .try_for_each(|half| file.write_all(&half.to_le_bytes()))
            })?;
        }
        let path = self.part(METADATA, &number);
        make_folder(&path)?;
        durable::write_with(&path, |file| {
            let mut write = || -> Result<(), ParquetError> {
                let mut table = columns.writer(&mut *file)?;
                columns.write_group(&mut table, &self.records, &[])?;
                table.close().map(drop)
            };
            write().map_err(std::io::Error::other)
        })?;
        self.n_parts += 1;
        self.records.clear();
        self.pictures.clear();
        self.captions.clear();
        Ok(())
    }

    /// Numbers of equal length, as readers sort parts by name.
    fn name_parts(&self) -> Result<()> {
        let n_digits = self.n_parts.saturating_sub(1).to_string().len();
        for number in 0..self.n_parts {
            let padded = format!("{number:0n_digits$}");
            for kind in [PICTURES, CAPTIONS, METADATA] {
                let (from, to) = (
                    self.part(kind, &number.to_string()),
                    self.part(kind, &padded),
                );
                if from != to && from.exists() {
                    fs::rename(&from, &to).map_err(|cause| Error::io(&to, "write", cause))?;
                }
            }
        }
        Ok(())
    }
}

fn make_folder(file: &Path) -> Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).map_err(|cause| Error::io(folder, "create", cause))
}

impl VectorWriter for ClipFolder {
    fn place(&self) -> &str {
        &self.place
    }

    fn prepare(&mut self, layout: &Layout) -> Result<Prepared> {
        if layout.geometry == Geometry::Gaussian {
            let problem = "clip-retrieval compares by inner products, which Gaussians have not";
            return Err(self.wrong(problem, "write a parquet file, or use a vector database"));
        }
        // A link to nothing is something, too.
        if fs::symlink_metadata(&self.path).is_ok() {
            return Err(self.wrong("it is there already", "remove it or name another folder"));
        }
        self.open = Some(OpenFolder {
            layout: *layout,
            staged: Staged::new(&self.path)?,
            n_parts: 0,
            records: Vec::new(),
            pictures: Vec::new(),
            captions: Vec::new(),
            has_captions: None,
            ids: HashSet::new(),
        });
        Ok(Prepared::Made)
    }

    fn upsert(&mut self, batch: &[Record]) -> Result<()> {
        check_batch(batch)?;
        if let Some(open) = &mut self.open {
            add_ids(&self.place, &mut open.ids, batch)?;
        }
        batch.iter().try_for_each(|record| self.add(record))
    }

    fn finish(&mut self) -> Result<()> {
        let Some(mut open) = self.open.take() else {
            return Err(self.wrong("nothing is prepared", "prepare it first"));
        };
        if !open.records.is_empty() || open.n_parts == 0 {
            open.write_part(&self.columns)?;
        }
        open.name_parts()?;
        open.staged.place()
    }
}
