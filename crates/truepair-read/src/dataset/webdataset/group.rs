//! Which members of a shard belong together: those of one key, wherever they stand.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::super::tar::{Member, Packing, scan};
use super::field::Field;

/// A member and what it holds.
pub(super) type Met = (Member, Field);

/// Every member of a shard, and what those without pictures hold.
pub(super) struct Members {
    pub(super) met: Vec<Met>,
    pub(super) account: Account,
    pub(super) packing: Packing,
}

impl Members {
    /// Reads a shard; `asked` are keys of captions in JSON.
    ///
    /// # Errors
    /// If the shard cannot be read, or two members have one name.
    pub(super) fn read(shard: &Path, asked: &[String]) -> Result<Self> {
        let scan = scan(shard, |member, content| Field::read(member, content, asked))?;
        refuse_repeated(shard, &scan.entries)?;
        let mut account = scan.account;
        let hidden = |(_, field): &&Met| matches!(field, Field::Hidden);
        for (member, _) in scan.entries.iter().filter(hidden) {
            let why = "it is hidden or a system's own";
            account.pass("member", why, &member.name);
        }
        Ok(Self {
            met: scan.entries,
            account,
            packing: scan.packing,
        })
    }
}

/// How far a name is the key of its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyEnd {
    /// Up to the first dot of its last part, as webdataset has it.
    FirstDot,
    /// Up to the last dot.
    LastDot,
}

impl KeyEnd {
    /// The key of a member of this name.
    pub(super) fn key(self, name: &str) -> &str {
        let start = name.rfind('/').map_or(0, |slash| slash + 1);
        let own = &name[start..];
        let dot = match self {
            KeyEnd::FirstDot => own.find('.'),
            KeyEnd::LastDot => own.rfind('.'),
        };
        &name[..dot.map_or(name.len(), |dot| start + dot)]
    }

    /// What follows the key, without the dot, in small letters.
    pub(super) fn ending(self, name: &str) -> String {
        let rest = &name[self.key(name).len()..];
        rest.trim_start_matches('.').to_ascii_lowercase()
    }
}

/// The members of one key, by their places in the shard.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group<'a> {
    pub(super) key: &'a str,
    pub(super) members: Vec<usize>,
}

/// Every key of the shard in the order in which it first stands there.
pub(super) fn groups(met: &[Met], end: KeyEnd) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut at: HashMap<&str, usize> = HashMap::new();
    for (index, (member, field)) in met.iter().enumerate() {
        if matches!(field, Field::Hidden) {
            continue;
        }
        let key = end.key(&member.name);
        let group = *at.entry(key).or_insert_with(|| {
            groups.push(Group {
                key,
                members: Vec::new(),
            });
            groups.len() - 1
        });
        groups[group].members.push(index);
    }
    groups
}

/// How far names are keys in this shard: up to the first dot, unless a key would then own several
/// pictures of which one has captions of its own. That key is returned, too.
pub(super) fn key_end(met: &[Met]) -> (KeyEnd, Option<&str>) {
    for group in groups(met, KeyEnd::FirstDot) {
        let members = || group.members.iter().map(|index| &met[*index]);
        let pictures = || members().filter(|(_, field)| matches!(field, Field::Picture));
        if pictures().nth(1).is_none() {
            continue;
        }
        let texts = members().filter(|(_, field)| field.has_captions());
        let texts: HashSet<&str> = (texts.map(|(text, _)| KeyEnd::LastDot.key(&text.name)))
            .filter(|key| *key != group.key)
            .collect();
        if pictures().any(|(picture, _)| texts.contains(KeyEnd::LastDot.key(&picture.name))) {
            return (KeyEnd::LastDot, Some(group.key));
        }
    }
    (KeyEnd::FirstDot, None)
}

/// # Errors
/// If two members have one name; both places are named.
fn refuse_repeated(shard: &Path, met: &[Met]) -> Result<()> {
    let mut first: HashMap<&str, u64> = HashMap::with_capacity(met.len());
    for (member, _) in met {
        if let Some(before) = first.insert(&member.name, member.start) {
            return Err(Error::data(
                shard,
                Place::Whole,
                format!(
                    "member '{}' stands at byte {before} and again at byte {}",
                    member.name, member.start
                ),
                "two samples have one key: give every sample a key of its own",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::tar::Storage;
    use super::super::field::FieldText;
    use super::*;

    fn met(names: &[&str]) -> Vec<Met> {
        let one = |(n, name): (usize, &&str)| {
            let field = match name.rsplit('.').next().unwrap() {
                "jpg" | "png" => Field::Picture,
                "txt" => Field::Text(FieldText {
                    text: "one".into(),
                    is_repaired: false,
                }),
                _ => Field::Other("its ending is not known"),
            };
            let member = Member {
                name: (*name).to_owned(),
                start: n as u64,
                len: 1,
                storage: Storage::Whole,
            };
            (member, field)
        };
        names.iter().enumerate().map(one).collect()
    }

    fn keys(names: &[&str]) -> Vec<String> {
        let met = met(names);
        let (end, _) = key_end(&met);
        let groups = groups(&met, end);
        groups.iter().map(|group| group.key.to_owned()).collect()
    }

    #[test]
    fn keys_end_at_the_first_dot_unless_samples_would_be_merged() {
        assert_eq!(keys(&["d.x/a.jpg", "b.jpg", "d.x/a.txt"]), ["d.x/a", "b"]);
        let several = ["a.depth.png", "a.jpg", "a.mask.png", "a.txt"];
        assert_eq!(keys(&several), ["a"]);
        assert_eq!(keys(&["a.input.jpg", "a.outputs.txt"]), ["a"]);
        let dotted = ["v1.0.jpg", "v1.0.txt", "v1.1.jpg", "v1.1.txt", "v2.0.jpg"];
        assert_eq!(keys(&dotted), ["v1.0", "v1.1", "v2.0"]);
        let both = ["a.jpg", "a.txt", "a.1.jpg", "a.1.txt"];
        assert_eq!(keys(&both), ["a", "a.1"]);
        assert_eq!(KeyEnd::FirstDot.ending("d/a.Input.JPG"), "input.jpg");
    }

    #[test]
    fn one_name_twice_names_both_places() {
        let error = refuse_repeated(Path::new("s.tar"), &met(&["a.jpg", "b.jpg", "a.jpg"]));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("'a.jpg' stands at byte 0 and again at byte 2"),
            "{error}"
        );
    }
}
