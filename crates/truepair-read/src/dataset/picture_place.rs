//! Which column of a parquet table holds the bytes of its pictures, and what names them.

use std::path::Path;

use truepair_core::error::Result;

use super::ReadOptions;
use super::cell::Cell;
use super::parquet_cells;
use super::parquet_file::ParquetFile;
use super::picture_column::holds_bytes;
use super::records::{Kind, Source};
use super::selector::{Selector, Step};
use super::table_columns::{ColumnChoice, Columns, PICTURE_ROLE, open_source};

/// Columns that name a picture whose bytes stand beside them, best first.
const NAMES: &[&str] = &[
    "image_id",
    "img_id",
    "id",
    "uid",
    "key",
    "__key__",
    "filename",
    "file_name",
    "image_path",
    "url",
];

/// Opens a table whose images are its pictures: those it holds as bytes, or files that it names.
///
/// # Errors
/// If no column holds or names images, several may hold them, or there are no captions.
pub(super) fn open_with_pictures(path: &Path, options: &ReadOptions) -> Result<(Source, Columns)> {
    if Kind::by_ending(path) != Some(Kind::Parquet) {
        return Columns::open(path, options);
    }
    let file = ParquetFile::open(path)?;
    let source = open_source(path, options)?;
    let mut choice = ColumnChoice::new(path, &source);
    let Some(column) = column_of_bytes(&file, &mut choice, options)? else {
        return Columns::open(path, options);
    };
    let named = name_of(&file, &choice, &column)?;
    if let Some(named) = named.as_ref().filter(|named| named.column != column) {
        choice.account.chose(format!(
            "images, which stand in column '{column}', are called by column '{named}'"
        ));
    }
    let taken: Vec<&String> = [Some(&column), named.as_ref().map(|named| &named.column)]
        .into_iter()
        .flatten()
        .collect();
    let captions = choice.captions(options, &taken)?;
    choice.account.read_as(PICTURE_ROLE, &column);
    let mut columns = choice.columns_of(named, captions, options)?;
    columns.pictures = Some(column);
    let columns = columns.with_the_rest(source.columns(), &[]);
    Ok((source, columns))
}

/// The column that holds pictures: the one that the caller named or whose name says so, or the only
/// one of bytes.
fn column_of_bytes(
    file: &ParquetFile,
    choice: &mut ColumnChoice<'_>,
    options: &ReadOptions,
) -> Result<Option<String>> {
    let of_bytes = |name: &str| file.field(name).is_some_and(|field| holds_bytes(field));
    let all = file.fields().iter().map(|field| field.name());
    let found: Vec<&str> = all.filter(|name| of_bytes(name)).collect();
    if found.is_empty() {
        return Ok(None);
    }
    if options.image_column.is_some() {
        let named = choice.image(options)?.map(|place| place.column);
        return Ok(named.filter(|name| of_bytes(name)));
    }
    let is_picture = |name: &&&str| {
        PICTURES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    };
    let known: Vec<&&str> = found.iter().filter(is_picture).collect();
    match (&known[..], &found[..]) {
        ([only], others) => {
            if others.len() > 1 {
                let others = others.iter().filter(|name| *name != *only);
                let others: Vec<String> = others.map(|name| format!("'{name}'")).collect();
                choice.account.chose(format!(
                    "pictures are those in column '{only}', not in {}",
                    others.join(", ")
                ));
            }
            Ok(Some((**only).to_owned()))
        }
        ([], [only]) => Ok(Some((*only).to_owned())),
        _ => {
            let problem = format!("columns {} hold bytes", found.join(", "));
            let remedy = "say which of them holds the images: --image-column";
            Err(choice.missing(&problem, remedy))
        }
    }
}

/// Names of columns of pictures.
const PICTURES: &[&str] = &["image", "img", "jpg", "jpeg", "png", "webp", "picture"];

/// What names the pictures in `column`: the path beside their bytes, where it is filled, or another
/// column.
fn name_of(
    file: &ParquetFile,
    choice: &ColumnChoice<'_>,
    column: &str,
) -> Result<Option<Selector>> {
    let field = file.field(column).filter(|field| !field.is_primitive());
    let has_path = field.is_some_and(|field| {
        let mut parts = field.get_fields().iter();
        parts.any(|part| part.name() == "path")
    });
    if has_path {
        let path = Selector {
            column: column.to_owned(),
            steps: vec![Step::Key("path".into())],
        };
        let first = parquet_cells::first(file.path(), std::slice::from_ref(&path));
        // A column of nulls may have no type that can be read.
        let first = first.ok().flatten().and_then(|mut cells| cells.pop());
        if matches!(first, Some(Cell::One(_))) {
            return Ok(Some(path));
        }
    }
    Ok(choice.any_of(NAMES))
}
