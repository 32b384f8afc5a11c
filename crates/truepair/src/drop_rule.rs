//! `--drop-rule`: how posteriors become a cleaned list.

use anyhow::{Result, bail};
use truepair_core::audit::Rule;

/// Reads `errors`, `good:SHARE` or `bad:SHARE`.
pub(crate) fn parse(text: &str) -> Result<Rule> {
    let (name, share) = match text.split_once(':') {
        Some((name, share)) => (name, Some(share)),
        None => (text, None),
    };
    match (name, share) {
        ("errors", None) => Ok(Rule::FewestErrors),
        ("good", Some(share)) => Ok(Rule::LoseAtMost(fraction(share)?)),
        ("bad", Some(share)) => Ok(Rule::KeepBadAtMost(fraction(share)?)),
        _ => bail!("choose errors, good:SHARE or bad:SHARE, for instance good:0.01"),
    }
}

/// Reads a share in [0, 1].
pub(crate) fn fraction(text: &str) -> Result<f64> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => bail!("`{text}` is not a share between 0 and 1"),
    }
}

/// What the rule does, in words.
pub(crate) fn describe(rule: Rule) -> String {
    match rule {
        Rule::FewestErrors => "drop what is more likely mismatched than not".to_owned(),
        Rule::LoseAtMost(share) => format!("lose at most a share of {share} of the good pairs"),
        Rule::KeepBadAtMost(share) => {
            format!("at most a share of {share} of the kept pairs is bad")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_by_their_names() {
        assert_eq!(parse("errors").unwrap(), Rule::FewestErrors);
        assert_eq!(parse("good:0.01").unwrap(), Rule::LoseAtMost(0.01));
        assert_eq!(parse("bad:0.05").unwrap(), Rule::KeepBadAtMost(0.05));
    }

    #[test]
    fn other_words_and_shares_are_refused() {
        for text in [
            "error",
            "good",
            "errors:0.5",
            "bad:5",
            "good:-0.1",
            "bad:NaN",
            "",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
