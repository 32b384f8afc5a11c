//! What a reader met and what became of it, so that nothing is left out without a word.
//!
//! Whatever a source holds, its files, members, rows, columns or keys, is used or passed over with a
//! reason; where a reader had to choose, it says what it chose. A reader fills an [`Account`] as it
//! goes; [`Dataset::account`](super::Dataset::account) carries it to whoever opened the data.

use std::fmt::Display;

use serde::Serialize;

/// Names that stand for all of their entry.
const NAMED: usize = 5;
/// Letters of a name that are shown.
const NAME_LETTERS: usize = 80;
/// Letters of a reason that are shown.
const REASON_LETTERS: usize = 200;
/// Entries of one kind of list; reasons that quote the data can be many.
const ENTRIES: usize = 500;
/// The reason of everything beyond.
const OTHERS: &str = "for one of many other reasons";
/// Entries that fit into one line for people.
const IN_ONE_LINE: usize = 3;

/// What was used, what was passed over, and what was chosen where the source left a choice.
///
/// Kinds are English nouns in the singular: `file`, `member`, `row`, `column`, `key`, `shard`,
/// `row of other splits`.
///
/// ```
/// use truepair_core::dataset::Account;
///
/// let mut account = Account::default();
/// account.used("member", 12);
/// for name in ["a.xyz", "b.xyz"] {
///     account.pass("member", "its ending is not known", name);
/// }
/// account.chose("captions are read from column 'title'");
/// assert_eq!(
///     account.summary().unwrap(),
///     "passed over 2 members: its ending is not known (a.xyz, b.xyz); \
///      chose: captions are read from column 'title'"
/// );
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Account {
    used: Vec<UsedEntry>,
    read_as: Vec<SourceEntry>,
    passed_over: Vec<AccountEntry>,
    chosen: Vec<String>,
    chosen_for: Vec<AccountEntry>,
}

/// How many things of one kind were used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UsedEntry {
    /// A noun in the singular, for instance `row`.
    pub kind: &'static str,
    /// How many.
    pub count: usize,
}

/// Where things of one role were read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourceEntry {
    /// A noun in the plural, for instance `captions`.
    pub role: &'static str,
    /// A column, a key or a place inside one.
    pub source: String,
}

/// Things of one kind that were treated alike, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccountEntry {
    /// A noun in the singular, for instance `member`.
    pub kind: &'static str,
    /// Why they were passed over, or what was chosen for them.
    pub reason: String,
    /// How many.
    pub count: usize,
    /// The first few, where they have names.
    pub names: Vec<String>,
}

impl Account {
    /// `n` more things of this kind were used.
    pub fn used(&mut self, kind: &'static str, n: usize) {
        if n == 0 {
            return;
        }
        match self.used.iter_mut().find(|entry| entry.kind == kind) {
            Some(entry) => entry.count += n,
            None => self.used.push(UsedEntry { kind, count: n }),
        }
    }

    /// What plays this role, for instance `captions`, is read from `source`, a column or a key; the
    /// cleaned list finds it there again.
    pub fn read_as(&mut self, role: &'static str, source: impl Display) {
        let source = source.to_string();
        let entry = SourceEntry { role, source };
        if !self.read_as.contains(&entry) {
            self.read_as.push(entry);
        }
    }

    /// Where what plays this role was read from.
    pub fn sources(&self, role: &str) -> Vec<&str> {
        let of_role = self.read_as.iter().filter(|entry| entry.role == role);
        of_role.map(|entry| entry.source.as_str()).collect()
    }

    /// The thing called `name` is passed over, because of `reason`, which follows a colon.
    pub fn pass(&mut self, kind: &'static str, reason: &str, name: impl Display) {
        entry(&mut self.passed_over, kind, reason).add(1, std::iter::once(name));
    }

    /// `n` things without names are passed over.
    pub fn pass_count(&mut self, kind: &'static str, reason: &str, n: usize) {
        if n > 0 {
            entry(&mut self.passed_over, kind, reason).add(n, std::iter::empty::<&str>());
        }
    }

    /// The source left a choice, or what was looked for first was not there: a sentence, without a
    /// full stop, that says what was chosen.
    pub fn chose(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        if !self.chosen.contains(&sentence) {
            self.chosen.push(sentence);
        }
    }

    /// The same choice was made for many things, of which this is one: `how` says what was chosen.
    pub fn chose_for(&mut self, kind: &'static str, how: &str, name: impl Display) {
        entry(&mut self.chosen_for, kind, how).add(1, std::iter::once(name));
    }

    /// Adds what another part of the same source was found to hold.
    pub fn merge(&mut self, other: Account) {
        for UsedEntry { kind, count } in other.used {
            self.used(kind, count);
        }
        for SourceEntry { role, source } in other.read_as {
            self.read_as(role, source);
        }
        for part in other.passed_over {
            entry(&mut self.passed_over, part.kind, &part.reason).add(part.count, part.names);
        }
        for sentence in other.chosen {
            self.chose(sentence);
        }
        for part in other.chosen_for {
            entry(&mut self.chosen_for, part.kind, &part.reason).add(part.count, part.names);
        }
    }

    /// What was used, in the order in which it was met.
    pub fn all_used(&self) -> &[UsedEntry] {
        &self.used
    }

    /// What was passed over, in the order in which it was met.
    pub fn passed_over(&self) -> &[AccountEntry] {
        &self.passed_over
    }

    /// What was chosen, one sentence each.
    pub fn choices(&self) -> Vec<String> {
        let of_many = self.chosen_for.iter().map(AccountEntry::to_string);
        self.chosen.iter().cloned().chain(of_many).collect()
    }

    /// One line on what was passed over and chosen; `None` where there is nothing to say.
    pub fn summary(&self) -> Option<String> {
        let passed = self.passed_over.iter().map(AccountEntry::to_string);
        let parts = [
            shortened("passed over", passed.collect()),
            shortened("chose:", self.choices()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The whole account, one line each for what was used, passed over and chosen.
    pub fn lines(&self) -> Vec<String> {
        let used: Vec<String> = self.used.iter().map(UsedEntry::to_string).collect();
        let used = (!used.is_empty()).then(|| format!("used {}", used.join(", ")));
        let mut roles: Vec<&str> = Vec::new();
        for entry in &self.read_as {
            if !roles.contains(&entry.role) {
                roles.push(entry.role);
            }
        }
        let read = roles
            .into_iter()
            .map(|role| format!("read {role} from {}", self.sources(role).join(", ")));
        let passed = self.passed_over.iter();
        let passed = passed.map(|entry| format!("passed over {entry}"));
        let chosen = self.choices().into_iter();
        let chosen = chosen.map(|choice| format!("chose: {choice}"));
        used.into_iter()
            .chain(read)
            .chain(passed)
            .chain(chosen)
            .collect()
    }
}

impl AccountEntry {
    fn add(&mut self, n: usize, names: impl IntoIterator<Item = impl Display>) {
        self.count += n;
        let room = NAMED - self.names.len();
        for name in names.into_iter().take(room) {
            self.names.push(shown(&name.to_string(), NAME_LETTERS));
        }
    }
}

/// `3 members`.
impl Display for UsedEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&counted(self.count, self.kind))
    }
}

/// `3 members: its ending is not known (a.xyz, b.xyz, c.xyz)`.
impl Display for AccountEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", counted(self.count, self.kind), self.reason)?;
        if self.names.is_empty() {
            return Ok(());
        }
        let more = if self.names.len() < self.count {
            ", …"
        } else {
            ""
        };
        write!(f, " ({}{more})", self.names.join(", "))
    }
}

fn entry<'a>(
    entries: &'a mut Vec<AccountEntry>,
    kind: &'static str,
    reason: &str,
) -> &'a mut AccountEntry {
    let find = |entries: &[AccountEntry], reason: &str| {
        let is_same = |entry: &AccountEntry| entry.kind == kind && entry.reason == reason;
        entries.iter().position(is_same)
    };
    if let Some(at) = find(entries, reason) {
        return &mut entries[at];
    }
    let shown = match entries.len() < ENTRIES {
        true => shown(reason, REASON_LETTERS),
        false => OTHERS.to_owned(),
    };
    // The reason as it is shown may be known, where this one is not.
    let at = find(entries, &shown).unwrap_or_else(|| {
        entries.push(AccountEntry {
            kind,
            reason: shown,
            count: 0,
            names: Vec::new(),
        });
        entries.len() - 1
    });
    &mut entries[at]
}

/// A name or reason as it stands in a line: not longer than that, and without line breaks and other
/// signs that steer a terminal.
fn shown(text: &str, letters: usize) -> String {
    let mut shown = String::new();
    for (n, letter) in text.chars().enumerate() {
        if n == letters {
            shown.push('…');
            break;
        }
        match letter.is_control() {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

/// `1 row`, `2 rows`, `2 rows of other splits`, `2 entries`, `2 arrays`.
fn counted(n: usize, kind: &str) -> String {
    if n == 1 {
        return format!("1 {kind}");
    }
    let (noun, rest) = match kind.find(" of ") {
        Some(at) => kind.split_at(at),
        None => (kind, ""),
    };
    let after_vowel = |stem: &&str| stem.ends_with(['a', 'e', 'o', 'u']);
    match noun.strip_suffix('y').filter(|stem| !after_vowel(stem)) {
        Some(stem) => format!("{n} {stem}ies{rest}"),
        None => format!("{n} {noun}s{rest}"),
    }
}

fn shortened(what: &str, entries: Vec<String>) -> Option<String> {
    let more = entries.len().saturating_sub(IN_ONE_LINE);
    let shown = &entries[..entries.len() - more];
    let more = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    (!shown.is_empty()).then(|| format!("{what} {}{more}", shown.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_named_and_all_are_counted() {
        let mut account = Account::default();
        (0..7).for_each(|n| account.pass("key", "it is of no use", n));
        account.pass_count("row", "its status is failed", 3);
        account.pass_count("row", "its status is lost", 0);
        account.pass("file", "it is hidden", "x".repeat(90));
        let line = account.summary().unwrap();
        let first = "passed over 7 keys: it is of no use (0, 1, 2, 3, 4, …); 3 rows: its status is \
                     failed; 1 file: it is hidden (xxx";
        assert!(line.starts_with(first) && line.ends_with("x…)"), "{line}");
        account.pass("member", "it is a link", "a");
        let line = account.summary().unwrap();
        assert!(line.ends_with(", and 1 more"), "{line}");
        assert_eq!(account.lines().len(), 4);
    }

    #[test]
    fn what_data_says_neither_breaks_lines_nor_fills_memory() {
        let mut account = Account::default();
        account.pass("member", "its status is a\nb", "\u{1b}[31mred");
        account.pass("member", "its status is a\nb", "c");
        let line = account.summary().unwrap();
        let expected = r"2 members: its status is a\nb (\u{1b}[31mred, c)";
        assert!(line.ends_with(expected), "{line}");
        (0..2000).for_each(|n| account.pass("sample", &n.to_string(), n));
        assert_eq!(account.passed_over().len(), ENTRIES + 1);
        let last = account.passed_over().last().unwrap();
        assert_eq!((last.count, last.reason.as_str()), (1501, OTHERS));
    }

    #[test]
    fn accounts_of_parts_add_up() {
        let mut whole = Account::default();
        for shard in ["a", "b"] {
            let mut part = Account::default();
            part.used("array", 2);
            part.used("row of other splits", 2);
            part.pass("entry", "it is a link", shard);
            part.chose("the first of two matrices");
            part.chose_for("picture", "found by its file name", shard);
            part.read_as("captions", "title");
            part.read_as("captions", shard);
            whole.merge(part);
        }
        let lines = [
            "used 4 arrays, 4 rows of other splits",
            "read captions from title, a, b",
            "passed over 2 entries: it is a link (a, b)",
            "chose: the first of two matrices",
            "chose: 2 pictures: found by its file name (a, b)",
        ];
        assert_eq!(whole.lines(), lines);
        assert_eq!(Account::default().summary(), None);
    }
}
