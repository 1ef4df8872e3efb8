//! The adapter that Burn's wgpu device computes on.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use burn::tensor::{Device, DeviceKind, Tensor};
use burn_wgpu::graphics::AutoGraphicsApi;
use burn_wgpu::{RuntimeOptions, WgpuDevice, WgpuInitError, try_init_setup};

use crate::{Error, ErrorKind};

/// An adapter that was opened and that computes.
///
/// Its text is its name and graphics API, as in `NVIDIA H200 (Vulkan)`.
#[derive(Debug, Clone)]
pub struct Adapter {
    device: Device,
    name: String,
}

impl Adapter {
    /// The device to create tensors on.
    pub fn device(&self) -> Device {
        self.device.clone()
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Opens the default wgpu device, where `Device::wgpu` would panic later if there is no adapter.
///
/// Looks for Vulkan, DX12 and OpenGL in that order, on macOS for Metal, and prefers a GPU over a driver
/// that computes in software. Adds two numbers on it, to see that it computes. The first call does the
/// work; later calls return the same.
///
/// # Errors
///
/// [`ErrorKind::Device`] if there is no adapter, or if it does not compute.
///
/// ```
/// use burn::tensor::Tensor;
///
/// match burn_autograd::wgpu::open() {
///     Ok(adapter) => {
///         let x = Tensor::<1>::from_floats([1.5, 2.5], &adapter.device());
///         assert_eq!(x.sum().into_scalar::<f32>(), 4.0);
///     }
///     Err(error) => assert!(error.to_string().contains("an adapter")),
/// }
/// ```
pub fn open() -> Result<Adapter, Error> {
    static OPENED: OnceLock<Result<Adapter, Error>> = OnceLock::new();
    OPENED.get_or_init(find).clone()
}

fn find() -> Result<Adapter, Error> {
    let error = |got: String| {
        let expected = "an adapter for wgpu (a GPU, or a driver that computes in software)";
        Error::new(ErrorKind::Device, "wgpu::open", "device", expected, got)
    };
    let options = RuntimeOptions::try_default().map_err(|found| error(found.to_string()))?;
    let name = match try_init_setup::<AutoGraphicsApi>(&WgpuDevice::default(), options) {
        Ok(setup) => {
            let info = setup.adapter.get_info();
            Some(format!("{} ({:?})", info.name, info.backend))
        }
        // The program has opened it already.
        Err(WgpuInitError::Registration { .. }) => None,
        Err(found) => return Err(error(found.to_string())),
    };
    // A driver may still panic where it is used.
    let computed = catch_unwind(AssertUnwindSafe(|| {
        let device = Device::wgpu(DeviceKind::default());
        let sum = Tensor::<1>::from_floats([1.0, 2.0], &device).sum().into_scalar::<f32>();
        (device, sum)
    }));
    match computed {
        Ok((device, 3.0)) => {
            let known = || device.identity().map(|identity| identity.name);
            let name = name.or_else(known).unwrap_or_else(|| "unnamed".to_owned());
            Ok(Adapter { device, name })
        }
        Ok((_, sum)) => Err(error(format!("one that computes 1 + 2 = {sum}"))),
        Err(_) => Err(error("one that panics".to_owned())),
    }
}
