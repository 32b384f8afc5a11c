//! One number of an evaluation, with the metric and the direction that it belongs to, and how many
//! queries it is based on.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{METRICS, Metric};
use crate::scores::Direction;

/// One number of an evaluation.
///
/// Stored as `{"metric": "recall@1", "direction": "i2t", "value": 0.5}`; the direction of a number for
/// both directions together is `both`.
#[derive(Clone, Copy)]
pub struct Figure {
    /// The metric: name, unit, arrow.
    pub metric: &'static dyn Metric,
    /// The direction; `None` for both together.
    pub direction: Option<Direction>,
    /// The number, in the metric's unit; the mean over folds.
    pub value: f64,
}

impl Figure {
    /// Whether this is a number of the same metric and direction.
    pub fn is_like(&self, other: &Figure) -> bool {
        self.metric.name() == other.metric.name() && self.direction == other.direction
    }
}

impl PartialEq for Figure {
    fn eq(&self, other: &Self) -> bool {
        self.is_like(other) && self.value == other.value
    }
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = self.direction;
        write!(f, "{} {direction:?} {}", self.metric.name(), self.value)
    }
}

/// How many queries the numbers of one direction are based on, over all folds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueryCounts {
    /// Queries measured.
    pub n_queries: u64,
    /// Queries left out because nothing is relevant to them.
    pub n_excluded: u64,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Stored {
    metric: String,
    direction: StoredDirection,
    value: f64,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum StoredDirection {
    I2t,
    T2i,
    Both,
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let direction = match self.direction {
            Some(Direction::ImageToText) => StoredDirection::I2t,
            Some(Direction::TextToImage) => StoredDirection::T2i,
            None => StoredDirection::Both,
        };
        let stored = Stored {
            metric: self.metric.name().to_owned(),
            direction,
            value: self.value,
        };
        stored.serialize(out)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Figure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Figure".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Stored::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(from)?;
        let metric = METRICS.iter().find(|metric| metric.name() == stored.metric);
        let metric = metric.ok_or_else(|| {
            D::Error::custom(format!(
                "the metric `{}` is not known (it may come from a later version of the program)",
                stored.metric
            ))
        })?;
        Ok(Self {
            metric: *metric,
            direction: match stored.direction {
                StoredDirection::I2t => Some(Direction::ImageToText),
                StoredDirection::T2i => Some(Direction::TextToImage),
                StoredDirection::Both => None,
            },
            value: stored.value,
        })
    }
}
