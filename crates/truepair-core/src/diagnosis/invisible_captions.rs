//! Captions that look empty and are not: characters without width, control characters, private use.

use super::{Diagnose, Diagnosis, Subject, counted, named};
use crate::error::Result;
use crate::text::invisible;

/// Captions of which nothing can be seen.
pub(super) struct InvisibleCaptions;

impl Diagnose for InvisibleCaptions {
    fn name(&self) -> &'static str {
        "invisible-captions"
    }

    fn summary(&self) -> &'static str {
        "Captions of characters that show nothing: U+200B, U+FEFF, U+00A0, control characters, private \
         use. They count as empty."
    }

    fn threshold(&self) -> &'static str {
        "one caption"
    }

    fn look(&self, subject: &Subject<'_>) -> Result<Vec<Diagnosis>> {
        let texts = subject.dataset.captions.as_deref().unwrap_or_default();
        let blank: Vec<(usize, String)> = (texts.iter().enumerate())
            .filter_map(|(n, text)| Some((n, invisible(text)?)))
            .collect();
        let Some((_, first)) = blank.first() else {
            return Ok(Vec::new());
        };
        let (names, more) = named(blank.iter().map(|(n, _)| n));
        let mut kinds: Vec<&str> = vec![first];
        let others = blank.iter().map(|(_, kind)| kind.as_str());
        others.for_each(|kind| {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        });
        let (kinds, more_kinds) = named(kinds);
        let verb = if blank.len() == 1 { "holds" } else { "hold" };
        let found = format!(
            "{} {verb} nothing that can be seen (caption {}{more}: {}{more_kinds})",
            counted(blank.len(), "caption"),
            names.join(", "),
            kinds.join("; ")
        );
        let help = "they count as empty: write them again, or leave them out with --on-empty drop";
        Ok(vec![Diagnosis {
            names,
            ..Diagnosis::new(self.name(), blank.len(), found, help)
        }])
    }
}
