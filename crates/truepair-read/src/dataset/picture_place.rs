//! Which column of a parquet table holds the bytes of its pictures, and what names them.

use truepair_core::dataset::Account;
use truepair_core::error::Result;

use super::ReadOptions;
use super::cell::Cell;
use super::parquet_cells;
use super::parquet_file::ParquetFile;
use super::picture_column::holds_bytes;
use super::records::Kind;
use super::selector::{Selector, Step};
use super::table_columns::{ColumnChoice, Columns};

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

/// The columns of a table whose images are its pictures: those it holds as bytes, or files that it
/// names.
///
/// # Errors
/// If no column holds or names images, several may hold them, or there are no captions.
pub(super) fn choose_pictures(
    choice: &ColumnChoice<'_>,
    options: &ReadOptions,
) -> Result<(Columns, Account)> {
    if Kind::of(choice.path()) != Some(Kind::Parquet) {
        return choice.choose(options);
    }
    let file = ParquetFile::open(choice.path())?;
    let Some(column) = column_of_bytes(&file, choice, options)? else {
        return choice.choose(options);
    };
    let mut account = Account::default();
    let named = name_of(&file, choice, &column)?;
    if let Some(named) = named.as_ref().filter(|named| named.column != column) {
        account.chose(format!(
            "images, which stand in column '{column}', are called by column '{named}'"
        ));
    }
    let taken: Vec<&String> = [Some(&column), named.as_ref().map(|named| &named.column)]
        .into_iter()
        .flatten()
        .collect();
    let (captions, chosen) = choice.captions(options, &taken)?;
    account.merge(chosen);
    if captions.is_empty() {
        return Err(choice.missing("no column of captions", "name the caption columns"));
    }
    let columns = Columns {
        image: named,
        pictures: Some(column),
        captions,
        split: choice.split(),
        id: choice.id(options)?,
    };
    columns.note(choice.names(), &mut account);
    Ok((columns, account))
}

/// The column that holds pictures: the one that the caller named or whose name says so, or the only
/// one of bytes.
fn column_of_bytes(
    file: &ParquetFile,
    choice: &ColumnChoice<'_>,
    options: &ReadOptions,
) -> Result<Option<String>> {
    let of_bytes = |name: &str| file.field(name).is_some_and(|field| holds_bytes(field));
    let by_name = choice.image(options)?.map(|place| place.column);
    if options.image_column.is_some() {
        return Ok(by_name.filter(|name| of_bytes(name)));
    }
    if let Some(name) = by_name.filter(|name| of_bytes(name)) {
        return Ok(Some(name));
    }
    let (captions, _) = choice.captions(options, &[]).unwrap_or_default();
    let is_caption = |name: &str| captions.iter().any(|place| place.column == name);
    let all = file.fields().iter().map(|field| field.name());
    let found: Vec<&str> = all
        .filter(|name| of_bytes(name) && !is_caption(name))
        .collect();
    match found[..] {
        [] => Ok(None),
        [only] => Ok(Some(only.to_owned())),
        _ => {
            let problem = format!("columns {} hold bytes", found.join(", "));
            Err(choice.missing(
                &problem,
                "say which of them holds the images: --image-column",
            ))
        }
    }
}

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
    Ok(choice.first_of(NAMES))
}
