//! Words to a condition.

use truepair_core::Result;

use super::expression::{Expression, Field, Literal, Operator};
use super::token::{Placed, Token, refuse, tokens};
use crate::item::Value;

/// Conditions inside conditions, so that no text exhausts the stack.
const MAX_DEPTH: usize = 64;
/// Words with a meaning of their own; columns of such a name stand in backticks.
const KEYWORDS: [&str; 8] = [
    "and", "or", "not", "in", "contains", "missing", "true", "false",
];

/// Reads a filter.
///
/// # Errors
/// If the text is no filter.
pub(super) fn parse(text: &str) -> Result<Expression> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
    };
    let expression = parser.any()?;
    match parser.peek() {
        Token::End => Ok(expression),
        _ => Err(parser.expected(
            "`and`, `or` or the end",
            "join two conditions by `and` or `or`",
        )),
    }
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    fn take(&mut self) -> Placed {
        let placed = self.tokens[self.next].clone();
        // The end stays.
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        placed
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(found) if found == word);
        if found {
            self.take();
        }
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(found) if *found == symbol);
        if found {
            self.take();
        }
        found
    }

    fn need_symbol(&mut self, symbol: &str) -> Result<()> {
        match self.take_symbol(symbol) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{symbol}`"), "close what was opened")),
        }
    }

    fn expected(&self, what: &str, remedy: &str) -> truepair_core::Error {
        let found = self.peek();
        refuse(self.at(), format!("expected {what}, found {found}"), remedy)
    }

    fn any(&mut self) -> Result<Expression> {
        let mut parts = vec![self.all()?];
        while self.take_word("or") {
            parts.push(self.all()?);
        }
        Ok(single(parts, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression> {
        let mut parts = vec![self.one()?];
        while self.take_word("and") {
            parts.push(self.one()?);
        }
        Ok(single(parts, Expression::All))
    }

    fn one(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let problem = format!("conditions stand in one another more than {MAX_DEPTH} deep");
            return Err(refuse(self.at(), problem, "take parentheses away"));
        }
        let expression = if self.take_word("not") {
            Expression::Not(Box::new(self.one()?))
        } else if self.take_symbol("(") {
            let inner = self.any()?;
            self.need_symbol(")")?;
            inner
        } else if self.take_word("missing") {
            self.need_symbol("(")?;
            let field = self.field()?;
            self.need_symbol(")")?;
            Expression::Missing(field)
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Expression> {
        let field = self.field()?;
        if self.take_word("in") {
            return Ok(Expression::In(field, self.list()?));
        }
        if self.take_word("contains") {
            return Ok(Expression::Contains(field, self.literal()?));
        }
        let operator = match self.peek() {
            Token::Symbol(symbol) => Operator::of(symbol),
            _ => None,
        };
        let Some(operator) = operator else {
            let operators = "=, !=, <, <=, >, >=, `in` or `contains`";
            return Err(self.expected(operators, "say what the column is compared with"));
        };
        self.take();
        Ok(Expression::Compare(field, operator, self.literal()?))
    }

    fn field(&mut self) -> Result<Field> {
        let at = self.at();
        let name = match self.peek() {
            Token::Name(name) => name.clone(),
            Token::Word(word) if !KEYWORDS.contains(&word.as_str()) => word.clone(),
            _ => {
                return Err(
                    self.expected("a column", "begin with a column, `not`, `missing` or `(`")
                );
            }
        };
        self.take();
        Ok(Field { name, at })
    }

    fn list(&mut self) -> Result<Vec<Literal>> {
        self.need_symbol("(")?;
        let mut literals = vec![self.literal()?];
        while self.take_symbol(",") {
            literals.push(self.literal()?);
        }
        self.need_symbol(")")?;
        Ok(literals)
    }

    fn literal(&mut self) -> Result<Literal> {
        let at = self.at();
        let value = match self.peek() {
            Token::Text(text) => Value::Text(text.clone()),
            Token::Int(number) => Value::Int(*number),
            Token::Float(number) => Value::Float(*number),
            Token::Word(word) if word == "true" => Value::Bool(true),
            Token::Word(word) if word == "false" => Value::Bool(false),
            Token::Word(word) if !KEYWORDS.contains(&word.as_str()) => {
                let remedy = format!("text stands in quotes: \"{word}\"");
                return Err(self.expected("a value", &remedy));
            }
            _ => {
                return Err(
                    self.expected("a value", "a value is \"text\", a number, true or false")
                );
            }
        };
        self.take();
        Ok(Literal { value, at })
    }
}

fn single(
    mut parts: Vec<Expression>,
    several: impl FnOnce(Vec<Expression>) -> Expression,
) -> Expression {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => several(parts),
    }
}
