//! Progress bars: the libraries report through `Watch`, a terminal shows it, a pipe shows nothing.

use std::collections::HashSet;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use truepair_core::dataset::Account;
use truepair_core::diagnosis::Diagnosis;
use truepair_core::watch::Watch;
use truepair_train::labeled::{LabelEpoch, LabelWatch};
use truepair_train::{EpochRecord, StepProgress, TrainWatch};

use crate::render;

/// One bar at a time on stderr, one per stage; invisible unless stderr is a terminal.
pub(crate) struct Bars {
    stage: String,
    bar: ProgressBar,
    /// What was told of the data, which is told once.
    told: HashSet<String>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self {
            stage: String::new(),
            bar: ProgressBar::hidden(),
            told: HashSet::new(),
        }
    }

    /// Says in one line what a reader passed over or chose.
    pub(crate) fn tell(&mut self, account: &Account) {
        if let Some(line) = account.summary()
            && self.told.insert(line.clone())
        {
            self.bar.finish_and_clear();
            render::note(&format!("note: {line}"));
        }
    }

    /// Says in one line what stands out in the data.
    pub(crate) fn stands_out(&mut self, found: &[Diagnosis]) {
        let Some(first) = found.first() else {
            return;
        };
        let more = match found.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let line = format!("{}{more}", first.sentence());
        if self.told.insert(line.clone()) {
            self.bar.finish_and_clear();
            render::note(&format!("note: {line}"));
        }
    }

    fn open(&mut self, stage: &str, total: u64) {
        self.bar.finish_and_clear();
        // indicatif hides the bar by itself where stderr is not a terminal.
        self.bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg:24} [{bar:32}] {pos}/{len} {eta}")
            .expect("the template is a constant that indicatif accepts");
        self.bar.set_style(style.progress_chars("=> "));
        self.bar.set_message(stage.to_owned());
        stage.clone_into(&mut self.stage);
    }
}

impl Watch for Bars {
    fn advance(&mut self, stage: &str, done: u64, total: u64) {
        if stage != self.stage {
            self.open(stage, total);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        if done >= total {
            self.bar.finish_and_clear();
        }
    }

    fn warn(&mut self, warning: &str) {
        self.bar.finish_and_clear();
        render::note(&format!("warning: {warning}"));
    }
}

impl TrainWatch for Bars {
    fn step(&mut self, progress: &StepProgress) {
        let stage = format!("epoch {} of {}", progress.epoch + 1, progress.n_epochs);
        self.advance(&stage, progress.step as u64, progress.n_steps as u64);
    }

    fn epoch(&mut self, record: &EpochRecord) {
        self.bar.finish_and_clear();
        render::note(&render::epoch_text(record));
    }
}

impl LabelWatch for Bars {
    fn label_epoch(&mut self, record: &LabelEpoch) {
        self.bar.finish_and_clear();
        render::note(&render::label_epoch_text(record));
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_stage_opens_a_new_bar() {
        let mut bars = Bars::new();
        bars.advance("read", 1, 4);
        assert_eq!((bars.bar.position(), bars.bar.length()), (1, Some(4)));
        bars.advance("rank", 0, 9);
        assert_eq!((bars.bar.position(), bars.bar.length()), (0, Some(9)));
    }
}
