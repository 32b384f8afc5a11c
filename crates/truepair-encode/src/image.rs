//! Pictures to vectors.

use std::fmt::Debug;
use std::path::Path;

use serde::{Deserialize, Serialize};
use truepair_core::error::Place;
use truepair_core::{Error, Result};
use truepair_image::{Filter, Fit, KnownPreprocessing, Preprocessing, Rgb};

use crate::model::{Input, Lane, Model, ModelFile, Runtime, Tensor, Values, choose_output, finite};
use crate::neighbors::{near, told};
use crate::setting::Setting;

/// Outputs that are one vector an image, by the names that exporters give them, best first.
const OUTPUTS: &[&str] = &[
    "image_embeds",
    "image_features",
    "image_embeddings",
    "pooled",
    "pooler_output",
    "embeddings",
    "embedding",
    "features",
];

/// A convention for preparing pictures that a caller vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assumption {
    /// Mean and deviation of ImageNet.
    Imagenet,
    /// Those of CLIP.
    Clip,
}

impl Assumption {
    fn preprocessing(self) -> Preprocessing {
        match self {
            Self::Imagenet => Preprocessing::imagenet(),
            Self::Clip => Preprocessing::clip(),
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Imagenet => "assumed: imagenet",
            Self::Clip => "assumed: clip",
        }
    }
}

/// What a caller says of an image encoder; what is left open is looked up beside it.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// How pictures are prepared, as far as the caller says it.
    pub prepare: KnownPreprocessing,
    /// What may be assumed where no file says it.
    pub assume: Option<Assumption>,
    /// The output to read; else it is recognized by its name.
    pub output: Option<String>,
}

/// An image encoder in an ONNX file: one input `[n, 3, size, size]`, an output `[n, d]`.
///
/// ```
/// use std::path::Path;
/// use truepair_encode::{Assumption, ImageEncoder, ImageOptions, Runtime};
/// use truepair_image::Rgb;
///
/// let path = Path::new("fixtures/encoders/tiny_image.onnx");
/// let options = ImageOptions { assume: Some(Assumption::Imagenet), ..ImageOptions::default() };
/// let encoder = ImageEncoder::open(path, &options, &Runtime::BuiltIn)?;
/// let vector = encoder.embed(&Rgb::new(1, 1, vec![255, 0, 0]))?;
/// assert_eq!((encoder.output(), vector.len()), ("pooled", encoder.dim()));
/// assert_eq!(encoder.settings()[0].to_string(), "size 16 (the model's input)");
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ImageEncoder {
    model: Model,
    preprocessing: Preprocessing,
    /// Pictures of a run, where the model wants one number of all.
    batch: usize,
    settings: Vec<Setting>,
    dim: usize,
}

impl ImageEncoder {
    /// Opens the model at `path`. How pictures are prepared is what the caller says, else what a
    /// `preprocessor_config.json`, `processor_config.json` or `open_clip_config.json` beside it or
    /// in the folder above says; the size may be the model's. Without a fit the middle is cut out,
    /// without a filter it is bicubic.
    ///
    /// # Errors
    /// If the file is not a model that can be run, nothing says how its pictures are prepared, it
    /// reads something else than square pictures of the prepared size, or its output is not one
    /// vector an image.
    pub fn open(path: &Path, options: &ImageOptions, runtime: &Runtime) -> Result<Self> {
        let file = ModelFile::open(path)?;
        let output = choose_output(&file, options.output.as_deref(), OUTPUTS)?;
        let inputs = file.inputs_of(&output)?;
        let (preprocessing, mut settings) = prepared(path, options, &inputs)?;
        preprocessing.check()?;
        check_input(path, &inputs, preprocessing.size)?;
        let by = match options.output {
            Some(_) => "as given",
            None => "by its name",
        };
        settings.push(Setting::new("output", &output, by));
        let batch = inputs[0].shape.first().copied().flatten();
        let mut encoder = Self {
            model: file.load(&output, runtime)?,
            preprocessing,
            batch: batch.unwrap_or(1),
            settings,
            dim: 0,
        };
        // What a model returns is only known when it has run.
        let blank = Rgb::new(1, 1, vec![255; 3]);
        encoder.dim = encoder.embed(&blank)?.len();
        Ok(encoder)
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How pictures are prepared.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Name of the output that is read.
    pub fn output(&self) -> &str {
        self.model.output()
    }

    /// What it was set to, and where that was found.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The vector `[d]` of a picture, on one thread.
    ///
    /// # Errors
    /// If the model cannot be run, or does not return one vector of finite numbers.
    pub fn embed(&self, picture: &Rgb) -> Result<Vec<f32>> {
        self.embed_on(picture, &Lane::new())
    }

    /// As [`embed`](Self::embed), where the picture is decoded.
    pub(crate) fn embed_on(&self, picture: &Rgb, lane: &Lane) -> Result<Vec<f32>> {
        let size = self.preprocessing.size;
        let planes = self.preprocessing.planes(picture);
        let input = Tensor {
            shape: vec![self.batch, 3, size, size],
            values: Values::Floats(planes.repeat(self.batch)),
        };
        let output = self.model.run(vec![input], lane)?;
        let dim = match *output.shape {
            [n, dim] | [n, dim, 1, 1] if n == self.batch => dim,
            ref shape => {
                let name = self.output();
                return Err(Error::data(
                    self.model.path(),
                    Place::Whole,
                    format!(
                        "output '{name}' has shape {shape:?}, expected [{}, d]",
                        self.batch
                    ),
                    "choose another output",
                ));
            }
        };
        let mut vector = output.values;
        vector.truncate(dim);
        finite(vector, &self.model)
    }
}

/// What is said of how pictures are prepared, with who says it, in the order in which it counts.
struct Layer {
    source: String,
    known: KnownPreprocessing,
}

/// How pictures are prepared, and where each setting was found.
///
/// # Errors
/// If a setting stays open; the message says which and how to give it.
fn prepared(
    path: &Path,
    options: &ImageOptions,
    inputs: &[Input],
) -> Result<(Preprocessing, Vec<Setting>)> {
    let layers = layers(path, options, inputs)?;
    let known = (layers.iter()).fold(KnownPreprocessing::default(), |known, layer| {
        known.or(&layer.known)
    });
    let (Some(size), Some(mean), Some(std)) = (known.size, known.mean, known.std) else {
        let open = [
            ("the size", known.size.is_none()),
            ("the mean", known.mean.is_none()),
            ("the standard deviation", known.std.is_none()),
        ];
        let open: Vec<&str> = (open.iter().filter(|(_, open)| *open))
            .map(|(name, _)| *name)
            .collect();
        return Err(Error::data(
            path,
            Place::Whole,
            format!(
                "nothing says {} that its pictures are prepared with: neither an argument nor {} \
                 beside it or in the folder above",
                open.join(" and "),
                KnownPreprocessing::FILES.join(", ")
            ),
            "put the encoder's preprocessor_config.json beside it, give the settings (--size, --mean, \
             --std), or say which convention it follows (--assume imagenet or --assume clip)",
        ));
    };
    let preprocessing = Preprocessing {
        size,
        resize: known.resize,
        fit: known.fit.unwrap_or(Fit::Crop),
        filter: known.filter.unwrap_or(Filter::Bicubic),
        mean,
        std,
    };
    let settings = told_by(&layers, &preprocessing);
    Ok((preprocessing, settings))
}

fn layers(path: &Path, options: &ImageOptions, inputs: &[Input]) -> Result<Vec<Layer>> {
    let mut layers = vec![Layer {
        source: "as given".into(),
        known: options.prepare.clone(),
    }];
    for file in near(path, &KnownPreprocessing::FILES) {
        if let Some(known) = KnownPreprocessing::read(&file)? {
            let source = told(&file, path);
            layers.push(Layer { source, known });
            break;
        }
    }
    if let Some(Some(size)) = inputs.first().and_then(|input| input.shape.get(2).copied()) {
        layers.push(Layer {
            source: "the model's input".into(),
            known: KnownPreprocessing {
                size: Some(size),
                ..KnownPreprocessing::default()
            },
        });
    }
    if let Some(assumption) = options.assume {
        layers.push(Layer {
            source: assumption.told().into(),
            known: KnownPreprocessing::from(&assumption.preprocessing()),
        });
    }
    Ok(layers)
}

fn told_by(layers: &[Layer], chosen: &Preprocessing) -> Vec<Setting> {
    let source = |has: fn(&KnownPreprocessing) -> bool| {
        let layer = layers.iter().find(|layer| has(&layer.known));
        layer.map_or("by default", |layer| layer.source.as_str())
    };
    let lower = |value: &dyn Debug| format!("{value:?}").to_lowercase();
    let mut settings = vec![Setting::new(
        "size",
        chosen.size,
        source(|k| k.size.is_some()),
    )];
    if let Some(resize) = chosen.resize {
        settings.push(Setting::new(
            "resize",
            resize,
            source(|k| k.resize.is_some()),
        ));
    }
    settings.extend([
        Setting::new("fit", lower(&chosen.fit), source(|k| k.fit.is_some())),
        Setting::new(
            "filter",
            lower(&chosen.filter),
            source(|k| k.filter.is_some()),
        ),
        Setting::new("mean", lower(&chosen.mean), source(|k| k.mean.is_some())),
        Setting::new("std", lower(&chosen.std), source(|k| k.std.is_some())),
    ]);
    settings
}

/// # Errors
/// If several inputs lead to the output, or one of fixed sizes other than `[n, 3, size, size]`.
fn check_input(path: &Path, inputs: &[Input], size: usize) -> Result<()> {
    let told = |input: &Input| {
        let sizes = input.shape.iter();
        let sizes = sizes.map(|size| size.map_or_else(|| "any".into(), |size| size.to_string()));
        format!(
            "{} [{}]",
            input.name,
            sizes.collect::<Vec<String>>().join(", ")
        )
    };
    if let [input] = inputs {
        let fits = |at: usize, wanted: usize| match input.shape.get(at) {
            Some(found) => found.is_none_or(|found| found == wanted),
            None => input.shape.is_empty(),
        };
        if fits(1, 3) && fits(2, size) && fits(3, size) && !input.numbers.are_whole() {
            return Ok(());
        }
    }
    let inputs: Vec<String> = inputs.iter().map(told).collect();
    Err(Error::data(
        path,
        Place::Whole,
        format!(
            "it reads {}, expected one input [n, 3, {size}, {size}]",
            inputs.join(" and ")
        ),
        "choose the size that the model reads, an output that pictures alone lead to, or export \
         the image encoder alone",
    ))
}
