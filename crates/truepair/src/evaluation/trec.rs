//! Rankings and relevance as files of TREC's tools.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use truepair_core::ranking::{Found, Queries, top_items};
use truepair_core::scores::{Direction, Scorer};
use truepair_read::ranking::write_trec_run;
use truepair_read::relevance::write_qrels;

use super::{Judged, Ranker, Subject};
use crate::progress::Bars;
use crate::remote;
use crate::staged_file::StagedFile;

/// Queries whose lists are in memory at a time.
const QUERIES_AT_ONCE: usize = 1 << 14;

/// Arguments of the export.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TREC files")]
pub(crate) struct TrecArgs {
    /// Write the rankings as runs, one file per direction.
    #[arg(long, value_names = ["I2T", "T2I"], num_args = 2, value_parser = remote::output())]
    trec_run: Option<Vec<PathBuf>>,

    /// Write who is relevant to whom as qrels, one file per direction.
    #[arg(long, value_names = ["I2T", "T2I"], num_args = 2, value_parser = remote::output())]
    trec_qrels: Option<Vec<PathBuf>>,

    /// Items of every ranking to write.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "trec_run", value_parser = clap::value_parser!(u32).range(1..))]
    depth: u32,
}

const DIRECTIONS: [Direction; 2] = [Direction::ImageToText, Direction::TextToImage];

impl TrecArgs {
    /// The files that were asked for.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.trec_run.iter().chain(&self.trec_qrels).flatten()
    }

    /// Writes what was asked for; the files have no name yet.
    pub(crate) fn write(
        &self,
        subject: &Subject<'_>,
        judged: &Judged,
        bars: &mut Bars,
    ) -> Result<Vec<StagedFile>> {
        let mut staged = Vec::new();
        for (file, direction) in self.trec_run.iter().flatten().zip(DIRECTIONS) {
            let scorer = match &subject.ranker {
                Ranker::Scores(scorer) => scorer.as_ref(),
                Ranker::Lists(_) => bail!("--trec-run writes scores, and lists have none"),
            };
            let relevant = |query, item| judged.is_relevant(direction, query, item);
            staged.push(self.run(file, (scorer, direction), subject, relevant, bars)?);
        }
        for (file, direction) in self.trec_qrels.iter().flatten().zip(DIRECTIONS) {
            staged.push(qrels(file, direction, subject, judged)?);
        }
        Ok(staged)
    }

    /// One direction's rankings; `relevant` says whether an item answers a query.
    fn run(
        &self,
        file: &Path,
        (scorer, direction): (&dyn Scorer, Direction),
        subject: &Subject<'_>,
        relevant: impl Fn(u32, u32) -> bool + Copy + Sync,
        bars: &mut Bars,
    ) -> Result<StagedFile> {
        let (asking, gallery) = subject.sides(direction);
        let queries: Vec<u32> = (0..asking.len() as u32).collect();
        let tag = subject.protocol.data.replace(char::is_whitespace, "_");
        StagedFile::write(file, |out| {
            for items in queries.chunks(QUERIES_AT_ONCE) {
                let queries = Queries { direction, items };
                let top = top_items(scorer, queries, self.depth as usize, bars, relevant)?;
                for (&query, found) in items.iter().zip(&top) {
                    let found: &[Found] = found;
                    write_trec_run(out, asking.name(query), found, gallery, &tag)?;
                }
            }
            Ok(())
        })
    }
}

fn qrels(
    file: &Path,
    direction: Direction,
    subject: &Subject<'_>,
    judged: &Judged,
) -> Result<StagedFile> {
    let (asking, gallery) = subject.sides(direction);
    let relevance = judged.listed(direction);
    StagedFile::write(file, |out| {
        Ok(write_qrels(out, &relevance, direction, asking, gallery)?)
    })
}
