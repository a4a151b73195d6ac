//! Cameras of the guest: `vivid`, which has faults on demand, and `v4l2loopback`, which is fed known web.

use crate::pins::{DEFECT, GOOD};
use crate::process::{monotonic_s, tool, wait_for};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use v4l::control::{Control, Value};
use v4l::video::Output;
use v4l::{Device, Format, FourCC};

/// Where the driver's camera must stand after a module is loaded.
const LIMIT: Duration = Duration::from_secs(10);

/// The virtual video driver with an HDMI input, which takes any size of frame at 60 Hz.
pub struct Vivid {
    pub node: PathBuf,
}

impl Vivid {
    pub fn new() -> Self {
        tool("modprobe vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0x3 vid_cap_nr=0");
        let node = PathBuf::from("/dev/video0");
        wait_for("vivid's camera", LIMIT, || node.exists().then_some(()));
        Self { node }
    }

    /// Sets a control by the driver's name for it; buttons are pressed.
    pub fn set(&self, name: &str, value: i64) {
        let device = Device::with_path(&self.node).unwrap();
        let controls = device.query_controls().unwrap();
        let found = controls
            .iter()
            .find(|control| control.name == name)
            .unwrap_or_else(|| panic!("vivid has no control '{name}'"));
        let control = Control {
            id: found.id,
            value: Value::Integer(value),
        };
        device
            .set_control(control)
            .unwrap_or_else(|error| panic!("'{name}' = {value}: {error}"));
    }

    /// Takes the camera from the machine, as a pulled plug does.
    pub fn unplug(&self) {
        fs::write("/sys/bus/platform/drivers/vivid/unbind", "vivid.0").unwrap();
    }

    pub fn plug(&self) {
        fs::write("/sys/bus/platform/drivers/vivid/bind", "vivid.0").unwrap();
        wait_for("vivid's camera", LIMIT, || self.node.exists().then_some(()));
    }
}

impl Drop for Vivid {
    fn drop(&mut self) {
        tool("rmmod vivid || true");
    }
}

/// A camera whose every line is known: good web, and at times a frame that is a defect from edge to edge.
pub struct Loopback {
    pub node: PathBuf,
    stop: Arc<AtomicBool>,
    defects: Arc<Mutex<Vec<f64>>>,
    shown: Arc<Mutex<Shown>>,
    writer: Option<JoinHandle<()>>,
}

/// What is in front of a [`Loopback`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Web,
    /// The covered lens.
    Cover,
    /// An even white under a lamp that is brightest in the middle.
    White,
}

impl Shown {
    /// Grey levels of calibration, with a dither of one level along the web.
    fn level(self, width_px: u32, line: u64, column: u32) -> u8 {
        let dither = ((line * 7 + u64::from(column) * 3) % 5 < 2) as u8;
        let from_middle = (f64::from(column) - f64::from(width_px) / 2.0) / 9.0;
        match self {
            Shown::Web => GOOD,
            Shown::Cover => 3 + dither,
            Shown::White => (180.0 - from_middle.powi(2)) as u8 + dither,
        }
    }
}

/// Size and pace of the frames that a [`Loopback`] is fed.
#[derive(Debug, Clone, Copy)]
pub struct Frames {
    pub width_px: u32,
    pub lines: u32,
    pub period: Duration,
    /// One of so many frames, the middle one, is a defect.
    pub defect_every: u64,
}

impl Loopback {
    /// Loads the driver and begins to write.
    pub fn new(frames: Frames) -> Self {
        tool("modprobe v4l2loopback video_nr=10 card_label=line exclusive_caps=0 max_buffers=8");
        let node = PathBuf::from("/dev/video10");
        wait_for("the loopback's node", LIMIT, || node.exists().then_some(()));
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let defects = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::new(Mutex::new(Shown::Web));
        let writer = std::thread::spawn({
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            let (defects, shown) = (Arc::clone(&defects), Arc::clone(&shown));
            let mut device = open_output(&node, frames);
            move || {
                let mut frame = vec![GOOD; (frames.width_px * frames.lines) as usize];
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    let number = written.load(Ordering::Relaxed);
                    let shown = *shown.lock().unwrap();
                    let is_defect = shown == Shown::Web
                        && number % frames.defect_every == frames.defect_every / 2;
                    frame.fill(if is_defect { DEFECT } else { GOOD });
                    if shown != Shown::Web {
                        for (place, level) in frame.iter_mut().enumerate() {
                            let column = place as u32 % frames.width_px;
                            let line = number * u64::from(frames.lines)
                                + place as u64 / u64::from(frames.width_px);
                            *level = shown.level(frames.width_px, line, column);
                        }
                    }
                    if is_defect {
                        defects.lock().unwrap().push(monotonic_s());
                    }
                    device.write_all(&frame).unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                    next += frames.period;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            }
        });
        wait_for("the first frame", LIMIT, || {
            (written.load(Ordering::Relaxed) > 0).then_some(())
        });
        Self {
            node,
            stop,
            defects,
            shown,
            writer: Some(writer),
        }
    }

    /// From the next frame on; what the driver holds already is as before.
    pub fn show(&self, shown: Shown) {
        *self.shown.lock().unwrap() = shown;
    }

    /// When each defect so far was given to the driver, by CLOCK_MONOTONIC in seconds.
    pub fn defects(&self) -> Vec<f64> {
        self.defects.lock().unwrap().clone()
    }
}

fn open_output(node: &Path, frames: Frames) -> Device {
    let device = Device::with_path(node).unwrap();
    let wanted = Format::new(frames.width_px, frames.lines, FourCC::new(b"GREY"));
    let got = Output::set_format(&device, &wanted).unwrap();
    assert_eq!(
        (got.width, got.height, got.fourcc),
        (wanted.width, wanted.height, wanted.fourcc)
    );
    device
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        tool("rmmod v4l2loopback || true");
    }
}
