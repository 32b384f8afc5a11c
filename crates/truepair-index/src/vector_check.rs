//! Which vectors an index takes, as rows and as queries.

use truepair_core::{Error, Result};

/// Longest vector: scores of two such vectors are finite in `f32`, whatever the measure.
const MAX_NORM: f64 = 1e15;

/// Whether a vector can be kept or asked for; `what` names it.
///
/// # Errors
/// If a number is not finite, the vector is longer than 10¹⁵, or `half` precision cannot hold it.
pub(crate) fn check_vector(vector: &[f32], half: bool, what: &str) -> Result<()> {
    let square: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    if !square.is_finite() {
        let at = vector
            .iter()
            .position(|x| !x.is_finite())
            .unwrap_or_default();
        return Err(Error::argument(
            format!("{what}: number {at} of the vector is {}", vector[at]),
            "leave the item out, or encode it again",
        ));
    }
    if square.sqrt() > MAX_NORM {
        return Err(Error::argument(
            format!(
                "{what}: the vector is {:e} long, more than {MAX_NORM:e}",
                square.sqrt()
            ),
            "scale the vectors down",
        ));
    }
    if half
        && let Some(x) = vector
            .iter()
            .find(|x| !half::f16::from_f32(**x).is_finite())
    {
        return Err(Error::argument(
            format!("{what}: {x} does not fit half precision, which ends at 65504"),
            "scale the vectors down, or make the index with storage f32",
        ));
    }
    Ok(())
}
