//! Where an example computes: `--backend` and `--dtype`.

use burn::tensor::{DType, Device, FloatDType};
use clap::ValueEnum;

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// Burn's own code for the CPU.
    Flex,
    /// The CPU, through the ndarray crate.
    Ndarray,
    /// A GPU, or a Vulkan driver that computes in software.
    Wgpu,
}

/// In which precision to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// 24 bits, about 7 digits.
    F32,
    /// 53 bits, about 16 digits.
    F64,
}

/// The options `--backend` and `--dtype`, for `#[command(flatten)]`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Place {
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = Backend::Flex)]
    pub(crate) backend: Backend,
    /// In which precision [default: f64, on wgpu f32].
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<Precision>,
}

impl Place {
    /// The device and the precision, which is the device's default for new tensors from here on.
    ///
    /// Leaves the program with exit code 2 and an explanation if that cannot be had. Call it before
    /// anything else is done with Burn.
    pub(crate) fn open(self) -> (Device, Precision) {
        let precision = self.dtype.unwrap_or(match self.backend {
            Backend::Flex | Backend::Ndarray => Precision::F64,
            Backend::Wgpu => Precision::F32,
        });
        (self.backend.open(precision), precision)
    }
}

impl Precision {
    /// Burn's name for it.
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
        }
    }

    /// One of two values, for example of tolerances.
    pub(crate) fn pick<T>(self, in_f64: T, in_f32: T) -> T {
        match self {
            Self::F32 => in_f32,
            Self::F64 => in_f64,
        }
    }
}

impl Backend {
    /// The device, with this precision as the default for new tensors.
    ///
    /// Leaves the program with exit code 2 and an explanation if that cannot be had.
    pub(crate) fn open(self, precision: Precision) -> Device {
        self.try_open(precision).unwrap_or_else(|explanation| leave(&explanation))
    }

    fn try_open(self, precision: Precision) -> Result<Device, String> {
        let mut device = match self {
            Self::Flex => Device::flex(),
            #[expect(
                deprecated,
                reason = "Burn 0.22.1 still has it, and its users need it checked"
            )]
            Self::Ndarray => Device::ndarray(),
            Self::Wgpu => open_wgpu()?,
        };
        let dtype = precision.dtype();
        // An adapter may have additions of f64; no shading language has an exponential of it.
        let computes =
            device.supports_dtype(dtype) && (self, precision) != (Self::Wgpu, Precision::F64);
        if !computes {
            return Err(format!(
                "--dtype {}: the backend {} does not compute in it; leave --dtype out, or choose \
                 --dtype f32 or another --backend",
                name(precision),
                name(self)
            ));
        }
        // wgpu computes in f32 by default, and a device that has computed cannot be configured.
        if self != Self::Wgpu {
            device
                .configure(FloatDType::from(dtype))
                .map_err(|error| format!("--dtype {}: {error}", name(precision)))?;
        }
        Ok(device)
    }
}

/// Ends the program with exit code 2, that of wrong usage.
pub(crate) fn leave(explanation: &str) -> ! {
    eprintln!("error: {explanation}");
    std::process::exit(2)
}

/// How it is written on the command line.
fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(feature = "wgpu")]
fn open_wgpu() -> Result<Device, String> {
    burn_autograd::wgpu::open().map(|adapter| adapter.device()).map_err(|error| {
        format!(
            "--backend wgpu: {error}. Debian's mesa-vulkan-drivers has a driver that computes in \
             software; the backends flex and ndarray need none"
        )
    })
}

#[cfg(not(feature = "wgpu"))]
fn open_wgpu() -> Result<Device, String> {
    Err("--backend wgpu: this build does not have it; build with the feature wgpu".to_owned())
}
