//! The words of a filter.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use truepair_core::{Error, Result};

/// A word of a filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name, or a keyword.
    Word(String),
    /// A name in backticks.
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Symbol(&'static str),
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => write!(f, "`{word}`"),
            Token::Name(name) => write!(f, "the column `{name}`"),
            Token::Text(text) => write!(f, "the text \"{text}\""),
            Token::Int(number) => write!(f, "`{number}`"),
            Token::Float(number) => write!(f, "`{number}`"),
            Token::Symbol(symbol) => write!(f, "`{symbol}`"),
            Token::End => write!(f, "the end"),
        }
    }
}

/// A word and the character that it begins with, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
}

/// Symbols, longer ones before those that they begin with.
const SYMBOLS: [&str; 10] = ["!=", "<=", ">=", "==", "=", "<", ">", "(", ")", ","];

/// An error at a character of a filter.
pub(super) fn refuse(at: usize, problem: impl fmt::Display, remedy: &str) -> Error {
    Error::argument(format!("filter, character {at}: {problem}"), remedy)
}

/// Splits a filter into words; the last one is the end.
///
/// # Errors
/// If a text is not closed, a number is none or a character means nothing.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>> {
    let mut reader = Reader {
        chars: text.chars().peekable(),
        at: 1,
    };
    let mut tokens = Vec::new();
    loop {
        while reader.take_if(char::is_whitespace).is_some() {}
        let at = reader.at;
        let token = reader.token(at)?;
        let ended = token == Token::End;
        tokens.push(Placed { token, at });
        if ended {
            return Ok(tokens);
        }
    }
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self) -> Option<char> {
        self.at += 1;
        self.chars.next()
    }

    fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let next = self.chars.next_if(|next| wanted(*next));
        self.at += usize::from(next.is_some());
        next
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.take_if(&wanted)).collect()
    }

    fn token(&mut self, at: usize) -> Result<Token> {
        let Some(&next) = self.chars.peek() else {
            return Ok(Token::End);
        };
        match next {
            '"' | '\'' | '`' => {
                let text = self.quoted(at)?;
                Ok(if next == '`' {
                    Token::Name(text)
                } else {
                    Token::Text(text)
                })
            }
            _ if next.is_ascii_digit() || matches!(next, '-' | '+' | '.') => self.number(at),
            _ if next.is_alphabetic() || next == '_' => {
                let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
                Ok(Token::Word(self.take_while(in_word)))
            }
            _ => self.symbol(at, next),
        }
    }

    fn quoted(&mut self, at: usize) -> Result<String> {
        let quote = self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                next if next == quote => return Ok(text),
                Some('\\') if quote != Some('`') => text.extend(self.take()),
                Some(next) => text.push(next),
                None => {
                    let remedy = "end it with the quote that it begins with";
                    return Err(refuse(at, "this text does not end", remedy));
                }
            }
        }
    }

    fn number(&mut self, at: usize) -> Result<Token> {
        let in_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_');
        let text = self.take_while(in_number);
        if let Ok(number) = text.parse::<i64>() {
            return Ok(Token::Int(number));
        }
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.map(Token::Float).ok_or_else(|| {
            let remedy = "write 512, -3, 0.25 or 1e6, and text in quotes";
            refuse(at, format!("`{text}` is no number"), remedy)
        })
    }

    fn symbol(&mut self, at: usize, next: char) -> Result<Token> {
        self.take();
        let longer = format!("{next}{}", self.chars.peek().copied().unwrap_or(' '));
        let found = |text: &str| SYMBOLS.into_iter().find(|symbol| *symbol == text);
        if let Some(symbol) = found(&longer) {
            self.take();
            return Ok(Token::Symbol(symbol));
        }
        found(&next.to_string()).map(Token::Symbol).ok_or_else(|| {
            let remedy =
                "a filter is made of names, values, =, !=, <, <=, >, >=, parentheses and words";
            refuse(at, format!("`{next}` means nothing here"), remedy)
        })
    }
}
