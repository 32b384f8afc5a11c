//! Words of a caption as the published vocabularies and matchers know them.
//!
//! # Source
//! NLTK 3.10.4, `word_tokenize(line.strip().lower())`: sentences, then the conventions of the Penn
//! Treebank (MacIntyre, 1995) with NLTK's additions for quotes and dashes.
//!
//! # Deviations
//! 1. Where NLTK accepts digits of any script, only ASCII digits are accepted here.

use super::sentence::sentences;

/// Splits a caption into lower-case tokens.
///
/// Contractions are split (`isn't` into `is`, `n't`), double quotes become ` `` ` and `''`, and only
/// the period that ends a sentence stands alone.
///
/// ```
/// use truepair_core::text::treebank::tokenize;
///
/// assert_eq!(tokenize("two dogs, can't wait."), ["two", "dogs", ",", "ca", "n't", "wait", "."]);
/// ```
pub fn tokenize(line: &str) -> Vec<String> {
    let line: Vec<char> = line.trim().to_lowercase().chars().collect();
    sentences(&line)
        .into_iter()
        .flat_map(|range| words(&line[range]))
        .collect()
}

/// The passes over one sentence. Each inserts spaces between tokens; the order matters.
fn words(sentence: &[char]) -> Vec<String> {
    let mut text = Text(sentence.to_vec());
    text.opening_quotes();
    text.final_period();
    text.commas_and_colons();
    text.set_apart_runs('.');
    text.set_apart(|c| {
        matches!(
            c,
            ';' | '@' | '#' | '$' | '%' | '&' | '\u{2012}'..='\u{2015}'
        )
    });
    text.set_apart(|c| matches!(c, '?' | '!'));
    text.apostrophe_before_space();
    text.set_apart(|c| matches!(c, '*' | '[' | ']' | '(' | ')' | '{' | '}' | '<' | '>'));
    text.replace("--", " -- ");
    text.0.insert(0, ' ');
    text.0.push(' ');
    text.closing_quotes();
    text.clitics(&["'s", "'m", "'d", "'"]);
    text.clitics(&["'ll", "'re", "'ve", "n't"]);
    for (first, second) in JOINED {
        text.part(first, second);
    }
    text.0
        .iter()
        .collect::<String>()
        .split_whitespace()
        .map(str::to_string)
        .collect()
}

/// Words that are written as one but count as two. NLTK also lists `'tis` and `'twas`, which its own
/// treatment of opening quotes keeps from ever being seen.
const JOINED: [(&str, &str); 8] = [
    ("can", "not"),
    ("d", "'ye"),
    ("gim", "me"),
    ("gon", "na"),
    ("got", "ta"),
    ("lem", "me"),
    ("more", "'n"),
    ("wan", "na"),
];

struct Text(Vec<char>);

impl Text {
    fn opening_quotes(&mut self) {
        self.set_apart_runs('`');
        self.set_apart(|c| matches!(c, '«' | '“' | '‘' | '„'));
        if self.0.first() == Some(&'"') {
            self.0.splice(..1, "``".chars());
        }
        self.replace("``", " `` ");
        self.rewrite(|text, at| {
            let opens = matches!(text[at], ' ' | '(' | '[' | '{' | '<');
            let quote = match text.get(at + 1..) {
                Some(['"', ..]) if opens => 1,
                Some(['\'', '\'', ..]) if opens => 2,
                _ => return None,
            };
            Some((1 + quote, [&[text[at]][..], &[' ', '`', '`', ' ']].concat()))
        });
        self.rewrite(|text, at| {
            let after_word = at > 0 && is_word(text[at - 1]);
            let before_word = text.get(at + 1).is_some_and(|&c| is_word(c));
            let opens = text[at] == '\'' && !after_word && before_word;
            (opens && !is_clitic(&text[at + 1..])).then(|| (1, vec!['\'', ' ']))
        });
    }

    /// Splits the last period off its word, even if quotes and brackets follow it.
    fn final_period(&mut self) {
        let Some(period) = self.0.iter().rposition(|&c| c == '.') else {
            return;
        };
        let rest = &self.0[period + 1..];
        let closes = |c: &char| {
            matches!(
                c,
                ']' | ')' | '}' | '>' | '"' | '\'' | '»' | '”' | '’' | ' '
            )
        };
        let closers = rest.iter().take_while(|c| closes(c)).count();
        let ends = rest[closers..].iter().all(|c| c.is_whitespace());
        if period == 0 || self.0[period - 1] == '.' || !ends {
            return;
        }
        let tail = [&[' ', '.', ' '][..], &rest[..closers], &[' ']].concat();
        self.0.truncate(period);
        self.0.extend(tail);
    }

    /// A comma or colon stands alone unless a digit follows.
    fn commas_and_colons(&mut self) {
        self.rewrite(|text, at| match (text[at], text.get(at + 1)) {
            (',' | ':', Some(next)) if !next.is_ascii_digit() => {
                Some((2, vec![' ', text[at], ' ', *next]))
            }
            _ => None,
        });
        if let Some(last @ (',' | ':')) = self.0.last().copied() {
            self.0.pop();
            self.0.extend([' ', last, ' ']);
        }
    }

    fn apostrophe_before_space(&mut self) {
        self.rewrite(|text, at| match text[at..] {
            [before, '\'', ' ', ..] if before != '\'' => Some((3, vec![before, ' ', '\'', ' '])),
            _ => None,
        });
    }

    fn closing_quotes(&mut self) {
        self.set_apart(|c| matches!(c, '»' | '”' | '’'));
        self.replace("''", " '' ");
        self.replace("\"", " '' ");
        let spaced: String = self.0.iter().collect();
        let words: Vec<&str> = spaced.split_whitespace().collect();
        self.0 = format!(" {} ", words.join(" ")).chars().collect();
    }

    /// Splits off endings such as `'s` that are followed by a space.
    fn clitics(&mut self, endings: &[&str]) {
        self.rewrite(|text, at| {
            if matches!(text[at], '\'' | ' ') {
                return None;
            }
            let rest = &text[at + 1..];
            let found = endings.iter().find(|ending| {
                starts_with(rest, ending) && rest.get(ending.chars().count()) == Some(&' ')
            })?;
            let parted = format!("{} {found} ", text[at]);
            Some((2 + found.chars().count(), parted.chars().collect()))
        });
    }

    /// Splits a word that consists of `first` and `second`.
    fn part(&mut self, first: &str, second: &str) {
        let (n_first, n_second) = (first.chars().count(), second.chars().count());
        self.rewrite(|text, at| {
            let rest = &text[at..];
            let fits = starts_with(rest, first) && starts_with(&rest[n_first..], second);
            let before = at > 0 && is_word(text[at - 1]);
            let behind = rest.get(n_first + n_second);
            // NLTK splits `wanna` only before a space, so `wanna-be` stays whole.
            let ends = match first {
                "wan" => behind == Some(&' '),
                _ => !behind.is_some_and(|&c| is_word(c)),
            };
            (fits && !before && ends).then(|| {
                (
                    n_first + n_second,
                    format!(" {first} {second} ").chars().collect(),
                )
            })
        });
    }

    fn set_apart(&mut self, alone: impl Fn(char) -> bool) {
        self.rewrite(|text, at| alone(text[at]).then(|| (1, vec![' ', text[at], ' '])));
    }

    /// Sets runs of a mark apart; a single period stays with its word.
    fn set_apart_runs(&mut self, mark: char) {
        let shortest = if mark == '.' { 2 } else { 1 };
        self.rewrite(|text, at| {
            let run = text[at..].iter().take_while(|&&c| c == mark).count();
            (run >= shortest).then(|| (run, [&[' '][..], &text[at..at + run], &[' ']].concat()))
        });
    }

    fn replace(&mut self, from: &str, to: &str) {
        let text: String = self.0.iter().collect();
        self.0 = text.replace(from, to).chars().collect();
    }

    /// Goes from left to right; where `rule` returns a length and characters, these replace that many
    /// characters.
    fn rewrite(&mut self, rule: impl Fn(&[char], usize) -> Option<(usize, Vec<char>)>) {
        let mut out = Vec::with_capacity(self.0.len() + 8);
        let mut at = 0;
        while at < self.0.len() {
            match rule(&self.0, at) {
                Some((len, new)) => {
                    out.extend(new);
                    at += len;
                }
                None => {
                    out.push(self.0[at]);
                    at += 1;
                }
            }
        }
        self.0 = out;
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn starts_with(text: &[char], prefix: &str) -> bool {
    let mut text = text.iter();
    prefix.chars().all(|c| text.next() == Some(&c))
}

/// Whether the characters after an apostrophe are an ending of the word before it.
fn is_clitic(text: &[char]) -> bool {
    let n_word = text.iter().take_while(|&&c| is_word(c)).count();
    let word: String = text[..n_word].iter().collect();
    matches!(
        word.as_str(),
        "re" | "ve" | "ll" | "m" | "t" | "s" | "d" | "n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        assert_eq!(tokenize(line).join(" "), expected, "{line}");
    }

    #[test]
    fn contractions_are_parted() {
        check(
            "They can't, won't and I'd've",
            "they ca n't , wo n't and i'd 've",
        );
        check("we're gonna cannot wanna", "we 're gon na can not wan na");
        check("the dogs' toy is Mary's", "the dogs ' toy is mary 's");
        check("cannots and scannot", "cannots and scannot");
        check("a wanna-be more'n enough", "a wanna-be more 'n enough");
    }

    #[test]
    fn only_the_last_period_of_a_sentence_stands_alone() {
        check(
            "Mr. Lee eats at 5 p.m. today.",
            "mr. lee eats at 5 p.m. today .",
        );
        check("he runs. she sits.", "he runs . she sits .");
        check("a man...", "a man ...");
        check("he left.)", "he left . )");
    }

    #[test]
    fn numbers_keep_their_marks() {
        check(
            "3,000 men at 9:30 for $3.50, no",
            "3,000 men at 9:30 for $ 3.50 , no",
        );
        check("a, b:c", "a , b : c");
    }

    #[test]
    fn quotes_open_and_close() {
        check("\"Go,\" he said", "`` go , '' he said");
        check("a 'red' sign ('no')", "a ' red ' sign ( ' no ' )");
        check("“nice” — isn’t it", "“ nice ” — isn ’ t it");
    }

    #[test]
    fn odd_lines_are_fine() {
        check("", "");
        check("   ", "");
        check(".", ".");
        check("'", "'");
        check("a\tb\u{a0}c", "a b c");
        check("!?*", "! ? *");
        check("--- --", "-- - --");
    }
}
