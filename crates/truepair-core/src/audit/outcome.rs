//! What an audit says as a whole: its outcome, and what else the reader must know.

use super::{Competence, Kinds, Outcome, RateFit, Reading};

/// Rates below this cannot be told from matched pairs that the matcher itself ranks badly; such
/// pairs alone read as 0.1 to 0.3 percent on clean captions of photographs.
pub(super) const DETECTABLE_RATE: f64 = 0.005;

/// Where the scores leave more than this open, it cannot be told whether pairs are mismatched.
pub(super) const OPEN_RATE: f64 = 0.02;

/// Share of near misses that is not proven, yet too large to speak of no evidence.
const OPEN_NEAR: f64 = 0.05;

const NOT_LOOKED_FOR: &str = "Near misses (right scene, wrong detail) were not looked for: they rank as \
     well as matched pairs, so their probabilities are understated.";
const NEAR_MISSES: &str = "Near misses are found as far as they are like the planted ones: a caption with \
     an image that looks like its own, or with that of a caption that reads like it. A wrong color, number \
     or name that neighbors do not show is not seen.";
const NOT_TOLD_APART: &str = "Near misses cannot be told from matched pairs here, because captions of \
     images that look alike fit one another about as well: no share of them can be excluded.";

/// The outcome of an audit that judged `n_judged` pairs.
pub(super) fn outcome(
    competence: &Competence,
    rate: &RateFit,
    reading: Reading,
    kinds: Option<Kinds>,
    n_judged: usize,
) -> Outcome {
    if !competence.is_sufficient() {
        return Outcome::Refused {
            reason: format!(
                "the matcher does not rank held-out pairs better than chance ({:.1} % of the pairs \
                 are among the best 5 % of their comparisons): it has learned too little, or \
                 nearly every pair is mismatched",
                100.0 * competence.share_below_5_percent
            ),
        };
    }
    let least = DETECTABLE_RATE.max(1.0 / n_judged as f64);
    if kinds.is_some_and(|kinds| kinds.is_found) || rate.rate.low >= least {
        return Outcome::MismatchedPairs;
    }
    match open_question(rate, reading, kinds) {
        Some((reason, help)) => Outcome::CannotBeTold {
            reason,
            help: format!("embed images and captions with a stronger encoder, or {help}"),
        },
        None => Outcome::NoEvidence,
    }
}

/// Why it cannot be told whether pairs are mismatched, and what would help; `None` where it can.
fn open_question(
    rate: &RateFit,
    reading: Reading,
    kinds: Option<Kinds>,
) -> Option<(String, &'static str)> {
    const BESIDE: &str = "look at pairs beside images that look like theirs";
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let high = percent(rate.rate.high);
    if reading.is_uneven && rate.ceiling >= OPEN_RATE {
        let reason = format!(
            "{} of the pairs rank worse than the rest: they are mismatched, or the matcher does not \
             read their image or caption; up to {high} of all pairs may be mismatched",
            percent(1.0 - reading.readable),
        );
        return Some((reason, "look at a sample of the pairs called unknown"));
    }
    if reading.is_sloped && rate.ceiling >= OPEN_RATE {
        let reason = format!(
            "many pairs rank neither as matched nor as mismatched ones do; up to {high} of all pairs \
             may be mismatched"
        );
        let help = "look at a sample of the pairs with the highest probabilities";
        return Some((reason, help));
    }
    let kinds = kinds?;
    if !kinds.is_told_apart {
        let reason = format!(
            "at most {high} of the pairs belong to something else altogether, but near misses cannot \
             be told from matched pairs: captions of images that look alike fit one another about as \
             well"
        );
        return Some((reason, BESIDE));
    }
    if kinds.near.estimate >= OPEN_NEAR {
        let reason = format!(
            "{} of the pairs look like near misses, but so may matched pairs among images that look \
             alike; up to {} of all pairs may be near misses",
            percent(kinds.near.estimate),
            percent(kinds.near.high)
        );
        return Some((reason, BESIDE));
    }
    None
}

/// Sentences about what the audit cannot see.
pub(super) fn notes(
    kinds: Option<Kinds>,
    n_not_compared: usize,
    n_illegible: usize,
) -> Vec<String> {
    let of_near = match kinds {
        None => NOT_LOOKED_FOR,
        Some(kinds) if kinds.is_told_apart => NEAR_MISSES,
        Some(_) => NOT_TOLD_APART,
    };
    let mut notes = vec![of_near.to_owned()];
    if n_illegible > 0 {
        notes.push(format!(
            "{n_illegible} pairs cannot be told apart, because the matcher reads their caption or \
             image too poorly; their probability stays near the noise rate."
        ));
    }
    if n_not_compared > 0 {
        notes.push(format!(
            "{n_not_compared} pairs have nothing to be compared with, because every other caption \
             or image repeats theirs; they carry the noise rate as their probability."
        ));
    }
    notes
}
