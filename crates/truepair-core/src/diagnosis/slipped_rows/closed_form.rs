//! Matchers of the closed form, each fitted to one order of rows and asked about rows it never saw.
//!
//! Where images and captions share no space, a matcher must learn which belong together, and it learns
//! nothing where all rows are out of step. So one is fitted to every order: the right order alone teaches
//! something that holds for other rows. Whitening both sides once leaves a cross-covariance to each order,
//!
//! ```text
//! S(x, y) = cos(Mᵀ x, y),   M = Σ over training rows of x(named) yᵀ
//! ```
//! which costs next to nothing.

use std::collections::HashMap;

use super::CHUNK;
use super::compare::Compare;
use super::sequence::Sequence;
use super::tried::Tried;
use super::whitening::Whitening;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::linear::{Pooling, SideVectors};
use crate::lists::distinct;
use crate::rng::Seed;
use crate::scores::{Matrix, multiply_transposed};
use crate::text::{LatentSemantics, LatentSemanticsConfig};
use truepair_kernel::product::{Threads, View};

/// Folds of chunks of rows; each is asked about by the matcher of the others.
const FOLDS: usize = 5;

/// Directions of a side: fewest, most, and rows for each.
const LEAST_RANK: usize = 8;
const MOST_RANK: usize = 64;
const ROWS_A_DIRECTION: usize = 5;

/// Numbers that a caption's text becomes.
const TEXT_DIM: usize = 128;

/// Both sides of some rows in whitened directions.
pub(super) struct Prepared<'a> {
    sequence: &'a Sequence<'a>,
    images: SideVectors<'a>,
    captions: CaptionVectors<'a>,
    whitened: [Whitening; 2],
    /// The rows that matchers are fitted to, ascending, in whole chunks.
    rows: Vec<u32>,
    /// Whitened images by their position.
    known: HashMap<u32, Vec<f32>>,
    /// Whitened captions of `rows`.
    of_rows: Vec<f32>,
}

/// Captions as vectors.
enum CaptionVectors<'a> {
    Given(SideVectors<'a>),
    Texts {
        analysis: Box<LatentSemantics>,
        texts: &'a [String],
    },
}

impl CaptionVectors<'_> {
    fn gather(&self, captions: &[u32]) -> Result<Matrix> {
        match self {
            CaptionVectors::Given(side) => side.gather(captions),
            CaptionVectors::Texts { analysis, texts } => {
                let texts: Vec<&str> = (captions.iter())
                    .map(|&caption| texts[caption as usize].as_str())
                    .collect();
                analysis.features(&texts).to_matrix()
            }
        }
    }
}

impl<'a> Prepared<'a> {
    /// Reads the items that `rows` need under every order; `None` where captions cannot become vectors.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub(super) fn new(
        dataset: &'a Dataset,
        sequence: &'a Sequence<'a>,
        tried: &[&Tried],
        rows: Vec<u32>,
        seed: Seed,
    ) -> Result<Option<Self>> {
        let captions_of: Vec<u32> = (rows.iter())
            .map(|&row| sequence.caption[row as usize])
            .collect();
        let images = SideVectors::new(&dataset.images, Pooling::Mean)?;
        let Some(captions) = caption_vectors(dataset, &captions_of, seed)? else {
            return Ok(None);
        };
        let rank = (rows.len() / ROWS_A_DIRECTION).clamp(LEAST_RANK, MOST_RANK);
        let own = distinct(rows.iter().map(|&row| sequence.rows.position[row as usize]));
        let image_rows = |positions: &[u32]| -> Vec<u32> {
            let image = |&position: &u32| sequence.rows.images[position as usize];
            positions.iter().map(image).collect()
        };
        let caption_rows = captions.gather(&captions_of)?;
        let whitened = [
            Whitening::fit(
                &images.gather(&image_rows(&own))?,
                rank,
                seed.child("side", 0),
            )?,
            Whitening::fit(&caption_rows, rank, seed.child("side", 1))?,
        ];
        let needed = tried.iter().flat_map(|tried| {
            let named = rows.iter().filter_map(|&row| tried.named(sequence, row));
            named.collect::<Vec<u32>>()
        });
        let needed = distinct(needed.chain(own));
        let mut known = HashMap::with_capacity(needed.len());
        for positions in needed.chunks(1024) {
            let found = whitened[0].apply(images.gather(&image_rows(positions))?);
            let found = found.chunks_exact(whitened[0].rank).map(<[f32]>::to_vec);
            known.extend(positions.iter().copied().zip(found));
        }
        Ok(Some(Self {
            sequence,
            images,
            captions,
            of_rows: whitened[1].apply(caption_rows),
            whitened,
            rows,
            known,
        }))
    }

    /// The rows that matchers are fitted to.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Matchers that take captions to belong to the images that an order names; to the rows' own without
    /// one.
    pub(super) fn fitted(&self, order: Option<&Tried>) -> Fitted<'_> {
        let [p, q] = [self.whitened[0].rank, self.whitened[1].rank];
        let mut of_fold = vec![vec![0.0f32; p * q]; FOLDS];
        for (&row, caption) in self.rows.iter().zip(self.of_rows.chunks_exact(q)) {
            let named = match order {
                Some(order) => order.named(self.sequence, row),
                None => Some(self.sequence.rows.position[row as usize]),
            };
            let image = named.and_then(|position| self.known.get(&position));
            let (Some(image), true) = (image, self.sequence.tells[row as usize]) else {
                continue;
            };
            let sums = &mut of_fold[fold_of(row)];
            for (sums, x) in sums.chunks_exact_mut(q).zip(image) {
                (sums.iter_mut().zip(caption)).for_each(|(sum, y)| *sum += x * y);
            }
        }
        let sum = |folds: &dyn Fn(usize) -> bool| {
            let mut sum = vec![0.0f32; p * q];
            for (_, part) in of_fold.iter().enumerate().filter(|(fold, _)| folds(*fold)) {
                (sum.iter_mut().zip(part)).for_each(|(sum, x)| *sum += x);
            }
            sum
        };
        let mut maps: Vec<Vec<f32>> = (0..FOLDS).map(|own| sum(&|fold| fold != own)).collect();
        maps.push(sum(&|_| true));
        Fitted {
            prepared: self,
            maps,
        }
    }

    fn whitened_images(&self, positions: &[u32]) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(positions.len() * self.whitened[0].rank);
        for &position in positions {
            match self.known.get(&position) {
                Some(known) => out.extend_from_slice(known),
                None => {
                    let image = self.sequence.rows.images[position as usize];
                    out.extend(self.whitened[0].apply(self.images.gather(&[image])?));
                }
            }
        }
        Ok(out)
    }

    /// Rows that matchers were fitted to come from the store; others are read.
    fn whitened_captions(&self, rows: &[u32]) -> Result<Vec<f32>> {
        let rank = self.whitened[1].rank;
        if let Some(places) = self.places(rows) {
            let rows = places
                .iter()
                .flat_map(|at| &self.of_rows[at * rank..(at + 1) * rank]);
            return Ok(rows.copied().collect());
        }
        let captions: Vec<u32> = (rows.iter())
            .map(|&row| self.sequence.caption[row as usize])
            .collect();
        Ok(self.whitened[1].apply(self.captions.gather(&captions)?))
    }

    /// Where `rows` stand among those that matchers are fitted to, if all do.
    fn places(&self, rows: &[u32]) -> Option<Vec<usize>> {
        let place = |row: &u32| self.rows.binary_search(row).ok();
        rows.iter().map(place).collect()
    }
}

fn fold_of(row: u32) -> usize {
    row as usize / CHUNK % FOLDS
}

fn caption_vectors<'a>(
    dataset: &'a Dataset,
    sample: &[u32],
    seed: Seed,
) -> Result<Option<CaptionVectors<'a>>> {
    if let Some(named) = &dataset.caption_features {
        let side = SideVectors::new(&named.features, Pooling::Mean)?;
        return Ok(Some(CaptionVectors::Given(side)));
    }
    let Some(texts) = &dataset.captions else {
        return Ok(None);
    };
    let config = LatentSemanticsConfig {
        dim: TEXT_DIM,
        ..LatentSemanticsConfig::default()
    };
    let sampled: Vec<&str> = (sample.iter())
        .map(|&caption| texts[caption as usize].as_str())
        .collect();
    // It fails where no two captions share a word: then no matcher can learn from them either.
    let analysis = LatentSemantics::fit(&sampled, &config, seed).ok();
    Ok(analysis.map(|analysis| CaptionVectors::Texts {
        analysis: Box::new(analysis),
        texts,
    }))
}

/// Matchers of one order: one a fold, fitted to the others, and one for rows that none was fitted to.
pub(super) struct Fitted<'a> {
    prepared: &'a Prepared<'a>,
    maps: Vec<Vec<f32>>,
}

impl Compare for Fitted<'_> {
    /// All of `rows` stand in one chunk.
    fn tile(&self, positions: &[u32], rows: &[u32]) -> Result<Vec<f32>> {
        let prepared = self.prepared;
        let [p, q] = [prepared.whitened[0].rank, prepared.whitened[1].rank];
        let fold = match prepared.places(rows) {
            Some(_) => fold_of(rows[0]),
            None => FOLDS,
        };
        let images = prepared.whitened_images(positions)?;
        let mut mapped = vec![0.0; positions.len() * q];
        View::rows(&images, p)
            .times(View::rows(&self.maps[fold], q))
            .on(Threads::One)
            .write(&mut mapped, q);
        let mut mapped = Matrix::new(mapped, q);
        mapped.normalize();
        let captions = prepared.whitened_captions(rows)?;
        let mut tile = vec![0.0; positions.len() * rows.len()];
        multiply_transposed(mapped.values(), &captions, q, &mut tile);
        Ok(tile)
    }
}
