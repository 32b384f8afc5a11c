//! Division by the other peer's mixture: what the rectifier and the methods built on it share.
//!
//! Warm-up on every pair; then, per peer and epoch, clean and noisy pairs by the *other* peer's
//! posterior, and one soft label a pair. What a method makes of a divided batch is its
//! [`DividedLoss`].

use std::fmt::Debug;

use truepair_core::ledger::{ColumnSpec, Ledger};
use truepair_core::mixture;

use super::division_config::{DivisionConfig, Rectification, rectify};
use super::{
    BatchView, Beliefs, Consult, Epoch, Judgement, Needs, Plan, Planning, Strategy, Survey,
};
use crate::error::Result;
use truepair_model::objective::{Margins, Negatives, PairLoss, triplet};

/// The group of pairs held clean; the other group is that of pairs held noisy.
pub(super) const CLEAN: usize = 0;

/// Who trains on what, and with which soft labels.
#[derive(Debug)]
pub(super) struct CoDivision {
    pub(super) config: DivisionConfig,
    /// First main epoch in which the rectifier uses noisy pairs.
    noisy_from: usize,
    /// Noisy pairs for every clean one in this epoch's division, for each peer.
    noisy_per_clean: Vec<f64>,
}

/// Soft labels of a batch.
#[derive(Debug)]
pub(super) struct Rectified {
    /// y, `[b]` in [0, 1].
    pub(super) labels: Vec<f32>,
    /// The prediction that went into y, `[b]` in [0, 1]: the training peer's for clean pairs, the
    /// peers' mean for noisy ones.
    pub(super) predicted: Vec<f32>,
    /// α̂(y).
    pub(super) margins: Margins,
}

impl CoDivision {
    pub(super) fn new(config: &DivisionConfig, n_main: usize) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config: config.clone(),
            noisy_from: epoch_at(config.noisy_after, n_main),
            noisy_per_clean: vec![1.0; config.peers],
        })
    }

    /// Noisy pairs for every clean one that `peer` trains on, 1 before the first division.
    ///
    /// An epoch visits every clean pair once and draws a batch of noisy pairs for each of theirs,
    /// however few there are: a noisy pair is visited as often as there are clean ones for it. A term
    /// of noisy pairs that is multiplied by this counts each of them about once an epoch.
    pub(super) fn noisy_per_clean(&self, peer: usize) -> f64 {
        self.noisy_per_clean[peer]
    }

    /// First main epoch in which the rectifier uses noisy pairs.
    pub(super) fn noisy_from(&self) -> usize {
        self.noisy_from
    }

    /// Whether the rectifier uses noisy pairs in this epoch.
    pub(super) fn uses_noisy(&self, epoch: Epoch) -> bool {
        epoch.main_index() >= self.noisy_from
    }

    /// The peer whose beliefs divide the pairs of `peer`: itself where there is only one.
    pub(super) fn other(&self, peer: usize) -> usize {
        self.config.peers - 1 - peer
    }

    /// The other peer's P(pair is clean) of the batch's pairs, `[b]`.
    pub(super) fn posterior(&self, view: &BatchView<'_>) -> Vec<f32> {
        view.recall(&view.ledgers[self.other(view.peer)].clean_posterior)
    }

    /// Soft labels from what each peer predicts of the batch, `[b]` in [0, 1].
    ///
    /// ```text
    /// clean: y = w + (1 − w) P_own          noisy: y = (P_own + P_other) / 2
    /// ```
    pub(super) fn rectified(
        &self,
        view: &BatchView<'_>,
        predict: impl Fn(usize) -> Vec<f32>,
    ) -> Rectified {
        let own = predict(view.peer);
        if view.group != CLEAN {
            let other = predict(self.other(view.peer));
            let predicted: Vec<f32> = own.iter().zip(&other).map(|(a, b)| (a + b) / 2.0).collect();
            return self.labeled(view, predicted.clone(), predicted);
        }
        let posterior = self.posterior(view);
        let labels = rectify(&posterior, &own);
        match self.config.rectification {
            Rectification::Pair => self.labeled(view, labels, own),
            Rectification::Outer => Rectified {
                margins: self.config.outer_margins(&posterior, &own, view.scores),
                labels,
                predicted: own,
            },
        }
    }

    /// Labels that are already known, with their margins.
    pub(super) fn labeled(
        &self,
        view: &BatchView<'_>,
        labels: Vec<f32>,
        predicted: Vec<f32>,
    ) -> Rectified {
        Rectified {
            margins: self.config.margins(&labels, view.scores),
            labels,
            predicted,
        }
    }

    fn plan(&mut self, ledgers: &mut [Ledger], with_noisy: bool) -> Result<Plan> {
        for ledger in ledgers.iter_mut() {
            let fit = mixture::clean_posterior(&ledger.loss, &self.config.mixture)?;
            ledger.clean_posterior = fit.posterior;
        }
        let (mut peers, mut note) = (Vec::new(), None);
        for peer in 0..ledgers.len() {
            let posterior = &ledgers[self.other(peer)].clean_posterior;
            let division = mixture::divide(posterior, self.config.threshold as f32)?;
            if let Some(fallback) = division.fallback {
                note = Some(format!("division for peer {peer}: {fallback}"));
            }
            let (mut clean, mut noisy): (Vec<u32>, Vec<u32>) =
                (0..posterior.len() as u32).partition(|&n| division.clean[n as usize]);
            if clean.len() < 2 {
                note = Some(format!(
                    "division for peer {peer}: fewer than 2 pairs looked clean; every pair is held clean"
                ));
                (clean, noisy) = ((0..posterior.len() as u32).collect(), Vec::new());
            }
            self.noisy_per_clean[peer] = noisy.len() as f64 / clean.len() as f64;
            let mut groups = vec![clean];
            if with_noisy && !noisy.is_empty() {
                groups.push(noisy);
            }
            peers.push(groups);
        }
        Ok(Plan {
            note,
            ..Plan::of(peers)
        })
    }
}

/// The first of `n_main` epochs after this share of them.
pub(super) fn epoch_at(share: f64, n_main: usize) -> usize {
    (share * n_main as f64).floor() as usize
}

/// What a method makes of the batches of a division.
pub(super) trait DividedLoss: Debug + Send {
    /// See [`Strategy::columns`].
    fn columns(&self) -> &'static [ColumnSpec] {
        &[]
    }

    /// See [`Strategy::teacher_decay`]. With a teacher, predictions are the averaged weights'.
    fn teacher_decay(&self) -> Option<f64> {
        None
    }

    /// First main epoch that draws batches of noisy pairs.
    fn noisy_from(&self, division: &CoDivision) -> usize {
        division.noisy_from()
    }

    /// What the mixture sees of every pair of evaluation-mode scores `[b * b]`, larger = less
    /// trusted, `[b]`.
    fn measure(&self, division: &CoDivision, scores: &[f32]) -> Vec<f32> {
        division.config.mean_hinge(scores)
    }

    /// What a batch of the warm-up teaches; its loss is the mean-negative triplet.
    fn watch_warm_up(&self, division: &CoDivision, view: &BatchView<'_>) -> Beliefs {
        let _ = (division, view);
        Beliefs::default()
    }

    /// The loss of every pair of a batch after the warm-up.
    fn judge(&mut self, division: &CoDivision, epoch: Epoch, view: &mut BatchView<'_>)
    -> Judgement;

    /// See [`Strategy::state`].
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// See [`Strategy::restore`].
    fn restore(&mut self, state: &[f64]) {
        let _ = state;
    }
}

/// Peers that divide each other's pairs, under one method's loss.
#[derive(Debug)]
pub(super) struct CoTeaching<L> {
    pub(super) division: CoDivision,
    pub(super) loss: L,
}

impl<L: DividedLoss> Strategy for CoTeaching<L> {
    fn n_peers(&self) -> usize {
        self.division.config.peers
    }

    fn n_warm_up(&self) -> usize {
        self.division.config.warm_up
    }

    fn columns(&self) -> &'static [ColumnSpec] {
        self.loss.columns()
    }

    fn teacher_decay(&self) -> Option<f64> {
        self.loss.teacher_decay()
    }

    fn survey(&self, epoch: Epoch) -> Option<Survey<'_>> {
        epoch.surveyed(|scores| self.loss.measure(&self.division, scores).into())
    }

    fn divide(&mut self, planning: Planning<'_>) -> Result<Plan> {
        let with_noisy = planning.epoch.main_index() >= self.loss.noisy_from(&self.division);
        self.division.plan(planning.ledgers, with_noisy)
    }

    fn needs(&self, epoch: Epoch, group: usize) -> Needs {
        let opinions = match (epoch.is_warm_up(), self.loss.teacher_decay(), group) {
            (true, _, _) => Consult::Nobody,
            (false, Some(_), _) => Consult::Teachers,
            (false, None, CLEAN) => Consult::Own,
            (false, None, _) => Consult::Everyone,
        };
        Needs {
            opinions,
            ..Needs::default()
        }
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        if !epoch.is_warm_up() {
            return self.loss.judge(&self.division, epoch, view);
        }
        let margins = Margins::Fixed(self.division.config.margin);
        Judgement {
            loss: triplet(view.scores, &margins, Negatives::Mean),
            beliefs: self.loss.watch_warm_up(&self.division, view),
        }
    }

    fn state(&self) -> Vec<f64> {
        self.loss.state()
    }

    fn restore(&mut self, state: &[f64]) {
        self.loss.restore(state);
    }
}

/// The hardest-negative triplet of every pair at its soft label's margin, `[b]`.
pub(super) fn soft_triplet(view: &BatchView<'_>, rectified: &Rectified) -> PairLoss {
    triplet(view.scores, &rectified.margins, Negatives::Hardest)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::strategy::{Opinion, StrategyConfig};
    use truepair_core::rng::Seed;
    use truepair_model::numbers::floats;
    use truepair_model::objective::check::{scores, tracked};

    /// Main epoch 0 of 4.
    pub(crate) const FIRST: Epoch = Epoch {
        index: 5,
        n_warm_up: 5,
        n_main: 4,
    };

    /// Main epoch 3 of 4.
    pub(crate) const LAST: Epoch = Epoch {
        index: 8,
        n_warm_up: 5,
        n_main: 4,
    };

    /// What a strategy says of a batch of 6 pairs whose clean posterior is `posterior`, under
    /// scores without structure, in `group`.
    pub(crate) fn judge(
        config: &StrategyConfig,
        epoch: Epoch,
        group: usize,
        posterior: f32,
    ) -> Judgement {
        judge_scores(config, epoch, group, posterior, &scores(6))
    }

    /// Likewise under scores `[b * b]`, which every network gives in both modes.
    pub(crate) fn judge_scores(
        config: &StrategyConfig,
        epoch: Epoch,
        group: usize,
        posterior: f32,
        scores: &[f32],
    ) -> Judgement {
        let mut strategy = config.build(4).unwrap();
        let pairs: Vec<u32> = (0..scores.len().isqrt() as u32).collect();
        let mut ledger = Ledger::with_columns(pairs.len(), strategy.columns());
        ledger.clean_posterior.fill(posterior);
        let opinion = Opinion {
            scores: scores.to_vec(),
            ..Opinion::default()
        };
        let n_peers = strategy.n_peers();
        strategy.pair_loss(
            epoch,
            &mut BatchView {
                peer: 0,
                group,
                step: 0,
                n_steps: 1,
                pairs: &pairs,
                scores: &tracked(scores),
                structure: None,
                opinions: &vec![opinion; n_peers],
                ledgers: &vec![ledger; n_peers],
                rng: &mut Seed(1).stream("test", &[]),
            },
        )
    }

    /// The losses of a noisy batch in the last epoch after a division that holds `n_noisy` of 40
    /// pairs noisy.
    pub(crate) fn noisy_losses_after_division(config: &StrategyConfig, n_noisy: usize) -> Vec<f32> {
        let mut strategy = config.build(4).unwrap();
        let mut ledger = Ledger::with_columns(40, strategy.columns());
        for (pair, loss) in ledger.loss.iter_mut().enumerate() {
            *loss = if pair < n_noisy { 2.0 } else { 0.2 } + 0.001 * pair as f32;
        }
        let mut ledgers = vec![ledger; strategy.n_peers()];
        let mut rng = Seed(1).stream("test", &[]);
        let plan = strategy
            .plan(Planning {
                epoch: LAST,
                ledgers: &mut ledgers,
                pairs: &[],
                rng: &mut rng,
            })
            .unwrap();
        assert_eq!(plan.peers[0].groups[1].len(), n_noisy);
        let opinion = Opinion {
            scores: scores(6),
            ..Opinion::default()
        };
        let mut view = BatchView {
            peer: 0,
            group: 1,
            step: 0,
            n_steps: 1,
            pairs: &[0, 1, 2, 3, 4, 5],
            scores: &tracked(&scores(6)),
            structure: None,
            opinions: &vec![opinion; ledgers.len()],
            ledgers: &ledgers,
            rng: &mut Seed(1).stream("test", &[]),
        };
        floats(strategy.pair_loss(LAST, &mut view).loss.0.inner())
    }

    /// Asserts that a batch whose pairs are all clean for certain has the hardest-negative
    /// triplet's loss.
    pub(crate) fn check_plain_when_certain(config: &StrategyConfig) {
        let judged = judge(config, LAST, CLEAN, 1.0);
        let plain = triplet(
            &tracked(&scores(6)),
            &Margins::Fixed(0.2),
            Negatives::Hardest,
        );
        let (found, expected) = (floats(judged.loss.0.inner()), floats(plain.0.inner()));
        let equal = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(
            found.iter().zip(&expected).all(equal),
            "{found:?} {expected:?}"
        );
        assert_eq!(judged.beliefs.soft_label, Some(vec![1.0; 6]));
    }

    #[test]
    fn one_peer_divides_its_own_pairs() {
        let config = DivisionConfig {
            peers: 1,
            noisy_after: 0.0,
            ..DivisionConfig::default()
        };
        let mut strategy = config.build(4).unwrap();
        let mut ledger = Ledger::new(40);
        for (pair, loss) in ledger.loss.iter_mut().enumerate() {
            *loss = if pair < 10 { 2.0 } else { 0.2 } + 0.01 * pair as f32;
        }
        let mut rng = Seed(1).stream("test", &[]);
        let plan = strategy
            .plan(Planning {
                epoch: FIRST,
                ledgers: &mut [ledger],
                pairs: &[],
                rng: &mut rng,
            })
            .unwrap();
        assert_eq!(plan.peers.len(), 1);
        assert_eq!(plan.peers[0].groups[1], (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_single_clean_pair_is_too_few_to_train_on() {
        let mut strategy = DivisionConfig::default().build(4).unwrap();
        let mut ledger = Ledger::new(12);
        ledger.loss.fill(5.0);
        ledger.loss[3] = 0.0;
        let mut ledgers = [ledger.clone(), ledger];
        let mut rng = Seed(1).stream("test", &[]);
        let plan = strategy
            .plan(Planning {
                epoch: FIRST,
                ledgers: &mut ledgers,
                pairs: &[],
                rng: &mut rng,
            })
            .unwrap();
        assert_eq!(plan.peers[0].groups, [(0..12).collect::<Vec<u32>>()]);
        assert!(plan.note.unwrap().contains("every pair is held clean"));
    }
}
