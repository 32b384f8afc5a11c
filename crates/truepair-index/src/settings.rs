//! What an index is made of; fixed when it is created.

use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};
use truepair_kernel::product::dots::Closeness;

/// Numbers of a vector at most.
const MAX_DIM: usize = 8192;

/// What a score is; a larger score is more similar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// `q · x`; cosine where vectors have length 1.
    InnerProduct,
    /// `−‖q − x‖²`. Gaussians are kept as their mean and the root of their total variance, and a query's
    /// last number is then 0.
    SquaredDistance,
}

impl Measure {
    pub(crate) fn closeness(self) -> Closeness {
        match self {
            Measure::InnerProduct => Closeness::InnerProduct,
            Measure::SquaredDistance => Closeness::SquaredDistance,
        }
    }
}

/// How vectors lie on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Single precision, 4 bytes a number.
    F32,
    /// Half precision, 2 bytes a number; scores are those of the rounded vectors.
    F16,
    /// A copy of 1 byte a number, which a search reads, beside the `f32` rows, of which it reads only
    /// those that the copy cannot rule out: the hits are those of [`F32`](Storage::F32), to the bit.
    Int8,
}

/// How neighbors are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Every row is looked at.
    Exact,
    /// Candidates come from a graph of neighbors and are scored exactly; some hits may be missed. Needs
    /// the feature `ann`.
    Hnsw {
        /// Neighbors of a row in the graph.
        connectivity: usize,
        /// Rows looked at when one is added.
        expansion_add: usize,
        /// Rows looked at by a search.
        expansion_search: usize,
    },
}

/// What an index is made of.
///
/// ```
/// use truepair_index::{Kind, Measure, Settings, Storage};
///
/// let settings = Settings {
///     dim: 512,
///     measure: Measure::InnerProduct,
///     storage: Storage::F16,
///     kind: Kind::Exact,
/// };
/// assert!(settings.check().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Numbers of a vector, 1 to 8192.
    pub dim: usize,
    /// What a score is.
    pub measure: Measure,
    /// How vectors lie on the disk.
    pub storage: Storage,
    /// How neighbors are found.
    pub kind: Kind,
}

impl Settings {
    /// Whether an index can be made so.
    ///
    /// # Errors
    /// If the width is out of range, a setting of a graph is 0, or graphs are not built in.
    pub fn check(&self) -> Result<()> {
        if self.dim == 0 || self.dim > MAX_DIM {
            return Err(Error::argument(
                format!("vectors of {} numbers, expected 1 to {MAX_DIM}", self.dim),
                "give the width of the embeddings",
            ));
        }
        let Kind::Hnsw {
            connectivity,
            expansion_add,
            expansion_search,
        } = self.kind
        else {
            return Ok(());
        };
        if connectivity < 2 || expansion_add == 0 || expansion_search == 0 {
            return Err(Error::argument(
                format!(
                    "a graph with connectivity {connectivity}, expansion_add {expansion_add} and \
                     expansion_search {expansion_search}"
                ),
                "connectivity is at least 2 and the others at least 1; 16, 128 and 64 are usual",
            ));
        }
        if cfg!(feature = "ann") {
            return Ok(());
        }
        Err(Error::argument(
            "an index of kind hnsw, and this program was built without graphs",
            "build it with the feature `ann`, or use the kind exact",
        ))
    }
}
