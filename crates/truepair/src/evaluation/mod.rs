//! What `truepair eval` does beyond the libraries' figures: foreign rankings, judgments from files,
//! a table of every query, a page of the hardest ones, and files of TREC's tools.

mod earlier;
pub(crate) mod judging;
mod open;
pub(crate) mod outcome;
mod page;
mod query_table;
mod trec;

pub(crate) use earlier::Earlier;
pub(crate) use judging::{Judged, JudgingArgs};
pub(crate) use open::{Foreign, ForeignArgs};
pub(crate) use page::{PageArgs, PageSubject, render as render_page};
pub(crate) use query_table::write_parquet;
pub(crate) use trec::TrecArgs;

use std::path::PathBuf;

use truepair_core::diagnosis::Diagnosis;
use truepair_core::metric::{Protocol, Source};
use truepair_core::ranking::RankedLists;
use truepair_core::relevance::{Ids, Relevance};
use truepair_core::scores::{Direction, Scorer};

use crate::occlusion::Occlusion;
use crate::uncertainty::Doubts;

/// What is evaluated, with everything that is known of its images and captions.
pub(crate) struct Subject<'a> {
    pub(crate) ranker: Ranker<'a>,
    /// Which captions belong to which images.
    pub(crate) pairs: Relevance,
    pub(crate) images: Ids,
    pub(crate) captions: Ids,
    /// The captions' texts, where they are known.
    pub(crate) texts: Option<Vec<String>>,
    /// The class of every image, -1 = none, where the data says it.
    pub(crate) labels: Option<Vec<i64>>,
    /// Where each picture lies; empty when the data has none.
    pub(crate) pictures: Vec<Option<PathBuf>>,
    pub(crate) protocol: Protocol,
    /// How uncertain its items are to a matcher with Gaussian embeddings.
    pub(crate) doubts: Option<Doubts>,
    /// How uncertain it grows while parts of its items are erased, when that was asked.
    pub(crate) occlusion: Option<Occlusion>,
    /// What stands out in the data that is evaluated.
    pub(crate) diagnoses: Vec<Diagnosis>,
}

/// What ranks the items.
pub(crate) enum Ranker<'a> {
    Scores(Box<dyn Scorer + 'a>),
    Lists(RankedLists),
}

impl Subject<'_> {
    pub(crate) fn source(&self) -> Source<'_> {
        match &self.ranker {
            Ranker::Scores(scorer) => Source::Scores(scorer.as_ref()),
            Ranker::Lists(lists) => Source::Lists(lists),
        }
    }

    /// Names of the side that asks and of the side that answers.
    pub(crate) fn sides(&self, direction: Direction) -> (&Ids, &Ids) {
        match direction {
            Direction::ImageToText => (&self.images, &self.captions),
            Direction::TextToImage => (&self.captions, &self.images),
        }
    }
}
