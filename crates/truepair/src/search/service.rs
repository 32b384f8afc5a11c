//! An engine behind the HTTP API and the search page.

use std::sync::Arc;

use truepair_core::audit::NewVerdict;
use truepair_core::scores::Matrix;
use truepair_image::{Filter, PictureFormat, decode, jpeg, resize};
use truepair_index::{Gallery, Item, Measure, Side as IndexSide, Value, ValueKind};
use truepair_model::similarity::Role;
use truepair_serve::{
    Answer, Ask as Asked, CaptionInput, Cell, Column, ColumnKind, Description, EmbedInput, Hit,
    ImageInput, ItemView, PairInput, PairScore, Picture, Query, QueryKind, Reason, Refusal,
    Service, Side,
};

use super::build::best_captions;
use super::engine::{Ask, Engine, Question};
use super::locator::PictureLocator;
use super::pair_judge::{AskedCaption, PairJudge};
use crate::render;

/// Captions that say why a hit was found.
const WHY: usize = 3;

/// Quality of thumbnails, of 100.
const QUALITY: u8 = 85;

/// An index that is served.
pub(crate) struct SearchService {
    engine: Engine,
    judge: Option<Arc<PairJudge>>,
}

impl SearchService {
    /// The engine, ready to be served, with what says whether pairs match.
    pub(crate) fn over(engine: Engine, judge: Option<Arc<PairJudge>>) -> Arc<dyn Service> {
        Arc::new(Self { engine, judge })
    }

    fn gallery(&self, side: Side) -> &Gallery {
        self.engine.index.gallery(stored(side))
    }

    /// The captions of an image, and where it has none the nearest ones.
    fn why(&self, image: &Item, row: usize) -> Vec<String> {
        let captions = self.engine.index.captions();
        let own = best_captions(&self.engine.index, &image.id).into_iter();
        let own: Vec<String> = own.take(WHY).filter_map(|(_, item)| item.text).collect();
        if !own.is_empty()
            || captions.is_empty()
            || self.engine.index.settings().measure != Measure::InnerProduct
        {
            return own;
        }
        let nearest = || {
            let vector = self.engine.index.images().vector(row).ok()?;
            let query = Matrix::new(vector, captions.dim());
            let hits = captions
                .search(&query, WHY, &truepair_index::SearchOptions::default())
                .ok()?;
            let texts = hits
                .first()?
                .iter()
                .filter_map(|hit| captions.item(hit.row).ok()?.text);
            Some(texts.collect())
        };
        nearest().unwrap_or_default()
    }

    fn view(&self, side: Side, row: usize) -> Result<ItemView, Refusal> {
        let item = self.gallery(side).item(row).map_err(failed)?;
        let why = match side {
            Side::Images => self.why(&item, row),
            Side::Captions => Vec::new(),
        };
        let text = item
            .text
            .clone()
            .or_else(|| why.first().cloned())
            .unwrap_or_default();
        Ok(ItemView {
            text,
            has_picture: item.picture.is_some(),
            why,
            columns: item
                .columns
                .into_iter()
                .map(|(name, value)| (name, cell(value)))
                .collect(),
            id: item.id,
        })
    }

    fn answer(&self, query: &Query, found: super::SearchAnswer) -> Result<Answer, Refusal> {
        let hits = found.hits.iter().enumerate().map(|(at, hit)| {
            let view = self.view(query.of, hit.row)?;
            Ok(Hit {
                id: view.id,
                rank: at as u64 + 1,
                score: f64::from(hit.score),
                p_relevant: hit.p_relevant,
                in_answer: hit.in_answer,
                text: view.text,
                has_picture: view.has_picture,
                why: view.why,
                columns: view.columns,
            })
        });
        Ok(Answer {
            hits: hits.collect::<Result<_, Refusal>>()?,
            p_nothing: found.p_nothing,
            nothing_here: found.nothing_here,
            exact: self.engine.is_exact(),
            version: self.version(),
        })
    }

    fn version(&self) -> String {
        self.engine.index.version().to_string()
    }

    fn bytes(&self, id: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let images = self.engine.index.images();
        let Some(row) = images.find(id) else {
            return Ok(None);
        };
        let item = images.item(row).map_err(failed)?;
        let Some(locator) = item.picture.as_deref().and_then(PictureLocator::parse) else {
            return Ok(None);
        };
        // A picture that is gone is no fault of who asks.
        Ok(locator.read().ok())
    }

    fn pair(&self, pair: &PairInput) -> Result<PairScore, Refusal> {
        let images = self.engine.index.images();
        let captions = self.engine.index.captions();
        let lost = |id: &str| {
            Refusal::new(
                Reason::NotFound,
                format!("there is no item `{id}`"),
                "give the id of an item of the index",
            )
        };
        let image = match &pair.image {
            ImageInput::Id(id) => images
                .vector(images.find(id).ok_or_else(|| lost(id))?)
                .map_err(failed)?,
            ImageInput::Bytes(bytes) => {
                let vectors = self
                    .engine
                    .embedder
                    .picture(bytes.clone(), Role::Found)
                    .map_err(refused)?;
                vectors.vectors.row(0).to_vec()
            }
        };
        let (caption, offset) = match &pair.caption {
            CaptionInput::Text(text) => {
                let vectors = self
                    .engine
                    .embedder
                    .texts(std::slice::from_ref(text), Role::Asking)
                    .map_err(refused)?;
                (vectors.vectors.row(0).to_vec(), vectors.offsets[0])
            }
            CaptionInput::Id(id) => {
                let row = captions.find(id).ok_or_else(|| lost(id))?;
                match captions.item(row).map_err(failed)?.text {
                    Some(text) if self.engine.embedder.reads_texts() => {
                        let vectors = self
                            .engine
                            .embedder
                            .texts(&[text], Role::Asking)
                            .map_err(refused)?;
                        (vectors.vectors.row(0).to_vec(), vectors.offsets[0])
                    }
                    _ => (captions.vector(row).map_err(failed)?, 0.0),
                }
            }
        };
        let numbers = image.iter().zip(&caption);
        let score = match self.engine.index.settings().measure {
            Measure::InnerProduct => numbers.map(|(a, b)| a * b).sum::<f32>(),
            Measure::SquaredDistance => -numbers.map(|(a, b)| (a - b) * (a - b)).sum::<f32>(),
        };
        let verdict = self.verdict(pair)?;
        Ok(PairScore {
            score: f64::from(score + offset),
            p_mismatched: verdict.and_then(|verdict| verdict.posterior),
            judgment: verdict
                .map_or("unknown", |verdict| verdict.name())
                .to_owned(),
        })
    }

    /// What the audit says of a pair; `None` without an audit, or of what it cannot read.
    fn verdict(&self, pair: &PairInput) -> Result<Option<NewVerdict>, Refusal> {
        let Some(judge) = &self.judge else {
            return Ok(None);
        };
        let image = match &pair.image {
            ImageInput::Bytes(bytes) => judge.picture(bytes.clone()).map_err(refused)?,
            ImageInput::Id(id) => match judge.image(id) {
                Some(image) => Some(image),
                None => match self.bytes(id)? {
                    Some(bytes) => judge.picture(bytes).map_err(refused)?,
                    None => None,
                },
            },
        };
        let Some(image) = image else {
            return Ok(None);
        };
        let (id, text) = match &pair.caption {
            CaptionInput::Text(text) => (None, Some(text.clone())),
            CaptionInput::Id(id) => {
                let captions = self.engine.index.captions();
                let row = captions.find(id);
                let item = row.map(|row| captions.item(row)).transpose();
                (
                    Some(id.as_str()),
                    item.map_err(failed)?.and_then(|item| item.text),
                )
            }
        };
        let caption = AskedCaption {
            id,
            text: text.as_deref(),
        };
        judge.judge(&image, caption).map_err(refused)
    }
}

impl Service for SearchService {
    fn describe(&self) -> Description {
        let engine = &self.engine;
        let mut queries = vec![QueryKind::Like];
        if engine.embedder.reads_texts() {
            queries.push(QueryKind::Text);
        }
        if engine.embedder.reads_pictures() {
            queries.push(QueryKind::Image);
        }
        let images = engine.index.images();
        // The images of a split may all lack pictures that those of another have.
        let apart = (images.len() / LOOKED_AT).max(1);
        let mut some = images.rows().step_by(apart);
        let pictures = some.any(|row| images.item(row).is_ok_and(|item| item.picture.is_some()));
        let answers = &engine.about.answers;
        let is_calibrated = answers.text_to_image.is_some() || answers.image_to_text.is_some();
        Description {
            name: engine.about.name.clone(),
            version: self.version(),
            images: images.len() as u64,
            captions: engine.index.captions().len() as u64,
            dimensions: Some(images.dim() as u32),
            embeds: engine.embedder.reads_texts() || engine.embedder.reads_pictures(),
            judges: self.judge.is_some(),
            scores: engine.about.compared != super::about::Compared::Rescored,
            pictures,
            columns: columns(images),
            calibrated: is_calibrated,
            coverage: is_calibrated,
            queries,
        }
    }

    fn search(&self, queries: &[Query]) -> Vec<Result<Answer, Refusal>> {
        let questions: Vec<Question> = (queries.iter())
            .map(|query| Question {
                ask: match &query.ask {
                    Asked::Text(text) => Ask::Text(text.clone()),
                    Asked::Image(bytes) => Ask::Picture(bytes.clone()),
                    Asked::Like(id) => Ask::Like(id.clone()),
                },
                of: stored(query.of),
                top: query.top,
                filter: query.filter.clone(),
                coverage: query.coverage,
            })
            .collect();
        let found = self.engine.answer(&questions);
        let answers = queries.iter().zip(found);
        answers
            .map(|(query, found)| self.answer(query, found.map_err(refused)?))
            .collect()
    }

    fn embed(&self, inputs: &[EmbedInput]) -> Vec<Result<Vec<f32>, Refusal>> {
        let embedder = &self.engine.embedder;
        let one = |input: &EmbedInput| {
            let vectors = match input {
                EmbedInput::Text(text) => embedder.texts(std::slice::from_ref(text), Role::Asking),
                EmbedInput::Image(bytes) => embedder.picture(bytes.clone(), Role::Found),
            };
            Ok(vectors.map_err(refused)?.vectors.row(0).to_vec())
        };
        inputs.iter().map(one).collect()
    }

    fn score(&self, pairs: &[PairInput]) -> Vec<Result<PairScore, Refusal>> {
        pairs.iter().map(|pair| self.pair(pair)).collect()
    }

    fn item(&self, side: Side, id: &str) -> Result<Option<ItemView>, Refusal> {
        match self.gallery(side).find(id) {
            Some(row) => Ok(Some(self.view(side, row)?)),
            None => Ok(None),
        }
    }

    fn picture(&self, id: &str) -> Result<Option<Picture>, Refusal> {
        let Some(bytes) = self.bytes(id)? else {
            return Ok(None);
        };
        let format = PictureFormat::of(&bytes);
        let media_type = format
            .map_or("application/octet-stream", PictureFormat::media_type)
            .to_owned();
        Ok(Some(Picture { bytes, media_type }))
    }

    fn thumbnail(&self, id: &str, size: u32) -> Result<Option<Picture>, Refusal> {
        let Some(bytes) = self.bytes(id)? else {
            return Ok(None);
        };
        let Ok(picture) = decode(&bytes) else {
            return Ok(None);
        };
        let longest = picture.width().max(picture.height()) as f64;
        let share = (f64::from(size) / longest).min(1.0);
        let side = |length: usize| ((length as f64 * share).round() as usize).max(1);
        let small = resize(
            &picture,
            side(picture.width()),
            side(picture.height()),
            Filter::Bicubic,
        );
        let bytes = jpeg(&small, QUALITY).map_err(failed)?;
        Ok(Some(Picture {
            bytes,
            media_type: "image/jpeg".to_owned(),
        }))
    }
}

/// Items that are looked at for examples, and examples of a column.
const LOOKED_AT: usize = 200;
const EXAMPLES: usize = 3;

fn columns(gallery: &Gallery) -> Vec<Column> {
    let rows = gallery.rows().take(LOOKED_AT);
    let items: Vec<Item> = rows.filter_map(|row| gallery.item(row).ok()).collect();
    let column = |(name, kind): (String, ValueKind)| {
        let mut examples: Vec<String> = Vec::new();
        for value in items.iter().filter_map(|item| item.columns.get(&name)) {
            let text = written(value);
            if examples.len() < EXAMPLES && !examples.contains(&text) {
                examples.push(text);
            }
        }
        Column {
            name,
            kind: match kind {
                ValueKind::Bool => ColumnKind::Boolean,
                ValueKind::Int | ValueKind::Float => ColumnKind::Number,
                ValueKind::Text => ColumnKind::Text,
            },
            examples,
        }
    };
    gallery.columns().into_iter().map(column).collect()
}

/// A value as a filter writes it.
fn written(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn stored(side: Side) -> IndexSide {
    match side {
        Side::Images => IndexSide::Images,
        Side::Captions => IndexSide::Captions,
    }
}

fn cell(value: Value) -> Cell {
    match value {
        Value::Bool(value) => Cell::Boolean(value),
        Value::Int(value) => Cell::Integer(value),
        Value::Float(value) => Cell::Number(value),
        Value::Text(value) => Cell::Text(value),
    }
}

/// What cannot be answered as it was asked.
fn refused(error: anyhow::Error) -> Refusal {
    let text = render::chain(&error);
    let (message, hint) = split_hint(&text);
    Refusal::new(Reason::BadQuery, message, hint)
}

/// What failed although it was asked rightly.
fn failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(
        Reason::Failed,
        error.to_string(),
        "look whether the index is whole: `truepair index INDEX --check`",
    )
}

/// A message without the advice in its last brackets, and the advice.
fn split_hint(text: &str) -> (String, String) {
    let advice = text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once(" ("));
    match advice {
        Some((message, hint)) => (message.to_owned(), hint.to_owned()),
        None => (text.to_owned(), String::new()),
    }
}
