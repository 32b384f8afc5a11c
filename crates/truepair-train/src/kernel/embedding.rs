//! Rows of a table by index, with a gradient that touches only those rows.

use burn::tensor::{Int, Tensor};

use super::{Array, Gradients, Operation, apply, is_fused};

/// The table's row of every id.
///
/// # Shapes
/// - `table`: `[vocabulary, w]`, `ids`: `[n, t]`; returns `[n, t, w]`
/// # Panics
/// If an id is not below `vocabulary`.
pub(crate) fn embedding(table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    if !is_fused(&table.device()) {
        return twin(table, ids);
    }
    let shape = ids.dims();
    let ids = (ids.into_data().iter::<i64>())
        .map(|id| usize::try_from(id).expect("token ids are not negative"))
        .collect();
    apply(Embedding { ids, shape }, [table.into()])
}

fn twin(table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    let [n, t] = ids.dims();
    let w = table.dims()[1];
    table.select(0, ids.reshape([n * t])).reshape([n, t, w])
}

#[derive(Debug)]
struct Embedding {
    ids: Vec<usize>,
    shape: [usize; 2],
}

impl Operation for Embedding {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, ()) {
        let [_, w] = inputs[0].dims();
        let mut out = Vec::with_capacity(self.ids.len() * w);
        for id in &self.ids {
            out.extend_from_slice(&inputs[0].values[id * w..][..w]);
        }
        let [n, t] = self.shape;
        (out, vec![n, t, w], ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let [_, w] = inputs[0].dims();
        let Some(out) = gradients.get(0) else { return };
        for (id, row) in self.ids.iter().zip(gradient.chunks_exact(w)) {
            let out = &mut out[id * w..][..w];
            out.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};
    use burn::tensor::{Device, TensorData};

    #[test]
    fn equals_its_twin() {
        let ids = || {
            let ids = vec![3i64, 0, 3, 1, 0, 0];
            let device = Device::flex().autodiff();
            Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 3]), &device)
        };
        check_against_twin(
            &[Input::normal(&[5, 7])],
            |x| embedding(x[0].rank(), ids()),
            |x| twin(x[0].rank(), ids()),
        );
    }
}
