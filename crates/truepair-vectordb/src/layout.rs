//! How a record becomes a point: what engines measure, and scores from their distances.

use serde::{Deserialize, Serialize};
use truepair_core::error::{Error, Result};

use crate::record::{Query, Record};

/// What nearness means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Geometry {
    /// Embeddings: the score of two is their inner product.
    Embedding,
    /// Gaussians: the score of two is
    ///
    /// ```text
    /// -(|mu_v - mu_t|² + Σ var_v + Σ var_t)
    /// ```
    ///
    /// An item is stored as `[mu_v; sqrt(Σ var_v)]` and a query asks with `[mu_t; 0]`: their squared distance
    /// is the score without `Σ var_t`, which is the same for every item.
    Gaussian,
}

/// The shape of what a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// What nearness means.
    pub geometry: Geometry,
    /// Numbers of an embedding or of a mean, the `d` of shapes.
    pub n_numbers: usize,
}

impl Layout {
    /// Embeddings of `n_numbers`.
    pub fn embeddings(n_numbers: usize) -> Self {
        let geometry = Geometry::Embedding;
        Self {
            geometry,
            n_numbers,
        }
    }

    /// Gaussians whose means have `n_numbers`.
    pub fn gaussians(n_numbers: usize) -> Self {
        let geometry = Geometry::Gaussian;
        Self {
            geometry,
            n_numbers,
        }
    }

    /// Numbers that are stored of an item: one more for Gaussians.
    pub fn width(&self) -> usize {
        self.n_numbers + usize::from(self.geometry == Geometry::Gaussian)
    }

    /// The layout whose points have `width` numbers.
    pub(crate) fn of_width(geometry: Geometry, width: usize) -> Self {
        let n_numbers = width - usize::from(geometry == Geometry::Gaussian && width > 0);
        Self {
            geometry,
            n_numbers,
        }
    }

    /// `[width]`: the point of a record.
    ///
    /// # Errors
    /// If its vector does not fit the layout.
    pub fn point(&self, record: &Record) -> Result<Vec<f32>> {
        let name = format!("record {:?}", record.id);
        self.check(&name, &record.vector, record.total_variance)?;
        let spread = record.total_variance.map(f32::sqrt);
        Ok(record.vector.iter().copied().chain(spread).collect())
    }

    /// `[width]`: the point that a query asks for.
    ///
    /// # Errors
    /// If its vector does not fit the layout.
    pub fn asked(&self, query: &Query) -> Result<Vec<f32>> {
        self.check("the query", &query.vector, query.total_variance)?;
        let spread = query.total_variance.map(|_| 0.0);
        Ok(query.vector.iter().copied().chain(spread).collect())
    }

    /// The score of a squared distance between an item's point and what `query` asks for.
    pub(crate) fn score_of_square(&self, square: f64, query: &Query) -> f64 {
        -square - f64::from(query.total_variance.unwrap_or(0.0))
    }

    fn check(&self, name: &str, vector: &[f32], total_variance: Option<f32>) -> Result<()> {
        let wrong = |problem: String, remedy: &str| {
            Err(Error::argument(format!("{name} {problem}"), remedy))
        };
        if vector.len() != self.n_numbers {
            let problem = format!(
                "has a vector of {} numbers, expected {}",
                vector.len(),
                self.n_numbers
            );
            return wrong(problem, "use vectors of the matcher that the others are of");
        }
        if vector.iter().any(|number| !number.is_finite()) {
            let problem = "has a vector with a number that is not finite".to_owned();
            return wrong(problem, "embed it again");
        }
        match (self.geometry, total_variance) {
            (Geometry::Embedding, None) => Ok(()),
            (Geometry::Gaussian, Some(total)) if total.is_finite() && total >= 0.0 => Ok(()),
            (Geometry::Gaussian, Some(total)) => wrong(
                format!("has the total variance {total}, expected a finite number of at least 0"),
                "embed it again",
            ),
            (Geometry::Embedding, Some(_)) => wrong(
                "has a variance, expected an embedding without one".to_owned(),
                "choose another table for Gaussians",
            ),
            (Geometry::Gaussian, None) => wrong(
                "has no variance, expected a Gaussian".to_owned(),
                "choose another table for embeddings",
            ),
        }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.geometry {
            Geometry::Embedding => "embeddings",
            Geometry::Gaussian => "Gaussians",
        };
        write!(f, "{name} of {} numbers", self.n_numbers)
    }
}

/// The error of a table that holds something else already.
pub(crate) fn other_layout(place: &str, found: &Layout, wanted: &Layout) -> Error {
    Error::argument(
        format!("{place}: it holds {found}, expected {wanted}"),
        "name another table or collection, or drop this one in the database first",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extra_coordinate_gives_the_direct_formula() {
        let layout = Layout::gaussians(2);
        let record = Record {
            id: "a".into(),
            vector: vec![1.0, -2.0],
            total_variance: Some(2.25),
            ..Record::default()
        };
        let query = Query {
            vector: vec![0.5, 1.0],
            total_variance: Some(0.75),
        };
        let (point, asked) = (
            layout.point(&record).unwrap(),
            layout.asked(&query).unwrap(),
        );
        assert_eq!(point, [1.0, -2.0, 1.5]);
        assert_eq!(asked, [0.5, 1.0, 0.0]);
        let square: f64 = (point.iter().zip(&asked))
            .map(|(a, b)| f64::from(a - b).powi(2))
            .sum();
        // -(0.5² + 3² + 2.25 + 0.75)
        assert_eq!(layout.score_of_square(square, &query), -12.25);
    }

    #[test]
    fn what_does_not_fit_is_told_with_both_sizes() {
        let record = |vector: &[f32], total_variance| Record {
            id: "a".into(),
            vector: vector.to_vec(),
            total_variance,
            ..Record::default()
        };
        let error = |layout: Layout, record: Record| layout.point(&record).unwrap_err().to_string();
        let text = error(Layout::embeddings(2), record(&[1.0], None));
        assert!(
            text.contains("1 numbers, expected 2") && text.contains("\"a\""),
            "{text}"
        );
        assert!(error(Layout::embeddings(1), record(&[1.0], Some(1.0))).contains("without"));
        assert!(error(Layout::gaussians(1), record(&[1.0], None)).contains("no variance"));
        assert!(error(Layout::gaussians(1), record(&[1.0], Some(-1.0))).contains("-1"));
        assert!(error(Layout::embeddings(1), record(&[f32::NAN], None)).contains("not finite"));
    }
}
