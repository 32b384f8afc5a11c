//! The dictionary in a header of `.npy`, a literal of Python as NumPy, Python 2 and other writers put
//! it: with either quotation mark, `u''`, `3L`, lists for tuples, and keys in any order.

/// A value of the dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A text.
    Text(String),
    /// `True` or `False`.
    Flag(bool),
    /// Lengths of axes.
    Axes(Vec<usize>),
    /// Anything between brackets that is none of these.
    Nested,
}

/// The keys and values; `None` when the text is no dictionary of such values, or a key stands twice.
pub(super) fn parse(text: &str) -> Option<Vec<(String, Item)>> {
    let mut input = Input(text.trim_end_matches(['\0', ' ', '\n', '\r', '\t']));
    let mut items: Vec<(String, Item)> = Vec::new();
    input.take("{").then_some(())?;
    while !input.take("}") {
        let key = input.text()?;
        input.take(":").then_some(())?;
        let item = input.item()?;
        if items.iter().any(|(name, _)| *name == key) {
            return None;
        }
        items.push((key, item));
        if !input.take(",") && !input.0.trim_start().starts_with('}') {
            return None;
        }
    }
    input.0.trim().is_empty().then_some(items)
}

/// What is left to read.
struct Input<'a>(&'a str);

impl Input<'_> {
    fn take(&mut self, word: &str) -> bool {
        match self.0.trim_start().strip_prefix(word) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// A text between quotation marks, `u` or `b` before them.
    fn text(&mut self) -> Option<String> {
        let rest = self.0.trim_start().trim_start_matches(['u', 'U', 'b', 'B']);
        let mark = rest
            .chars()
            .next()
            .filter(|mark| ['\'', '"'].contains(mark))?;
        let (text, rest) = rest[1..].split_once(mark)?;
        self.0 = rest;
        Some(text.to_owned())
    }

    fn item(&mut self) -> Option<Item> {
        if let Some(text) = self.text() {
            return Some(Item::Text(text));
        }
        for (word, flag) in [
            ("True", true),
            ("true", true),
            ("False", false),
            ("false", false),
        ] {
            if self.take(word) {
                return Some(Item::Flag(flag));
            }
        }
        if self.take("(") {
            return self.nested(')');
        }
        if self.take("[") {
            return self.nested(']');
        }
        self.number().map(|axis| Item::Axes(vec![axis]))
    }

    /// A whole number; Python 2 writes an `L` behind long ones.
    fn number(&mut self) -> Option<usize> {
        let rest = self.0.trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number = rest[..end].parse().ok()?;
        self.0 = rest[end..].strip_prefix(['L', 'l']).unwrap_or(&rest[end..]);
        Some(number)
    }

    /// What stands before the bracket `close`.
    fn nested(&mut self, close: char) -> Option<Item> {
        let start = self.0;
        let close_text = close.to_string();
        let mut axes = Vec::new();
        loop {
            if self.take(&close_text) {
                return Some(Item::Axes(axes));
            }
            match self.number() {
                Some(axis) => axes.push(axis),
                None => break,
            }
            if !self.take(",") && !self.0.trim_start().starts_with(close) {
                break;
            }
        }
        self.0 = start;
        let mut depth = 1;
        let end = start.find(|c: char| {
            depth += i32::from(['(', '['].contains(&c)) - i32::from([')', ']'].contains(&c));
            depth == 0
        })?;
        self.0 = &start[end + 1..];
        Some(Item::Nested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writer_is_understood() {
        let expected = |axes: &[usize]| {
            Some(vec![
                ("descr".to_owned(), Item::Text("<f4".into())),
                ("fortran_order".to_owned(), Item::Flag(false)),
                ("shape".to_owned(), Item::Axes(axes.to_vec())),
            ])
        };
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }",
            "{'descr': u'<f4', 'fortran_order': False, 'shape': (3L, 4L)}   \n",
            "{\"descr\":\"<f4\",\"fortran_order\":false,\"shape\":[3,4]}\n\0\0",
            " {'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 3 , 4 , ) , } ",
        ] {
            assert_eq!(parse(text), expected(&[3, 4]), "{text}");
        }
        for (shape, axes) in [("(3,)", &[3][..]), ("()", &[]), ("3", &[3])] {
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
            assert_eq!(parse(&text), expected(axes), "{text}");
        }
        let records = parse("{'descr': [('a', '<f4', (2,))], 'shape': (-1, 2)}").unwrap();
        assert_eq!(records[0].1, Item::Nested);
        assert_eq!(records[1].1, Item::Nested);
    }

    #[test]
    fn what_is_no_dictionary_is_nothing() {
        for text in [
            "",
            "{",
            "{'descr'}",
            "{'descr': }",
            "{'a': 1 'b': 2}",
            "{'a': 1, 'a': 2}",
            "{'a': (1, 2}",
            "{'a': 1} more",
            "{'a': 99999999999999999999999}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
