//! `truepair index`: images and captions become an index that can be searched, served and changed.

mod args;
mod result;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use truepair_core::answer::AnswerQuality;
use truepair_core::dataset::Dataset;
use truepair_core::digest::Digest;
use truepair_core::rng::Seed;
use truepair_index::{Index, Settings, Side, Writer};
use truepair_vectordb::VECTOR_FILES;

pub(crate) use args::IndexArgs;
use result::GalleryRecall;
pub(crate) use result::IndexResult;

use crate::audit::StoredVerdicts;
use crate::embedder::{Embedder, EmbedderSource};
use crate::exit::Exit;
use crate::metadata::Metadata;
use crate::output_names::check_targets;
use crate::progress::Bars;
use crate::render::{self, Form};
use crate::run_folder;
use crate::search::{
    Additions, Calibration, Columns, Compared, DataSource, Elsewhere, Engine, IndexAbout,
    calibrate, captions_of,
};
use crate::staged_folder::SUMMARY;

pub(crate) fn run(args: &IndexArgs, form: Form) -> Result<Exit> {
    args.check()?;
    let result = match (&args.append, &args.delete, &args.calibrate, &args.to) {
        (Some(index), ..) => append(args, index)?,
        (_, Some(ids), ..) => delete(&args.data, &IndexArgs::ids(ids)?)?,
        (_, _, Some(data), _) => recalibrate(args, data)?,
        (.., Some(address)) => send(&args.data, address)?,
        _ if args.compact => {
            let mut writer = Writer::open(&args.data)?;
            writer.compact()?;
            IndexResult::new("compacted", args.data.clone(), writer.index())
        }
        _ if args.check => check(&args.data)?,
        _ => create(args)?,
    };
    form.print(&result, || result.text())?;
    Ok(Exit::Success)
}

/// Makes an index of the data.
fn create(args: &IndexArgs) -> Result<IndexResult> {
    let stage = args.output.open("index")?;
    let stage = stage.context("name the folder of the index with --out")?;
    let mut bars = Bars::new();
    let source = EmbedderSource::new(args.run.as_deref(), &args.encoders)?;
    let embedder = Embedder::open(&source)?;
    let first = args.split.as_ref().and_then(|names| names.first());
    let data = match &args.run {
        Some(run) => DataSource::of_run(run, Some(&args.data), &args.read)?,
        None => {
            let split = first.map(String::as_str);
            DataSource::of_data(&args.data, &args.read, &args.encoders, split, &mut bars)?
        }
    };
    let mut filling = Filling::new(args, source, stage.folder())?;
    for split in data.splits(args.split.as_deref(), &mut bars)? {
        filling.add(split, &embedder, &mut bars)?;
    }
    let Filling {
        writer,
        about,
        held_out,
        ..
    } = filling.checked()?;
    let (Some(mut writer), Some(about)) = (writer, about) else {
        bail!("{}: holds no split", args.data.display())
    };
    let mut learned = Learned::default();
    match held_out {
        Some(dataset) => {
            let engine = Engine::new(Index::open(stage.folder())?, about, embedder)?;
            learned = learn(&engine, &dataset, &mut writer, &mut bars)?;
        }
        None => learned.open.push(
            "what scores mean stays open: no pairs are here that trained nothing (`truepair index INDEX \
             --calibrate DATA` learns it from some)"
                .to_owned(),
        ),
    }
    let result = learned.told(IndexResult::new("created", stage.place(""), writer.index()));
    stage.write_json(SUMMARY, &result)?;
    drop(writer);
    stage.finish()?;
    Ok(result)
}

/// An index that is being filled.
struct Filling<'a> {
    args: &'a IndexArgs,
    folder: &'a Path,
    embedder: EmbedderSource,
    metadata: Option<Metadata>,
    verdicts: Option<StoredVerdicts>,
    writer: Option<Writer>,
    about: Option<IndexAbout>,
    /// Split of every image.
    split_of: HashMap<String, String>,
    /// Images that the metadata names, and pairs that the audit judged.
    n_named: usize,
    n_judged: usize,
    /// The largest split whose pairs trained nothing.
    held_out: Option<Dataset>,
}

impl<'a> Filling<'a> {
    fn new(args: &'a IndexArgs, embedder: EmbedderSource, folder: &'a Path) -> Result<Self> {
        Ok(Self {
            args,
            folder,
            embedder,
            metadata: metadata(args)?,
            verdicts: verdicts(args)?,
            writer: None,
            about: None,
            split_of: HashMap::new(),
            n_named: 0,
            n_judged: 0,
            held_out: None,
        })
    }

    /// Adds one split.
    fn add(&mut self, source: DataSource, embedder: &Embedder, bars: &mut Bars) -> Result<()> {
        let dataset = source.open(bars)?;
        for id in &dataset.image_ids {
            if let Some(other) = self.split_of.insert(id.clone(), dataset.split.clone()) {
                bail!(
                    "image `{id}` is in the split {other} and in {}, and an index holds every id once (index one \
                     split: --split {})",
                    dataset.split,
                    dataset.split
                )
            }
        }
        let columns = Columns {
            metadata: self.metadata.as_ref(),
            verdicts: self.verdicts.as_ref(),
        };
        let added = Additions::of(&dataset, embedder, columns, bars)?;
        self.n_named += added.n_named;
        self.n_judged += added.n_judged;
        let mut about = match self.about.take() {
            Some(about) => about,
            None => IndexAbout::new(dataset.name.clone(), self.embedder.clone(), added.compared),
        };
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let settings = Settings {
                    dim: added.dim(),
                    measure: about.compared.measure(),
                    storage: self.args.form.storage(),
                    kind: self.args.form.kind(),
                };
                Index::create(self.folder, &settings, about.to_value()?)?
            }
        };
        about.sources.push(source);
        writer.append_with(Some(added.images), added.captions, about.to_value()?)?;
        (self.writer, self.about) = (Some(writer), Some(about));
        keep_larger(&mut self.held_out, self.args.run.as_deref(), dataset);
        Ok(())
    }

    /// # Errors
    /// If the metadata names none of the images, or the audit judged none of the pairs.
    fn checked(self) -> Result<Self> {
        if let Some(metadata) = &self.metadata {
            let example = self.split_of.keys().next().map_or("", String::as_str);
            metadata.check(self.n_named, self.split_of.len(), example)?;
        }
        check_judged(self.args, self.n_judged)?;
        Ok(self)
    }
}

/// Keeps the larger of two splits whose pairs can say what scores mean.
fn keep_larger(kept: &mut Option<Dataset>, run: Option<&Path>, dataset: Dataset) {
    let may = run.is_none_or(|run| run_folder::never_saw(run, &dataset.split));
    let is_larger = kept
        .as_ref()
        .is_none_or(|kept| kept.n_images() < dataset.n_images());
    if may && is_larger && dataset.n_captions() > 0 {
        *kept = Some(dataset);
    }
}

/// What pairs say of scores, as it is told.
#[derive(Default)]
struct Learned {
    quality: [Option<AnswerQuality>; 2],
    open: Vec<String>,
}

impl Learned {
    fn told(self, result: IndexResult) -> IndexResult {
        let [text_to_image, image_to_text] = self.quality;
        IndexResult {
            text_to_image,
            image_to_text,
            notes: self.open,
            ..result
        }
    }
}

/// Learns what scores mean, and keeps it in the index.
fn learn(
    engine: &Engine,
    dataset: &Dataset,
    writer: &mut Writer,
    bars: &mut Bars,
) -> Result<Learned> {
    let Calibration {
        answers,
        quality,
        open,
    } = calibrate(engine, dataset, bars)?;
    let mut about = engine.about.clone();
    about.answers = answers;
    writer.set_about(about.to_value()?)?;
    Ok(Learned { quality, open })
}

fn metadata(args: &IndexArgs) -> Result<Option<Metadata>> {
    let read = |file: &PathBuf| Metadata::read(file, args.form.metadata_id.as_deref());
    args.form.metadata.as_ref().map(read).transpose()
}

fn verdicts(args: &IndexArgs) -> Result<Option<StoredVerdicts>> {
    let audit = args.form.audit.as_deref();
    audit.map(StoredVerdicts::read).transpose()
}

/// # Errors
/// If an audit was named that judged none of the pairs.
fn check_judged(args: &IndexArgs, n_judged: usize) -> Result<()> {
    match &args.form.audit {
        Some(audit) if n_judged == 0 => bail!(
            "{}: judged none of these pairs (name the audit of this data)",
            audit.display()
        ),
        _ => Ok(()),
    }
}

/// The last data that an index was made of, by which other data is read.
fn last_source<'a>(about: &'a IndexAbout, folder: &Path) -> Result<&'a DataSource> {
    let place = folder.display();
    let last = about.sources.last();
    last.with_context(|| format!("{place}: does not know what it was made of (make it again)"))
}

/// Adds data to an index, by what made it.
fn append(args: &IndexArgs, folder: &Path) -> Result<IndexResult> {
    let mut bars = Bars::new();
    let mut writer = Writer::open(folder)?;
    let mut about = IndexAbout::of(writer.index())?;
    let embedder = Embedder::open(&about.embedder)?;
    let data = last_source(&about, folder)?.like(&args.data, &args.read)?;
    let (metadata, verdicts) = (metadata(args)?, verdicts(args)?);
    let columns = Columns {
        metadata: metadata.as_ref(),
        verdicts: verdicts.as_ref(),
    };
    let mut all = Vec::new();
    for source in data.splits(args.split.as_deref(), &mut bars)? {
        let dataset = source.open(&mut bars)?;
        all.push((
            source,
            Additions::of(&dataset, &embedder, columns, &mut bars)?,
        ));
    }
    if let Some(metadata) = &metadata {
        let n = all.iter().map(|(_, added)| added.images.items.len()).sum();
        let n_named = all.iter().map(|(_, added)| added.n_named).sum();
        let example = all.iter().find_map(|(_, added)| added.images.items.first());
        metadata.check(n_named, n, example.map_or("", |item| &item.id))?;
    }
    check_judged(args, all.iter().map(|(_, added)| added.n_judged).sum())?;
    for (source, added) in all {
        about.sources.push(source);
        writer.append_with(Some(added.images), added.captions, about.to_value()?)?;
    }
    let folder = folder.to_path_buf();
    Ok(IndexResult::new("appended to", folder, writer.index()))
}

/// Deletes images with their captions.
fn delete(folder: &Path, ids: &[String]) -> Result<IndexResult> {
    let mut writer = Writer::open(folder)?;
    let index = writer.index();
    let captions = ids.iter().flat_map(|id| captions_of(index, id));
    let captions = captions.map(|row| Ok(index.captions().item(row)?.id));
    let captions: Vec<String> = captions.collect::<Result<_>>()?;
    let [images, captions] = writer.delete_both(ids, &captions)?;
    let mut result = IndexResult::new("deleted from", folder.to_path_buf(), writer.index());
    result.deleted = Some(images.n + captions.n);
    if !images.unknown.is_empty() {
        let named: Vec<&str> = images.unknown.iter().take(5).map(String::as_str).collect();
        result.notes.push(format!(
            "{} not there: {}",
            render::count(images.unknown.len(), "id"),
            named.join(", ")
        ));
    }
    Ok(result)
}

/// Learns what scores mean from other pairs.
fn recalibrate(args: &IndexArgs, data: &Path) -> Result<IndexResult> {
    let mut bars = Bars::new();
    let folder = &args.data;
    let engine = Engine::open(folder)?;
    let data = last_source(&engine.about, folder)?.like(data, &args.read)?;
    let run = engine.about.embedder.run.as_deref();
    let mut largest = None;
    for source in data.splits(args.split.as_deref(), &mut bars)? {
        keep_larger(&mut largest, run, source.open(&mut bars)?);
    }
    let Some(dataset) = largest else {
        bail!(
            "{}: all of it trained the run, or has no captions (give pairs that it never saw)",
            data.data.display()
        )
    };
    let mut writer = Writer::open(folder)?;
    let learned = learn(&engine, &dataset, &mut writer, &mut bars)?;
    Ok(learned.told(IndexResult::new(
        "calibrated",
        folder.clone(),
        writer.index(),
    )))
}

/// Sends the images elsewhere.
fn send(folder: &Path, address: &str) -> Result<IndexResult> {
    let is_file = |name: &str| VECTOR_FILES.iter().any(|row| row.name == name);
    let file = address.split_once(':').filter(|(name, _)| is_file(name));
    // A folder that is there already is refused by what writes.
    let file = file.map(|(_, path)| PathBuf::from(path));
    let file = file.filter(|path| !path.is_dir());
    check_targets(file.as_slice(), &[folder.to_path_buf()])?;
    let index = Index::open(folder)?;
    if IndexAbout::of(&index)?.compared == Compared::Rescored {
        bail!(
            "{}: its vectors only find candidates, which a database cannot score anew (serve the index itself)",
            folder.display()
        )
    }
    let mut digest = Digest::new();
    digest.add(address.as_bytes());
    let progress = folder.join(format!("upload-{}.json", &digest.hex()[..16]));
    let sent = Elsewhere::open(address, &index)?.take(&index, &progress, &mut Bars::new())?;
    let mut result = IndexResult::new("sent", folder.to_path_buf(), &index);
    result.sent = Some(sent.n_sent as usize);
    if sent.n_skipped > 0 {
        result.notes.push(format!(
            "{} were there already",
            render::count(sent.n_skipped as usize, "image")
        ));
    }
    Ok(result)
}

/// Holds vectors against their checksums, and graphs of neighbors against looking at every row.
fn check(folder: &Path) -> Result<IndexResult> {
    let index = Index::open(folder)?;
    index.verify()?;
    let mut result = IndexResult::new("checked", folder.to_path_buf(), &index);
    result.recall_at_10 = recall(&index)?;
    Ok(result)
}

/// Items that ask for their neighbors when a graph is checked.
const CHECKED: usize = 500;

fn recall(index: &Index) -> Result<Option<GalleryRecall>> {
    if index.settings().kind == truepair_index::Kind::Exact {
        return Ok(None);
    }
    let of = |side: Side| -> Result<Option<f64>> {
        let gallery = index.gallery(side);
        Ok(match gallery.is_empty() {
            true => None,
            false => Some(gallery.recall(10, CHECKED, Seed(0))?.recall),
        })
    };
    Ok(Some(GalleryRecall {
        images: of(Side::Images)?,
        captions: of(Side::Captions)?,
    }))
}
