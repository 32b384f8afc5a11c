//! Retrieval across modalities where whatever shares the query's class is relevant.
//!
//! Queries are scored one block at a time, so no matrix of all scores is ever held.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::metric::{AveragePrecision, Divisor};
use crate::ranking::Level;
use crate::scores::{Matrix, multiply_transposed};

/// Queries whose scores are held at a time.
const BLOCK: usize = 256;

/// Mean average precision of every direction between modalities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClassRetrieval {
    /// Every ordered pair of modalities.
    pub directions: Vec<DirectionMap>,
    /// Mean over the directions.
    pub mean: f64,
}

/// Mean average precision of one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DirectionMap {
    /// Modality of the queries.
    pub query: String,
    /// Modality that is searched.
    pub gallery: String,
    /// Mean average precision over the whole ranking, [0, 1].
    pub map: f64,
}

/// Ranks every modality's items for every other modality's, by cosine.
///
/// # Shapes
/// - `embeddings`: per modality `[n, d]`; `labels`: per modality `[n]`
///
/// # Errors
/// If a score is not a number.
///
/// # Panics
/// If the slices differ in length or the embeddings in width.
pub fn class_retrieval(
    names: &[String],
    embeddings: &[Matrix],
    labels: &[Vec<u32>],
) -> Result<ClassRetrieval> {
    assert!(
        names.len() == embeddings.len() && names.len() == labels.len(),
        "one name, matrix and list of labels per modality"
    );
    let unit: Vec<Matrix> = (embeddings.iter())
        .map(|matrix| {
            let mut matrix = matrix.clone();
            matrix.normalize();
            matrix
        })
        .collect();
    let mut directions = Vec::new();
    for query in 0..names.len() {
        for gallery in (0..names.len()).filter(|&gallery| gallery != query) {
            directions.push(DirectionMap {
                query: names[query].clone(),
                gallery: names[gallery].clone(),
                map: mean_average_precision(
                    (&unit[query], &labels[query]),
                    (&unit[gallery], &labels[gallery]),
                )?,
            });
        }
    }
    let mean = directions.iter().map(|one| one.map).sum::<f64>() / directions.len().max(1) as f64;
    Ok(ClassRetrieval { directions, mean })
}

/// Mean average precision of queries `[n, d]` with labels `[n]` against a gallery, by inner product.
///
/// Every query is measured by [`AveragePrecision`]. Ties go against the model: at equal scores, items
/// of other classes come first.
///
/// ```
/// use truepair_core::labeled::mean_average_precision;
/// use truepair_core::scores::Matrix;
///
/// let queries = Matrix::new(vec![1.0, 0.0], 2);
/// let gallery = Matrix::new(vec![0.9, 0.1, 0.8, 0.2, 0.0, 1.0], 2);
/// // Items of class 1 stand at ranks 1 and 3.
/// let map = mean_average_precision((&queries, &[1]), (&gallery, &[1, 0, 1]))?;
/// assert!((map - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If a score is not a number.
///
/// # Panics
/// If rows and labels differ in number or the widths differ.
///
/// # Source
/// The evaluation of MRL and its family. Code read at penghu-cs/MRL@e0f5c8f.
///
/// # Deviations
/// 1. Ties are broken against the model; the released code leaves their order to the sort.
/// 2. A query without a relevant item counts 0, as in the released code for single labels.
pub fn mean_average_precision(
    (queries, query_labels): (&Matrix, &[u32]),
    (gallery, gallery_labels): (&Matrix, &[u32]),
) -> Result<f64> {
    assert_eq!(queries.len(), query_labels.len(), "one label per query");
    assert_eq!(gallery.len(), gallery_labels.len(), "one label per item");
    assert_eq!(
        queries.dim(),
        gallery.dim(),
        "queries and gallery of one width"
    );
    let (n, d) = (gallery.len(), gallery.dim());
    let mut sum = 0.0;
    let mut scores = vec![0.0; BLOCK.min(queries.len()) * n];
    for first in (0..queries.len()).step_by(BLOCK) {
        let last = (first + BLOCK).min(queries.len());
        let scores = &mut scores[..(last - first) * n];
        let block = &queries.values()[first * d..last * d];
        multiply_transposed(block, gallery.values(), d, scores);
        if scores.iter().any(|score| score.is_nan()) {
            return Err(Error::argument(
                "a score is not a number",
                "check the embeddings for numbers that are not finite",
            ));
        }
        // A sum in the order of the queries, so that the result does not depend on the threads.
        let precisions: Vec<f64> = (scores.par_chunks(n.max(1)))
            .zip(&query_labels[first..last])
            .map(|(scores, &label)| average_precision(scores, label, gallery_labels))
            .collect();
        sum += precisions.iter().sum::<f64>();
    }
    Ok(sum / queries.len().max(1) as f64)
}

fn average_precision(scores: &[f32], label: u32, gallery: &[u32]) -> f64 {
    let mut order: Vec<(f32, bool)> = (scores.iter().zip(gallery))
        .map(|(&score, &other)| (score, other == label))
        .collect();
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let ranks = (1..).zip(&order).filter(|(_, (_, relevant))| *relevant);
    let ranks: Vec<u32> = ranks.map(|(rank, _)| rank).collect();
    if ranks.is_empty() {
        return 0.0;
    }
    let level = Level {
        ranks: &ranks,
        n_relevant: ranks.len() as u32,
        n_absent: 0,
    };
    AveragePrecision::within(level, u32::MAX, Divisor::Relevant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Seed, below, normal};

    fn random(n: usize, d: usize, k: u64, name: &str) -> (Matrix, Vec<u32>) {
        let mut rng = Seed(1).stream(name, &[]);
        let values = (0..n * d).map(|_| normal(&mut rng) as f32).collect();
        let labels = (0..n).map(|_| below(&mut rng, k) as u32).collect();
        (Matrix::new(values, d), labels)
    }

    /// The definition, with ranks found by counting.
    fn oracle(queries: (&Matrix, &[u32]), gallery: (&Matrix, &[u32])) -> f64 {
        let mut mean = 0.0;
        for (query, &label) in queries.1.iter().enumerate() {
            let score = |item: usize| -> f64 {
                let pairs = queries.0.row(query).iter().zip(gallery.0.row(item));
                pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let relevant: Vec<usize> = (0..gallery.0.len())
                .filter(|&item| gallery.1[item] == label)
                .collect();
            let mut sum = 0.0;
            for &hit in &relevant {
                let above = |item: &usize| score(*item) >= score(hit);
                let rank = (0..gallery.0.len()).filter(above).count();
                let good = relevant.iter().filter(|item| above(item)).count();
                sum += good as f64 / rank as f64;
            }
            mean += sum / relevant.len().max(1) as f64;
        }
        mean / queries.1.len() as f64
    }

    #[test]
    fn equals_the_definition_across_blocks() {
        let (queries, query_labels) = random(300, 6, 4, "queries");
        let (gallery, gallery_labels) = random(50, 6, 4, "gallery");
        let queries = (&queries, query_labels.as_slice());
        let gallery = (&gallery, gallery_labels.as_slice());
        let found = mean_average_precision(queries, gallery).unwrap();
        assert!((found - oracle(queries, gallery)).abs() < 1e-6, "{found}");
    }

    #[test]
    fn constant_scores_never_beat_the_worst_order() {
        let gallery = Matrix::new(vec![1.0; 8], 2);
        let query = Matrix::new(vec![1.0, 1.0], 2);
        let labels = [0, 1, 0, 1];
        let found = mean_average_precision((&query, &[0]), (&gallery, &labels)).unwrap();
        // The two relevant items rank third and fourth.
        assert!((found - (1.0 / 3.0 + 2.0 / 4.0) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_query_without_relevant_items_counts_nothing_and_nan_is_refused() {
        let gallery = Matrix::new(vec![1.0, 0.0, 0.0, 1.0], 2);
        let queries = Matrix::new(vec![1.0, 0.0, 1.0, 0.0], 2);
        let found = mean_average_precision((&queries, &[0, 7]), (&gallery, &[0, 1])).unwrap();
        assert!((found - 0.5).abs() < 1e-12);
        let bad = Matrix::new(vec![f32::NAN, 0.0], 2);
        assert!(mean_average_precision((&bad, &[0]), (&gallery, &[0, 1])).is_err());
    }

    #[test]
    fn every_ordered_pair_of_modalities_is_a_direction() {
        let (a, labels) = random(20, 4, 3, "a");
        let names = ["x", "y", "z"].map(str::to_owned);
        let found = class_retrieval(&names, &[a.clone(), a.clone(), a], &vec![labels; 3]).unwrap();
        assert_eq!(found.directions.len(), 6);
        let sum: f64 = found.directions.iter().map(|one| one.map).sum();
        assert!((found.mean - sum / 6.0).abs() < 1e-12);
    }
}
