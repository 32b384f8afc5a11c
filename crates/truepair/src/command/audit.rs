//! `truepair audit`: a calibrated probability for every pair that it is mismatched.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use truepair_core::audit::{
    InjectedKind, Injection, InjectionKind, Kinds, NoiseRate, Reading, Rule, SelfCheck,
};
use truepair_core::noise::NoiseSpec;
use truepair_core::rng::Seed;
use truepair_read::dataset::{self, ReadOptions, Unchanged, check_form};
use truepair_train::{AuditMatcher, CrossFitConfig};

use super::extend::{self, Extension};
use super::gate::GateArgs;
use super::output_args::OutputArgs;
use crate::audit::{self, AuditSummary, Audited, Believer, Judge, Request, TakenOver, TypedSource};
use crate::config::ConfigArgs;
use crate::encoded::{Encoded, Encoders, LoadedEncoders};
use crate::exit::Exit;
use crate::progress::Bars;
use crate::read_args::ReadArgs;
use crate::render::{self, Form, count, fields, percent_text};
use crate::run_folder::RunJob;
use crate::search::DataSource;
use crate::several::{are_embeddings, one_path};
use crate::write_args::WriteArgs;
use crate::{data, drop_rule, remote};

const EXAMPLES: &str = "\
Examples:
  truepair audit data/ --out audit/
      Fit matchers that never see the pairs they judge, and write report, verdicts, cleaned list.
  truepair audit photos/ --image-encoder clip/onnx/vision_model.onnx \\
      --text-encoder clip/onnx/text_model.onnx --out audit/
      Pictures with captions, embedded first, once: the cache keeps the embeddings.
  truepair audit embeddings/ --frozen --out audit/
      Judge image and caption embeddings of one space (CLIP, SigLIP) as they are.
  truepair audit images.npy captions.npy --frozen --out audit/
      The same from two matrices; caption rows follow their images evenly, or as --pairs says.
  truepair audit pairs.csv --features images.npy --drop-rule good:0.01 --out audit/
      Lose at most one good pair in a hundred when cleaning.
  truepair audit data/ --noise caption:0.4 --seed 1 --json
      Shuffle 40 % of the captions first, and measure the audit against that truth.
  truepair audit data/ --inject random:0.2,near:0.1,illegible:0.1
      Check the audit on your own data: change that share as well and see how each kind is judged.
  truepair audit data/ --extend audit/ --out audit-2/
      Judge only the pairs that came since, by what that audit kept, or say that it no longer fits.
  truepair audit --from-run runs/gsc --out audit/
      What a finished run believes about the pairs it trained on, as verdicts (not calibrated).
  truepair audit data/ --fail-above 0.05
      Exit with 1 when more than 5 % of the pairs are certainly mismatched (the interval's lower
      end; `--fail-on high` fails as soon as more than 5 % may be).";

/// Arguments of `truepair audit`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AuditArgs {
    /// Folder or file with the pairs, or its s3://, gs://, az:// or http(s):// address; several tar archives
    /// (or `shards/{000..012}.tar`); or a file of image embeddings and one of caption embeddings (.npy,
    /// .npz, .safetensors).
    #[arg(required_unless_present = "from_run")]
    data: Vec<PathBuf>,

    /// Split to audit.
    #[arg(
        long,
        default_value = "train",
        value_name = "NAME",
        conflicts_with = "from_run"
    )]
    split: String,

    #[command(flatten)]
    output: OutputArgs,

    /// Judge only the pairs of DATA that this audit has not seen, by the matchers and pairs that it kept.
    #[arg(long, value_name = "AUDIT", conflicts_with_all = ["from_run", "frozen", "matcher", "folds", "repeats", "no_refit", "fast", "noise", "inject", "split", "seed", "drop_rule", "fail_above", "image_encoder", "text_encoder"])]
    extend: Option<PathBuf>,

    /// Which pairs the cleaned list drops: `errors` (those more likely mismatched than not),
    /// `good:SHARE` (lose at most this share of good pairs), `bad:SHARE` (leave at most this share
    /// of bad pairs).
    #[arg(long, value_name = "RULE", default_value = "errors", value_parser = drop_rule::parse)]
    drop_rule: Rule,

    /// Copy the files that the cleaned list takes over unchanged, so that its folder stands alone;
    /// they are relative links otherwise.
    #[arg(long, requires = "out")]
    copy: bool,

    #[command(flatten)]
    write: WriteArgs,

    #[command(flatten)]
    gate: GateArgs,

    /// Where all randomness comes from.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        conflicts_with = "from_run"
    )]
    seed: u64,

    #[command(flatten)]
    matcher: MatcherArgs,

    /// Plant noise first and measure the audit against it: `caption:SHARE`, `image:SHARE` or a
    /// published noise file.
    #[arg(
        long,
        value_name = "NOISE",
        default_value = "none",
        help_heading = "Checking the audit",
        conflicts_with = "from_run"
    )]
    noise: NoiseSpec,

    /// Audit a second time with further changes, and report how each kind is judged: `random:SHARE`
    /// (captions exchanged), `near:SHARE` (moved to an image like their own), `illegible:SHARE`
    /// (captions that say nothing, which must not be called mismatched); a share alone is random.
    #[arg(
        long,
        value_name = "KIND:SHARE",
        value_delimiter = ',',
        help_heading = "Checking the audit",
        conflicts_with = "from_run"
    )]
    inject: Vec<Injection>,

    #[command(flatten)]
    encoders: Encoders,

    #[command(flatten)]
    read: ReadArgs,
}

/// Where the scores come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scores")]
struct MatcherArgs {
    /// Compare the given embeddings by cosine as they are, and train nothing.
    #[arg(long, conflicts_with_all = ["folds", "repeats", "no_refit"])]
    frozen: bool,

    /// Take the beliefs of a finished run about the pairs it was trained on, instead of judging them
    /// by matchers that never saw them. DATA is the run's own unless it is given.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["frozen", "folds", "repeats", "no_refit", "image_encoder", "text_encoder"])]
    from_run: Option<PathBuf>,

    /// What judges: `linear` (a closed form, seconds), `network` (trained as `--set recipe...` says)
    /// or `both`, averaged [default: linear; network where images are pictures].
    #[arg(long, value_name = "KIND", value_parser = matcher_kind, conflicts_with_all = ["frozen", "from_run"])]
    matcher: Option<AuditMatcher>,

    /// Number of folds; each is judged by matchers trained on the others [default: 3].
    #[arg(long, value_name = "K")]
    folds: Option<usize>,

    /// How often the data is cut afresh and judged by new matchers [default: 2].
    #[arg(long, value_name = "R")]
    repeats: Option<usize>,

    /// Train on all pairs, without a first round that finds those that look mismatched.
    #[arg(long)]
    no_refit: bool,

    /// Leave out the search for near misses, which takes about half of the time.
    #[arg(long)]
    fast: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

fn matcher_kind(text: &str) -> Result<AuditMatcher, String> {
    let kinds = AuditMatcher::ALL;
    let found = kinds.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| format!("choose from {}", kinds.map(AuditMatcher::name).join(", ")))
}

impl MatcherArgs {
    fn judge(&self) -> Result<Judge> {
        Ok(match &self.from_run {
            Some(run) => Judge::Run(Believer::open(run)?),
            None if self.frozen => Judge::Frozen,
            None => Judge::CrossFitted,
        })
    }

    /// The configuration with what the flags say on top.
    fn config(&self) -> Result<CrossFitConfig> {
        let mut config: CrossFitConfig = self.config.load(&[])?;
        config.folds = self.folds.unwrap_or(config.folds);
        config.repeats = self.repeats.unwrap_or(config.repeats);
        config.refit &= !self.no_refit;
        config.matcher = self.matcher.or(config.matcher);
        config.audit.near_misses &= !self.fast;
        Ok(config)
    }
}

pub(crate) fn run(args: &AuditArgs, form: Form) -> Result<Exit> {
    if args.matcher.from_run.is_some() && args.gate.is_asked_for() {
        bail!(
            "--fail-above looks at calibrated probabilities, and beliefs of a run are not (drop \
             --from-run to judge the pairs by matchers that never saw them)"
        )
    }
    let mut request = request(args)?;
    let mut read = args.read.options(&args.split);
    let [mut data, captions] = data(args)?;
    request.source.captions = captions;
    let mut encoders = args.encoders.clone();
    if let Some(run) = &args.matcher.from_run {
        let job = RunJob::load(run)?;
        (request.noise, request.seed, read) = (job.noise, job.seed, job.read);
        read.strict |= args.read.strict;
        encoders = job.encoders;
        data.get_or_insert(job.data);
    }
    request.source.data = data.context("name the data to audit")?;
    if remote::is_elsewhere(&request.source.data, &read) {
        // The cache may be emptied, and a cleaned list must outlive it.
        request.unchanged = Unchanged::Copied;
    }
    if request.source.captions.is_none() && !remote::is_elsewhere(&request.source.data, &read) {
        request.kept = Some(DataSource {
            data: remote::full(&request.source.data)?,
            read: read.clone(),
            encoders: encoders.full()?,
        });
    }
    if let Some(audit) = &args.extend {
        if !args.read.words().is_empty() {
            bail!("--extend reads the data as the audit did (leave out how it is read)")
        }
        let extension = Extension {
            audit,
            source: request.kept.as_ref(),
            output: &args.output,
            unchanged: request.unchanged,
            write: request.write,
        };
        return extend::run(&extension, form);
    }
    let stage = args.output.open("audit")?;
    let mut bars = Bars::new();
    let opened = open(&request.source, &read, &encoders, &mut bars)?;
    check_form(&opened.dataset, &request.write)?;
    let audited = audit::audit(opened, &request, &mut bars)?;
    let mut summary = AuditSummary::new("audit", &audited, &request);
    if let Some(stage) = stage {
        audit::write(stage, &audited, &request, &mut summary)?;
    }
    form.print(&summary, || text(&summary, &audited))?;
    let rate = summary.noise_rate;
    let exit = args.gate.exit(rate.as_ref().map(std::slice::from_ref), "");
    Ok(exit.unless_refused(&summary.conclusion))
}

/// The data, and the file of its captions where it is two files of embeddings.
fn data(args: &AuditArgs) -> Result<[Option<PathBuf>; 2]> {
    let [images, captions] = args.data.as_slice() else {
        return Ok([one_path(&args.data)?, None]);
    };
    if !are_embeddings(&args.data) {
        return Ok([one_path(&args.data)?, None]);
    }
    if args.matcher.from_run.is_some() || !args.encoders.are_none() {
        bail!(
            "{} and {} are embeddings already (leave out --from-run, --image-encoder and --text-encoder)",
            images.display(),
            captions.display()
        )
    }
    Ok([Some(images.clone()), Some(captions.clone())])
}

fn request(args: &AuditArgs) -> Result<Request> {
    Ok(Request {
        source: TypedSource {
            data: PathBuf::new(),
            captions: None,
            reading: [args.read.words(), args.encoders.words()].concat(),
        },
        judge: args.matcher.judge()?,
        noise: args.noise.clone(),
        inject: args.inject.clone(),
        rule: args.drop_rule,
        write: args.write.into(),
        unchanged: if args.copy {
            Unchanged::Copied
        } else {
            Unchanged::Linked
        },
        config: args.matcher.config()?,
        seed: Seed(args.seed),
        kept: None,
    })
}

/// Reads the split, or the two files of embeddings.
fn open(
    source: &TypedSource,
    read: &ReadOptions,
    encoders: &Encoders,
    bars: &mut Bars,
) -> Result<Encoded> {
    let Some(captions) = &source.captions else {
        let loaded = LoadedEncoders::load(encoders)?;
        return loaded.open(&source.data, read, bars).map_err(|error| {
            let typed = format!("truepair audit {} --out audit/", source.typed());
            encoders.advise(error, &typed, (&source.data, read), bars)
        });
    };
    let dataset = dataset::open_embeddings(&source.data, captions, read)?;
    bars.tell(&dataset.account);
    data::check_finite(&dataset, bars)?;
    Ok(dataset.into())
}

/// The audit on one screen.
pub(crate) fn text(summary: &AuditSummary, audited: &Audited) -> String {
    let mut out = fields(&rows(summary, audited));
    for one in &summary.diagnoses {
        let _ = writeln!(out, "stands out: {}", one.sentence());
    }
    for note in &summary.notes {
        let _ = writeln!(out, "note: {note}");
    }
    if summary.outputs.is_empty() {
        out.push_str("\nAdd --out DIR for the report, the verdicts and the cleaned list.\n");
    } else {
        out.push_str(&render::written_text(&summary.outputs));
    }
    out
}

/// What the words for pairs say that are easily misread.
const WORDS: &str = "(ambiguous: right, but it fits others too; unknown: cannot be told; dropped is what the \
     probability says, not the word)";

fn rows(summary: &AuditSummary, audited: &Audited) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("data", data::describe(&audited.dataset)),
        ("scores", summary.matcher.clone()),
    ];
    rows.extend(summary.conclusion.rows());
    if let Some(rate) = summary.noise_rate {
        rows.push(("noise rate", noise_rate(rate, summary.reading)));
    }
    if let Some(belief) = summary.mean_belief {
        let text = format!(
            "{} mismatched on average, not calibrated",
            percent_text(belief)
        );
        rows.push(("believed", text));
    }
    if let Some(kinds) = summary.kinds {
        rows.push(("near misses", near_misses(&kinds)));
    }
    if let Some(judgments) = summary.judgments.text() {
        rows.push(("pairs", judgments));
        rows.push(("", WORDS.to_owned()));
    }
    if let Some(truth) = &summary.truth {
        rows.push(("planted", planted(truth)));
    }
    if let Some(check) = &summary.self_check {
        rows.push(("self-check", self_check(check)));
        rows.extend(check.kinds.iter().map(|kind| ("", injected(kind))));
    }
    rows.extend(cleaned_list(summary).map(|list| ("cleaned list", list)));
    let taken_over = summary.taken_over.as_ref().and_then(TakenOver::text);
    rows.extend(taken_over.map(|text| ("", text)));
    rows.push(("time", format!("{:.1} s", summary.seconds)));
    rows
}

fn self_check(check: &SelfCheck) -> String {
    format!(
        "injected {}: expected rate {}, found {}, AUC {:.3}, ECE {:.3}",
        percent_text(check.injected),
        percent_text(check.expected_rate),
        percent_text(check.recovered_rate.estimate),
        check.auc,
        check.ece
    )
}

/// What the cleaned list holds; `None` when the audit refused.
fn cleaned_list(summary: &AuditSummary) -> Option<String> {
    let decision = &summary.decision;
    if summary.conclusion.verdict == "mismatched-pairs" {
        return Some(format!(
            "{} kept, {} dropped ({})",
            count(decision.kept, "pair"),
            count(decision.dropped, "pair"),
            drop_rule::describe(decision.rule)
        ));
    }
    let all = "all pairs: nothing is dropped without evidence of mismatched pairs";
    summary.conclusion.is_calibrated().then(|| all.to_owned())
}

fn injected(kind: &InjectedKind) -> String {
    let should = if kind.kind == InjectionKind::Illegible {
        " (should be none)"
    } else {
        ""
    };
    format!(
        "{}: {} called mismatched{should}, mean probability {:.2}, AUC {:.3}",
        kind.kind.name(),
        percent_text(kind.called_mismatched),
        kind.mean_posterior,
        kind.auc
    )
}

/// The share of near misses, and of the others where there are both.
fn near_misses(kinds: &Kinds) -> String {
    let interval =
        |rate: NoiseRate| format!("{} to {}", percent_text(rate.low), percent_text(rate.high));
    if kinds.is_found {
        return format!(
            "{} ({}), and {} far off ({})",
            percent_text(kinds.near.estimate),
            interval(kinds.near),
            percent_text(kinds.far.estimate),
            interval(kinds.far)
        );
    }
    format!(
        "none found for certain; at most {}",
        percent_text(kinds.near.high)
    )
}

/// The rate with what it assumes.
fn noise_rate(rate: NoiseRate, reading: Reading) -> String {
    let interval = render::interval_text(rate);
    if !reading.is_uneven {
        return format!("{} ({interval})", percent_text(rate.estimate));
    }
    format!(
        "{interval}; {} if mismatches fall evenly over the {} of the pairs that the matcher reads and \
         the rest",
        percent_text(rate.estimate),
        percent_text(reading.readable)
    )
}

fn planted(truth: &audit::PlantedTruth) -> String {
    let mut out = format!("{} really mismatched", percent_text(truth.realized));
    let numbers = [
        ("AUC", truth.auc),
        ("ECE", truth.ece),
        ("Brier", truth.brier),
        ("precision", truth.precision),
        ("recall", truth.recall),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            let _ = write!(out, ", {name} {value:.3}");
        }
    }
    out
}
