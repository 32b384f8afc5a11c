//! Named tensors as the bytes of a safetensors file.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use truepair_model::parameters::Values;

/// Named tensors on their way into a safetensors file.
#[derive(Default)]
pub(crate) struct Tensors(Vec<(String, Vec<usize>, Vec<u8>)>);

impl Tensors {
    /// Adds a tensor.
    pub(crate) fn push(&mut self, name: String, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.0.push((name, shape.to_vec(), bytes));
    }

    /// The file, with `metadata` in its header.
    pub(crate) fn bytes(&self, metadata: HashMap<String, String>) -> Vec<u8> {
        let views = self.0.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
                .expect("four bytes were written for every value");
            (name.as_str(), view)
        });
        safetensors::serialize(views, Some(metadata)).expect("names and shapes are valid")
    }
}

/// The named tensors of a safetensors file.
///
/// # Errors
/// What is wrong with it, when it is damaged or holds other numbers than `f32`.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, Values)>, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    for (name, view) in tensors.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(format!(
                "tensor `{name}` is {:?}, expected F32",
                view.dtype()
            ));
        }
        let values = (view.data().chunks_exact(4))
            .map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]]))
            .collect();
        out.push((
            name,
            Values {
                shape: view.shape().to_vec(),
                values,
            },
        ));
    }
    Ok(out)
}
