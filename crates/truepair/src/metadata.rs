//! What a table says of images besides their captions: columns to filter by.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use truepair_index::{Item, Value};
use truepair_read::dataset::PlainTable;

use crate::render;

/// Names under which a table may name its images, in the order in which they are looked for.
const ID_COLUMNS: [&str; 8] = [
    "id",
    "image_id",
    "image",
    "file_name",
    "filename",
    "filepath",
    "path",
    "key",
];

/// The records of a metadata table by image.
#[derive(Debug)]
pub(crate) struct Metadata {
    path: PathBuf,
    columns: Vec<String>,
    of_image: HashMap<String, Vec<Option<Value>>>,
}

impl Metadata {
    /// Reads a table; `id_column` names the column with the images' ids, found by its name otherwise.
    ///
    /// # Errors
    /// If the file is no table, has no such column, or names an image twice.
    pub(crate) fn read(path: &Path, id_column: Option<&str>) -> Result<Self> {
        let table = PlainTable::read(path, None)?;
        let place = path.display();
        let named = match id_column {
            Some(name) => table.column(name),
            None => ID_COLUMNS.iter().find_map(|name| table.column(name)),
        };
        let Some(key) = named else {
            bail!(
                "{place}: none of its columns ({}) names the images (say which with --metadata-id)",
                table.columns.join(", ")
            )
        };
        let kinds: Vec<Kind> = (0..table.columns.len())
            .map(|column| Kind::of(&table, column))
            .collect();
        let others: Vec<usize> = (0..table.columns.len())
            .filter(|&column| column != key)
            .collect();
        let mut of_image = HashMap::new();
        for (record, cells) in table.records.iter().enumerate() {
            let Some(id) = cells[key].clone() else {
                bail!(
                    "{place}: record {}: names no image in column `{}`",
                    record + 1,
                    table.columns[key]
                )
            };
            let values = others.iter().map(|&column| {
                cells[column]
                    .as_deref()
                    .map(|text| kinds[column].value(text))
            });
            if of_image.insert(id.clone(), values.collect()).is_some() {
                bail!(
                    "{place}: record {}: the image `{id}` stands there twice (give each image one record)",
                    record + 1
                )
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            columns: others
                .iter()
                .map(|&column| table.columns[column].clone())
                .collect(),
            of_image,
        })
    }

    /// Gives every item its columns, and says how many it knows; images that the table does not name have none.
    pub(crate) fn add_to(&self, items: &mut [Item]) -> usize {
        let mut n_named = 0;
        for item in items.iter_mut() {
            let Some(values) = self.of_image.get(&item.id) else {
                continue;
            };
            n_named += 1;
            for (column, value) in self.columns.iter().zip(values) {
                if let Some(value) = value {
                    item.columns.insert(column.clone(), value.clone());
                }
            }
        }
        n_named
    }

    /// Says of how many of `n` images nothing is known; `example` is one of them.
    ///
    /// # Errors
    /// If nothing is known of any.
    pub(crate) fn check(&self, n_named: usize, n: usize, example: &str) -> Result<()> {
        let place = self.path.display();
        if let (0, Some(given)) = (n_named, self.of_image.keys().next()) {
            bail!(
                "{place}: names none of the images: `{given}` for instance, where the data has `{example}` (name the \
                 column with the data's ids by --metadata-id)"
            )
        }
        if n_named < n {
            render::note(&format!(
                "{place}: says nothing of {}",
                render::count(n - n_named, "image")
            ));
        }
        Ok(())
    }
}

/// What all values of a column can be read as.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    Int,
    Float,
    Text,
}

impl Kind {
    fn of(table: &PlainTable, column: usize) -> Self {
        let texts = || {
            table
                .records
                .iter()
                .filter_map(|cells| cells[column].as_deref())
        };
        let all = |is: &dyn Fn(&str) -> bool| texts().next().is_some() && texts().all(is);
        // Numbers with leading zeros are names.
        let is_name = |text: &str| {
            text.trim_start_matches('-').len() > 1
                && text.trim_start_matches('-').starts_with('0')
                && !text.contains('.')
        };
        if all(&|text| matches!(text, "true" | "false" | "True" | "False")) {
            Kind::Bool
        } else if all(&|text| text.parse::<i64>().is_ok() && !is_name(text)) {
            Kind::Int
        } else if all(&|text| text.parse::<f64>().is_ok_and(f64::is_finite) && !is_name(text)) {
            Kind::Float
        } else {
            Kind::Text
        }
    }

    fn value(self, text: &str) -> Value {
        match self {
            Kind::Bool => Value::Bool(text.eq_ignore_ascii_case("true")),
            Kind::Int => text
                .parse()
                .map_or_else(|_| Value::Text(text.to_owned()), Value::Int),
            Kind::Float => text
                .parse()
                .map_or_else(|_| Value::Text(text.to_owned()), Value::Float),
            Kind::Text => Value::Text(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn item(id: &str) -> Item {
        Item {
            id: id.to_owned(),
            text: None,
            picture: None,
            columns: BTreeMap::new(),
        }
    }

    fn read(content: &str) -> Result<Metadata> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("metadata.csv");
        std::fs::write(&file, content)?;
        Metadata::read(&file, None)
    }

    #[test]
    fn columns_have_the_type_of_all_their_values() {
        let metadata =
            read("image,width,score,zip,web,note\na,640,0.5,01234,true,x\nb,200,,99999,false,\n")
                .unwrap();
        let mut items = [item("a"), item("b"), item("c")];
        assert_eq!(metadata.add_to(&mut items), 2);
        let expected = [
            ("note", Value::Text("x".into())),
            ("score", Value::Float(0.5)),
            ("web", Value::Bool(true)),
            ("width", Value::Int(640)),
            ("zip", Value::Text("01234".into())),
        ];
        assert_eq!(
            items[0].columns,
            expected
                .map(|(name, value)| (name.to_owned(), value))
                .into()
        );
        assert_eq!(items[1].columns.len(), 3);
        assert!(items[2].columns.is_empty());
    }

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        for (content, expected) in [
            ("picture,width\na,1\n", "--metadata-id"),
            ("image,width\na,1\na,2\n", "twice"),
            ("image,width\n,1\n", "record 1"),
        ] {
            let error = format!("{:#}", read(content).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
        let metadata = read("image,width\nz,1\n").unwrap();
        let n_named = metadata.add_to(&mut [item("a")]);
        let error = metadata.check(n_named, 1, "a").unwrap_err();
        assert!(
            error.to_string().contains("where the data has `a`"),
            "{error}"
        );
    }
}
