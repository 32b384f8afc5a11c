//! Rows that are equal to the bit: images that stand several times, texts that were embedded alike.

use std::collections::HashMap;

use super::subject::tally;
use super::{Diagnose, Diagnosis, Subject, counted, grouped, named};
use crate::error::Result;

/// Copies below this share, and below [`MANY`] of one row, are what every collection has.
const SHARE: f64 = 0.01;
const FEWEST: usize = 3;
const MANY: usize = 10;

/// Rows that repeat others.
pub(super) struct EqualRows;

impl Diagnose for EqualRows {
    fn name(&self) -> &'static str {
        "equal-rows"
    }

    fn summary(&self) -> &'static str {
        "Images whose features are equal to the bit, among them images that are stored once per \
         caption; captions of different texts whose embeddings are equal."
    }

    fn threshold(&self) -> &'static str {
        "copies of at least 1 % of the rows and at least 3, or ten rows alike; blank rows do not count"
    }

    fn look(&self, subject: &Subject<'_>) -> Result<Vec<Diagnosis>> {
        let found = [self.images(subject), self.captions(subject)];
        Ok(found.into_iter().flatten().collect())
    }
}

impl EqualRows {
    fn images(&self, subject: &Subject<'_>) -> Option<Diagnosis> {
        let groups = subject.images.groups();
        let tally = tally(&groups);
        let is_copy = |row: &usize| !subject.images.is_blank(*row) && tally[&groups[*row]].1 < *row;
        let copies: Vec<usize> = (0..groups.len()).filter(is_copy).collect();
        let largest = copies.iter().map(|&row| tally[&groups[row]].0).max()?;
        if !are_many(copies.len(), groups.len()) && largest < MANY {
            return None;
        }
        let ids = &subject.dataset.image_ids;
        let (names, more) = named(copies.iter().map(|&row| ids[row].clone()));
        let total = grouped(groups.len());
        let (found, help) = match run_length(&groups) {
            Some(run) => (
                format!("every image stands {run} times in a row, to the bit ({total} rows)"),
                format!(
                    "keep every {run}th row, so that an image has its captions together; copies count \
                     against a matcher wherever only one of them is right"
                ),
            ),
            None => (
                format!(
                    "{} of {total} images repeat an earlier one to the bit ({}{more}), one of them \
                     stands {largest} times",
                    grouped(copies.len()),
                    names.join(", ")
                ),
                "give the captions of all copies to one image: copies count against a matcher wherever \
                 only one of them is right"
                    .to_owned(),
            ),
        };
        Some(Diagnosis {
            names,
            ..Diagnosis::new(self.name(), copies.len(), found, help)
        })
    }

    /// Captions whose texts differ and whose embeddings do not.
    fn captions(&self, subject: &Subject<'_>) -> Option<Diagnosis> {
        subject.dataset.captions.as_ref()?;
        let (vectors, texts) = (subject.captions.groups(), subject.caption_groups());
        let mut first_text: HashMap<u32, u32> = HashMap::new();
        let mut differing: Vec<usize> = Vec::new();
        for (row, (&vector, &text)) in vectors.iter().zip(&texts).enumerate() {
            let first = *first_text.entry(vector).or_insert(text);
            if first != text && !subject.captions.is_blank(row) {
                differing.push(row);
            }
        }
        if !are_many(differing.len(), vectors.len()) {
            return None;
        }
        let (names, more) = named(differing.iter());
        let found = format!(
            "the embeddings of {} equal that of an earlier caption of another text (captions {}{more})",
            counted(differing.len(), "caption"),
            names.join(", ")
        );
        let help =
            "embed the captions again: the encoder saw one text for several, or texts were cut off";
        Some(Diagnosis {
            names,
            ..Diagnosis::new(self.name(), differing.len(), found, help)
        })
    }
}

fn are_many(n: usize, of: usize) -> bool {
    n >= FEWEST && n as f64 >= SHARE * of as f64
}

/// The length of the runs of equal rows, where all rows stand in runs of one length, at least 2, and
/// differ between runs.
///
/// ```
/// use truepair_core::diagnosis::run_length;
///
/// assert_eq!(run_length(&[0, 0, 1, 1, 2, 2]), Some(2));
/// assert_eq!([run_length(&[0, 0, 0, 0]), run_length(&[0, 1, 0, 1])], [None, None]);
/// ```
pub fn run_length<T: PartialEq>(rows: &[T]) -> Option<usize> {
    let run = rows.iter().take_while(|row| **row == rows[0]).count();
    let are_runs = || rows.chunk_by(|a, b| a == b).all(|rows| rows.len() == run);
    (run >= 2 && run < rows.len() && are_runs()).then_some(run)
}
