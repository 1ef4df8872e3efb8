//! The backends of this build, and whether this machine can run them.

use burn::tensor::{DType, Device};
use burn_autograd::gradcheck::suite::Backend;

/// Backends in the order in which they are checked.
pub(crate) const OF_THIS_BUILD: &[&str] = &[
    #[cfg(feature = "flex")]
    "flex",
    #[cfg(feature = "ndarray")]
    "ndarray",
    #[cfg(feature = "wgpu")]
    "wgpu",
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "rocm")]
    "rocm",
];

/// What became of a backend.
#[derive(Debug)]
pub(crate) enum Availability {
    /// It runs here, on this adapter.
    Ran { device: Box<Device>, dtypes: Vec<DType>, adapter: Option<String> },
    /// It does not.
    Skipped { reason: String },
}

/// A backend that was asked for.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) availability: Availability,
}

impl Found {
    /// The backend, if it runs here.
    pub(crate) fn usable(&self) -> Option<Backend> {
        match &self.availability {
            Availability::Ran { device, dtypes, adapter } => {
                let mut backend = Backend::new(&self.name, (**device).clone(), dtypes.clone());
                backend.adapter = adapter.is_some();
                Some(backend)
            }
            Availability::Skipped { .. } => None,
        }
    }
}

/// Looks for a backend by name. An error if this build does not have it.
pub(crate) fn find(name: &str, wanted: &[DType]) -> Result<Found, String> {
    if !OF_THIS_BUILD.contains(&name) {
        let known = OF_THIS_BUILD.join(", ");
        return Err(format!("unknown backend `{name}`; this build has: {known}"));
    }
    let availability = match name {
        #[cfg(feature = "flex")]
        "flex" => ran(Device::flex(), wanted, None),
        #[cfg(feature = "ndarray")]
        "ndarray" => ran(Device::ndarray(), wanted, None),
        #[cfg(feature = "wgpu")]
        "wgpu" => match burn_autograd::wgpu::open() {
            Ok(adapter) => ran(adapter.device(), wanted, Some(adapter.to_string())),
            Err(error) => Availability::Skipped { reason: error.to_string() },
        },
        #[cfg(feature = "cuda")]
        "cuda" => gpu::find(burn::tensor::DeviceType::Cuda, wanted),
        #[cfg(feature = "rocm")]
        "rocm" => gpu::find(burn::tensor::DeviceType::Rocm, wanted),
        _ => Availability::Skipped { reason: "this build does not have it".to_owned() },
    };
    Ok(Found { name: name.to_owned(), availability })
}

fn ran(device: Device, wanted: &[DType], adapter: Option<String>) -> Availability {
    let dtypes: Vec<DType> = wanted
        .iter()
        .copied()
        // On a GPU `f64` is never the reference, and often only nominally there.
        .filter(|dtype| device.supports_dtype(*dtype))
        .filter(|dtype| adapter.is_none() || *dtype == DType::F32)
        .collect();
    if dtypes.is_empty() {
        return Availability::Skipped { reason: "it has none of the data types".to_owned() };
    }
    Availability::Ran { device: Box::new(device), dtypes, adapter }
}

/// A device that computes in `f64`.
pub(crate) fn reference() -> Option<Device> {
    #[cfg(feature = "flex")]
    return Some(Device::flex());
    #[cfg(all(feature = "ndarray", not(feature = "flex")))]
    return Some(Device::ndarray());
    #[cfg(not(any(feature = "flex", feature = "ndarray")))]
    return None;
}

#[cfg(any(feature = "cuda", feature = "rocm"))]
mod gpu {
    use std::panic::catch_unwind;

    use burn::tensor::{DType, Device, DeviceType};

    use super::{Availability, ran};

    pub(super) fn find(kind: DeviceType, wanted: &[DType]) -> Availability {
        // Asking for an adapter where there is none panics in the driver's library.
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let found = catch_unwind(|| Device::enumerate(kind).into_vec().first().cloned());
        std::panic::set_hook(quiet);
        let Some(device) = found.ok().flatten() else {
            return Availability::Skipped { reason: "no adapter was found".to_owned() };
        };
        let adapter = device.identity().map_or_else(|| "unnamed".to_owned(), |id| id.name);
        ran(device, wanted, Some(adapter))
    }
}
