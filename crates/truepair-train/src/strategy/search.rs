//! What a strategy asks of a search for the images that captions belong to, and what it is given.

use super::AuditRequest;

/// A search for the images that captions belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The pairs whose captions are searched for.
    pub pairs: Vec<u32>,
    /// Divides the scores in the softmax over images.
    pub temperature: f64,
    /// Images that are wanted of each caption; 0 counts as 1.
    pub n_best: usize,
    /// Whether the captions that are given one image are searched as one, by the sum of their scores over the
    /// root of their number.
    pub together: bool,
    /// The audit by whose settings matchers are trained anew on folds, so that every caption is searched for by one
    /// that never saw its pair; `None` for the networks as they stand, before [`restarts`](super::Strategy::restarts).
    pub held_out: Option<AuditRequest>,
}

/// What a [`Search`] found; networks of several peers search together.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// Images that were compared: those of all training pairs.
    pub n_images: usize,
    /// One entry for each pair of the search, in any order.
    pub of_pairs: Vec<PairCandidates>,
}

/// The images that a pair's caption was found to fit best.
#[derive(Debug, Clone, PartialEq)]
pub struct PairCandidates {
    /// Index of the pair.
    pub pair: u32,
    /// Its given image.
    pub given_image: u32,
    /// Share of its given image in the softmax over the images, [0, 1].
    pub given: f32,
    /// Best first; the given image may be one of them.
    pub best: Vec<Candidate>,
}

/// An image that a caption may belong to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The image.
    pub image: u32,
    /// Its share of the softmax over the images, (0, 1].
    pub share: f32,
}
