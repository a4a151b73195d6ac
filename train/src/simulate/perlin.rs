//! Perlin noise and the defect masks cut from it (draem.md 1.5, step 3; the authors' `perlin.py`).

use super::draws::Draws;
use super::rotate::rotate_plane;

/// Cells of the finest lattice along one axis are `1 << MAX_EXPONENT`.
const MAX_EXPONENT: usize = 5;

/// Gradient lattice of one octave.
#[derive(Debug, Clone, PartialEq)]
pub struct Lattice {
    /// Cells along the rows' axis (down).
    pub rows: usize,
    /// Cells across.
    pub columns: usize,
    /// Gradient angles as shares of a full turn, `(rows + 1) x (columns + 1)`, row-major.
    pub turns: Vec<f64>,
}

impl Lattice {
    /// 1 to 32 cells per axis, powers of two drawn independently, and all angles.
    pub fn draw(draws: &mut Draws) -> Self {
        let rows = 1 << draws.below(MAX_EXPONENT + 1);
        let columns = 1 << draws.below(MAX_EXPONENT + 1);
        let turns = (0..(rows + 1) * (columns + 1))
            .map(|_| draws.unit())
            .collect();
        Lattice {
            rows,
            columns,
            turns,
        }
    }

    /// The noise on a `width x height` plane, row-major, about -1 to 1.
    ///
    /// # Panics
    /// If the sides are not multiples of the cells; sides that are multiples of 32 always are.
    pub fn noise(&self, width: usize, height: usize) -> Vec<f64> {
        assert!(
            width.is_multiple_of(self.columns) && height.is_multiple_of(self.rows),
            "{width}x{height} px do not divide into {}x{} cells",
            self.columns,
            self.rows
        );
        let (cell_width, cell_height) = (width / self.columns, height / self.rows);
        let across: Vec<(f64, f64)> = fractions(cell_width);
        let down: Vec<(f64, f64)> = fractions(cell_height);
        // (towards +y, towards +x), as the authors' first and second component.
        let gradients: Vec<(f64, f64)> = self
            .turns
            .iter()
            .map(|turn| (std::f64::consts::TAU * turn).sin_cos())
            .map(|(sin, cos)| (cos, sin))
            .collect();
        let corners = self.columns + 1;
        let mut noise = vec![0.0; width * height];
        for (y, line) in noise.chunks_exact_mut(width).enumerate() {
            let (v, v_fade) = down[y % cell_height];
            let upper = &gradients[(y / cell_height) * corners..][..corners];
            let lower = &gradients[(y / cell_height + 1) * corners..][..corners];
            for (cell, values) in line.chunks_exact_mut(cell_width).enumerate() {
                let (g00, g01) = (upper[cell], upper[cell + 1]);
                let (g10, g11) = (lower[cell], lower[cell + 1]);
                for (value, &(u, u_fade)) in values.iter_mut().zip(&across) {
                    let n00 = v * g00.0 + u * g00.1;
                    let n10 = (v - 1.0) * g10.0 + u * g10.1;
                    let n01 = v * g01.0 + (u - 1.0) * g01.1;
                    let n11 = (v - 1.0) * g11.0 + (u - 1.0) * g11.1;
                    let left = n00 + v_fade * (n10 - n00);
                    let right = n01 + v_fade * (n11 - n01);
                    *value = std::f64::consts::SQRT_2 * (left + u_fade * (right - left));
                }
            }
        }
        noise
    }
}

/// Position within a cell and its fade, for every pixel of a cell.
fn fractions(cell_px: usize) -> Vec<(f64, f64)> {
    (0..cell_px)
        .map(|i| {
            let t = i as f64 / cell_px as f64;
            (t, t * t * t * (t * (t * 6.0 - 15.0) + 10.0))
        })
        .collect()
}

/// A defect mask of `width x height`: noise turned by up to a right angle either way, above
/// `threshold`. May be empty.
pub fn draw_mask(width: usize, height: usize, threshold: f64, draws: &mut Draws) -> Vec<bool> {
    let noise = Lattice::draw(draws).noise(width, height);
    let degrees = draws.between(-90.0, 90.0);
    rotate_plane(&noise, width, height, degrees)
        .into_iter()
        .map(|value| value > threshold)
        .collect()
}
