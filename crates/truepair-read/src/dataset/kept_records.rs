//! A table without some of its records; those that stay are written as they were.

use std::collections::HashMap;
use std::path::Path;

use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};

use super::json_lines;
use super::json_list::Document;
use super::parquet_copy::{Kept, copy};
use super::records::{Kind, Source};
use super::write::link_as;
use crate::text_file::{pack, packing_named_by};

/// Writes the records of the table `source` whose flag in `stays` `[n_records]` is set to `target`: a link
/// where all stay.
///
/// # Errors
/// If `source` cannot be read again or `target` not written.
pub(super) fn write(source: &Path, stays: &[bool], target: &Path) -> Result<()> {
    if stays.iter().all(|stays| *stays) {
        return link_as(source, target).map(|_| ());
    }
    let folder = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|cause| Error::io(folder, "create", cause))?;
    let mut flags = stays.iter().copied();
    let mut next = || flags.next().unwrap_or(true);
    let bytes = match Kind::require(source)? {
        Kind::Parquet => {
            let kept = Kept {
                records: stays.to_vec(),
                parts: HashMap::new(),
            };
            return copy(source, &kept, target);
        }
        Kind::JsonLines => {
            let mut text = String::new();
            for entry in json_lines::entries(source)? {
                let entry = entry?;
                if next() {
                    text += &entry.text;
                    text.push('\n');
                }
            }
            text.into_bytes()
        }
        Kind::JsonList => elements(source, &mut next)?.into_bytes(),
        Kind::Csv | Kind::Tsv => separated(source, &mut next)?,
    };
    let bytes = pack(packing_named_by(target), bytes);
    let bytes = bytes.map_err(|cause| Error::io(target, "pack", cause))?;
    durable::write(target, &bytes)
}

fn separated(source: &Path, next: &mut dyn FnMut() -> bool) -> Result<Vec<u8>> {
    let opened = Source::open(source, &|_| true)?;
    let mut bytes = Vec::new();
    if let Some(table) = &opened.delimited {
        bytes.clone_from(&table.head);
        table.for_each_raw(|record| {
            if next() {
                bytes.extend(table.written_again(&record, &[]));
            }
            Ok(())
        })?;
    }
    Ok(bytes)
}

fn elements(source: &Path, next: &mut dyn FnMut() -> bool) -> Result<String> {
    let document = Document::read(source)?;
    let (mut text, mut copied) = (String::new(), 0);
    for list in document.of_split(None) {
        let elements = document.elements(list).map_err(|(_, problem)| {
            Error::data(
                source,
                Place::Whole,
                problem,
                "check that the file is whole",
            )
        })?;
        text += &document.text[copied..list.inside.start];
        copied = list.inside.end;
        let kept = elements.into_iter().filter(|_| next());
        let kept: Vec<&str> = kept.map(|range| &document.text[range]).collect();
        text += &kept.join(",\n");
    }
    text += &document.text[copied..];
    Ok(text)
}
