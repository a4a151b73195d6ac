//! Max pooling and bilinear upsampling, one picture at a time.

use super::{BLOCK, Lines, Sides};
use crate::draem::Upsampling;
use crate::multiversion;

multiversion! {
    /// 2x2 maximum of every block of `input` (sides `sides`) into lines of `output` (half the sides).
    pub fn max_pool(sides: Sides, input: &[f32], output: &mut Lines<'_, f32>) {
        for (plane, input) in input.chunks_exact(sides.plane()).enumerate() {
            for line in output.range() {
                let above = input[sides.line(2 * line)].chunks_exact(2 * BLOCK);
                let below = input[sides.line(2 * line + 1)].chunks_exact(2 * BLOCK);
                let to = output.line(plane, line).chunks_exact_mut(BLOCK);
                for ((to, above), below) in to.zip(above).zip(below) {
                    for lane in 0..BLOCK {
                        let (a, b) = (above[lane], above[BLOCK + lane]);
                        let (c, d) = (below[lane], below[BLOCK + lane]);
                        let ab = if b > a { b } else { a };
                        let cd = if d > c { d } else { c };
                        to[lane] = if cd > ab { cd } else { ab };
                    }
                }
            }
        }
    }
}

/// The two source pixels of every output pixel along one axis and the share of the second.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taps {
    pub low: Vec<u32>,
    pub high: Vec<u32>,
    pub share: Vec<f32>,
}

impl Taps {
    /// Taps that double `length` pixels (`torch.nn.functional.interpolate`, mode bilinear).
    pub fn new(length: usize, upsampling: Upsampling) -> Self {
        let mut taps = Taps::default();
        for to in 0..2 * length {
            let from = match upsampling {
                Upsampling::AlignCorners => {
                    to as f64 * (length as f64 - 1.0) / (2.0 * length as f64 - 1.0)
                }
                Upsampling::HalfPixel => ((to as f64 + 0.5) / 2.0 - 0.5).max(0.0),
            };
            let low = (from.floor() as usize).min(length - 1);
            taps.low.push(low as u32);
            taps.high.push((low + 1).min(length - 1) as u32);
            taps.share.push((from - low as f64) as f32);
        }
        taps
    }
}

multiversion! {
    /// Bilinear x2 of every block of `input` (sides `sides`) into lines of `output` (twice the sides).
    /// `line` is scratch for one input line.
    pub fn upsample(
        sides: Sides,
        vertical: &Taps,
        horizontal: &Taps,
        input: &[f32],
        output: &mut Lines<'_, f32>,
        line: &mut Vec<f32>,
    ) {
        line.resize(sides.width * BLOCK, 0.0);
        for (plane, input) in input.chunks_exact(sides.plane()).enumerate() {
            for y in output.range() {
                let share = vertical.share[y];
                let low = &input[sides.line(vertical.low[y] as usize)];
                let high = &input[sides.line(vertical.high[y] as usize)];
                for ((to, low), high) in line.iter_mut().zip(low).zip(high) {
                    *to = low * (1.0 - share) + high * share;
                }
                let to = output.line(plane, y).chunks_exact_mut(BLOCK);
                for (x, to) in to.enumerate() {
                    let share = horizontal.share[x];
                    let low = &line[horizontal.low[x] as usize * BLOCK..][..BLOCK];
                    let high = &line[horizontal.high[x] as usize * BLOCK..][..BLOCK];
                    for lane in 0..BLOCK {
                        to[lane] = low[lane] * (1.0 - share) + high[lane] * share;
                    }
                }
            }
        }
    }
}
