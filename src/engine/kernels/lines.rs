//! Lines of a value to write to, so that threads can compute one value together.

use super::sides::{BLOCK, Sides};
use std::marker::PhantomData;
use std::ops::Range;

/// Some lines of every plane of a value, and what of the ring touches them.
#[derive(Debug)]
pub struct Lines<'a, T> {
    /// Of the first plane's first line, the ring left out.
    first: *mut T,
    planes: usize,
    plane_stride: usize,
    line_stride: usize,
    /// Values of a line.
    length: usize,
    is_ringed: bool,
    sides: Sides,
    lines: Range<usize>,
    values: PhantomData<&'a mut [T]>,
}

impl<'a, T: Copy> Lines<'a, T> {
    /// All lines of ringed planes of eight channels.
    ///
    /// # Panics
    /// If `values` are no whole planes.
    pub fn ringed(sides: Sides, values: &'a mut [T]) -> Self {
        // SAFETY: all lines, borrowed as long as the result lives.
        unsafe { Self::ringed_of(sides, values.as_mut_ptr(), values.len(), 0..sides.height) }
    }

    /// All lines of bare planes of one channel.
    ///
    /// # Panics
    /// If `values` are no whole planes.
    pub fn bare(sides: Sides, values: &'a mut [T]) -> Self {
        // SAFETY: all lines, borrowed as long as the result lives.
        unsafe { Self::bare_of(sides, values.as_mut_ptr(), values.len(), 0..sides.height) }
    }

    /// As [`Lines::ringed`], of the `length` values at `values` the named lines alone; the ring's first
    /// line belongs to the first and its last line to the last.
    ///
    /// # Safety
    /// The values are there as long as the result lives, and nobody else reads or writes these lines.
    pub unsafe fn ringed_of(
        sides: Sides,
        values: *mut T,
        length: usize,
        lines: Range<usize>,
    ) -> Self {
        let plane = sides
            .ringed(1)
            .filter(|&plane| length.is_multiple_of(plane));
        assert!(plane.is_some() && lines.end <= sides.height);
        Self {
            first: values.wrapping_add(sides.line(0).start),
            planes: length / sides.plane(),
            plane_stride: sides.plane(),
            line_stride: sides.line_stride(),
            length: sides.width * BLOCK,
            is_ringed: true,
            sides,
            lines,
            values: PhantomData,
        }
    }

    /// As [`Lines::bare`], of the `length` values at `values` the named lines alone.
    ///
    /// # Safety
    /// As [`Lines::ringed_of`].
    pub unsafe fn bare_of(
        sides: Sides,
        values: *mut T,
        length: usize,
        lines: Range<usize>,
    ) -> Self {
        let plane = sides.height.checked_mul(sides.width);
        let plane = plane.filter(|&plane| plane > 0 && length.is_multiple_of(plane));
        assert!(plane.is_some() && lines.end <= sides.height);
        Self {
            first: values,
            planes: length / sides.area(),
            plane_stride: sides.area(),
            line_stride: sides.width,
            length: sides.width,
            is_ringed: false,
            sides,
            lines,
            values: PhantomData,
        }
    }

    /// Sides of the whole value.
    pub fn sides(&self) -> Sides {
        self.sides
    }

    /// Planes of the value.
    pub fn planes(&self) -> usize {
        self.planes
    }

    /// The lines that may be written.
    pub fn range(&self) -> Range<usize> {
        self.lines.clone()
    }

    /// A line of a plane, the ring left out.
    ///
    /// # Panics
    /// If the line is not among these.
    #[inline]
    pub fn line(&mut self, plane: usize, line: usize) -> &mut [T] {
        let first = self.first_of(plane, line);
        // SAFETY: `first_of` has looked that the line is ours, and it has `length` values.
        unsafe { std::slice::from_raw_parts_mut(first, self.length) }
    }

    /// Where a line begins; the next planes' same lines follow at [`Lines::plane_stride`].
    ///
    /// # Panics
    /// If the line is not among these.
    #[inline]
    pub fn first_of(&mut self, plane: usize, line: usize) -> *mut T {
        assert!(plane < self.planes && self.lines.contains(&line));
        let at = plane * self.plane_stride + line * self.line_stride;
        self.first.wrapping_add(at)
    }

    /// Values from a plane to the next.
    pub fn plane_stride(&self) -> usize {
        self.plane_stride
    }

    /// Writes `value` into what of the ring touches these lines, where there is a ring.
    pub fn clear_ring(&mut self, value: T) {
        if !self.is_ringed || self.lines.is_empty() {
            return;
        }
        for plane in 0..self.planes {
            let corner = self.first.wrapping_add(plane * self.plane_stride);
            let corner = corner.wrapping_sub(self.line_stride + BLOCK);
            let fill = |line: usize, column: usize, count: usize| {
                let from = corner.wrapping_add(line * self.line_stride + column * BLOCK);
                // SAFETY: the columns lie within a ringed plane's line that is ours, as the
                // constructors' callers promise.
                unsafe { std::slice::from_raw_parts_mut(from, count * BLOCK) }.fill(value);
            };
            let Sides { height, width } = self.sides;
            if self.lines.start == 0 {
                fill(0, 0, width + 2);
            }
            for line in self.lines.clone() {
                fill(line + 1, 0, 1);
                fill(line + 1, width + 1, 1);
            }
            if self.lines.end == height {
                fill(height + 1, 0, width + 2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_of_lines_cover_every_value_once(
            planes in 1usize..4, height in 1usize..12, width in 1usize..6, shares in 1usize..6,
        ) {
            let sides = Sides { height, width };
            let mut values = vec![0u8; planes * sides.plane()];
            let (first, length) = (values.as_mut_ptr(), values.len());
            for share in 0..shares {
                let lines = share * height / shares..(share + 1) * height / shares;
                // SAFETY: one after the other.
                let mut lines = unsafe { Lines::ringed_of(sides, first, length, lines) };
                lines.clear_ring(2);
                for line in lines.range() {
                    for plane in 0..planes {
                        lines.line(plane, line).iter_mut().for_each(|value| *value += 1);
                    }
                }
            }
            for (at, value) in values.iter().enumerate() {
                let (line, column) = (at % sides.plane() / sides.line_stride(), at % sides.line_stride() / BLOCK);
                let inside = (1..=height).contains(&line) && (1..=width).contains(&column);
                prop_assert_eq!(*value, if inside { 1 } else { 2 });
            }
        }
    }
    #[test]
    fn sides_that_no_memory_could_hold_are_refused() {
        // Multiplied out in 64 bits they are the planes that are there.
        let sides = |height: u64, width| Sides {
            height: height as usize,
            width,
        };
        let (ringed, bare) = (sides((1 << 61) + 1, 1), sides((1 << 63) + 1, 2));
        assert_eq!(ringed.ringed(1), None);
        std::panic::catch_unwind(|| Lines::ringed(ringed, &mut [0u8; 72]).planes()).unwrap_err();
        std::panic::catch_unwind(|| Lines::bare(bare, &mut [0u8; 2]).planes()).unwrap_err();
    }
}
