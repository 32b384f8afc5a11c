//! A batch's scores as plain numbers, for beliefs, through which no gradient flows.

/// A square matrix, row-major; row = image, column = caption.
#[derive(Debug, Clone, Copy)]
pub struct Square<'a> {
    b: usize,
    values: &'a [f32],
}

impl<'a> Square<'a> {
    /// Reads `[b * b]`.
    ///
    /// # Panics
    /// If the number of values is no square.
    pub fn new(values: &'a [f32]) -> Self {
        let b = values.len().isqrt();
        assert_eq!(b * b, values.len(), "scores of a batch are square");
        Self { b, values }
    }

    /// Number of pairs.
    pub fn side(self) -> usize {
        self.b
    }

    /// Entry of image `i` and caption `j`.
    pub fn at(self, i: usize, j: usize) -> f32 {
        self.values[i * self.b + j]
    }

    /// The scores of image `i`.
    pub fn row(self, i: usize) -> &'a [f32] {
        &self.values[i * self.b..][..self.b]
    }

    /// The scores of caption `j`.
    pub fn column(self, j: usize) -> impl Iterator<Item = f32> {
        (0..self.b).map(move |i| self.at(i, j))
    }

    /// Of every pair the hardest wrong caption of its image and the hardest wrong image of its
    /// caption: their scores, `[b]` each; −∞ when there is none.
    pub fn hardest(self) -> (Vec<f32>, Vec<f32>) {
        let hardest = |own: usize, all: &mut dyn Iterator<Item = f32>| {
            let others = all.enumerate().filter(|&(other, _)| other != own);
            others.fold(f32::NEG_INFINITY, |hardest, (_, score)| hardest.max(score))
        };
        (0..self.b)
            .map(|i| {
                (
                    hardest(i, &mut self.row(i).iter().copied()),
                    hardest(i, &mut self.column(i)),
                )
            })
            .unzip()
    }

    /// The probability of every given pair under a softmax over its image's captions and over its
    /// caption's images, `[b]` each in [0, 1].
    pub fn given(self, temperature: f64) -> (Vec<f32>, Vec<f32>) {
        let share = |own: f32, all: &mut dyn Iterator<Item = f32>| {
            let sum: f64 = all.map(|x| (f64::from(x - own) / temperature).exp()).sum();
            (1.0 / sum) as f32
        };
        (0..self.b)
            .map(|i| {
                let own = self.at(i, i);
                (
                    share(own, &mut self.row(i).iter().copied()),
                    share(own, &mut self.column(i)),
                )
            })
            .unzip()
    }

    /// The mean of both directions' probabilities of every given pair, `[b]`.
    pub fn mean_given(self, temperature: f64) -> Vec<f32> {
        let (rows, columns) = self.given(temperature);
        rows.iter()
            .zip(columns)
            .map(|(p, u)| (p + u) / 2.0)
            .collect()
    }
}

/// 1 where `same` holds of two of the batch's pairs, and of each with itself, `[b * b]`; `None` where it holds of
/// no two.
pub(super) fn shared(pairs: &[u32], same: impl Fn(u32, u32) -> bool) -> Option<Vec<f32>> {
    let shared: Vec<f32> = (pairs.iter())
        .flat_map(|&a| (pairs.iter()).map(move |&b| (a, b)))
        .map(|(a, b)| f32::from(u8::from(a == b || same(a, b))))
        .collect();
    let n_shared = shared.iter().filter(|&&shared| shared == 1.0).count();
    (n_shared > pairs.len()).then_some(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardest_and_given_equal_their_definitions() {
        let scores = [0.5, 0.9, 0.1, 0.2, 0.3, 0.4, 0.0, 0.8, 0.7];
        let square = Square::new(&scores);
        let (rows, columns) = square.hardest();
        assert_eq!(rows, [0.9, 0.4, 0.8]);
        assert_eq!(columns, [0.2, 0.9, 0.4]);
        let (p, u) = square.given(1.0);
        let e = |x: f32| f64::from(x).exp();
        let expected = e(0.5) / (e(0.5) + e(0.9) + e(0.1));
        assert!((f64::from(p[0]) - expected).abs() < 1e-6);
        let expected = e(0.3) / (e(0.9) + e(0.3) + e(0.8));
        assert!((f64::from(u[1]) - expected).abs() < 1e-6);
    }

    #[test]
    fn scores_far_apart_give_0_and_1_and_never_nan() {
        let scores = [1000.0, -1000.0, 0.0, -3000.0];
        let (p, _) = Square::new(&scores).given(0.01);
        assert_eq!(p, [1.0, 0.0]);
    }
}
