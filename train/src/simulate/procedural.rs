//! Textures made from nothing: fractal noise, stripes, cells and checkers.

use super::Rgb8;
use super::draws::Draws;

/// A pattern of `width_px x height_px`; its levels run through two or three drawn colours, or greys.
pub fn draw(width_px: usize, height_px: usize, grey: bool, draws: &mut Draws) -> Rgb8 {
    let pattern = match draws.below(4) {
        0 => fractal_noise(width_px, height_px, draws),
        1 => stripes(width_px, height_px, draws),
        2 => cells(width_px, height_px, draws),
        _ => checkers(width_px, height_px, draws),
    };
    let colours = [(); 3].map(|()| draw_colour(grey, draws));
    let mut samples = Vec::with_capacity(3 * pattern.len());
    for level in pattern {
        let place = level.clamp(0.0, 1.0) * 2.0;
        let (from, to, share) = if place < 1.0 {
            (colours[0], colours[1], place)
        } else {
            (colours[1], colours[2], place - 1.0)
        };
        for channel in 0..3 {
            let value = from[channel] + share * (to[channel] - from[channel]);
            samples.push(value.round() as u8);
        }
    }
    Rgb8 {
        width_px,
        height_px,
        samples,
    }
}

fn draw_colour(grey: bool, draws: &mut Draws) -> [f32; 3] {
    if grey {
        [draws.between(0.0, 255.0) as f32; 3]
    } else {
        [(); 3].map(|()| draws.between(0.0, 255.0) as f32)
    }
}

/// A pattern over the plane, levels about 0 to 1.
fn fill(width: usize, height: usize, mut level: impl FnMut(f32, f32) -> f32) -> Vec<f32> {
    let mut plane = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            plane.push(level(x as f32, y as f32));
        }
    }
    plane
}

/// Value noise over four to six octaves, each half as strong as the one before or nearly so.
fn fractal_noise(width: usize, height: usize, draws: &mut Draws) -> Vec<f32> {
    let persistence = draws.between(0.45, 0.9) as f32;
    let mut cell_px = (width.max(height) as f64 / draws.between(1.0, 6.0)) as f32;
    let mut strength = 1.0;
    let mut plane = vec![0.0f32; width * height];
    for _ in 0..draws.whole(4, 6) {
        let columns = (width as f32 / cell_px) as usize + 2;
        let rows = (height as f32 / cell_px) as usize + 2;
        let lattice: Vec<f32> = (0..columns * rows).map(|_| draws.unit() as f32).collect();
        let across: Vec<(usize, f32)> = (0..width).map(|x| cell(x, cell_px)).collect();
        for y in 0..height {
            let (row, v) = cell(y, cell_px);
            let upper = &lattice[row * columns..][..columns];
            let lower = &lattice[(row + 1) * columns..][..columns];
            let line = &mut plane[y * width..][..width];
            for (value, &(column, u)) in line.iter_mut().zip(&across) {
                let above = upper[column] + u * (upper[column + 1] - upper[column]);
                let below = lower[column] + u * (lower[column + 1] - lower[column]);
                *value += strength * (above + v * (below - above));
            }
        }
        strength *= persistence;
        cell_px = (cell_px * 0.5).max(1.0);
    }
    stretch(plane)
}

fn cell(at: usize, cell_px: f32) -> (usize, f32) {
    let place = at as f32 / cell_px;
    let t = place.fract();
    (place as usize, t * t * (3.0 - 2.0 * t))
}

fn stretch(mut plane: Vec<f32>) -> Vec<f32> {
    let low = plane.iter().copied().fold(f32::INFINITY, f32::min);
    let high = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let span = (high - low).max(f32::EPSILON);
    for value in &mut plane {
        *value = (*value - low) / span;
    }
    plane
}

/// Waves in a drawn direction, soft or hard.
fn stripes(width: usize, height: usize, draws: &mut Draws) -> Vec<f32> {
    let period_px = draws.between(3.0, 40.0) as f32;
    let (sin, cos) = (draws.between(0.0, std::f64::consts::PI) as f32).sin_cos();
    let phase = draws.unit() as f32;
    let hardness = draws.between(0.5, 6.0) as f32;
    let wave = |place: f32| (std::f32::consts::TAU * place).sin();
    let drift = draws.between(0.0, 0.5) as f32;
    fill(width, height, |x, y| {
        let along = (x * cos + y * sin) / period_px + phase;
        let across = (y * cos - x * sin) / (4.0 * period_px);
        0.5 + 0.5 * (hardness * wave(along + drift * wave(across))).clamp(-1.0, 1.0)
    })
}

/// Distance to the nearest of some random points: blobs, or the cells around them.
fn cells(width: usize, height: usize, draws: &mut Draws) -> Vec<f32> {
    let side_px = draws.between(8.0, 48.0) as f32;
    let columns = (width as f32 / side_px) as usize + 3;
    let rows = (height as f32 / side_px) as usize + 3;
    let points: Vec<(f32, f32, f32)> = (0..columns * rows)
        .map(|_| {
            (
                draws.unit() as f32,
                draws.unit() as f32,
                draws.unit() as f32,
            )
        })
        .collect();
    let flat = draws.chance(0.5);
    let plane = fill(width, height, |x, y| {
        let (x, y) = (x / side_px, y / side_px);
        let mut nearest = (f32::INFINITY, 0.0);
        for row in y as usize..y as usize + 3 {
            for column in x as usize..x as usize + 3 {
                let (px, py, level) = points[row * columns + column];
                // Lattice row and column 0 lie one cell outside the picture.
                let dx = column as f32 - 1.0 + px - x;
                let dy = row as f32 - 1.0 + py - y;
                let squared = dx * dx + dy * dy;
                if squared < nearest.0 {
                    nearest = (squared, level);
                }
            }
        }
        if flat { nearest.1 } else { nearest.0.sqrt() }
    });
    stretch(plane)
}

/// Two alternating levels with a gradient over them.
fn checkers(width: usize, height: usize, draws: &mut Draws) -> Vec<f32> {
    let (wide, high) = (
        draws.between(3.0, 40.0) as f32,
        draws.between(3.0, 40.0) as f32,
    );
    let (sin, cos) = (draws.between(0.0, std::f64::consts::TAU) as f32).sin_cos();
    let slope = draws.between(0.0, 0.8) as f32 / width.max(height) as f32;
    let contrast = draws.between(0.1, 1.0) as f32;
    fill(width, height, |x, y| {
        let (u, v) = (x * cos + y * sin, y * cos - x * sin);
        let odd = ((u / wide).floor() + (v / high).floor()).rem_euclid(2.0);
        contrast * odd + slope * (x + y)
    })
}
