//! What happens before an epoch: audits, restarts, surveys and the plan.

use burn::module::Module;
use truepair_core::audit::Links;
use truepair_core::ledger::Ledger;
use truepair_core::linear::{LinearMatcher, SideVectors};
use truepair_core::pair::Pair;

use super::Trainer;
use super::batches::Batches;
use super::step::{believe, evaluate, write};
use super::teacher::Teacher;
use crate::cross_fit::{CrossFitConfig, cross_fit};
use crate::error::Result;
use crate::run::Session;
use crate::strategy::{AuditRequest, Epoch, Plan, Planning};
use truepair_model::backbone::BackboneConfig;

impl Trainer<'_> {
    pub(super) fn plan(&mut self, epoch: Epoch) -> Result<Plan> {
        let mut ledgers = self.take_ledgers();
        let mut rng = self.seed.stream("plan", &[epoch.index as u64]);
        let plan = self.strategy.plan(Planning {
            epoch,
            ledgers: &mut ledgers,
            pairs: &self.data.pairs,
            rng: &mut rng,
        });
        self.return_ledgers(ledgers);
        plan
    }

    pub(super) fn take_ledgers(&mut self) -> Vec<Ledger> {
        (self.peers.iter_mut())
            .map(|peer| std::mem::take(&mut peer.ledger))
            .collect()
    }

    pub(super) fn return_ledgers(&mut self, ledgers: Vec<Ledger>) {
        for (peer, ledger) in self.peers.iter_mut().zip(ledgers) {
            peer.ledger = ledger;
        }
    }

    /// Gives every peer a fresh network; what it believes of the pairs stays.
    pub(super) fn restart(&mut self, epoch: Epoch) -> Result<()> {
        let device = self.plain_device.clone().autodiff();
        for at in 0..self.peers.len() {
            let seed = (self.seed.child("peer", at as u64)).child("restart", epoch.index as u64);
            let matcher = self.fresh(seed, &device)?;
            let peer = &mut self.peers[at];
            peer.teacher = (peer.teacher.as_ref()).map(|old| Teacher::new(old.decay, &matcher));
            peer.matcher = matcher;
            peer.optimizer = self.config.optimizer.build();
        }
        Ok(())
    }

    /// Fits the closed form that matchers begin with, where they do and begin now, to the pairs of the
    /// plan; returns what was chosen. Peers are given the same.
    pub(super) fn fit_closed_form(
        &mut self,
        epoch: Epoch,
        plan: &Plan,
        session: &mut Session<'_>,
    ) -> Result<Option<String>> {
        let matcher = &self.config.matcher;
        let begins = epoch.index == 0 || self.strategy.restarts(epoch) || matcher.is_closed_form();
        let (Some(config), true) = (&matcher.linear, begins) else {
            return Ok(None);
        };
        let members = plan.peers[0].groups.concat();
        let pairs: Vec<Pair> = members.iter().map(|&pair| self.pair(pair)).collect();
        let pooling = [&matcher.image, &matcher.caption].map(BackboneConfig::closed_form);
        let features = self.reader.as_features();
        let (Some([images, captions]), [Some(of_image), Some(of_caption)]) = (features, pooling)
        else {
            unreachable!("a config with a closed form has backbones that begin with it")
        };
        let sides = [
            SideVectors::new(images, of_image)?,
            SideVectors::new(captions, of_caption)?,
        ];
        let ledgers = self.take_ledgers();
        let weights = self.strategy.weights(&members, &ledgers);
        self.return_ledgers(ledgers);
        let seed = self.seed.child("closed form", epoch.index as u64);
        let watch = &mut *session.watch;
        let fitted = LinearMatcher::fit(sides, &pairs, Some(&weights), config, seed, watch)?;
        for peer in &mut self.peers {
            peer.matcher = peer.matcher.clone().fitted(&fitted);
            peer.teacher =
                (peer.teacher.as_ref()).map(|old| Teacher::new(old.decay, &peer.matcher));
        }
        Ok(Some(format!("closed form: {}", fitted.chosen)))
    }

    /// Has every pair judged by matchers that never saw it.
    pub(super) fn audit(
        &mut self,
        epoch: Epoch,
        request: AuditRequest,
        session: &mut Session<'_>,
    ) -> Result<()> {
        let links = Links::of(self.data)?;
        let seed = self.seed.child("audit", epoch.index as u64);
        let config = CrossFitConfig::from(request);
        let findings = cross_fit(self.data, &links, &config, seed, session)?;
        let mut ledgers = self.take_ledgers();
        self.strategy.take_audit(&findings, &mut ledgers);
        self.return_ledgers(ledgers);
        Ok(())
    }

    /// Measures every pair under every peer in evaluation mode, in shuffled batches, where the strategy
    /// wants that.
    pub(super) fn survey(&mut self, epoch: Epoch, session: &mut Session<'_>) -> Result<()> {
        let Some(survey) = self.strategy.survey(epoch) else {
            return Ok(());
        };
        let all: Vec<u32> = (0..self.data.pairs.len() as u32).collect();
        for at in 0..self.peers.len() {
            let matcher = self.peers[at].matcher.valid();
            let key = [epoch.index as u64, at as u64, u64::MAX];
            let mut batches =
                Batches::shuffled(all.clone(), self.config.training.batch, self.seed, key);
            for step in 0..batches.per_round() {
                self.check_stop(epoch, session)?;
                let pairs = batches.next_batch();
                let (images, captions) = self.inputs(&pairs)?;
                let scores = evaluate(&matcher, images, captions);
                let measured = survey(&scores);
                let ledger = &mut self.peers[at].ledger;
                write(&mut ledger.loss, &pairs, &measured.loss);
                believe(ledger, &pairs, measured.beliefs);
                session
                    .watch
                    .advance("measure pairs", step as u64 + 1, batches.per_round() as u64);
            }
        }
        Ok(())
    }
}
