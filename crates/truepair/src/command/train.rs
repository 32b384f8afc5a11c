//! `truepair train`: a matcher trained on noisy pairs, in a run directory that can resume.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use truepair_core::noise::NoiseSpec;
use truepair_core::rng::Seed;
use truepair_model::matcher::NamedMatcher;
use truepair_read::dataset::ReadOptions;
use truepair_train::Recipe;

use crate::config::ConfigArgs;
use crate::encoded::{Encoders, LoadedEncoders};
use crate::exit::Exit;
use crate::oracle::{self, Oracle};
use crate::progress::Bars;
use crate::read_args::ReadArgs;
use crate::remote;
use crate::render::{self, Form};
use crate::run_folder::RunJob;
use crate::several::one_path;
use crate::shell::word;
use crate::training::{self, Run, RunPlan, Splits};
use crate::{data, folder};

const EXAMPLES: &str = "\
Examples:
  truepair train data/ --strategy ncr --out runs/ncr
      Train on split train, choose the epoch on split dev, measure on split test.
  truepair train data/ --strategy rcl --noise caption:0.4 --seed 1 --out runs/rcl-40
      Shuffle 40 % of the training captions first; dev and test stay clean.
  truepair train data/ --matcher linear --out runs/linear
      The closed form: the baseline that every other matcher must beat.
  truepair train photos/ --image-encoder clip/onnx/vision_model.onnx \\
      --text-encoder clip/onnx/text_model.onnx --matcher linear --out runs/photos
      Pictures and captions are embedded first; the run remembers its encoders.
  truepair train data/ --config recipes/embeddings/ncr.toml --set training.epochs=5 --out runs/short
      Start from a file (`truepair recipes --write recipes/` makes those that come with the program)
      and change one value.
  truepair train --resume runs/ncr
      Continue where Ctrl-C or a crash stopped.";

/// Arguments of `truepair train`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TrainArgs {
    /// Folder or file with the pairs, or its s3://, gs://, az:// or http(s):// address; several tar archives
    /// are one data set.
    #[arg(required_unless_present = "resume")]
    data: Vec<PathBuf>,

    /// Run directory.
    #[arg(long, value_name = "DIR", required_unless_present = "resume", value_parser = remote::output())]
    out: Option<PathBuf>,

    /// Method; `plain` when neither this nor a configuration names one. Oracles, which are told the
    /// truth about planted noise: `clean-only` leaves mismatched pairs out, `clean-rematched` gives
    /// their captions the right image again; both train plainly.
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,

    /// What is trained: `linear` (a closed form: seconds, no epochs) or `residual` (networks that
    /// begin at it); left out, networks as the configuration or the data says.
    #[arg(long, value_name = "NAME", value_parser = matcher_name)]
    matcher: Option<NamedMatcher>,

    /// How a pair's embeddings are scored; `cosine` by default.
    #[arg(long, value_name = "NAME")]
    similarity: Option<String>,

    /// Plant noise in the training pairs: `caption:SHARE`, `image:SHARE` or a published noise file.
    #[arg(long, value_name = "NOISE", default_value = "none")]
    noise: NoiseSpec,

    /// Where all randomness comes from.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Continue a run: the folder alone, or the command as it was first typed with `--resume`, which
    /// begins where there is nothing yet.
    #[arg(long, value_name = "RUN")]
    resume: Option<Option<PathBuf>>,

    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    encoders: Encoders,

    #[command(flatten)]
    read: ReadArgs,
}

impl TrainArgs {
    /// The data with how it is read, as it was typed.
    fn typed_data(&self) -> String {
        let reading = [self.read.words(), self.encoders.words()].concat();
        let data = self.data.iter().map(|data| word(data));
        data.chain(reading.into_iter().flatten())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

pub(crate) fn run(args: &TrainArgs, form: Form) -> Result<Exit> {
    let start = Instant::now();
    let plan = plan(args)?;
    let mut bars = Bars::new();
    let job = &plan.job;
    let encoders = LoadedEncoders::load(&job.encoders)?;
    let splits = Splits::read(&job.data, &job.read, &encoders, &mut bars).map_err(|error| {
        let typed = format!(
            "truepair train {} --out {}",
            args.typed_data(),
            word(&plan.out)
        );
        (job.encoders).advise(error, &typed, (&job.data, &job.read), &mut bars)
    })?;
    render::note(&data::describe(&splits.train));
    // A finished run that is resumed trains nothing, and took what it took.
    let taken = plan
        .resume
        .then(|| training::seconds_of(&plan.out))
        .flatten();
    let run = Run::prepare(&plan, &splits)?;
    splits.tell_what_chooses(std::iter::once(run.config()))?;
    let (trained, _lock) = run.train(&mut bars)?;
    let dev = run.measure(&trained, &splits.dev, &mut bars)?;
    let test = run.measure(&trained, &splits.test, &mut bars)?;
    let seconds = taken.unwrap_or_else(|| start.elapsed().as_secs_f64());
    let (result, text) = run.conclude(&trained, dev.as_ref(), test.as_ref(), seconds)?;
    form.print(&result, || text)?;
    Ok(Exit::Success)
}

fn matcher_name(text: &str) -> Result<NamedMatcher, String> {
    let named = NamedMatcher::ALL
        .into_iter()
        .find(|named| named.name == text);
    named.ok_or_else(|| {
        let names = NamedMatcher::ALL.map(|named| named.name);
        format!("choose from {}", names.join(", "))
    })
}

/// Settles what to train: from the arguments, from an earlier run, or from both when they agree.
fn plan(args: &TrainArgs) -> Result<RunPlan> {
    let resumed = args.resume.as_ref().map(Option::as_deref);
    // `--resume DATA --out RUN` reads like `--resume RUN`; --out tells them apart.
    let typed = one_path(&args.data)?;
    let typed = typed.as_deref();
    let (data, out) = match (typed, &args.out, resumed) {
        (data, Some(out), Some(Some(first))) => (data.or(Some(first)), out.as_path()),
        (data, None, Some(Some(run))) => (data, run),
        (data, Some(out), _) => (data, out.as_path()),
        (_, None, _) => bail!("name the run to resume: `truepair train --resume RUN`"),
    };
    let resume = resumed.is_some();
    let Some(data) = data else {
        let job = RunJob::load(out)?;
        let recipe = truepair_train::recipe(out)?;
        return Ok(RunPlan {
            job,
            recipe,
            out: out.to_path_buf(),
            resume,
        });
    };
    let job = RunJob {
        data: remote::full(data)?,
        read: args.read.options(&ReadOptions::default().split),
        encoders: args.encoders.full()?,
        noise: args.noise.clone(),
        seed: Seed(args.seed),
        oracle: oracle(args),
    };
    // The command as it was first typed may have been stopped before there was anything to continue.
    if resume && !folder::is_free(out) {
        RunJob::load(out)?.check_same(&job, out)?;
    }
    Ok(RunPlan {
        job,
        recipe: recipe(args)?,
        out: out.to_path_buf(),
        resume,
    })
}

fn oracle(args: &TrainArgs) -> Option<Oracle> {
    args.strategy.as_deref().and_then(Oracle::by_name)
}

fn recipe(args: &TrainArgs) -> Result<Recipe> {
    let backbone = args.matcher.map(|named| named.backbone);
    let kinds = [
        (
            "strategy",
            oracle(args).map_or(args.strategy.as_deref(), |_| Some(oracle::STRATEGY)),
        ),
        ("matcher.similarity", args.similarity.as_deref()),
        ("matcher.image", backbone),
        ("matcher.caption", backbone),
    ];
    let named: Vec<(&str, &str)> = kinds
        .into_iter()
        .filter_map(|(name, kind)| Some((name, kind?)))
        .collect();
    args.config.load(&named)
}
