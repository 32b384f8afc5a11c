//! Two matrices of embeddings that already share one space, or that a matcher is to join.

use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset};
use truepair_core::error::{Error, Place, Result};

use super::leftovers::{Fate, account_for_folder, entries};
use super::matrices::{self, Matrices};
use super::out_of_step::in_order;
use super::records::unpacked;
use super::sides::{CAPTION_NAMES, IMAGE_NAMES, Side, account_for_arrays, find_both};
use super::table::Table;
use super::within_archive::{Texts, Within};
use super::{Choice, Format, ReadOptions, name_of, refuse_passing_over, resolve_split};
use crate::archive::Archive;
use crate::lines::refuse_duplicates;

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
         `[n, 2]`, `pairs.csv`, `pairs.tsv`, in an `.npz` arrays of texts `captions` and `ids` and an array `pairs`"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        match find_both(path) {
            Ok(found) => {
                let Some([images, captions]) = found else {
                    return side_alone(path).map(|side| format!("embeddings of {side} alone"));
                };
                if is_of_a_list(path, &images.files) {
                    return None;
                }
                Some(format!("{} and {} are there", images.name, captions.name))
            }
            // Reading says what is wrong with it.
            Err(_) => Some("matrices of images and captions are there".into()),
        }
    }

    fn splits(&self, _path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(vec!["all".into()])
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        resolve_split(path, options, &self.splits(path, options)?)?;
        let [images, captions] = find_both(path)?.ok_or_else(|| no_sides(path))?;
        let mut matrices = open_sides(&images, &captions, path)?;
        if path.is_dir() {
            let read = &matrices.files;
            account_for_folder(&mut matrices.account, path, |name| {
                let is_read = read.iter().any(|file| file.ends_with(name));
                match is_read || matrices::is_pairs_file(Path::new(name)) {
                    true => Fate::Used,
                    false => Fate::PassedOver("it is not a matrix, list or index of this format"),
                }
            })?;
        }
        matrices.into_dataset(self.name(), name_of(path), path, options)
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[Choice::Pairs, Choice::CaptionFeatures]
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let sources = dataset.files.iter().map(PathBuf::as_path);
        matrices::write_kept(dataset, keep, sources, out)
    }
}

/// Joins the image embeddings in the file `images` and the caption embeddings in `captions`, each
/// `.npy`, `.npz` or `.safetensors`.
///
/// ```
/// use truepair_core::npy::header_bytes;
/// use truepair_read::dataset::{ReadOptions, open_embeddings};
///
/// # let home = tempfile::tempdir()?;
/// # let (images, captions) = (home.path().join("images.npy"), home.path().join("captions.npy"));
/// // Three rows of two numbers, as `numpy.save` writes them.
/// let file = [header_bytes("<f4", &[3, 2]), vec![0; 3 * 2 * 4]].concat();
/// std::fs::write(&images, &file)?;
/// std::fs::write(&captions, &file)?;
/// let data = open_embeddings(&images, &captions, &ReadOptions::default())?;
/// assert_eq!((data.n_images(), data.n_captions(), data.pairs.len()), (3, 3, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    let matrices = open_sides(&images_side?, &captions_side?, folder)?;
    let dataset = matrices.into_dataset(Embeddings.name(), name_of(images), folder, options)?;
    let dataset = in_order(dataset, images, options)?;
    if dataset.pairs.is_empty() {
        return Err(Error::data(
            images,
            Place::Whole,
            "there is no row",
            "embed at least one pair",
        ));
    }
    if options.strict {
        refuse_passing_over(images, &dataset.account)?;
    }
    Ok(dataset)
}

/// Opens two matrices with the texts and ids that lie beside them in `folder`, or with them in one file.
fn open_sides(images: &Side, captions: &Side, folder: &Path) -> Result<Matrices> {
    let mut files = images.files.clone();
    let others = captions
        .files
        .iter()
        .filter(|file| !images.files.contains(file));
    files.extend(others.cloned());
    let within = match &files[..] {
        [file] if Archive::has_ending(file) => Within::of(file, images, captions)?,
        _ => Within::default(),
    };
    let mut account = Account::default();
    for file in files.iter().filter(|file| Archive::has_ending(file)) {
        let own = [images, captions].into_iter();
        let own = own.filter(|side| side.files.contains(file));
        let mut used: Vec<&str> = own.filter_map(|side| side.key.as_deref()).collect();
        used.extend(within.keys.iter().map(String::as_str));
        account_for_arrays(&mut account, file, &used)?;
    }
    files.extend(images.scales().chain(captions.scales()));
    let (images, captions) = (images.open(&mut account)?, captions.open(&mut account)?);
    account.used("row", images.len());
    let of = [images.len(), captions.len()];
    let pairs = within.pairs.map(|pairs| pairs.of_rows(of)).transpose()?;
    let folder = if folder.is_dir() {
        folder
    } else {
        folder.parent().unwrap_or(Path::new("."))
    };
    let texts = Texts::settled(within.texts, &folder.join("captions.txt"), of[1])?;
    let image_ids = Texts::settled(within.ids, &folder.join("ids.txt"), of[0])?;
    for found in [&texts, &image_ids].into_iter().flatten() {
        if found.is_file() {
            files.push(found.path.clone());
        }
    }
    if let Some(ids) = &image_ids {
        refuse_duplicates(&ids.path, &ids.texts, |n| Place::Line(n as u64 + 1))?;
    }
    Ok(Matrices {
        images,
        captions,
        image_ids: image_ids.map(|ids| ids.texts),
        texts: texts.map(|texts| texts.texts),
        pairs,
        ids_are_files: false,
        files,
        account,
    })
}

/// The side that `truepair embed` was given alone, where it wrote this folder.
fn side_alone(path: &Path) -> Option<&'static str> {
    let there = |name: &str| path.join(name).is_file();
    match (
        there("embed.json"),
        there("images.npy"),
        there("captions.npy"),
    ) {
        (true, true, false) => Some("pictures"),
        (true, false, true) => Some("captions"),
        _ => None,
    }
}

/// Whether the arrays in the folder `path` lie beside a table of their name, which says more than they do.
fn is_of_a_list(path: &Path, arrays: &[PathBuf]) -> bool {
    let [arrays] = arrays else { return false };
    if !path.is_dir() || !Archive::has_ending(arrays) {
        return false;
    }
    let beside = entries(path).unwrap_or_default().into_iter();
    let mut of_this_name =
        beside.filter(|file| file != arrays && unpacked(file).file_stem() == arrays.file_stem());
    of_this_name.any(|file| Table.sniff(&file).is_some() && !matrices::begins_with_rows(&file))
}

fn no_sides(path: &Path) -> Error {
    if let Some(side) = side_alone(path) {
        let problem = format!("it holds embeddings of {side} alone, which belong to nothing");
        let remedy = "embed pictures together with their captions";
        return Error::data(path, Place::Whole, problem, remedy);
    }
    Error::data(
        path,
        Place::Whole,
        "no two matrices of image and caption embeddings",
        "name them images.npy and captions.npy, or give two files",
    )
}

#[cfg(test)]
mod tests {
    use truepair_core::npy;
    use truepair_core::pair::Pair;

    use super::super::{open, write_kept};
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
        write_kept(&data, &[true, false, true], &out).unwrap();
        let again = open(&out, &ReadOptions::default()).unwrap();
        assert_eq!(again.pairs, [data.pairs[0], data.pairs[2]]);
        assert_eq!(again.captions, data.captions);
    }

    #[test]
    fn one_file_holds_texts_ids_and_pairs_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let mut add = |name: &str, header: Vec<u8>, content: &[u8]| {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("{name}.npy"), options).unwrap();
            std::io::Write::write_all(&mut zip, &[&header[..], content].concat()).unwrap();
        };
        add("image_emb", npy::header_bytes("<f4", &[2, 1]), &[0; 8]);
        add("text_emb", npy::header_bytes("<f4", &[2, 1]), &[0; 8]);
        add("captions", npy::header_bytes("|S3", &[2]), b"onetwo");
        add("ids", npy::header_bytes("|S1", &[2]), b"ab");
        add("pairs", npy::header_bytes("|u1", &[1, 2]), &[1, 0]);
        let content = zip.finish().unwrap().into_inner();
        let file = folder.path().join("all.npz");
        std::fs::write(&file, &content).unwrap();
        // A table of another kind lies beside it.
        std::fs::write(
            folder.path().join("pairs.csv"),
            "image,caption\na.jpg,one\n",
        )
        .unwrap();
        let data = open(&file, &ReadOptions::default()).unwrap();
        assert_eq!(data.captions.unwrap(), ["one", "two"]);
        assert_eq!(data.image_ids, ["a", "b"]);
        let expected = Pair {
            image: 1,
            caption: 0,
        };
        assert_eq!(data.pairs, [expected]);
        assert!(data.account.passed_over().is_empty(), "{:?}", data.account);

        std::fs::write(folder.path().join("ids.txt"), "c\nd\n").unwrap();
        let error = open(&file, &ReadOptions::default()).unwrap_err();
        assert!(error.to_string().contains("ids.txt"), "{error}");
    }

    #[test]
    fn ids_that_are_python_objects_are_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, descr, content) in [
            ("images", "<f4", &[0; 8][..]),
            ("captions", "<f4", &[0; 8]),
            ("ids", "|O", b"\x80\x04pickled"),
            ("others", "|O", b"\x80\x04pickled"),
        ] {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("{name}.npy"), options).unwrap();
            let shape: &[usize] = if descr == "|O" { &[2] } else { &[2, 1] };
            let bytes = [&npy::header_bytes(descr, shape)[..], content].concat();
            std::io::Write::write_all(&mut zip, &bytes).unwrap();
        }
        let content = zip.finish().unwrap().into_inner();
        let file = folder.path().join("all.npz");
        std::fs::write(&file, &content).unwrap();
        let data = open(&file, &ReadOptions::default()).unwrap();
        let said = data.account.lines().join("\n");
        for part in [
            "it holds pickled Python objects, which are never loaded",
            "np.array(ids, dtype=str) (ids)",
            "it is not needed, or not known by its name (others)",
        ] {
            assert!(said.contains(part), "{said}");
        }
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
