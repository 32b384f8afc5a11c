//! What a method sees of a batch, and what it answers.

use burn::tensor::{Device, Tensor, TensorData};
use truepair_core::scores::Matrix;

use truepair_model::layer::Linear;

/// A batch as a method sees it: `b` items in `m` modalities.
#[derive(Debug)]
pub struct LabelView<'a> {
    /// Per modality embeddings of length 1, `[b, d]`.
    pub embeddings: &'a [Tensor<2>],
    /// Class centers, `[d, k]`.
    pub centers: Tensor<2>,
    /// The shared classifier of methods that have one, `d` to `k`.
    pub head: Option<&'a Linear>,
    /// Per modality 1 at the class of each item's label, `[b, k]`.
    pub targets: &'a [Tensor<2>],
    /// Epoch, from 0.
    pub epoch: usize,
}

/// One loss an item, `[b]`; only the trainer takes the mean.
#[derive(Debug, Clone)]
pub struct ItemLoss(pub Tensor<1>);

/// A method for labeled data, by its settings.
pub(super) trait LabelMethod {
    /// One loss an item, `[b]`.
    fn item_loss(&self, view: &LabelView<'_>) -> ItemLoss;

    /// Temperatures and scales by name, all above 0.
    fn scales(&self) -> Vec<(&'static str, f64)>;

    /// The share of the method's own loss, in [0, 1], where the rest is contrast.
    fn beta(&self) -> Option<f64> {
        None
    }
}

/// 1 at each label, `[b, k]`.
///
/// # Panics
/// If a label is not below `k`.
pub fn one_hot(labels: &[u32], k: usize, device: &Device) -> Tensor<2> {
    let mut flags = vec![0f32; labels.len() * k];
    for (row, &label) in flags.chunks_exact_mut(k).zip(labels) {
        row[label as usize] = 1.0;
    }
    Tensor::from_data(TensorData::new(flags, [labels.len(), k]), device)
}

/// A matrix `[b, 1]` as a vector `[b]`.
pub(super) fn column(x: Tensor<2>) -> Tensor<1> {
    let b = x.dims()[0];
    x.reshape([b])
}

/// The rows `items` as a tensor.
pub(super) fn tensor(rows: &Matrix, items: &[u32], device: &Device) -> Tensor<2> {
    let mut values = Vec::with_capacity(items.len() * rows.dim());
    for &item in items {
        values.extend_from_slice(rows.row(item as usize));
    }
    Tensor::from_data(TensorData::new(values, [items.len(), rows.dim()]), device)
}
