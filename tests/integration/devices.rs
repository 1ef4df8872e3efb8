//! The devices that the tests run on.

use std::sync::OnceLock;

use burn::tensor::{DType, Device, Tensor, TensorData};

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
    static FOUND: OnceLock<Option<Device>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let found = find();
            let required = std::env::var("BURN_AUTOGRAD_REQUIRE").unwrap_or_default();
            assert!(
                found.is_some() || !required.split(',').any(|name| name == "wgpu"),
                "wgpu is required, but there is no adapter"
            );
            if found.is_none() {
                eprintln!("wgpu is left out: there is no adapter");
            }
            found
        })
        .clone()
}

#[cfg(feature = "wgpu")]
fn find() -> Option<Device> {
    use burn::tensor::{DeviceKind, DeviceType};
    std::panic::catch_unwind(|| {
        if Device::enumerate(DeviceType::Wgpu).into_vec().is_empty() {
            return None;
        }
        let device = Device::wgpu(DeviceKind::default());
        let sum = Tensor::<1>::from_floats([1.0, 2.0], &device).sum().into_scalar::<f32>();
        (sum == 3.0).then_some(device)
    })
    .ok()
    .flatten()
}

#[cfg(not(feature = "wgpu"))]
fn find() -> Option<Device> {
    None
}

/// Each device as an autodiff device, under both checkpointing strategies.
pub(crate) fn autodiff(devices: Vec<Device>) -> Vec<Device> {
    devices
        .into_iter()
        .flat_map(|device| [device.clone().autodiff(), device.autodiff().gradient_checkpointing()])
        .collect()
}

/// A tensor of these numbers.
pub(crate) fn tensor<const D: usize>(
    shape: [usize; D],
    data: &[f64],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    let data = TensorData::new(data.to_vec(), shape);
    Tensor::from_data(data.convert_dtype(dtype), (device, dtype))
}

/// The numbers of a tensor.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let data = tensor.into_data().convert_dtype(DType::F64);
    data.as_slice::<f64>().expect("it was converted").to_vec()
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
