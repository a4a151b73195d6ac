//! Options that name a line and the board that is to keep up with it.

use super::tell;
use crate::budget::Line;
use crate::config::FitConfig;
use blemish::board::Tiling;
use blemish::draem::NetworkSpec;
use blemish::geometry::TileSize;
use std::error::Error;

/// A line, as options.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Board that is to keep up with the line, such as raspberry-pi-5: 'blemish board list'.
    #[arg(long, value_name = "NAME", requires_all = ["line_rate", "width_px"])]
    board: Option<String>,
    /// Lines per second.
    #[arg(long, value_name = "HZ", requires = "board", value_parser = parse_rate)]
    line_rate: Option<f64>,
    /// Pixels of a line.
    #[arg(long, value_name = "PX", requires = "board", value_parser = clap::value_parser!(u32).range(1..))]
    width_px: Option<u32>,
}

impl Args {
    /// The line that the options name, cut into such tiles.
    pub fn line(&self, tile: TileSize, overlap_px: u32) -> Option<Line> {
        Some(Line {
            board: self.board.clone()?,
            rate_hz: self.line_rate?,
            tiling: Tiling {
                width_px: self.width_px?,
                tile,
                overlap_px,
            },
        })
    }

    /// Refuses a line of which nothing can be said, before a run is begun for it.
    ///
    /// # Errors
    /// There is no such board, nothing can be predicted for it, or whole pictures are resized: stations inspect lines
    /// in tiles.
    pub fn check(&self, config: &FitConfig) -> Result<(), Box<dyn Error>> {
        let recipe = &config.recipe;
        let Some(line) = self.line(recipe.tile, config.overlap_px) else {
            return Ok(());
        };
        if recipe.resize {
            return Err(
                "--board speaks of a line, and a station refuses bundles that resize whole pictures: take --tile \
                 for --resize, or leave --board out"
                    .into(),
            );
        }
        line.forecast(recipe.network)?;
        Ok(())
    }

    /// Prints whether the board keeps up, where one is named.
    ///
    /// # Errors
    /// Nothing can be predicted for that board.
    pub fn forecast(
        &self,
        spec: NetworkSpec,
        tile: TileSize,
        overlap_px: u32,
    ) -> Result<(), Box<dyn Error>> {
        if let Some(line) = self.line(tile, overlap_px) {
            let (lines, _) = line.tell(spec)?;
            tell(format_args!("board       {}", lines.join("\n            ")));
        }
        Ok(())
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    match rate > 0.0 && rate.is_finite() {
        true => Ok(rate),
        false => Err("must be above 0".to_owned()),
    }
}
