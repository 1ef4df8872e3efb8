//! The devices that the tests run on.

use std::sync::Once;

use burn::tensor::Device;

pub(crate) use crate::data::{assert_close, numbers, tensor};

/// The CPU backends, which have `f64`.
pub(crate) fn cpu() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

/// The CPU backends, and wgpu if there is an adapter. Without one, wgpu is left out, unless the
/// environment variable `BURN_AUTOGRAD_REQUIRE` names it.
pub(crate) fn all() -> Vec<Device> {
    let mut devices = cpu();
    devices.extend(wgpu());
    devices
}

/// The wgpu device, if there is an adapter.
pub(crate) fn wgpu() -> Option<Device> {
    #[cfg(feature = "wgpu")]
    let found = burn_autograd::wgpu::open().map(|adapter| adapter.device());
    #[cfg(not(feature = "wgpu"))]
    let found = Err::<Device, _>("this build does not have it");
    found
        .map_err(|error| {
            let required = std::env::var("BURN_AUTOGRAD_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|name| name == "wgpu"), "wgpu is required: {error}");
            static SAID: Once = Once::new();
            SAID.call_once(|| eprintln!("wgpu is left out: {error}"));
        })
        .ok()
}

/// Each device as an autodiff device, under both checkpointing strategies.
pub(crate) fn autodiff(devices: Vec<Device>) -> Vec<Device> {
    devices
        .into_iter()
        .flat_map(|device| [device.clone().autodiff(), device.autodiff().gradient_checkpointing()])
        .collect()
}

/// What a panic said.
pub(crate) fn message(run: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_default()
}
