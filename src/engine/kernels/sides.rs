//! Sides of a value, in the layout that all kernels share: `channel block, line, column, 8 channels`,
//! each plane with a ring around it.

use std::ops::Range;

/// Channels that lie next to each other in memory.
pub const BLOCK: usize = 8;

/// Sides of a value's planes without the ring. Strides and places are counted in values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    pub height: usize,
    pub width: usize,
}

impl Sides {
    /// Pixels of a plane without the ring.
    pub fn area(self) -> usize {
        self.height * self.width
    }

    /// From one line to the next.
    pub fn line_stride(self) -> usize {
        (self.width + 2) * BLOCK
    }

    /// One plane with its ring.
    pub fn plane(self) -> usize {
        (self.height + 2) * self.line_stride()
    }

    /// Values of so many planes with their rings; `None` where no memory could hold them.
    pub fn ringed(self, planes: usize) -> Option<usize> {
        let lines = self.height.checked_add(2)?;
        let line = self.width.checked_add(2)?.checked_mul(BLOCK)?;
        lines.checked_mul(line)?.checked_mul(planes)
    }

    /// Where the pixels of `line` lie within a plane, the ring left out.
    pub fn line(self, line: usize) -> Range<usize> {
        let first = (line + 1) * self.line_stride() + BLOCK;
        first..first + self.width * BLOCK
    }

    /// After 2x2 pooling.
    #[must_use]
    pub fn half(self) -> Self {
        Self {
            height: self.height / 2,
            width: self.width / 2,
        }
    }

    /// After upsampling.
    #[must_use]
    pub fn twice(self) -> Self {
        Self {
            height: 2 * self.height,
            width: 2 * self.width,
        }
    }
}
