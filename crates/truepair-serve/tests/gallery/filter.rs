//! The gallery's filters: comparisons of a column with a value, joined by `and`.

use std::collections::BTreeMap;

use truepair_serve::{Cell, Reason, Refusal};

pub(super) struct Filter(Vec<(String, char, String)>);

impl Filter {
    pub(super) fn read(text: &str) -> Result<Self, Refusal> {
        let parts = text.split(" and ").map(|part| {
            let at = part.find(['=', '<', '>']);
            let Some(at) = at else {
                return Err(bad(&format!("`{part}` is no comparison")));
            };
            let name = part[..at].trim();
            if !["color", "source", "width", "outdoors"].contains(&name) {
                return Err(bad(&format!("there is no column `{name}`")));
            }
            let value = part[at + 1..].trim().trim_matches('"');
            let sign = part[at..].chars().next().unwrap_or('=');
            Ok((name.to_owned(), sign, value.to_owned()))
        });
        Ok(Self(parts.collect::<Result<_, _>>()?))
    }

    pub(super) fn holds(&self, columns: &BTreeMap<String, Cell>) -> bool {
        self.0
            .iter()
            .all(|(name, sign, value)| match columns.get(name) {
                Some(Cell::Text(own)) => own == value,
                Some(Cell::Boolean(own)) => value.parse() == Ok(*own),
                Some(Cell::Integer(own)) => value.parse().is_ok_and(|value: i64| match sign {
                    '<' => *own < value,
                    '>' => *own > value,
                    _ => *own == value,
                }),
                _ => false,
            })
    }
}

fn bad(message: &str) -> Refusal {
    Refusal::new(
        Reason::BadFilter,
        message,
        "columns are color, source, width and outdoors, as in: source = \"web\" and width > 512",
    )
}
