//! Parameters that move at another rate than the rest, or not at all for some epochs.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
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

/// The module, whose parameters of [share](shares) 0 take no gradient from now on and whose others do: what is computed
/// of frozen parameters alone costs no backward pass, nor memory for one. Where all are frozen nothing changes, since a
/// loss must have a gradient.
pub fn freeze<M: Module>(module: M, shares: &[f64]) -> M {
    if shares.iter().all(|share| *share == 0.0) {
        return module;
    }
    module.map(&mut Freeze { shares, next: 0 })
}

struct Freeze<'a> {
    shares: &'a [f64],
    next: usize,
}

impl ModuleMapper for Freeze<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let share = self.shares[self.next];
        self.next += 1;
        param.set_require_grad(share > 0.0)
    }
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
    use burn::tensor::Device;
    use truepair_core::rng::Seed;

    use super::*;
    use crate::kernel::Precision;
    use crate::layer::{Init, Linear};
    use crate::numbers::floats;

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
    fn frozen_parameters_take_no_gradient_and_change_none_of_the_others() {
        let device = Device::flex().autodiff();
        let stream = Seed(1).stream("init", &[]);
        let mut init = Init::new(stream, device.clone(), Precision::F32);
        let layers = [(); 2].map(|()| Linear::new(&mut init, 3, 3)).to_vec();
        let gradients = |layers: &Vec<Linear>| {
            let x = Tensor::<2>::from_data([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]], &device);
            let y = layers[1].forward(layers[0].forward(x));
            let mut found = y.square().sum().backward();
            let of = |layer: &Linear, found: &mut _| layer.weight.val().grad_remove(found);
            [0, 1].map(|at: usize| of(&layers[at], &mut found).map(floats))
        };
        let all = gradients(&layers);
        assert!(all[0].is_some());
        let frozen = freeze(layers, &[0.0, 0.0, 0.1, 1.0]);
        assert_eq!(gradients(&frozen), [None, all[1].clone()]);
        // Set free again, and where nothing would be left to move.
        let free = freeze(frozen.clone(), &[1.0; 4]);
        assert_eq!(gradients(&free), all);
        assert_eq!(gradients(&freeze(free, &[0.0; 4])), all);
    }

    #[test]
    fn factors_below_0_are_refused() {
        assert!(group("image", -0.1, 0).check().is_err());
        assert!(group("", 1.0, 0).check().is_err());
    }
}
