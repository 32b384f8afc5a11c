//! Captions of Flickr8k and Flickr30k as they were published: `IMAGE#NUMBER`, a tab, and a caption.
//!
//! `Flickr8k.token.txt`, `results_20130124.token` and the like; lists of images such as
//! `Flickr_8k.trainImages.txt` beside it are splits.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset};
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};

use super::kept_features::write_beside;
use super::kept_pairs::KeptPairs;
use super::leftovers::entries;
use super::listed::{ListedCaption, ListedImage};
use super::listing::Listing;
use super::pictures::is_picture;
use super::records::unpacked;
use super::shard_names::one_name;
use super::write::{link_into, write_lines};
use super::{Choice, Format, ReadOptions, resolve_split};
use crate::lines::{Line, lines, read_lines};
use crate::text_file::{pack, packing_named_by};

/// Endings of such lists.
const ENDINGS: &[&str] = &["txt", "token", "tsv"];
/// Words in the names of lists of images, each with its split.
const LISTS: &[(&str, &str)] = &[
    ("trainimages", "train"),
    ("devimages", "val"),
    ("valimages", "val"),
    ("testimages", "test"),
];
/// Texts in a folder among which a list is looked for.
const MOST_TEXTS: usize = 50;
/// Lines that a list is known by.
const LOOKED_AT: usize = 20;

/// A list of `IMAGE#NUMBER`, tab, caption.
pub(super) struct FlickrTokens;

impl Format for FlickrTokens {
    fn name(&self) -> &'static str {
        "flickr_tokens"
    }

    fn summary(&self) -> &'static str {
        "Captions of Flickr8k and Flickr30k as they were published; lists of images beside them are splits, \
         without them there is one split `all`."
    }

    fn files(&self) -> &'static str {
        "one `.txt` or `.token` of `IMAGE.jpg#NUMBER`, tab and caption, or a folder with one, and a file of image \
         features in the order of the images or keyed by file name; optional \
         `NAME.trainImages.txt`, `NAME.devImages.txt`, `NAME.testImages.txt` (or `train.txt`, `val.txt`, \
         `test.txt`) of names of images"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let list = list_of(path)?;
        let name = list.file_name()?.to_string_lossy();
        Some(format!(
            "{name} has lines of an image, # and a number, a tab and a caption"
        ))
    }

    fn splits(&self, path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        let list = required(path)?;
        let images = images_of(&list)?;
        Ok(SplitLists::beside(&list, &images)?.names())
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let list = required(path)?;
        let names = images_of(&list)?;
        let lists = SplitLists::beside(&list, &names)?;
        let split = resolve_split(path, options, &lists.names())?;
        let mut listing = Listing {
            files: vec![list.clone()],
            starts: vec![0],
            ..Listing::default()
        };
        lists.note(&mut listing.account, &split);
        let mut index: HashMap<String, u32> = HashMap::new();
        each_caption(&list, |place, name, text| {
            let record = listing.n_records as u32;
            listing.n_records += 1;
            let next = listing.images.len() as u32;
            let image = *index.entry(name.to_owned()).or_insert(next);
            if image == next {
                let in_split = lists.split_of(name).is_some_and(|found| found == split);
                if lists.split_of(name).is_none() {
                    let why = "no list of a split names it";
                    listing.account.pass("image", why, name);
                }
                listing.images.push(ListedImage {
                    id: name.to_owned(),
                    file: None,
                    record,
                    in_split,
                });
            }
            if listing.images[image as usize].in_split {
                listing.account.used("line", 1);
                listing.captions.push(ListedCaption {
                    image,
                    text: text.to_owned(),
                    place,
                    record,
                });
            } else {
                listing.account.used("line of other splits", 1);
            }
            Ok(())
        })?;
        let mut dataset = listing.into_dataset(self.name(), &list, split, options)?;
        dataset.files.extend(lists.of_split(&dataset.split));
        Ok(dataset)
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[Choice::Features, Choice::CaptionFeatures]
    }

    /// The same lines without the removed ones, with the list of the split.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let list = &dataset.files[0];
        let target = out.join(list.file_name().unwrap_or_default());
        let mut pairs = KeptPairs::new(dataset, keep);
        let mut text = String::new();
        each_line(list, |line, found| {
            if let Some((name, caption)) = found
                && pairs.take(name, caption)
            {
                text += line;
                text.push('\n');
            }
            Ok(())
        })?;
        let order = match pairs.into_order() {
            Some(order) => order,
            None => {
                let order: Vec<usize> = (0..keep.len()).filter(|pair| keep[*pair]).collect();
                text = planted(dataset, &order)?;
                order
            }
        };
        let bytes = pack(packing_named_by(&target), text.into_bytes());
        durable::write(
            &target,
            &bytes.map_err(|cause| Error::io(&target, "pack", cause))?,
        )?;
        let mut written = vec![target.clone()];
        let lists = SplitLists::beside(list, &images_of(list)?)?;
        let kept: HashSet<&str> = (order.iter())
            .map(|pair| dataset.image_ids[dataset.pairs[*pair].image as usize].as_str())
            .flat_map(|id| [id, stem(id)])
            .collect();
        for file in lists.of_split(&dataset.split) {
            written.push(write_list(&file, &kept, out)?);
        }
        if !dataset.images.are_pictures() {
            written.push(write_beside(unpacked(&target), dataset, &order)?);
        }
        Ok(written)
    }
}

/// Writes a list of a split without the images that have no caption any more.
fn write_list(list: &Path, kept: &HashSet<&str>, out: &Path) -> Result<PathBuf> {
    let names = read_lines(list)?;
    let stays = |name: &&String| name.trim().is_empty() || kept.contains(name.trim());
    let staying: Vec<&String> = names.iter().filter(stays).collect();
    if staying.len() == names.len() {
        return link_into(list, out);
    }
    write_lines(&out.join(list.file_name().unwrap_or_default()), staying)
}

/// A name without the ending of a picture.
fn stem(name: &str) -> &str {
    match is_picture(Path::new(name)) {
        true => name.rsplit_once('.').map_or(name, |(stem, _)| stem),
        false => name,
    }
}

/// Lines of pairs whose noise was planted.
fn planted(dataset: &Dataset, order: &[usize]) -> Result<String> {
    let texts = dataset.require_captions()?;
    let mut counts = vec![0; dataset.n_images()];
    let mut lines = String::new();
    for pair in order.iter().map(|pair| dataset.pairs[*pair]) {
        let (image, text) = (pair.image as usize, &texts[pair.caption as usize]);
        lines += &format!("{}#{}\t{text}\n", dataset.image_ids[image], counts[image]);
        counts[image] += 1;
    }
    Ok(lines)
}

/// The list at `path`, or the only one in this folder.
fn list_of(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return is_list(path).then(|| path.to_path_buf());
    }
    let mut lists = entries(path).ok()?;
    lists.retain(|file| has_known_ending(file) && file.is_file());
    // Folders of one text a picture are not searched.
    if lists.len() > MOST_TEXTS {
        return None;
    }
    lists.retain(|file| is_list(file));
    match &lists[..] {
        [list] => Some(list.clone()),
        // Flickr8k comes with its captions in a second form.
        several => several
            .iter()
            .find(|list| name_of(list).contains(".token."))
            .cloned(),
    }
}

/// As [`list_of`]; a file that is named is taken at its word, and a line of it that is none of a list is an error.
fn required(path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_path_buf());
    }
    list_of(path).ok_or_else(|| {
        let problem = "there is no list of lines `IMAGE.jpg#NUMBER`, tab, caption";
        Error::data(path, Place::Whole, problem, "name the file")
    })
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().to_ascii_lowercase()
}

fn has_known_ending(path: &Path) -> bool {
    let ending = unpacked(path).extension();
    let ending = ending.map(|ending| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| *known == ending))
}

/// Whether a file begins with lines of images, numbers and captions.
fn is_list(path: &Path) -> bool {
    if !has_known_ending(path) {
        return false;
    }
    let Ok(lines) = lines(path) else { return false };
    let lines = lines
        .map_while(Result::ok)
        .filter(|line| !line.text.trim().is_empty());
    let lines: Vec<Line> = lines.take(LOOKED_AT).collect();
    let names_picture =
        |line: &Line| fields(&line.text).is_some_and(|(image, _)| is_picture(Path::new(image)));
    // A damaged line further down is an error that names it, not another format.
    let n_others = lines
        .iter()
        .filter(|line| fields(&line.text).is_none())
        .count();
    lines.first().is_some_and(names_picture) && 4 * n_others <= lines.len()
}

/// The image and the caption of a line.
fn fields(line: &str) -> Option<(&str, &str)> {
    let (key, caption) = line.split_once('\t')?;
    let (image, number) = key.trim().rsplit_once('#')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_number && !image.is_empty()).then(|| (image.trim(), caption.trim()))
}

/// Calls `visit` with every line, and its image and caption; with `None` for a line without anything.
fn each_line(
    path: &Path,
    mut visit: impl FnMut(&str, Option<(&str, &str)>) -> Result<()>,
) -> Result<()> {
    for line in lines(path)? {
        let Line { number, text } = line?;
        let found = fields(&text);
        if found.is_none() && !text.trim().is_empty() {
            return Err(Error::data(
                path,
                Place::Line(number),
                "expected IMAGE.jpg#NUMBER, a tab and a caption",
                "correct or remove the line",
            ));
        }
        visit(&text, found)?;
    }
    Ok(())
}

fn each_caption(path: &Path, mut visit: impl FnMut(Place, &str, &str) -> Result<()>) -> Result<()> {
    let mut number = 0;
    each_line(path, |_, found| {
        number += 1;
        found.map_or(Ok(()), |(image, caption)| {
            visit(Place::Line(number), image, caption)
        })
    })
}

/// The images of a list, in their order.
fn images_of(list: &Path) -> Result<Vec<String>> {
    let mut images: Vec<String> = Vec::new();
    each_caption(list, |_, image, _| {
        if images.last().is_none_or(|last| last != image) {
            images.push(image.to_owned());
        }
        Ok(())
    })?;
    Ok(images)
}

/// The lists of images beside a list of captions.
#[derive(Debug, Default)]
struct SplitLists {
    lists: Vec<(String, PathBuf)>,
    /// The split of each image, with its ending and without.
    splits: HashMap<String, String>,
    /// Names on a list of which there is no caption, and the list.
    without_caption: Vec<String>,
}

impl SplitLists {
    /// Reads them.
    ///
    /// # Errors
    /// If one cannot be read, or two of them name one image.
    fn beside(list: &Path, images: &[String]) -> Result<Self> {
        let mut found = Self::default();
        let known: HashSet<&str> = images.iter().map(|name| stem(name)).collect();
        let folder = list.parent().unwrap_or(Path::new("."));
        for file in entries(folder)?
            .into_iter()
            .filter(|file| file.is_file() && file != list)
        {
            let Some(split) = split_of_list(&file) else {
                continue;
            };
            let names = read_lines(&file)?;
            let names: Vec<&str> = (names.iter().map(|name| name.trim()))
                .filter(|name| !name.is_empty())
                .collect();
            let n_known = names
                .iter()
                .filter(|name| known.contains(stem(name)))
                .count();
            if 2 * n_known < names.len() || names.is_empty() {
                continue;
            }
            for name in names {
                if !known.contains(stem(name)) {
                    found.without_caption.push(name.to_owned());
                }
                if let Some(other) = found.splits.insert(stem(name).to_owned(), split.clone())
                    && other != split
                {
                    let problem = format!("image '{name}' is in split '{other}', too");
                    let remedy = "leave it in one of the two lists";
                    return Err(Error::data(&file, Place::Whole, problem, remedy));
                }
            }
            found.lists.push((split, file));
        }
        // Every image is asked for under its full name.
        for image in images {
            if let Some(split) = found.splits.get(stem(image)).cloned() {
                found.splits.insert(image.clone(), split);
            }
        }
        Ok(found)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.lists.iter().map(|(split, _)| split.clone()).collect();
        if names.is_empty() {
            names.push("all".into());
        }
        names.sort();
        names.dedup();
        names
    }

    fn split_of(&self, image: &str) -> Option<&str> {
        match self.lists.is_empty() {
            true => Some("all"),
            false => self.splits.get(image).map(String::as_str),
        }
    }

    fn of_split(&self, split: &str) -> Vec<PathBuf> {
        let own = self.lists.iter().filter(|(name, _)| name == split);
        own.map(|(_, file)| file.clone()).collect()
    }

    fn note(&self, account: &mut Account, split: &str) {
        for (of, file) in &self.lists {
            let kind = if of == split {
                "list of a split"
            } else {
                "list of other splits"
            };
            account.used(kind, 1);
            if of == split {
                account.chose(format!("split '{split}' is what {} names", file.display()));
            }
        }
        for name in &self.without_caption {
            account.pass(
                "name in a list of a split",
                "no caption is of this image",
                name,
            );
        }
    }
}

/// The split that the name of a list of images says.
fn split_of_list(file: &Path) -> Option<String> {
    let name = name_of(file);
    let stem = name.strip_suffix(".txt")?;
    let known = LISTS
        .iter()
        .find(|(word, _)| stem.replace('_', "").contains(word));
    let split = match known {
        Some((_, split)) => Some(*split),
        None => super::shard_names::is_split(stem).then_some(stem),
    };
    split.map(one_name)
}

#[cfg(test)]
mod tests {
    use truepair_core::dataset::Features;

    use super::super::write::write_features;
    use super::super::{open, write_kept};
    use super::*;

    const LINES: &str =
        "a.jpg#0\tone .\na.jpg#1\ttwo #2 .\n\nb.jpg#0\tthree .\nc.jpg.1#0\tfour .\n";

    fn data() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Flickr8k.token.txt");
        std::fs::write(&path, LINES).unwrap();
        let features = Features::from_rows(vec![0.0, 1.0, 2.0], 1);
        write_features(&path.with_extension("npy"), &features, &[0, 1, 2]).unwrap();
        (folder, path)
    }

    #[test]
    fn lines_are_captions_of_their_images() {
        let (folder, path) = data();
        let found = open(&path, &ReadOptions::default()).unwrap();
        assert_eq!(
            (found.format, found.split.as_str()),
            ("flickr_tokens", "all")
        );
        assert_eq!(found.image_ids, ["a.jpg", "b.jpg", "c.jpg.1"]);
        assert_eq!(
            found.captions.unwrap(),
            ["one .", "two #2 .", "three .", "four ."]
        );
        assert_eq!(
            open(folder.path(), &ReadOptions::default())
                .unwrap()
                .n_images(),
            3
        );
    }

    #[test]
    fn lists_beside_it_are_splits_and_cleaned_lists_keep_theirs() {
        let (folder, path) = data();
        let list = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        list("Flickr_8k.trainImages.txt", "a.jpg\nb.jpg\nz.jpg\n");
        list("Flickr_8k.devImages.txt", "");
        let found = open(&path, &ReadOptions::default()).unwrap();
        assert_eq!(found.image_ids, ["a.jpg", "b.jpg"]);
        let said = found.account.lines().join("\n");
        assert!(
            said.contains("no caption is of this image (z.jpg)"),
            "{said}"
        );
        assert!(
            said.contains("no list of a split names it (c.jpg.1)"),
            "{said}"
        );
        let out = folder.path().join("out");
        let files = write_kept(&found, &[true, false, true], &out).unwrap();
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert_eq!(text, "a.jpg#0\tone .\nb.jpg#0\tthree .\n");
        let again = open(&files[0], &ReadOptions::default()).unwrap();
        assert_eq!(again.captions.unwrap(), ["one .", "three ."]);
        assert_eq!(again.images.to_matrix().unwrap().values(), [0.0, 1.0]);
        list("Flickr_8k.testImages.txt", "a\n");
        let error = open(&path, &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("is in split '"), "{error}");
    }

    #[test]
    fn a_file_that_is_named_as_a_list_needs_no_ending_of_a_picture() {
        let (_folder, path) = data();
        std::fs::write(&path, "a#0\tone .\nb#0\ttwo .\nc#0\tthree .\n").unwrap();
        assert!(open(&path, &ReadOptions::default()).is_err());
        let named = ReadOptions {
            format: Some("flickr_tokens".to_owned()),
            ..ReadOptions::default()
        };
        assert_eq!(open(&path, &named).unwrap().image_ids, ["a", "b", "c"]);
    }

    #[test]
    fn other_lines_are_named_and_noise_is_written() {
        let (folder, path) = data();
        let mut found = open(&path, &ReadOptions::default()).unwrap();
        found.pairs[0].image = 1;
        let out = folder.path().join("out");
        let files = write_kept(&found, &[true, false, true, false], &out).unwrap();
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert_eq!(text, "b.jpg#0\tone .\nb.jpg#1\tthree .\n");
        std::fs::write(&path, format!("{LINES}d.jpg five\n")).unwrap();
        let error = open(&path, &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("token.txt:6: expected IMAGE.jpg#NUMBER"),
            "{error}"
        );
    }
}
