//! What a user can choose when data is read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use truepair_core::dataset::RowOrder;

/// How a data set is read; the defaults suit a folder that needs no explanation.
///
/// ```
/// use truepair_read::dataset::ReadOptions;
///
/// // A table whose captions stand in columns that no rule would guess.
/// let options = ReadOptions {
///     caption_columns: Some(vec!["title".into(), "alt".into()]),
///     ..ReadOptions::default()
/// };
/// assert_eq!(options.split, "train");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// The split. Data without splits, called `all`, is read when this is the default, `train`.
    pub split: String,
    /// Name of the [`Format`](super::Format); `None` = recognized by its files.
    pub format: Option<String>,
    /// Which caption embeddings are used.
    pub caption_features: CaptionFeatures,
    /// The image features of a table or a JSON file: `.npy`, `.npz` or `.safetensors`.
    pub features: Option<PathBuf>,
    /// Which model's embeddings are used, where the data has those of several: a part of their names,
    /// for instance `l14` of `l14_img` and `l14_txt`.
    pub embeddings: Option<String>,
    /// Which embeddings belong together: `.npy` `[n, 2]` integers or two columns of text.
    pub pairs: Option<PathBuf>,
    /// The order in which rows of captions stand to rows of images, where they are out of step, in any
    /// format; `None` = as they stand.
    pub row_order: Option<RowOrder>,
    /// Column of a table that names the image; `None` = recognized by its name.
    pub image_column: Option<String>,
    /// Columns of a table that hold captions; `None` = recognized by their names.
    pub caption_columns: Option<Vec<String>>,
    /// Column of a table with an id per record; `None` = the image column serves.
    pub id_column: Option<String>,
    /// What happens to empty captions.
    pub on_empty: OnEmpty,
    /// Whether the images of a table or a JSON file are its pictures, not features.
    pub pictures: Pictures,
    /// Side of the squares that pictures are decoded to for a network that reads pixels; `None` =
    /// images are features.
    pub pixels: Option<u16>,
    /// Which fold of classes is read, of data that has such: its classes for training are split `train`
    /// and its others `dev`; `None` = all classes for training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_fold: Option<u32>,
    /// Whether reading fails where something is passed over; the error lists the account.
    pub strict: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            split: "train".into(),
            format: None,
            caption_features: CaptionFeatures::Auto,
            features: None,
            embeddings: None,
            pairs: None,
            row_order: None,
            image_column: None,
            caption_columns: None,
            id_column: None,
            on_empty: OnEmpty::Error,
            pictures: Pictures::Unused,
            pixels: None,
            class_fold: None,
            strict: false,
        }
    }
}

impl ReadOptions {
    /// The same for another split. Rows that are named by their numbers are those of the split that was
    /// asked for first.
    pub fn for_split(&self, split: &str) -> Self {
        let names_rows = |order: &RowOrder| match order {
            RowOrder::Shift { rows, .. } => !rows.is_empty(),
            _ => false,
        };
        Self {
            split: split.to_owned(),
            row_order: (self.row_order.clone())
                .filter(|order| split == self.split || !names_rows(order)),
            ..self.clone()
        }
    }
}

/// Where the pictures are that serve as images; written as one word, `unused`, `beside` or a
/// folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Pictures {
    /// Images are features.
    #[default]
    Unused,
    /// Beside the list that names them, or in a folder beside it.
    Beside,
    /// In this folder.
    In(PathBuf),
}

impl From<String> for Pictures {
    fn from(word: String) -> Self {
        match word.as_str() {
            "unused" => Self::Unused,
            "beside" => Self::Beside,
            _ => Self::In(word.into()),
        }
    }
}

impl From<Pictures> for String {
    fn from(choice: Pictures) -> Self {
        match choice {
            Pictures::Unused => "unused".into(),
            Pictures::Beside => "beside".into(),
            Pictures::In(folder) => folder.to_string_lossy().into_owned(),
        }
    }
}

/// Which of the caption embeddings that lie beside the captions are used; written as one word,
/// `auto`, `none` or their name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum CaptionFeatures {
    /// The only ones there are, or the first by name; none when there are none.
    #[default]
    Auto,
    /// Those of this name.
    Named(String),
    /// The captions' texts only.
    None,
}

impl From<String> for CaptionFeatures {
    fn from(word: String) -> Self {
        match word.as_str() {
            "auto" => Self::Auto,
            "none" => Self::None,
            _ => Self::Named(word),
        }
    }
}

impl From<CaptionFeatures> for String {
    fn from(choice: CaptionFeatures) -> Self {
        match choice {
            CaptionFeatures::Auto => "auto".into(),
            CaptionFeatures::None => "none".into(),
            CaptionFeatures::Named(name) => name,
        }
    }
}

/// What happens to empty captions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnEmpty {
    /// Reading fails and names the first one.
    #[default]
    Error,
    /// The caption and its pair are left out.
    Drop,
    /// They stay; for looking at data, as training refuses them.
    Keep,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_a_configuration() {
        let text = r#"{"split": "dev", "caption_features": "minilm", "on_empty": "drop"}"#;
        let options: ReadOptions = serde_json::from_str(text).unwrap();
        assert_eq!(
            options.caption_features,
            CaptionFeatures::Named("minilm".into())
        );
        assert_eq!(
            (options.split.as_str(), options.on_empty),
            ("dev", OnEmpty::Drop)
        );
        let again = serde_json::to_string(&options).unwrap();
        assert_eq!(
            serde_json::from_str::<ReadOptions>(&again).unwrap(),
            options
        );
        assert!(serde_json::from_str::<ReadOptions>(r#"{"spilt": "dev"}"#).is_err());
    }
}
