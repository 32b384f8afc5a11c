//! Tables with a column of images and one or more columns of captions.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use truepair_core::dataset::Dataset;
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::karpathy::canonical;
use super::listed::{ListedCaption, ListedImage};
use super::listing::Listing;
use super::picture_column::ParquetPictures;
use super::records::{Kind, Source};
use super::table_columns::Columns;
use super::{Format, Pictures, ReadOptions, kept_table, resolve_split};
use crate::spelling::normal;

/// One CSV, TSV, JSONL or parquet file.
pub(super) struct Table;

impl Format for Table {
    fn name(&self) -> &'static str {
        "table"
    }

    fn summary(&self) -> &'static str {
        "A table with a column of images (`image`, `filepath`, `file_name`, …) and one or more of \
         captions (`caption`, `title`, `text`, …; lists in JSONL and parquet), optionally `split`."
    }

    fn files(&self) -> &'static str {
        "one `.csv`, `.tsv`, `.jsonl` or `.parquet`, and a file of image features (`.npy`, `.npz`, \
         `.safetensors`) in the order of the images or records, or keyed by id"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let kind = Kind::of(path).filter(|_| path.is_file())?;
        Some(format!("a {kind} file by its ending"))
    }

    fn splits(&self, path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
        let (source, columns) = Columns::open(path, options)?;
        splits(&source, &columns)
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let (source, columns) = Columns::open(path, options)?;
        let split = resolve_split(path, options, &splits(&source, &columns)?)?;
        let mut rows = Rows::new(path, columns.id.is_some());
        if options.pictures != Pictures::Unused && Kind::of(path) == Some(Kind::Parquet) {
            rows.listing.column = ParquetPictures::open(path, &columns.image)?;
        }
        let n_captions = columns.captions.len();
        let of_records = source.for_each(&columns.wanted(), |place, mut cells| {
            rows.refuse_keys(place, &columns, &cells)?;
            let captions = cells.drain(1..=n_captions).collect();
            let image = rows.image_name(cells.swap_remove(0));
            let mut rest = cells.into_iter();
            let id = columns.id.as_ref().and_then(|_| rest.next_back()).map(text);
            let in_split = rest.next().is_none_or(|cell| split_name(&cell) == split);
            rows.push(
                place,
                Record {
                    image,
                    id,
                    captions,
                    in_split,
                },
            )
        })?;
        rows.listing.account.merge(columns.account);
        rows.listing.account.merge(of_records);
        rows.listing.into_dataset(self.name(), path, split, options)
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        kept_table::write(dataset, keep, out)
    }
}

/// The splits that a table names.
fn splits(source: &Source, columns: &Columns) -> Result<Vec<String>> {
    let Some(split) = &columns.split else {
        return Ok(vec!["all".into()]);
    };
    let mut found = std::collections::BTreeSet::new();
    source.for_each(&[split], |_, cells| {
        found.insert(split_name(&cells[0]));
        Ok(())
    })?;
    Ok(found.into_iter().collect())
}

/// What one record says.
struct Record {
    image: String,
    id: Option<String>,
    captions: Vec<Cell>,
    in_split: bool,
}

/// Records on their way into a listing.
struct Rows<'a> {
    path: &'a Path,
    /// Index and place of the record that named each image first, by the name in its normal
    /// spelling.
    images: HashMap<String, (u32, Place)>,
    /// Whether two records must not name the same image.
    unique: bool,
    listing: Listing,
}

impl<'a> Rows<'a> {
    fn new(path: &'a Path, unique: bool) -> Self {
        Self {
            path,
            images: HashMap::new(),
            unique,
            listing: Listing::default(),
        }
    }

    /// What the cell of the image column calls the image: its number where the cell holds bytes and
    /// no name.
    fn image_name(&self, cell: Cell) -> String {
        let number = || self.listing.n_records.to_string();
        match &self.listing.column {
            Some(column) if !column.has_names() => number(),
            Some(_) => Some(text(cell))
                .filter(|name| !name.is_empty())
                .unwrap_or_else(number),
            None => text(cell),
        }
    }

    /// Refuses objects where texts are needed: which of their keys holds the text is for the caller
    /// to say.
    fn refuse_keys(&self, place: Place, columns: &Columns, cells: &[Cell]) -> Result<()> {
        let cells = columns.wanted().into_iter().zip(cells);
        let mut nested = cells.filter_map(|(column, cell)| match cell {
            Cell::Keys(keys) => Some((column, keys)),
            _ => None,
        });
        let Some((column, keys)) = nested.next() else {
            return Ok(());
        };
        let problem = match keys.is_empty() {
            true => format!("column '{column}' holds lists inside lists, expected texts"),
            false => format!(
                "column '{column}' holds objects with the keys {}, expected texts",
                keys.join(", ")
            ),
        };
        let first = keys.first().map_or("raw", String::as_str);
        Err(Error::data(
            self.path,
            place,
            problem,
            format!(
                "name the key that holds the text, for instance {column}[].{first}, or write the \
                 texts into a column of their own"
            ),
        ))
    }

    fn push(&mut self, place: Place, record: Record) -> Result<()> {
        let Record {
            image: file,
            id,
            captions,
            in_split,
        } = record;
        let id = id.unwrap_or_else(|| file.clone());
        if id.trim().is_empty() {
            let remedy = "name the image, or remove the record";
            return Err(Error::data(
                self.path,
                place,
                "the record names no image",
                remedy,
            ));
        }
        let key = normal(&id);
        let image = match self.images.get(key.as_ref()) {
            Some((_, first)) if self.unique => {
                return Err(Error::data(
                    self.path,
                    place,
                    format!(
                        "id '{id}' stands already at{}",
                        first.to_string().trim_start_matches(':')
                    ),
                    "give every record an id of its own, or remove one of the two",
                ));
            }
            Some((image, _)) => {
                if self.listing.images[*image as usize].id != id {
                    let how = "its name is written in two ways, which Unicode takes as the same";
                    self.listing.account.chose_for("image", how, &id);
                }
                *image
            }
            None => {
                let image = self.listing.images.len() as u32;
                self.images.insert(key.into_owned(), (image, place));
                let record = self.listing.n_records as u32;
                self.listing.images.push(ListedImage {
                    id,
                    file,
                    record,
                    in_split: false,
                });
                image
            }
        };
        self.listing.n_records += 1;
        let kind = if in_split {
            "row"
        } else {
            "row of other splits"
        };
        self.listing.account.used(kind, 1);
        if in_split {
            self.listing.images[image as usize].in_split = true;
            let captions = texts(captions).into_iter();
            self.listing
                .captions
                .extend(captions.map(|text| ListedCaption { image, text, place }));
        }
        Ok(())
    }
}

/// The captions of one record. Of several, those that are empty are absent, as tables have as many
/// columns as the image with the most captions; a record without any has one empty caption.
fn texts(cells: Vec<Cell>) -> Vec<String> {
    let texts = cells.into_iter().flat_map(|cell| match cell {
        Cell::Missing | Cell::Keys(_) => Vec::new(),
        Cell::One(text) => vec![text],
        Cell::Many(texts) => texts,
    });
    let texts: Vec<String> = texts.filter(|text| !text.trim().is_empty()).collect();
    if texts.is_empty() {
        vec![String::new()]
    } else {
        texts
    }
}

fn text(cell: Cell) -> String {
    match cell {
        Cell::One(text) => text,
        Cell::Many(texts) => texts.into_iter().next().unwrap_or_default(),
        Cell::Missing | Cell::Keys(_) => String::new(),
    }
}

fn split_name(cell: &Cell) -> String {
    match cell {
        Cell::One(text) => canonical(text.trim()).to_owned(),
        Cell::Missing | Cell::Many(_) | Cell::Keys(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use truepair_core::dataset::Features;

    use super::super::{open, write::write_features};
    use super::*;

    fn data(folder: &Path, name: &str, content: &str, n_rows: u32) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        let values = (0..n_rows).map(|x| x as f32).collect();
        let features = Features::from_rows(values, 1);
        let rows: Vec<u32> = (0..n_rows).collect();
        write_features(&path.with_extension("npy"), &features, &rows).unwrap();
        path
    }

    fn read(path: &Path) -> Result<Dataset> {
        open(path, &ReadOptions::default())
    }

    #[test]
    fn one_record_per_caption_and_one_per_image_read_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let tall = "image,caption\na.jpg,one\na.jpg,two\nb.jpg,three\n";
        let wide = "file_name,caption_1,caption_2\na.jpg,one,two\nb.jpg,three,\n";
        let list = "{\"filepath\": \"a.jpg\", \"captions\": [\"one\", \"two\"]}\n\
                    {\"filepath\": \"b.jpg\", \"captions\": \"three\"}\n";
        for (name, content) in [("t.csv", tall), ("w.csv", wide), ("l.jsonl", list)] {
            let data = read(&data(folder.path(), name, content, 2)).unwrap();
            assert_eq!(data.image_ids, ["a.jpg", "b.jpg"], "{name}");
            assert_eq!(data.captions.unwrap(), ["one", "two", "three"], "{name}");
            let images: Vec<u32> = data.pairs.iter().map(|pair| pair.image).collect();
            assert_eq!(images, [0, 0, 1], "{name}");
        }
    }

    #[test]
    fn features_in_record_order_follow_the_split() {
        let folder = tempfile::tempdir().unwrap();
        let content =
            "id\ttitle\tsplit\nx\tone\tval\ny\ttwo\ttrain\ny\tthree\ttrain\nz\tfour\ttrain\n";
        let path = data(folder.path(), "t.tsv", content, 4);
        let train = read(&path).unwrap();
        assert_eq!(train.image_ids, ["y", "z"]);
        assert_eq!(train.images.gather(&[0, 1]).unwrap(), [1.0, 3.0]);
        let options = ReadOptions {
            split: "dev".into(),
            ..Default::default()
        };
        assert_eq!(open(&path, &options).unwrap().captions.unwrap(), ["one"]);
        let options = ReadOptions {
            split: "test".into(),
            ..Default::default()
        };
        let error = open(&path, &options).unwrap_err().to_string();
        assert!(
            error.contains("no split 'test'; there are: dev, train"),
            "{error}"
        );
    }

    #[test]
    fn features_may_be_keyed_by_file_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = data(
            folder.path(),
            "t.csv",
            "image,text\np/b.jpg,one\np/a.jpg,two\n",
            3,
        );
        std::fs::write(folder.path().join("t_ids.txt"), "a\nb\nc\n").unwrap();
        let data = read(&path).unwrap();
        assert_eq!(data.images.gather(&[0, 1]).unwrap(), [1.0, 0.0]);
        std::fs::write(folder.path().join("t_ids.txt"), "a\nd\nc\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("no features of image 'p/b.jpg'"), "{error}");
    }

    #[test]
    fn a_missing_column_lists_those_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = data(folder.path(), "t.csv", "picture,words\na,b\n", 1);
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("no column of images; the columns are: picture, words"),
            "{error}"
        );
        let options = ReadOptions {
            image_column: Some("picture".into()),
            caption_columns: Some(vec!["words".into()]),
            ..Default::default()
        };
        assert_eq!(open(&path, &options).unwrap().captions.unwrap(), ["b"]);
    }

    #[test]
    fn repeated_ids_name_both_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = data(
            folder.path(),
            "t.csv",
            "pair,image,text\n1,a,x\n2,a,y\n1,b,z\n",
            3,
        );
        let options = ReadOptions {
            id_column: Some("pair".into()),
            ..Default::default()
        };
        let error = open(&path, &options).unwrap_err().to_string();
        assert!(
            error.contains("record 3: id '1' stands already at record 1"),
            "{error}"
        );
    }
}
