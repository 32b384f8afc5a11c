//! Cleaned lists of labeled data: the items that stay, in the form of the data where that can be written.

use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use truepair_core::dataset::Account;
use truepair_core::durable;
use truepair_core::error::{Error, Result};
use truepair_core::labeled::{LabeledData, LabeledSet, Modality};
use truepair_core::npy::header_bytes;
use truepair_core::source_file;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::names::{self, RawSplit};
use super::{KeptForm, LabeledOptions, only_container, recognize};
use crate::dataset::{KeptFiles, KeptFolder, link_into, settle, write_lines, write_rows};
use crate::inflate;

/// Rows of the items that stay, counted from 0, of data whose layout is not written.
const LIST: &str = "kept_items.txt";

/// Writes the items of `set`, a split of `data`, that stay (`keep` `[n]`), with the labels that `set` gives
/// them. Where the layout of the data can be written, the folder or file opens again as labeled data, other
/// splits included; where not, it is a list of rows.
///
/// # Errors
/// If the data at `path` cannot be read again, or a file cannot be written.
///
/// # Panics
/// If `keep` has another length than the items.
pub fn write_kept_items(
    path: &Path,
    options: &LabeledOptions,
    (data, set): (&LabeledData, &LabeledSet),
    keep: &[bool],
    target: &KeptFolder<'_>,
) -> Result<KeptFiles> {
    assert_eq!(keep.len(), set.len(), "one flag an item");
    let out = target.folder;
    std::fs::create_dir_all(out).map_err(|source| Error::io(out, "create", source))?;
    let rows: Vec<u32> = (0..set.len() as u32)
        .filter(|item| keep[*item as usize])
        .collect();
    let only = only_container(path, &mut Account::default())?;
    let path = only.as_deref().unwrap_or(path);
    let format = recognize(path, options)?;
    let files = match format.kept_form() {
        KeptForm::List => {
            let lines = rows.iter().map(u32::to_string);
            vec![write_lines(&out.join(LIST), lines)?]
        }
        form => {
            let mut arrays = format.arrays(path)?;
            let splits = names::collect(path, &mut arrays, &options.modalities)?;
            let kept = Kept {
                splits: &splits,
                arrays: arrays_of(&splits, data, set, &rows),
                rows: &rows,
            };
            match form {
                KeptForm::Archive => vec![kept.write_archive(path, out)?],
                _ => kept.write_folder(path, out)?,
            }
        }
    };
    settle(files, target)
}

/// What is written of a split.
struct Kept<'a> {
    splits: &'a [RawSplit],
    /// Every array of the split, by its name.
    arrays: Vec<(String, KeptArray<'a>)>,
    rows: &'a [u32],
}

enum KeptArray<'a> {
    Features(&'a Modality),
    Labels(Vec<i64>),
}

/// The arrays of a split under the names that they have; labels that were shared and are no longer
/// get names of their own.
fn arrays_of<'a>(
    splits: &[RawSplit],
    data: &LabeledData,
    set: &'a LabeledSet,
    rows: &[u32],
) -> Vec<(String, KeptArray<'a>)> {
    let raw = splits.iter().find(|raw| raw.split == set.split);
    let raw = raw.map_or(&[][..], |raw| &raw.modalities);
    let shared = set.labels_are_shared();
    let mut arrays: Vec<(String, KeptArray<'a>)> = Vec::new();
    for modality in &set.modalities {
        let Some(known) = raw.iter().find(|raw| raw.name == modality.name) else {
            continue;
        };
        let [features, labels] = &known.arrays;
        let n_users = raw.iter().filter(|raw| raw.arrays[1] == *labels).count();
        let labels = match n_users > 1 && !shared {
            true => format!("{features}_labels"),
            false => labels.clone(),
        };
        arrays.push((features.clone(), KeptArray::Features(modality)));
        if !arrays.iter().any(|(name, _)| *name == labels) {
            let kept = rows.iter().map(|&item| modality.labels[item as usize]);
            let numbers = kept.map(|label| i64::from(label) + data.first_label);
            arrays.push((labels, KeptArray::Labels(numbers.collect())));
        }
    }
    arrays
}

impl Kept<'_> {
    /// Names of the arrays of the other splits.
    fn others(&self) -> Vec<&str> {
        let own = |name: &str| self.arrays.iter().any(|(own, _)| own == name);
        let modalities = self.splits.iter().flat_map(|split| &split.modalities);
        let names = modalities.flat_map(|modality| &modality.arrays);
        let mut others: Vec<&str> = names
            .map(String::as_str)
            .filter(|name| !own(name))
            .collect();
        // Labels of the split that got other names are gone.
        let of_split = |name: &str| {
            let mut splits = self.splits.iter().filter(|split| {
                let mut modalities = split.modalities.iter();
                modalities.any(|modality| modality.arrays.iter().any(|array| array == name))
            });
            splits.all(|split| split.modalities.iter().any(|m| own(&m.arrays[0])))
        };
        others.retain(|name| !of_split(name));
        others.sort_unstable();
        others.dedup();
        others
    }

    fn write_folder(&self, path: &Path, out: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for (name, array) in &self.arrays {
            let file = out.join(format!("{name}.npy"));
            durable::write_with(&file, |writer| self.put(array, writer))?;
            files.push(file);
        }
        for name in self.others() {
            files.push(link_into(&path.join(format!("{name}.npy")), out)?);
        }
        let classes = path.join(super::folder::CLASSES);
        if classes.is_file() {
            files.push(link_into(&classes, out)?);
        }
        Ok(files)
    }

    fn write_archive(&self, path: &Path, out: &Path) -> Result<PathBuf> {
        let target = out.join(path.file_name().unwrap_or_default());
        let mut others = self.others();
        others.push("classes");
        durable::write_with(&target, |file| {
            let mut archive = inflate::archive(BufReader::new(source_file::open(path)?))?;
            let mut copy = ZipWriter::new_stream(file);
            let options = SimpleFileOptions::default().large_file(true);
            for (name, array) in &self.arrays {
                let stored = options.compression_method(zip::CompressionMethod::Stored);
                copy.start_file(format!("{name}.npy"), stored)?;
                self.put(array, &mut copy)?;
            }
            for at in 0..archive.len() {
                let member = archive.by_index(at)?;
                let name = member.name().map_err(io::Error::other)?.into_owned();
                let array = name.strip_suffix(".npy").unwrap_or_default();
                if others.contains(&array) {
                    copy.start_file(&name, options.compression_method(member.compression()))?;
                    io::copy(&mut inflate::member(member), &mut copy)?;
                }
            }
            copy.finish()?;
            Ok(())
        })?;
        Ok(target)
    }

    /// Writes an array as `.npy`.
    fn put(&self, array: &KeptArray<'_>, out: &mut dyn Write) -> io::Result<()> {
        match array {
            KeptArray::Features(modality) => {
                let written = write_rows(out, &modality.features, self.rows);
                written.map_err(|cause| io::Error::other(cause.to_string()))
            }
            KeptArray::Labels(numbers) => {
                out.write_all(&header_bytes("<i8", &[numbers.len()]))?;
                numbers
                    .iter()
                    .try_for_each(|number| out.write_all(&number.to_le_bytes()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labeled::open;
    use truepair_core::dataset::Features;

    fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
        let mut bytes = header_bytes("<f4", shape);
        bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        bytes
    }

    fn ints(values: &[i64]) -> Vec<u8> {
        let mut bytes = header_bytes("<i8", &[values.len()]);
        bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        bytes
    }

    /// Two splits of three and two items.
    fn members() -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("train_ims", npy(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])),
            ("train_txt", npy(&[3, 1], &[7.0, 8.0, 9.0])),
            ("train_labels", ints(&[1, 2, 2])),
            ("test_ims", npy(&[2, 2], &[0.5; 4])),
            ("test_txt", npy(&[2, 1], &[0.25; 2])),
            ("test_labels", ints(&[2, 1])),
        ]
    }

    #[track_caller]
    fn check(path: &Path, again: &Path, out: &Path) {
        let options = LabeledOptions::default();
        let data = open(path, &options).unwrap();
        let train = data.split("train").unwrap();
        let target = KeptFolder::of(out);
        let keep = [true, false, true];
        write_kept_items(path, &options, (&data, train), &keep, &target).unwrap();
        let kept = open(again, &options).unwrap();
        assert_eq!(kept.split("test").unwrap().len(), 2);
        let set = kept.split("train").unwrap();
        let rows = |features: &Features| features.to_matrix().unwrap().values().to_vec();
        assert_eq!(rows(&set.modalities[0].features), [0.0, 1.0, 4.0, 5.0]);
        assert_eq!(rows(&set.modalities[1].features), [7.0, 9.0]);
        assert_eq!(set.modalities[0].labels, [0, 1]);
        // Labels of modalities that were shared and are no longer.
        let apart = train.with_labels(vec![vec![0, 1, 1], vec![1, 1, 0]]);
        write_kept_items(path, &options, (&data, &apart), &keep, &target).unwrap();
        let set = &open(again, &options).unwrap();
        let set = set.split("train").unwrap();
        assert_eq!(set.modalities[0].labels, [0, 1]);
        assert_eq!(set.modalities[1].labels, [1, 0]);
    }

    #[test]
    fn folders_and_archives_open_again_without_what_went() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data");
        std::fs::create_dir(&folder).unwrap();
        let archive = home.path().join("data.npz");
        let mut zip = ZipWriter::new(std::fs::File::create(&archive).unwrap());
        for (name, bytes) in members() {
            std::fs::write(folder.join(format!("{name}.npy")), &bytes).unwrap();
            let options = SimpleFileOptions::default();
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(&bytes).unwrap();
        }
        zip.finish().unwrap();
        std::fs::write(folder.join("classes.json"), r#"{"a": 0, "b": 1, "c": 2}"#).unwrap();
        let out = home.path().join("cleaned");
        check(&archive, &out.join("data.npz"), &out);
        std::fs::remove_dir_all(&out).unwrap();
        std::fs::remove_file(folder.join("classes.json")).unwrap();
        check(&folder, &out, &out);
    }

    #[test]
    fn the_first_of_several_numbers_is_the_class_and_captions_are_no_modality() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        for (name, bytes) in members() {
            std::fs::write(folder.join(format!("{name}.npy")), &bytes).unwrap();
        }
        for (split, numbers) in [
            ("train", &[1, 30, 2, 40, 1, 31][..]),
            ("test", &[2, 40, 1, 30]),
        ] {
            let mut bytes = header_bytes("<i8", &[numbers.len() / 2, 2]);
            bytes.extend(numbers.iter().flat_map(|x: &i64| x.to_le_bytes()));
            std::fs::write(folder.join(format!("{split}_labels.npy")), bytes).unwrap();
        }
        let names = r#"{"groups": ["none", "a", "b"], "subgroups": ["x"]}"#;
        std::fs::write(folder.join("classes.json"), names).unwrap();
        let options = LabeledOptions::default();
        let data = open(folder, &options).unwrap();
        assert_eq!(data.split("train").unwrap().modalities[0].labels, [1, 2, 1]);
        assert_eq!(data.class_name(2), "b");
        let said = data.account.lines().join("\n");
        assert!(said.contains("of which the first is the class"), "{said}");
        for split in ["train", "test"] {
            let [text, captions] = ["txt", "caps_minilm"].map(|what| format!("{split}_{what}.npy"));
            std::fs::rename(folder.join(text), folder.join(captions)).unwrap();
        }
        let error = open(folder, &options).unwrap_err().to_string();
        assert!(
            error.contains("np.load('train_caps_minilm.npy').reshape"),
            "{error}"
        );
    }
}
