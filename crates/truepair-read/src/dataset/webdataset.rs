//! Shards of samples in tar archives: `KEY.jpg`, `KEY.txt` and `KEY.json` next to one another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use truepair_core::dataset::Dataset;
use truepair_core::error::{Error, Result};

use super::captioned_pictures::{self, Captioned, Gathered, captions_of};
use super::karpathy::one_line;
use super::leftovers::entries;
use super::picture_folders::of_member;
use super::pictures::is_picture;
use super::{Format, ReadOptions, resolve_split, tar};

/// One tar archive, or a folder of them.
pub(super) struct WebDataset;

impl Format for WebDataset {
    fn name(&self) -> &'static str {
        "webdataset"
    }

    fn summary(&self) -> &'static str {
        "Shards of pictures and captions as img2dataset writes them; members up to the first dot of \
         their name belong together."
    }

    fn files(&self) -> &'static str {
        "one or more `.tar` of `KEY.jpg` (or `.png`, `.webp`, …) and `KEY.txt` (one caption a line) \
         or `KEY.json` with `caption`, optional `KEY.cls` (class)"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let shards = shards(path).ok()?;
        let name = shards.first()?.file_name()?.to_string_lossy().into_owned();
        Some(match shards.len() {
            1 => format!("{name} is a tar archive by its ending"),
            n => format!("{n} tar archives, {name} the first"),
        })
    }

    fn splits(&self, _path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(vec!["all".into()])
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let split = resolve_split(path, options, &self.splits(path, options)?)?;
        let mut gathered = Gathered::default();
        for shard in shards(path)? {
            samples(&shard, &mut gathered)?;
        }
        captioned_pictures::into_dataset(self.name(), path, split, gathered, options)
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        captioned_pictures::write_kept(dataset, keep, out)
    }
}

/// The archives at `path` in the order of their names.
fn shards(path: &Path) -> Result<Vec<PathBuf>> {
    let is_tar = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "tar");
    if path.is_dir() {
        return Ok(entries(path)?.into_iter().filter(is_tar).collect());
    }
    Ok(Some(path.to_path_buf())
        .filter(is_tar)
        .into_iter()
        .collect())
}

/// Adds the samples of one shard; those without a picture are left out.
fn samples(shard: &Path, found: &mut Gathered) -> Result<()> {
    let archive: Arc<Path> = shard.into();
    let tar::Index { members, cut_short } = tar::index(shard)?;
    let shard_name = shard.file_name().unwrap_or_default().to_string_lossy();
    if cut_short {
        let why = "what follows in the shard is cut off";
        found.account.pass("last member", why, &shard_name);
    }
    for sample in members.chunk_by(|a, b| key(&a.name) == key(&b.name)) {
        let Some(picture) = sample.iter().find(|m| is_picture(Path::new(&m.name))) else {
            continue;
        };
        let mut captions = Vec::new();
        let mut label = -1;
        for member in sample {
            let bytes = || tar::read(shard, member);
            match ending(&member.name) {
                "txt" => captions = captions_of(&String::from_utf8_lossy(&bytes()?)),
                "json" if captions.is_empty() => captions = json_captions(&bytes()?),
                "cls" => label = class(shard, member, &bytes()?)?,
                _ if is_picture(Path::new(&member.name)) => {}
                _ => {
                    let why = "its ending is not known";
                    found.account.pass("member", why, &member.name);
                }
            }
        }
        found.pictures.push(Captioned {
            id: format!("{shard_name}#{}", picture.name),
            picture: of_member(archive.clone(), picture),
            captions,
            label,
        });
    }
    Ok(())
}

/// The name up to the first dot of its last part.
fn key(name: &str) -> &str {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = name[start..]
        .find('.')
        .map_or(name.len(), |dot| start + dot);
    &name[..end]
}

fn ending(name: &str) -> &str {
    name.strip_prefix(key(name))
        .map_or("", |rest| rest.trim_start_matches('.'))
}

/// The caption of img2dataset's metadata.
fn json_captions(bytes: &[u8]) -> Vec<String> {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let caption = value["caption"].as_str().map(one_line);
    caption
        .filter(|caption| !caption.is_empty())
        .into_iter()
        .collect()
}

fn class(shard: &Path, member: &tar::Member, bytes: &[u8]) -> Result<i64> {
    let text = String::from_utf8_lossy(bytes);
    text.trim().parse().map_err(|_| {
        Error::data(
            format!("{}#{}", shard.display(), member.name),
            truepair_core::error::Place::Whole,
            format!("'{}' is no class", text.trim()),
            "write a whole number",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::{open, write_kept};
    use super::*;

    #[test]
    fn samples_of_all_shards_are_read_and_the_cleaned_list_opens() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("data");
        std::fs::create_dir(&root).unwrap();
        let first = tar::tests::archive(&[
            ("a/001.jpg", b"A"),
            ("a/001.txt", b"one\ntwo"),
            ("a/001.json", b"{\"caption\": \"other\"}"),
            ("a/001.cls", b"4\n"),
            ("a/002.json", b"{\"caption\": \"no picture\"}"),
            ("a/003.json", b"{\"caption\": \"three\"}"),
            ("a/003.seg.png", b"C"),
        ]);
        std::fs::write(root.join("00000.tar"), first).unwrap();
        let second = tar::tests::archive(&[("a/001.jpg", b"D"), ("a/001.txt", b"four")]);
        // The end of the archive is missing.
        std::fs::write(root.join("00002.tar"), &second[..2048]).unwrap();
        let data = open(&root, &ReadOptions::default()).unwrap();
        assert_eq!(data.format, "webdataset");
        assert_eq!(
            data.image_ids,
            [
                "00000.tar#a/001.jpg",
                "00000.tar#a/003.seg.png",
                "00002.tar#a/001.jpg"
            ]
        );
        let texts = data.require_captions().unwrap();
        assert_eq!(texts, ["one", "two", "three", "four"]);
        assert_eq!(data.labels.as_deref(), Some(&[4, -1, -1][..]));
        assert_eq!(data.images.picture(2).unwrap().read().unwrap(), b"D");
        let passed = data.account.summary().unwrap();
        assert!(passed.contains("(00002.tar)"), "{passed}");

        let out = home.path().join("out");
        write_kept(&data, &[true, false, true, true], &out).unwrap();
        let again = open(&out, &ReadOptions::default()).unwrap();
        assert_eq!(again.require_captions().unwrap(), ["one", "three", "four"]);
        assert_eq!(again.images.picture(1).unwrap().read().unwrap(), b"C");
    }
}
