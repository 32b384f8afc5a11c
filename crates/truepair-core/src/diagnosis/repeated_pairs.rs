//! Pairs that stand several times, image and caption alike.

use std::collections::HashMap;

use super::{Diagnose, Diagnosis, Subject, grouped, named};
use crate::error::Result;

/// Copies below this share, or fewer, are what every collection has.
const SHARE: f64 = 0.02;
const FEWEST: usize = 5;

/// Pairs that repeat an earlier one.
pub(super) struct RepeatedPairs;

impl Diagnose for RepeatedPairs {
    fn name(&self) -> &'static str {
        "repeated-pairs"
    }

    fn summary(&self) -> &'static str {
        "Pairs that repeat an earlier one: image and caption alike."
    }

    fn threshold(&self) -> &'static str {
        "copies of at least 2 % of the pairs and at least 5"
    }

    fn look(&self, subject: &Subject<'_>) -> Result<Vec<Diagnosis>> {
        let (images, captions) = (subject.image_groups(), subject.caption_groups());
        if captions.is_empty() {
            return Ok(Vec::new());
        }
        let pairs = &subject.dataset.pairs;
        let mut times: HashMap<(u32, u32), usize> = HashMap::with_capacity(pairs.len());
        let mut copies: Vec<usize> = Vec::new();
        for (n, pair) in pairs.iter().enumerate() {
            let key = (images[pair.image as usize], captions[pair.caption as usize]);
            let before = times.entry(key).or_default();
            *before += 1;
            if *before > 1 {
                copies.push(n);
            }
        }
        if copies.len() < FEWEST || (copies.len() as f64) < SHARE * pairs.len() as f64 {
            return Ok(Vec::new());
        }
        let most = times.values().max().copied().unwrap_or(1);
        let (names, more) = named(copies.iter());
        let found = if times.values().all(|times| *times == most) {
            format!(
                "every pair stands {most} times ({} pairs)",
                grouped(pairs.len())
            )
        } else {
            format!(
                "{} of {} pairs repeat an earlier one, image and caption alike (pairs {}{more})",
                grouped(copies.len()),
                grouped(pairs.len()),
                names.join(", ")
            )
        };
        let help = "keep one of each: copies count against a matcher that is measured on them, and count \
                    twice in one that is trained on them";
        Ok(vec![Diagnosis {
            names,
            ..Diagnosis::new(self.name(), copies.len(), found, help)
        }])
    }
}
