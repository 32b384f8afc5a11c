//! Folders of pictures with a text file beside each, or with one list of all captions.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Picture};
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use super::captioned_pictures::{
    self, Captioned, Gathered, captions_of, kept_by_image, root_of, write_captions,
};
use super::coco::Coco;
use super::given_features::find_beside;
use super::karpathy::Karpathy;
use super::leftovers::{Fate, account_for_folder, entries, is_hidden};
use super::msrvtt::Msrvtt;
use super::pictures::{PICTURE_ENDINGS, is_picture};
use super::split_names::canonical;
use super::table::Table;
use super::write::link_as;
use super::{Choice, Format, Pictures, ReadOptions, resolve_split};

/// Lists that hold the captions of a folder, as Hugging Face's image folders have them.
const LISTS: [&str; 3] = ["metadata.jsonl", "metadata.csv", "metadata.parquet"];

/// `0001.jpg` beside `0001.txt`, or pictures with `metadata.csv`.
pub(super) struct Folder;

impl Format for Folder {
    fn name(&self) -> &'static str {
        "folder"
    }

    fn summary(&self) -> &'static str {
        "A folder of pictures, each with a text file of the same name (one caption a line) or all \
         with one list; folders `train`, `dev` or `val`, and `test` in it are splits."
    }

    fn files(&self) -> &'static str {
        "pictures (`.jpg`, `.png`, `.webp`, `.gif`, `.bmp`) and `NAME.txt` beside them, in folders \
         of any depth; or `metadata.jsonl`, `.csv` or `.parquet` with a column of file names and one of captions; or the \
         only list of the folder (a `table`, or the JSON of `karpathy`, `coco` or `msrvtt`), with pictures or with \
         features of its name"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        if !path.is_dir() {
            return None;
        }
        if let Some((_, list)) = list_in(path) {
            return Some(format!("the folder holds {}", list.file_name()?.display()));
        }
        let found = first_captioned(path, 3)?;
        Some(format!("{} has a text of its name", found.display()))
    }

    fn splits(&self, path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
        if let Some((format, list)) = list_in(path) {
            return format.splits(&list, options);
        }
        let mut splits: Vec<String> = (split_folders(path)?.into_iter())
            .map(|(split, _)| split)
            .collect();
        splits.sort();
        splits.dedup();
        if splits.is_empty() {
            splits.push("all".into());
        }
        Ok(splits)
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        if let Some((format, list)) = list_in(path) {
            let has_features = options.features.is_some() || find_beside(&list).is_ok();
            let pictures = match &options.pictures {
                Pictures::Unused if !has_features => Pictures::Beside,
                chosen => chosen.clone(),
            };
            let options = ReadOptions {
                pictures,
                ..options.clone()
            };
            let mut dataset = format.read(&list, &options)?;
            let splits = format.splits(&list, &options)?;
            account_for_pictures(&mut dataset, path, &splits)?;
            return Ok(dataset);
        }
        let split = resolve_split(path, options, &self.splits(path, options)?)?;
        let gathered = captioned(path, &split)?;
        captioned_pictures::into_dataset(self.name(), path, split, gathered, options)
    }

    fn choices(&self, path: &Path) -> &'static [Choice] {
        list_in(path).map_or(&[], |(format, list)| format.choices(&list))
    }

    /// The kept pictures with their texts, and the folders of the other splits.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        let mut root = None;
        for (row, captions) in kept_by_image(dataset, keep)?.into_iter().enumerate() {
            let id = &dataset.image_ids[row];
            let Some(Picture::File(file)) = dataset.images.picture(row) else {
                continue;
            };
            root = Some(root_of(file, id));
            if captions.is_empty() {
                continue;
            }
            let target = out.join(id);
            written.push(link_as(file, &target)?);
            let [text, more] = ["txt", "json"].map(|ending| file.with_extension(ending));
            let own = target.with_extension("txt");
            written.push(write_captions(&text, &captions, &own)?);
            if more.is_file() {
                written.push(link_as(&more, &target.with_extension("json"))?);
            }
        }
        if let Some(root) = root.filter(|_| dataset.split != "all") {
            written.extend(link_other_splits(root, &dataset.split, out)?);
        }
        Ok(written)
    }
}

/// Links the pictures and texts in the folders of other splits.
fn link_other_splits(root: &Path, cleaned: &str, out: &Path) -> Result<Vec<PathBuf>> {
    let mut linked = Vec::new();
    let others = split_folders(root)?.into_iter();
    for (_, folder) in others.filter(|(split, _)| split != cleaned) {
        let unsaid = &mut Account::default();
        walk(root, &folder, unsaid, &mut |_, file, name| {
            if is_picture(file) || is_text_of_picture(file) {
                linked.push(link_as(file, &out.join(name))?);
            }
            Ok(())
        })?;
    }
    Ok(linked)
}

/// Formats of one file that lists images, in the order in which they are tried.
const LISTS_OF_IMAGES: [&dyn Format; 4] = [&Msrvtt, &Karpathy, &Coco, &Table];

/// The list of all captions and its format: by its name, or the only list of a folder that holds pictures or
/// features of this name.
fn list_in(path: &Path) -> Option<(&'static dyn Format, PathBuf)> {
    let mut lists = LISTS.iter().map(|name| path.join(name));
    match lists.find(|list| list.is_file()) {
        Some(list) => Some((&Table, list)),
        None => only_list_in(path),
    }
}

fn only_list_in(path: &Path) -> Option<(&'static dyn Format, PathBuf)> {
    let mut found: Vec<(&'static dyn Format, PathBuf)> = Vec::new();
    for entry in entries(path).ok()? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        // The text of a picture may look like a table, and is not opened; ids are those of features.
        if is_hidden(&name) || is_text_of_picture(&entry) || name.ends_with("_ids.txt") {
            continue;
        }
        let mut formats = LISTS_OF_IMAGES.into_iter();
        if let Some(format) = formats.find(|format| format.sniff(&entry).is_some()) {
            found.push((format, entry));
        }
    }
    let (format, list) = match found.len() {
        1 => found.pop()?,
        _ => return None,
    };
    let is_of_a_split = |stem: &str| ["train", "dev", "test"].contains(&canonical(stem));
    let stem = list.file_stem()?.to_string_lossy();
    let is_list = !is_of_a_split(&stem) && (find_beside(&list).is_ok() || holds_pictures(path, 3));
    is_list.then_some((format, list))
}

/// Whether a picture lies in `folder`, at most `depth` folders deep.
fn holds_pictures(folder: &Path, depth: usize) -> bool {
    let entries = entries(folder).unwrap_or_default();
    let deeper =
        |entry: &PathBuf| depth > 1 && leads_deeper(entry) && holds_pictures(entry, depth - 1);
    entries.iter().any(|entry| is_picture(entry)) || entries.iter().any(deeper)
}

/// Notes the pictures in `folder` that no record names, and its other files. Where the list has
/// several splits, pictures may be those of another one, and nothing is said of them.
fn account_for_pictures(dataset: &mut Dataset, folder: &Path, splits: &[String]) -> Result<()> {
    let pictures = (0..dataset.n_images()).filter_map(|row| dataset.images.picture(row));
    // Features may be used in their place.
    let shown = dataset.image_files.iter().flatten().map(PathBuf::as_path);
    let used: HashSet<&Path> = pictures.map(Picture::file).chain(shown).collect();
    let files: HashSet<&Path> = dataset.files.iter().map(PathBuf::as_path).collect();
    let mut account = dataset.account.clone();
    walk(folder, folder, &mut account, &mut |account, file, name| {
        if files.contains(file) || used.contains(file) {
            return Ok(());
        }
        if !is_picture(file) {
            account.pass("file", "it is neither the list nor a picture", name);
        } else if splits.len() == 1 {
            account.pass("picture", "no record names it", name);
        }
        Ok(())
    })?;
    dataset.account = account;
    Ok(())
}

/// The folders in `path` that are named like splits.
fn split_folders(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let named = entries(path)?.into_iter().filter(|entry| entry.is_dir());
    let named = named.filter_map(|folder| {
        let name = folder.file_name()?.to_str()?;
        let split = canonical(name);
        (["train", "dev", "test"].contains(&split)).then(|| (split.to_owned(), folder.clone()))
    });
    Ok(named.collect())
}

/// The pictures of a split, sorted by path.
fn captioned(path: &Path, split: &str) -> Result<Gathered> {
    let folders = split_folders(path)?;
    let mut found = Gathered::default();
    if folders.is_empty() {
        collect(path, path, &mut found)?;
        refuse_shared_texts(path, &found.pictures)?;
        return Ok(found);
    }
    account_for_folder(&mut found.account, path, |name| {
        let mut named = folders.iter().filter(|(_, folder)| folder.ends_with(name));
        match named.next() {
            Some((found, _)) if found == split => Fate::Used,
            Some(_) => Fate::OfOtherSplits,
            None => Fate::PassedOver("it lies beside the folders of the splits"),
        }
    })?;
    for (_, folder) in folders.iter().filter(|(found, _)| found == split) {
        collect(path, folder, &mut found)?;
    }
    refuse_shared_texts(path, &found.pictures)?;
    Ok(found)
}

/// # Errors
/// If a text is the caption of two pictures.
fn refuse_shared_texts(root: &Path, pictures: &[Captioned]) -> Result<()> {
    let mut owners: HashMap<PathBuf, &str> = HashMap::new();
    for picture in pictures.iter().filter(|one| !one.captions.is_empty()) {
        let text = root.join(&picture.id).with_extension("txt");
        if let Some(other) = owners.get(&text) {
            return Err(Error::data(
                &text,
                Place::Whole,
                format!("it is the text of two pictures, {other} and {}", picture.id),
                "remove one of them, or give each a name and a text of its own",
            ));
        }
        owners.insert(text, &picture.id);
    }
    Ok(())
}

fn collect(root: &Path, folder: &Path, found: &mut Gathered) -> Result<()> {
    let mut account = std::mem::take(&mut found.account);
    walk(root, folder, &mut account, &mut |account, file, name| {
        if is_picture(file) {
            found.pictures.push(picture(root, file)?);
        } else if !is_text_of_picture(file) {
            let why = "it is neither a picture nor the text of one";
            account.pass("file", why, name);
        }
        Ok(())
    })?;
    found.account = account;
    Ok(())
}

/// Visits every file in `folder` and the folders in it, with its name seen from `root`; what is
/// hidden and links to folders are passed over.
pub(super) fn walk(
    root: &Path,
    folder: &Path,
    account: &mut Account,
    visit: &mut dyn FnMut(&mut Account, &Path, &str) -> Result<()>,
) -> Result<()> {
    for entry in entries(folder)? {
        let name = entry.strip_prefix(root).unwrap_or(&entry).to_string_lossy();
        let own = entry.file_name().unwrap_or_default().to_string_lossy();
        if is_hidden(&own) {
            let why = "it is hidden or a system's own";
            account.pass("file", why, name);
        } else if entry.is_dir() && entry.is_symlink() {
            let why = "it is a link, which may lead out of the data or around in it";
            account.pass("folder", why, name);
        } else if entry.is_dir() {
            walk(root, &entry, account, visit)?;
        } else {
            visit(account, &entry, &name)?;
        }
    }
    Ok(())
}

fn picture(root: &Path, file: &Path) -> Result<Captioned> {
    let text = file.with_extension("txt");
    let captions = match source_file::read(&text, source_file::SETTINGS) {
        Ok(bytes) => captions_of(&String::from_utf8_lossy(&bytes)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(Error::io(text, "read", cause)),
    };
    let id = file.strip_prefix(root).unwrap_or(file);
    Ok(Captioned {
        id: id.to_string_lossy().into_owned(),
        picture: Picture::File(file.to_path_buf()),
        captions,
        label: -1,
    })
}

/// Whether `0001.txt` lies beside a picture `0001.jpg` or the like.
fn is_text_of_picture(file: &Path) -> bool {
    let is_text = (file.extension()).is_some_and(|ending| ending == "txt" || ending == "json");
    let mut beside = PICTURE_ENDINGS.iter().flat_map(|ending| {
        [ending.to_string(), ending.to_ascii_uppercase()].map(|ending| file.with_extension(ending))
    });
    is_text && beside.any(|picture| picture.is_file())
}

/// Whether an entry is a folder to look into. Many links to one folder would be looked into again and again; those
/// that are named like splits are few.
fn leads_deeper(entry: &Path) -> bool {
    let name = entry.file_name().unwrap_or_default().to_string_lossy();
    let is_of_a_split = ["train", "dev", "test"].contains(&canonical(&name));
    entry.is_dir() && (is_of_a_split || !entry.is_symlink())
}

/// Some picture with a text beside it, at most `depth` folders deep.
fn first_captioned(folder: &Path, depth: usize) -> Option<PathBuf> {
    let entries = entries(folder).ok()?;
    let mut pictures = entries.iter().filter(|entry| is_picture(entry));
    let found = pictures.find(|entry| entry.with_extension("txt").is_file());
    let deeper = || {
        let mut folders = entries
            .iter()
            .filter(|entry| depth > 1 && leads_deeper(entry));
        folders.find_map(|folder| first_captioned(folder, depth - 1))
    };
    found.cloned().or_else(deeper)
}

#[cfg(test)]
mod tests {
    use truepair_core::dataset::Features;

    use super::super::write::write_features;
    use super::super::{inspect, open, write_kept};
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    #[test]
    fn texts_beside_pictures_are_their_captions_and_the_cleaned_list_opens() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("data");
        write(
            &root,
            &[
                ("train/a.jpg", "A"),
                ("train/a.txt", "one\n\n two \n"),
                ("train/more/b.PNG", "B"),
                ("train/more/b.txt", "three"),
                ("train/c.jpg", "C"),
                ("val/d.webp", "D"),
                ("val/d.txt", "four"),
            ],
        );
        let found = inspect(&root, &ReadOptions::default()).unwrap();
        let [dev, train] = &found.splits[..] else {
            panic!("{found:?}")
        };
        assert_eq!((found.format.as_str(), dev.images), ("folder", 1));
        assert_eq!(train.pairs, 3, "{train:?}");
        let passed = train.account.summary().unwrap();
        assert!(
            passed.contains("1 picture: it has no caption (train/c.jpg)"),
            "{passed}"
        );
        let data = open(&root, &ReadOptions::default()).unwrap();
        assert_eq!(data.image_ids, ["train/a.jpg", "train/more/b.PNG"]);
        assert_eq!(data.require_captions().unwrap(), ["one", "two", "three"]);
        assert_eq!(data.images.picture(1).unwrap().read().unwrap(), b"B");

        let out = home.path().join("out");
        write_kept(&data, &[true, false, true], &out).unwrap();
        let again = open(&out, &ReadOptions::default()).unwrap();
        assert_eq!(again.require_captions().unwrap(), ["one", "three"]);
        assert_eq!(again.images.picture(1).unwrap().read().unwrap(), b"B");
    }

    #[test]
    fn a_list_of_captions_and_missing_pictures() {
        let home = tempfile::tempdir().unwrap();
        let list = "file_name,text\na.jpg,one\nb.jpg,two\n";
        write(
            home.path(),
            &[("metadata.csv", list), ("images/a.jpg", "A")],
        );
        let data = open(home.path(), &ReadOptions::default()).unwrap();
        assert_eq!(data.images.picture(0).unwrap().read().unwrap(), b"A");
        let missing = data.images.picture(1).unwrap();
        assert_eq!(missing.read().unwrap_err(), "there is no such file");
    }

    #[test]
    fn the_only_table_of_a_folder_is_its_list() {
        let home = tempfile::tempdir().unwrap();
        let list = "image,caption\na.jpg,one\nb.jpg,two\n";
        let pictures = [("images/a.jpg", "A"), ("images/b.jpg", "B")];
        write(home.path(), &[("captions.csv", list)]);
        assert!(open(home.path(), &ReadOptions::default()).is_err());
        write(home.path(), &pictures);
        let data = open(home.path(), &ReadOptions::default()).unwrap();
        assert_eq!(data.require_captions().unwrap(), ["one", "two"]);
        assert_eq!(data.images.picture(1).unwrap().read().unwrap(), b"B");
    }

    #[test]
    fn features_beside_the_only_list_are_used_and_its_pictures_known() {
        let home = tempfile::tempdir().unwrap();
        let list = "image,caption\nimages/a.jpg,one\nimages/b.jpg,two\n";
        let pictures = [("images/a.jpg", "A"), ("images/b.jpg", "B")];
        write(home.path(), &[("mine.csv", list)]);
        write(home.path(), &pictures);
        let features = Features::from_rows(vec![1.0, 2.0], 1);
        write_features(&home.path().join("mine.npy"), &features, &[0, 1]).unwrap();
        let data = open(home.path(), &ReadOptions::default()).unwrap();
        assert_eq!(data.images.gather(&[1]).unwrap(), [2.0]);
        assert_eq!(data.account.summary(), None);
        let out = home.path().join("out");
        write_kept(&data, &[false, true], &out).unwrap();
        let again = open(&out, &ReadOptions::default()).unwrap();
        assert_eq!(again.images.gather(&[0]).unwrap(), [2.0]);
        assert_eq!(again.account.summary(), None);
        let shown = again.image_files[0].as_ref().unwrap();
        assert_eq!(std::fs::read(shown).unwrap(), b"B");
    }

    #[test]
    fn a_text_of_two_pictures_is_refused() {
        let home = tempfile::tempdir().unwrap();
        write(
            home.path(),
            &[("a.jpg", "A"), ("a.png", "B"), ("a.txt", "one")],
        );
        let error = open(home.path(), &ReadOptions::default()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("a.jpg and a.png"), "{message}");
    }
}
