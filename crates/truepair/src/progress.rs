//! Progress: the libraries report through `Watch`, a terminal shows a bar, and what is no terminal gets a
//! line every ten seconds.

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use truepair_core::dataset::Account;
use truepair_core::diagnosis::Diagnosis;
use truepair_core::watch::Watch;
use truepair_train::labeled::{LabelEpoch, LabelWatch};
use truepair_train::{EpochRecord, StepProgress, TrainWatch};

use crate::render;

/// How often a line is written where no bar can be shown.
const EVERY: Duration = Duration::from_secs(10);

/// Lines about the progress of a work, for a standard error that is no terminal.
pub(crate) struct Lines {
    is_terminal: bool,
    /// When the last line was written, or the work began.
    last: Instant,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            last: Instant::now(),
        }
    }

    /// Whether it is time for a line.
    pub(crate) fn are_due(&mut self) -> bool {
        let due = !self.is_terminal && self.last.elapsed() >= EVERY;
        if due {
            self.last = Instant::now();
        }
        due
    }
}

/// How fast a piece of work goes: since when, and where it stood then, [0, 1].
#[derive(Debug, Clone, Copy)]
struct Pace {
    since: Instant,
    from: f64,
}

impl Pace {
    /// Seconds until the whole is done, when `share` of it is; nothing before there is a pace.
    fn left(self, share: f64) -> Option<f64> {
        let gone = share - self.from;
        (gone > 0.0).then(|| self.since.elapsed().as_secs_f64() * (1.0 - share) / gone)
    }
}

/// One bar at a time on stderr, one per stage; lines where stderr is not a terminal.
pub(crate) struct Bars {
    stage: String,
    bar: ProgressBar,
    lines: Lines,
    /// Of the stage.
    pace: Pace,
    /// Of all epochs of a training, once one has begun.
    training: Option<Pace>,
    /// What was told of the data, which is told once.
    told: HashSet<String>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self {
            stage: String::new(),
            bar: ProgressBar::hidden(),
            lines: Lines::new(),
            pace: Pace {
                since: Instant::now(),
                from: 0.0,
            },
            training: None,
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

    /// Shows where the stage stands; `left` is how long the whole work still takes.
    fn show(&mut self, stage: &str, (done, total): (u64, u64), left: Option<f64>) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        if done >= total {
            self.bar.finish_and_clear();
        } else if self.lines.are_due() {
            let left = left.map_or(String::new(), |left| {
                format!(", about {} left", duration(left))
            });
            render::note(&format!("{stage}: {done} of {total}{left}"));
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
        let share = done as f64 / total.max(1) as f64;
        if stage != self.stage {
            self.open(stage, total);
            self.pace = Pace {
                since: Instant::now(),
                from: share,
            };
        }
        self.show(stage, (done, total), self.pace.left(share));
    }

    fn warn(&mut self, warning: &str) {
        self.bar.finish_and_clear();
        render::note(&format!("warning: {warning}"));
    }
}

impl TrainWatch for Bars {
    fn step(&mut self, progress: &StepProgress) {
        let stage = format!("epoch {} of {}", progress.epoch + 1, progress.n_epochs);
        let (done, total) = (progress.step as u64, progress.n_steps as u64);
        if stage != self.stage {
            self.open(&stage, total);
        }
        let epochs = progress.epoch as f64 + done as f64 / total.max(1) as f64;
        let share = epochs / progress.n_epochs.max(1) as f64;
        // A resumed run begins in the middle, and a second training of the same command anew.
        let pace = self.training.filter(|pace| pace.from <= share);
        let pace = *self.training.insert(pace.unwrap_or(Pace {
            since: Instant::now(),
            from: share,
        }));
        self.show(&stage, (done, total), pace.left(share));
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

/// A duration as people say it.
pub(crate) fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        _ if seconds < 99.5 => format!("{seconds:.0} s"),
        0..=99 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
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

    #[test]
    fn a_pace_knows_what_is_left_of_the_whole() {
        let since = Instant::now() - Duration::from_secs(30);
        let left = Pace { since, from: 0.25 }.left(0.75).unwrap();
        assert!((left - 15.0).abs() < 1.0, "{left}");
        assert!(Pace { since, from: 0.25 }.left(0.25).is_none());
    }

    #[test]
    fn lines_come_every_ten_seconds_and_never_on_a_terminal() {
        let long_ago = Instant::now() - Duration::from_secs(60);
        for is_terminal in [true, false] {
            let mut lines = Lines {
                is_terminal,
                last: long_ago,
            };
            assert_eq!(lines.are_due(), !is_terminal);
            assert!(!lines.are_due());
        }
    }

    #[test]
    fn durations_are_rounded_for_people() {
        let shown = [12.3, 99.0, 100.0, 3_600.0, 12_000.0].map(duration);
        assert_eq!(shown, ["12 s", "99 s", "2 min", "60 min", "3 h 20 min"]);
    }
}
