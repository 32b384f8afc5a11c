//! Items as vectors that any search engine can compare.

use truepair_core::scores::Matrix;

use super::EncodedItems;
use super::items::side_by_side;
use crate::encoding::Encoding;
use crate::numbers::floats;
use crate::similarity::Role;

/// How an engine must compare the vectors of a matcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchMeasure {
    /// Their inner product is the score.
    InnerProduct,
    /// The asking item's offset minus their squared distance is the score.
    SquaredDistance,
    /// Their inner product only finds candidates: the similarity must score these anew.
    Candidates,
}

/// Items as vectors for a search; those of the side that asks and of the side that is found.
#[derive(Debug, Clone)]
pub struct SearchVectors {
    /// `[n, d]`, of every peer side by side.
    pub vectors: Matrix,
    /// What is added to every score of an asking item, `[n]`; zero where nothing is.
    pub offsets: Vec<f32>,
    /// The total variance of each item, `[n]`; zero where items are points.
    pub variances: Vec<f32>,
    /// How they are compared.
    pub measure: SearchMeasure,
}

impl EncodedItems {
    /// Vectors for an engine that searches. Where the similarity is neither an inner product nor a squared
    /// distance, they are what the items' vectors have in common, for finding candidates: their mean, of
    /// length 1.
    pub fn search_vectors(&self, role: Role) -> SearchVectors {
        if let Some(vectors) = self.embeddings() {
            return SearchVectors {
                offsets: vec![0.0; vectors.len()],
                variances: vec![0.0; vectors.len()],
                vectors,
                measure: SearchMeasure::InnerProduct,
            };
        }
        if let Some(found) = self.points(role) {
            return found;
        }
        let means = |items: &Encoding| {
            let [_, _, dim] = items.values.dims();
            let mut means = Matrix::new(floats(items.pooled()), dim);
            means.normalize();
            means
        };
        let parts: Vec<Matrix> = self.peers.iter().map(|peer| means(&peer.items)).collect();
        SearchVectors {
            vectors: side_by_side(&parts),
            offsets: vec![0.0; self.len()],
            variances: vec![0.0; self.len()],
            measure: SearchMeasure::Candidates,
        }
    }

    /// Means and standard deviations `[n, d]` of every peer side by side, scaled so that expected squared distances are
    /// the peers' mean; `None` where items are points.
    pub fn means_and_deviations(&self) -> Option<(Matrix, Matrix)> {
        let (means, deviations): (Vec<Matrix>, Vec<Matrix>) = (self.gaussians()?.into_iter())
            .map(|one| (one.means, one.deviations))
            .unzip();
        Some((side_by_side(&means), side_by_side(&deviations)))
    }

    fn points(&self, role: Role) -> Option<SearchVectors> {
        let share = 1.0 / self.peers.len() as f32;
        let mut sums = [vec![0.0; self.len()], vec![0.0; self.len()]];
        let mut parts = Vec::new();
        for peer in &self.peers {
            let points = peer.similarity.points(&peer.items, role)?;
            let dim = points.places.dims()[1];
            parts.push(Matrix::new(floats(points.places), dim));
            for (sums, own) in sums.iter_mut().zip([points.offsets, points.variances]) {
                let own = floats(own);
                (sums.iter_mut().zip(own)).for_each(|(sum, own)| *sum += share * own);
            }
        }
        let [offsets, variances] = sums;
        Some(SearchVectors {
            vectors: side_by_side(&parts),
            offsets,
            variances,
            measure: SearchMeasure::SquaredDistance,
        })
    }
}
