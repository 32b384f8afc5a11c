//! Candidates scored anew by a similarity that is neither an inner product nor a distance.

use std::collections::HashMap;

use anyhow::{Context, Result};
use truepair_core::dataset::Dataset;
use truepair_core::pair::Pair;
use truepair_index::Side;
use truepair_model::encode::EncodedItems;
use truepair_train::{EncodedSides, GivenCaptions, Trained};

use super::build::caption_names;
use super::source::DataSource;
use crate::progress::Bars;

/// The data that an index was made of, where its vectors are not enough.
pub(super) struct Rescorer {
    sources: Vec<Dataset>,
    images: HashMap<String, Place>,
    captions: HashMap<String, Place>,
}

/// A source and a row of it.
type Place = (usize, u32);

impl Rescorer {
    /// # Errors
    /// If a source can no longer be read.
    pub(super) fn open(sources: &[DataSource]) -> Result<Self> {
        let mut bars = Bars::new();
        let mut rescorer = Self {
            sources: Vec::new(),
            images: HashMap::new(),
            captions: HashMap::new(),
        };
        for (place, source) in sources.iter().enumerate() {
            let dataset = source.open(&mut bars).context(
                "the run compares more than vectors, so its data must be there to be searched",
            )?;
            for (id, row) in dataset.image_ids.iter().zip(0..) {
                rescorer.images.insert(id.clone(), (place, row));
            }
            for (id, row) in caption_names(&dataset).into_iter().zip(0..) {
                rescorer.captions.insert(id, (place, row));
            }
            rescorer.sources.push(dataset);
        }
        Ok(rescorer)
    }

    /// Scores of these items of a side, by their ids, for one item of the other side that asks.
    ///
    /// # Errors
    /// If an item is no longer in the data, or cannot be read.
    pub(super) fn scores(
        &self,
        trained: &Trained,
        asking: &EncodedItems,
        side: Side,
        ids: &[String],
    ) -> Result<Vec<f32>> {
        let places = match side {
            Side::Images => &self.images,
            Side::Captions => &self.captions,
        };
        let places: Vec<Place> = (ids.iter())
            .map(|id| {
                let place = places.get(id).copied();
                place.with_context(|| format!("{id}: is no longer in the data that the index was made of (make the index again)"))
            })
            .collect::<Result<_>>()?;
        let mut scores = vec![0.0; ids.len()];
        for (source, dataset) in self.sources.iter().enumerate() {
            let of_source: Vec<usize> = (0..ids.len())
                .filter(|&at| places[at].0 == source)
                .collect();
            if of_source.is_empty() {
                continue;
            }
            let rows: Vec<u32> = of_source.iter().map(|&at| places[at].1).collect();
            let found = score(trained, asking, side, dataset, &rows)?;
            for (at, score) in of_source.into_iter().zip(found) {
                scores[at] = score;
            }
        }
        Ok(scores)
    }
}

fn score(
    trained: &Trained,
    asking: &EncodedItems,
    side: Side,
    dataset: &Dataset,
    rows: &[u32],
) -> Result<Vec<f32>> {
    let n = rows.len() as u32;
    let (sides, pairs): (EncodedSides, Vec<Pair>) = match side {
        Side::Images => {
            let images = trained.encode_images(&dataset.images.select(rows), &mut ())?;
            let sides = EncodedSides {
                images,
                captions: asking.clone(),
            };
            (
                sides,
                (0..n).map(|image| Pair { image, caption: 0 }).collect(),
            )
        }
        Side::Captions => {
            let texts = dataset.require_captions()?;
            let texts: Vec<String> = rows
                .iter()
                .map(|&row| texts[row as usize].clone())
                .collect();
            let features = dataset.caption_features.as_ref();
            let features = features.map(|named| named.features.select(rows));
            let given = match (&trained.texts, &features) {
                (None, Some(features)) => GivenCaptions::Features(features),
                _ => GivenCaptions::Texts(&texts),
            };
            let sides = EncodedSides {
                images: asking.clone(),
                captions: trained.encode_captions(given, &mut ())?,
            };
            (
                sides,
                (0..n).map(|caption| Pair { image: 0, caption }).collect(),
            )
        }
    };
    Ok(trained.score_pairs(&sides, &pairs)?)
}
