//! From questions to hits and what they are worth.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use truepair_core::answer::{AnswerModel, DEPTH};
use truepair_core::scores::Matrix;
use truepair_index::{Filter, Hit, Index, SearchOptions, Side};
use truepair_model::encode::EncodedItems;
use truepair_model::similarity::Role;

use super::about::{Compared, IndexAbout};
use super::answer::{Found, SearchAnswer};
use super::elsewhere::Elsewhere;
use super::rerank::Rescorer;
use crate::embedder::Embedder;

/// A gallery that grew or shrank by more than this share since scores were calibrated is another one.
const STALE: f64 = 0.1;

/// Share of answerable queries that may be denied an answer.
const DENIED: f64 = 0.05;

/// Something to search for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// What these words say.
    Text(String),
    /// What this picture shows, as the bytes of its file.
    Picture(Vec<u8>),
    /// What resembles the item of this id.
    Like(String),
}

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub(crate) ask: Ask,
    /// What is wanted.
    pub(crate) of: Side,
    /// Hits wanted.
    pub(crate) top: usize,
    /// A condition on columns.
    pub(crate) filter: Option<String>,
    /// Share of the questions whose answer set is to hold a right answer.
    pub(crate) coverage: Option<f64>,
}

/// An index with what embeds its queries.
pub(crate) struct Engine {
    pub(crate) index: Index,
    pub(crate) about: IndexAbout,
    pub(crate) embedder: Embedder,
    rescorer: Option<Rescorer>,
    is_exhaustive: bool,
}

/// A question as a vector.
struct Asked {
    vector: Vec<f32>,
    /// Added to every score.
    offset: f32,
    /// Its total variance; 0 of a point.
    variance: f64,
    /// What the run's similarity reads, where vectors are not enough.
    encoded: Option<EncodedItems>,
    /// Which model says what scores mean.
    direction: Option<Direction>,
    /// Whether it holds anything that its reader has learned.
    is_known: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    TextToImage,
    ImageToText,
}

impl Engine {
    /// # Errors
    /// If the index or what embeds its queries cannot be opened.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let index = Index::open(folder)?;
        let place = folder.display();
        let about = IndexAbout::of(&index).with_context(|| place.to_string())?;
        let embedder = Embedder::open(&about.embedder)
            .with_context(|| format!("{place}: what embeds its queries cannot be opened"))?;
        Self::new(index, about, embedder)
    }

    /// # Errors
    /// If candidates must be scored anew and the data that the index was made of cannot be read.
    pub(crate) fn new(index: Index, about: IndexAbout, embedder: Embedder) -> Result<Self> {
        let rescorer = match about.compared {
            Compared::Rescored => Some(Rescorer::open(&about.sources)?),
            Compared::InnerProduct | Compared::SquaredDistance => None,
        };
        Ok(Self {
            index,
            about,
            embedder,
            rescorer,
            is_exhaustive: false,
        })
    }

    /// The same, looking at every row even where there is a graph of neighbors.
    pub(crate) fn exhaustive(self, is_exhaustive: bool) -> Self {
        Self {
            is_exhaustive,
            ..self
        }
    }

    /// Whether hits are those of looking at every row.
    pub(crate) fn is_exact(&self) -> bool {
        let looks_at_all = self.index.settings().kind == truepair_index::Kind::Exact;
        (self.is_exhaustive || looks_at_all) && self.about.compared != Compared::Rescored
    }

    /// Answers one question for images on a database that was filled from this index.
    ///
    /// # Errors
    /// If the question cannot be asked, or the database fails.
    pub(crate) fn answer_elsewhere(
        &self,
        question: &Question,
        elsewhere: &mut Elsewhere,
    ) -> Result<SearchAnswer> {
        if question.of == Side::Captions || self.rescorer.is_some() {
            bail!(
                "databases hold the images of an index whose vectors are enough (search the index itself)"
            )
        }
        let asked = self.asked(std::slice::from_ref(question)).pop();
        let asked = asked.context("one question is asked once")??;
        let filter = question.filter.as_deref().map(Filter::parse).transpose()?;
        let k = question.top.max(DEPTH);
        let found = elsewhere.search(
            &self.index,
            &asked.vector,
            k,
            filter.as_ref(),
            self.is_exhaustive,
        )?;
        let images = self.index.images();
        let hits = found.iter().map(|hit| {
            let row = images.find(&hit.id).with_context(|| {
                format!(
                    "{}: is in the database and not in the index (send the index again)",
                    hit.id
                )
            })?;
            Ok(Hit {
                row,
                score: hit.score as f32,
            })
        });
        self.judged(question, &asked, hits.collect::<Result<_>>()?)
    }

    /// Answers questions together; one that fails leaves the others alone.
    pub(crate) fn answer(&self, questions: &[Question]) -> Vec<Result<SearchAnswer>> {
        let asked = self.asked(questions);
        let mut answers: Vec<Option<Result<SearchAnswer>>> =
            questions.iter().map(|_| None).collect();
        // Those that look at the same rows are searched for together.
        let mut together: BTreeMap<(&str, Option<&str>), Vec<usize>> = BTreeMap::new();
        for (at, (question, asked)) in questions.iter().zip(&asked).enumerate() {
            match asked {
                Ok(_) => {
                    let key = (question.of.name(), question.filter.as_deref());
                    together.entry(key).or_default().push(at);
                }
                Err(error) => answers[at] = Some(Err(anyhow!("{error:#}"))),
            }
        }
        for places in together.values() {
            let group: Vec<(&Question, &Asked)> = (places.iter())
                .filter_map(|&at| Some((&questions[at], asked[at].as_ref().ok()?)))
                .collect();
            match self.answer_group(&group) {
                Ok(found) => {
                    for (&at, found) in places.iter().zip(found) {
                        answers[at] = Some(found);
                    }
                }
                Err(error) => {
                    for &at in places {
                        answers[at] = Some(Err(anyhow!("{error:#}")));
                    }
                }
            }
        }
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.expect("every question is in a group or failed"))
            .collect()
    }

    fn asked(&self, questions: &[Question]) -> Vec<Result<Asked>> {
        let texts: Vec<String> = (questions.iter())
            .filter_map(|question| match &question.ask {
                Ask::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect();
        let embedded = match texts.is_empty() {
            true => None,
            false => Some(self.embedder.texts(&texts, Role::Asking)),
        };
        let mut n_texts = 0;
        (questions.iter())
            .map(|question| match &question.ask {
                Ask::Text(text) => {
                    let row = n_texts;
                    n_texts += 1;
                    match &embedded {
                        Some(Ok(vectors)) => self.asked_text(text, question.of, vectors, row),
                        Some(Err(error)) => Err(anyhow!("{error:#}")),
                        None => unreachable!("there is a text"),
                    }
                }
                Ask::Picture(bytes) => self.asked_picture(bytes, question.of),
                Ask::Like(id) => self.asked_like(id, question.of),
            })
            .collect()
    }

    fn asked_text(
        &self,
        text: &str,
        of: Side,
        vectors: &truepair_model::encode::SearchVectors,
        row: usize,
    ) -> Result<Asked> {
        let encoded = match &self.rescorer {
            Some(_) if of == Side::Images => self.embedder.encoded_texts(&[text.to_owned()])?,
            _ => None,
        };
        Ok(Asked {
            vector: vectors.vectors.row(row).to_vec(),
            offset: vectors.offsets[row],
            variance: vectors.variances[row].into(),
            encoded,
            direction: (of == Side::Images).then_some(Direction::TextToImage),
            is_known: self.embedder.knows(text),
        })
    }

    fn asked_picture(&self, bytes: &[u8], of: Side) -> Result<Asked> {
        let vectors = self.embedder.picture(bytes.to_vec(), Role::Asking)?;
        let encoded = match (&self.rescorer, self.embedder.trained()) {
            (Some(_), Some(trained)) if of == Side::Captions => {
                let features = self.embedder.picture_features(bytes.to_vec())?;
                Some(trained.encode_images(&features, &mut ())?)
            }
            _ => None,
        };
        Ok(Asked {
            vector: vectors.vectors.row(0).to_vec(),
            offset: vectors.offsets[0],
            variance: vectors.variances[0].into(),
            encoded,
            direction: (of == Side::Captions).then_some(Direction::ImageToText),
            is_known: true,
        })
    }

    /// An item asks for others by its stored vector; what scores mean is known only where pairs say it.
    fn asked_like(&self, id: &str, of: Side) -> Result<Asked> {
        let sides = match of {
            Side::Images => [Side::Images, Side::Captions],
            Side::Captions => [Side::Captions, Side::Images],
        };
        let found = sides.into_iter().find_map(|side| {
            let gallery = self.index.gallery(side);
            Some((gallery, gallery.find(id)?))
        });
        let Some((gallery, row)) = found else {
            bail!("{id}: no item of the index has this id")
        };
        Ok(Asked {
            vector: gallery.vector(row)?,
            offset: 0.0,
            variance: 0.0,
            encoded: None,
            direction: None,
            is_known: true,
        })
    }

    fn answer_group(&self, group: &[(&Question, &Asked)]) -> Result<Vec<Result<SearchAnswer>>> {
        let first = group[0].0;
        let gallery = self.index.gallery(first.of);
        let filter = first.filter.as_deref().map(Filter::parse).transpose()?;
        let options = SearchOptions {
            filter: filter.as_ref(),
            exact: self.is_exhaustive,
        };
        let dim = gallery.dim();
        let mut values = Vec::with_capacity(group.len() * dim);
        for (_, asked) in group {
            if asked.vector.len() != dim {
                bail!(
                    "the query has {} numbers and the index {dim} (embed it by what made the index)",
                    asked.vector.len()
                )
            }
            values.extend_from_slice(&asked.vector);
        }
        let deepest = group
            .iter()
            .map(|(question, _)| question.top)
            .max()
            .unwrap_or(0);
        let hits = gallery.search(&Matrix::new(values, dim), deepest.max(DEPTH), &options)?;
        let answers = group.iter().zip(hits);
        Ok(answers
            .map(|((question, asked), hits)| self.judged(question, asked, hits))
            .collect())
    }

    fn judged(
        &self,
        question: &Question,
        asked: &Asked,
        mut hits: Vec<Hit>,
    ) -> Result<SearchAnswer> {
        hits.iter_mut().for_each(|hit| hit.score += asked.offset);
        if let Some(encoded) = &asked.encoded {
            hits.truncate(question.top.max(DEPTH));
            self.rescore(question.of, encoded, &mut hits)?;
        }
        let model = self.model(question, asked);
        let judged = match (&model, hits.is_empty()) {
            (Some(model), false) => {
                let scores: Vec<f32> = hits.iter().map(|hit| hit.score).collect();
                Some(model.judge(&scores, asked.variance))
            }
            _ => None,
        };
        let threshold = question
            .coverage
            .filter(|_| asked.is_known)
            .map(|coverage| self.threshold(question, model, coverage))
            .transpose()?;
        let found = hits.iter().enumerate().map(|(at, hit)| {
            let right = judged.as_ref().map(|judged| judged.right[at]);
            Found {
                row: hit.row,
                score: hit.score,
                p_relevant: right,
                in_answer: threshold
                    .zip(right)
                    .map(|(threshold, right)| right >= threshold),
            }
        });
        let mut found: Vec<Found> = found.collect();
        let in_set = found
            .iter()
            .filter(|hit| hit.in_answer == Some(true))
            .count();
        found.truncate(question.top.max(in_set));
        Ok(SearchAnswer {
            hits: found,
            p_nothing: judged.as_ref().map(|judged| judged.nothing),
            nothing_here: match asked.is_known {
                true => judged.as_ref().map(|judged| judged.answerable <= DENIED),
                false => Some(true),
            },
            notes: self.notes(question, asked, model),
        })
    }

    /// What scores of this question mean; unknown where rows are filtered, because the calibrating queries looked at
    /// all.
    fn model(&self, question: &Question, asked: &Asked) -> Option<&AnswerModel> {
        if question.filter.is_some() || !asked.is_known {
            return None;
        }
        match asked.direction? {
            Direction::TextToImage => self.about.answers.text_to_image.as_ref(),
            Direction::ImageToText => self.about.answers.image_to_text.as_ref(),
        }
    }

    fn threshold(
        &self,
        question: &Question,
        model: Option<&AnswerModel>,
        coverage: f64,
    ) -> Result<f64> {
        if question.filter.is_some() {
            bail!(
                "--coverage is promised for the whole gallery, not for a part of it (drop the filter or the coverage)"
            )
        }
        let Some(model) = model else {
            bail!(
                "the index does not know what its scores mean here (calibrate it with pairs that trained nothing: \
                 `truepair index INDEX --calibrate DATA`)"
            )
        };
        let Some(threshold) = model.threshold(coverage) else {
            bail!(
                "no set of hits can promise {coverage}: too many of the {} calibrating queries have no right answer among \
                 their first {} hits, or there are too few of them (ask for less)",
                model.n_queries,
                model.depth
            )
        };
        Ok(threshold)
    }

    fn notes(
        &self,
        question: &Question,
        asked: &Asked,
        model: Option<&AnswerModel>,
    ) -> Vec<String> {
        if !asked.is_known {
            return vec!["the run knows no word of the question".to_owned()];
        }
        let answers = &self.about.answers;
        let (then, now) = match question.of {
            Side::Images => (answers.n_images, self.index.images().len()),
            Side::Captions => (answers.n_captions, self.index.captions().len()),
        };
        let moved = then.abs_diff(now) as f64 > STALE * then as f64;
        match model {
            Some(_) if moved => vec![format!(
                "probabilities were calibrated when {then} {} were there, and now it is {now}: calibrate again with \
                 `truepair index INDEX --calibrate DATA`",
                question.of.name()
            )],
            _ => Vec::new(),
        }
    }

    /// Scores hits anew by the run's similarity, and sorts them.
    ///
    /// # Errors
    /// If the run or an item is not there any more.
    pub(super) fn rescore(&self, of: Side, asking: &EncodedItems, hits: &mut [Hit]) -> Result<()> {
        let (Some(rescorer), Some(trained)) = (&self.rescorer, self.embedder.trained()) else {
            return Ok(());
        };
        let gallery = self.index.gallery(of);
        let ids = hits.iter().map(|hit| Ok(gallery.item(hit.row)?.id));
        let ids: Vec<String> = ids.collect::<Result<_>>()?;
        let scores = rescorer.scores(trained, asking, of, &ids)?;
        hits.iter_mut()
            .zip(scores)
            .for_each(|(hit, score)| hit.score = score);
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
        Ok(())
    }
}
