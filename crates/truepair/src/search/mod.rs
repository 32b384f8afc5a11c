//! Searching: an index of images and captions, what embeds its queries, and what its scores mean.

mod about;
mod answer;
mod build;
mod calibrate;
mod elsewhere;
mod engine;
mod locator;
mod pair_judge;
mod rerank;
mod service;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use about::{Compared, IndexAbout};
pub(crate) use answer::{Found, SearchAnswer};
pub(crate) use build::{Additions, Columns, best_caption, caption_names, captions_of};
pub(crate) use calibrate::{Calibration, calibrate};
pub(crate) use elsewhere::Elsewhere;
pub(crate) use engine::{Ask, Engine, Question};
pub(crate) use locator::PictureLocator;
pub(crate) use pair_judge::PairJudge;
pub(crate) use service::SearchService;
pub(crate) use source::DataSource;
