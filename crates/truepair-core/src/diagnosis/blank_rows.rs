//! Rows of zeros and of one number throughout: the item was never embedded.

use super::{Diagnose, Diagnosis, Subject, counted, named};
use crate::dataset::{RowContent, RowContents};
use crate::error::Result;

/// Rows that say nothing about their item.
pub(super) struct BlankRows;

impl Diagnose for BlankRows {
    fn name(&self) -> &'static str {
        "blank-rows"
    }

    fn summary(&self) -> &'static str {
        "Rows of image features or caption embeddings that are zeros, or one number throughout. Their \
         pairs are `unknown`, never `mismatched`."
    }

    fn threshold(&self) -> &'static str {
        "one row"
    }

    fn look(&self, subject: &Subject<'_>) -> Result<Vec<Diagnosis>> {
        let ids = &subject.dataset.image_ids;
        let images = self.of(&subject.images, "image", |row| ids[row].clone());
        let captions = self.of(&subject.captions, "caption", |row| row.to_string());
        Ok(images.into_iter().chain(captions).collect())
    }
}

impl BlankRows {
    fn of(
        &self,
        rows: &RowContents,
        noun: &str,
        name: impl Fn(usize) -> String,
    ) -> Option<Diagnosis> {
        let blank: Vec<usize> = (0..rows.len()).filter(|&row| rows.is_blank(row)).collect();
        let zeros = (blank.iter()).filter(|&&row| rows.content(row) == RowContent::Zeros);
        let zeros = zeros.count();
        let what = match (zeros, blank.len() - zeros) {
            (0, 0) => return None,
            (_, 0) => "zeros only".to_owned(),
            (0, _) => "one number throughout".to_owned(),
            (zeros, rest) => format!("zeros only ({zeros}) or one number throughout ({rest})"),
        };
        let (names, more) = named(blank.iter().map(|&row| name(row)));
        let verb = if blank.len() == 1 { "is" } else { "are" };
        let found = format!(
            "the vectors of {} {verb} {what} ({}{more})",
            counted(blank.len(), noun),
            names.join(", ")
        );
        let help = format!(
            "pairs with them are called unknown; embed each such {noun} again, or remove its pairs"
        );
        Some(Diagnosis {
            names,
            ..Diagnosis::new(self.name(), blank.len(), found, help)
        })
    }
}
