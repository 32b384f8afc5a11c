//! What scores mean, learned from pairs that trained nothing.

use anyhow::{Context, Result};
use truepair_core::answer::{AnswerModel, AnswerQuality, DEPTH, KnownAnswers};
use truepair_core::dataset::Dataset;
use truepair_core::rng::{Seed, sample};
use truepair_core::scores::Matrix;
use truepair_index::{Measure, SearchOptions, Side};
use truepair_model::encode::{EncodedItems, SearchVectors};
use truepair_model::similarity::Role;
use truepair_train::GivenCaptions;

use super::about::{Answers, Compared};
use super::engine::Engine;
use crate::embedder::SearchSides;
use crate::progress::Bars;
use crate::render;

/// Queries of a direction, at most.
const MAX_QUERIES: usize = 4_000;

/// The same where every candidate is scored anew.
const MAX_RESCORED: usize = 400;

/// Share of the queries that a good answer set misses, for the figures that are printed.
const COVERAGE: f64 = 0.9;

/// What was learned, and how good it is on images that did not calibrate it.
pub(crate) struct Calibration {
    pub(crate) answers: Answers,
    /// Text to image, then image to text: fitted to one half of the images and measured on the other.
    pub(crate) quality: [Option<AnswerQuality>; 2],
    /// Directions of which it stays open, and why, a sentence each.
    pub(crate) open: Vec<String>,
}

/// Queries of one direction.
struct Queries {
    known: Vec<KnownAnswers>,
    /// Whether the image of each query is in the half that is measured on.
    is_held_out: Vec<bool>,
}

/// Learns what the scores of an engine mean from the pairs of `dataset`, which must have trained nothing. Items of
/// the data need not be in the index: a query's own answers are looked at as if they were.
///
/// # Errors
/// If the data cannot be embedded.
pub(crate) fn calibrate(
    engine: &Engine,
    dataset: &Dataset,
    bars: &mut Bars,
) -> Result<Calibration> {
    let asking = engine.embedder.sides(dataset, Role::Asking, bars)?;
    let found = engine.embedder.sides(dataset, Role::Found, bars)?;
    let work = Work {
        engine,
        dataset,
        asking: &asking,
        found: &found,
    };
    let mut answers = Answers {
        n_images: engine.index.images().len(),
        n_captions: engine.index.captions().len(),
        ..Answers::default()
    };
    let mut quality = [None, None];
    let mut open = Vec::new();
    let has = [
        asking.captions.is_some(),
        found.captions.is_some() && !engine.index.captions().is_empty(),
    ];
    for (place, (of, direction)) in [
        (Side::Images, "text to image"),
        (Side::Captions, "image to text"),
    ]
    .into_iter()
    .enumerate()
    {
        if !has[place] {
            continue;
        }
        let model = match learned(&work.queries(of)?) {
            Ok((model, measured)) => {
                quality[place] = measured;
                Some(model)
            }
            Err(error) => {
                open.push(format!(
                    "what scores mean stays open from {direction}: {}",
                    render::chain(&error)
                ));
                None
            }
        };
        match of {
            Side::Images => answers.text_to_image = model,
            Side::Captions => answers.image_to_text = model,
        }
    }
    Ok(Calibration {
        answers,
        quality,
        open,
    })
}

fn learned(queries: &Queries) -> Result<(AnswerModel, Option<AnswerQuality>)> {
    let half = |wanted: bool| -> Vec<KnownAnswers> {
        let all = queries.known.iter().zip(&queries.is_held_out);
        let half = all.filter(|(_, held_out)| **held_out == wanted);
        half.map(|(known, _)| known.clone()).collect()
    };
    let model = AnswerModel::fit(&queries.known)?;
    // With few queries there is a model, but no half to measure it on.
    let quality = AnswerModel::fit(&half(false)).ok();
    let quality = quality.map(|model| model.quality(&half(true), COVERAGE));
    Ok((model, quality))
}

struct Work<'a> {
    engine: &'a Engine,
    dataset: &'a Dataset,
    asking: &'a SearchSides,
    found: &'a SearchSides,
}

impl Work<'_> {
    /// Queries for the items of a side, and what they find.
    fn queries(&self, of: Side) -> Result<Queries> {
        let n_images = self.dataset.n_images();
        let (asking, found, n) = match of {
            Side::Images => (
                &self.asking.captions,
                Some(&self.found.images),
                self.dataset.n_captions(),
            ),
            Side::Captions => (
                &Some(self.asking.images.clone()),
                self.found.captions.as_ref(),
                n_images,
            ),
        };
        let (Some(asking), Some(found)) = (asking, found) else {
            return Ok(Queries {
                known: Vec::new(),
                is_held_out: Vec::new(),
            });
        };
        let own = self.own(of, n);
        let stream = &mut Seed(0).stream("calibrating queries", &[]);
        let most = match self.engine.about.compared {
            Compared::Rescored => MAX_RESCORED,
            Compared::InnerProduct | Compared::SquaredDistance => MAX_QUERIES,
        };
        let mut chosen: Vec<usize> = (sample(stream, n, most).into_iter())
            .map(|query| query as usize)
            .filter(|&query| !own[query].is_empty())
            .collect();
        chosen.sort_unstable();
        let halves = sample(stream, n_images, n_images / 2);
        let mut in_half = vec![false; n_images];
        halves
            .iter()
            .for_each(|&image| in_half[image as usize] = true);
        let image_of = |query: usize| match of {
            Side::Images => own[query][0],
            Side::Captions => query,
        };
        Ok(Queries {
            is_held_out: chosen
                .iter()
                .map(|&query| in_half[image_of(query)])
                .collect(),
            known: self.known(of, &chosen, &own, asking, found)?,
        })
    }

    /// The right answers of every query, as rows of the data.
    fn own(&self, of: Side, n: usize) -> Vec<Vec<usize>> {
        let mut own = vec![Vec::new(); n];
        for pair in &self.dataset.pairs {
            let (image, caption) = (pair.image as usize, pair.caption as usize);
            match of {
                Side::Images => own[caption].push(image),
                Side::Captions => own[image].push(caption),
            }
        }
        own
    }

    fn known(
        &self,
        of: Side,
        chosen: &[usize],
        own: &[Vec<usize>],
        asking: &SearchVectors,
        found: &SearchVectors,
    ) -> Result<Vec<KnownAnswers>> {
        let gallery = self.engine.index.gallery(of);
        let names = self.names(of);
        let rows: Vec<Option<usize>> = names.iter().map(|name| gallery.find(name)).collect();
        let most = own.iter().map(Vec::len).max().unwrap_or(0);
        let dim = asking.vectors.dim();
        let mut known = Vec::with_capacity(chosen.len());
        for part in chosen.chunks(256) {
            let values = part
                .iter()
                .flat_map(|&query| asking.vectors.row(query))
                .copied();
            let queries = Matrix::new(values.collect(), dim);
            let hits = gallery.search(&queries, DEPTH + most, &SearchOptions::default())?;
            for (&query, mut hits) in part.iter().zip(hits) {
                if let Some(encoded) = self.encoded(of, query)? {
                    self.engine.rescore(of, &encoded, &mut hits)?;
                }
                let mut scores: Vec<f32> = hits.iter().map(|hit| hit.score).collect();
                let mut right = Vec::new();
                for &answer in &own[query] {
                    match rows[answer] {
                        Some(row) => right.extend(hits.iter().position(|hit| hit.row == row)),
                        None => {
                            right.push(scores.len());
                            let (query, answer) =
                                (asking.vectors.row(query), found.vectors.row(answer));
                            scores.push(score(self.engine, query, answer));
                        }
                    }
                }
                scores
                    .iter_mut()
                    .for_each(|score| *score += asking.offsets[query]);
                let variance = f64::from(asking.variances[query]);
                known.push(KnownAnswers::new(&scores, &right).with_variance(variance));
            }
        }
        Ok(known)
    }

    /// What scores a query's candidates anew; `None` where their vectors are enough.
    fn encoded(&self, of: Side, query: usize) -> Result<Option<EncodedItems>> {
        let embedder = &self.engine.embedder;
        let (Compared::Rescored, Some(trained)) = (self.engine.about.compared, embedder.trained())
        else {
            return Ok(None);
        };
        Ok(Some(match (of, &self.dataset.captions, &trained.texts) {
            (Side::Captions, _, _) => {
                trained.encode_images(&self.dataset.images.select(&[query as u32]), &mut ())?
            }
            (Side::Images, Some(texts), Some(_)) => {
                trained.encode_captions(GivenCaptions::Texts(&texts[query..=query]), &mut ())?
            }
            (Side::Images, _, _) => {
                let named = self.dataset.caption_features.as_ref();
                let named = named.context("the data has no captions that the run reads")?;
                let features = named.features.select(&[query as u32]);
                trained.encode_captions(GivenCaptions::Features(&features), &mut ())?
            }
        }))
    }

    fn names(&self, of: Side) -> Vec<String> {
        match of {
            Side::Images => self.dataset.image_ids.clone(),
            Side::Captions => super::build::caption_names(self.dataset),
        }
    }
}

/// The score of an answer that the index does not hold.
fn score(engine: &Engine, query: &[f32], answer: &[f32]) -> f32 {
    let pairs = query.iter().zip(answer);
    match engine.index.settings().measure {
        Measure::InnerProduct => pairs.map(|(a, b)| a * b).sum(),
        Measure::SquaredDistance => -pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f32>(),
    }
}
