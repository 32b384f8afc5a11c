//! Two matrices of embeddings on their way to a data set: paired by position or by an index file.

use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Features, NamedFeatures};
use truepair_core::error::{Error, Place, Result};
use truepair_core::npy;
use truepair_core::pair::Pair;

use super::empty_captions::settle_empty_captions;
use super::pictures::files_named;
use super::precomp::{captions_per_image, pairs_by_position};
use super::stored_images::one_row_an_image;
use super::write::{link_into, write_ints};
use super::{CaptionFeatures, ReadOptions, kept_archive};
use crate::archive::Archive;
use crate::lines::{Line, lines};

/// What the files hold before it is paired.
#[derive(Debug)]
pub(super) struct Matrices {
    pub(super) images: Features,
    pub(super) captions: Features,
    pub(super) image_ids: Option<Vec<String>>,
    pub(super) texts: Option<Vec<String>>,
    /// Which rows belong together, where the file of the matrices says so itself.
    pub(super) pairs: Option<Vec<Pair>>,
    /// Whether the image ids are paths of pictures, seen from the folder of the data.
    pub(super) ids_are_files: bool,
    pub(super) files: Vec<PathBuf>,
    pub(super) account: Account,
}

impl Matrices {
    /// Pairs the rows as [`ReadOptions::pairs`], an index file beside the data, or their positions
    /// say.
    ///
    /// # Errors
    /// If they cannot be paired so, or the options ask for what is not there.
    pub(super) fn into_dataset(
        mut self,
        format: &'static str,
        name: String,
        path: &Path,
        options: &ReadOptions,
    ) -> Result<Dataset> {
        let n_images = self.images.len();
        self.check_captions()?;
        let pairs = self.pairs_of(path, options)?;
        let caption_features = match &options.caption_features {
            CaptionFeatures::None if self.texts.is_some() => None,
            CaptionFeatures::None => {
                return Err(Error::argument(
                    "the caption embeddings are declined but there is no caption text",
                    "use the caption embeddings, or put captions.txt beside them",
                ));
            }
            CaptionFeatures::Named(other) if other != "embeddings" => {
                return Err(Error::argument(
                    format!("there are no caption features '{other}'"),
                    "there is one matrix of them, called embeddings",
                ));
            }
            _ => Some(NamedFeatures {
                name: "embeddings".into(),
                features: self.captions,
            }),
        };
        let ids = self.image_ids;
        let image_files = match &ids {
            Some(ids) if self.ids_are_files => files_named(path, ids),
            _ => Vec::new(),
        };
        let dataset = Dataset {
            name,
            format,
            split: "all".into(),
            images: self.images,
            image_ids: ids.unwrap_or_else(|| (0..n_images).map(|row| row.to_string()).collect()),
            image_files,
            captions: self.texts,
            caption_features,
            pairs,
            labels: None,
            files: self.files,
            account: self.account,
        };
        let dataset = one_row_an_image(dataset)?;
        settle_empty_captions(dataset, options.on_empty, path, |n| Place::Row(n as u64))
    }

    /// The pairs that [`ReadOptions::pairs`], an index file beside the data, the file itself or the positions
    /// of the rows say.
    fn pairs_of(&mut self, path: &Path, options: &ReadOptions) -> Result<Vec<Pair>> {
        let (n_images, n_captions) = (self.images.len(), self.captions.len());
        let beside = pairs_file_in(path);
        if let (Some(file), Some(_), None) = (&beside, &self.pairs, &options.pairs) {
            return Err(Error::data(
                file,
                Place::Whole,
                "the file of the embeddings has an array 'pairs', too",
                "name the one that is meant as the pairs, or remove the other",
            ));
        }
        let pairs = match options.pairs.clone().or(beside) {
            Some(file) => {
                let pairs = read_pairs(&file, n_images, n_captions)?;
                self.account.read_as("pairs", file.display());
                self.files.push(file);
                pairs
            }
            None if self.pairs.is_some() => self.pairs.take().unwrap_or_default(),
            None if (n_images, n_captions) == (0, 0) => Vec::new(),
            None => pairs_by_position(n_captions, captions_per_image(path, n_images, n_captions)?),
        };
        Ok(pairs)
    }

    fn check_captions(&self) -> Result<()> {
        if self.captions.regions() == 1 {
            return Ok(());
        }
        Err(Error::data(
            self.files.get(1).unwrap_or(&self.files[0]),
            Place::Whole,
            "caption embeddings have three axes, expected [n_captions, d]",
            "pool the tokens of a caption into one vector",
        ))
    }
}

/// Writes the kept pairs as an index file beside links to `sources`, the files and folders of the
/// embeddings.
///
/// # Errors
/// If a file cannot be written or linked.
pub(super) fn write_kept<'a>(
    dataset: &Dataset,
    keep: &[bool],
    sources: impl Iterator<Item = &'a Path>,
    out: &Path,
) -> Result<Vec<PathBuf>> {
    let captions = dataset.caption_features.as_ref();
    let rows_of = |pair: Pair| {
        // Rows of the files that are linked, whatever was selected of them.
        let caption = pair.caption as usize;
        let caption = captions.map_or(caption, |named| named.features.stored_row(caption));
        [
            dataset.images.stored_row(pair.image as usize) as i64,
            caption as i64,
        ]
    };
    let rows: Vec<[i64; 2]> = dataset.kept(keep).map(rows_of).collect();
    let mut written = vec![write_ints(&out.join("pairs.npy"), &rows)?];
    for source in sources.filter(|source| !is_pairs_file(source)) {
        written.push(match Archive::has_ending(source) && says_pairs(source)? {
            true => kept_archive::write_without_pairs(source, out)?,
            false => link_into(source, out)?,
        });
    }
    Ok(written)
}

/// Whether a file of arrays says itself which rows belong together.
fn says_pairs(file: &Path) -> Result<bool> {
    Ok(Archive::open(file)?
        .names()
        .iter()
        .any(|name| name == kept_archive::PAIRS))
}

const PAIRS_FILES: [&str; 3] = ["pairs.npy", "pairs.csv", "pairs.tsv"];

/// The index file in the folder of the data. Beside data that is a file, a table of other columns may bear
/// the same name.
fn pairs_file_in(path: &Path) -> Option<PathBuf> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    let mut files = PAIRS_FILES.iter().map(|name| folder.join(name));
    files.find(|file| file.is_file() && (path.is_dir() || begins_with_rows(file)))
}

/// Whether one of the first two lines of an index file is two row numbers.
pub(super) fn begins_with_rows(file: &Path) -> bool {
    if file.extension().is_some_and(|ending| ending == "npy") {
        return true;
    }
    let first = lines(file).into_iter().flatten().take(2).flatten();
    first.into_iter().any(|line| {
        let mut fields = line.text.split([',', '\t']);
        fields.all(|field| field.trim().parse::<u64>().is_ok())
    })
}

/// Whether the file is called as one that says which rows belong together.
pub(super) fn is_pairs_file(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| PAIRS_FILES.iter().any(|pairs| *pairs == name))
}

/// Reads which image row and caption row belong together: `.npy` `[n, 2]` or two columns of text.
///
/// # Errors
/// If the file cannot be read, or a row number is not below `n_images` or `n_captions`.
pub fn read_pairs(path: &Path, n_images: usize, n_captions: usize) -> Result<Vec<Pair>> {
    let check = |place: Place, image: i64, caption: i64| {
        pair_of_rows(path, place, [image, caption], [n_images, n_captions])
    };
    if path.extension().is_some_and(|ending| ending == "npy") {
        let (values, shape) = npy::read_ints(path)?;
        return pairs_of_rows(path, &values, &shape, [n_images, n_captions]);
    }
    let mut pairs = Vec::new();
    for line in lines(path)? {
        let Line { number, text } = line?;
        let fields: Vec<&str> = text.split([',', '\t']).map(str::trim).collect();
        let numbers: Option<Vec<i64>> = fields.iter().map(|field| field.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[image, caption]) => pairs.push(check(Place::Line(number), image, caption)?),
            // The first line may name the columns.
            _ if number == 1 && fields.len() == 2 => {}
            _ => {
                return Err(Error::data(
                    path,
                    Place::Line(number),
                    format!("'{text}', expected two row numbers"),
                    "write image row and caption row, separated by a comma or a tab",
                ));
            }
        }
    }
    Ok(pairs)
}

/// The pairs of an array `[n, 2]` of image rows and caption rows, `of` images and captions.
///
/// # Errors
/// If it has another shape, or a number is not a row.
pub(super) fn pairs_of_rows(
    path: &Path,
    values: &[i64],
    shape: &[usize],
    of: [usize; 2],
) -> Result<Vec<Pair>> {
    if shape.get(1) != Some(&2) {
        return Err(Error::data(
            path,
            Place::Whole,
            format!("shape {shape:?}, expected [n, 2]"),
            "write one row per pair: image row, caption row",
        ));
    }
    let rows = values.as_chunks::<2>().0.iter().enumerate();
    rows.map(|(n, rows)| pair_of_rows(path, Place::Row(n as u64), *rows, of))
        .collect()
}

fn pair_of_rows(path: &Path, place: Place, rows: [i64; 2], of: [usize; 2]) -> Result<Pair> {
    let index = |side: usize| {
        let row = u32::try_from(rows[side]).ok();
        row.filter(|row| (*row as usize) < of[side])
    };
    match (index(0), index(1)) {
        (Some(image), Some(caption)) => Ok(Pair { image, caption }),
        _ => Err(Error::data(
            path,
            place,
            format!(
                "rows {} and {} of {} images and {} captions",
                rows[0], rows[1], of[0], of[1]
            ),
            "write row numbers that count from 0, the image first",
        )),
    }
}
