//! Texts that stand over and over: boilerplate, placeholders, names of classes.

use super::subject::tally;
use super::{Diagnose, Diagnosis, Subject, grouped, percent};
use crate::error::Result;

/// A text is frequent from this many captions and this share of them.
const FEWEST: usize = 10;
const SHARE: f64 = 0.01;

/// Texts that are quoted, and letters of each.
const QUOTED: usize = 3;
const LETTERS: usize = 60;

/// One text that is the caption of many images.
pub(super) struct FrequentText;

impl Diagnose for FrequentText {
    fn name(&self) -> &'static str {
        "frequent-text"
    }

    fn summary(&self) -> &'static str {
        "Texts that are the caption over and over: boilerplate, placeholders, names of classes. They fit \
         many images alike."
    }

    fn threshold(&self) -> &'static str {
        "one text, without case and punctuation, for at least 1 % of the captions and at least 10"
    }

    fn look(&self, subject: &Subject<'_>) -> Result<Vec<Diagnosis>> {
        let groups = subject.caption_groups();
        let mut frequent: Vec<(usize, usize)> = (tally(&groups).into_values())
            .filter(|(n, _)| *n >= FEWEST && *n as f64 >= SHARE * groups.len() as f64)
            .collect();
        frequent.sort_unstable_by_key(|(n, first)| (std::cmp::Reverse(*n), *first));
        let total: usize = frequent.iter().map(|(n, _)| n).sum();
        let Some(&(most, _)) = frequent.first() else {
            return Ok(Vec::new());
        };
        let share = percent(total as f64 / groups.len() as f64);
        let quoted = frequent.iter().take(QUOTED);
        let names: Vec<String> = quoted.map(|(_, first)| quote(subject, *first)).collect();
        let captions = grouped(groups.len());
        let found = match frequent.len() {
            1 => format!(
                "one text is the caption {} times, {share} of {captions} captions: {}",
                grouped(most),
                names[0]
            ),
            n => format!(
                "{n} texts make up {share} of {captions} captions, the first {} times: {}",
                grouped(most),
                names.join(", ")
            ),
        };
        let help = "such captions fit many images alike and say nothing about a pair; leave them out of \
                    training, or write others";
        Ok(vec![Diagnosis {
            names,
            ..Diagnosis::new(self.name(), total, found, help)
        }])
    }
}

/// The text of a caption as it stands in a line.
fn quote(subject: &Subject<'_>, caption: usize) -> String {
    let Some(texts) = &subject.dataset.captions else {
        return format!("the embedding of caption {caption}");
    };
    let text = texts[caption]
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("'{}…'", &text[..end]),
        None => format!("'{text}'"),
    }
}
