//! How the learning rate falls over a run.

use serde::{Deserialize, Serialize};

/// A factor on the optimizer's rate as a function of progress. Warm-up epochs of a strategy run at
/// factor 1 and do not count as progress.
///
/// ```
/// use truepair_model::optimizer::Schedule;
///
/// // Half a cosine from the whole rate to none.
/// let schedule: Schedule = toml::from_str("kind = \"cosine\"").unwrap();
/// assert_eq!(schedule.factor(0.0, 10.0), 1.0);
/// assert!(schedule.factor(10.0, 10.0) < 1e-9);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Schedule {
    /// Always 1.
    Constant {},
    /// A staircase.
    Step(StepSchedule),
    /// Half a cosine from 1 to a floor.
    Cosine(CosineSchedule),
}

/// `factor ^ ⌊epoch / every⌋`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepSchedule {
    /// Epochs between two steps, at least 1.
    pub every: usize,
    /// Factor of one step.
    pub factor: f64,
}

/// `floor + (1 − floor) (1 + cos π t) / 2`, where `t` in [0, 1] is the share of steps done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CosineSchedule {
    /// Factor at the end.
    pub floor: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine(CosineSchedule::default())
    }
}

impl Default for StepSchedule {
    fn default() -> Self {
        Self {
            every: 15,
            factor: 0.1,
        }
    }
}

impl Default for CosineSchedule {
    fn default() -> Self {
        Self { floor: 0.0 }
    }
}

impl Schedule {
    /// The factor after `done` of `total` epochs, fractions of an epoch included.
    pub fn factor(&self, done: f64, total: f64) -> f64 {
        match self {
            Self::Constant {} => 1.0,
            Self::Step(step) => step
                .factor
                .powi((done / step.every.max(1) as f64).floor() as i32),
            Self::Cosine(cosine) => {
                let t = (done / total.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
                let half = 0.5 * (1.0 + (std::f64::consts::PI * t).cos());
                cosine.floor + (1.0 - cosine.floor) * half
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staircase_steps_at_whole_epochs() {
        let schedule = Schedule::Step(StepSchedule {
            every: 10,
            factor: 0.1,
        });
        assert_eq!(schedule.factor(9.99, 30.0), 1.0);
        assert!((schedule.factor(10.0, 30.0) - 0.1).abs() < 1e-12);
        assert!((schedule.factor(29.0, 30.0) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn a_cosine_goes_from_1_to_its_floor() {
        let schedule = Schedule::Cosine(CosineSchedule { floor: 0.2 });
        assert_eq!(schedule.factor(0.0, 8.0), 1.0);
        assert!((schedule.factor(4.0, 8.0) - 0.6).abs() < 1e-12);
        assert!((schedule.factor(8.0, 8.0) - 0.2).abs() < 1e-12);
    }
}
