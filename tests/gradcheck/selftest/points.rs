//! Mistakes at particular points: ties, kinks, ends of domains, large values.

use burn::tensor::Tensor;

use super::Mutant;
use super::tools::{elementwise, known, of, tensor};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        Mutant::new(
            41,
            "largest element looked for again, with another rule for ties",
            &["values"],
            |planted| {
                let op = elementwise(
                    |x| x.max_dim(0),
                    move |x, g| {
                        let zeros = x.zeros_like();
                        match planted {
                            true => zeros.mask_where(&x.equal(&x.max_dim(0)), &g),
                            false => zeros.scatter_add(0, x.argmax(0), &g),
                        }
                    },
                );
                let ties = known(&[0.5, 2.0, 2.0], &[2.0], &[0.0, 1.0, 0.0]);
                op.check_with::<Tensor<1>>(&ties, of([3], &[0.5, 2.0, 1.25]))
            },
        ),
        Mutant::new(42, "another convention at a kink: relu at 0", &["values"], |planted| {
            let op = elementwise(
                |x| x.fill_where_not_positive(&x, 0.0),
                move |x, g| match planted {
                    true => g.mask_fill(&x.lower_elem(0.0), 0.0),
                    false => g.fill_where_not_positive(&x, 0.0),
                },
            );
            let kink = known(&[0.0, 1.0, -1.0], &[0.0, 1.0, 0.0], &[0.0, 1.0, 0.0]);
            op.check_with::<Tensor<1>>(&kink, tensor([4], 42))
        }),
        Mutant::new(
            43,
            "not a number where a factor is zero: 2·x² ⁄ x at 0",
            &["jacobian"],
            |planted| {
                elementwise(
                    |x| x.square(),
                    move |x, g| g * if planted { 2.0 * x.square() / x } else { 2.0 * x },
                )
                .check::<Tensor<1>>(of([3], &[0.0, 1.5, -0.75]))
            },
        ),
        Mutant::new(
            44,
            "zero times not a number behind a mask: √x where x > 0",
            &["jacobian"],
            |planted| {
                let op = elementwise(
                    |x| x.sqrt().mask_fill(&x.lower_equal_elem(0.0), 0.0),
                    move |x, g| {
                        let off = x.lower_equal_elem(0.0);
                        match planted {
                            true => x.ones_like().mask_fill(&off, 0.0) * g * 0.5 / x.sqrt(),
                            false => (g * 0.5 / x.mask_fill(&off, 1.0).sqrt()).mask_fill(&off, 0.0),
                        }
                    },
                );
                op.check::<Tensor<1>>(of([4], &[-1.0, 2.25, 4.0, -0.5]))
            },
        ),
        Mutant::new(
            45,
            "overflow in the backward of large values: softplus",
            &["jacobian"],
            |planted| {
                let op = elementwise(
                    |x| x.fill_where_not_positive(&x, 0.0) + (-x.abs()).exp().log1p(),
                    move |x, g| {
                        g * match planted {
                            true => x.exp() / (x.exp() + 1.0),
                            false => 0.5 * ((0.5 * x).tanh() + 1.0),
                        }
                    },
                );
                op.check::<Tensor<1>>(of([4], &[800.0, -800.0, 1.5, -0.75]))
            },
        ),
    ]
}
