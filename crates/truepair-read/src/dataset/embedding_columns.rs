//! Embeddings of images and captions as columns of parquet tables, beside ids and texts.

use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset};
use truepair_core::error::{Error, Place, Result};

use super::given_features::GivenFeatures;
use super::huggingface::HuggingFace;
use super::listing::{Listing, Texts};
use super::parquet_file::ParquetFile;
use super::parquet_vectors::{Vectors, vector_columns};
use super::picture_column::holds_bytes;
use super::records::{Kind, Source};
use super::shard_schemas::refuse_differences;
use super::shards::{HOME_ROLE, Layout};
use super::table::Table;
use super::table_columns::{ColumnChoice, Columns, VECTOR_ROLE, open_source};
use super::table_rows::Tables;
use super::{
    CaptionFeatures, Choice, Format, Pictures, ReadOptions, kept_shards, name_of, resolve_split,
};

/// Parts of names that say that a vector is of an image.
const OF_IMAGES: &[&str] = &["image", "img", "picture", "photo", "vision", "visual"];
/// Parts of names that say that a vector is of a caption.
const OF_CAPTIONS: &[&str] = &["text", "txt", "caption", "title", "sentence"];
/// Parts of names of embeddings.
const OF_EMBEDDINGS: &[&str] = &[
    "emb", "vec", "feat", "repr", "latent", "clip", "dino", "encod",
];

/// One parquet file, or a folder of them in shards.
pub(super) struct EmbeddingColumns;

impl Format for EmbeddingColumns {
    fn name(&self) -> &'static str {
        "embedding_columns"
    }

    fn summary(&self) -> &'static str {
        "Embeddings of images and captions as columns of vectors, one pair a record, beside their \
         ids and texts; shards follow one another."
    }

    fn files(&self) -> &'static str {
        "one `.parquet`, or a folder of shards, with lists of `f16`, `f32` or `f64` of one length \
         in columns like `img_emb` and `text_emb`; optional columns of ids and captions"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let file = first_file(path)?;
        let file = ParquetFile::open(&file).ok()?;
        let found = embeddings_among(&vector_columns(&file));
        let has_pictures = || file.fields().iter().any(|field| holds_bytes(field));
        match found.len() {
            0 => None,
            1 if !is_of(&found[0], OF_IMAGES) || has_pictures() => None,
            _ => Some(format!("columns {} hold vectors", found.join(", "))),
        }
    }

    fn splits(&self, path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
        match pictured(path, options) {
            Some(format) => format.splits(path, options),
            None => Ok(Layout::of(path)?.names()),
        }
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        if let Some(format) = pictured(path, options) {
            return format.read(path, options);
        }
        let layout = Layout::of(path)?;
        let split = resolve_split(path, options, &layout.names())?;
        let files = &layout.splits[&split];
        let all: Vec<PathBuf> = layout.files().cloned().collect();
        refuse_differences(&all)?;
        let sides = Sides::choose(&files[0], options)?;
        let mut listing = Listing {
            account: layout.account.clone(),
            ..Listing::default()
        };
        listing.account.read_as(HOME_ROLE, path.display());
        listing.account.used("shard", files.len());
        listing
            .account
            .used("shard of other splits", all.len() - files.len());
        let sources = files.iter().map(|file| open_source(file, options));
        let sources = sources.collect::<Result<Vec<Source>>>()?;
        let columns = sides.columns(&sources[0], files, options)?;
        sides.read(files, &mut listing)?;
        if columns.captions.is_empty() {
            listing.texts = Texts::Absent;
        }
        let tables = Tables {
            sources: &sources,
            columns: &columns,
            split: &split,
        };
        let listing = tables.read(listing)?;
        let mut dataset = listing.into_dataset(self.name(), &files[0], split, options)?;
        dataset.name = name_of(path);
        layout.note_others(&mut dataset.account, |_| false);
        Ok(dataset)
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[
            Choice::Features,
            Choice::Embeddings,
            Choice::ImageColumn,
            Choice::CaptionColumns,
            Choice::IdColumn,
            Choice::CaptionFeatures,
        ]
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        kept_shards::write(dataset, keep, out)
    }
}

/// The format that reads the pictures of these tables, when those are asked for.
fn pictured(path: &Path, options: &ReadOptions) -> Option<&'static dyn Format> {
    let is_asked = options.pictures != Pictures::Unused || options.features.is_some();
    let format: &dyn Format = if path.is_file() { &Table } else { &HuggingFace };
    is_asked.then_some(format)
}

fn first_file(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return (Kind::by_ending(path) == Some(Kind::Parquet)).then(|| path.to_path_buf());
    }
    if !path.is_dir() {
        return None;
    }
    let layout = Layout::of(path).ok()?;
    let first = layout.files().next()?;
    (Kind::by_ending(first) == Some(Kind::Parquet)).then(|| first.clone())
}

/// Columns of vectors that are embeddings by their names.
fn embeddings_among(columns: &[String]) -> Vec<String> {
    let named = columns.iter().filter(|name| is_of(name, OF_EMBEDDINGS));
    let named: Vec<String> = named.cloned().collect();
    let is_side = |words| columns.iter().any(|name| is_of(name, words));
    if named.is_empty() && is_side(OF_IMAGES) && is_side(OF_CAPTIONS) {
        return columns.to_vec();
    }
    named
}

fn is_of(name: &str, words: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    words.iter().any(|word| name.contains(word))
}

/// The columns of vectors that are used.
struct Sides {
    images: String,
    captions: Option<String>,
    /// All columns of vectors.
    all: Vec<String>,
    account: Account,
}

impl Sides {
    fn choose(path: &Path, options: &ReadOptions) -> Result<Self> {
        let all = vector_columns(&ParquetFile::open(path)?);
        let found = embeddings_among(&all);
        let of_model = |name: &&String| match &options.embeddings {
            Some(model) => name
                .to_ascii_lowercase()
                .contains(&model.to_ascii_lowercase()),
            None => true,
        };
        let candidates = |words, not| -> Vec<&String> {
            let named = found
                .iter()
                .filter(|name| is_of(name, words) && !is_of(name, not));
            named.filter(of_model).collect()
        };
        let one = |found: Vec<&String>, of: &str, how: &str| match found[..] {
            [only] => Ok(Some(only.clone())),
            [] => Ok(None),
            _ => Err(unclear(path, &found, of, how)),
        };
        let asked = options
            .image_column
            .as_ref()
            .filter(|name| all.contains(name));
        let images = match asked {
            Some(name) => Some(name.clone()),
            None => one(
                candidates(OF_IMAGES, OF_CAPTIONS),
                "images",
                "--image-column",
            )?,
        };
        let Some(images) = images else {
            let found: Vec<&String> = all.iter().collect();
            return Err(unclear(path, &found, "images", "--image-column"));
        };
        let captions = match asked_captions(path, options, &all)? {
            Asked::None => None,
            Asked::Column(name) => Some(name),
            Asked::Nothing => one(
                candidates(OF_CAPTIONS, OF_IMAGES),
                "captions",
                "--caption-features",
            )?,
        };
        if captions.as_ref() == Some(&images) {
            let problem = format!("column '{images}' cannot be that of images and of captions");
            return Err(Error::data(path, Place::Whole, problem, "name two columns"));
        }
        let mut account = Account::default();
        let columns = std::iter::once(&images).chain(&captions);
        columns.for_each(|name| account.read_as(VECTOR_ROLE, name));
        Ok(Self {
            images,
            captions,
            all,
            account,
        })
    }

    /// The columns of ids and texts beside the vectors.
    fn columns(
        &self,
        source: &Source,
        files: &[PathBuf],
        options: &ReadOptions,
    ) -> Result<Columns> {
        let mut choice = ColumnChoice::new(&files[0], source);
        choice.account.merge(self.account.clone());
        choice.leave_out(&self.all);
        let is_text = |name: &String| !self.all.contains(name);
        let options = ReadOptions {
            image_column: options.image_column.clone().filter(is_text),
            caption_columns: options.caption_columns.as_ref().and_then(|names| {
                let texts: Vec<String> =
                    names.iter().filter(|name| is_text(name)).cloned().collect();
                (!texts.is_empty()).then_some(texts)
            }),
            ..options.clone()
        };
        let image = choice.image(&options)?;
        let taken: Vec<&String> = image.iter().map(|place| &place.column).collect();
        let has_texts = options.caption_columns.is_some() || choice.has_captions(&taken);
        let captions = match (has_texts, &self.captions) {
            (false, Some(_)) => Vec::new(),
            _ => choice.captions(&options, &taken)?,
        };
        let mut columns = choice.columns_of(image, captions, &options)?;
        columns.split = None;
        let vectors = self.captions.iter().chain([&self.images]);
        let vectors: Vec<&str> = vectors.map(String::as_str).collect();
        Ok(columns.with_the_rest(source.columns(), &vectors))
    }

    /// Reads the vectors into `listing`.
    fn read(&self, files: &[PathBuf], listing: &mut Listing) -> Result<()> {
        let images = Vectors::read(files, &self.images)?;
        let captions = self
            .captions
            .as_ref()
            .map(|name| Vectors::read(files, name));
        let captions = captions.transpose()?;
        listing.without_vector.extend(images.missing);
        let captions = captions.map(|vectors| {
            listing.without_vector.extend(vectors.missing);
            vectors.features
        });
        listing.given = Some(GivenFeatures {
            images: images.features,
            rows: None,
            captions,
            files: Vec::new(),
            account: Account::default(),
        });
        Ok(())
    }
}

fn unclear(path: &Path, found: &[&String], of: &str, how: &str) -> Error {
    let names: Vec<&str> = found.iter().map(|name| name.as_str()).collect();
    let problem = match names.is_empty() {
        true => format!("no column holds vectors of {of}"),
        false => format!(
            "columns {} hold vectors; which are of {of}?",
            names.join(", ")
        ),
    };
    let remedy = format!("name it with {how}, or the model with --embeddings");
    Error::data(path, Place::Whole, problem, remedy)
}
/// What the caller says of the embeddings of captions.
enum Asked {
    /// They are not wanted.
    None,
    /// They are in this column.
    Column(String),
    /// Nothing.
    Nothing,
}

/// # Errors
/// If a column is named that there is not.
fn asked_captions(path: &Path, options: &ReadOptions, all: &[String]) -> Result<Asked> {
    let named = match &options.caption_features {
        CaptionFeatures::Named(name) => Some(name).filter(|name| all.contains(name)),
        _ => None,
    };
    let mut listed = options.caption_columns.iter().flatten();
    let listed = listed.rfind(|name| all.contains(name));
    Ok(match (&options.caption_features, named.or(listed)) {
        (CaptionFeatures::None, _) => Asked::None,
        (_, Some(name)) => Asked::Column(name.clone()),
        (CaptionFeatures::Named(name), None) if name != "embeddings" => {
            let problem = format!(
                "no column '{name}' of vectors; there are: {}",
                all.join(", ")
            );
            return Err(Error::data(path, Place::Whole, problem, "name one of them"));
        }
        _ => Asked::Nothing,
    })
}
