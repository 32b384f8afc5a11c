//! Log odds of the mean match probability of two Gaussians' draws.

mod twin;

use burn::tensor::Tensor;
use truepair_kernel::{Distance, MatchForm, MatchOdds};

use super::{apply, is_fused};

/// `log P − log (1 − P)` with `P = mean_{k,l} σ(factor (−a δ(xᵢₖ, yⱼₗ) + b))`.
///
/// Both means are taken of scaled terms, so that no probability is rounded to 0 or 1.
///
/// # Shapes
/// - `x`: `[n, j, d]`, `y`: `[m, j, d]`, `scale` `a` and `shift` `b`: `[1]`; returns `[n, m]`
/// # Panics
/// If widths or numbers of draws differ.
pub(crate) fn match_log_odds(
    x: Tensor<3>,
    y: Tensor<3>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    form: MatchForm,
) -> Tensor<2> {
    if !is_fused(&x.device()) {
        return twin::twin(x, y, scale, shift, form);
    }
    apply(
        MatchOdds(form),
        [x.into(), y.into(), scale.into(), shift.into()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin, check_threads};

    const FORMS: [MatchForm; 3] = [
        MatchForm {
            distance: Distance::Euclidean,
            guard: 1e-6,
            factor: 2.0,
        },
        MatchForm {
            distance: Distance::Euclidean,
            guard: 1e-6,
            factor: 1.0,
        },
        MatchForm {
            distance: Distance::Squared,
            guard: 0.0,
            factor: 1.0,
        },
    ];

    fn inputs(n: usize, m: usize, j: usize, d: usize) -> [Input; 4] {
        [
            Input::scaled(&[n, j, d], 0.4),
            Input::scaled(&[m, j, d], 0.4).salted(1),
            Input::constant(&[1], vec![2.0]).differentiable(),
            Input::constant(&[1], vec![3.0]).differentiable(),
        ]
    }

    #[test]
    fn equals_its_twin() {
        for form in FORMS {
            for (n, m, j, d) in [(3, 5, 4, 7), (6, 6, 1, 3), (2, 40, 7, 18)] {
                check_against_twin(
                    &inputs(n, m, j, d),
                    |x| match_log_odds(x[0].rank(), x[1].rank(), x[2].rank(), x[3].rank(), form),
                    |x| twin::twin(x[0].rank(), x[1].rank(), x[2].rank(), x[3].rank(), form),
                );
            }
        }
    }

    #[test]
    fn blocks_and_threads_change_no_bit() {
        check_threads(&inputs(60, 90, 7, 12), |x| {
            match_log_odds(x[0].rank(), x[1].rank(), x[2].rank(), x[3].rank(), FORMS[0])
        });
    }

    #[test]
    fn far_draws_give_finite_odds_and_slopes() {
        use burn::tensor::{Device, TensorData};
        let device = Device::flex().autodiff();
        let place = |at: f32| {
            let data = TensorData::new(vec![at, at + 0.1, at, at], [1, 2, 2]);
            Tensor::<3>::from_data(data, &device).require_grad()
        };
        let one = |x: f32| Tensor::<1>::from_data([x], &device).require_grad();
        for (distance, b) in [(60.0, 15.0), (0.0, 500.0)] {
            let x = place(0.0);
            let odds = match_log_odds(x.clone(), place(distance), one(15.0), one(b), FORMS[0]);
            let tape = odds.clone().sum().backward();
            let odds = odds.into_data().try_into_vec::<f32>().unwrap()[0];
            assert!(odds.is_finite() && odds.abs() > 900.0, "{odds}");
            let slope = x
                .grad(&tape)
                .unwrap()
                .into_data()
                .try_into_vec::<f32>()
                .unwrap();
            assert!(slope.iter().all(|g| g.is_finite()), "{slope:?}");
            assert!(slope.iter().any(|g| g.abs() > 0.1), "{slope:?}");
        }
    }
}
