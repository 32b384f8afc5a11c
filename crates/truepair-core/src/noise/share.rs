//! A rate of noise as a number of items.

/// How many of `n` items a rate selects: `⌊rate · n⌋`, where a product that misses a whole number
/// by rounding alone counts as that number.
pub(super) fn share(rate: f64, n: usize) -> usize {
    (rate * n as f64 + 1e-9).floor() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_but_not_by_rounding_errors() {
        assert_eq!(
            (
                share(0.29, 100),
                share(0.4, 8),
                share(0.0, 9),
                share(1.0, 9)
            ),
            (29, 3, 0, 9)
        );
    }
}
