//! Interpolation and sampling.

use burn::tensor::Tensor;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{
    GridSampleOptions, GridSamplePaddingMode, InterpolateMode, InterpolateOptions,
};
use burn_autograd::gradcheck::suite::Case;
use burn_autograd::gradcheck::{Array, SplitMix64};

use super::{case, uniform};

pub(super) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    let mut cases = Vec::new();
    let modes = [
        ("nearest", InterpolateMode::Nearest),
        ("bilinear", InterpolateMode::Bilinear),
        ("bicubic", InterpolateMode::Bicubic),
        ("lanczos3", InterpolateMode::Lanczos3),
    ];
    for (name, mode) in modes {
        // Whether corners are aligned is no question for the nearest pixel.
        let alignments: &[bool] = if name == "nearest" { &[true] } else { &[true, false] };
        for &align in alignments {
            for (input, output) in [([3, 4], [5, 7]), ([5, 4], [2, 3])] {
                let aligned = match (name, align) {
                    ("nearest", _) => "",
                    (_, true) => ", corners aligned",
                    (_, false) => ", corners not aligned",
                };
                let [[h, w], [to_h, to_w]] = [input, output];
                let mode = mode.clone();
                cases.push(
                    case(
                        "interpolate",
                        &format!("{name}, {h}×{w} to {to_h}×{to_w}{aligned}"),
                        uniform(random, &[&[2, 1, h, w]]),
                        move |x: Tensor<4>| {
                            let options = InterpolateOptions::new(mode.clone())
                                .with_output_size(output)
                                .with_align_corners(align);
                            interpolate(x, options)
                        },
                    )
                    .batch(&[true]),
                );
            }
        }
    }
    // Column 49 lies exactly on the border of the second pixel, where 49 · (2 ⁄ 98) rounds to below 1.
    cases.push(case(
        "interpolate",
        "nearest, 1×2 to 1×98, a column on the border of two pixels",
        uniform(random, &[&[1, 1, 1, 2]]),
        |x: Tensor<4>| {
            let options = InterpolateOptions::new(InterpolateMode::Nearest);
            interpolate(x, options.with_output_size([1, 98]))
        },
    ));
    for (padding, name, outside) in [
        (GridSamplePaddingMode::Zeros, "zeros outside", false),
        (GridSamplePaddingMode::Zeros, "zeros outside, reached", true),
        (GridSamplePaddingMode::Border, "the border outside, reached", true),
        (GridSamplePaddingMode::Reflection, "reflected outside, reached", true),
    ] {
        let mut inputs = uniform(random, &[&[1, 2, 3, 4]]);
        inputs.push(grid(random, outside));
        cases.push(
            case("grid_sample_2d", name, inputs, move |(x, grid): (Tensor<4>, Tensor<4>)| {
                let options =
                    GridSampleOptions::new(InterpolateMode::Bilinear).with_padding_mode(padding);
                x.grid_sample_2d(grid, options)
            })
            .first_step(0.0625),
        );
    }
    cases
}

/// Where to sample an image of 3×4 pixels: between pixels, where bilinear interpolation is smooth, or
/// beyond the edges too.
fn grid(random: &mut SplitMix64, outside: bool) -> Array {
    let size = [4.0, 3.0];
    let mut axis = 0;
    let mut first = true;
    Array::from_fn([1, 2, 3, 2], || {
        let size: f64 = size[axis % 2];
        axis += 1;
        let cells = (size - 1.0) as u64;
        let mut cell = (random.next_u64() % cells) as f64;
        if outside && first {
            // The first two points, one beyond each edge.
            cell = [size, size, -2.0, -2.0][axis - 1];
            first = axis < 4;
        }
        let pixel = cell + random.uniform(0.3, 0.7);
        // From −1 to 1 across the image; a number that f32 holds.
        let place = (2.0 * pixel + 1.0) / size - 1.0;
        (place * 4096.0).round() / 4096.0
    })
}
