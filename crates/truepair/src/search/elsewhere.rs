//! The images of an index on a vector database that runs already, or as files that other tools open.

use std::path::Path;

use anyhow::{Result, bail};
use truepair_index::{Condition, Filter as IndexFilter, Index, Measure, Value as IndexValue};
use truepair_vectordb::{
    Address, ColumnKinds, Comparison, Filter, Hit, Layout, Query, Record, Search, Upload, Uploaded,
    VECTOR_FILES, Value, VectorStore, VectorWriter, is_variable, open_file, open_store, upload,
};

use super::build::{P_MISMATCHED, best_captions, p_mismatched};
use super::locator::PictureLocator;
use crate::progress::Bars;

/// A store of vectors that is not ours.
pub(crate) enum Elsewhere {
    Store(Box<dyn VectorStore>),
    File(Box<dyn VectorWriter>),
}

impl Elsewhere {
    /// Opens what an address names; columns of files are those of `index`.
    ///
    /// # Errors
    /// If nothing has such an address.
    pub(crate) fn open(address: &str, index: &Index) -> Result<Self> {
        if let Some((name, path)) = address.split_once(':')
            && VECTOR_FILES.iter().any(|row| row.name == name)
        {
            let mut kinds = ColumnKinds::default();
            for row in index.images().rows() {
                kinds.learn(&record(index, row)?);
            }
            return Ok(Self::File(open_file(name, Path::new(path), &kinds)?));
        }
        let variables: Vec<(String, String)> = std::env::vars()
            .filter(|(name, _)| is_variable(name))
            .collect();
        Ok(Self::Store(open_store(
            &Address::parse(address)?,
            &variables,
        )?))
    }

    /// Sends the images of an index; `progress` remembers what was confirmed.
    ///
    /// # Errors
    /// If the store cannot be reached or holds something else.
    pub(crate) fn take(
        &mut self,
        index: &Index,
        progress: &Path,
        bars: &mut Bars,
    ) -> Result<Uploaded> {
        let rows: Vec<usize> = index.images().rows().collect();
        let options = Upload {
            n_records: rows.len() as u64,
            progress: Some(progress),
            ..Upload::default()
        };
        let mut records = rows.into_iter().map(|row| record(index, row));
        let layout = layout(index);
        Ok(match self {
            Self::Store(store) => upload(store.as_mut(), &layout, &mut records, &options, bars)?,
            Self::File(file) => upload(file.as_mut(), &layout, &mut records, &options, bars)?,
        })
    }

    /// The images nearest to a vector, by their ids and with their scores.
    ///
    /// # Errors
    /// If it is a file, the filter is one that engines do not know, or the store fails.
    pub(crate) fn search(
        &mut self,
        index: &Index,
        vector: &[f32],
        k: usize,
        filter: Option<&IndexFilter>,
        is_exact: bool,
    ) -> Result<Vec<Hit>> {
        let Self::Store(store) = self else {
            bail!("files are searched by the tools that open them (name a database)")
        };
        let query = match index.settings().measure {
            Measure::InnerProduct => Query {
                vector: vector.to_vec(),
                total_variance: None,
            },
            // What the asking item adds to every score, its offset, is added later.
            Measure::SquaredDistance if vector.last().is_some_and(|last| *last != 0.0) => bail!(
                "the run compares deviations with deviations, which databases are not asked for (search the index \
                 itself)"
            ),
            Measure::SquaredDistance => Query {
                vector: vector[..vector.len() - 1].to_vec(),
                total_variance: Some(0.0),
            },
        };
        let search = Search {
            k,
            filter: filter
                .map(|filter| translated(&filter.condition()))
                .transpose()?,
            is_exact,
        };
        Ok(store.search(&[query], &search)?.pop().unwrap_or_default())
    }
}

fn layout(index: &Index) -> Layout {
    let settings = index.settings();
    match settings.measure {
        Measure::InnerProduct => Layout::embeddings(settings.dim),
        Measure::SquaredDistance => Layout::gaussians(settings.dim - 1),
    }
}

/// An image with its first caption, or the one that an audit holds matched best.
fn record(index: &Index, row: usize) -> truepair_core::Result<Record> {
    let images = index.images();
    let item = images.item(row)?;
    let mut vector = images.vector(row)?;
    let total_variance = match index.settings().measure {
        Measure::InnerProduct => None,
        Measure::SquaredDistance => vector.pop().map(|root| root * root),
    };
    let (caption, caption_vector) = match best_captions(index, &item.id).into_iter().next() {
        Some((row, caption)) => (caption.text, Some(index.captions().vector(row)?)),
        None => (None, None),
    };
    let picture = item.picture.as_deref().and_then(PictureLocator::parse);
    Ok(Record {
        picture: picture.map(|locator| locator.file().display().to_string()),
        p_mismatched: p_mismatched(&item),
        columns: item
            .columns
            .into_iter()
            .filter(|(name, _)| name != P_MISMATCHED)
            .map(|(name, one)| (name, value(one)))
            .collect(),
        id: item.id,
        caption,
        vector,
        total_variance,
        caption_vector,
    })
}

fn value(value: IndexValue) -> Value {
    match value {
        IndexValue::Bool(value) => Value::Bool(value),
        IndexValue::Int(value) => Value::Int(value),
        IndexValue::Float(value) => Value::Float(value),
        IndexValue::Text(value) => Value::Text(value),
    }
}

/// A filter as engines know it.
fn translated(condition: &Condition) -> Result<Filter> {
    let all = |parts: &[Condition]| parts.iter().map(translated).collect::<Result<Vec<_>>>();
    Ok(match condition {
        Condition::All(parts) => Filter::And(all(parts)?),
        Condition::Any(parts) => Filter::Or(all(parts)?),
        Condition::Not(part) => Filter::Not(Box::new(translated(part)?)),
        Condition::Compare {
            column,
            sign,
            value: right,
        } => Filter::compare(named(column), comparison(sign), value(right.clone())),
        Condition::In { column, values } => Filter::In {
            column: named(column).to_owned(),
            values: values.iter().cloned().map(value).collect(),
        },
        Condition::Missing(_) | Condition::Contains { .. } => bail!(
            "`missing` and `contains` are not asked of databases, which answer them differently (compare by =, !=, <, \
             <=, >, >= or in)"
        ),
    })
}

/// The name that records have for a column of the index.
fn named(column: &str) -> &str {
    if column == "text" { "caption" } else { column }
}

fn comparison(sign: &str) -> Comparison {
    let all = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::AtMost,
        Comparison::Greater,
        Comparison::AtLeast,
    ];
    let found = all.into_iter().find(|comparison| comparison.sign() == sign);
    found.expect("both languages have the same signs")
}
