//! What a caller chooses of data that only some formats have, so that a choice without meaning is refused.

use std::path::Path;

use truepair_core::error::{Error, Result};

use super::{CaptionFeatures, FORMATS, Format, ReadOptions};

/// What is chosen of tables.
pub(super) const OF_TABLES: &[Choice] = &[
    Choice::Features,
    Choice::ImageColumn,
    Choice::CaptionColumns,
    Choice::IdColumn,
    Choice::CaptionFeatures,
];

/// A choice of [`ReadOptions`] that not every format knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// [`ReadOptions::features`].
    Features,
    /// [`ReadOptions::embeddings`].
    Embeddings,
    /// [`ReadOptions::pairs`].
    Pairs,
    /// [`ReadOptions::image_column`].
    ImageColumn,
    /// [`ReadOptions::caption_columns`].
    CaptionColumns,
    /// [`ReadOptions::id_column`].
    IdColumn,
    /// [`ReadOptions::caption_features`] by name.
    CaptionFeatures,
    /// [`ReadOptions::class_fold`].
    ClassFold,
}

impl Choice {
    const ALL: [Self; 8] = [
        Self::Features,
        Self::Embeddings,
        Self::Pairs,
        Self::ImageColumn,
        Self::CaptionColumns,
        Self::IdColumn,
        Self::CaptionFeatures,
        Self::ClassFold,
    ];

    fn is_made(self, options: &ReadOptions) -> bool {
        match self {
            Self::Features => options.features.is_some(),
            Self::Embeddings => options.embeddings.is_some(),
            Self::Pairs => options.pairs.is_some(),
            Self::ImageColumn => options.image_column.is_some(),
            Self::CaptionColumns => options.caption_columns.is_some(),
            Self::IdColumn => options.id_column.is_some(),
            Self::CaptionFeatures => {
                matches!(options.caption_features, CaptionFeatures::Named(_))
            }
            Self::ClassFold => options.class_fold.is_some(),
        }
    }

    fn take_back(self, options: &mut ReadOptions) {
        match self {
            Self::Features => options.features = None,
            Self::Embeddings => options.embeddings = None,
            Self::Pairs => options.pairs = None,
            Self::ImageColumn => options.image_column = None,
            Self::CaptionColumns => options.caption_columns = None,
            Self::IdColumn => options.id_column = None,
            Self::CaptionFeatures => options.caption_features = CaptionFeatures::Auto,
            Self::ClassFold => options.class_fold = None,
        }
    }

    /// What data has that this chooses of.
    fn of_what(self) -> &'static str {
        match self {
            Self::Features => "image features in a file of their own",
            Self::Embeddings => "embeddings of several models",
            Self::Pairs => "pairs in a file of their own",
            Self::ImageColumn => "columns of which one could name the image",
            Self::CaptionColumns => "columns of which some could hold captions",
            Self::IdColumn => "columns of which one could be the id",
            Self::CaptionFeatures => "embeddings of captions",
            Self::ClassFold => "folds of classes",
        }
    }
}

/// # Errors
/// If something is chosen of the data at `path` that its format does not have.
pub(super) fn check(format: &dyn Format, path: &Path, options: &ReadOptions) -> Result<()> {
    if options.pixels.is_some() && options.features.is_some() {
        return Err(Error::argument(
            "images are read as pictures or as features, not as both",
            "leave out the pixels or the features",
        ));
    }
    let known = format.choices(path);
    let mut made = Choice::ALL
        .into_iter()
        .filter(|choice| choice.is_made(options));
    let Some(choice) = made.find(|choice| !known.contains(choice)) else {
        return Ok(());
    };
    let others = FORMATS
        .iter()
        .filter(|other| other.choices(path).contains(&choice));
    let names: Vec<&str> = others.map(|format| format.name()).collect();
    Err(Error::argument(
        format!(
            "data of format `{}` has no {}",
            format.name(),
            choice.of_what()
        ),
        format!(
            "leave the choice out; formats with such: {}",
            names.join(", ")
        ),
    ))
}

/// The options for other data than they were given for: without what the format of `path` does not know.
///
/// # Errors
/// If no format recognizes `path`, or it cannot be read.
pub fn options_for_other_data(path: &Path, options: &ReadOptions) -> Result<ReadOptions> {
    let mut options = options.clone();
    let (format, _) = super::recognize_any(path, &options)?;
    let known = format.choices(path);
    let unknown = Choice::ALL.into_iter().filter(|one| !known.contains(one));
    unknown.for_each(|choice| choice.take_back(&mut options));
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::super::{inspect, open, splits};
    use super::*;

    #[test]
    fn what_a_format_does_not_have_cannot_be_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("pairs.csv");
        std::fs::write(&table, "image,caption\na.jpg,a red ball\n").unwrap();
        let options = ReadOptions {
            pairs: Some("nowhere.npy".into()),
            ..ReadOptions::default()
        };
        let refusals = [
            open(&table, &options).unwrap_err(),
            inspect(&table, &options).unwrap_err(),
            splits(&table, &options).unwrap_err(),
        ];
        for error in refusals {
            let error = error.to_string();
            assert!(error.contains("`table` has no pairs in a file"), "{error}");
            assert!(error.contains("clip_retrieval, embeddings"), "{error}");
        }
        let both = ReadOptions {
            pixels: Some(32),
            features: Some("f.npy".into()),
            ..ReadOptions::default()
        };
        let error = open(&table, &both).unwrap_err().to_string();
        assert!(error.contains("not as both"), "{error}");
    }

    #[test]
    fn every_choice_has_a_format_that_knows_it() {
        for choice in Choice::ALL {
            let mut formats = FORMATS.iter();
            assert!(
                formats.any(|format| format.choices(Path::new("nowhere")).contains(&choice)),
                "{choice:?}"
            );
        }
    }

    #[test]
    fn options_of_one_table_become_those_of_other_data() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("list.token"),
            "a.jpg#0\tone\nb.jpg#0\ttwo\n",
        )
        .unwrap();
        let keyed = ReadOptions {
            features: Some("of-both.npz".into()),
            split: "dev".into(),
            ..ReadOptions::default()
        };
        let options = ReadOptions {
            image_column: Some("url".into()),
            embeddings: Some("l14".into()),
            ..keyed.clone()
        };
        let others = options_for_other_data(&folder.path().join("list.token"), &options).unwrap();
        assert_eq!(others, keyed);
    }
}
