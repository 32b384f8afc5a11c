//! Randomness by name: adding a draw to one stream never shifts another.
//!
//! A [`Seed`] opens independent ChaCha8 streams. The stream's key is the SHA-256 of the seed, the
//! name and the indices, so a stream can be reopened at any epoch without replaying the ones
//! before it, which is what makes an exact resume cheap.

use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// One stream of random numbers.
pub type Stream = rand_chacha::ChaCha8Rng;

/// The number from which a whole run's randomness follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// Opens the stream `name`, for instance `seed.stream("shuffle", &[epoch])`.
    ///
    /// ```
    /// use truepair_core::rng::{Seed, unit};
    ///
    /// let first = |epoch| unit(&mut Seed(7).stream("shuffle", &[epoch]));
    /// assert_eq!(first(3), first(3));
    /// assert_ne!(first(3), first(4));
    /// ```
    pub fn stream(self, name: &str, indices: &[u64]) -> Stream {
        Stream::from_seed(self.digest(name, indices))
    }

    /// A separate seed for a part of the work, for instance one fold or one peer.
    ///
    /// ```
    /// use truepair_core::rng::{Seed, unit};
    ///
    /// let fold = |n| unit(&mut Seed(7).child("fold", n).stream("shuffle", &[]));
    /// assert_ne!(fold(0), fold(1));
    /// ```
    pub fn child(self, name: &str, index: u64) -> Seed {
        let key = self.digest(name, &[index]);
        Seed(u64::from_le_bytes(
            key[..8].try_into().expect("eight bytes of thirty-two"),
        ))
    }

    fn digest(self, name: &str, indices: &[u64]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0.to_le_bytes());
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        for index in indices {
            hash.update(index.to_le_bytes());
        }
        hash.finalize().into()
    }
}

/// Uniform integer in `0..n`, unbiased (Lemire's multiply-and-reject).
///
/// ```
/// use truepair_core::rng::{Seed, below};
///
/// assert!(below(&mut Seed(1).stream("die", &[]), 6) < 6);
/// ```
///
/// # Panics
/// If `n` is 0.
pub fn below(rng: &mut impl Rng, n: u64) -> u64 {
    assert!(n > 0, "no integer is below 0");
    let threshold = n.wrapping_neg() % n;
    loop {
        let wide = u128::from(rng.next_u64()) * u128::from(n);
        if wide as u64 >= threshold {
            return (wide >> 64) as u64;
        }
    }
}

/// Uniform number in `[0, 1)` with 53 random bits.
pub fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Standard normal number (Box and Muller, 1958).
pub fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(rng)).cos()
}

/// Permutes in place (Fisher and Yates).
pub fn shuffle<T>(rng: &mut impl Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

/// `k` distinct indices of `0..n` in random order; all of them when `k >= n`.
///
/// ```
/// use truepair_core::rng::{Seed, sample};
///
/// let mut chosen = sample(&mut Seed(1).stream("crowd", &[]), 10, 3);
/// chosen.sort_unstable();
/// chosen.dedup();
/// assert_eq!(chosen.len(), 3);
/// ```
pub fn sample(rng: &mut impl Rng, n: usize, k: usize) -> Vec<u32> {
    let mut items: Vec<u32> = (0..n as u32).collect();
    let k = k.min(n);
    for first in 0..k {
        let other = first + below(rng, (n - first) as u64) as usize;
        items.swap(first, other);
    }
    items.truncate(k);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_name_and_index_and_repeat() {
        let seed = Seed(7);
        let first = seed.stream("noise", &[]).next_u64();
        assert_eq!(first, seed.stream("noise", &[]).next_u64());
        assert_ne!(first, seed.stream("shuffle", &[]).next_u64());
        assert_ne!(first, seed.stream("noise", &[0]).next_u64());
        assert_ne!(first, Seed(8).stream("noise", &[]).next_u64());
    }

    #[test]
    fn integers_are_uniform() {
        let mut rng = Seed(1).stream("test", &[]);
        let mut counts = [0u32; 5];
        for _ in 0..50_000 {
            counts[below(&mut rng, 5) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&count| count.abs_diff(10_000) < 400),
            "{counts:?}"
        );
    }

    #[test]
    fn normals_have_mean_0_and_variance_1() {
        let mut rng = Seed(2).stream("test", &[]);
        let draws: Vec<f64> = (0..40_000).map(|_| normal(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 40_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 40_000.0;
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03,
            "{mean} {variance}"
        );
    }

    #[test]
    fn samples_are_distinct_and_shuffles_are_permutations() {
        let mut rng = Seed(3).stream("test", &[]);
        let mut drawn = sample(&mut rng, 50, 20);
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 20);
        assert_eq!(sample(&mut rng, 3, 9).len(), 3);
        let mut items: Vec<u32> = (0..50).collect();
        shuffle(&mut rng, &mut items);
        assert_ne!(items, (0..50).collect::<Vec<u32>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<u32>>());
    }
}
