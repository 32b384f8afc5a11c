//! Encoders on the way to a command: pictures and captions become embeddings, which are kept in the
//! cache under a hash of all that decides them.

mod identity;

use std::path::{Path, PathBuf};

pub(crate) use identity::{described_captions, described_images};
use identity::{hashes_beside, state_of_pictures};

use anyhow::{Context, Error, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use truepair_core::dataset::{Dataset, Features, NamedFeatures, Picture};
use truepair_core::digest::Digest;
use truepair_core::durable;
use truepair_encode::job::{self, Embedded, Items, Job, Outcome, Skipped};
use truepair_encode::{
    Assumption, ImageEncoder, ImageOptions, Length, Runtime, Setting, TextEncoder, TextOptions,
};
use truepair_read::dataset::{self, CaptionFeatures, Pictures, ReadOptions};

use crate::progress::Bars;
use crate::shell::word;
use crate::{cache, data, interrupt, remote, render};

/// Name of the caption embeddings that a text encoder made.
const NAME: &str = "embeddings";
/// Their folder in the cache.
const CACHE: &str = "embeddings";
/// Written last, so that it marks finished embeddings; says what they were made of.
const JOB: &str = "job.json";
/// Pictures between two looks at the stop flag.
const BATCH: usize = 32;

/// Encoders that turn pictures and captions into embeddings before the command begins.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Encoders")]
pub(crate) struct Encoders {
    /// Image encoder (ONNX) for data with pictures; embeddings are kept in the cache and made once.
    /// Its settings lie beside it; `truepair embed` takes them as arguments.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    image_encoder: Option<PathBuf>,

    /// Text encoder (ONNX) for the captions, with its tokenizer.json; without one captions stay text.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    text_encoder: Option<PathBuf>,

    /// Convention that the image encoder follows, where no file says how its pictures are prepared.
    #[arg(long, value_name = "NAME", requires = "image_encoder")]
    #[serde(skip_serializing_if = "Option::is_none")]
    assume: Option<AssumptionChoice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AssumptionChoice {
    /// Mean and deviation of ImageNet
    Imagenet,
    /// Those of CLIP
    Clip,
}

impl From<AssumptionChoice> for Assumption {
    fn from(choice: AssumptionChoice) -> Self {
        match choice {
            AssumptionChoice::Imagenet => Assumption::Imagenet,
            AssumptionChoice::Clip => Assumption::Clip,
        }
    }
}

impl Encoders {
    /// Whether none was named.
    pub(crate) fn are_none(&self) -> bool {
        self.image_encoder.is_none() && self.text_encoder.is_none()
    }

    /// These files.
    pub(crate) fn named(
        image_encoder: Option<PathBuf>,
        text_encoder: Option<PathBuf>,
        assume: Option<AssumptionChoice>,
    ) -> Self {
        Self {
            image_encoder,
            text_encoder,
            assume,
        }
    }

    /// These, and `own` in the place of those that were not named.
    pub(crate) fn or(&self, own: &Self) -> Self {
        let text = self.text_encoder.as_ref().or(own.text_encoder.as_ref());
        let (image, assume) = match &self.image_encoder {
            Some(image) => (Some(image), self.assume),
            None => (own.image_encoder.as_ref(), own.assume),
        };
        Self {
            image_encoder: image.cloned(),
            text_encoder: text.cloned(),
            assume,
        }
    }

    /// With paths that hold from any folder.
    ///
    /// # Errors
    /// If the current folder is not known.
    pub(crate) fn full(&self) -> Result<Self> {
        let full = |path: &Option<PathBuf>| path.as_deref().map(remote::full).transpose();
        Ok(Self {
            image_encoder: full(&self.image_encoder)?,
            text_encoder: full(&self.text_encoder)?,
            assume: self.assume,
        })
    }

    /// The flags with their values, for advice that can be typed again.
    pub(crate) fn words(&self) -> Vec<[String; 2]> {
        let assume = self.assume.and_then(|choice| choice.to_possible_value());
        let flags = [
            ("--image-encoder", self.image_encoder.as_deref().map(word)),
            ("--text-encoder", self.text_encoder.as_deref().map(word)),
            ("--assume", assume.map(|value| value.get_name().to_owned())),
        ];
        let flags = flags.into_iter();
        flags
            .filter_map(|(flag, value)| Some([flag.to_owned(), value?]))
            .collect()
    }

    /// Where encoders come from and what to type, added to `error` when it is only encoders that the data lacks:
    /// its pictures are there, and no image encoder was named. `typed` is the command with its data.
    pub(crate) fn advise(
        &self,
        error: Error,
        typed: &str,
        (path, read): (&Path, &ReadOptions),
        bars: &mut Bars,
    ) -> Error {
        if self.image_encoder.is_some() || !has_pictures(path, read, bars) {
            return error;
        }
        let text = match self.text_encoder {
            Some(_) => "",
            None => " --text-encoder clip/onnx/text_model.onnx",
        };
        anyhow!(
            "{}. Its pictures and captions are there, though, and two files make embeddings of them: an image \
             encoder and, better with it, a text encoder, both in ONNX. On Hugging Face \
             `Xenova/clip-vit-base-patch32` and `Xenova/siglip-base-patch16-224` have them as \
             onnx/vision_model.onnx and onnx/text_model.onnx: download both with every .json of the \
             repository, into clip/ for instance, and type `{typed} --image-encoder \
             clip/onnx/vision_model.onnx{text}`",
            render::chain(&error)
        )
    }
}

/// Whether the data opens with pictures where no features were found.
fn has_pictures(path: &Path, read: &ReadOptions, bars: &mut Bars) -> bool {
    if read.pixels.is_some() || read.features.is_some() {
        return false;
    }
    let opened = remote::fetched(path, &with_pictures(read), bars)
        .ok()
        .and_then(|(path, read)| dataset::open(path, &read).ok());
    opened.is_some_and(|opened| {
        let mut pictures = (0..opened.n_images()).filter_map(|row| opened.images.picture(row));
        opened.captions.is_some()
            && pictures.any(|picture| !matches!(picture, Picture::Missing { .. }))
    })
}

/// The options with pictures beside the list, unless they name their folder.
fn with_pictures(read: &ReadOptions) -> ReadOptions {
    ReadOptions {
        pictures: match &read.pictures {
            Pictures::Unused => Pictures::Beside,
            said => said.clone(),
        },
        ..read.clone()
    }
}

/// Encoders that are ready to run; without any, data is opened as it is.
#[derive(Debug, Default)]
pub(crate) struct LoadedEncoders {
    images: Option<ImageEncoder>,
    captions: Option<TextEncoder>,
    /// What decides their vectors.
    description: Value,
    /// Both files, for people.
    names: Vec<String>,
}

/// A data set whose pictures and captions are embeddings where encoders were named.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) dataset: Dataset,
    /// What the encoders' embeddings stand for; `None` without encoders.
    pub(crate) as_read: Option<AsRead>,
    /// What was embedded and left out, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// Images and caption embeddings as the data has them.
#[derive(Debug, Clone)]
pub(crate) struct AsRead {
    images: Features,
    caption_features: Option<NamedFeatures>,
}

impl AsRead {
    /// `dataset`, whose images and captions are in the same order, as the data's own format writes it.
    pub(crate) fn of(&self, dataset: &Dataset) -> Dataset {
        Dataset {
            images: self.images.clone(),
            caption_features: self.caption_features.clone(),
            ..dataset.clone()
        }
    }
}

impl From<Dataset> for Encoded {
    fn from(dataset: Dataset) -> Self {
        Self {
            dataset,
            as_read: None,
            notes: Vec::new(),
        }
    }
}

impl LoadedEncoders {
    /// # Errors
    /// If a file is not such an encoder, or it stays open how it is to be run.
    pub(crate) fn load(encoders: &Encoders) -> Result<Self> {
        let image_options = ImageOptions {
            assume: encoders.assume.map(Assumption::from),
            ..ImageOptions::default()
        };
        let (image, text) = (&encoders.image_encoder, &encoders.text_encoder);
        let open_image = |path: &PathBuf| {
            let encoder = ImageEncoder::open(path, &image_options, &Runtime::BuiltIn)?;
            let described = described_images(path, &encoder)?;
            Ok::<_, Error>((encoder, described))
        };
        let open_text = |path: &PathBuf| {
            let encoder = TextEncoder::open(path, &TextOptions::default(), &Runtime::BuiltIn)?;
            let described = described_captions(path, &encoder)?;
            Ok::<_, Error>((encoder, described))
        };
        let (images, of_images) = image.as_ref().map(open_image).transpose()?.unzip();
        let (captions, of_captions) = text.as_ref().map(open_text).transpose()?.unzip();
        let files = image.iter().chain(text);
        Ok(Self {
            images,
            captions,
            description: json!({
                "version": env!("CARGO_PKG_VERSION"),
                "image_encoder": of_images,
                "text_encoder": of_captions,
                "files_beside": hashes_beside(files.clone())?,
            }),
            names: files.map(|path| path.display().to_string()).collect(),
        })
    }

    /// Whether there is none.
    pub(crate) fn are_none(&self) -> bool {
        self.images.is_none() && self.captions.is_none()
    }

    /// Whether there is a text encoder.
    pub(crate) fn reads_texts(&self) -> bool {
        self.captions.is_some()
    }

    /// Whether there is an image encoder.
    pub(crate) fn reads_pictures(&self) -> bool {
        self.images.is_some()
    }

    /// The vectors `[n, d]` of texts; `None` without a text encoder.
    ///
    /// # Errors
    /// If the encoder fails.
    pub(crate) fn texts(&self, texts: &[String]) -> Result<Option<Vec<f32>>> {
        let embed = |encoder: &TextEncoder| encoder.embed(texts);
        Ok(self.captions.as_ref().map(embed).transpose()?)
    }

    /// The vector `[d]` of a picture's bytes; `None` without an image encoder.
    ///
    /// # Errors
    /// If the bytes are no picture, or the encoder fails.
    pub(crate) fn picture(&self, bytes: &[u8]) -> Result<Option<Vec<f32>>> {
        let Some(encoder) = &self.images else {
            return Ok(None);
        };
        Ok(Some(encoder.embed(&truepair_image::decode(bytes)?)?))
    }

    /// How the data is read: with its pictures where they are to be embedded.
    ///
    /// # Errors
    /// If `read` asks for something else in the place of the embeddings.
    pub(crate) fn reading(&self, read: &ReadOptions) -> Result<ReadOptions> {
        if self.images.is_some() && read.features.is_some() {
            bail!(
                "--image-encoder makes the image features that --features names (drop one of them)"
            )
        }
        if !self.are_none() && read.pixels.is_some() {
            bail!("--pixels is for networks that read pictures without encoders (drop one of them)")
        }
        if self.captions.is_some() && read.caption_features != CaptionFeatures::Auto {
            bail!(
                "--text-encoder makes the embeddings that --caption-features names (drop one of them)"
            )
        }
        Ok(match self.images {
            Some(_) => with_pictures(read),
            None => read.clone(),
        })
    }

    /// What every encoder was set to and where that was found, a line each.
    pub(crate) fn settings(&self) -> Vec<String> {
        let images = self.images.as_ref();
        let images = images.map(|encoder| ("image encoder", encoder.dim(), encoder.settings()));
        let captions = self.captions.as_ref();
        let captions = captions.map(|encoder| ("text encoder", encoder.dim(), encoder.settings()));
        let line = |(which, dim, settings): (&str, usize, &[Setting])| {
            let settings: Vec<String> = settings.iter().map(Setting::to_string).collect();
            format!("{which}: vectors of {dim} numbers; {}", settings.join(", "))
        };
        images.into_iter().chain(captions).map(line).collect()
    }

    /// Opens one split, and embeds what there are encoders for.
    ///
    /// # Errors
    /// If the data cannot be read, an encoder fails, or a signal stopped the work.
    pub(crate) fn open(&self, path: &Path, read: &ReadOptions, bars: &mut Bars) -> Result<Encoded> {
        if self.are_none() {
            return Ok(data::open(path, read, bars)?.into());
        }
        let (path, read) = remote::fetched(path, &self.reading(read)?, bars)?;
        let dataset = dataset::open(path, &read)?;
        bars.tell(&dataset.account);
        if self.images.is_none() {
            // Pictures would be refused after the captions' long work.
            dataset.images.check_finite(bars)?;
        }
        let n_images = dataset.n_images();
        let encoded = self.embed(dataset, &cache::folder()?.join(CACHE), bars)?;
        let skipped = n_images - encoded.dataset.n_images();
        if read.strict && skipped > 0 {
            bail!(
                "strict reading, but {} could not be decoded (replace or remove what the warning names, or \
                 drop --strict)",
                render::count(skipped, "picture")
            )
        }
        data::check_finite(&encoded.dataset, bars)?;
        Ok(encoded)
    }

    /// Embeds a data set in a folder of `cache` that is this very work's own.
    fn embed(&self, dataset: Dataset, cache: &Path, bars: &mut Bars) -> Result<Encoded> {
        let work = self.describe(&dataset)?.to_string();
        let mut digest = Digest::new();
        digest.add(work.as_bytes());
        let folder = cache.join(digest.hex());
        let place = folder.display();
        std::fs::create_dir_all(&folder).with_context(|| format!("{place}: cannot create"))?;
        if folder.join(JOB).is_file() {
            render::note(&format!("embeddings from an earlier run ({place})"));
        }
        let job = Job {
            images: self.images.as_ref(),
            captions: self.captions.as_ref(),
            half: false,
            batch: BATCH,
        };
        let outcome = job.run(&dataset, &folder, interrupt::stop_flag(), bars);
        interrupt::stop_at_once();
        match outcome? {
            Outcome::Done(_) if interrupt::was_asked_to_stop() => {
                bail!("stopped: run the same command again (its embeddings are kept in {place})")
            }
            Outcome::Done(embedded) => {
                durable::write(folder.join(JOB), work.as_bytes())?;
                Ok(self.joined(dataset, embedded, bars))
            }
            Outcome::Stopped => {
                bail!("stopped: run the same command again, which continues with {place}")
            }
        }
    }

    /// The data set with what was embedded, and without the images that could not be.
    fn joined(&self, mut dataset: Dataset, embedded: Embedded, bars: &mut Bars) -> Encoded {
        show_pictures(&mut dataset);
        let own = dataset.caption_features.take();
        dataset.caption_features = match embedded.captions {
            Some(features) => Some(NamedFeatures {
                name: NAME.to_owned(),
                features,
            }),
            None => own.clone(),
        };
        let mut notes = vec![format!("embedded by {}", self.names.join(" and "))];
        if let Some(encoder) = &self.captions
            && let Some(cut) = told_cut(embedded.n_cut, dataset.n_captions(), encoder)
        {
            render::note(&format!("note: {cut}"));
            notes.push(cut);
        }
        let mut as_read = AsRead {
            images: dataset.images.clone(),
            caption_features: own,
        };
        if !embedded.skipped.is_empty() {
            let n_pairs = dataset.pairs.len();
            dataset = without(dataset, &embedded.skipped, &mut as_read);
            data::tell_skipped(&told(&embedded.skipped), "skipped", bars);
            notes.push(format!(
                "{} could not be decoded: left out, with {}",
                render::count(embedded.skipped.len(), "picture"),
                render::count(n_pairs - dataset.pairs.len(), "pair")
            ));
        }
        data::tell_skipped(&told(&embedded.remarks), "read although damaged", bars);
        if let Some(images) = embedded.images {
            dataset.images = images;
        }
        Encoded {
            dataset,
            as_read: Some(as_read),
            notes,
        }
    }

    /// All that decides the embeddings of a data set, however its path was written.
    fn describe(&self, dataset: &Dataset) -> Result<Value> {
        let items = Items {
            image_ids: &dataset.image_ids,
            pictures: None,
            captions: Some(dataset.require_captions()?),
        };
        let mut pairs = Digest::new();
        for pair in &dataset.pairs {
            pairs.add(format!("{} {}\n", pair.image, pair.caption).as_bytes());
        }
        let mut work = self.description.clone();
        work["data"] = json!({ "items": job::fingerprint_of_items(items), "pairs": pairs.hex() });
        if self.images.is_some() {
            work["pictures"] = state_of_pictures(&dataset.clone().with_pictures()?.images).into();
        }
        Ok(work)
    }
}

/// The data without pictures that were skipped, their captions and pairs; its account names them.
fn without(mut dataset: Dataset, skipped: &[Skipped], as_read: &mut AsRead) -> Dataset {
    let mut keep = vec![true; dataset.n_images()];
    for one in skipped {
        keep[one.row as usize] = false;
        let account = &mut dataset.account;
        account.pass("picture", &one.problem, &one.place);
    }
    let (dataset, captions) = dataset.with_images_kept(&keep);
    as_read.images = dataset.images.clone();
    if let Some(own) = &mut as_read.caption_features {
        own.features = own.features.select(&captions);
    }
    dataset
}

/// How many of `n` captions were cut, where some were.
pub(crate) fn told_cut(n_cut: usize, n: usize, encoder: &TextEncoder) -> Option<String> {
    let (Length::AtMost(tokens) | Length::Exactly(tokens)) = encoder.tokenizer().length();
    let were = if n_cut == 1 { "was" } else { "were" };
    (n_cut > 0).then(|| {
        format!(
            "{n_cut} of {} {were} cut at {}: what stands behind that is not read",
            render::count(n, "caption"),
            render::count(tokens, "token")
        )
    })
}

fn told(pictures: &[Skipped]) -> Vec<String> {
    let one = |picture: &Skipped| format!("{}: {}", picture.place, picture.problem);
    pictures.iter().map(one).collect()
}

/// Lets the report show the pictures that are files, wherever they were found.
fn show_pictures(dataset: &mut Dataset) {
    if !dataset.image_files.is_empty() {
        return;
    }
    let file = |row| match dataset.images.picture(row) {
        Some(Picture::File(file)) => Some(file.clone()),
        _ => None,
    };
    let files: Vec<Option<PathBuf>> = (0..dataset.n_images()).map(file).collect();
    if files.iter().any(Option::is_some) {
        dataset.image_files = files;
    }
}

#[cfg(test)]
mod tests;
