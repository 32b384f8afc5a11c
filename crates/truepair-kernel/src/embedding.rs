//! Rows of a table by index, with a gradient that touches only those rows.

use super::{Array, Gradients, Operation, Output};

/// The table's row of every id.
///
/// # Shapes
/// - input: table `[vocabulary, w]`; output: `[n, t, w]`
/// # Panics
/// If an id is not below `vocabulary`.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// Rows of the table, `n · t`.
    pub ids: Vec<usize>,
    /// `[n, t]`
    pub shape: [usize; 2],
}

impl Operation for Embedding {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let [_, w] = inputs[0].dims();
        let mut out = Vec::with_capacity(self.ids.len() * w);
        for id in &self.ids {
            out.extend_from_slice(&inputs[0].values[id * w..][..w]);
        }
        let [n, t] = self.shape;
        (Output::new(out, [n, t, w]), ())
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
