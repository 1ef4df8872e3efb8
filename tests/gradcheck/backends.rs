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
            Availability::Ran { device, dtypes, adapter } => Some(Backend {
                adapter: adapter.is_some(),
                name: self.name.clone(),
                device: (**device).clone(),
                dtypes: dtypes.clone(),
            }),
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
        #[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
        _ => gpu::find(name, wanted),
        #[cfg(not(any(feature = "wgpu", feature = "cuda", feature = "rocm")))]
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

#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
mod gpu {
    use std::panic::catch_unwind;

    use burn::tensor::{DType, Device, DeviceType, Tensor};

    use super::{Availability, ran};

    pub(super) fn find(name: &str, wanted: &[DType]) -> Availability {
        // Asking for an adapter where there is none panics in the driver's library.
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let found = catch_unwind(|| open(name));
        std::panic::set_hook(quiet);
        match found {
            Ok(Ok((device, adapter))) => ran(device, wanted, Some(adapter)),
            Ok(Err(reason)) => Availability::Skipped { reason },
            Err(_) => Availability::Skipped { reason: "no adapter could be opened".to_owned() },
        }
    }

    fn open(name: &str) -> Result<(Device, String), String> {
        let (kind, device): (DeviceType, fn() -> Device) = match name {
            #[cfg(feature = "wgpu")]
            "wgpu" => (DeviceType::Wgpu, || Device::wgpu(Default::default())),
            #[cfg(feature = "cuda")]
            "cuda" => (DeviceType::Cuda, || Device::cuda(0)),
            #[cfg(feature = "rocm")]
            "rocm" => (DeviceType::Rocm, || Device::rocm(0)),
            other => return Err(format!("`{other}` is not a GPU backend")),
        };
        if Device::enumerate(kind).into_vec().is_empty() {
            return Err("no adapter was found".to_owned());
        }
        let device = device();
        // An adapter that cannot add two numbers is none.
        let sum = Tensor::<1>::from_floats([1.0, 2.0], &device).sum().into_scalar::<f32>();
        if sum != 3.0 {
            return Err(format!("the adapter computes 1 + 2 = {sum}"));
        }
        let adapter = device.identity().map_or_else(|| "unnamed".to_owned(), |id| id.name);
        Ok((device, adapter))
    }
}
