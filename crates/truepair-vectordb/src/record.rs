//! What is stored, plain records, and what is looked for.

use std::collections::{BTreeMap, HashMap};

use truepair_core::error::{Error, Result};

/// Names that records have of their own, or that engines add to what they return.
const RESERVED: [&str; 7] = [
    "id",
    "caption",
    "picture",
    "p_mismatched",
    "metadata",
    "vector",
    "distance",
];

/// A value of a column.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A whole number; compares with [`Value::Float`] as a number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// A text; its order is that of its bytes.
    Text(String),
}

/// An image, or an image with its caption, and where it lies among the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Unique in the store; a record with the same id replaces the former.
    pub id: String,
    /// The caption.
    pub caption: Option<String>,
    /// Path or address of the picture.
    pub picture: Option<String>,
    /// What filters may ask for, by name.
    pub columns: BTreeMap<String, Value>,
    /// P(the pair is mismatched) of an audit, in [0, 1].
    pub p_mismatched: Option<f64>,
    /// `[d]`: an embedding, or the mean of a Gaussian.
    pub vector: Vec<f32>,
    /// The sum of a Gaussian's `d` variances, at least 0; `None` of an embedding.
    pub total_variance: Option<f32>,
    /// `[d]`: the caption's own embedding beside the picture's, for clip-retrieval's folder; databases do not
    /// hold it.
    pub caption_vector: Option<Vec<f32>>,
}

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// `[d]`: an embedding, or the mean of a Gaussian.
    pub vector: Vec<f32>,
    /// The sum of a Gaussian's `d` variances, at least 0; `None` of an embedding.
    pub total_variance: Option<f32>,
}

impl Record {
    /// # Errors
    /// If an engine could not hold the record as it is; the message names it.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |problem: &str, remedy: &str| {
            Err(Error::argument(
                format!("record {:?}: {problem}", self.id),
                remedy,
            ))
        };
        if self.id.is_empty() || self.id.len() > 1024 {
            return wrong("its id has not 1 to 1024 bytes", "give it another id");
        }
        let texts = [Some(&self.id), self.caption.as_ref(), self.picture.as_ref()];
        let of_columns = self.columns.iter().flat_map(|(name, value)| match value {
            Value::Text(text) => [Some(name), Some(text)],
            _ => [Some(name), None],
        });
        if (texts.into_iter().chain(of_columns).flatten()).any(|text| text.contains('\0')) {
            return wrong("a text holds the character of code 0", "leave it out");
        }
        if let Some(name) = self.columns.keys().find(|name| is_reserved(name)) {
            let problem =
                format!("a column is named {name:?}, which every record has or an engine adds");
            return wrong(&problem, "name the column differently");
        }
        let is_number =
            |value: &Value| !matches!(value, Value::Float(number) if !number.is_finite());
        if let Some((name, _)) = self.columns.iter().find(|(_, value)| !is_number(value)) {
            let problem = format!("column {name:?} is not a finite number");
            return wrong(&problem, "leave the column out of this record");
        }
        match self.p_mismatched {
            Some(p) if !(0.0..=1.0).contains(&p) => {
                wrong("P(mismatched) is not in [0, 1]", "audit again")
            }
            _ => Ok(()),
        }
    }
}

fn is_reserved(name: &str) -> bool {
    name.is_empty() || name.starts_with('$') || RESERVED.contains(&name)
}

/// # Errors
/// If a record cannot be held, or two records of the batch have one id.
pub(crate) fn check_batch(batch: &[Record]) -> Result<()> {
    let mut seen = HashMap::new();
    for (at, record) in batch.iter().enumerate() {
        record.check()?;
        if let Some(first) = seen.insert(record.id.as_str(), at) {
            return Err(Error::argument(
                format!(
                    "records {first} and {at} of a batch have the same id {:?}",
                    record.id
                ),
                "give every record an id of its own",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Record)) -> String {
        let mut record = Record {
            id: "a".into(),
            ..Record::default()
        };
        record.check().unwrap();
        change(&mut record);
        record.check().unwrap_err().to_string()
    }

    #[test]
    fn what_an_engine_would_lose_is_refused_by_name() {
        assert!(refused(|record| record.id.clear()).contains("id"));
        assert!(refused(|record| record.caption = Some("a\0b".into())).contains("code 0"));
        for name in ["vector", "", "$meta", "id"] {
            let text = refused(|record| {
                record.columns.insert(name.into(), Value::Int(1));
            });
            assert!(text.contains("column") && text.contains("\"a\""), "{text}");
        }
        let nan = Value::Float(f64::NAN);
        assert!(refused(|record| drop(record.columns.insert("x".into(), nan))).contains("\"x\""));
        assert!(refused(|record| record.p_mismatched = Some(1.1)).contains("[0, 1]"));
    }

    #[test]
    fn one_id_twice_is_an_error_that_names_both() {
        let record = Record {
            id: "a".into(),
            ..Record::default()
        };
        let error = check_batch(&[record.clone(), record])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("records 0 and 1") && error.contains("\"a\""),
            "{error}"
        );
    }
}
