//! Images and captions that a table or a JSON file lists, joined with their features.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use truepair_core::dataset::{Account, Dataset, Features, NamedFeatures, Picture};
use truepair_core::error::{Error, Place, Result};
use truepair_core::pair::Pair;

use super::empty_captions::settle_empty_captions;
use super::feature_keys::find_rows;
use super::given_features::GivenFeatures;
use super::picture_column::ParquetPictures;
use super::picture_folders::PictureFolders;
use super::pictures::files_named;
use super::{CaptionFeatures, Pictures, ReadOptions, name_of};

/// All images of a file, and the captions of one split.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) images: Vec<ListedImage>,
    pub(super) captions: Vec<ListedCaption>,
    /// Records of the file, all splits together.
    pub(super) n_records: usize,
    /// The pictures' bytes, by record, when the file itself holds them.
    pub(super) column: Option<Arc<ParquetPictures>>,
    pub(super) account: Account,
}

#[derive(Debug)]
pub(super) struct ListedImage {
    /// The user's name of the image.
    pub(super) id: String,
    /// Where its picture may lie, and another name under which its features may stand.
    pub(super) file: String,
    /// Index of the record that names it first.
    pub(super) record: u32,
    pub(super) in_split: bool,
}

#[derive(Debug)]
pub(super) struct ListedCaption {
    /// Index into [`Listing::images`].
    pub(super) image: u32,
    pub(super) text: String,
    pub(super) place: Place,
}

impl Listing {
    /// Joins the images of the split with their features, or with their pictures.
    ///
    /// # Errors
    /// If the features are missing or of other images, or a caption is empty.
    pub(super) fn into_dataset(
        self,
        format: &'static str,
        path: &Path,
        split: String,
        options: &ReadOptions,
    ) -> Result<Dataset> {
        let mut account = self.account.clone();
        let (given, rows) = match &options.pictures {
            Pictures::Unused => {
                let given = GivenFeatures::open(options, path)?;
                let rows = self.feature_rows(&given, &split, &mut account)?;
                (given, rows)
            }
            Pictures::Beside => self.pictures(path, None)?,
            Pictures::In(folder) => self.pictures(path, Some(folder))?,
        };
        account.merge(given.account.clone());
        let own = self.images.iter().filter(|image| image.in_split).count();
        account.used("image", own);
        account.used("image of other splits", self.images.len() - own);
        account.used("caption", self.captions.len());
        let mut new_index: HashMap<u32, u32> = HashMap::new();
        let (mut ids, mut pictures) = (Vec::new(), Vec::new());
        for (old, image) in self
            .images
            .into_iter()
            .enumerate()
            .filter(|(_, image)| image.in_split)
        {
            new_index.insert(old as u32, ids.len() as u32);
            ids.push(image.id);
            pictures.push(image.file);
        }
        let pair = |(n, caption): (usize, &ListedCaption)| Pair {
            image: new_index[&caption.image],
            caption: n as u32,
        };
        let pairs = self.captions.iter().enumerate().map(pair).collect();
        let caption_features =
            caption_features(&given, &options.caption_features, self.captions.len())?;
        let places: Vec<Place> = self.captions.iter().map(|caption| caption.place).collect();
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut files: Vec<PathBuf> = vec![path.to_path_buf()];
        files.extend(given.files.into_iter().filter(|file| file != path));
        let dataset = Dataset {
            name: name_of(path),
            format,
            split,
            images: given.images.select(&rows),
            image_ids: ids,
            image_files: files_named(folder, &pictures),
            captions: Some(
                self.captions
                    .into_iter()
                    .map(|caption| caption.text)
                    .collect(),
            ),
            caption_features,
            pairs,
            labels: None,
            files,
            account,
        };
        settle_empty_captions(dataset, options.on_empty, path, |n| places[n])
    }

    /// The pictures of the split as features, and their rows.
    fn pictures(&self, path: &Path, folder: Option<&Path>) -> Result<(GivenFeatures, Vec<u32>)> {
        let mut folders = PictureFolders::of(path, folder, &self.images);
        let in_split = self.images.iter().filter(|image| image.in_split);
        let pictures = in_split.map(|image| match &self.column {
            Some(column) => Ok(Picture::Value {
                column: column.clone(),
                record: image.record,
            }),
            None => folders.find(&image.file),
        });
        let pictures = pictures.collect::<Result<Vec<Picture>>>()?;
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
