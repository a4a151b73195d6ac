//! `cost`: what a pair of networks costs.

use super::{Done, grouped, parse_tile};
use blemish::draem::{Cost, NetworkSpec, Upsampling};
use blemish::geometry::TileSize;
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Channels of the reconstructive network's first block; 128 in the paper.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    reconstructive_width: u16,
    /// Channels of the discriminative network's first block; 64 in the paper.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    discriminative_width: u16,
    /// Tile side in pixels, or WIDTHxHEIGHT.
    #[arg(long, default_value = "128", value_parser = parse_tile)]
    tile: TileSize,
}

impl Args {
    pub fn run(self) -> Done {
        let spec = NetworkSpec {
            reconstructive_width: self.reconstructive_width.into(),
            discriminative_width: self.discriminative_width.into(),
            upsampling: Upsampling::AlignCorners,
        };
        let cost = Cost::of(spec, self.tile);
        let TileSize {
            width_px,
            height_px,
        } = self.tile;
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "tile {width_px}x{height_px}      parameters  MMAC per tile"
        )?;
        for (name, parameters, macs) in [
            (
                "reconstructive",
                cost.reconstructive_parameters,
                cost.reconstructive_macs,
            ),
            (
                "discriminative",
                cost.discriminative_parameters,
                cost.discriminative_macs,
            ),
            ("both", cost.parameters(), cost.macs()),
        ] {
            let parameters = grouped(parameters);
            writeln!(
                out,
                "{name:<14}  {parameters:>12}  {:>13.1}",
                macs as f64 / 1e6
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
