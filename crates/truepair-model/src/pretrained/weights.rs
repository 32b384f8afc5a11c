//! Weights that somebody else trained, before the first step.

use std::path::Path;

use burn::module::Module;
use truepair_core::error::Place;
use truepair_core::{Error, Result};
use truepair_read::checkpoint::{self, TensorValues};

use crate::parameters;

/// Tensors that are named in a message; of the others there is a count.
const NAMED: usize = 5;

/// Replaces the parameters of `module` by the tensors of a PyTorch or safetensors file. `name_of`
/// gives the file's name of a parameter, `None` for those that stay as they are.
///
/// # Errors
/// If the file cannot be read, or a tensor is missing or of another shape.
pub(crate) fn load<M: Module>(
    module: M,
    path: &Path,
    name_of: impl Fn(&str) -> Option<String>,
) -> Result<M> {
    let read = checkpoint::read(path).map_err(|cause| {
        let remedy = "name a file of torch.save or safetensors";
        Error::data(path, Place::Whole, cause.to_string(), remedy)
    })?;
    let mut weights = parameters::export(&module);
    let mut problems = Vec::new();
    for (name, values) in &mut weights {
        let Some(theirs) = name_of(name) else {
            continue;
        };
        match read.tensors.get(&theirs) {
            None => problems.push(format!("`{theirs}` is missing")),
            Some(tensor) if tensor.shape != values.shape => problems.push(format!(
                "`{theirs}` is {:?}, expected {:?}",
                tensor.shape, values.shape
            )),
            Some(tensor) => match &tensor.values {
                TensorValues::F32(found) => values.values.clone_from(found),
                TensorValues::I64(_) => problems.push(format!("`{theirs}` has whole numbers")),
            },
        }
    }
    if problems.is_empty() {
        return parameters::import(module, weights);
    }
    let more = problems.len().saturating_sub(NAMED);
    problems.truncate(NAMED);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    Err(Error::data(
        path,
        Place::Whole,
        format!("weights of another network: {}", problems.join(", ")),
        "choose the weights of this depth and width",
    ))
}
