//! What the program tells scripts: the kinds of objects that it prints or stores, each with a JSON Schema that
//! is made from its type.
//!
//! Fields may be added under the same version; one that goes, or changes its meaning, raises it.
//! Shares are fractions throughout, epochs are counted from 0, durations are in seconds.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use truepair_core::audit::Findings;
use truepair_core::noise::{LabelManifest, Manifest};
use truepair_train::EpochRecord;
use truepair_train::labeled::LabelEpoch;

use crate::audit::AuditSummary;
use crate::command::bench::BenchResult;
use crate::command::convert::Conversion;
use crate::command::demo::DemoResult;
use crate::command::embed::EmbedResult;
use crate::command::extend::ExtensionResult;
use crate::command::index::IndexResult;
use crate::command::inspect::Inspected;
use crate::command::labels::{Confusions, LabelAuditSummary, LabelComparison, LabelTrainResult};
use crate::command::score::ScoreResult;
use crate::command::search::SearchResult;
use crate::command::serve::Serving;
use crate::compare::{CellRecord, GridPlan, MethodComparison};
use crate::contents::Contents;
use crate::evaluation::outcome::Evaluation;
use crate::failure::Failure;
use crate::occlusion::Occlusion;
use crate::output::{FIELD, Output};
use crate::training::TrainResult;

/// One kind of object.
pub(crate) struct SchemaRow {
    /// Name and version, as its objects say it.
    pub(crate) name: &'static str,
    /// Where such objects are found.
    pub(crate) about: &'static str,
    document: fn() -> Value,
}

impl SchemaRow {
    fn of<T: Output + JsonSchema>(about: &'static str) -> Self {
        Self {
            name: T::SCHEMA,
            about,
            document: document::<T>,
        }
    }

    /// Its JSON Schema, draft 2020-12.
    pub(crate) fn document(&self) -> Value {
        (self.document)()
    }

    /// The name without the program's, for instance `audit-1`.
    pub(crate) fn short_name(&self) -> String {
        let own = self.name.strip_prefix("truepair/").unwrap_or(self.name);
        own.replace('/', "-")
    }
}

/// Every kind of object, by name.
pub(crate) fn all() -> Vec<SchemaRow> {
    let mut rows = vec![
        SchemaRow::of::<AuditSummary>("audit --json, and summary.json of an audit"),
        SchemaRow::of::<ExtensionResult>("audit --extend --json, and its summary.json"),
        SchemaRow::of::<Findings>("findings.json of an audit"),
        SchemaRow::of::<Manifest>("manifest.json: the truth about planted noise"),
        SchemaRow::of::<DemoResult>("demo --json, and summary.json of a demo"),
        SchemaRow::of::<Inspected<'static>>("inspect --json"),
        SchemaRow::of::<TrainResult>("train --json, and result.json of a run"),
        SchemaRow::of::<EpochRecord>("a line of a run's metrics.jsonl"),
        SchemaRow::of::<MethodComparison>("compare --json, and compare.json"),
        SchemaRow::of::<CellRecord>(
            "cell.json in a run directory of compare, and result.json where a baseline trained nothing",
        ),
        SchemaRow::of::<Evaluation>("eval --json"),
        SchemaRow::of::<Occlusion>("the numbers beside eval --occlusion"),
        SchemaRow::of::<EmbedResult>("embed --json, and embed.json"),
        SchemaRow::of::<IndexResult>("index --json, and summary.json of an index"),
        SchemaRow::of::<ScoreResult>("score --json"),
        SchemaRow::of::<Serving>("serve --json, once it listens"),
        SchemaRow::of::<SearchResult>("search --json"),
        SchemaRow::of::<Conversion>("convert --json, and provenance.json of a converted run"),
        SchemaRow::of::<LabelAuditSummary>("labels audit --json, and its summary.json"),
        SchemaRow::of::<Confusions>("confusion.json of labels audit"),
        SchemaRow::of::<LabelManifest>("manifest.json of labels audit and labels train"),
        SchemaRow::of::<LabelComparison>("labels compare --json, and its compare.json"),
        SchemaRow::of::<LabelTrainResult>("labels train --json, and its summary.json"),
        SchemaRow::of::<LabelEpoch>("a line of metrics.jsonl of labels train"),
        SchemaRow::of::<BenchResult>("bench --json"),
        SchemaRow::of::<GridPlan>("compare --dry-run --json"),
        SchemaRow::of::<Contents>("recipes, schema, completions and man with --json"),
        SchemaRow::of::<Failure>("any command with --json that fails"),
    ];
    rows.sort_by_key(|row| row.name);
    rows
}

fn document<T: Output + JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), T::SCHEMA.into());
        let field =
            json!({ "const": T::SCHEMA, "description": "Name and version of this schema." });
        let properties = object.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert(FIELD.to_owned(), field);
        }
        let required = object.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.push(FIELD.into());
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_have_a_version() {
        let rows = all();
        for row in &rows {
            let version = row.name.rsplit('/').next().unwrap();
            assert!(version.parse::<u32>().is_ok(), "{}", row.name);
            assert!(row.name.starts_with("truepair/"), "{}", row.name);
        }
        assert!(rows.windows(2).all(|two| two[0].name < two[1].name));
    }

    #[test]
    fn a_document_asks_for_its_own_name() {
        for row in all() {
            let document = row.document();
            assert_eq!(document["properties"][FIELD]["const"], row.name);
            let required = document["required"].as_array().unwrap();
            assert!(required.contains(&FIELD.into()), "{}", row.name);
        }
    }
}
