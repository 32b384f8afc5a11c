//! Numbers as people read them; everywhere else fractions stay fractions.

use truepair_core::audit::NoiseRate;

/// No line break between a number and its unit.
const NO_BREAK_SPACE: char = '\u{a0}';

/// No line break after the dash of an interval.
const WORD_JOINER: char = '\u{2060}';

/// `1640` as `1,640`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count with its noun: `1 pair`, `1,640 pairs`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{}{NO_BREAK_SPACE}{noun}{plural}", count(n))
}

/// A fraction as a percentage: no decimals from 10 to 99, where they would pretend precision, one
/// below and above, where they matter.
pub(crate) fn percent(fraction: f64) -> String {
    let decimals = usize::from(!(0.0995..0.9895).contains(&fraction));
    percent_to(fraction, decimals)
}

/// A fraction as a percentage with a fixed number of decimals; whole values lose theirs.
pub(crate) fn percent_to(fraction: f64, decimals: usize) -> String {
    format!("{}{NO_BREAK_SPACE}%", percent_digits(fraction, decimals))
}

/// The interval of a rate: `29–33 %`.
pub(crate) fn interval(rate: &NoiseRate) -> String {
    let decimals = rate_decimals(rate);
    let (low, high) = (
        percent_digits(rate.low, decimals),
        percent_digits(rate.high, decimals),
    );
    format!("{low}–{WORD_JOINER}{high}{NO_BREAK_SPACE}%")
}

/// Two fractions that share their unit: `93 · 89 %`.
pub(crate) fn percent_pair(first: f64, second: f64) -> String {
    format!(
        "{}{NO_BREAK_SPACE}·{NO_BREAK_SPACE}{}",
        percent_digits(first, 0),
        percent_to(second, 0)
    )
}

/// The point estimate with the decimals of its interval.
pub(crate) fn estimate(rate: &NoiseRate) -> String {
    percent_to(rate.estimate, rate_decimals(rate))
}

/// Decimals that keep the ends of the interval apart.
fn rate_decimals(rate: &NoiseRate) -> usize {
    usize::from(rate.low < 0.0995 || rate.high - rate.low < 0.02)
}

fn percent_digits(fraction: f64, decimals: usize) -> String {
    let digits = format!("{:.decimals$}", 100.0 * fraction);
    match digits.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ];
        for (n, expected) in cases {
            assert_eq!(count(n), expected);
        }
        assert_eq!(counted(1, "pair"), "1\u{a0}pair");
        assert_eq!(counted(0, "pair"), "0\u{a0}pairs");
    }

    #[test]
    fn percentages_keep_a_decimal_only_at_the_ends() {
        let cases = [
            (0.0, "0"),
            (0.004, "0.4"),
            (0.0994, "9.9"),
            (0.0996, "10"),
            (0.312, "31"),
            (0.9987, "99.9"),
            (1.0, "100"),
        ];
        for (fraction, expected) in cases {
            assert_eq!(percent(fraction), format!("{expected}\u{a0}%"));
        }
    }

    #[test]
    fn the_ends_of_a_narrow_interval_stay_apart() {
        let wide = NoiseRate {
            estimate: 0.31,
            low: 0.29,
            high: 0.33,
        };
        assert_eq!(
            (estimate(&wide), interval(&wide)),
            ("31\u{a0}%".into(), "29–\u{2060}33\u{a0}%".into())
        );
        let narrow = NoiseRate {
            estimate: 0.402,
            low: 0.399,
            high: 0.405,
        };
        assert_eq!(interval(&narrow), "39.9–\u{2060}40.5\u{a0}%");
        assert_eq!(estimate(&narrow), "40.2\u{a0}%");
    }
}
