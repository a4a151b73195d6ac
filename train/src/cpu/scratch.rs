//! Memory that is used again and again: pictures of a node that last for one product, gradients that
//! last until they are handed on.

use blemish::engine::kernels::float::{BLOCK, Planes, Sides};
use std::sync::{Mutex, PoisonError};

/// Planes of one picture and what making them takes.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The picture that a convolution reads.
    pub input: Vec<f32>,
    /// The gradient by a convolution's output.
    pub by_output: Vec<f32>,
    pub parts: Parts,
}

/// What a picture is made from.
#[derive(Debug, Default)]
pub struct Parts {
    pub below: Vec<f32>,
    pub line: Vec<f32>,
    pub planar: Vec<f32>,
}

/// A stack of [`Scratch`]: as many as threads work at once.
#[derive(Debug, Default)]
pub struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    /// Scratch for one thread, until the value is dropped.
    pub fn lend(&self) -> Lent<'_> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Lent {
            scratch: free.pop().unwrap_or_default(),
            owner: self,
        }
    }
}

/// Lent [`Scratch`].
#[derive(Debug)]
pub struct Lent<'a> {
    pub scratch: Scratch,
    owner: &'a Scratches,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut free = self.owner.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(std::mem::take(&mut self.scratch));
    }
}

/// `values` as one picture of the shape `like`: the ring is zero, the pixels are whatever they were.
pub fn shaped<'a>(values: &'a mut Vec<f32>, like: &Planes) -> &'a mut [f32] {
    let length = like.picture_stride();
    if values.len() < length {
        values.resize(length, 0.0);
    }
    let picture = &mut values[..length];
    clear_ring(Sides::of(like), picture);
    picture
}

fn clear_ring(sides: Sides, values: &mut [f32]) {
    let stride = sides.line_stride();
    for plane in values.chunks_exact_mut(sides.plane()) {
        plane[..stride].fill(0.0);
        plane[(sides.height + 1) * stride..].fill(0.0);
        for line in plane.chunks_exact_mut(stride) {
            line[..BLOCK].fill(0.0);
            line[stride - BLOCK..].fill(0.0);
        }
    }
}

/// Gradient buffers that wait to be used again, and scratch for weight gradients.
#[derive(Debug, Default)]
pub struct Pool {
    free: Vec<Planes>,
    pub sums: Vec<f32>,
}

impl Pool {
    /// Planes of the shape `like` with a ring of zeros; the pixels are whatever they were.
    pub fn take(&mut self, like: &Planes) -> Planes {
        let length = like.picture_stride() * like.pictures;
        let same = |free: &Planes| {
            Planes {
                values: Vec::new(),
                ..*free
            } == shape_of(like)
        };
        let fits = |free: &Planes| free.values.capacity() >= length;
        let exact = self.free.iter().position(same);
        let found = exact.or_else(|| {
            let roomy = (0..self.free.len()).filter(|&at| fits(&self.free[at]));
            roomy.min_by_key(|&at| self.free[at].values.capacity())
        });
        let Some(at) = found else {
            return Planes::new(like.pictures, like.blocks, like.height, like.width);
        };
        let mut planes = self.free.swap_remove(at);
        if exact.is_none() {
            planes = Planes {
                values: planes.values,
                ..*like
            };
            planes.values.resize(length, 0.0);
            clear_ring(Sides::of(like), &mut planes.values);
        }
        planes
    }

    /// Takes planes back.
    pub fn give(&mut self, planes: Planes) {
        self.free.push(planes);
    }
}

/// The shape of `planes` without its values.
pub fn shape_of(planes: &Planes) -> Planes {
    Planes {
        values: Vec::new(),
        ..*planes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_memory_comes_back_with_a_ring_of_zeros_in_any_shape() {
        let mut pool = Pool::default();
        let mut large = pool.take(&Planes::new(2, 2, 8, 16));
        large.values.fill(7.0);
        let room = large.values.capacity();
        pool.give(large);
        let small = Planes::new(1, 1, 4, 8);
        let taken = pool.take(&small);
        assert_eq!(taken.values.capacity(), room, "the same memory");
        let sides = Sides::of(&taken);
        let inside: Vec<usize> = (0..4).flat_map(|line| sides.line(line)).collect();
        for (at, &value) in taken.values.iter().enumerate() {
            assert_eq!(value == 0.0, !inside.contains(&at), "at {at}");
        }
        assert!(pool.free.is_empty());
    }
}
