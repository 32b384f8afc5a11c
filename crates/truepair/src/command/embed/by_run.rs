//! Embeddings by the matcher of a run: of data, or of texts line by line.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use half::f16;
use serde_json::json;
use truepair_core::dataset::{Bytes, Dataset, Features};
use truepair_core::npy::{self, Header};
use truepair_core::scores::Matrix;
use truepair_encode::job::{self, Embedded};
use truepair_encode::layout;
use truepair_model::encode::EncodedItems;
use truepair_train::Trained;

use super::args::EmbedArgs;
use super::{EmbedResult, SplitResult, output};
use crate::embedder::{Embedder, EmbedderSource};
use crate::exit::Exit;
use crate::file_hash::sha256;
use crate::progress::Bars;
use crate::render::{self, Form};
use crate::search::DataSource;

/// Embeds DATA, or standard input where DATA is `-`.
pub(super) fn run(args: &EmbedArgs, run: &Path, form: Form) -> Result<Exit> {
    let given = args.data()?;
    if given == Path::new("-") {
        return lines(run, args);
    }
    let out = args
        .out
        .as_deref()
        .context("name the folder of the embeddings with --out")?;
    let source = EmbedderSource::new(Some(run), &args.encoders())?;
    let data = DataSource {
        encoders: source.encoders.clone(),
        ..DataSource::of_run(run, Some(&given), &args.read)?
    };
    let mut bars = Bars::new();
    let splits = data.splits(args.split.as_deref(), &mut bars)?.into_iter();
    let splits: Vec<Dataset> = splits
        .map(|split| split.open(&mut bars))
        .collect::<Result<_>>()?;
    let description = describe(run, &splits, args.half)?;
    if let Some(done) = output::finished(out, &description)? {
        render::note("this job is already done");
        form.print(&done, || super::text(&done, out))?;
        return Ok(Exit::Success);
    }
    let (_, _lock) = output::open_parts(out, &description)?;
    let embedder = Embedder::open(&EmbedderSource {
        encoders: Default::default(),
        ..source
    })?;
    let trained = embedder.trained().context("a run embeds")?;
    let mut result = EmbedResult {
        command: "embed".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        splits: Vec::new(),
        image_dim: None,
        caption_dim: None,
        skipped: 0,
        cut_captions: 0,
        job: description,
        settings: json!({}),
        out: out.to_path_buf(),
    };
    for dataset in &splits {
        let embedded = Sides::of(trained, dataset, &mut bars)?;
        result.image_dim = Some(embedded.images.0.dim());
        result.caption_dim = Some(embedded.captions.0.dim());
        embedded.write(dataset, args.half, out)?;
        let skipped = undecoded(dataset);
        result.skipped += skipped;
        result.splits.push(SplitResult {
            split: dataset.split.clone(),
            images: dataset.n_images(),
            captions: dataset.n_captions(),
            skipped,
        });
    }
    output::finish(out, &result)?;
    form.print(&result, || super::text(&result, out))?;
    Ok(Exit::Success)
}

/// Pictures that encoders before the run could not decode; the account names them.
fn undecoded(dataset: &Dataset) -> usize {
    let passed = dataset.account.passed_over().iter();
    passed
        .filter(|entry| entry.kind == "picture")
        .map(|entry| entry.count)
        .sum()
}

/// Both sides of a split; deviations where items are Gaussians.
struct Sides {
    images: (Matrix, Option<Matrix>),
    captions: (Matrix, Option<Matrix>),
}

impl Sides {
    fn of(trained: &Trained, dataset: &Dataset, bars: &mut Bars) -> Result<Self> {
        let encoded = trained.encode(dataset, bars)?;
        Ok(Self {
            images: vectors(&encoded.images, trained)?,
            captions: vectors(&encoded.captions, trained)?,
        })
    }

    fn write(self, dataset: &Dataset, half: bool, out: &Path) -> Result<()> {
        let embedded = Embedded {
            images: Some(features(&self.images.0, half)?),
            captions: Some(features(&self.captions.0, half)?),
            skipped: Vec::new(),
            remarks: Vec::new(),
            n_cut: 0,
        };
        layout::write(dataset, &embedded, out)?;
        let [images, captions] = deviation_files(&dataset.split).map(|name| out.join(name));
        for (file, deviations) in [(images, self.images.1), (captions, self.captions.1)] {
            if let Some(deviations) = deviations {
                layout::write_rows(&features(&deviations, half)?, &file)?;
            }
        }
        Ok(())
    }
}

/// Names of the files with standard deviations.
fn deviation_files(split: &str) -> [PathBuf; 2] {
    let prefix = match split {
        "all" => String::new(),
        split => format!("{split}_"),
    };
    ["image_deviations.npy", "caption_deviations.npy"].map(|name| format!("{prefix}{name}").into())
}

/// Vectors that leave the matcher: those whose inner products are scores, or means with deviations.
fn vectors(items: &EncodedItems, trained: &Trained) -> Result<(Matrix, Option<Matrix>)> {
    if let Some(vectors) = items.embeddings() {
        return Ok((vectors, None));
    }
    if let Some((means, deviations)) = items.means_and_deviations() {
        return Ok((means, Some(deviations)));
    }
    bail!(
        "the similarity `{}` compares more than one vector of an item, so there is no embedding to write \
         (`truepair score` scores pairs, `truepair index` searches and scores what it finds anew)",
        trained.config.matcher.similarity.name()
    )
}

fn features(vectors: &Matrix, half: bool) -> Result<Features> {
    if !half {
        return Ok(Features::from_rows(
            vectors.values().to_vec(),
            vectors.dim(),
        ));
    }
    let mut bytes = npy::header_bytes("<f2", &[vectors.len(), vectors.dim()]);
    bytes.extend(
        vectors
            .values()
            .iter()
            .flat_map(|x| f16::from_f32(*x).to_le_bytes()),
    );
    let place = Path::new("embeddings");
    let header = Header::parse(place, &bytes)?;
    Ok(Features::from_encoded(place, Bytes::from(bytes), &header)?)
}

/// Everything that decides the output.
fn describe(run: &Path, splits: &[Dataset], half: bool) -> Result<serde_json::Value> {
    let data: Result<Vec<_>> = (splits.iter())
        .map(|dataset| Ok(json!({ "split": dataset.split, "sha256": job::fingerprint(dataset)? })))
        .collect();
    let weights = run.join(truepair_train::run::file::WEIGHTS);
    Ok(json!({ "data": data?, "run": sha256(&weights)?, "half": half }))
}

/// Texts of standard input, an object a line.
fn lines(run: &Path, args: &EmbedArgs) -> Result<Exit> {
    let embedder = Embedder::open(&EmbedderSource::new(Some(run), &args.encoders())?)?;
    let trained = embedder.trained().context("a run embeds")?;
    let mut out = std::io::stdout().lock();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let text = line.with_context(|| format!("standard input:{}: is not UTF-8", number + 1))?;
        let encoded = embedder.encoded_texts(std::slice::from_ref(&text))?;
        let (vector, deviations) = vectors(&encoded.context("a run embeds")?, trained)?;
        let mut object = json!({ "text": text, "embedding": vector.row(0) });
        if let Some(deviations) = deviations {
            object["deviations"] = json!(deviations.row(0));
        }
        writeln!(out, "{object}")?;
        out.flush()?;
    }
    Ok(Exit::Success)
}
