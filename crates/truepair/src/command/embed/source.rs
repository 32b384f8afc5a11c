//! What is embedded: splits of paired data, or pictures or captions alone.

use std::path::Path;

use anyhow::Result;
use truepair_core::dataset::{Account, Dataset};
use truepair_encode::job::Items;
use truepair_read::dataset::{
    self, CaptionsAlone, Pictures, PicturesAlone, ReadOptions, open_captions, open_pictures,
};

use super::args::EmbedArgs;
use crate::progress::Bars;
use crate::remote;

/// What is embedded.
pub(super) enum Source {
    Splits(Vec<Dataset>),
    Pictures(PicturesAlone),
    Captions(CaptionsAlone),
}

impl Source {
    /// Paired data where a format recognizes it; else, with the one encoder that they need, a folder
    /// of pictures or a list of captions.
    pub(super) fn open(args: &EmbedArgs) -> Result<Self> {
        let data = args.data()?;
        let paired = args.read.format.is_some() || dataset::is_recognized(&data);
        if !paired && args.text_encoder.is_none() && data.is_dir() {
            return Ok(Self::Pictures(open_pictures(&data)?));
        }
        let is_text = (data.extension()).is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
        if args.image_encoder.is_none() && is_text && (!paired || args.read.format.is_none()) {
            return Ok(Self::Captions(open_captions(&data)?));
        }
        Ok(Self::Splits(open_splits(args, &data)?))
    }

    /// What the readers used and passed over.
    pub(super) fn accounts(&self) -> Vec<&Account> {
        match self {
            Self::Splits(splits) => splits.iter().map(|dataset| &dataset.account).collect(),
            Self::Pictures(alone) => vec![&alone.account],
            Self::Captions(alone) => vec![&alone.account],
        }
    }

    /// Pictures or captions that stand alone; nothing of paired data.
    pub(super) fn items(&self) -> Items<'_> {
        let mut items = Items {
            image_ids: &[],
            pictures: None,
            captions: None,
        };
        match self {
            Self::Splits(_) => {}
            Self::Pictures(alone) => {
                items.image_ids = &alone.ids;
                items.pictures = Some(&alone.pictures);
            }
            Self::Captions(alone) => items.captions = Some(&alone.captions),
        }
        items
    }
}

fn open_splits(args: &EmbedArgs, path: &Path) -> Result<Vec<Dataset>> {
    let mut bars = Bars::new();
    let options = |split: &str| ReadOptions {
        pictures: match (&args.read.pictures, &args.image_encoder) {
            (Some(folder), _) => Pictures::In(folder.clone()),
            (None, Some(_)) => Pictures::Beside,
            (None, None) => Pictures::Unused,
        },
        ..args.read.options(split)
    };
    let names = match &args.split {
        Some(names) => names.clone(),
        None => {
            let (data, options) = remote::fetched(path, &options("all"), &mut bars)?;
            dataset::splits(data, &options)?
        }
    };
    let mut open = |name: &String| {
        let (data, options) = remote::fetched(path, &options(name), &mut bars)?;
        Ok(dataset::open(data, &options)?)
    };
    names.iter().map(&mut open).collect()
}
