//! Memory layout of the engine: `picture, channel block, line, column, 8 channels`, each plane with a
//! ring of zeros around it, so that a 3x3 convolution needs no code for edges.

use super::{BLOCK, Lines, Sides};

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

impl Sides {
    /// Sides of the planes in `planes`.
    pub fn of(planes: &Planes) -> Self {
        Self {
            height: planes.height,
            width: planes.width,
        }
    }
}

/// Copies `channels` channels of one picture from `C x H x W` into blocks, from channel
/// `first_channel` on.
pub fn from_planar(
    picture: &mut Lines<'_, f32>,
    first_channel: usize,
    planar: &[f32],
    channels: usize,
) {
    let sides = picture.sides();
    for channel in 0..channels {
        let to = first_channel + channel;
        for line in picture.range() {
            let from = channel * sides.area() + line * sides.width;
            let from = &planar[from..][..sides.width];
            let pixels = picture.line(to / BLOCK, line).chunks_exact_mut(BLOCK);
            for (pixel, &value) in pixels.zip(from) {
                pixel[to % BLOCK] = value;
            }
        }
    }
}

/// Copies channels of one picture out of blocks, from channel `first_channel` on, into `C x H x W`.
pub fn to_planar(picture: &[f32], first_channel: usize, planar: &mut Lines<'_, f32>) {
    let sides = planar.sides();
    for channel in 0..planar.planes() {
        let from = first_channel + channel;
        let plane = &picture[from / BLOCK * sides.plane()..][..sides.plane()];
        for line in planar.range() {
            let to = planar.line(channel, line).iter_mut();
            for (value, pixel) in to.zip(plane[sides.line(line)].chunks_exact(BLOCK)) {
                *value = pixel[from % BLOCK];
            }
        }
    }
}
