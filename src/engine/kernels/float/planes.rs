//! Memory layout of the engine: `picture, channel block, line, column, 8 channels`, each plane with a
//! ring of zeros around it, so that a 3x3 convolution needs no code for edges.

use super::vector::BLOCK;

/// Pictures of one size in blocks of eight channels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Planes {
    pub pictures: usize,
    pub blocks: usize,
    pub height: usize,
    pub width: usize,
    pub values: Vec<f32>,
}

impl Planes {
    /// All zeros.
    pub fn new(pictures: usize, blocks: usize, height: usize, width: usize) -> Self {
        let mut planes = Planes {
            pictures,
            blocks,
            height,
            width,
            values: Vec::new(),
        };
        planes.values = vec![0.0; planes.picture_stride() * pictures];
        planes
    }

    /// Floats from one line to the next.
    pub fn line_stride(&self) -> usize {
        (self.width + 2) * BLOCK
    }

    /// Floats from one block of channels to the next.
    pub fn block_stride(&self) -> usize {
        (self.height + 2) * self.line_stride()
    }

    /// Floats from one picture to the next.
    pub fn picture_stride(&self) -> usize {
        self.blocks * self.block_stride()
    }
}

/// Sides of a plane without the ring: how safe code walks one block of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    pub height: usize,
    pub width: usize,
}

impl Sides {
    /// Sides of the planes in `planes`.
    pub fn of(planes: &Planes) -> Self {
        Self {
            height: planes.height,
            width: planes.width,
        }
    }

    /// Floats from one line to the next.
    pub fn line_stride(self) -> usize {
        (self.width + 2) * BLOCK
    }

    /// Floats in one plane with its ring.
    pub fn plane(self) -> usize {
        (self.height + 2) * self.line_stride()
    }

    /// Writes zeros into the ring of every plane.
    pub fn clear_ring(self, planes: &mut [f32]) {
        let stride = self.line_stride();
        for plane in planes.chunks_exact_mut(self.plane()) {
            plane[..stride].fill(0.0);
            plane[(self.height + 1) * stride..].fill(0.0);
            for line in plane[stride..(self.height + 1) * stride].chunks_exact_mut(stride) {
                line[..BLOCK].fill(0.0);
                line[stride - BLOCK..].fill(0.0);
            }
        }
    }

    /// Where the pixels of `line` lie within a plane, the ring left out.
    pub fn line(self, line: usize) -> std::ops::Range<usize> {
        let first = (line + 1) * self.line_stride() + BLOCK;
        first..first + self.width * BLOCK
    }
}

/// Copies `channels` channels of one picture from `C x H x W` into blocks, from channel
/// `first_channel` on.
pub fn from_planar(
    picture: &mut [f32],
    sides: Sides,
    first_channel: usize,
    planar: &[f32],
    channels: usize,
) {
    let area = sides.height * sides.width;
    for channel in 0..channels {
        let to = first_channel + channel;
        let plane = &mut picture[to / BLOCK * sides.plane()..][..sides.plane()];
        for line in 0..sides.height {
            let from = &planar[channel * area + line * sides.width..][..sides.width];
            let pixels = plane[sides.line(line)].chunks_exact_mut(BLOCK);
            for (pixel, &value) in pixels.zip(from) {
                pixel[to % BLOCK] = value;
            }
        }
    }
}

/// Copies `channels` channels of one picture out of blocks into `C x H x W`.
pub fn to_planar(
    picture: &[f32],
    sides: Sides,
    first_channel: usize,
    planar: &mut [f32],
    channels: usize,
) {
    let area = sides.height * sides.width;
    for channel in 0..channels {
        let from = first_channel + channel;
        let plane = &picture[from / BLOCK * sides.plane()..][..sides.plane()];
        for line in 0..sides.height {
            let to = &mut planar[channel * area + line * sides.width..][..sides.width];
            let pixels = plane[sides.line(line)].chunks_exact(BLOCK);
            for (value, pixel) in to.iter_mut().zip(pixels) {
                *value = pixel[from % BLOCK];
            }
        }
    }
}
