//! A driver whose calls fail where a test wants it, and what the camera makes of that.

use super::format::Layout;
use super::frames::Frames;
use super::sys::{Kernel, Node, Queue, Ready};
use super::{V4l2Camera, V4l2Spec, Zero};
use crate::camera::{BlockEvent, Camera, CameraError, PLACE_LOST_COUNTS};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_void;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use v4l::v4l_sys::{V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC, v4l2_buffer, v4l2_requestbuffers};
use v4l::v4l2::vidioc::{self, _IOC_TYPE};

const WIDTH_PX: u32 = 8;
const LINES: u32 = 4;
const BYTES: usize = (WIDTH_PX * LINES) as usize;
const COUNTS_PER_LINE: u32 = 2;

/// A stream of grey frames that come as fast as they are asked for.
struct Driver {
    zero: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buffers: u32,
    queued: VecDeque<u32>,
    streaming: bool,
    sequence: u32,
    stamp_us: u64,
    /// What the next calls of a request come to; without an entry they work.
    errors: BTreeMap<_IOC_TYPE, VecDeque<Option<i32>>>,
    polls: VecDeque<Ready>,
}

impl Driver {
    fn new(zero: Instant) -> Arc<Self> {
        Arc::new(Self {
            zero,
            state: Mutex::default(),
        })
    }

    /// Lets `passing` calls of the request work and the next `failing` ones fail.
    fn fail(&self, request: _IOC_TYPE, passing: usize, failing: usize, error: i32) {
        let outcomes =
            std::iter::repeat_n(None, passing).chain(std::iter::repeat_n(Some(error), failing));
        self.state
            .lock()
            .unwrap()
            .errors
            .insert(request, outcomes.collect());
    }

    fn is_idle(&self) -> bool {
        let state = self.state.lock().unwrap();
        !state.streaming && state.buffers == 0
    }
}

impl Kernel for Driver {
    unsafe fn ioctl(&self, request: _IOC_TYPE, with: *mut c_void) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let outcome = state
            .errors
            .get_mut(&request)
            .and_then(VecDeque::pop_front)
            .flatten();
        if let Some(error) = outcome {
            return Err(io::Error::from_raw_os_error(error));
        }
        match request {
            vidioc::VIDIOC_REQBUFS => {
                // SAFETY: the request's structure.
                state.buffers = unsafe { (*with.cast::<v4l2_requestbuffers>()).count };
                state.queued.clear();
            }
            vidioc::VIDIOC_QUERYBUF | vidioc::VIDIOC_QBUF | vidioc::VIDIOC_DQBUF => {
                // SAFETY: the requests' structure.
                let buffer = unsafe { &mut *with.cast::<v4l2_buffer>() };
                buffer.length = BYTES as u32;
                if request == vidioc::VIDIOC_QBUF {
                    state.queued.push_back(buffer.index);
                }
                if request == vidioc::VIDIOC_DQBUF {
                    let filled = state.queued.pop_front().filter(|_| state.streaming);
                    buffer.index = filled.ok_or(io::ErrorKind::WouldBlock)?;
                    let now_us = self.zero.elapsed().as_micros() as u64 + 1;
                    state.stamp_us = now_us.max(state.stamp_us + 1);
                    state.sequence += 1;
                    buffer.sequence = state.sequence;
                    buffer.bytesused = BYTES as u32;
                    buffer.flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
                    buffer.timestamp.tv_sec = (state.stamp_us / 1_000_000) as _;
                    buffer.timestamp.tv_usec = (state.stamp_us % 1_000_000) as _;
                }
            }
            vidioc::VIDIOC_STREAMON => state.streaming = true,
            vidioc::VIDIOC_STREAMOFF => state.streaming = false,
            _ => return Err(io::Error::from_raw_os_error(libc::ENOTTY)),
        }
        Ok(())
    }

    fn poll(&self, _: Duration) -> io::Result<Ready> {
        let mut state = self.state.lock().unwrap();
        Ok(state.polls.pop_front().unwrap_or(Ready::Buffer))
    }

    fn map(&self, bytes: usize, _: u32) -> io::Result<*mut u8> {
        // SAFETY: a new private mapping at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(start.cast())
    }
}

/// A camera over the driver, as it is after it was opened and set.
fn camera(driver: &Arc<Driver>) -> V4l2Camera {
    let spec: V4l2Spec = toml::from_str(&format!(
        "device = 'scripted'\nwidth_px = {WIDTH_PX}\nlines_per_block = {LINES}\nline_rate_hz = 1000.0\ncounts_per_line = {COUNTS_PER_LINE}"
    ))
    .unwrap();
    let mut camera = V4l2Camera {
        frames: Frames::new(LINES, spec.line_rate_hz),
        spec,
        zero: Zero {
            at: driver.zero,
            monotonic_ns: 0,
        },
        offset_counts: 0,
        opened: None,
        stream: None,
        started_before: false,
        told_other_clock: false,
        restarts: 0,
    };
    reopen(&mut camera, driver);
    camera
}

fn reopen(camera: &mut V4l2Camera, driver: &Arc<Driver>) {
    let layout = Layout {
        stride_bytes: WIDTH_PX as usize,
        line_bytes: WIDTH_PX as usize,
        lines: LINES as usize,
    };
    camera.opened = Some((Node::over(driver.clone()), layout));
}

/// The count of the first line of the next block that is there.
fn next_count(camera: &mut V4l2Camera) -> Result<i64, CameraError> {
    let mut block = camera.format().empty_block();
    assert_eq!(
        camera.next_block(Duration::ZERO, &mut block)?,
        BlockEvent::Filled
    );
    assert_eq!(block.fault, None);
    Ok(block.stamps[0].count.0)
}

#[test]
fn a_stream_that_cannot_begin_says_why_and_leaves_nothing_behind() {
    for (request, passing) in [
        (vidioc::VIDIOC_REQBUFS, 0),
        (vidioc::VIDIOC_QUERYBUF, 2),
        (vidioc::VIDIOC_QBUF, 0),
        (vidioc::VIDIOC_QBUF, 3),
        (vidioc::VIDIOC_STREAMON, 0),
    ] {
        let driver = Driver::new(Instant::now());
        let mut camera = camera(&driver);
        driver.fail(request, passing, 1, libc::ENOMEM);
        let error = camera.start().unwrap_err().to_string();
        assert!(
            error.starts_with("source.buffers: 'scripted' refuses"),
            "{error}"
        );
        assert!(error.contains("Cannot allocate memory"), "{error}");
        assert!(driver.is_idle(), "{error}");
        // The next try is whole.
        reopen(&mut camera, &driver);
        camera.start().unwrap();
        next_count(&mut camera).unwrap();
    }
}

#[test]
fn a_stream_that_fails_is_lost_with_its_place_and_can_be_begun_again() {
    for (request, failing, words) in [
        (
            vidioc::VIDIOC_DQBUF,
            1,
            "the stream of 'scripted': Input/output error",
        ),
        (
            vidioc::VIDIOC_QBUF,
            2,
            "'scripted' does not take a buffer back: Input/output error",
        ),
    ] {
        let driver = Driver::new(Instant::now());
        let mut camera = camera(&driver);
        camera.start().unwrap();
        let before = next_count(&mut camera).unwrap();
        driver.fail(request, 0, failing, libc::EIO);
        let error = next_count(&mut camera).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(driver.is_idle(), "{error}");
        let stopped = next_count(&mut camera).unwrap_err().to_string();
        assert!(stopped.contains("is not started"), "{stopped}");
        reopen(&mut camera, &driver);
        camera.start().unwrap();
        let after = next_count(&mut camera).unwrap();
        assert!(after - before >= PLACE_LOST_COUNTS, "{before} {after}");
    }
}

#[test]
fn one_refusal_to_take_a_buffer_and_a_signal_are_no_loss() {
    let driver = Driver::new(Instant::now());
    let mut camera = camera(&driver);
    camera.start().unwrap();
    let before = next_count(&mut camera).unwrap();
    driver.fail(vidioc::VIDIOC_QBUF, 0, 1, libc::EIO);
    let counts = i64::from(LINES * COUNTS_PER_LINE);
    assert_eq!(next_count(&mut camera).unwrap(), before + counts);
    driver.fail(vidioc::VIDIOC_DQBUF, 0, 3, libc::EINTR);
    assert_eq!(next_count(&mut camera).unwrap(), before + 2 * counts);
    let mut block = camera.format().empty_block();
    driver.state.lock().unwrap().polls.push_back(Ready::Nothing);
    let waited = camera.next_block(Duration::ZERO, &mut block).unwrap();
    assert_eq!(waited, BlockEvent::Waiting);
    assert_eq!(next_count(&mut camera).unwrap(), before + 3 * counts);
}

#[test]
fn a_device_that_reports_an_error_without_a_buffer_is_lost() {
    let driver = Driver::new(Instant::now());
    let mut camera = camera(&driver);
    camera.start().unwrap();
    next_count(&mut camera).unwrap();
    driver.fail(vidioc::VIDIOC_DQBUF, 0, 1, libc::EAGAIN);
    driver.state.lock().unwrap().polls.push_back(Ready::Failed);
    let error = next_count(&mut camera).unwrap_err().to_string();
    assert!(error.contains("no frame from 'scripted'"), "{error}");
}

/// Else a buffer could be read while its driver writes to it.
#[test]
fn only_a_buffer_that_is_taken_from_a_queue_is_read_from_it() {
    let node = Node::over(Driver::new(Instant::now()));
    let mut queue = Queue::start(&node, 2).unwrap();
    let taken = queue.take().unwrap().unwrap();
    assert_eq!(queue.bytes(&taken).len(), BYTES);
    let mut other = Queue::start(&Node::over(Driver::new(Instant::now())), 2).unwrap();
    assert!(other.bytes(&taken).is_empty());
    assert_eq!(other.take().unwrap().unwrap().sequence, 1);
    assert_eq!(other.bytes(&taken).len(), BYTES);
    other.give_back(taken).unwrap();
    let taken = queue.take().unwrap().unwrap();
    assert!(other.bytes(&taken).is_empty());
}
