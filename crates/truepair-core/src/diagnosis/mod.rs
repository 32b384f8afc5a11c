//! What is wrong with data, told from the data alone: rows out of step, items in two splits, texts that
//! stand over and over, captions that cannot be seen.
//!
//! Each diagnosis is one file and one row in [`DIAGNOSES`]. None needs to know which pairs are right,
//! and none changes the data: it says what was found, and how to read or mend it. Work is bounded; where
//! only a part was looked at, the finding says so.

mod blank_rows;
mod equal_rows;
mod frequent_text;
mod invisible_captions;
mod repeated_pairs;
mod shared_items;
mod slipped_rows;
mod subject;
mod twins;

use serde::{Deserialize, Serialize};

use crate::error::Result;

pub use equal_rows::run_length;
pub use slipped_rows::Slip;
pub use subject::Subject;
pub use twins::twins;

/// Every diagnosis, the gravest first.
pub const DIAGNOSES: &[&dyn Diagnose] = &[
    &slipped_rows::SlippedRows,
    &shared_items::SharedItems,
    &blank_rows::BlankRows,
    &invisible_captions::InvisibleCaptions,
    &frequent_text::FrequentText,
    &repeated_pairs::RepeatedPairs,
    &equal_rows::EqualRows,
];

/// One thing that may be wrong with data.
///
/// ```
/// use truepair_core::diagnosis::DIAGNOSES;
///
/// let names: Vec<&str> = DIAGNOSES.iter().map(|row| row.name()).collect();
/// assert!(names.contains(&"slipped-rows") && names.contains(&"shared-items"));
/// ```
pub trait Diagnose: Sync {
    /// Its name in JSON.
    fn name(&self) -> &'static str;
    /// One sentence on what it finds, for the table of diagnoses.
    fn summary(&self) -> &'static str;
    /// One sentence on when it speaks, for the table of diagnoses.
    fn threshold(&self) -> &'static str;
    /// What is found in the data; nothing where nothing is wrong.
    ///
    /// # Errors
    /// If a row cannot be read.
    fn look(&self, subject: &Subject<'_>) -> Result<Vec<Diagnosis>>;
}

/// Something that stands out in data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Diagnosis {
    /// Name of its row in [`DIAGNOSES`].
    pub kind: String,
    /// What was found, without a full stop.
    pub found: String,
    /// What to do, without a full stop.
    pub help: String,
    /// How many rows, captions, images or pairs it concerns.
    pub count: u64,
    /// The first few of them, where they have names.
    pub names: Vec<String>,
    /// The order of rows that fits better, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slip: Option<Slip>,
}

impl Diagnosis {
    fn new(kind: &'static str, count: usize, found: String, help: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            found,
            help: help.into(),
            count: count as u64,
            names: Vec::new(),
            slip: None,
        }
    }

    /// What was found and what to do, in one line.
    pub fn sentence(&self) -> String {
        format!("{}; {}", self.found, self.help)
    }
}

/// Everything that stands out in the data.
///
/// ```
/// use truepair_core::dataset::{Account, Dataset, Features};
/// use truepair_core::diagnosis::{Subject, diagnose};
/// use truepair_core::pair::Pair;
/// use truepair_core::rng::Seed;
///
/// let data = Dataset {
///     name: "toy".into(),
///     format: "memory",
///     split: "train".into(),
///     images: Features::from_rows(vec![1.0, 2.0, 2.0, 1.0], 2),
///     image_ids: vec!["a".into(), "b".into()],
///     image_files: Vec::new(),
///     captions: Some(vec!["a dog".into(), "\u{200b}".into()]),
///     caption_features: None,
///     pairs: vec![Pair { image: 0, caption: 0 }, Pair { image: 1, caption: 1 }],
///     labels: None,
///     files: Vec::new(),
///     account: Account::default(),
/// };
/// let found = diagnose(&Subject::new(&data, Seed(0))?)?;
/// assert_eq!(found[0].kind, "invisible-captions");
/// assert!(found[0].found.contains("U+200B"));
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If a row cannot be read.
pub fn diagnose(subject: &Subject<'_>) -> Result<Vec<Diagnosis>> {
    let mut found = Vec::new();
    for row in DIAGNOSES {
        found.extend(row.look(subject)?);
    }
    Ok(found)
}

/// Items of the split that stand in those beside it.
///
/// # Errors
/// If a row cannot be read.
pub fn shared_items(subject: &Subject<'_>) -> Result<Vec<Diagnosis>> {
    shared_items::SharedItems.look(subject)
}

/// Why an audit of such data cannot give verdicts, where most rows are out of step.
pub fn refusal(found: &[Diagnosis]) -> Option<String> {
    let out_of_step = |one: &&Diagnosis| one.slip.as_ref().is_some_and(|slip| slip.is_most);
    let one = found.iter().find(out_of_step)?;
    Some(format!(
        "captions and images are out of step: {}",
        one.sentence()
    ))
}

/// The table of diagnoses as Markdown, for the documentation.
pub fn diagnoses_table() -> String {
    let mut table = String::from("| diagnosis | what it finds | when it speaks |\n|---|---|---|\n");
    for row in DIAGNOSES {
        let cells = [row.name(), row.summary(), row.threshold()];
        table += &format!("| `{}` | {} | {} |\n", cells[0], cells[1], cells[2]);
    }
    table
}

/// Names that a finding shows.
const NAMED: usize = 5;

/// The first few names, and whether there are more.
fn named<T: ToString>(names: impl IntoIterator<Item = T>) -> (Vec<String>, &'static str) {
    let mut names: Vec<String> = (names.into_iter().take(NAMED + 1))
        .map(|name| name.to_string())
        .collect();
    let more = if names.len() > NAMED { ", …" } else { "" };
    names.truncate(NAMED);
    (names, more)
}

/// `1 row`, `2 rows`, `1,234 rows`.
fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(n))
}

/// A number with its thousands set apart.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_diagnosis_has_a_name_of_its_own() {
        let mut names: Vec<&str> = DIAGNOSES.iter().map(|row| row.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DIAGNOSES.len());
        assert_eq!(diagnoses_table().lines().count(), DIAGNOSES.len() + 2);
    }

    #[test]
    fn names_and_numbers_are_shortened() {
        assert_eq!(named(1..=3), (vec!["1".into(), "2".into(), "3".into()], ""));
        assert_eq!(named(1..=9).1, ", …");
        assert_eq!(
            [counted(1, "row"), counted(12345, "row")],
            ["1 row", "12,345 rows"]
        );
    }
}
