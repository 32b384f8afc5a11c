//! `truepair index`: images and captions become an index that can be searched, served and changed.

mod args;
mod result;

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use truepair_core::dataset::Dataset;
use truepair_core::digest::Digest;
use truepair_core::rng::Seed;
use truepair_index::{Index, Settings, Side, Writer};
use truepair_read::dataset::{self, ReadOptions};

pub(crate) use args::IndexArgs;
use result::GalleryRecall;
pub(crate) use result::IndexResult;

use crate::embedder::{Embedder, EmbedderSource};
use crate::encoded::Encoders;
use crate::exit::Exit;
use crate::metadata::Metadata;
use crate::progress::Bars;
use crate::remote;
use crate::render::{self, Form};
use crate::run_folder;
use crate::search::{
    Additions, Calibration, Compared, DataSource, Elsewhere, Engine, IndexAbout, calibrate,
    caption_id, read_source, trained_nothing,
};
use crate::staged_folder::SUMMARY;

pub(crate) fn run(args: &IndexArgs, form: Form) -> Result<Exit> {
    let result = match (&args.append, &args.delete, &args.calibrate) {
        (Some(index), _, _) => append(args, index)?,
        (_, Some(ids), _) => delete(&args.data, &IndexArgs::ids(ids)?)?,
        (_, _, Some(data)) => recalibrate(args, data)?,
        _ if args.to.is_some() => send(&args.data, args.to.as_deref().unwrap_or_default())?,
        _ if args.compact => {
            let mut writer = open_writer(&args.data)?;
            writer.compact()?;
            IndexResult::new("compacted", args.data.clone(), writer.index())
        }
        _ if args.check => check(&args.data)?,
        _ => create(args)?,
    };
    form.print(&result, || result.text())?;
    Ok(Exit::Success)
}

fn open_writer(folder: &Path) -> Result<Writer> {
    Ok(Writer::open(folder)?)
}

/// Makes an index of the data.
fn create(args: &IndexArgs) -> Result<IndexResult> {
    let stage = args
        .output
        .open("index")?
        .context("name the folder of the index with --out")?;
    let mut bars = Bars::new();
    let source = EmbedderSource::new(args.run.as_deref(), &args.encoders)?;
    let embedder = Embedder::open(&source)?;
    let splits = sources(args, &mut bars)?;
    let mut writer: Option<Writer> = None;
    let mut about: Option<IndexAbout> = None;
    let mut held_out: Option<Dataset> = None;
    let mut notes = Vec::new();
    let metadata = metadata(args)?;
    let mut seen = HashMap::new();
    let mut n_named = 0;
    for source_of_split in splits {
        let dataset = read_source(&source_of_split, &mut bars)?;
        check_ids(&dataset, &mut seen)?;
        let added = Additions::of(&dataset, &embedder, metadata.as_ref(), &mut bars)?;
        let about = about.get_or_insert_with(|| {
            IndexAbout::new(dataset.name.clone(), source.clone(), added.compared)
        });
        if writer.is_none() {
            let settings = Settings {
                dim: added.dim(),
                measure: about.compared.measure(),
                storage: args.form.storage(),
                kind: args.form.kind(),
            };
            writer = Some(Index::create(stage.folder(), &settings, about.to_value()?)?);
        }
        n_named += added.n_named;
        let writer = writer.as_mut().expect("an index was made");
        writer.append(Some(added.images), added.captions)?;
        about.sources.push(source_of_split);
        if trained_nothing(args.run.as_deref(), &dataset.split) && dataset.n_captions() > 0 {
            let larger = held_out
                .as_ref()
                .is_none_or(|other| other.n_images() < dataset.n_images());
            held_out = if larger { Some(dataset) } else { held_out };
        }
    }
    let (Some(mut writer), Some(about)) = (writer, about) else {
        bail!("{}: holds no split", args.data.display())
    };
    if let Some(metadata) = &metadata {
        let example = seen.keys().next().map_or("", String::as_str);
        metadata.check(n_named, seen.len(), example)?;
    }
    writer.set_about(about.to_value()?)?;
    let mut learned = None;
    match held_out {
        Some(dataset) => {
            let engine = Engine::new(Index::open(stage.folder())?, about.clone(), embedder)?;
            match calibrate(&engine, &dataset, &mut bars) {
                Ok(calibration) => {
                    notes.extend(calibration.open.iter().cloned());
                    learned = Some(store(&mut writer, about, calibration)?);
                }
                Err(error) => notes.push(format!("what scores mean stays open: {}", render::chain(&error))),
            }
        }
        None => notes.push(
            "what scores mean stays open: no pairs are here that trained nothing (`truepair index INDEX \
             --calibrate DATA` learns it from some)"
                .to_owned(),
        ),
    }
    let place = stage.place("");
    let mut result = IndexResult::new("created", place.clone(), writer.index());
    if let Some(calibration) = learned {
        [result.text_to_image, result.image_to_text] = calibration;
    }
    result.notes = notes;
    stage.write_json(SUMMARY, &result)?;
    drop(writer);
    stage.finish()?;
    Ok(result)
}

type Qualities = [Option<truepair_core::answer::AnswerQuality>; 2];

/// Keeps what was learned in the index.
fn store(
    writer: &mut Writer,
    mut about: IndexAbout,
    calibration: Calibration,
) -> Result<Qualities> {
    about.answers = calibration.answers;
    writer.set_about(about.to_value()?)?;
    Ok(calibration.quality)
}

fn metadata(args: &IndexArgs) -> Result<Option<Metadata>> {
    let read = |file: &std::path::PathBuf| Metadata::read(file, args.form.metadata_id.as_deref());
    args.form.metadata.as_ref().map(read).transpose()
}

fn check_ids(dataset: &Dataset, seen: &mut HashMap<String, String>) -> Result<()> {
    for id in &dataset.image_ids {
        if let Some(other) = seen.insert(id.clone(), dataset.split.clone()) {
            bail!(
                "image `{id}` is in the split {other} and in {}, and an index holds every id once (index one split: \
                 --split {})",
                dataset.split,
                dataset.split
            )
        }
    }
    Ok(())
}

/// The splits of the data, each as it is to be read.
fn sources(args: &IndexArgs, bars: &mut Bars) -> Result<Vec<DataSource>> {
    let data = remote::full(&args.data)?;
    let is_told = !args.read.words().is_empty();
    let (read, encoders) = match &args.run {
        Some(run) => {
            let (_, own, encoders) = run_folder::data_of(run, Some(&data))?;
            let mut read = if is_told {
                args.read.options("all")
            } else {
                own.clone()
            };
            read.pixels = own.pixels;
            (read, encoders)
        }
        None => (args.read.options("all"), needed(args, &data, bars)?),
    };
    splits_of(&data, &read, &encoders, args.split.as_deref(), bars)
}

/// The encoders that the data needs: none where it brings embeddings of both sides itself.
fn needed(args: &IndexArgs, data: &Path, bars: &mut Bars) -> Result<Encoders> {
    let encoders = args.encoders.full()?;
    if encoders.are_none() {
        return Ok(encoders);
    }
    let first = args.split.as_ref().and_then(|names| names.first());
    let read = args.read.options(first.map_or("all", String::as_str));
    let fetched = remote::fetched(data, &read, bars);
    let opened = fetched.ok().and_then(|(path, read)| {
        let names = dataset::splits(&path, &read).ok()?;
        let split = first.or(names.first())?.clone();
        dataset::open(path, &ReadOptions { split, ..read }).ok()
    });
    let brings_both = opened
        .is_some_and(|opened| !opened.images.are_pictures() && opened.caption_features.is_some());
    Ok(if brings_both {
        Encoders::default()
    } else {
        encoders
    })
}

fn splits_of(
    data: &Path,
    read: &ReadOptions,
    encoders: &Encoders,
    wanted: Option<&[String]>,
    bars: &mut Bars,
) -> Result<Vec<DataSource>> {
    let names = match wanted {
        Some(names) => names.to_vec(),
        None => {
            let all = ReadOptions {
                split: "all".to_owned(),
                ..read.clone()
            };
            let (path, all) = remote::fetched(data, &all, bars)?;
            dataset::splits(path, &all)?
        }
    };
    let source = |split: String| DataSource {
        data: data.to_path_buf(),
        read: ReadOptions {
            split,
            ..read.clone()
        },
        encoders: encoders.clone(),
    };
    Ok(names.into_iter().map(source).collect())
}

/// Adds data to an index, by what made it.
fn append(args: &IndexArgs, folder: &Path) -> Result<IndexResult> {
    if !args.encoders.are_none() {
        bail!("--append embeds by what made the index (leave the encoders out)")
    }
    let mut bars = Bars::new();
    let mut writer = open_writer(folder)?;
    let mut about = IndexAbout::of(writer.index())?;
    let embedder = Embedder::open(&about.embedder)?;
    let Some(last) = about.sources.last().cloned() else {
        bail!(
            "{}: does not know what it was made of (make it again)",
            folder.display()
        )
    };
    let mut read = match args.read.words().is_empty() && same_data(&args.data, &last.data) {
        true => last.read.clone(),
        false => args.read.options("all"),
    };
    read.pixels = last.read.pixels;
    let data = remote::full(&args.data)?;
    let metadata = metadata(args)?;
    for source in splits_of(
        &data,
        &read,
        &last.encoders,
        args.split.as_deref(),
        &mut bars,
    )? {
        let dataset = read_source(&source, &mut bars)?;
        let added = Additions::of(&dataset, &embedder, metadata.as_ref(), &mut bars)?;
        writer.append(Some(added.images), added.captions)?;
        about.sources.push(source);
        writer.set_about(about.to_value()?)?;
    }
    Ok(IndexResult::new(
        "appended to",
        folder.to_path_buf(),
        writer.index(),
    ))
}

fn same_data(a: &Path, b: &Path) -> bool {
    remote::full(a).is_ok_and(|full| full == b)
}

/// Deletes images with their captions.
fn delete(folder: &Path, ids: &[String]) -> Result<IndexResult> {
    let mut writer = open_writer(folder)?;
    let captions = captions_of(writer.index(), ids);
    let images = writer.delete(Side::Images, ids)?;
    let captions = writer.delete(Side::Captions, &captions)?;
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

/// The captions of images, which are numbered from 0 without a gap.
fn captions_of(index: &Index, images: &[String]) -> Vec<String> {
    let of_image = |image: &String| {
        let names = (0..).map(|nth| caption_id(image, nth));
        names
            .take_while(|name| index.captions().find(name).is_some())
            .collect::<Vec<_>>()
    };
    images.iter().flat_map(of_image).collect()
}

/// Learns what scores mean from other pairs.
fn recalibrate(args: &IndexArgs, data: &Path) -> Result<IndexResult> {
    let mut bars = Bars::new();
    let folder = &args.data;
    let engine = Engine::open(folder)?;
    let about = engine.about.clone();
    let Some(last) = about.sources.last() else {
        bail!(
            "{}: does not know what it was made of (make it again)",
            folder.display()
        )
    };
    let is_told = !args.read.words().is_empty();
    let mut read = if is_told {
        args.read.options("all")
    } else {
        last.read.clone()
    };
    read.pixels = last.read.pixels;
    let data = remote::full(data)?;
    let splits = splits_of(
        &data,
        &read,
        &last.encoders,
        args.split.as_deref(),
        &mut bars,
    )?;
    let run = about.embedder.run.as_deref();
    let mut largest: Option<Dataset> = None;
    for source in splits {
        if !trained_nothing(run, &source.read.split) {
            continue;
        }
        let dataset = read_source(&source, &mut bars)?;
        if largest
            .as_ref()
            .is_none_or(|other| other.n_images() < dataset.n_images())
        {
            largest = Some(dataset);
        }
    }
    let Some(dataset) = largest else {
        bail!(
            "{}: all of it trained the run (give pairs that it never saw)",
            data.display()
        )
    };
    let calibration = calibrate(&engine, &dataset, &mut bars)?;
    let notes = calibration.open.clone();
    let mut writer = open_writer(folder)?;
    let [text_to_image, image_to_text] = store(&mut writer, about, calibration)?;
    Ok(IndexResult {
        text_to_image,
        image_to_text,
        notes,
        ..IndexResult::new("calibrated", folder.clone(), writer.index())
    })
}

/// Sends the images elsewhere.
fn send(folder: &Path, address: &str) -> Result<IndexResult> {
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
