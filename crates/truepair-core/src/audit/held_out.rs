//! Scores of captions by matchers that never saw their pairs.

use super::cross_fit::Placed;
use super::folds::assign_folds;
use super::{CrossFit, Cut, Learner, Links};
use crate::error::Error;
use crate::lists::distinct;
use crate::pair::Pair;
use crate::rng::Seed;
use crate::scores::Scorer;
use crate::watch::Watch;

/// Takes a fold's scorer and its pairs.
pub type VisitFold<'a, E> = dyn FnMut(&dyn Scorer, &[u32], &mut dyn Watch) -> Result<(), E> + 'a;

/// Shows every fold of a cut of `pairs` to `visit`: a scorer of the images of all pairs and of the fold's
/// captions, which takes the data's own indices, and the fold's pairs in ascending order. The scorer is a
/// matcher trained on the other folds, without a refit; pairs are cut as in [`cross_fit`](super::cross_fit), so it
/// has seen none of the fold's own images, but those of other folds.
///
/// # Errors
/// If a schedule is out of range, training fails, or `visit` fails.
pub fn visit_held_out<E: From<Error>>(
    pairs: &[Pair],
    links: &Links,
    learner: &dyn Learner<E>,
    schedule: &CrossFit,
    seed: Seed,
    watch: &mut dyn Watch,
    visit: &mut VisitFold<'_, E>,
) -> Result<(), E> {
    schedule.check()?;
    let fold_of_pair = assign_folds(pairs, links, schedule.folds, seed.child("cut", 0));
    let cut = Cut {
        fold_of_pair: &fold_of_pair,
        n_folds: schedule.folds,
        weights: None,
        seed: seed.child("fit", 0),
        stage: "fit for the search".to_owned(),
    };
    let images = distinct(pairs.iter().map(|pair| pair.image));
    for (matcher, fold) in learner.learn(&cut, watch)?.iter().zip(0..) {
        let of_fold: Vec<u32> = (0..pairs.len() as u32)
            .filter(|&pair| fold_of_pair[pair as usize] == fold)
            .collect();
        let captions = distinct(of_fold.iter().map(|&pair| pairs[pair as usize].caption));
        let scorer = matcher.scorer(&images, &captions)?;
        let scorer = Placed::new(scorer.as_ref(), &images, &captions);
        visit(&scorer, &of_fold, watch)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::audit::HeldOut;
    use crate::error::Result;
    use crate::scores::{Matrix, ScoreMatrix};

    /// Remembers how it was asked to cut the pairs; the matcher of a fold scores everything by the fold's number.
    struct Numbered(RefCell<Vec<u32>>);

    struct OfFold(f32);

    impl Learner<Error> for Numbered {
        fn learn(
            &self,
            cut: &Cut<'_>,
            _: &mut dyn Watch,
        ) -> Result<Vec<Box<dyn HeldOut<Error> + '_>>> {
            assert!(cut.weights.is_none());
            *self.0.borrow_mut() = cut.fold_of_pair.to_vec();
            let folds = (0..cut.n_folds).map(|fold| OfFold(fold as f32));
            Ok(folds
                .map(|fold| Box::new(fold) as Box<dyn HeldOut<Error>>)
                .collect())
        }
    }

    impl HeldOut<Error> for OfFold {
        fn scorer(&self, images: &[u32], captions: &[u32]) -> Result<Box<dyn Scorer + '_>> {
            let scores = vec![self.0; images.len() * captions.len()];
            Ok(Box::new(ScoreMatrix(Matrix::new(scores, captions.len()))))
        }
    }

    #[test]
    fn every_pair_is_shown_once_by_the_matcher_that_never_saw_it() {
        // Image 0 has no pair; images have three captions each.
        let pairs: Vec<Pair> = (0..300)
            .map(|caption| Pair {
                image: 1 + caption / 3,
                caption,
            })
            .collect();
        let links = Links::new(&pairs, (0..300).collect(), (0..101).collect()).unwrap();
        let learner = Numbered(RefCell::default());
        let images: Vec<u32> = (1..101).collect();
        let mut seen = vec![0; pairs.len()];
        let mut visit = |scorer: &dyn Scorer, of_fold: &[u32], _: &mut dyn Watch| {
            for &pair in of_fold {
                let at = pair as usize;
                seen[at] += 1;
                let mut scores = vec![f32::NAN; images.len()];
                scorer.tile(&images, &[pairs[at].caption], &mut scores)?;
                let fold = learner.0.borrow()[at] as f32;
                assert!(scores.iter().all(|score| *score == fold));
                assert_eq!(learner.0.borrow()[at], learner.0.borrow()[at / 3 * 3]);
            }
            Ok::<(), Error>(())
        };
        let schedule = CrossFit::default();
        let (seed, watch) = (Seed(3), &mut ());
        let shown = visit_held_out(&pairs, &links, &learner, &schedule, seed, watch, &mut visit);
        shown.unwrap();
        assert_eq!(seen, [1; 300]);
    }
}
