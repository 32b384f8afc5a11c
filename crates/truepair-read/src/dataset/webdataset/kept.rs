//! Cleaned lists of shards: the kept samples' keys beside links to the shards, or shards of their
//! own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use truepair_core::dataset::{Account, Dataset};
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};

use super::super::tar::{Member, Tape, write_end, write_header, write_padding};
use super::super::write::link_into;
use super::super::write_options::{WriteForm, WriteOptions};
use super::field::{CAPTION_KEYS, Field, texts};
use super::group::{Group, Members, Met, groups, key_end};
use super::sample::{Assembler, Wanted};
use super::shards::{KEPT_KEYS, Shards, stem};
use crate::lines::{Line, lines};

/// Captions that stand in place of a sample's own, by the keys of the samples that are kept.
type KeptOfShard = HashMap<String, Option<Vec<String>>>;

/// Which samples of some shards are in the data; shards that are not listed are whole.
pub(super) struct KeptKeys {
    path: PathBuf,
    shards: HashMap<String, KeptOfShard>,
}

/// One line of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptLine {
    shard: String,
    key: String,
    #[serde(default)]
    captions: Option<Vec<String>>,
}

impl KeptKeys {
    /// # Errors
    /// If the list cannot be read or names a sample twice.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut shards: HashMap<String, KeptOfShard> = HashMap::new();
        for line in lines(path)? {
            let Line { number, text } = line?;
            let refuse = |problem: String| {
                let remedy = "write one object a line, with shard, key and, where they are not the \
                              sample's own, captions";
                Err(Error::data(path, Place::Line(number), problem, remedy))
            };
            let found: KeptLine = match serde_json::from_str(&text) {
                Ok(found) => found,
                Err(cause) => return refuse(format!("no kept sample: {cause}")),
            };
            let of_shard = shards.entry(found.shard.clone()).or_default();
            if of_shard.insert(found.key.clone(), found.captions).is_some() {
                return refuse(format!(
                    "sample '{}' of {} already appears above",
                    found.key, found.shard
                ));
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            shards,
        })
    }

    pub(super) fn of_shard(&self, name: &str) -> Option<&KeptOfShard> {
        self.shards.get(name)
    }

    /// # Errors
    /// If a listed shard is not among `names`.
    pub(super) fn refuse_missing<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let names: HashSet<&str> = names.collect();
        let mut listed: Vec<&String> = self.shards.keys().collect();
        listed.sort();
        match listed
            .into_iter()
            .find(|name| !names.contains(name.as_str()))
        {
            Some(name) => Err(self.unknown(&format!("there is no shard {name}"))),
            None => Ok(()),
        }
    }

    /// # Errors
    /// If a listed key is not among the `keys` of its shard.
    pub(super) fn refuse_unknown(&self, shard: &str, keys: &[String]) -> Result<()> {
        let Some(listed) = self.of_shard(shard) else {
            return Ok(());
        };
        let keys: HashSet<&String> = keys.iter().collect();
        let mut listed: Vec<&String> = listed.keys().collect();
        listed.sort();
        match listed.into_iter().find(|key| !keys.contains(key)) {
            Some(key) => Err(self.unknown(&format!("{shard} has no sample '{key}'"))),
            None => Ok(()),
        }
    }

    fn unknown(&self, problem: &str) -> Error {
        let remedy = "put the shards back that the list was made of, or make it again";
        Error::data(&self.path, Place::Whole, problem, remedy)
    }
}

/// Writes the kept samples into the folder `out`.
///
/// # Errors
/// If a shard cannot be read again, or a file cannot be written.
pub(super) fn write(
    dataset: &Dataset,
    keep: &[bool],
    out: &Path,
    options: &WriteOptions,
) -> Result<Vec<PathBuf>> {
    let shards = KeptShard::all(dataset, keep)?;
    let mut written = match options.form {
        WriteForm::Own | WriteForm::Keys => write_keys(&shards, out)?,
        WriteForm::Shards => write_shards(&shards, out)?,
    };
    written.extend(link_other_splits(dataset, &shards, out)?);
    Ok(written)
}

/// A shard of which samples are kept.
struct KeptShard<'a> {
    /// Its path from the folder of the data.
    name: &'a str,
    path: &'a Path,
    /// Kept captions by the name of the picture.
    kept: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> KeptShard<'a> {
    /// Every shard with a kept sample, by name.
    fn all(dataset: &'a Dataset, keep: &[bool]) -> Result<Vec<Self>> {
        let captions = dataset.require_captions()?;
        let mut shards: BTreeMap<&str, Self> = BTreeMap::new();
        for pair in dataset.kept(keep) {
            let row = pair.image as usize;
            let id = dataset.image_ids[row].as_str();
            let (Some((name, picture)), Some(place)) =
                (id.split_once('#'), dataset.images.picture(row))
            else {
                return Err(Error::argument(
                    format!("image '{id}' lies in no shard"),
                    "write the list of data that was read from shards",
                ));
            };
            let shard = shards.entry(name).or_insert_with(|| Self {
                name,
                path: place.file(),
                kept: HashMap::new(),
            });
            let kept = shard.kept.entry(picture).or_default();
            kept.push(&captions[pair.caption as usize]);
        }
        Ok(shards.into_values().collect())
    }

    /// Calls `visit` with every kept sample of the shard, which is read again.
    fn for_each(&self, visit: &mut dyn FnMut(&[Met], &KeptSample<'_>) -> Result<()>) -> Result<()> {
        let members = Members::read(self.path, &[])?;
        let mut assembler = Assembler {
            shard: self.path,
            end: key_end(&members.met).0,
            wanted: Wanted {
                picture: None,
                captions: &[],
            },
            account: Account::default(),
        };
        for group in groups(&members.met, assembler.end) {
            let names = group
                .members
                .iter()
                .map(|at| members.met[*at].0.name.as_str());
            let Some(kept) = names.filter_map(|name| self.kept.get(name)).next() else {
                continue;
            };
            // Where the caller named endings or keys, the sample may not be clear without them.
            let own = assembler.sample(&members.met, &group).ok().flatten();
            let is_own = own.as_ref().is_some_and(|own| own.captions == *kept);
            visit(
                &members.met,
                &KeptSample {
                    text: own.as_ref().and_then(|own| own.text),
                    captions: (!is_own).then_some(kept.as_slice()),
                    is_clear: own.is_some(),
                    group,
                },
            )?;
        }
        Ok(())
    }
}

/// A kept sample as its shard has it.
struct KeptSample<'a> {
    group: Group<'a>,
    /// The text with its captions.
    text: Option<&'a Member>,
    /// What is kept, where it is not all that the sample has.
    captions: Option<&'a [&'a str]>,
    /// Whether it is known which member holds the captions.
    is_clear: bool,
}

/// Writes the list of keys, beside links to the shards.
fn write_keys(shards: &[KeptShard<'_>], out: &Path) -> Result<Vec<PathBuf>> {
    let mut list = String::new();
    let mut written = vec![out.join(KEPT_KEYS)];
    for shard in shards {
        shard.for_each(&mut |_, sample| {
            let mut line = json!({ "shard": shard.name, "key": sample.group.key });
            if let Some(captions) = sample.captions {
                line["captions"] = captions.into();
            }
            list += &format!("{line}\n");
            Ok(())
        })?;
        written.push(link_into(shard.path, &folder_of(shard.name, out)?)?);
    }
    durable::write(&written[0], list.as_bytes())?;
    Ok(written)
}

/// Writes every shard with its kept samples alone, the members of a sample next to one another, and
/// not packed.
fn write_shards(shards: &[KeptShard<'_>], out: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for shard in shards {
        let own = shard.name.rsplit('/').next().unwrap_or_default();
        let path = folder_of(shard.name, out)?.join(format!("{}.tar", stem(own)));
        durable::write_with(&path, |file| {
            let mut tape = Tape::open(shard.path).map_err(io::Error::other)?;
            let copied = shard.for_each(&mut |met, sample| {
                if sample.captions.is_some() && !sample.is_clear {
                    return Err(unclear(shard, sample));
                }
                copy_sample(&mut tape, met, sample, file)
            });
            copied.map_err(io::Error::other)?;
            write_end(file)
        })?;
        written.push(path);
    }
    Ok(written)
}

fn unclear(shard: &KeptShard<'_>, sample: &KeptSample<'_>) -> Error {
    Error::data(
        shard.path,
        Place::Whole,
        format!(
            "which member holds the captions of sample '{}' was said by the caller when it was read",
            sample.group.key
        ),
        "write the list of keys instead",
    )
}

/// Copies the members of a sample; captions that are not kept are left out of its text and JSON.
fn copy_sample(
    tape: &mut Tape,
    met: &[Met],
    sample: &KeptSample<'_>,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    for (member, field) in sample.group.members.iter().map(|at| &met[*at]) {
        let changed = match (sample.captions, field) {
            (Some(kept), Field::Text(_)) if sample.text == Some(member) => {
                Some(kept.join("\n").into_bytes())
            }
            (Some(kept), Field::Json(_)) => changed_json(tape, member, kept)?,
            _ => None,
        };
        let failed = |cause| Error::io(&member.name, "copy", cause);
        let len = changed
            .as_ref()
            .map_or(member.len, |bytes| bytes.len() as u64);
        write_header(out, &member.name, len).map_err(failed)?;
        match changed {
            Some(bytes) => out.write_all(&bytes).map_err(failed)?,
            None => {
                tape.go_to(member.start)?;
                tape.read_part(len, |piece| out.write_all(piece))?;
            }
        }
        write_padding(out, len).map_err(failed)?;
    }
    Ok(())
}

/// A sample's JSON with the captions `kept` alone; `None` where it has no others.
fn changed_json(tape: &mut Tape, member: &Member, kept: &[&str]) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    tape.go_to(member.start)?;
    tape.read_part(member.len, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    // What is no JSON was not read, and stays as it is.
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
        return Ok(None);
    };
    let before = value.clone();
    match &mut value {
        Value::Object(object) => {
            let captions = object
                .iter_mut()
                .filter(|(key, _)| CAPTION_KEYS.contains(&key.as_str()));
            captions.for_each(|(_, value)| keep_in(value, kept));
        }
        other => keep_in(other, kept),
    }
    Ok((value != before).then(|| value.to_string().into_bytes()))
}

/// Removes from a value that holds captions those that are not kept, and adds those it lacks.
fn keep_in(value: &mut Value, kept: &[&str]) {
    let is_kept = |value: &Value| {
        texts(value)
            .iter()
            .any(|text| kept.contains(&text.as_str()))
    };
    match value {
        Value::Array(items) => {
            let own = texts(&Value::Array(items.clone()));
            items.retain(is_kept);
            let new = kept
                .iter()
                .filter(|kept| !own.iter().any(|own| own == *kept));
            items.extend(new.map(|caption| Value::from(*caption)));
        }
        Value::String(_) if !is_kept(value) => *value = kept.join(" ").into(),
        _ => {}
    }
}

/// The folder for a file of this name, which may have folders before it.
fn folder_of(name: &str, out: &Path) -> Result<PathBuf> {
    let folder = name
        .rsplit_once('/')
        .map_or(out.to_path_buf(), |(folders, _)| out.join(folders));
    std::fs::create_dir_all(&folder).map_err(|cause| Error::io(&folder, "create", cause))?;
    Ok(folder)
}

/// Links the shards of the splits that were not cleaned, so that a matcher can be trained on the
/// cleaned list and measured on the same dev and test pairs.
fn link_other_splits(
    dataset: &Dataset,
    shards: &[KeptShard<'_>],
    out: &Path,
) -> Result<Vec<PathBuf>> {
    let Some(first) = shards.first().filter(|_| dataset.split != "all") else {
        return Ok(Vec::new());
    };
    let depth = first.name.split('/').count();
    let Some(root) = first.path.ancestors().nth(depth) else {
        return Ok(Vec::new());
    };
    let root = match root.as_os_str().is_empty() {
        true => Path::new("."),
        false => root,
    };
    let others = Shards::find(root)?.all.into_iter();
    let others = others.filter(|shard| shard.split != dataset.split);
    others
        .map(|shard| link_into(&shard.path, &folder_of(&shard.name, out)?))
        .collect()
}
