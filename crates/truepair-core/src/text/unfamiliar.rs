//! Captions made of words that no other image's captions contain: whoever learns from these captions
//! never meets such a word outside the pair that is judged.

use std::collections::HashMap;

use super::terms::{Run, pieces, runs};
use crate::pair::Pair;

/// Whether each caption shares no word with a caption of another image, `[captions]`. In scripts
/// without spaces, two adjacent characters count as a word. A caption without any word shares none.
///
/// ```
/// use truepair_core::pair::Pair;
/// use truepair_core::text::unfamiliar_captions;
///
/// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 1, caption: 1 }, Pair { image: 2, caption: 2 }];
/// let found = unfamiliar_captions(&["red ball", "blue ball", "disquete"], &pairs);
/// assert_eq!(found, [false, false, true]);
/// ```
///
/// # Panics
/// If a pair names a caption that does not exist.
pub fn unfamiliar_captions<S: AsRef<str>>(captions: &[S], pairs: &[Pair]) -> Vec<bool> {
    let words: Vec<Vec<String>> = captions
        .iter()
        .map(|caption| words(caption.as_ref()))
        .collect();
    // The image of every word, `None` once there are several.
    let mut image_of: HashMap<&str, Option<u32>> = HashMap::new();
    for pair in pairs {
        for word in &words[pair.caption as usize] {
            let image = image_of.entry(word).or_insert(Some(pair.image));
            if *image != Some(pair.image) {
                *image = None;
            }
        }
    }
    let is_shared = |word: &String| image_of.get(word.as_str()) == Some(&None);
    (words.iter())
        .map(|words| !words.iter().any(is_shared))
        .collect()
}

fn words(caption: &str) -> Vec<String> {
    let of_run = |run| match run {
        Run::Word(word) => vec![word],
        Run::Unspaced(letters) if letters.len() < 2 => vec![letters.into_iter().collect()],
        Run::Unspaced(letters) => {
            let mut pieces = pieces(&letters);
            pieces.retain(|piece| piece.chars().count() == 2);
            pieces
        }
    };
    runs(caption).into_iter().flat_map(of_run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_familiar_when_another_image_has_it() {
        let captions = [
            "A red ball",
            "disquete",
            "Disquete!",
            "the ball",
            "红球",
            "红球场",
            "…",
        ];
        let image = [0, 1, 1, 2, 3, 4, 5];
        let pairs: Vec<Pair> = (0..7)
            .map(|caption| Pair {
                image: image[caption as usize],
                caption,
            })
            .collect();
        // "disquete" stands twice, but with one image; "ball" and the two characters with two.
        let found = unfamiliar_captions(&captions, &pairs);
        assert_eq!(found, [false, true, true, false, false, false, true]);
    }
}
