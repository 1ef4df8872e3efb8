//! How accurate a device's built-in functions are, measured.
//!
//! A GPU's `exp` or `sin` may be off by several units in the last place, and by how many depends on the
//! adapter and its driver. So it is measured, once for a device, on a grid against double precision.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Device, Shape, TensorData};

use crate::evaluate::{InnerOrSelf, guard, read};

/// A built-in function of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Intrinsic {
    /// eˣ, on [−10, 10].
    Exp,
    /// ln x, on [0.01, 100].
    Log,
    /// sin x, on [−π, π].
    Sin,
    /// cos x, on [−π, π].
    Cos,
    /// tanh x, on [−4, 4].
    Tanh,
    /// √x, on [0.01, 100].
    Sqrt,
    /// 1⁄x, on [0.01, 100].
    Recip,
    /// erf x, on [−3, 3].
    Erf,
}

impl Intrinsic {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Exp,
        Self::Log,
        Self::Sin,
        Self::Cos,
        Self::Tanh,
        Self::Sqrt,
        Self::Recip,
        Self::Erf,
    ];

    fn range(self) -> (f64, f64) {
        use std::f64::consts::PI;
        match self {
            Self::Exp => (-10.0, 10.0),
            Self::Log | Self::Sqrt | Self::Recip => (0.01, 100.0),
            Self::Sin | Self::Cos => (-PI, PI),
            Self::Tanh => (-4.0, 4.0),
            Self::Erf => (-3.0, 3.0),
        }
    }

    fn run(self, x: burn::backend::DispatchTensor) -> burn::backend::DispatchTensor {
        match self {
            Self::Exp => Dispatch::float_exp(x),
            Self::Log => Dispatch::float_log(x),
            Self::Sin => Dispatch::float_sin(x),
            Self::Cos => Dispatch::float_cos(x),
            Self::Tanh => Dispatch::float_tanh(x),
            Self::Sqrt => Dispatch::float_sqrt(x),
            Self::Recip => Dispatch::float_recip(x),
            Self::Erf => Dispatch::float_erf(x),
        }
    }

    /// In double precision; the error function from its Taylor series, which at 3 has terms of up to
    /// 400 and so still eleven digits.
    fn exact(self, x: f64) -> f64 {
        match self {
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sin => x.sin(),
            Self::Cos => x.cos(),
            Self::Tanh => x.tanh(),
            Self::Sqrt => x.sqrt(),
            Self::Recip => x.recip(),
            Self::Erf => {
                let (mut term, mut sum) = (x, x);
                for n in 1..80 {
                    let n = f64::from(n);
                    term *= -x * x / n;
                    sum += term / (2.0 * n + 1.0);
                }
                sum * std::f64::consts::FRAC_2_SQRT_PI
            }
        }
    }
}

/// A device's built-in functions in single precision, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration(Vec<(Intrinsic, f64)>);

/// Points of the grid.
const POINTS: usize = 4096;

/// The worst case need not lie on the grid: this many times the worst that was seen is allowed for.
const MARGIN: f64 = 2.0;

impl Calibration {
    /// Measures a device's functions. One that the device cannot run is infinitely inaccurate.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::tensor::Device;
    /// use burn_autograd_gradcheck::{Calibration, Intrinsic};
    ///
    /// let flex = Calibration::of(&Device::flex());
    /// assert!(flex.worst(Intrinsic::Sqrt) <= 0.5);
    /// assert!(flex.worst(Intrinsic::Exp) < 4.0);
    /// # }
    /// ```
    pub fn of(device: &Device) -> Self {
        let device = device.clone().inner_or_self();
        let measure = |function: Intrinsic| {
            let (low, high) = function.range();
            let grid: Vec<f32> = (0..POINTS)
                .map(|i| (low + (high - low) * i as f64 / (POINTS - 1) as f64) as f32)
                .collect();
            let data = TensorData::new(grid.clone(), Shape::from([POINTS]));
            let found = guard(|| {
                let x =
                    Dispatch::float_from_data(data.convert_dtype(DType::F32), device.as_dispatch());
                read(function.run(x)).data
            });
            let Ok(found) = found else { return (function, f64::INFINITY) };
            let worst = grid
                .iter()
                .zip(&found)
                .map(|(&x, &found)| {
                    let exact = function.exact(f64::from(x));
                    // Around a zero of the function, units of the largest value's last place say
                    // what a neighbouring operation sees.
                    let scale = match function {
                        Intrinsic::Sin | Intrinsic::Cos | Intrinsic::Log => exact.abs().max(0.5),
                        _ => exact.abs().max(f64::from(f32::MIN_POSITIVE)),
                    };
                    (found - exact).abs() / (f64::from(f32::EPSILON) * ulp_floor(scale))
                })
                .fold(
                    0.0f64,
                    |worst, error| if error.is_nan() { f64::INFINITY } else { worst.max(error) },
                );
            (function, worst)
        };
        Self(Intrinsic::ALL.iter().copied().map(measure).collect())
    }

    /// The largest error that was seen, in units in the last place.
    pub fn worst(&self, function: Intrinsic) -> f64 {
        self.0.iter().find(|(of, _)| *of == function).map_or(f64::INFINITY, |(_, worst)| *worst)
    }

    /// What to allow for results that these functions went into, in units in the last place.
    pub fn allowance(&self, functions: &[Intrinsic]) -> f64 {
        functions.iter().map(|&function| MARGIN * self.worst(function)).sum()
    }
}

impl std::fmt::Display for Calibration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (function, worst)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{} {worst:.1}", format!("{function:?}").to_lowercase())?;
        }
        f.write_str(" units in the last place")
    }
}

/// The power of two at or below a positive number: an ulp is ε times that.
fn ulp_floor(x: f64) -> f64 {
    2f64.powf(x.log2().floor())
}
