//! This project's own method: ask matchers that never saw a pair whether it is one, train on what
//! they hold matched, and give captions that lost their image the image they most likely came from.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::audit::{Findings, Outcome};
use truepair_core::ledger::{ColumnSpec, Ledger, NO_ID};
use truepair_core::pair::Pair;

use super::batch::shared;
use super::expected_images::ExpectedImages;
use super::{
    AuditRequest, BatchView, Candidates, Epoch, Judgement, Plan, Planning, Search, Strategy, kept,
};
use crate::error::Result;
use truepair_model::objective::{ObjectiveConfig, PairLoss, per_entry, per_pair, positive};

/// Settings of `truepair`.
///
/// Before the first epoch the pairs are audited by cross-fitting: `πₙ` is the calibrated probability
/// that pair `n` is mismatched, from ranks under matchers that never trained on it. What a network
/// memorizes cannot enter it, unlike a mixture of the network's own losses. Then
///
/// ```text
/// warm-up    K = { n : πₙ < keep_below };  train on K
/// rematch    for n ∉ K, with the warm-up's networks, which never saw caption Tₙ:
///            rₙ = argmaxⱼ S(Iⱼ, Tₙ),  cₙ = softmaxⱼ(S(Iⱼ, Tₙ) / τ) at rₙ
/// main       fresh networks train on K ∪ { (I_rₙ, Tₙ) : cₙ > rematch_above }
/// loss       Lₙ = wₙ ℓₙ,  wₙ = 1, or 1 − πₙ for given and cₙ for rematched pairs
/// ```
/// with `ℓ` a plain objective, under which pairs of the same image or the same caption are no negatives of one
/// another. A caption that belongs to another picture is thereby used where it belongs, which is how the method
/// can surpass training on the truly matched pairs alone.
/// Where whole images changed places, by how often all captions of an image are dropped, S is the sum of the
/// scores of the n dropped captions of an image, divided by √n.
///
/// `π` is fixed for the run: what a further audit could add is matchers trained on what the first
/// one keeps, and the audit's own last round, `audit.refit`, is that.
///
/// Costs the audit (see [`AuditRequest`]; its matchers are small heads whatever the similarity),
/// the warm-up, and one pass of the dropped captions over all training images. An audit that finds
/// nothing or gives no verdict leaves training on all pairs in all epochs without a restart, with a note in the log,
/// but for one case:
///
/// Where it cannot be told whether pairs are mismatched, although the audit's matchers read all pairs alike
/// and at most a tenth may be far off, near misses are what is open. Then the images of all captions are
/// searched by matchers trained as the audit's are, each caption by one that never saw its pair. That costs
/// `folds` more trainings and a pass of all captions over all training images, which grows with the square of
/// the data. With `pⱼ` the softmax share of image j at `hedge_temperature`, `g` the given image, `n` images and
/// `ρ` the likeliest share of captions whose image is another than theirs,
///
/// ```text
/// q_g = (1 − ρ) p_g / Z,   qⱼ = ρ / (n − 1) · pⱼ / Z,   ρ = mean of 1 − q_g over the captions
/// ```
/// and all epochs train, without a restart, on each caption with those of its given and its three best
/// images that have `q > rematch_above`, weighted by `q` under `weighting = "confidence"`. Possible
/// mismatches are thereby hedged, not judged: `ρ` is no estimate of the noise rate, and `q` is not
/// calibrated. `warm_up = 0` or `rematch_above = 1` leaves this out.
///
/// # Source
/// This project; figures and ablations in `docs/results.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TruepairConfig {
    /// What is minimized.
    pub objective: ObjectiveConfig,
    /// Networks, 1 or 2; two search for lost images together.
    pub peers: usize,
    /// Epochs on the kept pairs before lost images are searched, in addition to
    /// `training.epochs`; 0 leaves rematching out.
    pub warm_up: usize,
    /// Given pairs are kept below this probability of being mismatched, (0, 1].
    pub keep_below: f64,
    /// Captions whose best image has more than this share of the softmax are rematched, [0, 1]; 1
    /// for none. Where near misses cannot be told, every image of a caption counts above this `q`.
    pub rematch_above: f64,
    /// τ: divides the scores in that softmax over all training images.
    pub rematch_temperature: f64,
    /// τ of the search by the audit's matchers, where near misses cannot be told.
    pub hedge_temperature: f64,
    /// Whether doubtful pairs count less.
    pub weighting: Weighting,
    /// How the audit's matchers are trained and what it concludes from them.
    pub audit: Box<AuditRequest>,
}

/// Whether doubtful pairs count less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Every pair that is trained on counts 1.
    Equal,
    /// Given pairs count by 1 − π, rematched ones by their softmax share; by `q` where near misses cannot be told.
    Confidence,
}

impl Default for TruepairConfig {
    fn default() -> Self {
        Self {
            objective: ObjectiveConfig::default(),
            peers: 1,
            warm_up: 10,
            keep_below: 0.5,
            rematch_above: 0.2,
            rematch_temperature: 0.05,
            hedge_temperature: 0.035,
            weighting: Weighting::Equal,
            audit: Box::default(),
        }
    }
}

/// Share of pairs that may be far off, at most, where near misses alone are what cannot be told.
const MOST_FAR: f64 = 0.1;

/// Below every score.
const FAR: f64 = 1e4;

/// Images that a caption is given at most besides its own.
const N_BEST: usize = 3;
/// The images that a caption is given, the likeliest first.
const IMAGES: [ColumnSpec; N_BEST] = [
    ColumnSpec::ids("image"),
    ColumnSpec::ids("image_2"),
    ColumnSpec::ids("image_3"),
];
/// How likely each of them is, [0, 1].
const SHARES: [ColumnSpec; N_BEST] = [
    ColumnSpec::floats("share"),
    ColumnSpec::floats("share_2"),
    ColumnSpec::floats("share_3"),
];

#[derive(Debug)]
struct Truepair {
    config: TruepairConfig,
    /// The images of the plan's rematched pairs count by these.
    shares: Vec<f32>,
    /// What the reader of the log should know about the audit.
    remark: Option<String>,
    /// Whether near misses are what the audit leaves open.
    is_open: bool,
    /// Whether the audit leaves pairs out.
    drops: bool,
    /// The given and the rematched pairs, known from the epoch's plan on.
    pairs: Vec<Pair>,
}

impl TruepairConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        self.objective.check()?;
        positive("strategy.rematch_temperature", self.rematch_temperature)?;
        positive("strategy.hedge_temperature", self.hedge_temperature)?;
        kept::check(self.keep_below)?;
        let rules = [
            (
                (0.0..=1.0).contains(&self.rematch_above),
                format!(
                    "strategy.rematch_above = {} is not in [0, 1]",
                    self.rematch_above
                ),
                "1 rematches nothing",
            ),
            (
                (1..=2).contains(&self.peers),
                format!("strategy.peers = {} is neither 1 nor 2", self.peers),
                "use 1, or 2 for an ensemble",
            ),
        ];
        for (holds, problem, help) in rules {
            if !holds {
                return Err(Error::argument(problem, help).into());
            }
        }
        Ok(Box::new(Truepair {
            config: self.clone(),
            shares: Vec::new(),
            remark: None,
            is_open: false,
            drops: false,
            pairs: Vec::new(),
        }))
    }

    /// For a matcher that one step fits: a longer warm-up would fit the same again.
    pub(super) fn in_one_step(self) -> Self {
        Self {
            warm_up: self.warm_up.min(1),
            ..self
        }
    }

    fn rematches(&self) -> bool {
        self.warm_up > 0 && self.rematch_above < 1.0
    }
}

/// Whether it cannot be told which pairs are mismatched, although the audit's matchers read all pairs alike and
/// hardly any pair is far off. Where they read badly, their scores are no guide to a caption's image either.
fn leaves_near_misses_open(findings: &Findings) -> bool {
    let far = findings
        .kinds
        .map_or(findings.noise_rate, |kinds| kinds.far);
    matches!(findings.outcome, Outcome::CannotBeTold { .. })
        && !findings.reading.is_uneven
        && far.high <= MOST_FAR
}

impl Truepair {
    /// 1 − π of a given pair, the softmax share of a rematched one; `q` of both where near misses cannot be told.
    fn confidence(&self, pair: u32, ledger: &Ledger) -> f32 {
        match ledger.clean_posterior.get(pair as usize) {
            Some(clean) => *clean,
            None => self.shares[pair as usize - ledger.len()],
        }
    }

    /// The given pairs to train on; where near misses cannot be told, those that the search leaves likely.
    fn kept(&self, ledger: &Ledger) -> (Vec<u32>, Option<String>) {
        let keep_below = match self.is_open {
            true => 1.0 - self.config.rematch_above,
            false => self.config.keep_below,
        };
        kept::kept(ledger, keep_below)
    }

    /// The batch's scores `[b, b]`, but far below all others where two pairs share an image or a caption.
    fn among_negatives(&self, view: &BatchView<'_>) -> Tensor<2> {
        let shared = shared(view.pairs, |a, b| {
            let [a, b] = [a, b].map(|pair| self.pairs[pair as usize]);
            a.image == b.image || a.caption == b.caption
        });
        match shared {
            None => view.scores.clone(),
            Some(mut shared) => {
                (shared.iter_mut().step_by(view.pairs.len() + 1)).for_each(|own| *own = 0.0);
                view.scores.clone() - per_entry(&shared, view.scores) * FAR
            }
        }
    }

    /// Takes the images that captions are expected to belong to.
    fn expect(&mut self, candidates: &Candidates, ledgers: &mut [Ledger]) {
        let expected = ExpectedImages::fit(candidates);
        for ledger in ledgers {
            for found in &candidates.of_pairs {
                let row = found.pair as usize;
                let given = expected.given(found) as f32;
                ledger.clean_posterior[row] = given;
                ledger.soft_label[row] = given;
                let others = (found.best.iter()).filter(|best| best.image != found.given_image);
                for (at, &other) in others.take(N_BEST).enumerate() {
                    ledger.ids_mut(IMAGES[at])[row] = other.image;
                    ledger.floats_mut(SHARES[at])[row] = expected.other(found, other) as f32;
                }
            }
        }
        self.remark = Some(format!(
            "near misses cannot be told from matched pairs; captions train with the images that they may \
             belong to, as if {:.0} % belonged to another than theirs",
            100.0 * expected.moved
        ));
    }
}

impl Strategy for Truepair {
    fn n_peers(&self) -> usize {
        self.config.peers
    }

    fn n_warm_up(&self) -> usize {
        self.config.warm_up
    }

    fn columns(&self) -> &'static [ColumnSpec] {
        const {
            &[
                IMAGES[0], SHARES[0], IMAGES[1], SHARES[1], IMAGES[2], SHARES[2],
            ]
        }
    }

    fn wants_audit(&self, epoch: Epoch) -> Option<AuditRequest> {
        (epoch.index == 0).then(|| (*self.config.audit).clone())
    }

    fn take_audit(&mut self, findings: &Findings, ledgers: &mut [Ledger]) {
        self.is_open = self.config.rematches() && leaves_near_misses_open(findings);
        self.remark = kept::believe(findings, ledgers);
        let (kept, note) = self.kept(&ledgers[0]);
        self.drops = !self.is_open && note.is_none() && kept.len() < ledgers[0].len();
    }

    fn wants_search(&self, epoch: Epoch, ledgers: &[Ledger], pairs: &[Pair]) -> Option<Search> {
        if self.is_open {
            return (epoch.index == 0).then(|| Search {
                pairs: (0..pairs.len() as u32).collect(),
                temperature: self.config.hedge_temperature,
                // One of them may be the given image.
                n_best: N_BEST + 1,
                together: false,
                held_out: Some((*self.config.audit).clone()),
            });
        }
        if !self.restarts(epoch) {
            return None;
        }
        let (kept, _) = self.kept(&ledgers[0]);
        let mut is_lost = vec![true; pairs.len()];
        kept.iter().for_each(|&pair| is_lost[pair as usize] = false);
        Some(Search {
            pairs: (0..pairs.len() as u32)
                .filter(|&pair| is_lost[pair as usize])
                .collect(),
            temperature: self.config.rematch_temperature,
            n_best: 1,
            together: kept::are_lost_together(pairs, &is_lost),
            held_out: None,
        })
    }

    fn take_candidates(&mut self, candidates: &Candidates, ledgers: &mut [Ledger]) {
        if self.is_open {
            return self.expect(candidates, ledgers);
        }
        for ledger in ledgers {
            for found in &candidates.of_pairs {
                let row = found.pair as usize;
                ledger.ids_mut(IMAGES[0])[row] = found.best[0].image;
                ledger.floats_mut(SHARES[0])[row] = found.best[0].share;
            }
        }
    }

    fn restarts(&self, epoch: Epoch) -> bool {
        self.drops && self.config.rematches() && epoch.index == epoch.n_warm_up
    }

    fn plan(&mut self, planning: Planning<'_>) -> Result<Plan> {
        let Planning {
            epoch,
            ledgers,
            pairs,
            ..
        } = planning;
        let (mut group, note) = self.kept(&ledgers[0]);
        let mut rematched = Vec::new();
        self.shares.clear();
        if self.is_open || !epoch.is_warm_up() {
            for (images, shares) in IMAGES.into_iter().zip(SHARES) {
                let (images, shares) = (ledgers[0].ids(images), ledgers[0].floats(shares));
                for (row, pair) in pairs.iter().enumerate() {
                    if images[row] != NO_ID && f64::from(shares[row]) > self.config.rematch_above {
                        group.push((pairs.len() + rematched.len()) as u32);
                        rematched.push(Pair {
                            image: images[row],
                            ..*pair
                        });
                        self.shares.push(shares[row]);
                    }
                }
            }
        }
        self.pairs = [pairs, &rematched].concat();
        let counted = format!(
            "{} given and {} rematched pairs",
            group.len() - rematched.len(),
            rematched.len()
        );
        let remarks = [self.remark.take(), note, Some(counted)];
        Ok(Plan {
            rematched,
            note: Some(remarks.into_iter().flatten().collect::<Vec<_>>().join("; ")),
            ..Plan::same(self.config.peers, vec![group])
        })
    }

    fn state(&self) -> Vec<f64> {
        [self.is_open, self.drops]
            .map(|is| f64::from(u8::from(is)))
            .to_vec()
    }

    fn restore(&mut self, state: &[f64]) {
        self.is_open = state.first().is_some_and(|is| *is > 0.0);
        // A run begun before this was kept restarts.
        self.drops = state.get(1).map_or(!self.is_open, |is| *is > 0.0);
    }

    fn takes_closed_form(&self) -> bool {
        true
    }

    fn weights(&self, pairs: &[u32], ledgers: &[Ledger]) -> Vec<f32> {
        let weights = pairs.iter().map(|&pair| match self.config.weighting {
            Weighting::Equal => 1.0,
            Weighting::Confidence => self.confidence(pair, &ledgers[0]),
        });
        weights.collect()
    }

    fn pair_loss(&mut self, _epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let config = &self.config;
        let mut loss = config.objective.pair_loss(&self.among_negatives(view)).0;
        if config.weighting == Weighting::Confidence {
            let weights: Vec<f32> = (view.pairs.iter())
                .map(|&pair| self.confidence(pair, &view.ledgers[view.peer]))
                .collect();
            loss = loss * per_pair(&weights, view.scores);
        }
        PairLoss(loss).into()
    }
}

#[cfg(test)]
mod tests {
    use truepair_core::audit::{
        Ambiguity, Competence, DuplicateCounts, Fit, Judgment, Kinds, NoiseRate, Reading, Verdict,
    };

    use super::super::{Candidate, PairCandidates};
    use super::*;
    use truepair_core::rng::Seed;
    use truepair_model::numbers::floats;
    use truepair_model::objective::check::tracked;

    fn truepair(config: TruepairConfig) -> Truepair {
        Truepair {
            config,
            shares: Vec::new(),
            remark: None,
            is_open: false,
            drops: false,
            pairs: Vec::new(),
        }
    }

    fn pairs(n: u32) -> Vec<Pair> {
        (0..n)
            .map(|at| Pair {
                image: at,
                caption: at,
            })
            .collect()
    }

    fn ledger() -> Ledger {
        Ledger::with_columns(6, truepair(TruepairConfig::default()).columns())
    }

    fn found(pair: u32, given: f32, best: &[(u32, f32)]) -> PairCandidates {
        let best = best
            .iter()
            .map(|&(image, share)| Candidate { image, share });
        PairCandidates {
            pair,
            given_image: pair,
            given,
            best: best.collect(),
        }
    }

    fn candidates(of_pairs: Vec<PairCandidates>) -> Candidates {
        Candidates {
            n_images: 6,
            of_pairs,
        }
    }

    fn open_findings() -> Findings {
        let open = |high| NoiseRate {
            estimate: 0.0,
            low: 0.0,
            high,
        };
        Findings {
            outcome: Outcome::CannotBeTold {
                reason: "near misses look like matched pairs".to_owned(),
                help: "look".to_owned(),
            },
            kinds: Some(Kinds {
                far: open(0.03),
                near: open(1.0),
                is_told_apart: false,
                is_found: false,
            }),
            noise_rate: open(1.0),
            competence: Competence {
                share_below_5_percent: 0.9,
                chance: 0.06,
            },
            reading: Reading::default(),
            verdicts: Vec::new(),
            fit: Fit::default(),
            duplicates: DuplicateCounts::default(),
            illegible: 0,
            ambiguity: Ambiguity::default(),
            truth: None,
            self_check: None,
            notes: Vec::new(),
        }
    }

    /// An audit that finds these pairs mismatched with these probabilities.
    fn mismatched(pairs: &[(u32, f64)]) -> Findings {
        let verdicts = (pairs.iter()).map(|&(pair, posterior)| Verdict {
            pair,
            image: pair,
            caption: pair,
            p_i2t: 0.5,
            p_t2i: 0.5,
            p: 0.5,
            posterior,
            near: 0.0,
            rank_i2t: 3,
            rank_t2i: 3,
            better_caption: None,
            better_image: None,
            uncertainty: None,
            judgment: Judgment::default(),
            reason: String::new(),
        });
        Findings {
            outcome: Outcome::MismatchedPairs,
            verdicts: verdicts.collect(),
            ..open_findings()
        }
    }

    const MAIN: Epoch = Epoch {
        index: 10,
        n_warm_up: 10,
        n_main: 4,
    };

    fn planned(strategy: &mut Truepair, epoch: Epoch, ledgers: &mut [Ledger]) -> Plan {
        let planning = Planning {
            epoch,
            ledgers,
            pairs: &pairs(6),
            rng: &mut Seed(0).stream("test", &[]),
        };
        strategy.plan(planning).unwrap()
    }

    #[test]
    fn dropped_captions_are_searched_and_come_back_with_their_image() {
        let mut strategy = truepair(TruepairConfig::default());
        let mut ledgers = vec![ledger()];
        strategy.take_audit(&mismatched(&[(2, 0.9), (4, 0.6)]), &mut ledgers);
        assert!(strategy.restarts(MAIN));
        let search = strategy.wants_search(MAIN, &ledgers, &pairs(6)).unwrap();
        assert_eq!(search.pairs, [2, 4]);
        let found = [(2, 70_001, 0.9), (4, 3, 0.1)]
            .map(|(pair, image, share)| found(pair, 0.01, &[(image, share)]));
        strategy.take_candidates(&candidates(found.into()), &mut ledgers);
        let plan = planned(&mut strategy, MAIN, &mut ledgers);
        assert_eq!(plan.peers[0].groups[0], [0, 1, 3, 5, 6]);
        assert_eq!(
            plan.rematched,
            [Pair {
                image: 70_001,
                caption: 2
            }]
        );
        let warm_up = Epoch { index: 3, ..MAIN };
        let plan = planned(&mut strategy, warm_up, &mut ledgers);
        assert_eq!(plan.peers[0].groups[0], [0, 1, 3, 5]);
    }

    #[test]
    fn without_a_mismatch_nothing_is_searched_and_every_pair_is_used() {
        let mut strategy = truepair(TruepairConfig::default());
        let mut ledgers = vec![ledger()];
        strategy.take_audit(&mismatched(&[(2, 0.1), (4, 0.4)]), &mut ledgers);
        assert_eq!(strategy.wants_search(MAIN, &ledgers, &pairs(6)), None);
        // What the networks have learned was learned from the same pairs.
        assert!(!strategy.restarts(MAIN));
        let plan = planned(&mut strategy, MAIN, &mut ledgers);
        assert_eq!(plan.peers[0].groups[0].len(), 6);
        // Even when everything is held mismatched, something is trained on, and the log says so.
        ledgers[0].clean_posterior.fill(0.0);
        let plan = planned(&mut strategy, MAIN, &mut ledgers);
        assert_eq!(plan.peers[0].groups[0].len(), 6);
        assert!(plan.note.unwrap().contains("all are used"));
    }

    #[test]
    fn where_it_cannot_be_told_captions_train_with_the_images_they_may_belong_to() {
        let mut strategy = truepair(TruepairConfig {
            weighting: Weighting::Confidence,
            ..TruepairConfig::default()
        });
        let mut ledgers = vec![ledger()];
        strategy.take_audit(&open_findings(), &mut ledgers);
        let first = Epoch { index: 0, ..MAIN };
        let search = strategy.wants_search(first, &ledgers, &pairs(6)).unwrap();
        assert_eq!((search.pairs.len(), search.n_best), (6, N_BEST + 1));
        assert!(search.held_out.is_some());
        assert!(strategy.wants_search(MAIN, &ledgers, &pairs(6)).is_none());
        assert!(!strategy.restarts(MAIN));
        // Caption 3 fits image 0 and no other, caption 4 images 1 and 2 alike and its own a little.
        let mut of_pairs: Vec<PairCandidates> =
            (0..6).map(|n| found(n, 0.95, &[(n, 0.95)])).collect();
        of_pairs[3] = found(3, 0.001, &[(0, 0.99)]);
        of_pairs[4] = found(4, 0.01, &[(1, 0.49), (2, 0.48), (4, 0.01), (0, 0.01)]);
        strategy.take_candidates(&candidates(of_pairs), &mut ledgers);
        let plan = planned(&mut strategy, first, &mut ledgers);
        assert_eq!(plan.peers[0].groups[0], [0, 1, 2, 5, 6, 7, 8]);
        let image = |image, caption| Pair { image, caption };
        assert_eq!(plan.rematched, [image(0, 3), image(1, 4), image(2, 4)]);
        assert_eq!(ledgers[0].ids(IMAGES[2])[4], 0);
        assert!(plan.note.unwrap().contains("near misses cannot be told"));
        let weights = strategy.weights(&[0, 6, 7, 8], &ledgers);
        assert!(weights[0] > 0.99 && weights[1] > 0.9, "{weights:?}");
        assert!(weights[2] > weights[3] && weights[3] > 0.3, "{weights:?}");
        assert!(weights[2] < 0.6, "{weights:?}");
        // What is open survives a stop.
        let mut resumed = truepair(TruepairConfig::default());
        resumed.restore(&strategy.state());
        let plan = planned(&mut resumed, MAIN, &mut ledgers);
        assert_eq!(plan.peers[0].groups[0], [0, 1, 2, 5, 6, 7, 8]);
    }

    #[test]
    fn where_the_matchers_read_badly_all_pairs_are_used_as_given() {
        let is_open = |findings: &Findings, warm_up| {
            let mut strategy = truepair(TruepairConfig {
                warm_up,
                ..TruepairConfig::default()
            });
            strategy.take_audit(findings, &mut [ledger()]);
            strategy.is_open
        };
        let open = open_findings();
        assert!(is_open(&open, 1) && !is_open(&open, 0));
        let mut uneven = open.clone();
        uneven.reading.is_uneven = true;
        let mut far = open.clone();
        far.kinds.as_mut().unwrap().far.high = 0.4;
        let clean = Findings {
            outcome: Outcome::NoEvidence,
            ..open.clone()
        };
        for findings in [uneven, far, clean] {
            assert!(!is_open(&findings, 1), "{findings:?}");
        }
    }

    #[test]
    fn pairs_of_one_image_or_one_caption_are_no_negatives_of_one_another() {
        let mut strategy = truepair(TruepairConfig::default());
        let image = |image, caption| Pair { image, caption };
        strategy.pairs = vec![image(0, 0), image(0, 1), image(1, 2), image(2, 2)];
        let ledgers = vec![Ledger::new(4)];
        let mut loss = |pairs: &[u32], scores: &[f32]| {
            let scores = tracked(scores);
            let mut view = BatchView {
                peer: 0,
                group: 0,
                step: 0,
                n_steps: 1,
                pairs,
                scores: &scores,
                structure: None,
                opinions: &[],
                ledgers: &ledgers,
                rng: &mut Seed(0).stream("test", &[]),
            };
            floats(strategy.pair_loss(MAIN, &mut view).loss.0)
        };
        let two = |a: f32, b: f32| [0.9, a, b, 0.8];
        // How they score one another says nothing; alone in their batch there is nothing to tell them from.
        for pairs in [[0, 1], [2, 3]] {
            assert_eq!(loss(&pairs, &two(0.1, 0.2)), [0.0, 0.0]);
            assert_eq!(loss(&pairs, &two(0.7, 0.95)), [0.0, 0.0]);
        }
        let (scores, softmax) = (two(0.1, 0.2), |own: f32, other: f32| {
            -(1.0 / (1.0 + ((other - own) / 0.07).exp())).ln()
        });
        let expected = [
            (softmax(0.9, 0.1) + softmax(0.9, 0.2)) / 2.0,
            (softmax(0.8, 0.2) + softmax(0.8, 0.1)) / 2.0,
        ];
        for (found, expected) in loss(&[1, 2], &scores).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn an_audit_cannot_audit_itself() {
        let text = "[audit.recipe.strategy]\nkind = \"truepair\"\n";
        let message = toml::from_str::<TruepairConfig>(text)
            .unwrap_err()
            .to_string();
        assert!(message.contains("unknown variant `truepair`"), "{message}");
    }
}
