//! The tensors of one network of a checkpoint, under the research code's names.

use std::collections::BTreeMap;

use truepair_read::checkpoint::{Tensor, TensorValues};

use truepair_model::parameters::{Parameters, Values};

use super::names::Names;

/// Differences that are named one by one; of the others there is a count.
const NAMED: usize = 10;

/// One network's tensors by names such as `img_enc.fc.weight`.
#[derive(Debug)]
pub(super) struct State {
    /// Put before every name in messages: `model_A.` where a file holds several networks.
    label: String,
    tensors: BTreeMap<String, Tensor>,
    n_values: usize,
}

impl State {
    /// Takes what lies under `prefix` out of `tensors`. A list of state dicts is numbered, and
    /// `parts` are the names of its entries.
    pub(super) fn take(
        tensors: &mut BTreeMap<String, Tensor>,
        prefix: &str,
        parts: &[&str],
        label: String,
    ) -> Self {
        let names: Vec<String> = (tensors.keys())
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect();
        let mut taken = BTreeMap::new();
        for name in names {
            if let Some(tensor) = tensors.remove(&name) {
                taken.insert(part_named(&name[prefix.len()..], parts), tensor);
            }
        }
        Self {
            label,
            n_values: taken.values().map(n_values).sum(),
            tensors: taken,
        }
    }

    /// Leaves out tensors that have no influence on a score.
    pub(super) fn drop_unread(&mut self, unread: impl Fn(&str) -> bool) {
        // PyTorch counts the batches of every batch normalization; only a decay of 0 reads it.
        let counted = |name: &str| name.ends_with(".num_batches_tracked");
        self.tensors
            .retain(|name, _| !counted(name) && !unread(name));
    }

    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The length of an axis of a tensor, when there is one that holds numbers.
    pub(super) fn axis(&self, name: &str, axis: usize) -> Option<usize> {
        let tensor = self
            .tensors
            .get(name)
            .filter(|tensor| n_values(tensor) > 0)?;
        tensor.shape.get(axis).copied()
    }

    /// The width of a layer. One whose square exceeds all numbers of the network cannot be that of
    /// its layers: it is passed over here, so that no memory is asked for on its behalf, and the
    /// comparison of shapes names the tensor.
    pub(super) fn width(&self, name: &str, axis: usize) -> Option<usize> {
        self.axis(name, axis)
            .filter(|&width| width.saturating_mul(width) <= self.n_values)
    }

    /// The weights under our names, or how the tensors differ from those that a matcher of these
    /// `shapes` has.
    pub(super) fn into_parameters(
        mut self,
        names: &Names,
        shapes: &BTreeMap<String, Vec<usize>>,
    ) -> Result<Parameters, Differences> {
        let mut differences = Differences::default();
        let mut parameters = Parameters::new();
        for (ours, theirs) in names {
            let label = &self.label;
            let Some(tensor) = self.tensors.remove(theirs) else {
                differences.missing.push(format!("{label}{theirs}"));
                continue;
            };
            let expected = &shapes[ours];
            match matching(tensor, expected) {
                Ok(values) => drop(parameters.insert(ours.clone(), values)),
                Err(found) => differences.different.push(format!(
                    "{label}{theirs} {found}, expected {}",
                    written(expected)
                )),
            }
        }
        let left = self.tensors.iter();
        differences.superfluous = left
            .map(|(name, tensor)| format!("{}{name} {}", self.label, written(&tensor.shape)))
            .collect();
        match differences.is_none() {
            true => Ok(parameters),
            false => Err(differences),
        }
    }
}

/// How a checkpoint differs from the model that it was taken for, by the research code's names.
#[derive(Debug, Default)]
pub(super) struct Differences {
    missing: Vec<String>,
    superfluous: Vec<String>,
    different: Vec<String>,
}

impl Differences {
    fn is_none(&self) -> bool {
        self.missing.is_empty() && self.superfluous.is_empty() && self.different.is_empty()
    }

    /// Adds those of another network of the same file.
    pub(super) fn extend(&mut self, other: Self) {
        self.missing.extend(other.missing);
        self.superfluous.extend(other.superfluous);
        self.different.extend(other.different);
    }

    /// All kinds with their counts and at most ten names each.
    pub(super) fn describe(&self) -> String {
        let kinds = [
            (&self.missing, "missing"),
            (&self.superfluous, "superfluous"),
            (&self.different, "of another shape or kind"),
        ];
        let described: Vec<String> = (kinds.iter())
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, kind)| format!("{} {kind}: {}", count(names.len()), listed(names)))
            .collect();
        described.join("; ")
    }
}

fn count(n: usize) -> String {
    match n {
        1 => "1 tensor is".to_owned(),
        n => format!("{n} tensors are"),
    }
}

fn listed(names: &[String]) -> String {
    let shown = &names[..names.len().min(NAMED)];
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The name with the position in a list of state dicts replaced by the part's name.
fn part_named(name: &str, parts: &[&str]) -> String {
    let positioned = name.split_once('.').and_then(|(position, rest)| {
        let part = parts.get(position.parse::<usize>().ok()?)?;
        Some(format!("{part}.{rest}"))
    });
    positioned.unwrap_or_else(|| name.to_owned())
}

/// The values of a tensor of the expected shape, or what it is instead. A convolution over one
/// place is a dense layer: `[out, in, 1]` counts as `[out, in]`.
fn matching(tensor: Tensor, expected: &[usize]) -> Result<Values, String> {
    let spare = tensor.shape.len().saturating_sub(expected.len());
    let (own, ones) = tensor.shape.split_at(tensor.shape.len() - spare);
    if own != expected || ones.iter().any(|&length| length != 1) {
        return Err(written(&tensor.shape));
    }
    match tensor.values {
        TensorValues::F32(values) => Ok(Values {
            shape: expected.to_vec(),
            values,
        }),
        TensorValues::I64(_) => Err("of integers".to_owned()),
    }
}

fn written(shape: &[usize]) -> String {
    format!("{shape:?}")
}

fn n_values(tensor: &Tensor) -> usize {
    match &tensor.values {
        TensorValues::F32(values) => values.len(),
        TensorValues::I64(values) => values.len(),
    }
}
