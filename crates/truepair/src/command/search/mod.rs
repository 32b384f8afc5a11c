//! `truepair search`: the nearest items of an index, with what their scores mean.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args, ValueEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::source_file;
use truepair_index::{Side, Value};

use crate::exit::Exit;
use crate::output::Output;
use crate::output_names::check_targets;
use crate::remote;
use crate::render::{self, Form, percent_text};
use crate::search::{Ask, Elsewhere, Engine, Found, Question, SearchAnswer, best_caption};
use crate::staged_file::StagedFile;

const EXAMPLES: &str = "\
Examples:
  truepair search index/ \"a dog on a beach\"
      Images for words, by the run's own text side or the text encoder of the index.
  truepair search index/ --image holiday.jpg
      Captions for a picture.
  truepair search index/ --like 17.jpg --top 5
      Images like an image of the index.
  truepair search index/ \"a dog\" --where 'source = \"web\" and width > 512'
      Only items whose columns say so.
  truepair search index/ \"a dog\" --coverage 0.9
      The smallest set of hits that holds a right answer for nine questions in ten.
  truepair search index/ \"a dog\" --page hits.html
      The hits with their pictures.";

/// Arguments of `truepair search`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("question").required(true).args(["text", "image", "like"])))]
pub(crate) struct SearchArgs {
    /// Index that `truepair index` made.
    index: PathBuf,

    /// What is looked for, in words.
    text: Option<String>,

    /// What is looked for, as a picture.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,

    /// What is looked for, as the id of an item of the index.
    #[arg(long, value_name = "ID")]
    like: Option<String>,

    /// What is wanted [default: captions for a picture where there are some, images otherwise].
    #[arg(long, value_name = "SIDE")]
    of: Option<SideChoice>,

    /// Hits wanted.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    top: u32,

    /// Only items whose columns say so, such as `source = "web" and width > 512`; also <, >=, !=, `in
    /// (1, 2)`, `contains`, `missing(license)`, `or`, `not`.
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,

    /// Give the smallest set of hits that holds a right answer for this share of the questions, above 0
    /// and below 1; all of the set is given, whatever --top says.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    coverage: Option<f64>,

    /// Ask the database that the index was sent to (`truepair index INDEX --to ADDRESS`).
    #[arg(long, value_name = "ADDRESS")]
    on: Option<String>,

    /// Look at every row even where the index has a graph of neighbors.
    #[arg(long)]
    exact: bool,

    /// Write a page with the hits and their pictures.
    #[arg(long, value_name = "FILE.html", value_parser = remote::output())]
    page: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SideChoice {
    Images,
    Captions,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number, such as 0.9")?;
    if share > 0.0 && share < 1.0 {
        return Ok(share);
    }
    Err("expected a share above 0 and below 1, such as 0.9".to_owned())
}

/// The JSON object that `truepair search --json` prints.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SearchResult {
    command: String,
    version: String,
    index: PathBuf,
    /// Counts every change of the index.
    index_version: u64,
    /// What was asked: the words, the picture's file or the id.
    query: String,
    /// `images` or `captions`.
    of: String,
    hits: Vec<HitRow>,
    /// Probability that nothing in the index answers, were questions with and without an answer equally
    /// frequent; absent where the index does not know what its scores mean.
    p_nothing: Option<f64>,
    /// Whether fewer than one answerable question in twenty looks as hopeless.
    nothing_here: Option<bool>,
    /// Whether the hits are those of looking at every row.
    exact: bool,
    /// What whoever reads the numbers should know.
    notes: Vec<String>,
    /// Files that were written.
    outputs: Vec<PathBuf>,
}

/// One item that was found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct HitRow {
    /// From 1.
    rank: usize,
    id: String,
    /// Larger is more similar; comparable within one question only.
    score: f32,
    /// Probability that the item answers.
    p_relevant: Option<f64>,
    /// Whether it belongs to the answer set of the coverage asked for.
    in_answer: Option<bool>,
    /// The caption, or a caption of the image.
    text: Option<String>,
    /// Columns of metadata.
    columns: BTreeMap<String, serde_json::Value>,
}

impl Output for SearchResult {
    const SCHEMA: &'static str = "truepair/search/1";
}

pub(crate) fn run(args: &SearchArgs, form: Form) -> Result<Exit> {
    let page = args.page.as_slice();
    let inputs = [Some(&args.index), args.image.as_ref()];
    let inputs: Vec<PathBuf> = inputs.into_iter().flatten().cloned().collect();
    check_targets(page, &inputs)?;
    let engine = Engine::open(&args.index)?.exhaustive(args.exact);
    check_targets(page, engine.about.embedder.run.as_slice())?;
    let (ask, query) = ask(args)?;
    let of = of(args, &engine, &ask);
    let question = Question {
        ask,
        of,
        top: args.top as usize,
        filter: args.filter.clone(),
        coverage: args.coverage,
    };
    let mut answer = match &args.on {
        Some(address) => {
            engine.answer_elsewhere(&question, &mut Elsewhere::open(address, &engine.index)?)?
        }
        None => {
            let answer = engine.answer(std::slice::from_ref(&question)).pop();
            answer.context("one question has one answer")??
        }
    };
    if args.coverage.is_some() {
        answer.hits.retain(|hit| hit.in_answer == Some(true));
    }
    let mut result = SearchResult {
        command: "search".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        index: args.index.clone(),
        index_version: engine.index.version(),
        query,
        of: of.name().to_owned(),
        hits: rows(&engine, of, &answer)?,
        p_nothing: answer.p_nothing,
        nothing_here: answer.nothing_here,
        exact: engine.is_exact() && (args.on.is_none() || args.exact),
        notes: answer.notes.clone(),
        outputs: Vec::new(),
    };
    if let Some(file) = &args.page {
        let page = page::render(&engine, of, &answer, &result)?;
        let staged = StagedFile::write(file, |out| {
            Ok(std::io::Write::write_all(out, page.as_bytes())?)
        })?;
        result.outputs.push(staged.publish()?);
    }
    form.print(&result, || text(&result))?;
    Ok(Exit::Success)
}

fn ask(args: &SearchArgs) -> Result<(Ask, String)> {
    Ok(match (&args.text, &args.image, &args.like) {
        (Some(text), _, _) if text.trim().is_empty() => {
            bail!("the question is empty (say what you look for)")
        }
        (Some(text), _, _) => (Ask::Text(text.clone()), text.clone()),
        (_, Some(file), _) => {
            let place = file.display().to_string();
            let bytes = source_file::read(file, source_file::PICTURE)
                .with_context(|| format!("{place}: cannot read"))?;
            (Ask::Picture(bytes), place)
        }
        (_, _, Some(id)) => (Ask::Like(id.clone()), id.clone()),
        (None, None, None) => bail!("say what you look for"),
    })
}

fn of(args: &SearchArgs, engine: &Engine, ask: &Ask) -> Side {
    match (args.of, ask) {
        (Some(SideChoice::Images), _) => Side::Images,
        (Some(SideChoice::Captions), _) => Side::Captions,
        (None, Ask::Picture(_)) if !engine.index.captions().is_empty() => Side::Captions,
        (None, Ask::Like(id)) if engine.index.images().find(id).is_none() => Side::Captions,
        (None, _) => Side::Images,
    }
}

fn rows(engine: &Engine, of: Side, answer: &SearchAnswer) -> Result<Vec<HitRow>> {
    let row = |(at, hit): (usize, &Found)| {
        let item = engine.index.gallery(of).item(hit.row)?;
        let text = match of {
            Side::Captions => item.text,
            Side::Images => best_caption(&engine.index, &item.id),
        };
        Ok(HitRow {
            rank: at + 1,
            id: item.id,
            score: hit.score,
            p_relevant: hit.p_relevant,
            in_answer: hit.in_answer,
            text,
            columns: item
                .columns
                .into_iter()
                .map(|(name, value)| (name, json(value)))
                .collect(),
        })
    };
    answer.hits.iter().enumerate().map(row).collect()
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Float(value) => value.into(),
        Value::Text(value) => value.into(),
    }
}

/// Letters of a text in the table.
const SHOWN: usize = 60;

fn text(result: &SearchResult) -> String {
    let mut out = String::new();
    if result.nothing_here == Some(true) {
        out.push_str(
            "Nothing here seems to match: at most one answerable question in twenty looks as hopeless. The nearest:\n\n",
        );
    }
    let is_calibrated = result.hits.iter().any(|hit| hit.p_relevant.is_some());
    let mut head = vec!["", "score", "relevant", "id", "text"];
    if !is_calibrated {
        head.remove(2);
    }
    let mut table = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for hit in &result.hits {
        let mut row = vec![hit.rank.to_string(), format!("{:.4}", hit.score)];
        if is_calibrated {
            row.push(hit.p_relevant.map(percent_text).unwrap_or_default());
        }
        row.extend([
            hit.id.clone(),
            shortened(hit.text.as_deref().unwrap_or_default()),
        ]);
        table.push(row);
    }
    if result.hits.is_empty() {
        out.push_str("No item passes.\n");
    } else {
        out.push_str(&render::table(&table));
    }
    for note in &result.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    if !result.outputs.is_empty() {
        out.push_str(&render::written_text(&result.outputs));
    }
    out
}

fn shortened(text: &str) -> String {
    let one_line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &one_line[..end]),
        None => one_line,
    }
}
