//! Tables with a column of images and one or more columns of captions.

use std::path::{Path, PathBuf};

use truepair_core::dataset::Dataset;
use truepair_core::error::Result;

use super::choice::OF_TABLES;
use super::given_features::find_beside;
use super::listing::Listing;
use super::picture_place::open_with_pictures;
use super::records::{Kind, Source};
use super::table_columns::Columns;
use super::table_rows::{Tables, splits_in};
use super::webdataset::status::refuse_metadata;
use super::{Choice, Format, Pictures, ReadOptions, kept_shards, resolve_split};

/// One CSV, TSV, JSON or parquet file.
pub(super) struct Table;

impl Format for Table {
    fn name(&self) -> &'static str {
        "table"
    }

    fn summary(&self) -> &'static str {
        "A table with a column of images (`image`, `filepath`, `file_name`, …) and one or more of \
         captions (`caption`, `title`, `text`, …; lists in JSON and parquet), optionally `split`."
    }

    fn files(&self) -> &'static str {
        "one `.csv`, `.tsv`, `.jsonl` or `.parquet`, or a `.txt` or `.token` of separated fields, or a `.json` \
         that is a list of records, or has one for every split; and a file of image features (`.npy`, `.npz`, \
         `.safetensors`) in the order of the images or records, or keyed by id"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let kind = path.is_file().then(|| Kind::of(path)).flatten()?;
        let by = match Kind::by_ending(path) {
            Some(_) => "ending",
            None => "content",
        };
        Some(format!("a {kind} file by its {by}"))
    }

    fn splits(&self, path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
        let (source, columns) = open_table(path, options)?;
        splits(&source, &columns)
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let (source, columns) = open_table(path, options)?;
        let split = resolve_split(path, options, &splits(&source, &columns)?)?;
        let source = source.of_split(&split);
        let files = [path.to_path_buf()];
        let mut listing = Listing::default();
        listing.take_pictures(&files, &columns)?;
        let tables = Tables {
            sources: &[source],
            columns: &columns,
            split: &split,
        };
        let listing = tables.read(listing)?;
        listing.into_dataset(self.name(), path, split, options)
    }

    fn keeps_other_splits(&self, dataset: &Dataset) -> bool {
        let list = dataset.files.first();
        list.is_some_and(|list| Kind::of(list) == Some(Kind::JsonList))
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        OF_TABLES
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        kept_shards::write(dataset, keep, out)
    }
}

/// Opens the table, whose images are pictures only where they are asked for.
fn open_table(path: &Path, options: &ReadOptions) -> Result<(Source, Columns)> {
    let (source, mut columns) = match options.pictures {
        Pictures::Unused => {
            let opened = Columns::open(path, options)?;
            if options.features.is_none() && find_beside(path).is_err() {
                refuse_metadata(path, opened.0.columns())?;
            }
            opened
        }
        _ => open_with_pictures(path, options)?,
    };
    if !source.splits().is_empty() {
        // Keys of the document name the splits, whatever its records say.
        columns.split = None;
    }
    Ok((source, columns))
}

fn splits(source: &Source, columns: &Columns) -> Result<Vec<String>> {
    if !source.splits().is_empty() {
        return Ok(source.splits().to_vec());
    }
    let Some(split) = &columns.split else {
        return Ok(vec!["all".into()]);
    };
    let found = splits_in(std::slice::from_ref(source), split)?;
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use truepair_core::dataset::Features;

    use super::super::{OnEmpty, open, write::write_features, write_kept};
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
    fn what_is_no_text_in_a_list_of_captions_is_an_empty_caption() {
        let folder = tempfile::tempdir().unwrap();
        for (name, captions) in [("null", "[\"one\", null]"), ("blank", "[\"one\", \" \"]")] {
            let lines = format!(
                "{{\"image\": \"a.jpg\", \"captions\": {captions}}}\n\
                 {{\"image\": \"b.jpg\", \"captions\": [\"two\"]}}\n"
            );
            let path = data(folder.path(), &format!("{name}.jsonl"), &lines, 2);
            let error = read(&path).unwrap_err().to_string();
            let told = format!("{name}.jsonl:1: empty caption");
            assert!(error.contains(&told), "{error}");
            let with = |on_empty| {
                let options = ReadOptions {
                    on_empty,
                    ..Default::default()
                };
                open(&path, &options).unwrap()
            };
            let kept = with(OnEmpty::Keep).captions.unwrap();
            assert_eq!(kept, ["one", "", "two"], "{name}");
            let dropped = with(OnEmpty::Drop);
            let said = dropped.account.lines().join("\n");
            assert!(said.contains("1 caption: it is empty"), "{said}");
            // The cleaned list is without them, and opens.
            let written = write_kept(&dropped, &[true, true], folder.path().join(name)).unwrap();
            let again = read(&written[0]).unwrap().captions.unwrap();
            assert_eq!(again, ["one", "two"], "{name}");
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
        let path = data(folder.path(), "t.csv", "portrait,words\na,b\n", 1);
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("no column of images; the columns are: portrait, words"),
            "{error}"
        );
        let options = ReadOptions {
            image_column: Some("portrait".into()),
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
            error.contains("record 3: id '1' already appears at record 1"),
            "{error}"
        );
    }
}
