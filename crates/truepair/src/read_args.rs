//! The arguments that say how DATA is read, shared by every command that takes DATA.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use truepair_core::dataset::{RowOrder, is_row_order};
use truepair_read::dataset::{CaptionFeatures, FORMATS, OnEmpty, Pictures, ReadOptions};

use crate::config::nearest;
use crate::shell::word;

/// How to read the data.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadArgs {
    /// Format of DATA; recognized from its content by default.
    #[arg(long, value_name = "NAME", value_parser = format_name)]
    pub(crate) format: Option<String>,

    /// Caption embeddings to use, or `none` to read the captions' text alone.
    #[arg(long, value_name = "NAME|none")]
    pub(crate) caption_features: Option<String>,

    /// Image features of a table or caption list, in row order or keyed by id (.npy, .npz,
    /// .safetensors).
    #[arg(long, value_name = "FILE")]
    pub(crate) features: Option<PathBuf>,

    /// Model whose embeddings are used, where the data has those of several: a part of the names of
    /// arrays or columns.
    #[arg(long, value_name = "MODEL")]
    pub(crate) embeddings: Option<String>,

    /// Which image belongs to which caption: a file of image row and caption row, or how rows that are
    /// out of step stand: `shift:-1` (the image of the row before), `shift:-1:200-259` (in these rows),
    /// `blocks:5` (all first captions, then all second ones), `text-order` (images sorted as text),
    /// `reversed`; as they stand by default.
    #[arg(long, value_name = "FILE|ORDER", value_parser = pairing)]
    pub(crate) pairs: Option<Pairing>,

    /// Column of a table that names the image.
    #[arg(long, value_name = "NAME")]
    pub(crate) image_column: Option<String>,

    /// Columns of a table that hold captions, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) caption_columns: Option<Vec<String>>,

    /// Column of a table that holds an id per record.
    #[arg(long, value_name = "NAME")]
    pub(crate) id_column: Option<String>,

    /// Folder of the pictures that a table or caption list names; beside the list by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,

    /// Read pictures as squares of this many pixels, for a network that reads pixels.
    #[arg(long, value_name = "SIDE", value_parser = clap::value_parser!(u16).range(8..=1024))]
    pub(crate) pixels: Option<u16>,

    /// Fold of classes, of data that has such (CUB Captions): its classes for training are split train,
    /// its others split dev.
    #[arg(long, value_name = "N")]
    pub(crate) class_fold: Option<u32>,

    /// What to do with empty captions.
    #[arg(long, value_name = "WHAT", default_value = "error")]
    pub(crate) on_empty: EmptyCaptions,

    /// Refuse data of which something would be passed over; the message is the whole account.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl ReadArgs {
    /// What the libraries are asked for when `split` is read.
    pub(crate) fn options(&self, split: &str) -> ReadOptions {
        ReadOptions {
            split: split.to_owned(),
            format: self.format.clone(),
            caption_features: match &self.caption_features {
                Some(name) => CaptionFeatures::from(name.clone()),
                None => CaptionFeatures::Auto,
            },
            features: self.features.clone(),
            embeddings: self.embeddings.clone(),
            pairs: self.pairs.as_ref().and_then(Pairing::file),
            row_order: self.pairs.as_ref().and_then(Pairing::order),
            image_column: self.image_column.clone(),
            caption_columns: self.caption_columns.clone(),
            id_column: self.id_column.clone(),
            on_empty: self.on_empty.into(),
            pictures: match (&self.pictures, self.pixels) {
                (Some(folder), _) => Pictures::In(folder.clone()),
                (None, Some(_)) => Pictures::Beside,
                (None, None) => Pictures::Unused,
            },
            pixels: self.pixels,
            class_fold: self.class_fold,
            strict: self.strict,
        }
    }
}

impl ReadArgs {
    /// The flags with their values as they were typed, for advice that can be typed again.
    pub(crate) fn words(&self) -> Vec<[String; 2]> {
        let paths = [
            ("--features", &self.features),
            ("--pictures", &self.pictures),
        ];
        let texts = [
            ("--format", &self.format),
            ("--caption-features", &self.caption_features),
            ("--embeddings", &self.embeddings),
            ("--image-column", &self.image_column),
            ("--id-column", &self.id_column),
        ];
        let pairs = self.pairs.as_ref().map(|pairs| match pairs {
            Pairing::File(file) => word(file),
            Pairing::Order(order) => order.to_string(),
        });
        let columns = self.caption_columns.as_ref().map(|names| names.join(","));
        let empty = match self.on_empty {
            EmptyCaptions::Error => None,
            EmptyCaptions::Drop => Some("drop".to_owned()),
            EmptyCaptions::Keep => Some("keep".to_owned()),
        };
        let others = [
            ("--pairs", pairs),
            (
                "--caption-columns",
                columns.map(|names| word(Path::new(&names))),
            ),
            ("--on-empty", empty),
            ("--pixels", self.pixels.map(|side| side.to_string())),
            ("--class-fold", self.class_fold.map(|fold| fold.to_string())),
        ];
        let paths = paths.map(|(flag, path)| (flag, path.as_deref().map(word)));
        let texts =
            texts.map(|(flag, text)| (flag, text.as_ref().map(|text| word(Path::new(text)))));
        let all = paths.into_iter().chain(texts).chain(others);
        all.filter_map(|(flag, value)| Some([flag.to_owned(), value?]))
            .collect()
    }
}

/// Reads the name of a format.
fn format_name(text: &str) -> Result<String, String> {
    let names: Vec<&str> = FORMATS.iter().map(|format| format.name()).collect();
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    let near = nearest(text, names.iter().copied());
    let near = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
    Err(format!("choose from {}{near}", names.join(", ")))
}

/// Which image belongs to which caption.
#[derive(Debug, Clone)]
pub(crate) enum Pairing {
    /// As a file says.
    File(PathBuf),
    /// By rows that are out of step.
    Order(RowOrder),
}

impl Pairing {
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Pairing::File(file) => Some(file.clone()),
            Pairing::Order(_) => None,
        }
    }

    pub(crate) fn order(&self) -> Option<RowOrder> {
        match self {
            Pairing::File(_) => None,
            Pairing::Order(order) => Some(order.clone()),
        }
    }
}

/// Reads a name of a file, or an order of rows.
pub(crate) fn pairing(text: &str) -> Result<Pairing, String> {
    if !is_row_order(text) {
        return Ok(Pairing::File(text.into()));
    }
    let order: Result<RowOrder, _> = text.parse();
    order.map(Pairing::Order).map_err(|error| error.to_string())
}

/// What to do with empty captions.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EmptyCaptions {
    /// Stop and name the first one
    Error,
    /// Leave the caption and its pair out
    Drop,
    /// Read them as they are
    Keep,
}

impl From<EmptyCaptions> for OnEmpty {
    fn from(choice: EmptyCaptions) -> Self {
        match choice {
            EmptyCaptions::Error => OnEmpty::Error,
            EmptyCaptions::Drop => OnEmpty::Drop,
            EmptyCaptions::Keep => OnEmpty::Keep,
        }
    }
}
