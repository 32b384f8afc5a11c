//! Images and captions that a table or a JSON file lists, joined with their features.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use truepair_core::dataset::{Account, Dataset, Features, NamedFeatures, Picture};
use truepair_core::error::{Error, Place, Result};
use truepair_core::pair::Pair;

use super::empty_captions::settle_empty_captions;
use super::feature_keys::find_rows;
use super::given_features::GivenFeatures;
use super::listed::{ListedCaption, ListedImage};
use super::naming::{Naming, of_pictures};
use super::picture_column::ParquetPictures;
use super::picture_folders::PictureFolders;
use super::pictures::files_named;
use super::table_columns::Columns;
use super::{CaptionFeatures, Pictures, ReadOptions, name_of};

/// All images of a list, and the captions of one split.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) images: Vec<ListedImage>,
    pub(super) captions: Vec<ListedCaption>,
    /// Records of the list, all splits together.
    pub(super) n_records: usize,
    /// The files of the list, where it has more than one.
    pub(super) files: Vec<PathBuf>,
    /// Index of the first record of every file.
    pub(super) starts: Vec<usize>,
    /// How images are called.
    pub(super) naming: Naming,
    /// The pictures' bytes, by record, when the files themselves hold them.
    pub(super) columns: Vec<Arc<ParquetPictures>>,
    /// Records whose files hold no picture for them.
    pub(super) without_picture: HashSet<u32>,
    /// Records without a vector in [`given`](Self::given).
    pub(super) without_vector: HashSet<u32>,
    /// Features that stand in the records themselves, one row a record.
    pub(super) given: Option<GivenFeatures>,
    /// Whether the list has texts; without them captions are their embeddings alone.
    pub(super) texts: Texts,
    pub(super) account: Account,
}

/// Whether captions have a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Texts {
    /// They have.
    #[default]
    Given,
    /// They are embeddings alone.
    Absent,
}

impl Listing {
    /// Takes the images' bytes from the column that `places` names, in all of `files`. Where it holds
    /// no bytes at all, pictures are looked for under their names.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn take_pictures(&mut self, files: &[PathBuf], places: &Columns) -> Result<()> {
        let Some(name) = &places.pictures else {
            return Ok(());
        };
        let readers = Arc::default();
        let open = |file: &PathBuf| ParquetPictures::open_with(file, name, &readers);
        let columns = files.iter().map(open).collect::<Result<Option<Vec<_>>>>()?;
        let Some(columns) = columns else {
            return Ok(());
        };
        let mut first = 0;
        for column in &columns {
            let empty = column.empty()?.into_iter();
            self.without_picture
                .extend(empty.map(|record| first + record));
            first += column.len();
        }
        if self.without_picture.len() == first as usize {
            self.without_picture.clear();
            return Ok(());
        }
        self.naming = match (&places.image, &places.id) {
            (Some(image), None) => of_pictures(files, &columns, image, &mut self.account)?,
            _ => Naming::Number,
        };
        self.columns = columns;
        Ok(())
    }

    /// Joins the images of the split with their features, or with their pictures.
    ///
    /// # Errors
    /// If the features are missing or of other images, or a caption is empty.
    pub(super) fn into_dataset(
        mut self,
        format: &'static str,
        path: &Path,
        split: String,
        options: &ReadOptions,
    ) -> Result<Dataset> {
        let (given, rows) = self.images_of(path, &split, options)?;
        let mut account = std::mem::take(&mut self.account);
        account.merge(given.account.clone());
        let in_split = self.images.iter().filter(|image| image.in_split).count();
        account.used("image of other splits", self.images.len() - in_split);
        let caption_features =
            caption_features(&given, &options.caption_features, self.captions.len())?;
        let images = given.images.select(&rows);
        if self.files.is_empty() {
            self.files.push(path.to_path_buf());
        }
        let own = given.files.into_iter().filter(|file| file != path);
        let files: Vec<PathBuf> = self.files.iter().cloned().chain(own).collect();
        let empty = (self.captions.iter()).find(|caption| caption.text.trim().is_empty());
        let empty = empty.map(|caption| caption.record);
        let folder = path.parent().unwrap_or(Path::new("."));
        let in_split = self.images.iter().filter(|image| image.in_split);
        let names: Vec<&str> = in_split.map(ListedImage::file).collect();
        let image_files = files_named(folder, &names);
        let Listed { ids, pairs } = self.listed();
        account.used("image", ids.len());
        account.used("caption", self.captions.len());
        let texts = self.captions.iter_mut();
        let texts = texts
            .map(|caption| std::mem::take(&mut caption.text))
            .collect();
        let dataset = Dataset {
            name: name_of(path),
            format,
            split,
            images,
            image_ids: ids,
            image_files,
            captions: (self.texts == Texts::Given).then_some(texts),
            caption_features,
            pairs,
            labels: None,
            files,
            account,
        };
        let file = empty.map_or(path, |record| self.file_of(record));
        settle_empty_captions(dataset, options.on_empty, file, |n| self.captions[n].place)
    }

    /// The features or pictures of the images, and the row of each image of the split.
    fn images_of(
        &mut self,
        path: &Path,
        split: &str,
        options: &ReadOptions,
    ) -> Result<(GivenFeatures, Vec<u32>)> {
        if let Some(mut given) = self.given.take() {
            self.refuse_two_vectors(&given)?;
            let in_split = self.images.iter().filter(|image| image.in_split);
            let rows = in_split.map(|image| image.record).collect();
            let captions = self.captions.iter().map(|caption| caption.record);
            let captions: Vec<u32> = captions.collect();
            given.captions = given.captions.map(|features| features.select(&captions));
            return Ok((given, rows));
        }
        match &options.pictures {
            Pictures::Unused => {
                let given = GivenFeatures::open(options, path)?;
                let mut account = std::mem::take(&mut self.account);
                let rows = self.feature_rows(&given, split, &mut account)?;
                self.account = account;
                Ok((given, rows))
            }
            Pictures::Beside => self.pictures(path, None),
            Pictures::In(folder) => self.pictures(path, Some(folder)),
        }
    }

    /// # Errors
    /// If two records name one image and have different vectors for it.
    fn refuse_two_vectors(&self, given: &GivenFeatures) -> Result<()> {
        let others = self.other_vectors(given)?;
        let Some(caption) = others.first() else {
            return Ok(());
        };
        let image = &self.images[caption.image as usize];
        Err(Error::data(
            self.file_of(caption.record),
            caption.place,
            format!(
                "image '{}' has another embedding than at record {} of all",
                image.id,
                image.record + 1
            ),
            "name a column of ids that differ with --id-column",
        ))
    }

    /// A caption of every record whose vector is not that of the first record of its image.
    fn other_vectors(&self, given: &GivenFeatures) -> Result<Vec<&ListedCaption>> {
        let mut others: Vec<&ListedCaption> = Vec::new();
        let [mut first, mut second] = [0, 1].map(|_| vec![0.0; given.images.row_len()]);
        for caption in &self.captions {
            let image = &self.images[caption.image as usize];
            let is_told = others
                .last()
                .is_some_and(|last| last.record == caption.record);
            if image.record == caption.record || is_told {
                continue;
            }
            given.images.copy_row(image.record as usize, &mut first)?;
            given
                .images
                .copy_row(caption.record as usize, &mut second)?;
            let is_same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
            if !first.iter().zip(&second).all(is_same) {
                others.push(caption);
            }
        }
        Ok(others)
    }

    /// The file of a record.
    fn file_of(&self, record: u32) -> &Path {
        let after = self
            .starts
            .partition_point(|start| *start <= record as usize);
        &self.files[after.saturating_sub(1).min(self.files.len() - 1)]
    }

    /// Takes out the images of the split in their order, and its pairs.
    fn listed(&mut self) -> Listed {
        let mut new_index = Vec::with_capacity(self.images.len());
        let mut ids = Vec::with_capacity(self.images.len());
        for image in std::mem::take(&mut self.images) {
            new_index.push(ids.len() as u32);
            if image.in_split {
                ids.push(image.id);
            }
        }
        let pair = |(caption, n): (&ListedCaption, u32)| Pair {
            image: new_index[caption.image as usize],
            caption: n,
        };
        let pairs = self.captions.iter().zip(0..).map(pair).collect();
        Listed { ids, pairs }
    }

    /// The pictures of the split as features, and their rows.
    fn pictures(&self, path: &Path, folder: Option<&Path>) -> Result<(GivenFeatures, Vec<u32>)> {
        let mut folders = PictureFolders::of(path, folder, &self.images);
        let in_split = self.images.iter().filter(|image| image.in_split);
        let pictures = in_split.map(|image| match self.columns.is_empty() {
            true => folders.find(image.file()),
            false => Ok(self.value(image.record)),
        });
        let pictures = pictures.collect::<Result<Vec<Picture>>>()?;
        let in_split = self.images.iter().filter(|image| image.in_split);
        for image in in_split.filter(|image| self.without_picture.contains(&image.record)) {
            let why = "its record has no bytes";
            folders.account.pass("picture", why, &image.id);
        }
        for picture in &pictures {
            if let Picture::Missing { name } = picture {
                let why = "there is no such file";
                folders.account.pass("picture", why, name.display());
            }
        }
        if pictures.is_empty() {
            return Err(Error::data(
                path,
                Place::Whole,
                "the split has no image",
                "choose another split",
            ));
        }
        let rows = (0..pictures.len() as u32).collect();
        let given = GivenFeatures {
            images: Features::from_pictures(pictures),
            rows: None,
            captions: None,
            files: vec![path.to_path_buf()],
            account: folders.account,
        };
        Ok((given, rows))
    }

    /// The picture of a record whose file holds it.
    fn value(&self, record: u32) -> Picture {
        let (mut column, mut left) = (0, record);
        while column + 1 < self.columns.len() && left >= self.columns[column].len() {
            left -= self.columns[column].len();
            column += 1;
        }
        Picture::Value {
            column: self.columns[column].clone(),
            record: left,
        }
    }

    /// The row of the features of each image of the split.
    fn feature_rows(
        &self,
        given: &GivenFeatures,
        split: &str,
        account: &mut Account,
    ) -> Result<Vec<u32>> {
        let in_split = || {
            self.images
                .iter()
                .enumerate()
                .filter(|(_, image)| image.in_split)
        };
        if let Some(keys) = &given.rows {
            let found = find_rows(keys, &self.images, &given.files[0])?;
            account.merge(found.account);
            let row = |(index, image): (usize, &ListedImage)| {
                found.rows[index].ok_or_else(|| {
                    Error::data(
                        &given.files[0],
                        Place::Whole,
                        format!("no features of image '{}'", image.id),
                        "extract them, or remove the image's pairs",
                    )
                })
            };
            return in_split().map(row).collect();
        }
        let (n_rows, n_images, n_split) =
            (given.images.len(), self.images.len(), in_split().count());
        if n_rows == n_images {
            Ok(in_split().map(|(index, _)| index as u32).collect())
        } else if n_rows == n_split {
            Ok((0..n_split as u32).collect())
        } else if n_rows == self.n_records {
            // What embeds an image once for every record rounds as it likes.
            for caption in self.other_vectors(given)? {
                let id = &self.images[caption.image as usize].id;
                account.pass(
                    "row of features",
                    "its image's first row is used, which differs",
                    id,
                );
            }
            Ok(in_split().map(|(_, image)| image.record).collect())
        } else {
            Err(Error::data(
                &given.files[0],
                Place::Whole,
                format!(
                    "{n_rows} rows, expected one per image ({n_images}), per image of split \
                     '{split}' ({n_split}) or per record ({})",
                    self.n_records
                ),
                "extract the features in the order of the images, or key them by id",
            ))
        }
    }
}

/// Images and pairs of one split.
struct Listed {
    ids: Vec<String>,
    pairs: Vec<Pair>,
}

fn caption_features(
    given: &GivenFeatures,
    choice: &CaptionFeatures,
    n_captions: usize,
) -> Result<Option<NamedFeatures>> {
    let refuse = |problem: String, remedy: &str| {
        Err(Error::data(&given.files[0], Place::Whole, problem, remedy))
    };
    let usable = |features: &&Features| features.len() == n_captions && features.regions() == 1;
    let named = |features: &Features| NamedFeatures {
        name: "embeddings".into(),
        features: features.clone(),
    };
    match (choice, &given.captions) {
        (CaptionFeatures::None, _) | (CaptionFeatures::Auto, None) => Ok(None),
        (CaptionFeatures::Named(name), captions) if name != "embeddings" || captions.is_none() => {
            refuse(
                format!("there are no caption features '{name}'"),
                "put them into the file of image features as captions [n_captions, d]",
            )
        }
        (_, captions) => match captions.as_ref().filter(usable) {
            Some(features) => Ok(Some(named(features))),
            None => refuse(
                format!(
                    "{} caption embeddings for {n_captions} captions",
                    captions.as_ref().map_or(0, Features::len)
                ),
                "embed every caption of the split once, in the order of the file",
            ),
        },
    }
}
