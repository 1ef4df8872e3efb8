//! Whether this machine has a driver that wgpu can use. Asked before wgpu is built, which takes most of the
//! time of a whole build.

/// What is missing, and how to get it.
pub(crate) fn find() -> Result<(), String> {
    system::find()
}

#[cfg(any(target_os = "macos", target_os = "windows"))]
mod system {
    /// Metal is a part of macOS, and DX12 of Windows: only a stripped-down system lacks it.
    pub(super) fn find() -> Result<(), String> {
        let (api, file) = if cfg!(windows) {
            ("DX12", r"C:\Windows\System32\d3d12.dll")
        } else {
            ("Metal", "/System/Library/Frameworks/Metal.framework")
        };
        if std::path::Path::new(file).exists() {
            Ok(())
        } else {
            Err(format!("no {api}: {file} is not there"))
        }
    }
}

#[cfg(not(any(target_os = "macos", target_os = "windows")))]
mod system {
    use ash::{Entry, vk};

    const REMEDY: &str = "install the driver of your GPU, or one that computes in software (Debian and \
                          Ubuntu: apt install mesa-vulkan-drivers)";

    pub(super) fn find() -> Result<(), String> {
        match devices() {
            Ok(0) => Err(format!("no Vulkan device was found; {REMEDY}")),
            Ok(_) => Ok(()),
            Err(reason) => Err(format!("no Vulkan driver was found ({reason}); {REMEDY}")),
        }
    }

    #[allow(unsafe_code, reason = "Vulkan is a C interface")]
    fn devices() -> Result<usize, String> {
        // SAFETY: the loader is the system's; nothing else in this program uses Vulkan.
        let entry = unsafe { Entry::load() }.map_err(|error| error.to_string())?;
        let information = vk::InstanceCreateInfo::default();
        // SAFETY: `entry` outlives the instance, and the structure is empty.
        let instance = unsafe { entry.create_instance(&information, None) }
            .map_err(|error| error.to_string())?;
        // SAFETY: the instance is valid until it is destroyed, after its last use.
        unsafe {
            let devices = instance.enumerate_physical_devices();
            instance.destroy_instance(None);
            devices.map(|devices| devices.len()).map_err(|error| error.to_string())
        }
    }
}
