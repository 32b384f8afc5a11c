//! What a cell looks like, where nothing else tells a record from names of columns or from the
//! second line of a caption.

use super::super::pictures::is_picture;

/// Kinds of cells that can be told apart without knowing what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Look {
    /// It begins with a quotation mark.
    Quoted,
    /// An address of the web or of a store.
    Address,
    /// The name of a picture.
    Picture,
    /// Digits.
    Number,
    /// Letters without a space between.
    Word,
    /// Anything else.
    Text,
}

impl Look {
    /// The look of one cell as it stands in the file.
    pub(super) fn of(cell: &[u8]) -> Self {
        let text = String::from_utf8_lossy(cell);
        let text = text.trim();
        let spaced = text.contains(char::is_whitespace);
        if text.starts_with('"') {
            Self::Quoted
        } else if spaced {
            Self::Text
        } else if text.contains("://") {
            Self::Address
        } else if is_picture(text.as_ref()) {
            Self::Picture
        } else if text.parse::<f64>().is_ok() {
            Self::Number
        } else {
            Self::Word
        }
    }

    /// The look of a cell without marks around it.
    pub(in super::super) fn of_cell(cell: &str) -> Self {
        Self::of(cell.as_bytes())
    }

    /// Whether few texts would look so by chance.
    fn is_distinctive(self) -> bool {
        matches!(
            self,
            Self::Quoted | Self::Address | Self::Picture | Self::Number
        )
    }

    /// Whether a cell of this look names an image.
    pub(in super::super) fn is_of_images(self) -> bool {
        matches!(self, Self::Address | Self::Picture)
    }
}

/// Whether the cells of a first line are those of a record: names of columns are no addresses, no
/// files and no sentences beside numbers.
pub(super) fn are_of_a_record(cells: &[String]) -> bool {
    let looks = || cells.iter().map(|cell| Look::of(cell.as_bytes()));
    let has_sentence = cells
        .iter()
        .any(|cell| cell.split_whitespace().count() >= 3);
    looks().any(Look::is_of_images) || (has_sentence && looks().any(|look| look == Look::Number))
}

/// The look that nine of ten cells of a column share, column by column; `None` where they differ.
pub(super) fn of_columns(rows: &[Vec<Look>]) -> Vec<Option<Look>> {
    let n_columns = rows.first().map_or(0, Vec::len);
    let of_column = |column: usize| {
        let count = |look: Look| rows.iter().filter(|row| row[column] == look).count();
        let first = rows.iter().map(|row| row[column]);
        first
            .max_by_key(|look| count(*look))
            .filter(|look| 10 * count(*look) >= 9 * rows.len())
    };
    (0..n_columns).map(of_column).collect()
}

/// How much a line looks like a record of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// It has other fields.
    None,
    /// It has as many fields as a record, and no column tells more.
    Weak,
    /// Its cells look like those of their columns.
    Strong,
}

impl Likeness {
    /// Compares a line with `columns`, as [`of_columns`] describes them.
    pub(super) fn of_line(line: &[u8], separator: u8, columns: &[Option<Look>]) -> Self {
        let cells: Vec<&[u8]> = line.split(|byte| *byte == separator).collect();
        if cells.len() != columns.len() {
            return Self::None;
        }
        let told = |look: &Look| look.is_distinctive();
        let mut distinctive = cells
            .iter()
            .zip(columns)
            .filter_map(|(cell, look)| Some((cell, look.filter(told)?)))
            .peekable();
        if distinctive.peek().is_none() {
            return Self::Weak;
        }
        match distinctive.all(|(cell, look)| Look::of(cell) == look) {
            true => Self::Strong,
            false => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_that_are_records_are_told_from_names() {
        let is_record = |line: &str| {
            let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
            are_of_a_record(&cells)
        };
        assert!(is_record("a red square\thttp://x/1.jpg"));
        assert!(is_record("1.JPG\tred"));
        assert!(is_record("1000092795\ttwo young guys"));
        assert!(!is_record("photo\twords"));
        assert!(!is_record("0\t1"));
        assert!(!is_record("alt text\tpage title\tjpg"));
    }

    #[test]
    fn a_second_line_of_a_caption_is_no_record() {
        let rows: Vec<Vec<Look>> = ["a.jpg,one two", "b.jpg,three", "c.jpg,four five"]
            .iter()
            .map(|row| {
                row.split(',')
                    .map(|cell| Look::of(cell.as_bytes()))
                    .collect()
            })
            .collect();
        let columns = of_columns(&rows);
        assert_eq!(columns, [Some(Look::Picture), None]);
        let like = |line: &str| Likeness::of_line(line.as_bytes(), b',', &columns);
        assert_eq!(like("d.jpg,\""), Likeness::Strong);
        assert_eq!(like("However, it runs.\""), Likeness::None);
        assert_eq!(like("d.jpg"), Likeness::None);
        let like = |line: &str| Likeness::of_line(line.as_bytes(), b',', &[None, None]);
        assert_eq!(like("b,two\""), Likeness::Weak);
    }
}
