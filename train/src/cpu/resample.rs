//! Gradients of max pooling and bilinear upsampling, one picture at a time.

use blemish::engine::kernels::float::{BLOCK, Sides, Taps};
use blemish::multiversion;

multiversion! {
    /// Gradient of `max_pool`: goes to the first greatest of the four, as in PyTorch. Where `add`
    /// is set it is added to `into`, else it replaces what is there.
    pub fn max_pool_gradient(
        sides: Sides,
        input: &[f32],
        gradient: &[f32],
        into: &mut [f32],
        add: bool,
    ) {
        let half = Sides { height: sides.height / 2, width: sides.width / 2 };
        let planes = input.chunks_exact(sides.plane()).zip(into.chunks_exact_mut(sides.plane()));
        for ((input, into), gradient) in planes.zip(gradient.chunks_exact(half.plane())) {
            for line in 0..half.height {
                let (first, second) = (sides.line(2 * line), sides.line(2 * line + 1));
                let gradient = &gradient[half.line(line)];
                for (x, gradient) in gradient.chunks_exact(BLOCK).enumerate() {
                    let at = [
                        first.start + 2 * x * BLOCK,
                        first.start + (2 * x + 1) * BLOCK,
                        second.start + 2 * x * BLOCK,
                        second.start + (2 * x + 1) * BLOCK,
                    ];
                    let seen: [[f32; BLOCK]; 4] =
                        at.map(|at| std::array::from_fn(|lane| input[at + lane]));
                    let mut share = [[0f32; BLOCK]; 4];
                    for lane in 0..BLOCK {
                        let (a, b, c, d) =
                            (seen[0][lane], seen[1][lane], seen[2][lane], seen[3][lane]);
                        let ab = if b > a { b } else { a };
                        let cd = if d > c { d } else { c };
                        let low = cd > ab;
                        let (right_above, right_below) = (b > a, d > c);
                        let g = gradient[lane];
                        share[0][lane] = if !low && !right_above { g } else { 0.0 };
                        share[1][lane] = if !low && right_above { g } else { 0.0 };
                        share[2][lane] = if low && !right_below { g } else { 0.0 };
                        share[3][lane] = if low && right_below { g } else { 0.0 };
                    }
                    for (&at, share) in at.iter().zip(&share) {
                        let to = &mut into[at..at + BLOCK];
                        for lane in 0..BLOCK {
                            to[lane] = if add { to[lane] + share[lane] } else { share[lane] };
                        }
                    }
                }
            }
        }
    }
}

multiversion! {
    /// Gradient of `upsample` into `into` (sides `sides`), which it replaces.
    pub fn upsample_gradient(
        sides: Sides,
        vertical: &Taps,
        horizontal: &Taps,
        gradient: &[f32],
        into: &mut [f32],
        line: &mut Vec<f32>,
    ) {
        let twice = Sides { height: 2 * sides.height, width: 2 * sides.width };
        line.resize(sides.width * BLOCK, 0.0);
        for (into, gradient) in
            into.chunks_exact_mut(sides.plane()).zip(gradient.chunks_exact(twice.plane()))
        {
            for y in 0..sides.height {
                into[sides.line(y)].fill(0.0);
            }
            for y in 0..twice.height {
                line.fill(0.0);
                let from = gradient[twice.line(y)].chunks_exact(BLOCK);
                for (x, from) in from.enumerate() {
                    let share = horizontal.share[x];
                    let low = &mut line[horizontal.low[x] as usize * BLOCK..][..BLOCK];
                    for lane in 0..BLOCK {
                        low[lane] += from[lane] * (1.0 - share);
                    }
                    let high = &mut line[horizontal.high[x] as usize * BLOCK..][..BLOCK];
                    for lane in 0..BLOCK {
                        high[lane] += from[lane] * share;
                    }
                }
                let share = vertical.share[y];
                let low = &mut into[sides.line(vertical.low[y] as usize)];
                for (to, from) in low.iter_mut().zip(line.iter()) {
                    *to += from * (1.0 - share);
                }
                let high = &mut into[sides.line(vertical.high[y] as usize)];
                for (to, from) in high.iter_mut().zip(line.iter()) {
                    *to += from * share;
                }
            }
        }
    }
}
