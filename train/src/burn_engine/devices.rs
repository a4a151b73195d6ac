//! burn's devices by name. Never burn's default device: which one that is depends on how the program
//! was built.

use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
use burn::tensor::DeviceKind;
#[cfg(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "cuda"
))]
use burn::tensor::{DeviceType, Devices};

/// The device `kind`, or the one of that kind with the number `index`.
///
/// # Errors
/// A sentence for people: this machine has no such device.
pub fn find(kind: &str, index: Option<usize>) -> Result<Device, String> {
    match kind {
        #[cfg(feature = "flex")]
        "flex" => match index {
            None | Some(0) => Ok(Device::flex()),
            Some(_) => Err("'flex' computes on all cores; it has no number".to_owned()),
        },
        #[cfg(feature = "wgpu")]
        "wgpu" => graphics(
            kind,
            index,
            Device::enumerate(DeviceType::Wgpu),
            Device::wgpu,
        ),
        #[cfg(feature = "vulkan")]
        "vulkan" => graphics(
            kind,
            index,
            Device::enumerate(DeviceType::Vulkan),
            Device::vulkan,
        ),
        #[cfg(feature = "metal")]
        "metal" => graphics(
            kind,
            index,
            Device::enumerate(DeviceType::Metal),
            Device::metal,
        ),
        #[cfg(feature = "cuda")]
        "cuda" => numbered(
            kind,
            index.unwrap_or(0),
            Device::enumerate(DeviceType::Cuda),
        ),
        _ => Err(format!(
            "device '{kind}' is not one of burn's in this program"
        )),
    }
}

/// Without a number the adapter that wgpu ranks first, or the one that `CUBECL_WGPU_DEFAULT_DEVICE`
/// names.
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
fn graphics(
    kind: &str,
    index: Option<usize>,
    found: Devices,
    default: fn(DeviceKind) -> Device,
) -> Result<Device, String> {
    match index {
        None if !found.is_empty() => Ok(default(DeviceKind::DefaultDevice)),
        index => numbered(kind, index.unwrap_or(0), found),
    }
}

#[cfg(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "cuda"
))]
fn numbered(kind: &str, index: usize, found: Devices) -> Result<Device, String> {
    let mut found = found.into_vec();
    if found.is_empty() {
        return Err(format!(
            "this machine has no device for '{kind}': is the driver installed (see nvidia-smi or \
             vulkaninfo --summary), and may this user open it?"
        ));
    }
    if index >= found.len() {
        let listed: Vec<String> = found
            .iter()
            .enumerate()
            .map(|(number, device)| format!("{kind}:{number} is {device:?}"))
            .collect();
        return Err(format!(
            "this machine has no '{kind}:{index}': {}",
            listed.join(", ")
        ));
    }
    Ok(found.swap_remove(index))
}

/// The first of burn's devices in this program, which the tests compute on, or `None`, said loudly,
/// where this machine has none.
#[cfg(test)]
pub fn for_tests() -> Option<Device> {
    let compiled = crate::device::compiled();
    let device = find(compiled[1], None);
    if let Err(error) = &device {
        crate::test_golden::say_skipped(error);
    }
    device.ok()
}
