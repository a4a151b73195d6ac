//! How fast a board would be, from published figures of its processor. No board was ever measured.

use super::{Board, Processor};
use crate::geometry::{TileSize, tile_starts};

/// Share of the vector units' peak that a whole graph is taken to reach. An assumption: on x86 the
/// kernels alone come to more than 0.95, and what lies between them and smaller caches cost the rest.
pub const ASSUMED_SHARE_OF_PEAK: f64 = 0.75;

/// How a web is cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Pixels of a line.
    pub width_px: u32,
    pub tile: TileSize,
    pub overlap_px: u32,
}

impl Tiling {
    /// Tiles for one line of web, on average.
    fn tiles_per_line(self) -> f64 {
        let across = tile_starts(self.width_px, self.tile.width_px, self.overlap_px).len();
        across as f64 / f64::from(self.tile.height_px - self.overlap_px)
    }
}

impl Processor {
    /// Most int8 multiply-accumulates that one core starts in a cycle with the kernels of
    /// [`engine`](crate::engine::kernels::int8): `sdot` makes 16; without it two `smull` and two
    /// `sadalp` do.
    pub fn peak_macs_per_cycle(&self, int8_dot_product: bool) -> f64 {
        let macs_per_instruction = if int8_dot_product { 16.0 } else { 4.0 };
        macs_per_instruction * f64::from(self.vector_instructions_per_cycle)
    }
}

impl Board {
    /// Predicted seconds that one worker takes for a tile of an int8 bundle with so many
    /// multiply-accumulates. `None` where the board's processor is not known.
    pub fn predicted_seconds_per_tile(&self, macs: u64) -> Option<f64> {
        let processor = self.processor.as_ref()?;
        let peak_per_s = processor.peak_macs_per_cycle(self.int8_dot_product)
            * f64::from(processor.clock_mhz)
            * 1e6;
        Some(macs as f64 / (peak_per_s * ASSUMED_SHARE_OF_PEAK))
    }

    /// Predicted lines per second that all workers together keep up with; caches, memory and heat
    /// that they share are not counted. `None` where the board's processor is not known.
    pub fn predicted_lines_per_s(&self, macs: u64, tiling: Tiling) -> Option<f64> {
        let seconds = self.predicted_seconds_per_tile(macs)?;
        Some(f64::from(self.workers) / (seconds * tiling.tiles_per_line()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_takes_its_instructions_times_what_a_cycle_starts() {
        // 0.75 of 2 x 16 at 2.4 GHz; of 2 x 4 at 1.8; of 1 x 4 at 1.0.
        for (name, giga_macs_per_s) in [
            ("raspberry-pi-5", 57.6),
            ("raspberry-pi-4", 10.8),
            ("zero-2-w", 3.0),
        ] {
            let board = Board::named(name).unwrap();
            let seconds = board.predicted_seconds_per_tile(1_000_000_000).unwrap();
            assert!((seconds * giga_macs_per_s - 1.0).abs() < 1e-9, "{name}");
        }
        let pc = Board::named("generic-pc").unwrap();
        assert_eq!(pc.predicted_seconds_per_tile(1), None);
    }

    #[test]
    fn the_line_rate_follows_from_rows_of_tiles_and_workers() {
        let board = Board::named("raspberry-pi-5").unwrap();
        let macs = 576_000_000; // 10 ms
        let tiling = Tiling {
            width_px: 512,
            tile: TileSize::square(128),
            overlap_px: 32,
        };
        // Five tiles for every 96 lines; three workers.
        let rate = board.predicted_lines_per_s(macs, tiling).unwrap();
        assert!((rate - 3.0 * 96.0 / 0.05).abs() < 1e-6, "{rate}");
    }
}
