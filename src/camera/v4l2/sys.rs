//! The kernel's calls, each once.

use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use v4l::device::Handle;
use v4l::v4l_sys::{
    v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE as VIDEO_CAPTURE,
    v4l2_memory_V4L2_MEMORY_MMAP as MEMORY_MMAP,
};
use v4l::v4l_sys::{
    v4l2_buffer, v4l2_capability, v4l2_captureparm, v4l2_control, v4l2_format, v4l2_pix_format,
    v4l2_query_ext_ctrl, v4l2_querymenu, v4l2_requestbuffers, v4l2_streamparm,
};
use v4l::v4l2::vidioc;

/// Structures of the kernel's interface that may be all zeros.
///
/// # Safety
/// Only for plain data for which every bit pattern is a value.
pub(super) unsafe trait Plain: Copy {
    fn zeroed() -> Self {
        // SAFETY: the implementor promises that zeros are a value.
        unsafe { std::mem::zeroed() }
    }
}

macro_rules! plain {
    ($($kind:ty),* $(,)?) => {
        // SAFETY: C structures of integers, arrays, unions of such, and pointers that may be null.
        $(unsafe impl Plain for $kind {})*
    };
}

plain!(
    v4l2_buffer,
    v4l2_format,
    v4l2_requestbuffers,
    v4l2_streamparm,
    v4l2_capability,
    v4l2_control,
    v4l2_query_ext_ctrl,
    v4l2_querymenu,
    u32,
);

/// A call and the structure that it takes.
pub(super) struct Request<T> {
    number: vidioc::_IOC_TYPE,
    with: PhantomData<fn(T)>,
}

/// Whoever may name a request may give it any content: those whose structures have pointers or choose
/// memory are for this module alone.
macro_rules! requests {
    ($($visibility:vis $name:ident = $number:ident, $with:ty;)*) => {
        $($visibility const $name: Request<$with> = {
            // The kernel's numbers carry their structure's size.
            let bytes = (vidioc::$number >> 16 & 0x3fff) as usize;
            assert!(bytes == size_of::<$with>());
            Request { number: vidioc::$number, with: PhantomData }
        };)*
    };
}

requests! {
    pub(super) QUERYCAP = VIDIOC_QUERYCAP, v4l2_capability;
    pub(super) S_INPUT = VIDIOC_S_INPUT, u32;
    pub(super) G_FMT = VIDIOC_G_FMT, CaptureFormat;
    pub(super) S_FMT = VIDIOC_S_FMT, CaptureFormat;
    pub(super) G_PARM = VIDIOC_G_PARM, CaptureParameters;
    pub(super) S_PARM = VIDIOC_S_PARM, CaptureParameters;
    pub(super) QUERY_EXT_CTRL = VIDIOC_QUERY_EXT_CTRL, v4l2_query_ext_ctrl;
    pub(super) QUERYMENU = VIDIOC_QUERYMENU, v4l2_querymenu;
    pub(super) G_CTRL = VIDIOC_G_CTRL, v4l2_control;
    pub(super) S_CTRL = VIDIOC_S_CTRL, v4l2_control;
    REQBUFS = VIDIOC_REQBUFS, v4l2_requestbuffers;
    QUERYBUF = VIDIOC_QUERYBUF, v4l2_buffer;
    QBUF = VIDIOC_QBUF, v4l2_buffer;
    DQBUF = VIDIOC_DQBUF, v4l2_buffer;
    STREAMON = VIDIOC_STREAMON, u32;
    STREAMOFF = VIDIOC_STREAMOFF, u32;
}

/// The format of captured pictures, of all kinds that the kernel's structure can hold.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct CaptureFormat(v4l2_format);

// SAFETY: as for what it wraps.
unsafe impl Plain for CaptureFormat {}

impl CaptureFormat {
    pub fn new() -> Self {
        Self(v4l2_format {
            type_: VIDEO_CAPTURE,
            ..Plain::zeroed()
        })
    }

    pub fn pix(&mut self) -> &mut v4l2_pix_format {
        // SAFETY: numbers alone, which any bytes are, and the union's bytes were all written.
        unsafe { &mut self.0.fmt.pix }
    }
}

/// How pictures are captured, of both kinds that the kernel's structure can hold.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct CaptureParameters(v4l2_streamparm);

// SAFETY: as for what it wraps.
unsafe impl Plain for CaptureParameters {}

impl CaptureParameters {
    pub fn new() -> Self {
        Self(v4l2_streamparm {
            type_: VIDEO_CAPTURE,
            ..Plain::zeroed()
        })
    }

    pub fn capture(&mut self) -> &mut v4l2_captureparm {
        // SAFETY: numbers alone, which any bytes are, and the union's bytes were all written.
        unsafe { &mut self.0.parm.capture }
    }
}

/// The kernel's calls on an open device, where tests put a driver of their own.
pub(super) trait Kernel: Send + Sync {
    /// # Safety
    /// `with` is the structure whose size `request` carries; it is writable during the call.
    unsafe fn ioctl(&self, request: vidioc::_IOC_TYPE, with: *mut c_void) -> io::Result<()>;

    /// Waits until a buffer is filled.
    fn poll(&self, patience: Duration) -> io::Result<Ready>;

    /// Maps `bytes` of the buffer that QUERYBUF has given this offset, to be read.
    fn map(&self, bytes: usize, offset: u32) -> io::Result<*mut u8>;
}

/// An open device. The descriptor closes with the last of its clones.
#[derive(Clone)]
pub(super) struct Node {
    kernel: Arc<dyn Kernel>,
}

/// What came of waiting for a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// A buffer may be taken.
    Buffer,
    /// Time is over, or a signal came.
    Nothing,
    /// The stream has failed (POLLERR) or the device has gone (POLLHUP).
    Failed,
}

impl Node {
    pub fn open(path: &Path) -> io::Result<Self> {
        let device = v4l::Device::with_path(path)?;
        Ok(Self::over(Arc::new(Opened(device.handle()))))
    }

    pub fn over(kernel: Arc<dyn Kernel>) -> Self {
        Self { kernel }
    }

    pub fn call<T: Plain>(&self, request: Request<T>, with: &mut T) -> io::Result<()> {
        let with: *mut T = with;
        loop {
            // SAFETY: `requests` pairs the number with its structure, which is ours during the call.
            match unsafe { self.kernel.ioctl(request.number, with.cast()) } {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    pub fn wait(&self, patience: Duration) -> io::Result<Ready> {
        self.kernel.poll(patience)
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Node")
    }
}

struct Opened(Arc<Handle>);

impl Kernel for Opened {
    unsafe fn ioctl(&self, request: vidioc::_IOC_TYPE, with: *mut c_void) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe { v4l::v4l2::ioctl(self.0.fd(), request, with) }
    }

    fn poll(&self, patience: Duration) -> io::Result<Ready> {
        let mut watched = libc::pollfd {
            fd: self.0.fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let patience_ms = libc::c_int::try_from(patience.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one valid `pollfd`, which lives during the call.
        match unsafe { libc::poll(&raw mut watched, 1, patience_ms) } {
            0 => Ok(Ready::Nothing),
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(Ready::Nothing),
                error => Err(error),
            },
            _ if watched.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 => {
                Ok(Ready::Failed)
            }
            _ => Ok(Ready::Buffer),
        }
    }

    fn map(&self, bytes: usize, offset: u32) -> io::Result<*mut u8> {
        // SAFETY: the kernel chooses a free address.
        let start = unsafe {
            v4l::v4l2::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_SHARED,
                self.0.fd(),
                offset.into(),
            )?
        };
        Ok(start.cast())
    }
}

/// A buffer that was taken from the driver; it must be [given back](Queue::give_back).
#[derive(Debug)]
pub(super) struct Taken {
    index: u32,
    pub bytes_used: usize,
    pub sequence: u32,
    pub flags: u32,
    /// By the clock that the flags name.
    pub stamp_ns: u64,
}

/// A stream of mapped buffers. The convenience stream of `v4l` 0.14 is of no use here: after one
/// time-out its every call fails (its `next` queues a buffer that the kernel still owns).
#[derive(Debug)]
pub(super) struct Queue {
    node: Node,
    maps: Vec<Map>,
}

#[derive(Debug)]
struct Map {
    start: *mut u8,
    bytes: usize,
    /// Not the driver's now, which alone writes to it.
    is_taken: bool,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only read through `&Queue`.
unsafe impl Send for Map {}

impl Queue {
    /// Maps `buffers` buffers, gives them to the driver and starts the stream.
    pub fn start(node: &Node, buffers: u32) -> io::Result<Self> {
        let mut request = v4l2_requestbuffers {
            count: buffers,
            type_: VIDEO_CAPTURE,
            memory: MEMORY_MMAP,
            ..Plain::zeroed()
        };
        node.call(REQBUFS, &mut request)?;
        let mut queue = Self {
            node: node.clone(),
            maps: Vec::with_capacity(request.count as usize),
        };
        for index in 0..request.count {
            let mut buffer = descriptor(index);
            node.call(QUERYBUF, &mut buffer)?;
            queue.map(&buffer)?;
            node.call(QBUF, &mut descriptor(index))?;
        }
        node.call(STREAMON, &mut { VIDEO_CAPTURE })?;
        Ok(queue)
    }

    fn map(&mut self, buffer: &v4l2_buffer) -> io::Result<()> {
        let bytes = buffer.length as usize;
        // SAFETY: QUERYBUF for mapped memory sets `m.offset`, and else it is the zero of `descriptor`.
        let offset = unsafe { buffer.m.offset };
        let start = self.node.kernel.map(bytes, offset)?;
        self.maps.push(Map {
            start,
            bytes,
            is_taken: false,
        });
        Ok(())
    }

    /// The next filled buffer; `None` where the driver has none after all.
    pub fn take(&mut self) -> io::Result<Option<Taken>> {
        let mut buffer = descriptor(0);
        match self.node.call(DQBUF, &mut buffer) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        if let Some(map) = self.maps.get_mut(buffer.index as usize) {
            map.is_taken = true;
        }
        Ok(Some(Taken {
            index: buffer.index,
            bytes_used: buffer.bytesused as usize,
            sequence: buffer.sequence,
            flags: buffer.flags,
            stamp_ns: u64::try_from(buffer.timestamp.tv_sec)
                .unwrap_or(0)
                .saturating_mul(1_000_000_000)
                .saturating_add(u64::try_from(buffer.timestamp.tv_usec).unwrap_or(0) * 1000),
        }))
    }

    /// The bytes that the driver has filled; none of a buffer that is not taken from this queue.
    pub fn bytes(&self, taken: &Taken) -> &[u8] {
        let map = self.maps.get(taken.index as usize);
        let Some(map) = map.filter(|map| map.is_taken) else {
            return &[];
        };
        let used = map.bytes.min(taken.bytes_used);
        // SAFETY: the map is `map.bytes` long and lives as long as `self`; the driver does not write
        // to a buffer between DQBUF and QBUF, and `give_back` waits until nobody reads it.
        unsafe { std::slice::from_raw_parts(map.start, used) }
    }

    /// Lets the driver fill it again.
    pub fn give_back(&mut self, taken: Taken) -> io::Result<()> {
        if let Some(map) = self.maps.get_mut(taken.index as usize) {
            map.is_taken = false;
        }
        let again = || self.node.call(QBUF, &mut descriptor(taken.index));
        // A driver may refuse once without being broken.
        again().or_else(|_| again())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // A device that has gone refuses all of this, and needs none of it.
        let _ = self.node.call(STREAMOFF, &mut { VIDEO_CAPTURE });
        for map in self.maps.drain(..) {
            // SAFETY: mapped by `map`, and no slice of it outlives `self`.
            let _ = unsafe { v4l::v4l2::munmap(map.start.cast(), map.bytes) };
        }
        let mut request = v4l2_requestbuffers {
            type_: VIDEO_CAPTURE,
            memory: MEMORY_MMAP,
            ..Plain::zeroed()
        };
        let _ = self.node.call(REQBUFS, &mut request);
    }
}

fn descriptor(index: u32) -> v4l2_buffer {
    v4l2_buffer {
        index,
        type_: VIDEO_CAPTURE,
        memory: MEMORY_MMAP,
        ..Plain::zeroed()
    }
}
