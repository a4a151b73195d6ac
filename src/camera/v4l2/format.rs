//! The device's format, set and read back.

use super::V4l2Spec;
use super::error::DeviceError;
use super::pixels::PixelFormat;
use super::sys::{self, CaptureFormat, CaptureParameters, Node, Plain};
use v4l::v4l_sys::{
    V4L2_CAP_DEVICE_CAPS, V4L2_CAP_STREAMING, V4L2_CAP_TIMEPERFRAME, V4L2_CAP_VIDEO_CAPTURE,
    v4l2_capability, v4l2_field_V4L2_FIELD_NONE as FIELD_NONE, v4l2_fract,
};

/// Where lines lie in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub stride_bytes: usize,
    pub line_bytes: usize,
    pub lines: usize,
}

impl Layout {
    /// Lines for which `bytes` are enough. The last line may lack its padding.
    pub fn whole_lines(&self, bytes: usize) -> usize {
        if bytes < self.line_bytes {
            return 0;
        }
        let more = (bytes - self.line_bytes) / self.stride_bytes.max(1);
        (more + 1).min(self.lines)
    }
}

/// Opens the device and makes it what `spec` says, controls apart.
pub(super) fn open(spec: &V4l2Spec) -> Result<(Node, Layout), DeviceError> {
    let node = Node::open(&spec.device).map_err(|error| DeviceError::open(&spec.device, error))?;
    check_camera(&node, spec)?;
    if let Some(input) = spec.input {
        let mut chosen = input;
        node.call(sys::S_INPUT, &mut chosen).map_err(|error| {
            DeviceError::refused("input", &spec.device, format!("the input {input}"), error)
        })?;
    }
    let layout = set_format(&node, spec)?;
    Ok((node, layout))
}

fn check_camera(node: &Node, spec: &V4l2Spec) -> Result<(), DeviceError> {
    let mut capability = v4l2_capability::zeroed();
    node.call(sys::QUERYCAP, &mut capability)
        .map_err(|error| DeviceError::open(&spec.device, error))?;
    let can = if capability.capabilities & V4L2_CAP_DEVICE_CAPS == 0 {
        capability.capabilities
    } else {
        capability.device_caps
    };
    if can & V4L2_CAP_VIDEO_CAPTURE == 0 || can & V4L2_CAP_STREAMING == 0 {
        return Err(DeviceError::NoCamera {
            device: spec.device.clone(),
            card: text(&capability.card),
        });
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

fn describe(width: u32, height: u32, fourcc: [u8; 4]) -> String {
    let fourcc = String::from_utf8_lossy(&fourcc).trim_end().to_owned();
    format!("{width}x{height} {fourcc}")
}

fn set_format(node: &Node, spec: &V4l2Spec) -> Result<Layout, DeviceError> {
    let asked = describe(spec.width_px, spec.lines_per_block, spec.format.fourcc());
    let refused = |error| DeviceError::refused("format", &spec.device, asked.clone(), error);
    let mut format = CaptureFormat::new();
    node.call(sys::G_FMT, &mut format).map_err(refused)?;
    let pix = format.pix();
    pix.width = spec.width_px;
    pix.height = spec.lines_per_block;
    pix.pixelformat = u32::from_le_bytes(spec.format.fourcc());
    pix.field = FIELD_NONE;
    pix.bytesperline = 0;
    pix.sizeimage = 0;
    node.call(sys::S_FMT, &mut format).map_err(refused)?;
    node.call(sys::G_FMT, &mut format).map_err(refused)?;
    let pix = *format.pix();
    let given = describe(pix.width, pix.height, pix.pixelformat.to_le_bytes());
    if given != asked || pix.field != FIELD_NONE {
        let given = match pix.field {
            FIELD_NONE => given,
            _ => format!("{given}, interlaced,"),
        };
        return Err(DeviceError::Other {
            key: "format".to_owned(),
            device: spec.device.clone(),
            asked,
            given,
            hint: "set width_px, lines_per_block and format to what the camera can do, `v4l2-ctl --list-formats-ext` shows it".to_owned(),
        });
    }
    let line_bytes = spec.format.line_bytes(spec.width_px as usize);
    let stride_bytes = (pix.bytesperline as usize).max(line_bytes);
    let least = match spec.format {
        // Its luma lies in front.
        PixelFormat::Nv12 => stride_bytes * spec.lines_per_block as usize,
        _ => line_bytes * spec.lines_per_block as usize,
    };
    if (pix.sizeimage as usize) < least {
        return Err(DeviceError::Other {
            key: "format".to_owned(),
            device: spec.device.clone(),
            asked: format!("at least {least} bytes for {asked}"),
            given: format!("buffers of {} bytes", pix.sizeimage),
            hint: "choose another format; this driver contradicts itself".to_owned(),
        });
    }
    Ok(Layout {
        stride_bytes,
        line_bytes,
        lines: spec.lines_per_block as usize,
    })
}

/// Asks for blocks so often that lines come at `line_rate_hz`, and checks what was given.
pub(super) fn set_line_rate(
    node: &Node,
    spec: &V4l2Spec,
    line_rate_hz: f64,
) -> Result<(), DeviceError> {
    const TOLERANCE: f64 = 0.01;
    let asked = format!("{line_rate_hz} lines/s");
    let refused = |error| {
        DeviceError::refused(
            "controls.AcquisitionLineRate",
            &spec.device,
            asked.clone(),
            error,
        )
    };
    let mut parameters = CaptureParameters::new();
    node.call(sys::G_PARM, &mut parameters).map_err(refused)?;
    // Tenths of a microsecond hold any block's time within a millionth.
    const UNITS_PER_S: f64 = 1e7;
    let block_s = f64::from(spec.lines_per_block) / line_rate_hz;
    parameters.capture().timeperframe = v4l2_fract {
        numerator: (block_s * UNITS_PER_S).round() as u32,
        denominator: UNITS_PER_S as u32,
    };
    node.call(sys::S_PARM, &mut parameters).map_err(refused)?;
    node.call(sys::G_PARM, &mut parameters).map_err(refused)?;
    let capture = *parameters.capture();
    let given_s = f64::from(capture.timeperframe.numerator)
        / f64::from(capture.timeperframe.denominator.max(1));
    let settable = capture.capability & V4L2_CAP_TIMEPERFRAME != 0;
    if !settable || (given_s / block_s - 1.0).abs() > TOLERANCE {
        let given = f64::from(spec.lines_per_block) / given_s.max(1e-9);
        return Err(DeviceError::Other {
            key: "controls.AcquisitionLineRate".to_owned(),
            device: spec.device.clone(),
            asked,
            given: format!("{given:.1} lines/s"),
            hint: "set it to this, or leave it out where the camera is triggered".to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_needs_no_padding() {
        let layout = Layout {
            stride_bytes: 16,
            line_bytes: 10,
            lines: 3,
        };
        let lines = [0, 9, 10, 25, 26, 41, 42, 48, 1000].map(|bytes| layout.whole_lines(bytes));
        assert_eq!(lines, [0, 0, 1, 1, 2, 2, 3, 3, 3]);
    }
}
