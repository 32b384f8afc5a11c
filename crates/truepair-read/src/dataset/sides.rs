//! Where the matrix of the images and that of the captions are: in files of their own, in one file, or
//! in shards of these.

use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Features};
use truepair_core::error::{Error, Place, Result};

use super::leftovers::{entries, is_hidden};
use super::name_of;
use crate::archive::{Archive, problem_of};
use crate::npy_features::{open_npy, scale_beside};
use crate::shards::{ShardSet, set_of, sets_among};

/// Names of arrays of texts that name the images.
pub(super) const ID_NAMES: &[&str] = &["ids", "image_ids", "keys", "names", "filenames", "paths"];

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

/// Where one matrix is.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// Its file, or its shards in their order.
    pub(super) files: Vec<PathBuf>,
    /// The array's name inside files of several.
    pub(super) key: Option<String>,
    /// How the user sees it.
    pub(super) name: String,
}

/// The two matrices at `path`; nothing when there are none.
///
/// # Errors
/// If several files hold two matrices each, or a shard is missing.
pub(super) fn find_both(path: &Path) -> Result<Option<[Side; 2]>> {
    if !path.is_dir() {
        return match Archive::has_ending(path) {
            true => both_in_file(path),
            false => Ok(None),
        };
    }
    let own_name = |file: &PathBuf| file.file_name().unwrap_or_default().display().to_string();
    let mut files = entries(path)?;
    files.retain(|file| file.is_file() && !is_hidden(&own_name(file)));
    let images = in_npy_files(&files, IMAGE_NAMES)?;
    if let (Some(images), Some(captions)) = (images, in_npy_files(&files, CAPTION_NAMES)?) {
        return Ok(Some([images, captions]));
    }
    files.retain(|file| Archive::has_ending(file));
    let (sets, single): (Vec<ShardSet>, Vec<ShardSet>) =
        (sets_among(&files).into_iter()).partition(ShardSet::is_of_several);
    let in_no_set = |file: &&PathBuf| {
        let mut unnumbered = single.iter().filter(|set| set.first() == *file);
        unnumbered.next().is_some() || crate::shards::ShardName::of(file).is_none()
    };
    let mut found: Vec<(PathBuf, [Side; 2])> = Vec::new();
    for file in files.iter().filter(in_no_set) {
        // What cannot be opened is none of the two, and named among the files that are not read.
        if let Ok(Some(sides)) = both_in_shards(std::slice::from_ref(file)) {
            found.push((file.clone(), sides));
        }
    }
    for set in sets {
        let first = set.first().to_path_buf();
        if holds_arrays_of_both(&set) {
            let sides = both_in_shards(&set.in_order()?)?;
            found.extend(sides.map(|sides| (first, sides)));
        }
    }
    if let [(one, _), (other, _), ..] = &found[..] {
        return Err(Error::data(
            path,
            Place::Whole,
            format!(
                "'{}' and '{}' both hold embeddings of images and captions",
                own_name(one),
                own_name(other)
            ),
            "name the one that is meant, or put it into a folder of its own",
        ));
    }
    Ok(found.pop().map(|(_, sides)| sides))
}

/// The matrix among `.npy` files: the one with the best name, or its shards.
fn in_npy_files(files: &[PathBuf], names: &[&str]) -> Result<Option<Side>> {
    let is_npy = |file: &&PathBuf| file.extension().is_some_and(|ending| ending == "npy");
    let files: Vec<PathBuf> = files.iter().filter(is_npy).cloned().collect();
    let mut sets = sets_among(&files);
    sets.retain(ShardSet::is_of_several);
    for name in names {
        let whole = files
            .iter()
            .find(|file| file.ends_with(format!("{name}.npy")));
        let set = sets.iter().find(|set| set.stem == *name);
        match (whole, set) {
            (Some(whole), Some(set)) => {
                return Err(Error::data(
                    whole,
                    Place::Whole,
                    format!("there are {} shards of it, too", set.len()),
                    "keep the whole file or its shards",
                ));
            }
            (Some(file), None) => {
                return Ok(Some(Side {
                    files: vec![file.clone()],
                    key: None,
                    name: format!("{name}.npy"),
                }));
            }
            (None, Some(set)) => {
                return Ok(Some(Side {
                    name: format!("{} shards of {name}", set.len()),
                    files: set.clone().in_order()?,
                    key: None,
                }));
            }
            (None, None) => {}
        }
    }
    Ok(None)
}

/// Whether the files of a set, whatever their order, hold an array of either side.
fn holds_arrays_of_both(set: &ShardSet) -> bool {
    let archives: Vec<Archive> = set
        .files()
        .filter_map(|file| Archive::open(file).ok())
        .collect();
    [IMAGE_NAMES, CAPTION_NAMES].iter().all(|names| {
        let mut arrays = archives.iter().flat_map(Archive::names);
        arrays.any(|array| names.contains(&array.as_str()))
    })
}

/// The two matrices of one file of arrays, or of all shards of its set.
fn both_in_file(file: &Path) -> Result<Option<[Side; 2]>> {
    match set_of(file)? {
        Some(shards) => both_in_shards(&shards),
        None => both_in_shards(&[file.to_path_buf()]),
    }
}

fn both_in_shards(files: &[PathBuf]) -> Result<Option<[Side; 2]>> {
    let images = in_archives(files, IMAGE_NAMES)?;
    let captions = in_archives(files, CAPTION_NAMES)?;
    Ok(images
        .zip(captions)
        .map(|(images, captions)| [images, captions]))
}

/// The array with the best of `names`: in all files, or in one of them.
fn in_archives(files: &[PathBuf], names: &[&str]) -> Result<Option<Side>> {
    let open = |file: &PathBuf| Ok(Archive::open(file)?.names());
    let arrays: Vec<Vec<String>> = files.iter().map(open).collect::<Result<_>>()?;
    let holds = |arrays: &Vec<String>, name: &str| arrays.iter().any(|array| array == name);
    let mut known: Vec<&&str> = names
        .iter()
        .filter(|name| arrays.iter().any(|arrays| holds(arrays, name)))
        .collect();
    if known.len() > 1 {
        // Texts of the captions may stand beside their embeddings under a name as good.
        let is_of_texts = |name: &&&str| {
            let with = files.iter().zip(&arrays);
            let mut with = with.filter(|(_, arrays)| holds(arrays, name));
            let file = with.next().map(|(file, _)| file);
            file.is_some_and(|file| {
                Archive::open(file).is_ok_and(|archive| is_texts(archive, name))
            })
        };
        known.retain(|name| !is_of_texts(name));
    }
    let Some(name) = known.first() else {
        return Ok(None);
    };
    let with = files
        .iter()
        .zip(&arrays)
        .filter(|(_, arrays)| holds(arrays, name));
    let with: Vec<PathBuf> = with.map(|(file, _)| file.clone()).collect();
    if with.len() != 1 && with.len() != files.len() {
        let without = files
            .iter()
            .zip(&arrays)
            .find(|(_, arrays)| !holds(arrays, name));
        let (file, arrays) = without.expect("some shard has no such array");
        return Err(Error::data(
            file,
            Place::Whole,
            format!(
                "no array '{name}', which other shards have; there are: {}",
                arrays.join(", ")
            ),
            "write every shard with the same arrays",
        ));
    }
    Ok(Some(Side::of_key(with, name)))
}

fn is_texts(mut archive: Archive, name: &str) -> bool {
    archive
        .member(name)
        .is_ok_and(|member| member.is_of_texts())
}

impl Side {
    /// The matrix in a file that the user named for this side: the only array, or the one whose
    /// name says it.
    ///
    /// # Errors
    /// If the file cannot be opened, or holds several arrays of other names.
    pub(super) fn in_file(file: &Path, names: &[&str]) -> Result<Self> {
        let shards = set_of(file)?;
        let files = shards.unwrap_or_else(|| vec![file.to_path_buf()]);
        if !Archive::has_ending(file) {
            return Ok(Self {
                files,
                key: None,
                name: name_of(file),
            });
        }
        if let Some(side) = in_archives(&files, names)? {
            return Ok(side);
        }
        match Archive::open(file)?.names().as_slice() {
            [only] => Ok(Self::of_key(files, only)),
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

    fn of_key(files: Vec<PathBuf>, key: &str) -> Self {
        let name = match files.len() {
            1 => format!("array '{key}'"),
            n => format!("array '{key}' in {n} shards"),
        };
        Self {
            files,
            key: Some(key.into()),
            name,
        }
    }

    /// Opens the matrix; shards follow one another.
    ///
    /// # Errors
    /// If a file cannot be opened, or shards do not fit.
    pub(super) fn open(&self, account: &mut Account) -> Result<Features> {
        let open = |file: &PathBuf| match &self.key {
            Some(key) => Archive::open(file)?.features(key),
            None => open_npy(file, account),
        };
        let parts: Vec<Features> = self.files.iter().map(open).collect::<Result<_>>()?;
        if parts.len() > 1 {
            account.used("shard", parts.len());
        }
        match &parts[..] {
            [only] => Ok(only.clone()),
            _ => Features::concat(&parts),
        }
    }

    /// The files of scales beside the files of the matrix.
    pub(super) fn scales(&self) -> impl Iterator<Item = PathBuf> {
        let npy = self.files.iter().filter(|_| self.key.is_none());
        npy.filter_map(|file| scale_beside(file))
    }
}

/// Notes which arrays of the files of arrays are read.
///
/// # Errors
/// If one cannot be opened.
pub(super) fn account_for_arrays(account: &mut Account, file: &Path, used: &[&str]) -> Result<()> {
    let mut archive = Archive::open(file)?;
    let scales: Vec<String> = used
        .iter()
        .filter_map(|name| archive.scale_name(name))
        .collect();
    let is_used = |name: &String| used.contains(&name.as_str()) || scales.contains(name);
    let names = archive.names();
    account.used("array", names.iter().filter(|name| is_used(name)).count());
    for name in names.iter().filter(|name| !is_used(name)) {
        account.pass("array", &why_unread(&mut archive, name), name);
    }
    for name in archive.other_members() {
        account.pass("member", "it is not an array by its name", name);
    }
    Ok(())
}

/// Why an array is not read. One that is called as ids are may hold Python objects, as NumPy keeps the texts of a table
/// of pandas.
fn why_unread(archive: &mut Archive, name: &str) -> String {
    let is_of_ids = ID_NAMES.contains(&name);
    let problem = is_of_ids.then(|| archive.member(name).err()).flatten();
    match problem {
        Some(error) => format!(
            "{}; save texts as such, np.array({name}, dtype=str)",
            problem_of(&error)
        ),
        None => "it is not needed, or not known by its name".to_owned(),
    }
}
