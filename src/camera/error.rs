//! What can go wrong between lens and block.

use crate::picture::PictureError;
use std::path::PathBuf;

/// Why lines cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// A picture of a folder of strips.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A folder that cannot be made, listed or written.
    #[error(
        "cannot use the folder '{path}': {source}; check that it exists, may be used and has room"
    )]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    /// No picture in it.
    #[error("'{path}' holds no PNG, JPEG, TIFF or BMP picture; name a folder with strips of web")]
    NoStrips { path: PathBuf },
    /// Strips of one web must be alike.
    #[error(
        "'{path}' is {found} but the strips before it are {expected}; keep one camera's strips in a folder"
    )]
    StripFormat {
        path: PathBuf,
        found: String,
        expected: String,
    },
    /// A file of a recording.
    #[error("cannot read the recording's '{path}': {source}; record the run again")]
    Recording {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file of a recording that is not what a recorder wrote.
    #[error("the recording's '{path}' is damaged ({reason}); record the run again")]
    DamagedRecording { path: PathBuf, reason: String },
    /// The belt's description makes no sense.
    #[error("the belt cannot move like that: {0}")]
    Belt(String),
    /// A V4L2 device that cannot be used as configured.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Device(#[from] super::v4l2::DeviceError),
    /// A live camera that is gone.
    #[error(
        "the camera is lost ({0}); check its cable and power, the station tries again by itself"
    )]
    Lost(String),
}
