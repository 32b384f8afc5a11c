//! The folders that clip-retrieval writes: shards of embeddings and of their metadata.
//!
//! `img_emb/img_emb_N.npy`, `text_emb/text_emb_N.npy` and `metadata/metadata_N.parquet` with the
//! columns `image_path` and `caption`, one row a pair; the numbers may be padded with zeros.
//! Source: <https://github.com/rom1504/clip-retrieval>, "clip inference".

use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Features};
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::leftovers::{Fate, account_for_folder, is_hidden};
use super::matrices::{self, Matrices};
use super::records;
use super::{Choice, Format, ReadOptions, name_of, resolve_split};
use crate::npy_features::open_npy;
use crate::shards::{number_of, sets_among};

const FOLDERS: [&str; 3] = ["img_emb", "text_emb", "metadata"];

/// Shards of embeddings in folders of their own.
pub(super) struct ClipRetrieval;

impl Format for ClipRetrieval {
    fn name(&self) -> &'static str {
        "clip_retrieval"
    }

    fn summary(&self) -> &'static str {
        "Embeddings of images and captions in shards, with their metadata, as clip-retrieval writes \
         them; rows pair as those of `embeddings` do."
    }

    fn files(&self) -> &'static str {
        "`img_emb/img_emb_N.npy` and `text_emb/text_emb_N.npy`; optional `metadata/metadata_N.parquet` \
         with `image_path` and `caption`, `pairs.npy` `[n, 2]`, `pairs.csv`, `pairs.tsv`"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let has_both = FOLDERS[..2].iter().all(|name| path.join(name).is_dir());
        has_both
            .then(|| "the folder holds img_emb/ and text_emb/ as clip-retrieval writes them".into())
    }

    fn splits(&self, _path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(vec!["all".into()])
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        resolve_split(path, options, &self.splits(path, options)?)?;
        read(path)?.into_dataset(self.name(), name_of(path), path, options)
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[Choice::Pairs, Choice::CaptionFeatures]
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let mut sources: Vec<&Path> = dataset
            .files
            .iter()
            .map(|file| shard_folder(file))
            .collect();
        sources.dedup();
        matrices::write_kept(dataset, keep, sources.into_iter(), out)
    }
}

/// The folder `img_emb`, `text_emb` or `metadata` that holds `file`; else `file` itself.
fn shard_folder(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| {
        folder
            .file_name()
            .is_some_and(|name| FOLDERS.iter().any(|known| *known == name))
    });
    folder.unwrap_or(file)
}

/// # Errors
/// If embeddings of captions or metadata are not those of the same shards as `images`.
fn refuse_unequal_shards(
    path: &Path,
    images: &[PathBuf],
    captions: &[PathBuf],
    metadata: &[PathBuf],
) -> Result<()> {
    let n_shards = images.len();
    for (name, found) in [("text_emb", captions.len()), ("metadata", metadata.len())] {
        if found != n_shards && (name == "text_emb" || found > 0) {
            return Err(Error::data(
                path.join(name),
                Place::Whole,
                format!("{found} shards, but img_emb has {n_shards}"),
                "write the missing shards again",
            ));
        }
    }
    for others in [captions, metadata] {
        let numbers = images.iter().zip(others);
        if let Some((image, other)) = numbers
            .clone()
            .find(|(one, other)| number_of(one) != number_of(other))
        {
            return Err(Error::data(
                other,
                Place::Whole,
                format!(
                    "it would belong to {}, which has another number",
                    image.display()
                ),
                "number the shards of all folders alike",
            ));
        }
    }
    Ok(())
}

/// Opens all shards in the order of their numbers.
///
/// # Errors
/// If a shard is missing or its metadata has another number of rows.
fn read(path: &Path) -> Result<Matrices> {
    let mut of_files = Account::default();
    let unsaid = &mut Account::default();
    let images = shards(&path.join("img_emb"), "npy", &mut of_files)?;
    let captions = shards(&path.join("text_emb"), "npy", unsaid)?;
    let metadata = match path.join("metadata") {
        folder if folder.is_dir() => shards(&folder, "parquet", unsaid)?,
        _ => Vec::new(),
    };
    refuse_unequal_shards(path, &images, &captions, &metadata)?;
    let mut open = |files: &[PathBuf]| {
        let opened = files.iter().map(|file| open_npy(file, &mut of_files));
        opened.collect::<Result<Vec<_>>>()
    };
    let shards_of_images = open(&images)?;
    let shards_of_captions = open(&captions)?;
    let mut table = Metadata::default();
    for (file, shard) in metadata.iter().zip(&shards_of_images) {
        table.read(file, shard.len())?;
    }
    let Metadata {
        image_paths,
        texts,
        mut account,
    } = table;
    account.merge(of_files);
    account.used("shard", images.len());
    account_for_folder(&mut account, path, |name| {
        match FOLDERS.contains(&name) || matrices::is_pairs_file(Path::new(name)) {
            true => Fate::Used,
            false => Fate::PassedOver("it is not a folder of shards"),
        }
    })?;
    for (folder, ending) in FOLDERS.iter().zip([".npy", ".npy", ".parquet"]) {
        let folder = path.join(folder);
        if folder.is_dir() {
            account_for_folder(&mut account, &folder, |name| match name.ends_with(ending) {
                true => Fate::Used,
                false => Fate::PassedOver("it is not a shard by its ending"),
            })?;
        }
    }
    Ok(Matrices {
        pairs: None,
        images: Features::concat(&shards_of_images)?,
        captions: Features::concat(&shards_of_captions)?,
        ids_are_files: !image_paths.is_empty(),
        image_ids: (!image_paths.is_empty()).then_some(image_paths),
        texts: (!texts.is_empty()).then_some(texts),
        files: [images, captions, metadata].concat(),
        account,
    })
}

/// The files with this ending, by the number in their names.
fn shards(folder: &Path, ending: &str, account: &mut Account) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::io(folder, "list", source);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_own = file.extension().is_some_and(|found| found == ending);
        if is_own && !is_hidden(&file.file_name().unwrap_or_default().to_string_lossy()) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        let remedy = "run the extraction again";
        return Err(Error::data(
            folder,
            Place::Whole,
            format!("no .{ending} shard"),
            remedy,
        ));
    }
    let mut sets = sets_among(&files);
    match (files.len(), sets.len()) {
        (1, _) => Ok(files),
        (n, 1) if sets[0].len() == n => sets.remove(0).by_number(account),
        _ => Err(Error::data(
            folder,
            Place::Whole,
            format!(
                "the names of its {} .{ending} files are not numbered alike",
                files.len()
            ),
            "keep the shards of one extraction",
        )),
    }
}

#[derive(Default)]
struct Metadata {
    image_paths: Vec<String>,
    texts: Vec<String>,
    account: Account,
}

impl Metadata {
    fn read(&mut self, file: &Path, n_rows: usize) -> Result<()> {
        let columns = records::columns(file)?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        let wanted: Vec<&str> = ["image_path", "caption"]
            .into_iter()
            .filter(|c| has(c))
            .collect();
        self.account.used("column", wanted.len());
        for column in columns
            .iter()
            .filter(|name| !wanted.contains(&name.as_str()))
        {
            self.account
                .pass("column", "only image_path and caption are read", column);
        }
        let mut found = 0;
        records::for_each(file, &wanted, |_, cells| {
            found += 1;
            for (column, cell) in wanted.iter().zip(cells) {
                let text = match cell {
                    Cell::One(text) => text,
                    Cell::Missing | Cell::Many(_) | Cell::Gapped(_) => String::new(),
                };
                match *column {
                    "caption" => self.texts.push(text),
                    _ => self.image_paths.push(text),
                }
            }
            Ok(())
        })?;
        if found != n_rows && !wanted.is_empty() {
            return Err(Error::data(
                file,
                Place::Whole,
                format!("{found} rows for {n_rows} embeddings of this shard"),
                "write the shard again",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{open, two_columns, write::write_features, write_kept};
    use super::*;

    /// Eleven shards of two pairs; by its letters the tenth would come before the second.
    fn layout(root: &Path) {
        for folder in FOLDERS {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for number in 0..11u8 {
            let first = 2.0 * f32::from(number);
            let features = Features::from_rows(vec![first, first + 1.0], 1);
            for side in ["img_emb", "text_emb"] {
                let file = root.join(side).join(format!("{side}_{number}.npy"));
                write_features(&file, &features, &[0, 1]).unwrap();
            }
            let rows = [("a.jpg", "one"), ("b.jpg", "two")];
            let bytes = two_columns::two_columns(["image_path", "caption"], &rows).unwrap();
            std::fs::write(
                root.join(format!("metadata/metadata_{number}.parquet")),
                bytes,
            )
            .unwrap();
        }
    }

    #[test]
    fn shards_follow_their_numbers_and_the_cleaned_list_opens() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        layout(&root);
        let data = open(&root, &ReadOptions::default()).unwrap();
        assert_eq!(data.format, "clip_retrieval");
        let rows: Vec<f32> = (0..22u8).map(f32::from).collect();
        assert_eq!(data.images.to_matrix().unwrap().values(), rows);
        assert_eq!(data.image_ids[5], "b.jpg");
        assert_eq!(data.require_captions().unwrap()[4], "one");
        let out = folder.path().join("out");
        let mut keep = [false; 22];
        [0, 2, 3, 5].iter().for_each(|&pair| keep[pair] = true);
        write_kept(&data, &keep, &out).unwrap();
        let again = open(&out, &ReadOptions::default()).unwrap();
        assert_eq!((again.pairs.len(), again.pairs[1].image), (4, 2));
    }

    #[test]
    fn shards_that_do_not_fit_are_named() {
        let folder = tempfile::tempdir().unwrap();
        layout(folder.path());
        let read = || {
            open(folder.path(), &ReadOptions::default())
                .unwrap_err()
                .to_string()
        };
        let file = folder.path().join("metadata/metadata_2.parquet");
        let bytes = two_columns::two_columns(["image_path", "caption"], &[("a", "b")]).unwrap();
        std::fs::write(&file, bytes).unwrap();
        assert!(
            read().contains("metadata_2.parquet: 1 rows for 2 embeddings"),
            "{}",
            read()
        );
        std::fs::remove_file(&file).unwrap();
        assert!(
            read().contains("metadata: 10 shards, but img_emb has 11"),
            "{}",
            read()
        );
    }
}
