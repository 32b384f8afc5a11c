//! The matchers that an audit kept, ready for pairs that come one at a time.

use super::kept_judge::{KeptJudge, options};
use crate::audit::{NewVerdict, PairScores, ReadyJudge};
use crate::dataset::Features;
use crate::error::Result;
use crate::pair::Pair;
use crate::scores::{InnerProduct, Matrix, Scorer};
use crate::watch::Watch;

/// The matchers of an audit and its pairs of reference, gone through once.
#[derive(Debug)]
pub struct ReadyMatchers {
    kept: KeptJudge,
    /// The reference's images and captions as each matcher sees them.
    embedded: Vec<[Matrix; 2]>,
    judge: ReadyJudge,
}

impl ReadyMatchers {
    /// Goes through the reference once, for pairs that come one at a time.
    ///
    /// # Errors
    /// As [`ReadyJudge::new`].
    pub fn new(kept: KeptJudge, watch: &mut dyn Watch) -> Result<Self> {
        let n = kept.reference[0].len() as u32;
        let pairs: Vec<Pair> = (0..n)
            .map(|row| Pair {
                image: row,
                caption: row,
            })
            .collect();
        let links = kept.links(&pairs)?;
        let [images, captions] = [0, 1].map(|side| {
            let known = &kept.reference[side];
            Features::from_rows(known.values().to_vec(), known.dim())
        });
        let embedded = (0..kept.n_folds())
            .map(|fold| kept.embedded(fold, &images, &captions))
            .collect::<Result<Vec<_>>>()?;
        let scorers = (embedded.iter().cloned())
            .map(|[images, captions]| InnerProduct::new(images, captions))
            .collect::<Result<Vec<_>>>()?;
        let folds: Vec<(&dyn Scorer, Vec<u32>)> = (scorers.iter().enumerate())
            .map(|(fold, scorer)| (scorer as &dyn Scorer, kept.unseen(fold).collect()))
            .collect();
        let judge = ReadyJudge::new(&pairs, links, &folds, &options(), kept.seed(), watch)?;
        Ok(Self {
            kept,
            embedded,
            judge,
        })
    }

    /// What was gone through.
    pub fn kept(&self) -> &KeptJudge {
        &self.kept
    }

    /// Why nothing can be said of any pair.
    pub fn open(&self) -> Option<&str> {
        self.judge.open()
    }

    /// Judges one pair by its image and its caption `[1]`.
    ///
    /// # Errors
    /// If an item has another width than those of the audit, or cannot be read.
    pub fn judge(&self, image: &Features, caption: &Features) -> Result<NewVerdict> {
        let new = [self.kept.vectors(0, image)?, self.kept.vectors(1, caption)?];
        let twins = [0, 1].map(|side| {
            let known = &self.kept.reference[side];
            let rows = 0..known.len() as u32;
            let same = |row: &u32| known.row(*row as usize) == new[side].row(0);
            rows.filter(same).collect::<Vec<u32>>()
        });
        let [image, caption] = new.map(|vector| {
            let dim = vector.dim();
            Features::from_rows(vector.into_values(), dim)
        });
        let mut own = Vec::with_capacity(self.embedded.len());
        let mut with = Vec::with_capacity(self.embedded.len());
        for (fold, [images, captions]) in self.embedded.iter().enumerate() {
            let [image, caption] = self.kept.embedded(fold, &image, &caption)?;
            own.push(dot(image.row(0), caption.row(0)));
            with.push([
                products(captions, image.row(0)),
                products(images, caption.row(0)),
            ]);
        }
        let scores: Vec<PairScores<'_>> = (own.iter().zip(&with))
            .map(|(own, [image, caption])| PairScores {
                own: *own,
                with: [image, caption],
            })
            .collect();
        self.judge.judge(&scores, [&twins[0], &twins[1]])
    }
}

fn products(rows: &Matrix, vector: &[f32]) -> Vec<f32> {
    (0..rows.len())
        .map(|row| dot(rows.row(row), vector))
        .collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
