//! From data to what is added to an index.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use truepair_core::dataset::Dataset;
use truepair_index::{Index, Item, Records, Value};
use truepair_model::similarity::Role;

use super::about::Compared;
use super::locator::PictureLocator;
use crate::audit::StoredVerdicts;
use crate::embedder::Embedder;
use crate::metadata::Metadata;
use crate::progress::Bars;

/// Name of the column that says which image a caption belongs to.
pub(crate) const IMAGE: &str = "image";
/// Name of the column with the class of an image.
const LABEL: &str = "label";
/// Name of the column with the probability that a caption does not belong to its image; an image has that of its best
/// caption.
pub(super) const P_MISMATCHED: &str = "p_mismatched";

/// What is added to an index.
pub(crate) struct Additions {
    pub(crate) images: Records,
    pub(crate) captions: Option<Records>,
    /// How their vectors are compared.
    pub(crate) compared: Compared,
    /// Images that the metadata names.
    pub(crate) n_named: usize,
    /// Pairs that the audit judged.
    pub(crate) n_judged: usize,
}

/// What is known of items besides the data.
#[derive(Clone, Copy, Default)]
pub(crate) struct Columns<'a> {
    pub(crate) metadata: Option<&'a Metadata>,
    pub(crate) verdicts: Option<&'a StoredVerdicts>,
}

impl Additions {
    /// The items of a split with their vectors.
    ///
    /// # Errors
    /// If the data is not what the embedder reads.
    pub(crate) fn of(
        dataset: &Dataset,
        embedder: &Embedder,
        columns: Columns<'_>,
        bars: &mut Bars,
    ) -> Result<Self> {
        let sides = embedder.sides(dataset, Role::Found, bars)?;
        let compared = Compared::from(sides.images.measure);
        let mut items = images(dataset);
        let named_in = columns.metadata;
        let n_named = named_in.map_or(0, |metadata| metadata.add_to(&mut items));
        let mut captions = sides.captions.map(|found| Records {
            items: captions(dataset),
            vectors: found.vectors,
        });
        let n_judged = columns.verdicts.map_or(0, |verdicts| {
            let captions = captions.as_mut().map(|captions| &mut captions.items[..]);
            add_verdicts(dataset, verdicts, &mut items, captions)
        });
        if let Some(captions) = &captions
            && captions.vectors.dim() != sides.images.vectors.dim()
        {
            bail!(
                "image embeddings have {} numbers and caption embeddings have {}, so they share no space to be \
                 searched in (fit a matcher that joins them, `truepair train DATA --matcher linear --out RUN`, \
                 and add --run RUN)",
                sides.images.vectors.dim(),
                captions.vectors.dim()
            )
        }
        Ok(Self {
            images: Records {
                items,
                vectors: sides.images.vectors,
            },
            captions,
            compared,
            n_named,
            n_judged,
        })
    }

    pub(crate) fn dim(&self) -> usize {
        self.images.vectors.dim()
    }
}

fn images(dataset: &Dataset) -> Vec<Item> {
    let item = |(row, id): (usize, &String)| {
        let mut columns = BTreeMap::new();
        if let Some(labels) = &dataset.labels {
            columns.insert(LABEL.to_owned(), Value::Int(labels[row]));
        }
        Item {
            id: id.clone(),
            text: None,
            picture: PictureLocator::of(dataset, row).map(|locator| locator.to_text()),
            columns,
        }
    };
    dataset.image_ids.iter().enumerate().map(item).collect()
}

/// Captions, each with the image that it belongs to in a column.
fn captions(dataset: &Dataset) -> Vec<Item> {
    let owners = owners(dataset);
    let item = |(row, id): (usize, String)| Item {
        id,
        text: dataset.captions.as_ref().map(|texts| texts[row].clone()),
        picture: None,
        columns: (owners[row].iter())
            .map(|&image| {
                (
                    IMAGE.to_owned(),
                    Value::Text(dataset.image_ids[image].clone()),
                )
            })
            .collect(),
    };
    caption_names(dataset)
        .into_iter()
        .enumerate()
        .map(item)
        .collect()
}

/// Gives items what an audit said of their pairs, and counts those.
fn add_verdicts(
    dataset: &Dataset,
    verdicts: &StoredVerdicts,
    images: &mut [Item],
    mut captions: Option<&mut [Item]>,
) -> usize {
    let mut n_judged = 0;
    for pair in &dataset.pairs {
        let Some(verdict) = verdicts.of(dataset, *pair) else {
            continue;
        };
        n_judged += 1;
        let Some(p) = verdict.p_mismatched else {
            continue;
        };
        if let Some(captions) = &mut captions {
            lower(&mut captions[pair.caption as usize], p);
        }
        lower(&mut images[pair.image as usize], p);
    }
    n_judged
}

fn lower(item: &mut Item, p: f64) {
    let p = p_mismatched(item).map_or(p, |known| known.min(p));
    item.columns
        .insert(P_MISMATCHED.to_owned(), Value::Float(p));
}

/// What an audit said of an item, where the index knows it.
pub(super) fn p_mismatched(item: &Item) -> Option<f64> {
    match item.columns.get(P_MISMATCHED) {
        Some(Value::Float(p)) => Some(*p),
        _ => None,
    }
}

/// Captions are named by their image and their place among its captions; those of no image by their row.
pub(crate) fn caption_names(dataset: &Dataset) -> Vec<String> {
    let mut n_of_image = vec![0usize; dataset.n_images()];
    let name = |(row, owner): (usize, Option<usize>)| match owner {
        None => format!("caption {row}"),
        Some(image) => {
            n_of_image[image] += 1;
            caption_id(&dataset.image_ids[image], n_of_image[image] - 1)
        }
    };
    owners(dataset).into_iter().enumerate().map(name).collect()
}

/// The first image that every caption is paired with.
fn owners(dataset: &Dataset) -> Vec<Option<usize>> {
    let mut owners = vec![None; dataset.n_captions()];
    for pair in &dataset.pairs {
        owners[pair.caption as usize].get_or_insert(pair.image as usize);
    }
    owners
}

/// Rows of an image's own captions.
pub(crate) fn captions_of<'a>(
    index: &'a Index,
    image: &'a str,
) -> impl Iterator<Item = usize> + 'a {
    (0..).map_while(move |nth| index.captions().find(&caption_id(image, nth)))
}

/// An image's own captions, those first that an audit holds matched.
pub(super) fn best_captions(index: &Index, image: &str) -> Vec<(usize, Item)> {
    let captions = captions_of(index, image);
    let mut captions: Vec<(usize, Item)> = captions
        .filter_map(|row| Some((row, index.captions().item(row).ok()?)))
        .collect();
    let worth = |item: &Item| p_mismatched(item).unwrap_or(0.5);
    captions.sort_by(|(_, a), (_, b)| worth(a).total_cmp(&worth(b)));
    captions
}

/// The text that stands beside an image.
pub(crate) fn best_caption(index: &Index, image: &str) -> Option<String> {
    let best = best_captions(index, image).into_iter().next();
    best.and_then(|(_, item)| item.text)
}

/// Name of the caption that is the `nth` of its image, from 0.
fn caption_id(image: &str, nth: usize) -> String {
    format!("{image}#{nth}")
}
