//! Rows of a table by index, with a gradient that touches only those rows.

use burn::tensor::{Int, Tensor};
use truepair_kernel::Embedding;

use super::{apply, is_fused};

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
