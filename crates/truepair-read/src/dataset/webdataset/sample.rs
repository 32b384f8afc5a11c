//! One sample out of the members of its key: which of them is the picture, and which hold the
//! captions.

use std::collections::HashSet;
use std::path::Path;

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::super::ReadOptions;
use super::super::karpathy::one_line;
use super::super::tar::{Member, Storage};
use super::field::{Field, FieldText, JsonField, TEXTS};
use super::group::{Group, KeyEnd, Met};

/// What the caller said of endings and keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Ending of the picture.
    pub(super) picture: Option<&'a str>,
    /// Endings of texts, or keys of JSON; the usual ones when empty.
    pub(super) captions: &'a [String],
}

impl<'a> Wanted<'a> {
    pub(super) fn of(options: &'a ReadOptions) -> Self {
        Self {
            picture: options.image_column.as_deref(),
            captions: options.caption_columns.as_deref().unwrap_or_default(),
        }
    }

    /// Whether an ending of several words is asked for, so that keys end at the first dot.
    pub(super) fn names_endings(self) -> bool {
        let mut all = self
            .picture
            .into_iter()
            .chain(self.captions.iter().map(String::as_str));
        all.any(|ending| ending.contains('.'))
    }
}

/// A picture, and what is known of it.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) picture: &'a Member,
    pub(super) captions: Vec<String>,
    /// The text that holds them, where it is one.
    pub(super) text: Option<&'a Member>,
    /// -1 = none.
    pub(super) label: i64,
}

/// Makes samples of the groups of one shard.
pub(super) struct Assembler<'a> {
    pub(super) shard: &'a Path,
    pub(super) end: KeyEnd,
    pub(super) wanted: Wanted<'a>,
    pub(super) account: Account,
}

impl Assembler<'_> {
    /// The sample of a group; `None` where it has no picture or no caption, which is then noted.
    ///
    /// # Errors
    /// If several pictures or several texts have the same claim, a class is no number, or a member
    /// that is needed is stored sparse.
    pub(super) fn sample<'m>(
        &mut self,
        met: &'m [Met],
        group: &Group<'_>,
    ) -> Result<Option<Sample<'m>>> {
        let members: Vec<&'m Met> = group.members.iter().map(|index| &met[*index]).collect();
        for (member, field) in &members {
            if let Field::Other(why) = field {
                self.account.pass("member", why, &member.name);
            }
        }
        let Some(picture) = self.picture(group.key, &members)? else {
            return Ok(None);
        };
        let (captions, text) = self.captions(group.key, picture, &members)?;
        let label = self.label(&members)?;
        self.account.used("member", 1);
        Ok(Some(Sample {
            picture,
            captions,
            text,
            label,
        }))
    }

    fn picture<'m>(&mut self, key: &str, members: &[&'m Met]) -> Result<Option<&'m Member>> {
        let has_captions = members.iter().any(|(_, field)| field.has_captions());
        let pictures = members
            .iter()
            .filter(|(_, field)| matches!(field, Field::Picture));
        let mut pictures: Vec<&'m Member> = pictures.map(|(member, _)| member).collect();
        let end = self.end;
        let is_best = |member: &Member| match self.wanted.picture {
            Some(ending) => end.ending(&member.name).eq_ignore_ascii_case(ending),
            None => !end.ending(&member.name).contains('.'),
        };
        let best = pictures.iter().filter(|member| is_best(member)).count();
        if best == 1 || self.wanted.picture.is_some() {
            let (chosen, others): (Vec<_>, Vec<_>) =
                pictures.into_iter().partition(|member| is_best(member));
            let why = match self.wanted.picture {
                Some(_) => "the picture with another ending is asked for",
                None => "its sample's picture is the one with nothing but an ending after the key",
            };
            (others.iter()).for_each(|other| self.account.pass("picture", why, &other.name));
            pictures = chosen;
        }
        match pictures.as_slice() {
            [] => {
                if members
                    .iter()
                    .any(|(_, field)| !matches!(field, Field::Other(_)))
                {
                    self.account.pass("sample", "it has no picture", key);
                }
                Ok(None)
            }
            [one] => Ok(Some(self.whole(one)?)),
            several if !has_captions => {
                let why = "its sample has no caption";
                (several.iter()).for_each(|one| self.account.pass("picture", why, &one.name));
                Ok(None)
            }
            several => Err(self.several(key, "pictures", several, "image column")),
        }
    }

    /// The captions: those that the caller named, else of the best text, else of the JSON.
    fn captions<'m>(
        &mut self,
        key: &str,
        picture: &Member,
        members: &[&'m Met],
    ) -> Result<(Vec<String>, Option<&'m Member>)> {
        let (mut texts, mut jsons) = (Vec::new(), Vec::new());
        for (member, field) in members {
            match field {
                Field::Text(text) => texts.push((member, text)),
                Field::Json(json) => jsons.push((member, json)),
                _ => {}
            }
        }
        if !self.wanted.captions.is_empty() {
            return Ok((self.asked(texts, jsons)?, None));
        }
        if let Some((member, text)) = self.best(key, picture, texts)? {
            self.account.used("member", jsons.len());
            let said: Vec<&JsonField> = jsons.iter().map(|(_, json)| *json).collect();
            let captions = self.lines(member, text, said.first().copied())?;
            self.compare(member, &captions, &said);
            return Ok((captions, Some(member)));
        }
        let Some((member, json)) = self.best(key, picture, jsons)? else {
            return Ok((Vec::new(), None));
        };
        self.whole(member)?;
        Ok((self.of_json(member, json), None))
    }

    /// The captions of all endings and keys that the caller named.
    fn asked(
        &mut self,
        texts: Vec<(&Member, &FieldText)>,
        jsons: Vec<(&Member, &JsonField)>,
    ) -> Result<Vec<String>> {
        let mut captions = Vec::new();
        for (member, text) in texts {
            let ending = self.end.ending(&member.name);
            let mut asked = self.wanted.captions.iter();
            if asked.any(|asked| asked.eq_ignore_ascii_case(&ending)) {
                self.account.used("member", 1);
                captions.extend(self.lines(member, text, None)?);
            } else {
                let why = "captions of another ending or key are asked for";
                self.account.pass("text", why, &member.name);
            }
        }
        for (member, json) in jsons {
            self.account.used("member", 1);
            self.whole(member)?;
            captions.extend(json.captions.iter().flat_map(|(_, found)| found.clone()));
        }
        Ok(captions)
    }

    /// Notes captions that only the JSON of a sample holds whose text is read.
    fn compare(&mut self, text: &Member, captions: &[String], jsons: &[&JsonField]) {
        let of_json = jsons.iter().filter_map(|json| json.captions.first());
        let known: HashSet<String> = captions.iter().map(|caption| one_line(caption)).collect();
        for caption in of_json.flat_map(|(_, captions)| captions) {
            if !known.contains(caption) {
                let why = "the text of its sample is read, which has another";
                self.account.pass("caption of a JSON", why, &text.name);
            }
        }
    }

    /// Of several members that may hold the captions the one whose name is the key's or the
    /// picture's, and of these the one with the best ending.
    fn best<'m, T: HoldsCaptions>(
        &mut self,
        key: &str,
        picture: &Member,
        found: Vec<(&'m Member, &'m T)>,
    ) -> Result<Option<(&'m Member, &'m T)>> {
        let of_picture = KeyEnd::LastDot.key(&picture.name);
        let is_plain = |member: &Member| {
            let own = KeyEnd::LastDot.key(&member.name);
            own == key || own == of_picture
        };
        let (mut plain, compound): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(member, _)| is_plain(member));
        plain.sort_by_key(|(member, _)| rank(&member.name));
        let full = |(_, held): &&(&Member, &T)| held.holds_captions();
        let best = plain.iter().find(full).copied();
        let rest: Vec<_> = compound.iter().filter(full).copied().collect();
        let chosen = match (best, rest.as_slice()) {
            (Some(best), _) => Some(best),
            (None, [one]) => {
                let how = "captions stand under an ending of several words";
                self.account.chose_for("sample", how, &one.0.name);
                Some(*one)
            }
            (None, []) => None,
            (None, several) => {
                let members: Vec<&Member> = several.iter().map(|(member, _)| *member).collect();
                return Err(self.several(key, "texts", &members, "caption columns"));
            }
        };
        for (member, held) in plain.iter().chain(&compound) {
            if chosen.is_some_and(|(chosen, _)| chosen == *member) {
                self.account.used("member", 1);
            } else if held.holds_captions() {
                let why = "another member holds the captions of its sample";
                self.account.pass("text", why, &member.name);
            } else {
                self.account.pass("text", T::EMPTY, &member.name);
            }
        }
        Ok(chosen)
    }

    /// One caption a line, unless the JSON of the sample says that all lines are one.
    fn lines(
        &mut self,
        member: &Member,
        text: &FieldText,
        json: Option<&JsonField>,
    ) -> Result<Vec<String>> {
        self.whole(member)?;
        if text.is_repaired {
            let how = "bytes that are not UTF-8 are read as U+FFFD";
            self.account.chose_for("text", how, &member.name);
        }
        let lines = text.captions();
        if lines.len() < 2 {
            return Ok(lines);
        }
        let whole = text.whole();
        let said = json.into_iter().flat_map(|json| &json.captions);
        let same = |(_, captions): &&(String, Vec<String>)| captions.join(" ") == whole;
        if let Some((_, captions)) = said.clone().find(same) {
            let how = "the lines of its text are joined as in its JSON";
            self.account.chose_for("sample", how, &member.name);
            return Ok(captions.clone());
        }
        let how = "each line is a caption";
        self.account
            .chose_for("text of several lines", how, &member.name);
        Ok(lines)
    }

    fn of_json(&mut self, member: &Member, json: &JsonField) -> Vec<String> {
        let Some(((key, captions), others)) = json.captions.split_first() else {
            return Vec::new();
        };
        for (other, _) in others {
            let why = format!("captions are read from '{key}'");
            let name = format!("{}: {other}", member.name);
            self.account.pass("key", &why, name);
        }
        captions.clone()
    }

    fn label(&mut self, members: &[&Met]) -> Result<i64> {
        let mut label = -1;
        for (member, field) in members {
            let Field::Class(text) = field else { continue };
            if self.end.ending(&member.name) != "cls" {
                let why = "its ending is not known";
                self.account.pass("member", why, &member.name);
                continue;
            }
            label = text.parse().map_err(|_| {
                Error::data(
                    self.named(member),
                    Place::Whole,
                    format!("'{text}' is not a class"),
                    "write a whole number",
                )
            })?;
            self.account.used("member", 1);
        }
        Ok(label)
    }

    /// The member, if its bytes lie in one piece.
    fn whole<'m>(&self, member: &'m Member) -> Result<&'m Member> {
        match member.storage {
            Storage::Whole => Ok(member),
            Storage::Sparse => Err(Error::data(
                self.named(member),
                Place::Whole,
                format!(
                    "it is stored sparse at byte {}, expected all its bytes",
                    member.start
                ),
                "write the archive without --sparse",
            )),
        }
    }

    fn several(&self, key: &str, what: &str, members: &[&Member], option: &str) -> Error {
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = if names.len() > 5 { ", …" } else { "" };
        Error::data(
            self.shard,
            Place::Whole,
            format!("sample '{key}' has {} {what}: {shown}{more}", names.len()),
            format!(
                "name the ending of the right one as the {option}, for instance '{}'",
                self.end.ending(names[0])
            ),
        )
    }

    fn named(&self, member: &Member) -> String {
        format!("{}#{}", self.shard.display(), member.name)
    }
}

/// Place of an ending among those of texts.
fn rank(name: &str) -> usize {
    let ending = KeyEnd::LastDot.ending(name);
    TEXTS
        .iter()
        .position(|known| *known == ending)
        .unwrap_or(TEXTS.len())
}

/// What may hold the captions of a sample.
trait HoldsCaptions {
    /// Why it is passed over where it holds none.
    const EMPTY: &'static str;
    fn holds_captions(&self) -> bool;
}

impl HoldsCaptions for FieldText {
    const EMPTY: &'static str = "it is empty";

    fn holds_captions(&self) -> bool {
        !self.captions().is_empty()
    }
}

impl HoldsCaptions for JsonField {
    const EMPTY: &'static str = "its JSON has no key that holds captions";

    fn holds_captions(&self) -> bool {
        !self.captions.is_empty()
    }
}
