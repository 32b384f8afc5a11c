//! `truepair eval`: retrieval of a run, a score matrix, embeddings or ranked lists.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use truepair_core::dataset::Dataset;
use truepair_core::diagnosis::{Diagnosis, twins};
use truepair_core::metric::{
    Figure, Interval, Measured, Protocol, TrainingNoise, measure, tie_gap,
};
use truepair_core::relevance::Ids;
use truepair_core::rng::Seed;
use truepair_core::scores::{Direction, MeanScorer};
use truepair_model::similarity::GaussianMeasure;
use truepair_read::dataset::{self, ReadOptions};
use truepair_train::Trained;

use crate::accelerator;
use crate::encoded::{Encoders, LoadedEncoders};
use crate::evaluation::outcome::Evaluation;
use crate::evaluation::{
    Earlier, Foreign, ForeignArgs, Judged, JudgingArgs, PageArgs, PageSubject, Ranker, Subject,
    TrecArgs, render_page, write_parquet,
};
use crate::exit::Exit;
use crate::occlusion::{self, Occlusion};
use crate::output_names::{check_not_data, check_targets};
use crate::progress::Bars;
use crate::remote;
use crate::render::{self, Form};
use crate::run_folder;
use crate::shared;
use crate::staged_file::StagedFile;
use crate::uncertainty::{self, Doubts};

const EXAMPLES: &str = "\
Examples:
  truepair eval runs/ncr
      The test split of the data that the run was trained on.
  truepair eval runs/scan-t2i runs/scan-i2t
      The mean of the scores of several runs, as SCAN, VSRN and SGRAF are published.
  truepair eval runs/vsrn --data f30k/ --split test
      Data other than the run was trained on; a converted checkpoint needs it.
  truepair eval runs/photos --data photos/ --split all
      A run that was trained with encoders embeds other data with them as well.
  truepair eval --embeddings images.npy captions.npy
      Cosine of two matrices; caption rows follow their images evenly, for instance five each.
  truepair eval --embeddings images.npy captions.npy --pairs rows.csv --folds 5
      Pairs from a file, and the mean over five folds of the images.
  truepair eval --scores scores.npy --json > mine.json
      A matrix [images, captions] that another program computed; larger is more similar.
  truepair eval --ranked i2t.json t2i.json --pairs original_image_to_caption.json
      Ranked lists of ids (JSON maps or TREC runs) that another program made.
  truepair eval --scores s.npy --ids images.txt captions.txt --relevance eccv_i2t.json eccv_t2i.json
      Judgments from files; --unknown-ids says what becomes of ids that the data does not have.
  truepair eval --scores s.npy --labels classes.npy --match plausible
      Relevance by labels, here for PMRP.
  truepair eval runs/pcme --labels instances_val2014.json --match plausible --protocol coco1k
      PMRP on MS-COCO, by the categories of its annotated objects.
  truepair eval runs/pcme_cub --match same
      Relevance by the labels of the data itself.
  truepair eval runs/pcme --distance wasserstein
      Gaussian embeddings, ranked by a distance other than the one in training.
  truepair eval runs/pcme --occlusion seen.html
      How uncertain its Gaussians grow as regions, pixels or words are erased.
  truepair eval runs/rcl --per-query rcl.parquet --page hardest.html
      Every query's numbers as a table, and the hardest queries to look at.
  truepair eval runs/ncr --ensemble 1 --compare-with rcl.parquet
      Each figure's difference with its interval (with a stored --json result, side by side), here of
      one network of NCR's two. Refused when the two were not measured in the same way.
  truepair eval runs/ncr --compare-with rcl.parquet --compare-unlike
      All the same: the ensemble beside one network. In what they differ is printed.";

/// Arguments of `truepair eval`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    subject: SubjectArgs,

    /// Split to rank.
    #[arg(long, default_value = "test", value_name = "NAME")]
    split: String,

    /// Data to rank instead of the data that the run was trained on; for foreign rankings, the data
    /// that was ranked: its pairs, ids, captions and pictures.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,

    /// Cut the images into this many equal folds and average.
    #[arg(long, default_value_t = 1, value_name = "K")]
    folds: u32,

    /// A published protocol, whose sizes are checked.
    #[arg(long, value_name = "NAME", conflicts_with = "folds")]
    protocol: Option<Preset>,

    /// Draws of the test images for the 95 % intervals, at most 100000; 0 for none.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    resamples: u32,

    /// Seed of the draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,

    /// Rank a run's Gaussian embeddings by this measure instead of its own score: `mean`,
    /// `expected-square`, `sampled-square`, `sampled-distance`, `expected-likelihood`,
    /// `kullback-leibler`, `jeffreys`, `bhattacharyya`,
    /// `wasserstein`, `inclusion`; `kullback-leibler-released` and `inclusion-released` are what
    /// published code computes under those names.
    #[arg(long, value_name = "MEASURE", requires = "runs", value_parser = measure_named)]
    distance: Option<GaussianMeasure>,

    /// Write a plot of a run's uncertainty against the share of regions, pixels and words erased, and
    /// its numbers beside it (.json).
    #[arg(long, value_name = "FILE.html", requires = "runs", value_parser = remote::output())]
    occlusion: Option<PathBuf>,

    /// An earlier result to compare with: `--json` of eval or train, or a table of --per-query.
    #[arg(long, value_name = "FILE")]
    compare_with: Option<PathBuf>,

    /// Compare although the two were not measured in the same way, and print in what they differ.
    #[arg(long, requires = "compare_with")]
    compare_unlike: bool,

    /// Average the scores of the first N of a run's networks only; of all of them by default.
    #[arg(long, value_name = "N", requires = "runs", value_parser = clap::value_parser!(u32).range(1..))]
    ensemble: Option<u32>,

    /// Write a row per query with its value in every metric.
    #[arg(long, value_name = "FILE.parquet", value_parser = remote::output())]
    per_query: Option<PathBuf>,

    /// Also rank with every tie in the model's favor, and say how far a recall would rise.
    #[arg(long, conflicts_with_all = ["labels", "rule", "ranked"])]
    check_ties: bool,

    #[command(flatten)]
    encoders: Encoders,

    #[command(flatten)]
    foreign: ForeignArgs,

    #[command(flatten)]
    judging: JudgingArgs,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    trec: TrecArgs,
}

/// What is evaluated.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct SubjectArgs {
    /// Run directory that `truepair train` or `truepair convert` wrote; of several the scores are averaged.
    runs: Vec<PathBuf>,

    /// Score matrix [images, captions] (.npy), larger = more similar.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,

    /// Image embeddings and caption embeddings (.npy, .npz, .safetensors).
    #[arg(long, value_names = ["IMAGES", "CAPTIONS"], num_args = 2)]
    embeddings: Option<Vec<PathBuf>>,

    /// Ranked lists: captions for every image and images for every caption (.json maps of ids, or
    /// TREC runs).
    #[arg(long, value_names = ["I2T", "T2I"], num_args = 2)]
    ranked: Option<Vec<PathBuf>>,
}

impl SubjectArgs {
    /// What was evaluated, as it was typed.
    fn name(&self) -> String {
        let files = self.embeddings.as_ref().or(self.ranked.as_ref());
        let files = files.into_iter().flatten();
        let all = self.runs.iter().chain(&self.scores).chain(files);
        let all: Vec<String> = all.map(|path| path.display().to_string()).collect();
        all.join(" and ")
    }
}

/// Protocols that papers name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// MS-COCO 1K: five folds of 1,000 images with five captions each
    Coco1k,
    /// MS-COCO 5K: 5,000 images with five captions each at once
    Coco5k,
}

impl Preset {
    fn folds(self) -> u32 {
        match self {
            Preset::Coco1k => 5,
            Preset::Coco5k => 1,
        }
    }

    /// # Errors
    /// If the data is not the test split that the protocol is about.
    fn check(self, protocol: &Protocol) -> Result<()> {
        let sizes = (protocol.n_images, protocol.n_captions);
        let each = protocol.captions_per_image;
        if sizes != (5000, 25_000) || (each.min, each.max) != (5, 5) {
            bail!(
                "the protocol needs 5000 images with 5 captions each, but the data has {} images and \
                 {} captions, {each} per image (leave --protocol out, or give MS-COCO's 5K test \
                 split)",
                sizes.0,
                sizes.1,
            )
        }
        Ok(())
    }
}

fn measure_named(name: &str) -> Result<GaussianMeasure, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

pub(crate) fn run(args: &EvalArgs, form: Form) -> Result<Exit> {
    let mut bars = Bars::new();
    check_targets(&args.outputs(), &args.inputs())?;
    let args = &args.fetched(&mut bars)?;
    match &args.subject {
        SubjectArgs { runs, .. } if !runs.is_empty() => of_runs(runs, args, form, &mut bars),
        SubjectArgs {
            scores: Some(file), ..
        } => of_foreign(&Foreign::Scores(file), args, form, &mut bars),
        SubjectArgs {
            embeddings: Some(files),
            ..
        } => of_foreign(&Foreign::Embeddings(files), args, form, &mut bars),
        SubjectArgs {
            ranked: Some(files),
            ..
        } => of_foreign(&Foreign::Lists(files), args, form, &mut bars),
        _ => bail!("name a run, --scores, --embeddings or --ranked"),
    }
}

/// A run with the data that it ranks.
struct OpenedRun {
    trained: Trained,
    /// The data, and how it is read and embedded.
    source: (PathBuf, ReadOptions),
    encoders: LoadedEncoders,
    dataset: Dataset,
    noise: Option<TrainingNoise>,
}

impl OpenedRun {
    fn open(run: &Path, args: &EvalArgs, bars: &mut Bars) -> Result<Self> {
        let (data, read, own) = run_folder::data_of(run, args.data.as_deref())?;
        let encoders = if args.encoders.are_none() {
            &own
        } else {
            &args.encoders
        };
        let encoders = LoadedEncoders::load(encoders)?;
        let mut trained = truepair_train::load(run, accelerator::chosen())?;
        if let Some(n) = args.ensemble {
            let n_peers = trained.n_peers();
            if n as usize > n_peers {
                bail!(
                    "--ensemble {n}: {} has {} (give at most that many)",
                    run.display(),
                    render::count(n_peers, "network")
                )
            }
            trained.peers.truncate(n as usize);
        }
        if let Some(distance) = args.distance {
            trained = trained.measured_by(distance)?;
        }
        let dataset = encoders.open(&data, &read.for_split(&args.split), bars)?;
        check_not_data(&args.outputs(), &dataset.dataset)?;
        Ok(Self {
            noise: run_folder::training_noise(run)?,
            dataset: dataset.dataset,
            source: (data, read),
            encoders,
            trained,
        })
    }

    /// # Errors
    /// If `other` ranks other items, or was trained under other noise.
    fn check_like(&self, other: &Self, (own, others): (&Path, &Path)) -> Result<()> {
        let items = |run: &Self| (run.dataset.image_ids.clone(), run.dataset.n_captions());
        let what = if items(self) != items(other) {
            "rank other images or captions (name one data set for both with --data)"
        } else if self.noise != other.noise {
            "were trained under unlike noise (average runs of one noise file)"
        } else {
            return Ok(());
        };
        bail!("{} and {} {what}", own.display(), others.display())
    }
}

fn of_runs(runs: &[PathBuf], args: &EvalArgs, form: Form, bars: &mut Bars) -> Result<Exit> {
    if runs.len() > 1 && args.occlusion.is_some() {
        bail!("--occlusion asks how uncertain the Gaussians of one run are (name one run)")
    }
    let mut opened = Vec::new();
    for run in runs {
        opened.push(OpenedRun::open(run, args, bars)?);
        let (first, last) = (&opened[0], &opened[opened.len() - 1]);
        first.check_like(last, (&runs[0], run))?;
    }
    let first = &opened[0];
    let dataset = &first.dataset;
    let (data, read) = &first.source;
    let diagnoses = match args.data {
        None => shared::with_training((data, read), &first.encoders, dataset, bars)?,
        Some(_) => Vec::new(),
    };
    let pairs = run_folder::relevance(dataset);
    let numbered = Ids::numbered(dataset.n_captions());
    let images = Ids::new(dataset.image_ids.clone())?;
    let (images, captions) = args.foreign.names(images, numbered)?;
    let n_networks: usize = opened.iter().map(|run| run.trained.n_peers()).sum();
    let mut scorers = Vec::new();
    for run in &opened {
        scorers.push(run.trained.scorer(&run.dataset, bars)?);
    }
    let alone = opened.len() == 1;
    let scorer = match scorers.pop() {
        Some(only) if scorers.is_empty() => only,
        last => {
            scorers.extend(last);
            Box::new(MeanScorer(scorers))
        }
    };
    let subject = Subject {
        protocol: Protocol {
            ensemble: n_networks as u32,
            ..run_folder::protocol(&first.trained, dataset, &pairs, first.noise.clone())?
        },
        ranker: Ranker::Scores(scorer),
        pairs,
        images,
        captions,
        texts: dataset.captions.clone(),
        labels: dataset.labels.clone(),
        pictures: dataset.image_files.clone(),
        doubts: match alone {
            true => Doubts::of(&first.trained, dataset, bars)?,
            false => None,
        },
        occlusion: (args.occlusion.is_some())
            .then(|| Occlusion::measure(&first.trained, dataset, Seed(args.seed), bars))
            .transpose()?,
        diagnoses,
    };
    evaluate(subject, args, form, bars)
}

fn of_foreign(foreign: &Foreign<'_>, args: &EvalArgs, form: Form, bars: &mut Bars) -> Result<Exit> {
    if !args.encoders.are_none() {
        bail!("--image-encoder and --text-encoder embed data for a run (name one, or drop them)")
    }
    let data: Option<Dataset> = match &args.data {
        None => None,
        Some(path) => {
            let options = ReadOptions {
                split: args.split.clone(),
                ..ReadOptions::default()
            };
            let (path, options) = remote::fetched(path, &options, bars)?;
            let dataset = dataset::open(path, &options)?;
            check_not_data(&args.outputs(), &dataset)?;
            bars.tell(&dataset.account);
            Some(dataset)
        }
    };
    let (own, judging) = (&args.foreign, &args.judging);
    let subject = own.open(foreign, data.as_ref(), &args.split, judging, bars)?;
    evaluate(subject, args, form, bars)
}

fn evaluate(
    mut subject: Subject<'_>,
    args: &EvalArgs,
    form: Form,
    bars: &mut Bars,
) -> Result<Exit> {
    subject.protocol.folds = args.protocol.map_or(args.folds, Preset::folds);
    if let Some(preset) = args.protocol {
        preset.check(&subject.protocol)?;
    }
    let judged = args.judging.judge(&mut subject)?;
    subject.diagnoses.extend(copies(&subject, &judged, bars)?);
    let protocol = subject.protocol.clone();
    // Before anything is measured: an unlike protocol is known by now.
    let earlier = Earlier::read(args.compare_with.as_deref(), args.compare_unlike, &protocol)?;
    let source = subject.source();
    let measured = measure(source, judged.relevant(), &subject.pairs, protocol, bars)?;
    let n_resamples = args.resamples.max(1) as usize;
    let compared = earlier.compare(&measured, n_resamples, Seed(args.seed))?;
    let tie_gap = args.tie_gap(&subject, &judged, bars)?;
    let known = match (&subject.doubts, &subject.ranker) {
        (Some(doubts), Ranker::Scores(scorer)) => {
            let relevance = judged.listed(Direction::ImageToText);
            Some(doubts.measure(scorer.as_ref(), &relevance, &subject.pairs, bars)?)
        }
        _ => None,
    };
    let files = args.stage_files(&subject, &judged, &measured, bars)?;
    let figures = args.figures(&measured);
    let files = files
        .into_iter()
        .map(StagedFile::publish)
        .collect::<Result<Vec<_>>>()?;
    let mut evaluation = Evaluation::new(&measured, &figures, tie_gap, files);
    evaluation.compared = compared.records();
    evaluation.unlike = earlier.unlike;
    evaluation.distance = args.distance;
    evaluation.uncertainty = known;
    evaluation.occlusion = subject.occlusion.take();
    evaluation.diagnoses = std::mem::take(&mut subject.diagnoses);
    form.print(&evaluation, || {
        let mut text = render::evaluation_text(&measured, &figures);
        text += &tie_gap.map_or_else(String::new, render::tie_gap_text);
        text += &(evaluation.uncertainty.as_ref()).map_or_else(String::new, uncertainty::text);
        text += &(evaluation.occlusion.as_ref()).map_or_else(String::new, occlusion::text);
        for one in &evaluation.diagnoses {
            text += &format!("stands out: {}\n", one.sentence());
        }
        text += &compared.text();
        for difference in &evaluation.unlike {
            text += &format!("not measured in the same way: {difference}\n");
        }
        if !evaluation.files.is_empty() {
            text += &render::written_text(&evaluation.files);
        }
        text
    })?;
    Ok(Exit::Success)
}

/// Copies of right items that count as wrong.
fn copies(subject: &Subject<'_>, judged: &Judged, bars: &mut Bars) -> Result<Option<Diagnosis>> {
    let (Judged::Lists(relevance), Ranker::Scores(scorer)) = (judged, &subject.ranker) else {
        return Ok(None);
    };
    let found = twins(scorer.as_ref(), relevance, Seed(0))?;
    bars.stands_out(found.as_slice());
    Ok(found)
}

impl EvalArgs {
    /// The same with local files in place of addresses; the data keeps its address.
    fn fetched(&self, bars: &mut Bars) -> Result<Self> {
        let mut args = self.clone();
        let subject = &mut args.subject;
        let single = subject.scores.iter_mut().chain(&mut args.compare_with);
        let several = subject.embeddings.iter_mut().chain(&mut subject.ranked);
        let files = single.chain(several.flatten());
        let files = files.chain(args.foreign.files_mut());
        for file in files.chain(args.judging.files_mut()) {
            *file = remote::local(file, bars)?;
        }
        Ok(args)
    }

    /// The files that were asked for.
    fn outputs(&self) -> Vec<PathBuf> {
        let page = self.occlusion.as_ref();
        let numbers = page.map(|page| page.with_extension("json"));
        // A page that is named so is refused where it is written.
        let numbers = numbers.filter(|numbers| Some(numbers) != page);
        let single = [&self.per_query, &self.page.page, &self.occlusion, &numbers];
        let all = single.into_iter().flatten().chain(self.trec.files());
        all.cloned().collect()
    }

    /// The files and run folders that are named to be read.
    fn inputs(&self) -> Vec<PathBuf> {
        let Self {
            subject,
            mut foreign,
            mut judging,
            ..
        } = self.clone();
        let mut all = subject.runs;
        all.extend(subject.scores);
        let several = subject.embeddings.into_iter().chain(subject.ranked);
        all.extend(several.flatten());
        all.extend(foreign.files_mut().map(|file| file.clone()));
        all.extend(judging.files_mut().map(|file| file.clone()));
        all.extend(self.compare_with.clone());
        all
    }

    /// Every file that was asked for, written and not yet named.
    fn stage_files(
        &self,
        subject: &Subject<'_>,
        judged: &Judged,
        measured: &Measured,
        bars: &mut Bars,
    ) -> Result<Vec<StagedFile>> {
        let mut staged = Vec::new();
        if let Some(file) = &self.per_query {
            let table = StagedFile::write(file, |out| write_parquet(out, measured, subject))?;
            staged.push(table);
        }
        if let Some(file) = &self.page.page {
            let seen = PageSubject {
                subject,
                judged,
                measured,
                run: self.subject.name(),
            };
            let page = render_page(&self.page, &seen, bars)?;
            staged.push(StagedFile::write(file, |out| {
                Ok(out.write_all(page.as_bytes())?)
            })?);
        }
        if let (Some(file), Some(occlusion)) = (&self.occlusion, &subject.occlusion) {
            staged.extend(occlusion.stage(file)?);
        }
        staged.extend(self.trec.write(subject, judged, bars)?);
        Ok(staged)
    }

    /// How far a recall would rise if every tie fell the model's way, when that was asked.
    fn tie_gap(
        &self,
        subject: &Subject<'_>,
        judged: &Judged,
        bars: &mut Bars,
    ) -> Result<Option<f64>> {
        let (true, Judged::Lists(relevance), Ranker::Scores(scorer)) =
            (self.check_ties, judged, &subject.ranker)
        else {
            return Ok(None);
        };
        Ok(Some(tie_gap(
            scorer.as_ref(),
            relevance,
            subject.protocol.folds,
            bars,
        )?))
    }

    fn figures(&self, measured: &Measured) -> Vec<(Figure, Option<Interval>)> {
        match self.resamples {
            0 => measured
                .figures()
                .into_iter()
                .map(|figure| (figure, None))
                .collect(),
            n => (measured.intervals(n as usize, Seed(self.seed)).into_iter())
                .map(|(figure, interval)| (figure, Some(interval)))
                .collect(),
        }
    }
}
