//! Rows of one byte a number, with what rounding took away.

/// Numbers of a row's bounds: scale, norm of the rounding error, norm; the norms are rounded up.
pub(crate) const N_BOUNDS: usize = 3;

/// Rounds `row` to whole multiples of a scale, −127 to 127, into `codes`; gives the row's bounds.
pub(super) fn quantize(row: &[f32], codes: &mut [i8]) -> [f32; N_BOUNDS] {
    let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    let (mut error, mut norm) = (0f64, 0f64);
    for (code, x) in codes.iter_mut().zip(row) {
        let x = f64::from(*x);
        let rounded = match scale > 0.0 {
            true => (x / f64::from(scale)).round().clamp(-127.0, 127.0),
            false => 0.0,
        };
        *code = rounded as i8;
        // A scale of 24 bits times a code of 7 is exact.
        error += (x - f64::from(scale) * rounded).powi(2);
        norm += x * x;
    }
    [scale, above(error.sqrt()), above(norm.sqrt())]
}

/// The number, or a little more: sums in `f64` and the rounding to `f32` never make it less.
fn above(x: f64) -> f32 {
    if x == 0.0 {
        return 0.0;
    }
    ((x * (1.0 + 1e-9)) as f32).next_up()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_for_rows_of_any_size() {
        let rows = [
            vec![0.0; 9],
            vec![1.0; 9],
            vec![1e-45, 0.0, -1e-45],
            vec![1e15, 1e-15, -3.0],
            (0..100).map(|i| ((i * i) as f32).sin()).collect(),
        ];
        for row in rows {
            let mut codes = vec![0; row.len()];
            let [scale, error, norm] = quantize(&row, &mut codes);
            let square = |difference: Vec<f64>| difference.iter().map(|x| x * x).sum::<f64>();
            let wide = |x: &f32| f64::from(*x);
            let left = (row.iter().zip(&codes))
                .map(|(x, code)| wide(x) - f64::from(scale) * f64::from(*code))
                .collect();
            assert!(square(left).sqrt() <= f64::from(error));
            assert!(square(row.iter().map(wide).collect()).sqrt() <= f64::from(norm));
        }
    }
}
