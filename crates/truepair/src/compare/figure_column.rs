//! Which metric and direction a column of the tables shows.

use truepair_core::metric::Metric;
use truepair_core::scores::Direction;

use crate::render::direction_text;

/// One number of a metric, which tables have a column for.
#[derive(Clone, Copy)]
pub(crate) struct FigureColumn {
    pub(crate) metric: &'static dyn Metric,
    /// `None` for both directions together.
    pub(crate) direction: Option<Direction>,
}

impl FigureColumn {
    /// The columns of a metric: one for each direction, or one for both.
    pub(crate) fn of(metric: &'static dyn Metric) -> Vec<Self> {
        let directions: &[Option<Direction>] = if metric.is_joint() {
            &[None]
        } else {
            &[Some(Direction::ImageToText), Some(Direction::TextToImage)]
        };
        let column = |&direction: &Option<Direction>| Self { metric, direction };
        directions.iter().map(column).collect()
    }

    /// The direction, where there is one, and the metric's name.
    pub(crate) fn name(&self, between: &str) -> String {
        match self.direction {
            None => self.metric.name().to_owned(),
            some => format!("{}{between}{}", direction_text(some), self.metric.name()),
        }
    }
}
