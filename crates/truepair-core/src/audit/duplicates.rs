//! Which captions and images repeat, so that a pair is never compared with a copy of itself.
//!
//! A group is a set of captions (or images) that the audit must treat as one: a copy of a matched
//! caption scores as high as the caption itself and would push a true pair's rank down.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Result;

/// How many comparisons were left out as duplicates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DuplicateCounts {
    /// Captions whose normalized text also occurs elsewhere.
    pub captions: u64,
    /// Images whose features equal those of another image.
    pub images: u64,
}

/// Group of every caption `[n_captions]`: captions with equal [normalized](normalize) text share
/// one. Group ids count up from 0 in order of first appearance.
///
/// ```
/// use truepair_core::audit::group_captions;
///
/// let group = group_captions(&["A red ball.", "a dog", "a red  ball"]);
/// assert!(group[0] == group[2] && group[0] != group[1]);
/// ```
pub fn group_captions<S: AsRef<str>>(captions: &[S]) -> Vec<u32> {
    let mut ids = HashMap::new();
    captions
        .iter()
        .map(|text| id_of(&mut ids, normalize(text.as_ref())))
        .collect()
}

/// Group of every image `[n]`: images whose feature rows are equal bit for bit share one.
///
/// `copy_row(index, out)` fills `out` `[row_len]` with the features of image `index`.
///
/// # Errors
/// Whatever `copy_row` reports.
pub fn group_images(
    n: usize,
    row_len: usize,
    mut copy_row: impl FnMut(usize, &mut [f32]) -> Result<()>,
) -> Result<Vec<u32>> {
    let mut row = vec![0.0; row_len];
    let mut ids = HashMap::with_capacity(n);
    (0..n)
        .map(|index| {
            copy_row(index, &mut row)?;
            // 128 bits of SHA-256: a chance collision among a billion images is below 1e-20.
            let digest = Sha256::digest(bytemuck::cast_slice::<f32, u8>(&row));
            let key: [u8; 16] = digest[..16].try_into().expect("half of thirty-two bytes");
            Ok(id_of(&mut ids, key))
        })
        .collect()
}

/// Lower case, with every run of characters that are neither letters nor digits folded to one
/// space. A caption of symbols alone has nothing to fold and is only trimmed.
///
/// ```
/// assert_eq!(truepair_core::audit::normalize("A red  ball."), "a red ball");
/// ```
pub fn normalize(caption: &str) -> String {
    let mut out = String::with_capacity(caption.len());
    for character in caption.chars() {
        if character.is_alphanumeric() {
            out.extend(character.to_lowercase());
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    if out.is_empty() {
        caption.trim().to_owned()
    } else {
        out
    }
}

/// How many captions and images share their group with another one.
pub fn count_duplicates(caption_group: &[u32], image_group: &[u32]) -> DuplicateCounts {
    DuplicateCounts {
        captions: n_shared(caption_group),
        images: n_shared(image_group),
    }
}

fn n_shared(groups: &[u32]) -> u64 {
    let mut sizes = vec![0u64; groups.iter().max().map_or(0, |&id| id as usize + 1)];
    groups.iter().for_each(|&id| sizes[id as usize] += 1);
    sizes.iter().filter(|&&size| size > 1).sum()
}

fn id_of<K: Eq + std::hash::Hash>(ids: &mut HashMap<K, u32>, key: K) -> u32 {
    let next = ids.len() as u32;
    *ids.entry(key).or_insert(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_and_spaces_do_not_make_a_new_caption() {
        let groups = group_captions(&["A dog runs .", "a dog, runs", "A  DOG\truns!", "a dog run"]);
        assert_eq!(groups, [0, 0, 0, 1]);
    }

    #[test]
    fn captions_of_symbols_stay_apart() {
        assert_eq!(group_captions(&["★", "☂", " ★ "]), [0, 1, 0]);
        assert_eq!(normalize("Straße, ÉTÉ"), "straße été");
    }

    #[test]
    fn equal_rows_are_one_image_and_counts_name_every_member() {
        let rows = [[1.0, 2.0], [1.0, 3.0], [1.0, 2.0]];
        let groups = group_images(3, 2, |index, out| {
            out.copy_from_slice(&rows[index]);
            Ok(())
        })
        .unwrap();
        assert_eq!(groups, [0, 1, 0]);
        let counts = count_duplicates(&[0, 1, 2], &groups);
        assert_eq!((counts.captions, counts.images), (0, 2));
    }
}
