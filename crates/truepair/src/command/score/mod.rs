//! `truepair score`: any list of pairs, each with its score and the probability that it is mismatched.

mod asked;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::audit::{AuditOptions, Fold, Later, Links, NewFindings, judge_fold, judge_new};
use truepair_core::pair::Pair;
use truepair_core::rng::Seed;
use truepair_core::scores::{Scorer, score_pairs};

use asked::{AskedPairs, Joined};
pub(super) use table::{Ending, ScoredPair, write as write_table};

use crate::audit::KeptAudit;
use crate::embedder::{Embedder, EmbedderSource};
use crate::encoded::Encoders;
use crate::exit::Exit;
use crate::output::Output;
use crate::output_names::{check_not_data, check_targets};
use crate::progress::Bars;
use crate::read_args::ReadArgs;
use crate::render::{self, Form, percent_text};
use crate::run_folder;
use crate::search::DataSource;
use crate::{data, remote};

const EXAMPLES: &str = "\
Examples:
  truepair score --run runs/words pairs.tsv --data data/ --split test --out scored.csv
      Pairs of the data's images and captions, or of its images and new texts.
  truepair score --run runs/words pairs.tsv --out scored.parquet
      With the data of the run.
  truepair score --audit audit/ pairs.tsv --out judged.csv
      By the matchers that an audit kept, with the data that it audited.
  truepair score pairs.csv --data embeddings/ --split test --out scored.jsonl
      Embeddings of one space, compared by cosine.";

/// Arguments of `truepair score`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ScoreArgs {
    /// Table of pairs (CSV, TSV, JSON or parquet) with the columns `image`, an id of the data, and
    /// `caption`: a text, ID#N for the caption N of an image, from 0, or the row of a caption.
    pairs: PathBuf,

    /// Run directory whose matcher scores; without one embeddings are compared as they are.
    #[arg(long, value_name = "RUN")]
    run: Option<PathBuf>,

    /// Audit whose matchers score, by what it found.
    #[arg(long, value_name = "AUDIT", conflicts_with_all = ["run", "image_encoder", "text_encoder"])]
    audit: Option<PathBuf>,

    /// Data with the images, whose own pairs say how matched pairs rank; that of the run or audit by
    /// default.
    #[arg(long, value_name = "PATH", required_unless_present_any = ["run", "audit"])]
    data: Option<PathBuf>,

    /// Split of the data [default: test; the audited one with --audit]. Pairs that trained the run say
    /// nothing of others.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,

    /// File to write: .csv, .jsonl or .parquet.
    #[arg(long, value_name = "FILE", value_parser = remote::output())]
    out: PathBuf,

    /// Where all randomness comes from; an audit keeps its own.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "audit")]
    seed: u64,

    #[command(flatten)]
    encoders: Encoders,

    #[command(flatten)]
    read: ReadArgs,
}

/// The JSON object that `truepair score --json` prints.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ScoreResult {
    command: String,
    version: String,
    /// Pairs that were scored.
    pairs: usize,
    /// Those that are more likely mismatched than not, and those of which it cannot be told.
    mismatched: usize,
    unknown: usize,
    /// Share of mismatches that the probabilities of the list add up to; absent where nothing can be told.
    rate: Option<f64>,
    /// Pairs of the data that say how matched pairs rank.
    reference: usize,
    /// Why nothing can be told.
    open: Option<String>,
    outputs: Vec<PathBuf>,
}

impl Output for ScoreResult {
    const SCHEMA: &'static str = "truepair/score/1";
}

impl ScoreArgs {
    fn split(&self) -> &str {
        self.split.as_deref().unwrap_or("test")
    }

    fn outputs(&self) -> &[PathBuf] {
        std::slice::from_ref(&self.out)
    }

    /// What is read besides the data.
    fn inputs(&self) -> Vec<PathBuf> {
        let named = [Some(&self.pairs), self.run.as_ref(), self.audit.as_ref()];
        named.into_iter().flatten().cloned().collect()
    }
}

/// Pairs with their scores and what is said of them.
struct Judged {
    scores: Vec<f32>,
    found: Option<NewFindings>,
    /// Pairs of the data that say how matched pairs rank.
    reference: usize,
    /// Why nothing is said.
    open: Option<String>,
}

pub(crate) fn run(args: &ScoreArgs, form: Form) -> Result<Exit> {
    let ending = Ending::of(&args.out)?;
    check_targets(args.outputs(), &args.inputs())?;
    let asked = AskedPairs::read(&args.pairs)?;
    let mut bars = Bars::new();
    let judged = match &args.audit {
        Some(audit) => by_audit(args, &asked, audit, &mut bars)?,
        None => by_matcher(args, &asked, &mut bars)?,
    };
    let found = judged.found.as_ref();
    let rows = asked.rows().zip(&judged.scores).enumerate();
    let rows = rows.map(|(at, ((image, caption), score))| {
        let verdict = found.map(|found| found.verdicts[at]);
        ScoredPair {
            image,
            caption,
            score: *score,
            p_mismatched: verdict.and_then(|verdict| verdict.posterior),
            judgment: verdict.map_or("unknown", |verdict| verdict.name()),
            ranks: verdict.map(|verdict| verdict.ranks),
        }
    });
    let rows: Vec<ScoredPair<'_>> = rows.collect();
    let count = |name: &str| rows.iter().filter(|row| row.judgment == name).count();
    let result = ScoreResult {
        command: "score".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pairs: rows.len(),
        mismatched: count("mismatched"),
        unknown: count("unknown"),
        rate: found
            .filter(|found| found.open.is_none())
            .map(|found| found.rate),
        reference: judged.reference,
        open: judged.open,
        outputs: vec![write_table(&args.out, ending, &rows)?],
    };
    form.print(&result, || text(&result))?;
    Ok(Exit::Success)
}

/// By the matchers that an audit kept.
fn by_audit(args: &ScoreArgs, asked: &AskedPairs, audit: &Path, bars: &mut Bars) -> Result<Judged> {
    let kept = KeptAudit::open(audit)?;
    let data = args.data.as_deref().unwrap_or(&kept.source.data);
    let mut source = kept.source.like(data, &args.read)?;
    if let Some(split) = &args.split {
        source = source.of_split(split);
    }
    let dataset = source.open(bars)?;
    check_not_data(args.outputs(), &dataset)?;
    render::note(&data::describe(&dataset));
    let joined = asked.join(dataset, &|texts| kept.texts(texts))?;
    let later = kept.judge(&joined.dataset, joined.n_reference, bars)?;
    Ok(Judged {
        scores: later.scores,
        reference: later.found.reference.verdicts.len(),
        open: later.found.open.clone(),
        found: Some(later.found),
    })
}

/// By a run, or by embeddings as they are.
fn by_matcher(args: &ScoreArgs, asked: &AskedPairs, bars: &mut Bars) -> Result<Judged> {
    let source = EmbedderSource::new(args.run.as_deref(), &args.encoders)?;
    let data = match (&args.run, &args.data) {
        (Some(run), given) => DataSource::of_run(run, given.as_deref(), &args.read)?,
        (None, Some(data)) => {
            DataSource::of_data(data, &args.read, &args.encoders, Some(args.split()), bars)?
        }
        (None, None) => bail!("name the data with --data"),
    };
    let dataset = data.of_split(args.split()).open(bars)?;
    check_not_data(args.outputs(), &dataset)?;
    render::note(&data::describe(&dataset));
    let embedder = Embedder::open(&source)?;
    let joined = asked.join(dataset, &|texts| embedder.text_features(texts))?;
    let scorer = joined.scorer(&embedder, bars)?;
    let new: Vec<Pair> = joined.dataset.pairs[joined.n_reference..].to_vec();
    let scores = score_pairs(scorer.as_ref(), &new)?;
    let judged = judged(args, &joined, (scorer.as_ref(), &embedder), bars);
    let (found, open) = match judged {
        Ok(found) => {
            let open = found.open.clone();
            (Some(found), open)
        }
        Err(error) => (None, Some(render::chain(&error))),
    };
    Ok(Judged {
        scores,
        found,
        reference: joined.n_reference,
        open,
    })
}

fn judged(
    args: &ScoreArgs,
    joined: &Joined,
    (scorer, embedder): (&dyn Scorer, &Embedder),
    bars: &mut Bars,
) -> Result<NewFindings> {
    if args
        .run
        .as_deref()
        .is_some_and(|run| !run_folder::never_saw(run, args.split()))
    {
        bail!(
            "the run was trained on the split {}, so how its pairs rank says nothing of others (give a split that it \
             never saw)",
            args.split()
        )
    }
    let pairs = &joined.dataset.pairs;
    let links = Links::of(&joined.dataset)?;
    let options = AuditOptions {
        near_misses: false,
        ..AuditOptions::default()
    };
    let all: Vec<u32> = (0..pairs.len() as u32).collect();
    let fold = Fold {
        scorer,
        pairs,
        judged: &all,
        links: &links,
        cells: None,
        plan: None,
    };
    let seed = Seed(args.seed);
    let statistics = judge_fold(&fold, &options, seed, bars)?;
    let unread = match &joined.dataset.captions {
        Some(texts) => texts.iter().map(|text| !embedder.knows(text)).collect(),
        None => Vec::new(),
    };
    let later = Later {
        pairs,
        first: joined.n_reference,
        links: &links,
        unread_captions: &unread,
    };
    Ok(judge_new(&later, &[statistics], &options, seed)?)
}

fn text(result: &ScoreResult) -> String {
    let mut rows = vec![("pairs", render::count(result.pairs, "pair"))];
    match &result.open {
        Some(reason) => rows.push(("judged", format!("none: {reason}"))),
        None => {
            let rate = result.rate.map(percent_text).unwrap_or_default();
            let text = format!(
                "{} mismatched, {} cannot be told; probabilities add up to {rate}",
                result.mismatched, result.unknown
            );
            rows.push(("judged", text));
            let text = format!(
                "{} of the data say how matched pairs rank",
                render::count(result.reference, "pair")
            );
            rows.push(("by", text));
        }
    }
    render::fields(&rows) + &render::written_text(&result.outputs)
}
