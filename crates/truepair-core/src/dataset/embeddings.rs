//! Two matrices of embeddings that already share one space, or that a matcher is to join.

use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::lines::{Line, lines, read_lines};
use super::precomp::{captions_per_image, pairs_by_position};
use super::write::{link_into, write_ints};
use super::{
    CaptionFeatures, Dataset, Features, Format, NamedFeatures, ReadOptions, clip_retrieval,
    name_of, npy, resolve_split,
};
use crate::error::{Error, Place, Result};
use crate::pair::Pair;

/// Names under which image embeddings are looked for, best first.
pub(super) const IMAGE_NAMES: &[&str] = &[
    "images",
    "image",
    "img_emb",
    "image_emb",
    "image_embeddings",
    "image_embeds",
    "image_features",
];
/// Names under which caption embeddings are looked for, best first.
pub(super) const CAPTION_NAMES: &[&str] = &[
    "captions",
    "caption",
    "texts",
    "text",
    "text_emb",
    "txt_emb",
    "text_embeddings",
    "text_embeds",
    "text_features",
];

/// Two matrices in a folder or in one file.
pub(super) struct Embeddings;

impl Format for Embeddings {
    fn name(&self) -> &'static str {
        "embeddings"
    }

    fn summary(&self) -> &'static str {
        "Embeddings of images and captions as two matrices; row `n` of the captions belongs to row \
         `n / k` of the images, or as `pairs` says."
    }

    fn files(&self) -> &'static str {
        "`images.npy` and `captions.npy` (or `img_emb.npy` and `text_emb.npy`) in a folder, or one \
         `.npz` or `.safetensors` with such keys; optional `captions.txt`, `ids.txt`, `pairs.npy` \
         `[n, 2]`, `pairs.csv`, `pairs.tsv`; or clip-retrieval's `img_emb/`, `text_emb/` and \
         `metadata/`"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        if clip_retrieval::is_layout(path) {
            return Some(
                "the folder holds img_emb/ and text_emb/ as clip-retrieval writes them".into(),
            );
        }
        let (images, captions) = Side::find_both(path)?;
        Some(format!("{} and {} are there", images.name, captions.name))
    }

    fn splits(&self, _path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(vec!["all".into()])
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let split = resolve_split(path, options, &self.splits(path, options)?)?;
        let matrices = if clip_retrieval::is_layout(path) {
            clip_retrieval::read(path)?
        } else {
            let (images, captions) = Side::find_both(path).ok_or_else(|| no_sides(path))?;
            Matrices::open(&images, &captions, path)?
        };
        assemble(matrices, name_of(path), split, path, options)
    }

    /// The kept pairs as an index file beside links to the embeddings.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let rows: Vec<[i64; 2]> = dataset
            .kept(keep)
            .map(|pair| [pair.image.into(), pair.caption.into()])
            .collect();
        let mut written = vec![write_ints(&out.join("pairs.npy"), &rows)?];
        let mut sources: Vec<PathBuf> = dataset
            .files
            .iter()
            .map(|file| clip_retrieval::shard_folder(file))
            .collect();
        sources.dedup();
        for source in sources.iter().filter(|source| !is_pairs_file(source)) {
            written.push(link_into(source, out)?);
        }
        Ok(written)
    }
}

/// Joins the image embeddings in the file `images` and the caption embeddings in `captions`, each
/// `.npy`, `.npz` or `.safetensors`.
///
/// # Errors
/// If a file cannot be read, or the rows cannot be paired as [`ReadOptions::pairs`] says.
pub fn open_embeddings(
    images: impl AsRef<Path>,
    captions: impl AsRef<Path>,
    options: &ReadOptions,
) -> Result<Dataset> {
    let (images, captions) = (images.as_ref(), captions.as_ref());
    let sides = [(images, IMAGE_NAMES), (captions, CAPTION_NAMES)]
        .map(|(path, names)| Side::in_file(path, names));
    let [images_side, captions_side] = sides;
    let folder = captions.parent().unwrap_or(Path::new("."));
    let matrices = Matrices::open(&images_side?, &captions_side?, folder)?;
    let dataset = assemble(matrices, name_of(images), "all".into(), folder, options)?;
    if dataset.pairs.is_empty() {
        return Err(Error::data(
            images,
            Place::Whole,
            "there is no row",
            "embed at least one pair",
        ));
    }
    Ok(dataset)
}

/// What the files hold before it is paired.
#[derive(Debug)]
pub(super) struct Matrices {
    pub(super) images: Features,
    pub(super) captions: Features,
    pub(super) image_ids: Option<Vec<String>>,
    pub(super) texts: Option<Vec<String>>,
    /// Whether the image ids are paths of pictures, seen from the folder of the data.
    pub(super) ids_are_files: bool,
    pub(super) files: Vec<PathBuf>,
}

impl Matrices {
    /// Opens two matrices with the texts and ids that lie beside them in `folder`.
    fn open(images: &Side, captions: &Side, folder: &Path) -> Result<Matrices> {
        let mut files = vec![images.file.clone()];
        if captions.file != images.file {
            files.push(captions.file.clone());
        }
        let (images, captions) = (images.open()?, captions.open()?);
        let folder = if folder.is_dir() {
            folder
        } else {
            folder.parent().unwrap_or(Path::new("."))
        };
        let mut beside = |name: &str, n: usize, what: &str| -> Result<Option<Vec<String>>> {
            let path = folder.join(name);
            if !path.exists() {
                return Ok(None);
            }
            let lines = read_lines(&path)?;
            if lines.len() != n {
                return Err(Error::data(
                    &path,
                    Place::Whole,
                    format!("{} lines for {n} {what}", lines.len()),
                    "write one line per row of the embeddings",
                ));
            }
            files.push(path);
            Ok(Some(lines))
        };
        let texts = beside("captions.txt", captions.len(), "caption embeddings")?;
        let image_ids = beside("ids.txt", images.len(), "image embeddings")?;
        Ok(Matrices {
            images,
            captions,
            image_ids,
            texts,
            ids_are_files: false,
            files,
        })
    }
}

fn assemble(
    mut matrices: Matrices,
    name: String,
    split: String,
    path: &Path,
    options: &ReadOptions,
) -> Result<Dataset> {
    let (n_images, n_captions) = (matrices.images.len(), matrices.captions.len());
    if matrices.captions.regions() != 1 {
        return Err(Error::data(
            matrices.files.get(1).unwrap_or(&matrices.files[0]),
            Place::Whole,
            "caption embeddings have three axes, expected [n_captions, d]",
            "pool the tokens of a caption into one vector",
        ));
    }
    let pairs = match options.pairs.clone().or_else(|| pairs_file_in(path)) {
        Some(file) => {
            let pairs = read_pairs(&file, n_images, n_captions)?;
            matrices.files.push(file);
            pairs
        }
        None if (n_images, n_captions) == (0, 0) => Vec::new(),
        None => pairs_by_position(n_captions, captions_per_image(path, n_images, n_captions)?),
    };
    let caption_features = match &options.caption_features {
        CaptionFeatures::None if matrices.texts.is_some() => None,
        CaptionFeatures::None => {
            return Err(Error::argument(
                "the caption embeddings are declined but there is no caption text",
                "use the caption embeddings, or put captions.txt beside them",
            ));
        }
        CaptionFeatures::Named(other) if other != "embeddings" => {
            return Err(Error::argument(
                format!("there are no caption features '{other}'"),
                "there is one matrix of them, called embeddings",
            ));
        }
        _ => Some(NamedFeatures {
            name: "embeddings".into(),
            features: matrices.captions,
        }),
    };
    let ids = matrices.image_ids;
    let image_files = match &ids {
        Some(ids) if matrices.ids_are_files => super::pictures::files_named(path, ids),
        _ => Vec::new(),
    };
    let dataset = Dataset {
        name,
        format: Embeddings.name(),
        split,
        images: matrices.images,
        image_ids: ids.unwrap_or_else(|| (0..n_images).map(|row| row.to_string()).collect()),
        image_files,
        captions: matrices.texts,
        caption_features,
        pairs,
        labels: None,
        files: matrices.files,
    };
    dataset.settle_empty_captions(options.on_empty, path, |n| Place::Row(n as u64))
}

/// Where one matrix is.
struct Side {
    file: PathBuf,
    /// The array's name inside a file of several.
    key: Option<String>,
    /// How the user sees it.
    name: String,
}

impl Side {
    fn find_both(path: &Path) -> Option<(Side, Side)> {
        if !path.is_dir() {
            return Self::both_in_archive(path);
        }
        let in_folder =
            Self::in_folder(path, IMAGE_NAMES).zip(Self::in_folder(path, CAPTION_NAMES));
        in_folder.or_else(|| {
            let mut files: Vec<PathBuf> = std::fs::read_dir(path)
                .ok()?
                .flatten()
                .map(|entry| entry.path())
                .collect();
            files.sort();
            files.iter().find_map(|file| Self::both_in_archive(file))
        })
    }

    fn both_in_archive(file: &Path) -> Option<(Side, Side)> {
        if !Archive::has_ending(file) {
            return None;
        }
        let find = |names| Self::in_archive(file, names).ok().flatten();
        find(IMAGE_NAMES).zip(find(CAPTION_NAMES))
    }

    fn in_folder(folder: &Path, names: &[&str]) -> Option<Side> {
        let file = |name: &&str| {
            let file = folder.join(format!("{name}.npy"));
            file.is_file().then(|| Side {
                file,
                key: None,
                name: format!("{name}.npy"),
            })
        };
        names.iter().find_map(file)
    }

    fn in_archive(file: &Path, names: &[&str]) -> Result<Option<Side>> {
        let found = Archive::open(file)?.names();
        let key = names
            .iter()
            .find(|name| found.iter().any(|found| found == *name));
        Ok(key.map(|key| Self::of_key(file, key)))
    }

    /// The matrix in a file that the user named for this side: the only array, or the one whose
    /// name says it.
    fn in_file(file: &Path, names: &[&str]) -> Result<Side> {
        if !Archive::has_ending(file) {
            return Ok(Side {
                file: file.into(),
                key: None,
                name: name_of(file),
            });
        }
        if let Some(side) = Self::in_archive(file, names)? {
            return Ok(side);
        }
        match Archive::open(file)?.names().as_slice() {
            [only] => Ok(Self::of_key(file, only)),
            several => Err(Error::data(
                file,
                Place::Whole,
                format!(
                    "several arrays, none of a known name: {}",
                    several.join(", ")
                ),
                format!("call the right one {}", names[0]),
            )),
        }
    }

    fn of_key(file: &Path, key: &str) -> Side {
        Side {
            file: file.into(),
            key: Some(key.into()),
            name: format!("array '{key}'"),
        }
    }

    fn open(&self) -> Result<Features> {
        match &self.key {
            Some(key) => Archive::open(&self.file)?.features(key),
            None => Features::open_npy(&self.file),
        }
    }
}

fn no_sides(path: &Path) -> Error {
    Error::data(
        path,
        Place::Whole,
        "no two matrices of image and caption embeddings",
        "name them images.npy and captions.npy, or give two files",
    )
}

const PAIRS_FILES: [&str; 3] = ["pairs.npy", "pairs.csv", "pairs.tsv"];

/// The index file in the folder of the data.
fn pairs_file_in(path: &Path) -> Option<PathBuf> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    PAIRS_FILES
        .iter()
        .map(|name| folder.join(name))
        .find(|file| file.is_file())
}

fn is_pairs_file(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| PAIRS_FILES.iter().any(|pairs| *pairs == name))
}

/// Reads which image row and caption row belong together: `.npy` `[n, 2]` or two columns of text.
///
/// # Errors
/// If the file cannot be read, or a row number is not below `n_images` or `n_captions`.
pub fn read_pairs(path: &Path, n_images: usize, n_captions: usize) -> Result<Vec<Pair>> {
    let check = |place: Place, image: i64, caption: i64| {
        let index = |value: i64, n: usize| u32::try_from(value).ok().filter(|v| (*v as usize) < n);
        match (index(image, n_images), index(caption, n_captions)) {
            (Some(image), Some(caption)) => Ok(Pair { image, caption }),
            _ => Err(Error::data(
                path,
                place,
                format!(
                    "rows {image} and {caption} of {n_images} images and {n_captions} captions"
                ),
                "write row numbers that count from 0, the image first",
            )),
        }
    };
    if path.extension().is_some_and(|ending| ending == "npy") {
        let (values, shape) = npy::read_ints(path)?;
        if shape.get(1) != Some(&2) {
            return Err(Error::data(
                path,
                Place::Whole,
                format!("shape {shape:?}, expected [n, 2]"),
                "write one row per pair: image row, caption row",
            ));
        }
        let rows = values.as_chunks::<2>().0.iter().enumerate();
        return rows
            .map(|(n, [i, c])| check(Place::Row(n as u64), *i, *c))
            .collect();
    }
    let mut pairs = Vec::new();
    for line in lines(path)? {
        let Line { number, text } = line?;
        let fields: Vec<&str> = text.split([',', '\t']).map(str::trim).collect();
        let numbers: Option<Vec<i64>> = fields.iter().map(|field| field.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[image, caption]) => pairs.push(check(Place::Line(number), image, caption)?),
            // The first line may name the columns.
            _ if number == 1 && fields.len() == 2 => {}
            _ => {
                return Err(Error::data(
                    path,
                    Place::Line(number),
                    format!("'{text}', expected two row numbers"),
                    "write image row and caption row, separated by a comma or a tab",
                ));
            }
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;

    fn write(folder: &Path, name: &str, rows: usize, value: f32) -> PathBuf {
        let path = folder.join(name);
        let mut bytes = npy::header_bytes("<f2", &[rows, 2]);
        let number = half::f16::from_f32(value).to_le_bytes();
        bytes.extend(std::iter::repeat_n(number, 2 * rows).flatten());
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn rows_pair_by_position_or_by_an_index_file() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "images.npy", 2, 1.0);
        write(folder, "captions.npy", 4, 2.0);
        let data = open(folder, &ReadOptions::default()).unwrap();
        assert_eq!(
            data.pairs[3],
            Pair {
                image: 1,
                caption: 3
            }
        );
        assert_eq!((data.split.as_str(), data.n_captions()), ("all", 4));
        assert!(
            data.require_captions()
                .unwrap_err()
                .to_string()
                .contains("captions.txt")
        );
        std::fs::write(folder.join("pairs.csv"), "image,caption\n0,3\n1,0\n").unwrap();
        let data = open(folder, &ReadOptions::default()).unwrap();
        assert_eq!(
            data.pairs,
            [
                Pair {
                    image: 0,
                    caption: 3
                },
                Pair {
                    image: 1,
                    caption: 0
                }
            ]
        );
        std::fs::write(folder.join("pairs.csv"), "0,3\n2,0\n").unwrap();
        let error = open(folder, &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("pairs.csv:2: rows 2 and 0 of 2 images"),
            "{error}"
        );
    }

    #[test]
    fn the_cleaned_list_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let (data, out) = (folder.path().join("data"), folder.path().join("out"));
        std::fs::create_dir(&data).unwrap();
        write(&data, "img_emb.npy", 3, 1.0);
        write(&data, "text_emb.npy", 3, 2.0);
        std::fs::write(data.join("captions.txt"), "a\nb\nc\n").unwrap();
        let data = open(&data, &ReadOptions::default()).unwrap();
        data.write_kept(&[true, false, true], &out).unwrap();
        let again = open(&out, &ReadOptions::default()).unwrap();
        assert_eq!(again.pairs, [data.pairs[0], data.pairs[2]]);
        assert_eq!(again.captions, data.captions);
    }

    #[test]
    fn two_files_make_a_set() {
        let folder = tempfile::tempdir().unwrap();
        let a = write(folder.path(), "a.npy", 2, 1.0);
        let b = write(folder.path(), "b.npy", 2, 2.0);
        let data = open_embeddings(&a, &b, &ReadOptions::default()).unwrap();
        assert_eq!(
            (data.name.as_str(), data.pairs.len(), data.files.len()),
            ("a", 2, 2)
        );
        let c = write(folder.path(), "c.npy", 3, 2.0);
        let error = open_embeddings(&a, &c, &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("3 captions cannot be shared evenly by 2 images"),
            "{error}"
        );
    }
}
