//! Progress of all cells together, with the time left.
//!
//! Methods differ in speed by an order of magnitude, so the time left is counted in epochs of each
//! method at the pace measured for it; methods not yet seen are taken to be as fast as the mean.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::{Lines, duration};
use crate::render;

/// What is shown of the grid while it runs; shared by the workers.
pub(crate) struct GridStatus {
    state: Mutex<State>,
}

struct State {
    bar: ProgressBar,
    lines: Lines,
    cells: Vec<CellProgress>,
    n_jobs: usize,
    /// Seconds and number of measured epochs by kind.
    paces: BTreeMap<String, (f64, usize)>,
}

/// One cell's part of the work.
pub(crate) struct CellProgress {
    pub(crate) name: String,
    /// Cells of one kind take equally long for an epoch.
    pub(crate) kind: String,
    pub(crate) n_epochs: usize,
    done: f64,
    ended: bool,
}

impl CellProgress {
    pub(crate) fn new(name: String, kind: String, n_epochs: usize) -> Self {
        Self {
            name,
            kind,
            n_epochs,
            done: 0.0,
            ended: false,
        }
    }
}

/// One cell's view of the status.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'a> {
    status: &'a GridStatus,
    cell: usize,
}

impl GridStatus {
    pub(crate) fn new(cells: Vec<CellProgress>, n_jobs: usize) -> Self {
        // indicatif hides the bar by itself where stderr is not a terminal.
        let bar =
            ProgressBar::with_draw_target(Some(cells.len() as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{pos}/{len} [{bar:24}] {msg}")
            .expect("the template is a constant that indicatif accepts");
        bar.set_style(style.progress_chars("=> "));
        let paces = BTreeMap::new();
        Self {
            state: Mutex::new(State {
                bar,
                lines: Lines::new(),
                cells,
                n_jobs,
                paces,
            }),
        }
    }

    pub(crate) fn lane(&self, cell: usize) -> Lane<'_> {
        Lane { status: self, cell }
    }

    pub(crate) fn clear(&self) {
        self.state().bar.finish_and_clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock only means that a worker died while it held it; it guards a display.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane<'_> {
    /// The cell stands at this many epochs.
    pub(crate) fn reached(self, epochs: f64) {
        let mut state = self.status.state();
        state.cells[self.cell].done = epochs;
        state.show();
    }

    pub(crate) fn epoch_took(self, epoch: usize, seconds: f64) {
        let mut state = self.status.state();
        state.cells[self.cell].done = (epoch + 1) as f64;
        let kind = state.cells[self.cell].kind.clone();
        let pace = state.paces.entry(kind).or_default();
        *pace = (pace.0 + seconds, pace.1 + 1);
        state.show();
    }

    /// The cell is over; `outcome` ends its line.
    pub(crate) fn ended(self, outcome: &str) {
        let mut state = self.status.state();
        state.cells[self.cell].ended = true;
        let n_ended = state.cells.iter().filter(|cell| cell.ended).count();
        let line = format!(
            "[{n_ended} of {}] {}: {outcome}{}",
            state.cells.len(),
            state.cells[self.cell].name,
            (state.time_left()).map_or(String::new(), |left| format!(", {left} left")),
        );
        state.bar.suspend(|| render::note(&line));
        state.bar.set_position(n_ended as u64);
        state.show();
    }

    pub(crate) fn warn(self, warning: &str) {
        let state = self.status.state();
        let line = format!("warning: {}: {warning}", state.cells[self.cell].name);
        state.bar.suspend(|| render::note(&line));
    }
}

impl State {
    fn show(&mut self) {
        let running = self
            .cells
            .iter()
            .filter(|cell| !cell.ended && cell.done > 0.0);
        let running: Vec<String> = running
            .map(|cell| format!("{} {:.0}/{}", cell.kind, cell.done.ceil(), cell.n_epochs))
            .collect();
        let left = (self.time_left()).map_or(String::new(), |left| format!("{left} left  "));
        let message = format!("{left}{}", running.join(", "));
        if self.lines.are_due() {
            let n_ended = self.cells.iter().filter(|cell| cell.ended).count();
            render::note(&format!("[{n_ended} of {}] {message}", self.cells.len()));
        }
        self.bar.set_message(message);
    }

    /// `None` before any epoch was measured, and once nothing is left.
    fn time_left(&self) -> Option<String> {
        let (seconds, epochs) =
            (self.paces.values()).fold((0.0, 0), |sum, pace| (sum.0 + pace.0, sum.1 + pace.1));
        let all = (epochs > 0).then(|| seconds / epochs as f64)?;
        let pace = |kind: &str| (self.paces.get(kind)).map_or(all, |pace| pace.0 / pace.1 as f64);
        let open = self.cells.iter().filter(|cell| !cell.ended);
        let work: Vec<f64> = open
            .map(|cell| (cell.n_epochs as f64 - cell.done).max(0.0) * pace(&cell.kind))
            .collect();
        // The longest cell bounds the end however many run side by side.
        let longest = work.iter().copied().fold(0.0, f64::max);
        let even = work.iter().sum::<f64>() / self.n_jobs.max(1) as f64;
        (!work.is_empty()).then(|| format!("about {}", duration(even.max(longest))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_counts_each_kind_at_its_own_pace() {
        let cell = |kind: &str| CellProgress::new(kind.to_owned(), kind.to_owned(), 10);
        let status = GridStatus::new(vec![cell("slow"), cell("fast"), cell("new")], 2);
        assert_eq!(status.state().time_left(), None);
        status.lane(0).epoch_took(0, 20.0);
        status.lane(1).epoch_took(0, 10.0);
        // 9 * 20 + 9 * 10 + 10 * 15 seconds on two workers, then the longest cell alone.
        assert_eq!(status.state().time_left().unwrap(), "about 4 min");
        status.lane(1).ended("done");
        status.lane(2).ended("done");
        assert_eq!(status.state().time_left().unwrap(), "about 3 min");
        status.lane(0).ended("done");
        assert_eq!(status.state().time_left(), None);
    }
}
