//! Which leaf of a parquet schema a place in a record is.

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::schema::types::{ColumnDescPtr, Type};

use super::parquet_file::ParquetFile;
use super::selector::{Selector, Shape, Step};

/// The leaf that holds the texts at some place, and another that says which of them are meant.
#[derive(Debug, Clone)]
pub(super) struct Leaves {
    pub(super) texts: Leaf,
    pub(super) condition: Option<(Leaf, String)>,
}

/// One leaf of a schema.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) index: usize,
    pub(super) column: ColumnDescPtr,
}

impl Leaves {
    /// Finds `place` in the schema of `file`.
    ///
    /// # Errors
    /// What stands there instead of texts.
    pub(super) fn find(file: &ParquetFile, place: &Selector) -> Result<Self, String> {
        let root = file
            .field(&place.column)
            .ok_or_else(|| format!("there is no column '{}'", place.column))?;
        let mut walk = Walk::new(root);
        let mut condition = None;
        for step in &place.steps {
            match step {
                Step::Each => walk.enter_list(),
                Step::Key(key) => walk.enter_key(key, place)?,
                Step::Where { key, value } => {
                    walk.enter_list();
                    let mut aside = walk.clone();
                    aside.enter_key(key, place)?;
                    if condition.replace((aside, value.clone())).is_some() {
                        return Err(format!("'{place}' has two conditions, and one is read"));
                    }
                }
            }
        }
        let condition = condition.map(|(walk, value)| Ok::<_, String>((walk.leaf(file)?, value)));
        Ok(Self {
            texts: walk.leaf(file)?,
            condition: condition.transpose()?,
        })
    }
}

/// The shape of a column; structs with `bytes` or `path`, as pictures are stored, count as plain.
pub(super) fn shape(field: &Type) -> Shape {
    let mut walk = Walk::new(field);
    walk.enter_list();
    let is_list = walk.parts.len() > 1 || field_repeats(field);
    match (walk.at.is_primitive(), is_list) {
        (true, _) => Shape::Plain,
        (false, true) => Shape::Objects(keys(walk.at)),
        (false, false) if holds_picture(walk.at) => Shape::Plain,
        (false, false) => Shape::Object(keys(walk.at)),
    }
}

fn holds_picture(group: &Type) -> bool {
    let mut parts = group.get_fields().iter();
    parts.any(|part| part.is_primitive() && ["bytes", "path"].contains(&part.name()))
}

fn keys(group: &Type) -> Vec<String> {
    let names = group.get_fields().iter().map(|part| part.name().to_owned());
    names.collect()
}

/// A way down a schema.
#[derive(Clone)]
struct Walk<'a> {
    at: &'a Type,
    parts: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Type) -> Self {
        Self {
            at: root,
            parts: vec![root.name().to_owned()],
        }
    }

    /// Goes into lists, as deep as they are nested.
    fn enter_list(&mut self) {
        while let Some((names, element)) = element_of(self.at) {
            self.parts.extend(names);
            self.at = element;
        }
    }

    fn enter_key(&mut self, key: &str, place: &Selector) -> Result<(), String> {
        self.enter_list();
        let parts = if self.at.is_primitive() {
            &[]
        } else {
            self.at.get_fields()
        };
        let Some(part) = parts.iter().find(|part| part.name() == key) else {
            let there = match parts {
                [] => "no parts".to_owned(),
                _ => keys(self.at).join(", "),
            };
            return Err(format!("'{place}' leads to '{key}', and there is {there}"));
        };
        self.at = part;
        self.parts.push(key.to_owned());
        Ok(())
    }

    fn leaf(mut self, file: &ParquetFile) -> Result<Leaf, String> {
        self.enter_list();
        if !self.at.is_primitive() {
            let mut parts = self.at.get_fields().iter();
            let path = parts.find(|part| part.name() == "path" && part.is_primitive());
            let Some(path) = path else {
                return Err(format!(
                    "column '{}' holds objects with the keys {}",
                    self.parts[0],
                    keys(self.at).join(", ")
                ));
            };
            self.at = path;
            self.parts.push("path".into());
        }
        let found = file.leaf(&self.parts);
        let (index, column) =
            found.ok_or_else(|| format!("column '{}' has no such part", self.parts[0]))?;
        if let Some(kind) = unreadable(self.at) {
            return Err(format!(
                "column '{}' holds {kind}, which are not texts",
                column.path().string()
            ));
        }
        Ok(Leaf { index, column })
    }
}

/// The element of a list, and the names on the way to it; `None` when `node` is no list.
pub(super) fn element_of(node: &Type) -> Option<(Vec<String>, &Type)> {
    if node.is_primitive() || !is_list(node) {
        return None;
    }
    let [repeated] = node.get_fields() else {
        return None;
    };
    let repeated: &Type = repeated;
    let name = repeated.name().to_owned();
    let is_element = repeated.is_primitive()
        || repeated.get_fields().len() != 1
        // As old writers call elements that are structs of one field.
        || name == "array"
        || name == format!("{}_tuple", node.name());
    if is_element {
        return Some((vec![name], repeated));
    }
    let element: &Type = &repeated.get_fields()[0];
    Some((vec![name, element.name().to_owned()], element))
}

fn is_list(node: &Type) -> bool {
    let info = node.get_basic_info();
    info.converted_type() == ConvertedType::LIST
        || info.logical_type_ref() == Some(&LogicalType::List)
}

fn field_repeats(field: &Type) -> bool {
    let info = field.get_basic_info();
    info.has_repetition() && info.repetition() == Repetition::REPEATED
}

/// What values of this type are, when they cannot be read as text.
fn unreadable(leaf: &Type) -> Option<&'static str> {
    let logical = leaf.get_basic_info().logical_type_ref();
    match (leaf.get_physical_type(), logical) {
        (_, Some(LogicalType::Date | LogicalType::Time(_) | LogicalType::Timestamp(_)))
        | (Physical::INT96, _) => Some("dates or times"),
        (_, Some(LogicalType::Decimal(_))) => Some("decimal numbers"),
        (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid)) => None,
        (Physical::FIXED_LEN_BYTE_ARRAY, _) => Some("bytes of fixed length"),
        _ => None,
    }
}
