//! Crisscrossed Captions: human similarity of image and caption, read as relevance.

use std::path::Path;

use truepair_core::error::{Error, Place, Result};
use truepair_core::relevance::Judgments;

use crate::text_file::open_regular;

/// Mean rating from which a pair is relevant, on a scale of 0 to 5.
const RELEVANT: f64 = 3.0;

/// Reads `sits_{split}.csv`; queries are images, by the number of their file, and items are
/// captions, by the number of their sentence. Original pairs that people rated below 3 are not
/// relevant; rows with fewer than four fields are skipped, since a published file ends with one.
///
/// # Source
/// Parekh et al., EACL 2021; file and threshold read at
/// google-research-datasets/Crisscrossed-Captions@7d6634b and in the `eccv_caption` evaluator,
/// whose lists this rule gives exactly.
///
/// # Errors
/// If the file cannot be read, has other columns, or a row holds no ids or no number; the record is
/// named.
pub fn read_cxc(path: &Path) -> Result<Judgments> {
    let failed = |cause: csv::Error| {
        Error::data(
            path,
            Place::Whole,
            cause.to_string(),
            "give sits_test.csv or sits_val.csv of Crisscrossed Captions",
        )
    };
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(open_regular(path)?);
    let header = reader.headers().map_err(failed)?.clone();
    let columns: Option<Vec<usize>> = ["caption", "image", "agg_score", "sampling_method"]
        .iter()
        .map(|name| header.iter().position(|column| column == *name))
        .collect();
    let Some(columns) = columns else {
        return Err(Error::data(
            path,
            Place::Line(1),
            "no columns caption, image, agg_score and sampling_method",
            "give sits_test.csv or sits_val.csv of Crisscrossed Captions",
        ));
    };
    let mut queries: Vec<(String, Vec<String>)> = Vec::new();
    let mut place = std::collections::HashMap::new();
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(failed)?;
        if record.len() < 4 {
            continue;
        }
        let row = Row::parse(&record, &columns).ok_or_else(|| {
            Error::data(
                path,
                Place::Record(at as u64 + 1),
                format!("{record:?} holds no sentence, image and rating"),
                "download the file again",
            )
        })?;
        if row.rating < RELEVANT {
            continue;
        }
        let at = *place.entry(row.image.clone()).or_insert_with(|| {
            queries.push((row.image, Vec::new()));
            queries.len() - 1
        });
        queries[at].1.push(row.caption);
    }
    let mut judgments = Judgments::new(path);
    for (image, captions) in queries {
        judgments.add(&image, captions)?;
    }
    Ok(judgments)
}

struct Row {
    image: String,
    caption: String,
    rating: f64,
}

impl Row {
    /// `COCO_val2014:sentid:732091`, `COCO_val2014_000000365325.jpg`, `2.2`.
    fn parse(record: &csv::StringRecord, columns: &[usize]) -> Option<Self> {
        let field = |column: usize| record.get(columns[column]);
        let caption = field(0)?.rsplit(':').next()?.parse::<u64>().ok()?;
        let stem = field(1)?.split('.').next()?;
        let image = stem.rsplit('_').next()?.parse::<u64>().ok()?;
        Some(Self {
            image: image.to_string(),
            caption: caption.to_string(),
            rating: field(2)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Judgments> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sits.csv");
        std::fs::write(&path, text).unwrap();
        read_cxc(&path)
    }

    const HEADER: &str = "caption,image,agg_score,sampling_method\n";

    #[test]
    fn ratings_from_three_on_are_relevant() {
        let rows = "COCO_val2014:sentid:7,COCO_val2014_000000000012.jpg,3.0,c2i_original\n\
                    COCO_val2014:sentid:8,COCO_val2014_000000000012.jpg,2.99,c2i_original\n\
                    COCO_val2014:sentid:9,COCO_val2014_000000000012.jpg,4.5,c2i_intrasim\nC\n";
        let found = read(&format!("{HEADER}{rows}")).unwrap();
        let lists: Vec<(&str, Vec<&str>)> = (found.queries())
            .map(|(query, items)| (query, items.collect()))
            .collect();
        assert_eq!(lists, [("12", vec!["7", "9"])]);
    }

    #[test]
    fn other_tables_and_rows_are_refused() {
        let error = read("a,b\n1,2\n").unwrap_err().to_string();
        assert!(error.contains("sits.csv:1: no columns caption"), "{error}");
        let error = read(&format!("{HEADER}x,y,z,w\n")).unwrap_err().to_string();
        assert!(error.contains("record 1"), "{error}");
    }
}
