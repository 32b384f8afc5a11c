//! CUB Captions: birds of 200 classes with ten captions each, split by class.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use truepair_core::dataset::Dataset;
use truepair_core::dataset::Picture;
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use super::captioned_pictures::{
    self, Captioned, Gathered, captions_of, kept_by_image, root_of, write_captions,
};
use super::kept_picture_files::stays_below;
use super::leftovers::{Fate, account_for_folder};
use super::write::{link_as, link_into, write_lines};
use super::{Choice, Format, ReadOptions, resolve_split};
use crate::lines::read_lines;
use crate::text_file::read_whole;

/// Folders in which the captions lie, `CLASS/NAME.txt` inside.
const CAPTIONS: [&str; 3] = ["text_c10", "text", "captions"];

/// Everything else that is read.
const FILES: [&str; 6] = [
    "images",
    "images.txt",
    "image_class_labels.txt",
    "trainvalclasses.txt",
    "testclasses.txt",
    "seen_test_images.txt",
];

/// Beginnings of the names of the lists of a fold's classes; its number and `.txt` follow.
const FOLD_LISTS: [&str; 2] = ["trainclasses", "valclasses"];

/// The folder of CUB-200-2011 with the captions of Reed et al. in it.
pub(super) struct Cub;

impl Format for Cub {
    fn name(&self) -> &'static str {
        "cub"
    }

    fn summary(&self) -> &'static str {
        "CUB Captions: `train` and `test_seen` are pictures of 150 classes, `test` those of the 50 \
         classes that are never trained on. With `--class-fold N`, 100 of the 150 classes are in \
         `train` and `test_seen`, the other 50 are `dev`."
    }

    fn files(&self) -> &'static str {
        "`images.txt` and `image_class_labels.txt`, `images/CLASS/NAME.jpg`, `text_c10/CLASS/NAME.txt` \
         of one caption a line, `trainvalclasses.txt` and `testclasses.txt`; optional \
         `seen_test_images.txt` (paths), without it every fifth picture of the 150 classes; for fold \
         N `trainclassesN.txt` and `valclassesN.txt`"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let there = |name: &str| path.join(name).exists();
        let all = ["images.txt", "image_class_labels.txt", "testclasses.txt"];
        (all.into_iter().all(there) && captions_in(path).is_some())
            .then(|| "the folder holds images.txt, classes and captions as CUB does".into())
    }

    fn splits(&self, _path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
        Ok(match options.class_fold {
            None => ["test", "test_seen", "train"].map(String::from).into(),
            Some(_) => ["dev", "test", "test_seen", "train"]
                .map(String::from)
                .into(),
        })
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[Choice::ClassFold]
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let split = resolve_split(path, options, &self.splits(path, options)?)?;
        let texts = captions_in(path).ok_or_else(|| {
            Error::data(
                path,
                Place::Whole,
                format!("no captions; looked for {}", CAPTIONS.join(", ")),
                "unpack the captions into one of these folders",
            )
        })?;
        let mut gathered = Gathered::default();
        let captions = texts.file_name().unwrap_or_default().to_string_lossy();
        account_for_folder(&mut gathered.account, path, |name| {
            match FILES.contains(&name) || is_fold_list(name) || name == captions {
                true => Fate::Used,
                false => Fate::PassedOver("it is not a file of this format"),
            }
        })?;
        for image in images(path, options.class_fold)? {
            if image.split != split {
                gathered.account.used("picture of other splits", 1);
                continue;
            }
            let text = texts.join(&image.file).with_extension("txt");
            let bytes = read_whole(&text, source_file::SETTINGS)?;
            gathered.pictures.push(Captioned {
                picture: Picture::File(path.join("images").join(&image.file)),
                captions: captions_of(&String::from_utf8_lossy(&bytes)),
                id: image.file,
                label: image.class,
            });
        }
        captioned_pictures::into_dataset(self.name(), path, split, gathered, options)
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let kept = kept_by_image(dataset, keep)?;
        let Some(Picture::File(first)) = dataset.images.picture(0) else {
            let problem = "the data has no files of pictures";
            return Err(Error::argument(problem, "read it again"));
        };
        let root = root_of(first, &format!("images/{}", dataset.image_ids[0]));
        let kept: HashMap<&str, &[&str]> = (dataset.image_ids.iter().zip(&kept))
            .filter(|(_, captions)| !captions.is_empty())
            .map(|(id, captions)| (id.as_str(), captions.as_slice()))
            .collect();
        let texts = captions_in(root).unwrap_or_else(|| root.join(CAPTIONS[0]));
        let own_texts = out.join(texts.file_name().unwrap_or_default());
        let classes: HashSet<&str> = dataset.image_ids.iter().map(|id| class_of(id)).collect();
        let (mut written, mut lines, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for image in images(root, None)? {
            let own = kept.get(image.file.as_str());
            // The training split of a fold lacks some of the classes, which stay as they are, and its
            // dev split holds every picture of its own.
            let was_read = classes.contains(class_of(&image.file))
                && (image.split == dataset.split || dataset.split == "dev");
            if was_read && own.is_none() {
                continue;
            }
            if !stays_below(Path::new(&image.file)) {
                let problem = format!("'{}' leads out of the folder of pictures", image.file);
                let remedy = "unpack the data set again";
                return Err(Error::data(
                    root.join("images.txt"),
                    Place::Whole,
                    problem,
                    remedy,
                ));
            }
            let picture = root.join("images").join(&image.file);
            if picture.is_file() {
                written.push(link_as(&picture, &out.join("images").join(&image.file))?);
            }
            let [text, target] =
                [&texts, &own_texts].map(|folder| folder.join(&image.file).with_extension("txt"));
            written.push(match own {
                Some(captions) => write_captions(&text, captions, &target)?,
                None => link_as(&text, &target)?,
            });
            if image.split == "test_seen" {
                held.push(image.file.clone());
            }
            lines.push(format!("{} {}", image.id, image.file));
        }
        written.push(write_lines(&out.join("images.txt"), lines)?);
        // Without a list of their own they are counted, which removed pictures would put out of step.
        written.push(write_lines(&out.join("seen_test_images.txt"), held)?);
        for name in [
            "image_class_labels.txt",
            "trainvalclasses.txt",
            "testclasses.txt",
        ] {
            written.push(link_into(&root.join(name), out)?);
        }
        for fold in folds(root)? {
            for list in fold_lists(root, fold) {
                written.push(link_into(&list, out)?);
            }
        }
        Ok(written)
    }
}

fn captions_in(path: &Path) -> Option<PathBuf> {
    let mut folders = CAPTIONS.iter().map(|name| path.join(name));
    folders.find(|folder| folder.is_dir())
}

struct Image {
    id: String,
    /// `CLASS/NAME.jpg`.
    file: String,
    /// From 1, as in the files.
    class: i64,
    split: &'static str,
}

/// `CLASS` of `CLASS/NAME.jpg`.
fn class_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

/// Whether a file lists classes of a fold.
fn is_fold_list(name: &str) -> bool {
    FOLD_LISTS
        .into_iter()
        .any(|list| fold_of(name, list).is_some())
}

/// The fold that a file of this kind of list belongs to.
fn fold_of(name: &str, list: &str) -> Option<u32> {
    let number = name.strip_prefix(list)?.strip_suffix(".txt")?;
    let fold = number.parse().ok()?;
    (format!("{fold}") == number).then_some(fold)
}

/// The folds of which both lists of classes are there, in their order.
fn folds(path: &Path) -> Result<Vec<u32>> {
    let entries = std::fs::read_dir(path).map_err(|source| Error::io(path, "read", source))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut found: Vec<u32> = names
        .filter_map(|name| fold_of(name.to_str()?, FOLD_LISTS[0]))
        .filter(|fold| fold_lists(path, *fold).iter().all(|list| list.is_file()))
        .collect();
    found.sort_unstable();
    Ok(found)
}

fn fold_lists(path: &Path, fold: u32) -> [PathBuf; 2] {
    FOLD_LISTS.map(|list| path.join(format!("{list}{fold}.txt")))
}

/// The classes that are trained on, and those of the dev split.
fn seen_classes(path: &Path, fold: Option<u32>) -> Result<[HashSet<String>; 2]> {
    let Some(fold) = fold else {
        return Ok([
            class_names(&path.join("trainvalclasses.txt"))?,
            HashSet::new(),
        ]);
    };
    let there = folds(path)?;
    if !there.contains(&fold) {
        let there: Vec<String> = there.iter().map(u32::to_string).collect();
        let there = match there.is_empty() {
            true => "none".to_owned(),
            false => there.join(", "),
        };
        return Err(Error::data(
            path,
            Place::Whole,
            format!("there is no fold {fold} of classes; there are: {there}"),
            format!(
                "put its lists trainclasses{fold}.txt and valclasses{fold}.txt into the folder"
            ),
        ));
    }
    let [train, dev] = fold_lists(path, fold);
    let classes = [class_names(&train)?, class_names(&dev)?];
    let mut both = classes[0].intersection(&classes[1]);
    match both.next() {
        None => Ok(classes),
        Some(class) => Err(Error::data(
            dev,
            Place::Whole,
            format!("class {class} is in {}, too", train.display()),
            "leave every class in one of the two lists",
        )),
    }
}

/// Every picture with its class and split.
fn images(path: &Path, fold: Option<u32>) -> Result<Vec<Image>> {
    let classes = numbered(&path.join("image_class_labels.txt"))?;
    let unseen: HashSet<String> = class_names(&path.join("testclasses.txt"))?;
    let [seen, dev] = seen_classes(path, fold)?;
    let held = path.join("seen_test_images.txt");
    let held: Option<HashSet<String>> = match held.is_file() {
        true => Some(
            read_lines(&held)?
                .into_iter()
                .map(|line| line.trim().into())
                .collect(),
        ),
        false => None,
    };
    let list = path.join("images.txt");
    let (mut found, mut nth_of_class) = (Vec::new(), HashMap::new());
    for (line, (id, file)) in (1..).zip(numbered_lines(&list)?) {
        let wrong = |problem: String| {
            let remedy = "unpack the data set again";
            Err(Error::data(&list, Place::Line(line), problem, remedy))
        };
        let name = class_of(&file).to_owned();
        let Some(class) = classes.get(&id).and_then(|class| class.parse().ok()) else {
            return wrong(format!("image {id} has no class"));
        };
        let nth: &mut usize = nth_of_class.entry(name.clone()).or_default();
        *nth += 1;
        let is_held = match &held {
            Some(held) => held.contains(&file),
            None => nth.is_multiple_of(5),
        };
        let split = if unseen.contains(&name) {
            "test"
        } else if dev.contains(&name) {
            "dev"
        } else if !seen.contains(&name) {
            return wrong(format!("class {name} is in no list of classes"));
        } else if is_held {
            "test_seen"
        } else {
            "train"
        };
        found.push(Image {
            id,
            file,
            class,
            split,
        });
    }
    Ok(found)
}

/// Names of classes, one a line, with or without a number before them.
fn class_names(path: &Path) -> Result<HashSet<String>> {
    let name = |line: String| line.split_whitespace().last().map(str::to_owned);
    Ok(read_lines(path)?.into_iter().filter_map(name).collect())
}

/// Lines of an id and a value.
fn numbered_lines(path: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(read_lines(path)?) {
        match line.split_once(char::is_whitespace) {
            Some((id, value)) => found.push((id.to_owned(), value.trim().to_owned())),
            None => {
                return Err(Error::data(
                    path,
                    Place::Line(number),
                    format!("'{line}', expected an id and a value"),
                    "unpack the data set again",
                ));
            }
        }
    }
    Ok(found)
}

fn numbered(path: &Path) -> Result<HashMap<String, String>> {
    Ok(numbered_lines(path)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::{inspect, open, write_kept};
    use super::*;

    /// Three classes of ten pictures, the last one unseen, ten captions a picture.
    fn tree(root: &Path) {
        let (mut images, mut labels) = (String::new(), String::new());
        for class in 1..=3 {
            let name = format!("00{class}.Bird_{class}");
            for folder in ["images", "text_c10"] {
                std::fs::create_dir_all(root.join(folder).join(&name)).unwrap();
            }
            for n in 0..10 {
                let id = (class - 1) * 10 + n + 1;
                let file = format!("{name}/Bird_{n:04}.jpg");
                std::fs::write(root.join("images").join(&file), format!("{id}")).unwrap();
                let captions: String = (0..10).map(|c| format!("bird {id} line {c}\n")).collect();
                let text = root.join("text_c10").join(&file).with_extension("txt");
                std::fs::write(text, captions).unwrap();
                images += &format!("{id} {file}\n");
                labels += &format!("{id} {class}\n");
            }
        }
        let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
        write("images.txt", &images);
        write("image_class_labels.txt", &labels);
        write("trainvalclasses.txt", "001.Bird_1\n002.Bird_2\n");
        write("testclasses.txt", "003.Bird_3\n");
    }

    #[test]
    fn classes_decide_the_splits() {
        let home = tempfile::tempdir().unwrap();
        tree(home.path());
        let found = inspect(home.path(), &ReadOptions::default()).unwrap();
        let sizes: Vec<(&str, usize, usize)> = (found.splits.iter())
            .map(|split| (split.split.as_str(), split.images, split.captions))
            .collect();
        assert_eq!(found.format, "cub");
        assert_eq!(
            sizes,
            [("test", 10, 100), ("test_seen", 4, 40), ("train", 16, 160)]
        );
        let train = open(home.path(), &ReadOptions::default()).unwrap();
        assert!(
            train
                .labels
                .as_ref()
                .unwrap()
                .iter()
                .all(|class| *class < 3)
        );
        assert_eq!(train.require_captions().unwrap()[10], "bird 2 line 0");
        assert_eq!(train.images.picture(1).unwrap().read().unwrap(), b"2");
        let held = "001.Bird_1/Bird_0000.jpg\n";
        std::fs::write(home.path().join("seen_test_images.txt"), held).unwrap();
        let train = open(home.path(), &ReadOptions::default()).unwrap();
        assert_eq!(train.n_images(), 19);
    }

    #[test]
    fn a_cleaned_list_keeps_pictures_held_for_tests_and_stays_in_its_folder() {
        let home = tempfile::tempdir().unwrap();
        let [root, out] = ["data", "out"].map(|name| home.path().join(name));
        std::fs::create_dir(&root).unwrap();
        tree(&root);
        let data = open(&root, &ReadOptions::default()).unwrap();
        let keep: Vec<bool> = (0..data.pairs.len()).map(|n| n >= 15).collect();
        write_kept(&data, &keep, &out).unwrap();
        let found = inspect(&out, &ReadOptions::default()).unwrap();
        let sizes: Vec<(usize, usize)> = (found.splits.iter())
            .map(|split| (split.images, split.captions))
            .collect();
        assert_eq!(sizes, [(10, 100), (4, 40), (15, 145)]);
        let refused = write_kept(&data, &keep, &root).unwrap_err().to_string();
        assert!(
            refused.contains("the folder of the data itself"),
            "{refused}"
        );
        let list = std::fs::read_to_string(root.join("images.txt")).unwrap();
        let up = "../".repeat(2);
        let outside = list.replace("003.Bird_3/Bird_0009.jpg", &format!("003.Bird_3/{up}x.jpg"));
        std::fs::write(root.join("images.txt"), outside).unwrap();
        let refused = write_kept(&data, &keep, home.path().join("again")).unwrap_err();
        assert!(
            refused.to_string().contains("leads out of the folder"),
            "{refused}"
        );
        assert!(!home.path().join("again/x.jpg").is_symlink());
    }

    #[test]
    fn a_fold_trains_on_some_of_the_classes_and_its_others_are_dev() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("data");
        std::fs::create_dir(&root).unwrap();
        tree(&root);
        let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
        write("trainclasses2.txt", "002.Bird_2\n");
        write("valclasses2.txt", "001.Bird_1\n");
        let options = ReadOptions {
            class_fold: Some(2),
            ..ReadOptions::default()
        };
        let sizes = |root: &Path, options: &ReadOptions| -> Vec<(String, usize)> {
            let found = inspect(root, options).unwrap();
            let splits = found.splits.into_iter();
            splits.map(|split| (split.split, split.images)).collect()
        };
        let expected = [("dev", 10), ("test", 10), ("test_seen", 2), ("train", 8)];
        assert_eq!(
            sizes(&root, &options),
            expected.map(|(s, n)| (s.to_owned(), n))
        );
        let train = open(&root, &options).unwrap();
        assert!(train.image_ids.iter().all(|id| id.starts_with("002.")));
        // The lists belong to the data whether a fold is asked for or not.
        let strict = ReadOptions {
            strict: true,
            ..ReadOptions::default()
        };
        assert_eq!(open(&root, &strict).unwrap().n_images(), 16);
        // A cleaned list loses nothing of the classes that were not read, and has the folds again.
        let keep: Vec<bool> = (0..train.pairs.len()).map(|n| n >= 15).collect();
        let out = home.path().join("out");
        write_kept(&train, &keep, &out).unwrap();
        let expected = [("dev", 10), ("test", 10), ("test_seen", 2), ("train", 7)];
        assert_eq!(
            sizes(&out, &options),
            expected.map(|(s, n)| (s.to_owned(), n))
        );
        let dev = open(&root, &options.for_split("dev")).unwrap();
        let keep: Vec<bool> = (0..dev.pairs.len()).map(|n| n >= 30).collect();
        let out = home.path().join("out-dev");
        write_kept(&dev, &keep, &out).unwrap();
        assert_eq!(sizes(&out, &options)[0], ("dev".to_owned(), 7));
        let refused = |options: &ReadOptions| open(&root, options).unwrap_err().to_string();
        let other = ReadOptions {
            class_fold: Some(1),
            ..ReadOptions::default()
        };
        assert!(refused(&other).contains("no fold 1 of classes; there are: 2"));
        write("valclasses2.txt", "001.Bird_1\n002.Bird_2\n");
        assert!(refused(&options).contains("class 002.Bird_2 is in"));
        std::fs::write(home.path().join("pairs.csv"), "image,caption\na.jpg,a\n").unwrap();
        let refused = open(home.path().join("pairs.csv"), &options).unwrap_err();
        assert!(
            refused.to_string().contains("`table` has no folds"),
            "{refused}"
        );
    }

    #[test]
    fn a_class_in_no_list_is_named() {
        let home = tempfile::tempdir().unwrap();
        tree(home.path());
        std::fs::write(home.path().join("testclasses.txt"), "004.Other\n").unwrap();
        let error = open(home.path(), &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("images.txt:21: class 003.Bird_3"), "{error}");
    }
}
