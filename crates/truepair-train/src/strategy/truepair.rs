//! This project's own method: ask matchers that never saw a pair whether it is one, train on what
//! they hold matched, and give captions that lost their image the image they most likely came from.

use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::audit::Findings;
use truepair_core::ledger::{ColumnSpec, Ledger, NO_ID};
use truepair_core::pair::Pair;

use super::{
    AuditRequest, BatchView, Candidate, Epoch, Judgement, Plan, Planning, Search, Strategy, kept,
};
use crate::error::Result;
use truepair_model::objective::{ObjectiveConfig, PairLoss, per_pair, positive};

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
/// with `ℓ` a plain objective. A caption that belongs to another picture is thereby used where it
/// belongs, which is how the method can surpass training on the truly matched pairs alone.
///
/// `π` is fixed for the run: what a further audit could add is matchers trained on what the first
/// one keeps, and the audit's own last round, `audit.refit`, is that.
///
/// Costs the audit (see [`AuditRequest`]; its matchers are small heads whatever the similarity),
/// the warm-up, and one pass of the dropped captions over all training images. An audit that finds
/// nothing or refuses to judge leaves plain training on all pairs, with a note in the log.
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
    /// for none.
    pub rematch_above: f64,
    /// τ: divides the scores in that softmax over all training images.
    pub rematch_temperature: f64,
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
    /// Given pairs count by 1 − π, rematched ones by their softmax share.
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
            weighting: Weighting::Equal,
            audit: Box::default(),
        }
    }
}

/// The ledger's columns: the caption's best image in two parts, because a single precision number
/// counts only to 2²⁴, and its share of the softmax, 0 where none was searched.
/// The image that a dropped caption is given.
const IMAGE: ColumnSpec = ColumnSpec::ids("image");
/// How likely that image is, [0, 1].
const SHARE: ColumnSpec = ColumnSpec::floats("share");

#[derive(Debug)]
struct Truepair {
    config: TruepairConfig,
    /// The images of the plan's rematched pairs count by these.
    shares: Vec<f32>,
    /// What the reader of the log should know about the audit.
    remark: Option<String>,
}

impl TruepairConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        self.objective.check()?;
        positive("strategy.rematch_temperature", self.rematch_temperature)?;
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

impl Truepair {
    /// 1 − π of a given pair, the softmax share of a rematched one.
    fn confidence(&self, pair: u32, ledger: &Ledger) -> f32 {
        match ledger.clean_posterior.get(pair as usize) {
            Some(clean) => *clean,
            None => self.shares[pair as usize - ledger.len()],
        }
    }

    fn kept(&self, ledger: &Ledger) -> (Vec<u32>, Option<String>) {
        kept::kept(ledger, self.config.keep_below)
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
        &[IMAGE, SHARE]
    }

    fn wants_audit(&self, epoch: Epoch) -> Option<AuditRequest> {
        (epoch.index == 0).then(|| (*self.config.audit).clone())
    }

    fn take_audit(&mut self, findings: &Findings, ledgers: &mut [Ledger]) {
        self.remark = kept::believe(findings, ledgers);
    }

    fn wants_search(&self, epoch: Epoch, ledgers: &[Ledger]) -> Option<Search> {
        if !self.config.rematches() || epoch.index != epoch.n_warm_up {
            return None;
        }
        let (kept, note) = self.kept(&ledgers[0]);
        if note.is_some() || kept.len() == ledgers[0].len() {
            return None;
        }
        let mut is_kept = vec![false; ledgers[0].len()];
        kept.iter().for_each(|&pair| is_kept[pair as usize] = true);
        Some(Search {
            pairs: (0..is_kept.len() as u32)
                .filter(|&pair| !is_kept[pair as usize])
                .collect(),
            temperature: self.config.rematch_temperature,
        })
    }

    fn take_candidates(&mut self, candidates: &[Candidate], ledgers: &mut [Ledger]) {
        for ledger in ledgers {
            for found in candidates {
                let row = found.pair as usize;
                ledger.ids_mut(IMAGE)[row] = found.image;
                ledger.floats_mut(SHARE)[row] = found.share;
            }
        }
    }

    fn restarts(&self, epoch: Epoch) -> bool {
        self.config.rematches() && epoch.index == epoch.n_warm_up
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
        if !epoch.is_warm_up() {
            let (images, shares) = (ledgers[0].ids(IMAGE), ledgers[0].floats(SHARE));
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
        let mut loss = config.objective.pair_loss(view.scores).0;
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
    use super::*;
    use truepair_core::rng::Seed;

    fn truepair(config: TruepairConfig) -> Truepair {
        Truepair {
            config,
            shares: Vec::new(),
            remark: None,
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
        let mut ledgers = vec![Ledger::with_columns(6, &[IMAGE, SHARE])];
        ledgers[0].clean_posterior[2] = 0.1;
        ledgers[0].clean_posterior[4] = 0.4;
        let search = strategy.wants_search(MAIN, &ledgers).unwrap();
        assert_eq!(search.pairs, [2, 4]);
        let found = [(2, 70_001, 0.9), (4, 3, 0.1)].map(|(pair, image, share)| Candidate {
            pair,
            image,
            share,
        });
        strategy.take_candidates(&found, &mut ledgers);
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
        let mut ledgers = vec![Ledger::with_columns(6, &[IMAGE, SHARE])];
        assert_eq!(strategy.wants_search(MAIN, &ledgers), None);
        let plan = planned(&mut strategy, MAIN, &mut ledgers);
        assert_eq!(plan.peers[0].groups[0].len(), 6);
        // Even when everything is held mismatched, something is trained on, and the log says so.
        ledgers[0].clean_posterior.fill(0.0);
        let plan = planned(&mut strategy, MAIN, &mut ledgers);
        assert_eq!(plan.peers[0].groups[0].len(), 6);
        assert!(plan.note.unwrap().contains("all are used"));
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
