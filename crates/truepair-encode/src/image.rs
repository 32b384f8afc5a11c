//! Pictures to vectors.

use std::path::Path;

use truepair_core::error::Place;
use truepair_core::{Error, Result};
use truepair_image::{Preprocessing, Rgb};

use crate::onnx::Tensor;
use crate::runtime::{Model, Runtime};

/// Outputs that are one vector an image, by the names that exporters give them, best first.
const OUTPUTS: &[&str] = &[
    "image_embeds",
    "pooled",
    "pooler_output",
    "embeddings",
    "features",
];

/// An image encoder in an ONNX file: one input `[n, 3, size, size]`, an output `[n, d]`.
///
/// ```
/// use std::path::Path;
/// use truepair_encode::{ImageEncoder, Runtime};
/// use truepair_image::{Preprocessing, Rgb};
///
/// let path = Path::new("fixtures/encoders/tiny_image.onnx");
/// let settings = Preprocessing { size: 16, ..Preprocessing::default() };
/// let encoder = ImageEncoder::open(path, Some(settings), None, &Runtime::BuiltIn)?;
/// let vector = encoder.embed(&Rgb::new(1, 1, vec![255, 0, 0]))?;
/// assert_eq!((encoder.output(), vector.len()), ("pooled", encoder.dim()));
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ImageEncoder {
    model: Model,
    output: String,
    preprocessing: Preprocessing,
    dim: usize,
}

impl ImageEncoder {
    /// Opens the model at `path`. Without `preprocessing`, that of a `preprocessor_config.json`
    /// beside it is taken, else ImageNet's; without `output`, the one whose name says that it is a
    /// vector, else the first.
    ///
    /// # Errors
    /// If the file is no model that can be run, reads something else than square pictures of the
    /// prepared size, or its output is not one vector an image.
    pub fn open(
        path: &Path,
        preprocessing: Option<Preprocessing>,
        output: Option<&str>,
        runtime: &Runtime,
    ) -> Result<Self> {
        let model = Model::open(path, runtime)?;
        let preprocessing = match preprocessing {
            Some(chosen) => chosen,
            None => settings_of(&model)?,
        };
        preprocessing.check()?;
        let output = choose_output(&model, output, OUTPUTS)?;
        check_input(&model, preprocessing.size)?;
        let mut encoder = Self {
            model,
            output,
            preprocessing,
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
        &self.output
    }

    /// The vector `[d]` of a picture, computed on the calling thread.
    ///
    /// # Errors
    /// If the model cannot be run, or does not return one vector of finite numbers.
    pub fn embed(&self, picture: &Rgb) -> Result<Vec<f32>> {
        let size = self.preprocessing.size;
        let planes = self.preprocessing.planes(picture);
        let input = Tensor::floats(vec![1, 3, size, size], planes)
            .expect("preprocessing fills three planes");
        let output = self.model.run(vec![input], &self.output)?;
        let refuse = |problem: String| {
            let remedy = format!("choose another output: {}", self.model.outputs().join(", "));
            Error::data(self.model.path(), Place::Whole, problem, remedy)
        };
        match output.shape() {
            [1, _] | [1, _, 1, 1] => {}
            shape => {
                let problem = format!(
                    "output '{}' has shape {shape:?}, expected [1, d]",
                    self.output
                );
                return Err(refuse(problem));
            }
        }
        let vector = output.as_floats().map_err(&refuse)?.to_vec();
        finite(vector, &self.model)
    }
}

fn settings_of(model: &Model) -> Result<Preprocessing> {
    let folder = model.path().parent().unwrap_or(Path::new("."));
    let mut settings = Preprocessing::beside(folder)?.unwrap_or_default();
    if let &[_, _, Some(height), Some(_)] = model.input_shape(0)
        && (settings.resize.is_none() || height > settings.size)
    {
        settings.size = height;
    }
    Ok(settings)
}

/// # Errors
/// If the model has several inputs, or fixed sizes other than `[n, 3, size, size]`.
fn check_input(model: &Model, size: usize) -> Result<()> {
    let shape = model.input_shape(0);
    let fits = |at: usize, wanted: usize| match shape.get(at) {
        Some(found) => found.is_none_or(|found| found == wanted),
        None => shape.is_empty(),
    };
    let names = model.inputs();
    if names.len() == 1 && fits(1, 3) && fits(2, size) && fits(3, size) {
        return Ok(());
    }
    let shape: Vec<String> = (shape.iter())
        .map(|size| size.map_or_else(|| "any".into(), |size| size.to_string()))
        .collect();
    Err(Error::data(
        model.path(),
        Place::Whole,
        format!(
            "it reads {} [{}], expected one input [n, 3, {size}, {size}]",
            names.join(", "),
            shape.join(", ")
        ),
        "choose the size that the model reads, or export the image encoder alone",
    ))
}

/// The output that the caller named, the first of the known names, or the first of all.
///
/// # Errors
/// If there is no such output.
pub(crate) fn choose_output(model: &Model, named: Option<&str>, known: &[&str]) -> Result<String> {
    let outputs = model.outputs();
    let there = |name: &str| outputs.contains(&name);
    let chosen = match named {
        Some(name) => Some(name).filter(|name| there(name)),
        None => {
            let known = known.iter().copied().find(|name| there(name));
            known.or_else(|| outputs.first().copied())
        }
    };
    chosen.map(str::to_owned).ok_or_else(|| {
        Error::data(
            model.path(),
            Place::Whole,
            format!("there is no output '{}'", named.unwrap_or_default()),
            format!("choose one of {}", outputs.join(", ")),
        )
    })
}

/// # Errors
/// If a number is NaN or infinite.
pub(crate) fn finite(vector: Vec<f32>, model: &Model) -> Result<Vec<f32>> {
    if vector.iter().all(|x| x.is_finite()) {
        return Ok(vector);
    }
    Err(Error::data(
        model.path(),
        Place::Whole,
        "it returned a number that is not finite",
        "check that its weights are whole and in single precision",
    ))
}
