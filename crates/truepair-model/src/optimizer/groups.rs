//! Parameters that move at another rate than the rest, or not at all for some epochs.

use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

/// One group of parameters; where several hold a parameter, the last counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// What the names of its parameters begin with, whole parts of them: `caption.embed`, `image`.
    pub parameters: String,
    /// Factor on the optimizer's rate, at least 0.
    #[serde(default = "whole")]
    pub rate: f64,
    /// Epochs at the start, a warm-up included, in which the group stays as it is.
    #[serde(default)]
    pub frozen: usize,
}

fn whole() -> f64 {
    1.0
}

impl GroupConfig {
    fn holds(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.parameters.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// # Errors
    /// If the rate is out of range or no name is given.
    pub fn check(&self) -> Result<()> {
        if self.rate >= 0.0 && self.rate.is_finite() && !self.parameters.is_empty() {
            return Ok(());
        }
        Err(Error::argument(
            format!(
                "[[groups]] cannot have parameters = \"{}\", rate = {}",
                self.parameters, self.rate
            ),
            "name the parameters, and give a factor of at least 0",
        ))
    }
}

/// The factor on the rate of every parameter in an epoch; 0 where it is frozen.
///
/// # Errors
/// If a group holds no parameter; the message lists what there is.
pub fn shares(groups: &[GroupConfig], names: &[String], epoch: usize) -> Result<Vec<f64>> {
    let mut shares = vec![1.0; names.len()];
    for group in groups {
        let mut n_held = 0;
        for (share, _) in shares
            .iter_mut()
            .zip(names)
            .filter(|(_, name)| group.holds(name))
        {
            *share = if epoch < group.frozen {
                0.0
            } else {
                group.rate
            };
            n_held += 1;
        }
        if n_held == 0 {
            return Err(Error::argument(
                format!(
                    "[[groups]] parameters = \"{}\" holds no parameter",
                    group.parameters
                ),
                format!("names begin with: {}", beginnings(names).join(", ")),
            ));
        }
    }
    Ok(shares)
}

/// The first two parts of all names.
fn beginnings(names: &[String]) -> Vec<String> {
    let mut parts: Vec<String> = (names.iter())
        .map(|name| name.split('.').take(2).collect::<Vec<_>>().join("."))
        .collect();
    parts.dedup();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(parameters: &str, rate: f64, frozen: usize) -> GroupConfig {
        GroupConfig {
            parameters: parameters.to_owned(),
            rate,
            frozen,
        }
    }

    #[test]
    fn groups_hold_whole_parts_of_names_and_the_last_counts() {
        let names = [
            "image.fc.weight",
            "caption.embed",
            "caption.embedding",
            "caption.fc",
        ];
        let names = names.map(str::to_owned);
        let groups = [group("caption", 0.5, 0), group("caption.embed", 0.1, 2)];
        assert_eq!(shares(&groups, &names, 1).unwrap(), [1.0, 0.0, 0.5, 0.5]);
        assert_eq!(shares(&groups, &names, 2).unwrap(), [1.0, 0.1, 0.5, 0.5]);
        let error = shares(&[group("text", 1.0, 0)], &names, 0)
            .unwrap_err()
            .to_string();
        assert!(error.contains("image.fc, caption.embed"), "{error}");
    }

    #[test]
    fn factors_below_0_are_refused() {
        assert!(group("image", -0.1, 0).check().is_err());
        assert!(group("", 1.0, 0).check().is_err());
    }
}
