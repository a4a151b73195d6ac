//! Why a V4L2 device is not used.

use std::io;
use std::path::{Path, PathBuf};

/// What was asked of a device, what it gave, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It cannot be opened.
    #[error("source.device: cannot open '{device}': {source}; {hint}")]
    Open {
        device: PathBuf,
        source: io::Error,
        hint: &'static str,
    },
    /// It is something else.
    #[error(
        "source.device: '{device}' ({card}) is no camera that streams into memory; name the node of the camera, `v4l2-ctl --list-devices` shows them"
    )]
    NoCamera { device: PathBuf, card: String },
    /// A call that must work does not.
    #[error("source.{key}: '{device}' refuses {asked}: {source}; {hint}")]
    Refused {
        key: &'static str,
        device: PathBuf,
        asked: String,
        source: io::Error,
        hint: &'static str,
    },
    /// The driver answered with something else.
    #[error("source.{key}: '{device}' gives {given} instead of {asked}; {hint}")]
    Other {
        key: String,
        device: PathBuf,
        asked: String,
        given: String,
        hint: String,
    },
    /// No such control.
    #[error("source.controls: '{device}' has no control for {name:?}; it has {has}")]
    NoControl {
        device: PathBuf,
        name: String,
        has: String,
    },
    /// A control that cannot take such a value.
    #[error("source.controls.{name}: '{device}' cannot take {asked}: {reason}")]
    Value {
        device: PathBuf,
        name: String,
        asked: String,
        reason: String,
    },
    /// The configuration contradicts itself.
    #[error("source.{key}: {reason}")]
    Setting { key: &'static str, reason: String },
}

impl DeviceError {
    pub(super) fn open(device: &Path, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::NotFound => {
                "check the camera's cable and power, and that the path is the camera's; names below /dev/v4l/by-path do not change"
            }
            io::ErrorKind::PermissionDenied => {
                "run as a user of the group 'video', or give this one to it"
            }
            _ => "check that it is the node of a camera",
        };
        DeviceError::Open {
            device: device.to_owned(),
            source,
            hint,
        }
    }

    pub(super) fn refused(
        key: &'static str,
        device: &Path,
        asked: String,
        source: io::Error,
    ) -> Self {
        let hint = match source.raw_os_error() {
            Some(libc::EBUSY) => "another program holds the camera; end it",
            Some(libc::ENODEV) => "the camera is gone; check its cable and power",
            _ => "check that this camera can do it, `v4l2-ctl --all` shows what it can",
        };
        DeviceError::Refused {
            key,
            device: device.to_owned(),
            asked,
            source,
            hint,
        }
    }
}
