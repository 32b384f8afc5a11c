//! What a caption is made of, in any script and without a tokenizer: its words, and pieces of a few
//! characters where words are not separated by spaces or are too rare to occur again.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Most characters of a piece that is counted.
const LONGEST: usize = 3;

/// Put before the first and after the last letter of a word that is cut into pieces.
const EDGE: char = '\u{2}';

/// A run of characters that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    /// A word of a script that separates words.
    Word(String),
    /// Characters of a script that does not.
    Unspaced(Vec<char>),
}

/// The runs of a caption, in lower case and compatibility-composed (NFKC), in their order.
pub(super) fn runs(caption: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut run: Vec<char> = Vec::new();
    let mut unspaced = false;
    let mut finish = |run: &mut Vec<char>, unspaced: bool| {
        if !run.is_empty() {
            runs.push(if unspaced {
                Run::Unspaced(std::mem::take(run))
            } else {
                Run::Word(run.drain(..).collect())
            });
        }
    };
    for character in caption.nfkc().flat_map(char::to_lowercase) {
        if !character.is_alphanumeric() && !is_combining_mark(character) {
            finish(&mut run, unspaced);
            continue;
        }
        // A mark belongs to the letter before it.
        let without_spaces = match is_combining_mark(character) {
            true => unspaced,
            false => is_unspaced(character),
        };
        if without_spaces != unspaced {
            finish(&mut run, unspaced);
            unspaced = without_spaces;
        }
        run.push(character);
    }
    finish(&mut run, unspaced);
    runs
}

/// The pieces of one to three characters, including the edges, of a word that is too rare to be counted
/// whole; each is preceded by a mark that tells pieces from words.
pub(super) fn pieces_of_word(word: &str) -> Vec<String> {
    let edges = || std::iter::once(EDGE);
    let letters: Vec<char> = edges().chain(word.chars()).chain(edges()).collect();
    let mut pieces = pieces(&letters);
    pieces.retain(|piece| piece.chars().any(|character| character != EDGE));
    pieces.iter_mut().for_each(|piece| piece.insert(0, '\u{1}'));
    pieces
}

/// Every run of one to three neighboring characters.
pub(super) fn pieces(characters: &[char]) -> Vec<String> {
    (1..=LONGEST)
        .flat_map(|length| characters.windows(length))
        .map(|window| window.iter().collect())
        .collect()
}

/// Whether a character belongs to a script that is written without spaces between words.
fn is_unspaced(character: char) -> bool {
    matches!(character,
        // Thai, Lao
        '\u{0E00}'..='\u{0EFF}'
        // Myanmar
        | '\u{1000}'..='\u{109F}' | '\u{A9E0}'..='\u{A9FF}' | '\u{AA60}'..='\u{AA7F}'
        // Khmer
        | '\u{1780}'..='\u{17FF}' | '\u{19E0}'..='\u{19FF}'
        // Hiragana, Katakana and their extensions
        | '\u{3040}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{1B000}'..='\u{1B16F}'
        // Han
        | '\u{3005}'..='\u{3007}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Run {
        Run::Word(text.to_owned())
    }

    #[test]
    fn words_are_lower_case_and_free_of_marks_that_part_them() {
        assert_eq!(
            runs("Two DOGS, one-eyed (2)!"),
            ["two", "dogs", "one", "eyed", "2"].map(word)
        );
        assert_eq!(runs(" \u{200B} ... "), []);
    }

    #[test]
    fn composed_and_decomposed_letters_are_the_same_word() {
        assert_eq!(
            runs("Tie\u{302}\u{301}ng Vie\u{302}\u{323}t"),
            runs("Tiếng Việt")
        );
        assert_eq!(runs("Tiếng Việt"), ["tiếng", "việt"].map(word));
        // Vowel signs of Devanagari are marks, not gaps.
        assert_eq!(runs("हिन्दी"), [word("हिन्दी")]);
    }

    #[test]
    fn scripts_without_spaces_stand_apart_from_words() {
        let unspaced = |text: &str| Run::Unspaced(text.chars().collect());
        assert_eq!(
            runs("iPhone手机 发布，ไทย"),
            [
                word("iphone"),
                unspaced("手机"),
                unspaced("发布"),
                unspaced("ไทย")
            ]
        );
    }

    #[test]
    fn pieces_have_one_to_three_characters() {
        let letters: Vec<char> = "手机壳".chars().collect();
        assert_eq!(
            pieces(&letters),
            ["手", "机", "壳", "手机", "机壳", "手机壳"]
        );
        assert_eq!(pieces(&letters[..1]), ["手"]);
        let of_word = pieces_of_word("ox");
        assert_eq!(of_word.len(), 7, "{of_word:?}");
        assert!(of_word.iter().all(|piece| piece.starts_with('\u{1}')));
        assert!(!of_word.contains(&"ox".to_owned()));
    }
}
