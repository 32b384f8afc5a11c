//! What a user may type after `truepair embed`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{ArgGroup, Args, ValueEnum};
use truepair_encode::{Assumption, ImageOptions, Pooling, TextOptions};
use truepair_image::{Filter, Fit, KnownPreprocessing};

use crate::encoded::{AssumptionChoice, Encoders};
use crate::read_args::ReadArgs;
use crate::remote;
use crate::several::one_path;

const EXAMPLES: &str = "\
Examples:
  truepair embed photos/ --image-encoder vision_model.onnx --text-encoder minilm.onnx --out features
      Folders with NAME.txt beside NAME.jpg, tables, webdataset shards, Karpathy's JSON.
  truepair embed dataset_coco.json --pictures coco/ --image-encoder resnet.onnx --out features/
      Stopped with Ctrl-C? The same command continues where it stopped.
  truepair audit features/ --out audit/
      Every other command reads the result.
  truepair embed gallery/ --image-encoder clip/onnx/vision_model.onnx --out gallery-features/
  truepair embed queries.txt --text-encoder clip/onnx/text_model.onnx --out query-features/
      Pictures alone, captions alone (one a line).
  truepair embed data/ --run runs/words --out run-embeddings/
      What a trained matcher makes of images and captions: their inner products are its scores.
  truepair embed - --run runs/words < queries.txt > queries.jsonl
      Texts line by line; an object a line comes out.";

/// Arguments of `truepair embed`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("encoders").required(true).multiple(true)
    .args(["image_encoder", "text_encoder", "run"])))]
pub(crate) struct EmbedArgs {
    /// Data with pictures: a folder, a table, a JSON file or webdataset shards (one or several archives), or
    /// their s3://, gs://, az:// or http(s):// address. With one encoder also a folder of pictures alone, or a
    /// text file of captions alone. With --run any data that its matcher reads, or `-` for texts on standard
    /// input.
    #[arg(required = true)]
    data: Vec<PathBuf>,

    /// Run directory whose matcher embeds; where it has Gaussians, their deviations are written too.
    #[arg(long, value_name = "RUN")]
    pub(super) run: Option<PathBuf>,

    /// Image encoder: ONNX, one input [n, 3, size, size], an output [n, d]; a file with both towers
    /// may stand here and as the text encoder. Left out, captions alone are embedded.
    #[arg(long, value_name = "FILE")]
    pub(super) image_encoder: Option<PathBuf>,

    /// Text encoder: ONNX; captions are kept as text only when it is left out.
    #[arg(long, value_name = "FILE")]
    pub(super) text_encoder: Option<PathBuf>,

    /// Folder to make; the same job continues if it was stopped there.
    #[arg(long, value_name = "DIR", value_parser = remote::output())]
    pub(super) out: Option<PathBuf>,

    /// Splits to embed, separated by commas; all by default.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) split: Option<Vec<String>>,

    /// Pictures to encode between two checks for Ctrl-C.
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) batch: u16,

    /// What runs the encoders. `ort` exists only in programs built with `--features ort`.
    #[arg(long, value_name = "NAME", default_value = "built-in")]
    pub(super) runtime: RuntimeChoice,

    /// Shared library of ONNX Runtime 1.17 or later, for `--runtime ort`.
    #[arg(long, value_name = "FILE", required_if_eq("runtime", "ort"))]
    pub(super) runtime_library: Option<PathBuf>,

    /// Store 16-bit numbers.
    #[arg(long)]
    pub(super) half: bool,

    #[command(flatten)]
    pub(super) prepare: PrepareArgs,

    #[command(flatten)]
    pub(super) captions: TextArgs,

    #[command(flatten)]
    pub(super) read: ReadArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RuntimeChoice {
    /// What the program brings
    BuiltIn,
    /// ONNX Runtime, loaded from a shared library
    Ort,
}

/// How pictures are prepared, where it differs from what lies beside the encoder or one folder up:
/// `preprocessor_config.json`, `processor_config.json` or `open_clip_config.json`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub(super) struct PrepareArgs {
    /// Side of the square that the image encoder reads.
    #[arg(long, value_name = "PIXELS")]
    pub(super) size: Option<usize>,

    /// Shorter side before the middle is cut out; the size by default.
    #[arg(long, value_name = "PIXELS")]
    pub(super) resize: Option<usize>,

    /// What happens to pictures that are not square.
    #[arg(long, value_name = "HOW")]
    pub(super) fit: Option<FitChoice>,

    /// Kernel of the resampling.
    #[arg(long, value_name = "NAME")]
    pub(super) filter: Option<FilterChoice>,

    /// Mean of red, green and blue, of values in [0, 1].
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    pub(super) mean: Option<[f32; 3]>,

    /// Standard deviation of red, green and blue, of values in [0, 1].
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    pub(super) std: Option<[f32; 3]>,

    /// Convention that the encoder follows, where no file and no argument says how its pictures are
    /// prepared.
    #[arg(long, value_name = "NAME")]
    pub(super) assume: Option<AssumptionChoice>,

    /// Output of the image encoder; recognized by its name by default.
    #[arg(long, value_name = "NAME")]
    pub(super) image_output: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum FitChoice {
    /// Cut the middle out
    Crop,
    /// Change the proportions
    Stretch,
    /// Pad with white
    Pad,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum FilterChoice {
    Bicubic,
    Bilinear,
}

/// How captions are encoded.
#[derive(Debug, Args)]
#[command(next_help_heading = "Captions")]
pub(super) struct TextArgs {
    /// Tokenizer; tokenizer.json beside the text encoder or one folder above by default.
    #[arg(long, value_name = "FILE")]
    pub(super) tokenizer: Option<PathBuf>,

    /// How the tokens' vectors become one; as 1_Pooling/config.json beside the encoder or one folder
    /// up says, else their mean.
    #[arg(long, value_name = "HOW")]
    pub(super) pooling: Option<PoolingChoice>,

    /// Output of the text encoder; recognized by its name by default.
    #[arg(long, value_name = "NAME")]
    pub(super) text_output: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PoolingChoice {
    /// Their mean
    Mean,
    /// That of the first token
    First,
}

fn three(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let numbers = numbers.map_err(|_| "expected three numbers, such as 0.5,0.5,0.5")?;
    numbers
        .try_into()
        .map_err(|_| "expected three numbers".to_owned())
}

impl EmbedArgs {
    /// The encoders as every other command takes them.
    pub(super) fn encoders(&self) -> Encoders {
        let (image, text) = (self.image_encoder.clone(), self.text_encoder.clone());
        Encoders::named(image, text, self.prepare.assume)
    }

    /// The data, one path.
    ///
    /// # Errors
    /// If several files were named that are no archives.
    pub(super) fn data(&self) -> Result<PathBuf> {
        one_path(&self.data)?.context("name the data to embed")
    }
}

impl PrepareArgs {
    /// What the library is asked for.
    pub(super) fn options(&self) -> ImageOptions {
        ImageOptions {
            prepare: KnownPreprocessing {
                size: self.size,
                resize: self.resize,
                fit: self.fit.map(Fit::from),
                filter: self.filter.map(Filter::from),
                mean: self.mean,
                std: self.std,
            },
            assume: self.assume.map(Assumption::from),
            output: self.image_output.clone(),
        }
    }
}

impl TextArgs {
    /// What the library is asked for.
    pub(super) fn options(&self) -> TextOptions {
        TextOptions {
            tokenizer: self.tokenizer.clone(),
            output: self.text_output.clone(),
            pooling: self.pooling.map(Pooling::from),
        }
    }
}

impl From<FitChoice> for Fit {
    fn from(choice: FitChoice) -> Self {
        match choice {
            FitChoice::Crop => Fit::Crop,
            FitChoice::Stretch => Fit::Stretch,
            FitChoice::Pad => Fit::Pad,
        }
    }
}

impl From<FilterChoice> for Filter {
    fn from(choice: FilterChoice) -> Self {
        match choice {
            FilterChoice::Bicubic => Filter::Bicubic,
            FilterChoice::Bilinear => Filter::Bilinear,
        }
    }
}

impl From<PoolingChoice> for Pooling {
    fn from(choice: PoolingChoice) -> Self {
        match choice {
            PoolingChoice::Mean => Pooling::Mean,
            PoolingChoice::First => Pooling::First,
        }
    }
}
