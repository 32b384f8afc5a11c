//! Where sentences end in a lower-cased caption.
//!
//! NLTK finds sentence ends first and splits words after: a period is split off a word only at the end
//! of a sentence. Its model, Punkt, also weighs capital letters, which lower-cased captions do not
//! have. What remains are the list of abbreviations and the rule that neither an initial nor a number
//! with a period ends a sentence before a lower-case word.
//!
//! # Source
//! Kiss and Strunk, Computational Linguistics 32 (2006); NLTK 3.10.4 (`punkt.py`) with its English
//! parameters.
//!
//! # Deviations
//! 1. Punkt would let "5. administrators" be two sentences, and likewise with three other of its
//!    20,366 words that it saw begin a sentence in lower case but never in upper case. Here no
//!    lower-case word does that.

use std::ops::Range;

/// The sentences of a lower-cased line, without the space between them.
pub(super) fn sentences(line: &[char]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for candidate in candidates(line) {
        if breaks(&candidate.context) {
            found.push(start..candidate.end);
            start = candidate.next;
        }
    }
    let trailing = line.iter().rev().take_while(|c| c.is_whitespace()).count();
    found.push(start..(line.len() - trailing).max(start));
    realign(line, found)
}

/// A place where a sentence may end.
struct Candidate {
    /// Position after the mark that ends it.
    end: usize,
    /// Where the next sentence would start.
    next: usize,
    /// The word with its mark and what follows, up to the end of the next word.
    context: Vec<char>,
    /// Where the word starts, and its mark.
    word: Range<usize>,
}

/// Marks followed by punctuation or by space and another word; of several marks in one word, the
/// last.
fn candidates(line: &[char]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut previous = 0..0;
    for mark in (0..line.len()).filter(|&at| is_end_mark(line[at])) {
        let after = mark + 1;
        let Some(&follower) = line.get(after) else {
            continue;
        };
        let spaces = line[after..]
            .iter()
            .take_while(|c| c.is_whitespace())
            .count();
        let (next, context_end) = if spaces > 0 {
            let word = line[after + spaces..]
                .iter()
                .take_while(|c| !c.is_whitespace())
                .count();
            if word == 0 {
                continue;
            }
            (after + spaces, after + spaces + word)
        } else if ends_word(follower) {
            (after, after + 1)
        } else {
            continue;
        };
        let last_space = line[previous.end..mark]
            .iter()
            .rposition(char::is_ascii_whitespace);
        let start = match last_space {
            Some(space) if space > 0 => previous.end + space + 1,
            _ => previous.start,
        };
        if found.last().is_some_and(|last| last.word.end > start) {
            found.pop();
        }
        previous = start..mark;
        found.push(Candidate {
            end: after,
            next,
            context: line[start..context_end].to_vec(),
            word: previous.clone(),
        });
    }
    found
}

/// Whether one of the context's words ends a sentence before its last word.
fn breaks(context: &[char]) -> bool {
    let words = words(context);
    words.windows(2).any(|pair| ends_sentence(pair[0], pair[1]))
}

fn ends_sentence(word: &[char], next: &[char]) -> bool {
    if let [mark] = word {
        return is_end_mark(*mark);
    }
    let [stem @ .., '.'] = word else { return false };
    if stem.ends_with(&['.']) || is_abbreviation(stem) {
        return false;
    }
    let is_initial = matches!(stem, [c] if c.is_alphabetic() || *c == '_');
    if !is_initial && !is_number(word) {
        return true;
    }
    let is_punctuation = matches!(next, [';' | ':' | ',' | '.' | '!' | '?']);
    !is_punctuation && !next.first().is_some_and(|c| c.is_lowercase())
}

fn is_abbreviation(stem: &[char]) -> bool {
    let stem: String = stem.iter().collect();
    let last_part = stem.rsplit('-').next().unwrap_or(&stem);
    [stem.as_str(), last_part]
        .iter()
        .any(|word| ABBREVIATIONS.binary_search(word).is_ok())
}

/// A number such as `-.5`, `3,000` or `10.`.
fn is_number(word: &[char]) -> bool {
    let word = word.strip_prefix(&['-']).unwrap_or(word);
    let word = match word {
        ['.' | ',', rest @ ..] => rest,
        word => word,
    };
    match word {
        [first, rest @ ..] => {
            first.is_ascii_digit()
                && rest
                    .iter()
                    .all(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '-'))
        }
        [] => false,
    }
}

/// Punkt's words: punctuation apart, periods attached.
fn words(text: &[char]) -> Vec<&[char]> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at].is_whitespace() {
            at += 1;
            continue;
        }
        let len = match run(&text[at..]) {
            0 if starts_word(text[at]) => {
                let is_end = |&end: &usize| is_word_end(&text[at + end..]);
                (1..text.len() - at).find(is_end).unwrap_or(text.len() - at)
            }
            0 => 1,
            len => len,
        };
        found.push(&text[at..at + len]);
        at += len;
    }
    found
}

/// Length of a dash `--`, an ellipsis `..` or a spaced ellipsis `. . .` at the start; 0 for none.
fn run(text: &[char]) -> usize {
    let repeated = |mark: char| text.iter().take_while(|&&c| c == mark).count();
    let longest = repeated('-').max(repeated('.'));
    if longest >= 2 {
        return longest;
    }
    let pairs = text
        .chunks_exact(2)
        .take_while(|two| two[0] == '.' && two[1].is_whitespace());
    let spaced = 2 * pairs.count();
    // The last period needs no space after it; without one, a pair gives its period back.
    match text.get(spaced) {
        Some('.') if spaced >= 4 => spaced + 1,
        _ if spaced >= 6 => spaced - 1,
        _ => 0,
    }
}

fn is_word_end(rest: &[char]) -> bool {
    match rest {
        [] => true,
        [',', after @ ..] => {
            after
                .first()
                .is_none_or(|&c| c.is_whitespace() || ends_word(c))
                || run(after) > 0
        }
        [c, ..] => c.is_whitespace() || ends_word(*c) || run(rest) > 0,
    }
}

/// Takes quotes and brackets after a mark into the sentence that the mark ends.
fn realign(line: &[char], sentences: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut moved = 0;
    for (index, sentence) in sentences.iter().enumerate() {
        let start = sentence.start + moved;
        moved = 0;
        let mut end = sentence.end;
        if let Some(next) = sentences.get(index + 1) {
            let text = &line[next.clone()];
            let closers = text.iter().take_while(|&&c| is_closer(c)).count();
            let after = &text[closers..];
            let spaces = after.iter().take_while(|c| c.is_whitespace()).count();
            if closers > 0 && (spaces > 0 || after.is_empty() || after.starts_with(&['-', '-'])) {
                end = next.start + closers;
                moved = closers + spaces;
            }
        }
        if start < end {
            found.push(start..end);
        }
    }
    found
}

fn is_end_mark(c: char) -> bool {
    matches!(c, '.' | '?' | '!')
}

fn is_closer(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | ')' | ']' | '}' | '‘' | '’' | '“' | '”' | '«' | '»'
    )
}

/// Characters that never stand inside a word.
fn ends_word(c: char) -> bool {
    let marks = [
        ')', '"', ';', '}', ']', '*', ':', '@', '\'', '(', '{', '[', '?', '!',
    ];
    marks.contains(&c) || matches!(c, '‘' | '’' | '“' | '”' | '«' | '»')
}

fn starts_word(c: char) -> bool {
    let marks = [
        '(', '"', '`', '{', '[', ':', ';', '&', '#', '*', '@', ')', '}', ']', '-', ',',
    ];
    !marks.contains(&c)
}

/// Words whose period does not end a sentence, sorted. From the English Punkt parameters of NLTK
/// (`punkt_tab`, Apache-2.0), which Kiss and Strunk learned from newspaper text.
#[rustfmt::skip]
const ABBREVIATIONS: &[&str] = &[
    "a.a", "a.c", "a.d", "a.g", "a.h", "a.m", "a.m.e", "a.s", "a.t", "adm", "ala", "ariz", "aug",
    "ave", "b.f", "b.v", "bros", "c", "c.i.t", "c.o.m.b", "c.v", "calif", "chg", "cie", "co", "col",
    "colo", "conn", "corp", "cos", "ct", "d", "d.c", "d.h", "d.w", "dec", "dr", "e", "e.f", "e.h",
    "e.l", "e.m", "f", "f.g", "f.j", "feb", "fla", "fri", "ft", "g", "g.d", "g.f", "g.k", "ga",
    "gen", "h", "h.c", "h.f", "h.m", "i.m.s", "ill", "inc", "j.b", "j.c", "j.j", "j.k", "j.p",
    "j.r", "jan", "jr", "k", "kan", "ky", "l", "l.a", "l.f", "l.p", "lt", "ltd", "m", "m.b.a",
    "m.d.c", "m.j", "maj", "messrs", "mg", "mich", "minn", "mr", "mrs", "ms", "n", "n.c", "n.d",
    "n.h", "n.j", "n.m", "n.v", "n.y", "nev", "nov", "oct", "ok", "okla", "ore", "p", "p.a.m",
    "p.m", "pa", "ph.d", "prof", "r", "r.a", "r.h", "r.i", "r.j", "r.k", "r.t", "rep", "reps", "s",
    "s.a", "s.a.y", "s.c", "s.g", "s.p.a", "s.s", "sen", "sep", "sept", "sr", "st", "sw", "t",
    "t.j", "tenn", "tues", "u.k", "u.n", "u.s", "u.s.a", "u.s.s.r", "v", "va", "vs", "vt", "w",
    "w.c", "w.r", "w.va", "w.w", "wash", "wed", "wis", "yr",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        let line: Vec<char> = line.chars().collect();
        sentences(&line)
            .into_iter()
            .map(|range| line[range].iter().collect())
            .collect()
    }

    #[test]
    fn abbreviations_are_sorted() {
        assert!(ABBREVIATIONS.is_sorted());
    }

    #[test]
    fn marks_end_sentences_and_abbreviations_do_not() {
        assert_eq!(
            split("a dog runs. it barks! why?"),
            ["a dog runs.", "it barks!", "why?"]
        );
        assert_eq!(
            split("at st. mary's beach. he sat"),
            ["at st. mary's beach.", "he sat"]
        );
        assert_eq!(split("no mark at all"), ["no mark at all"]);
        assert_eq!(
            split("the u.s.-based dr. smith"),
            ["the u.s.-based dr. smith"]
        );
    }

    #[test]
    fn initials_and_numbers_do_not_end_before_a_lower_case_word() {
        assert_eq!(split("number 5. the man"), ["number 5. the man"]);
        assert_eq!(split("plan x. the man"), ["plan x. the man"]);
        assert_eq!(split("number 5. 6 men"), ["number 5.", "6 men"]);
    }

    #[test]
    fn ellipses_do_not_end_and_closing_quotes_stay() {
        assert_eq!(split("wait... they run"), ["wait... they run"]);
        assert_eq!(split("\"stop!\" says he"), ["\"stop!\"", "says he"]);
        assert_eq!(split("(he left.) she stays"), ["(he left.)", "she stays"]);
        assert_eq!(split("very bad!!! i promise"), ["very bad!!!", "i promise"]);
    }

    #[test]
    fn nothing_is_one_empty_sentence_at_most() {
        assert!(split("").is_empty());
        assert_eq!(split("."), ["."]);
        assert_eq!(split(". . ."), [".", ".", "."]);
    }
}
