//! What a user may type after `truepair index`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{ArgGroup, Args, ValueEnum};
use truepair_core::source_file;
use truepair_index::{Kind, Storage};

use crate::command::output_args::OutputArgs;
use crate::encoded::Encoders;
use crate::read_args::ReadArgs;

const EXAMPLES: &str = "\
Examples:
  truepair index data/ --run runs/words --out index/
      Every image and caption of the data, as the run's matcher sees them.
  truepair index photos/ --image-encoder clip/onnx/vision_model.onnx \\
      --text-encoder clip/onnx/text_model.onnx --out index/
      Pictures with captions, embedded first.
  truepair index embeddings/ --split test --text-encoder clip/onnx/text_model.onnx --out index/
      Embeddings of one space as they are; the encoder reads queries.
  truepair index data/ --run runs/words --metadata sources.csv --out index/ --force
      Columns of a table to filter by: --where 'width > 512'.
  truepair index data/ --run runs/words --audit audit/ --out index/
      With what an audit found, to ask for by --where 'p_mismatched < 0.5'.
  truepair index more/ --append index/
      Further data, by what made the index.
  truepair index index/ --delete 17.jpg,18.jpg
  truepair index index/ --compact
      Takes the room of what was deleted back.
  truepair index index/ --check
      Every vector against its checksum; recall of the graph of neighbors, where there is one.
  truepair index index/ --calibrate held-out/
      What scores mean, from pairs that trained nothing.
  truepair index index/ --to postgres://me@localhost/pictures?table=images
      The images to a database, where `truepair search index/ \"a dog\" --on ADDRESS` asks.";

/// Arguments of `truepair index`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("work").required(true)
    .args(["out", "append", "delete", "compact", "check", "calibrate", "to"])))]
pub(crate) struct IndexArgs {
    /// Data to index, as `embed` and `train` read it; or the index, for --delete, --compact, --check and
    /// --calibrate.
    pub(super) data: PathBuf,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    /// Add the data to this index.
    #[arg(long, value_name = "INDEX")]
    pub(super) append: Option<PathBuf>,

    /// Delete these images, with their captions, separated by commas; or @FILE with one id a line.
    #[arg(long, value_name = "IDS|@FILE")]
    pub(super) delete: Option<String>,

    /// Write the index anew without what was deleted.
    #[arg(long)]
    pub(super) compact: bool,

    /// Hold every vector against its checksum, and the graph of neighbors against looking at every row.
    #[arg(long)]
    pub(super) check: bool,

    /// Learn what scores mean from these pairs, which must have trained nothing.
    #[arg(long, value_name = "DATA")]
    pub(super) calibrate: Option<PathBuf>,

    /// Send the images to a vector database (postgres://, milvus://, qdrant://) or write them as
    /// clip-retrieval:FOLDER or parquet:FILE. Stopped, the same command goes on.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) to: Option<String>,

    /// Splits to index or to calibrate with, separated by commas; all by default.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) split: Option<Vec<String>>,

    /// Run directory whose matcher embeds.
    #[arg(long, value_name = "RUN", requires = "out")]
    pub(super) run: Option<PathBuf>,

    #[command(flatten)]
    pub(super) encoders: Encoders,

    #[command(flatten)]
    pub(super) form: FormArgs,

    #[command(flatten)]
    pub(super) read: ReadArgs,
}

/// How vectors are kept and found.
#[derive(Debug, Args)]
#[command(next_help_heading = "Index")]
pub(crate) struct FormArgs {
    /// How vectors lie on the disk.
    #[arg(long, value_name = "NAME", default_value = "int8", requires = "out")]
    storage: StorageChoice,

    /// How neighbors are found.
    #[arg(long, value_name = "NAME", default_value = "exact", requires = "out")]
    kind: KindChoice,

    /// Table with columns to filter by: CSV, TSV, JSON or parquet.
    #[arg(long, value_name = "FILE")]
    pub(super) metadata: Option<PathBuf>,

    /// Column of that table that names the images; found by its name by default.
    #[arg(long, value_name = "NAME", requires = "metadata")]
    pub(super) metadata_id: Option<String>,

    /// Audit of the data, whose verdicts become the column `p_mismatched`.
    #[arg(long, value_name = "AUDIT")]
    pub(super) audit: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StorageChoice {
    /// 4 bytes a number
    F32,
    /// 2 bytes a number, rounded
    F16,
    /// 4 bytes a number, of which a search reads 1 and, where that does not decide, the others
    Int8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindChoice {
    /// Every row is looked at
    Exact,
    /// A graph of neighbors, which may miss some
    Hnsw,
}

impl FormArgs {
    pub(super) fn storage(&self) -> Storage {
        match self.storage {
            StorageChoice::F32 => Storage::F32,
            StorageChoice::F16 => Storage::F16,
            StorageChoice::Int8 => Storage::Int8,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.kind {
            KindChoice::Exact => Kind::Exact,
            KindChoice::Hnsw => Kind::Hnsw {
                connectivity: 16,
                expansion_add: 128,
                expansion_search: 64,
            },
        }
    }
}

impl IndexArgs {
    /// # Errors
    /// If something is typed that this work does not look at.
    pub(super) fn check(&self) -> Result<()> {
        let makes = self.output.is_named();
        let reads = makes || self.append.is_some() || self.calibrate.is_some();
        let typed = [
            (
                "--image-encoder and --text-encoder",
                makes,
                !self.encoders.are_none(),
            ),
            (
                "--metadata",
                makes || self.append.is_some(),
                self.form.metadata.is_some(),
            ),
            (
                "--audit",
                makes || self.append.is_some(),
                self.form.audit.is_some(),
            ),
            ("--split", reads, self.split.is_some()),
            (
                "how data is read",
                reads,
                !self.read.words().is_empty() || self.read.strict,
            ),
        ];
        match typed
            .iter()
            .find(|(_, is_used, is_typed)| *is_typed && !is_used)
        {
            Some((what, ..)) => {
                bail!("{what}: this work on an index does not look at it (leave it out)")
            }
            None => Ok(()),
        }
    }

    /// The ids that --delete names.
    ///
    /// # Errors
    /// If the file with them cannot be read.
    pub(super) fn ids(named: &str) -> Result<Vec<String>> {
        let ids: Vec<String> = match named.strip_prefix('@') {
            None => named.split(',').map(|id| id.trim().to_owned()).collect(),
            Some(file) => {
                let text = source_file::read_text(file.as_ref(), source_file::LIST)
                    .map_err(|cause| anyhow::anyhow!("{file}: cannot read: {cause}"))?;
                text.lines().map(|id| id.trim().to_owned()).collect()
            }
        };
        let ids: Vec<String> = ids.into_iter().filter(|id| !id.is_empty()).collect();
        if ids.is_empty() {
            bail!("--delete names no id")
        }
        Ok(ids)
    }
}
