//! What a training and its result cost, before the training: time on this machine, and whether a board
//! keeps up with a line.

use crate::backend::{Backend, Batch};
use blemish::board::{Board, BoardError, Tiling};
use blemish::draem::{Cost, NetworkSpec};
use std::time::{Duration, Instant};

/// Steps that are timed, after one that is not.
const TIMED: usize = 3;
/// No further step is begun after this: wide networks are slow.
const LONGEST: Duration = Duration::from_secs(10);
/// Most multiply-accumulates of a forward pass over the pictures that are timed without a run's own
/// batch: a second or two on one core.
const TIMED_MACS: u64 = 20_000_000_000;
/// Widths of the reconstructive network that are tried for a board; the discriminative network has half
/// of it, in whole blocks of channels.
const TRIED_WIDTHS: std::ops::RangeInclusive<usize> = 1..=16;
/// Channels of a block.
const BLOCK: usize = 8;

/// Seconds of one step of `backend` on `batch`: the median of a few. The weights are changed by it.
///
/// # Errors
/// A sentence for people where the device failed.
pub fn seconds_per_step(backend: &mut dyn Backend, batch: &Batch) -> Result<f64, String> {
    let begun = Instant::now();
    // The first step also pays for memory and, on a GPU, for kernels.
    backend.step(batch, 0.0)?;
    let mut seconds = Vec::new();
    while seconds.len() < TIMED && (seconds.is_empty() || begun.elapsed() < LONGEST) {
        let started = Instant::now();
        backend.step(batch, 0.0)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

/// A batch of noise for timing, of `pictures` pictures or as few as keep it short and `cards` can share evenly, and
/// how many steps on it take as long as one on `pictures`.
pub fn batch_for_timing(
    cost: &Cost,
    (width_px, height_px): (usize, usize),
    pictures: usize,
    cards: usize,
) -> (Batch, f64) {
    let affordable = (TIMED_MACS / cost.macs().max(1)).max(1) as usize;
    let timed = pictures.min(affordable.next_multiple_of(cards));
    let pixels = timed * width_px * height_px;
    let mut state = 1u32;
    let clean: Vec<f32> = (0..3 * pixels)
        .map(|_| {
            // Numerical Recipes' generator: timing needs noise, not chance.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0
        })
        .collect();
    let batch = Batch {
        pictures: timed,
        width_px,
        height_px,
        seen: clean.clone(),
        clean,
        mask: vec![0.0; pixels],
        scored: Vec::new(),
    };
    (batch, pictures as f64 / timed as f64)
}

/// A line that a board is to keep up with.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// File name of the board.
    pub board: String,
    /// Lines per second.
    pub rate_hz: f64,
    pub tiling: Tiling,
}

/// Whether a board keeps up, as predicted from published figures of its processor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Seconds of one tile on one worker.
    pub seconds_per_tile: f64,
    /// Lines per second that all workers keep up with.
    pub lines_per_s: f64,
    /// Widest networks that would keep up with the line; `None` where none does.
    pub widest: Option<NetworkSpec>,
}

/// Why there is no forecast.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error(
        "nothing can be predicted for {0}: its processor is not known; measure it there with 'blemish bench'"
    )]
    Unknown(String),
}

impl Line {
    /// What to expect of `spec` on this line.
    ///
    /// # Errors
    /// There is no such board, or its processor is not known.
    pub fn forecast(&self, spec: NetworkSpec) -> Result<Forecast, ForecastError> {
        let board = Board::named(&self.board)?;
        let unknown = || ForecastError::Unknown(self.board.clone());
        let macs = |spec| Cost::of(spec, self.tiling.tile).macs();
        let rate = |spec| board.predicted_lines_per_s(macs(spec), self.tiling);
        let pairs = TRIED_WIDTHS.rev().map(|blocks| NetworkSpec {
            reconstructive_width: blocks * BLOCK,
            discriminative_width: blocks.div_ceil(2) * BLOCK,
            ..spec
        });
        let mut keeping = pairs.filter(|&pair| rate(pair).is_some_and(|rate| rate >= self.rate_hz));
        Ok(Forecast {
            seconds_per_tile: (board.predicted_seconds_per_tile(macs(spec))).ok_or_else(unknown)?,
            lines_per_s: rate(spec).ok_or_else(unknown)?,
            widest: keeping.next(),
        })
    }

    /// The forecast for `spec` in two lines for people, and whether the board keeps up.
    ///
    /// # Errors
    /// As [`Line::forecast`].
    pub fn tell(&self, spec: NetworkSpec) -> Result<(Vec<String>, bool), ForecastError> {
        let forecast = self.forecast(spec)?;
        let holds = forecast.lines_per_s >= self.rate_hz;
        let verdict = if holds {
            "keeps up"
        } else {
            "does NOT keep up"
        };
        let widest = match forecast.widest {
            Some(widest) => format!(
                "{}/{} is the widest that would",
                widest.reconstructive_width, widest.discriminative_width
            ),
            None => "no width would; take fewer pixels, larger tiles or another board".to_owned(),
        };
        let lines = vec![
            format!(
                "{} {verdict} with {:.0} lines/s of {} px: {:.0} lines/s predicted, {:.1} ms a tile",
                self.board,
                self.rate_hz,
                self.tiling.width_px,
                forecast.lines_per_s,
                1e3 * forecast.seconds_per_tile,
            ),
            format!("{widest}; int8, from published figures, never measured on a board"),
        ];
        Ok((lines, holds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blemish::geometry::TileSize;

    fn spec(reconstructive_width: usize, discriminative_width: usize) -> NetworkSpec {
        NetworkSpec::official(reconstructive_width, discriminative_width)
    }

    fn line(board: &str, rate_hz: f64) -> Line {
        Line {
            board: board.to_owned(),
            rate_hz,
            tiling: Tiling {
                width_px: 2048,
                tile: TileSize::square(128),
                overlap_px: 32,
            },
        }
    }

    #[test]
    fn the_widest_network_keeps_up_and_the_next_wider_does_not() {
        let line = line("raspberry-pi-5", 500.0);
        let widest = line.forecast(spec(16, 8)).unwrap().widest.unwrap();
        let rate = |spec| line.forecast(spec).unwrap().lines_per_s;
        assert!(rate(widest) >= 500.0);
        let blocks = widest.reconstructive_width / BLOCK + 1;
        let wider = spec(blocks * BLOCK, blocks.div_ceil(2) * BLOCK);
        assert!(rate(wider) < 500.0);
    }

    #[test]
    fn a_line_too_fast_for_every_width_says_so() {
        let line = line("zero-2-w", 1e6);
        let (lines, holds) = line.tell(spec(16, 8)).unwrap();
        assert!(!holds && lines[0].contains("does NOT keep up"), "{lines:?}");
        assert!(lines[1].starts_with("no width would"), "{lines:?}");
    }

    #[test]
    fn boards_without_figures_or_name_are_refused() {
        let unknown = line("generic-pc", 1.0).tell(spec(16, 8)).unwrap_err();
        assert!(unknown.to_string().contains("processor is not known"));
        assert!(unknown.to_string().contains("'blemish bench'"), "{unknown}");
        let missing = line("pi5", 1.0).tell(spec(16, 8)).unwrap_err();
        assert!(missing.to_string().contains("there are raspberry-pi-4"));
    }

    #[test]
    fn wide_networks_are_timed_on_fewer_pictures() {
        let cost = |spec| Cost::of(spec, TileSize::square(256));
        let (narrow, factor) = batch_for_timing(&cost(spec(8, 8)), (256, 256), 8, 1);
        assert_eq!((narrow.pictures, factor), (8, 1.0));
        let wide = |cards| batch_for_timing(&cost(spec(128, 64)), (256, 256), 8, cards);
        for (cards, pictures) in [(1, 1), (2, 2), (3, 3), (16, 8)] {
            let (batch, factor) = wide(cards);
            assert_eq!((batch.pictures, factor), (pictures, 8.0 / pictures as f64));
        }
        assert_eq!(narrow.check(), Ok(()));
    }
}
