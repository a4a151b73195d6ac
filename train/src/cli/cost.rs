//! `cost`: what a pair of networks costs.

use super::{Done, board, grouped};
use crate::budget::{batch_for_timing, seconds_per_step};
use crate::config::check_network;
use crate::device;
use crate::fit::initial;
use crate::fit::progress::duration;
use blemish::draem::{Cost, NetworkPreset, NetworkSpec};
use blemish::geometry::TileSize;
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Networks by name, fast, balanced or accurate, instead of the three options below.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["reconstructive_width", "discriminative_width", "reconstructive_poolings"])]
    network: Option<NetworkPreset>,
    /// Channels of the reconstructive network's first block; 128 in the paper.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    reconstructive_width: u16,
    /// Channels of the discriminative network's first block; 64 in the paper.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    discriminative_width: u16,
    /// How often the reconstructive network halves the picture; 4 in the paper.
    #[arg(long, default_value_t = 4, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=4))]
    reconstructive_poolings: u8,
    /// Tile side in pixels, or WIDTHxHEIGHT.
    #[arg(long, default_value = "128")]
    tile: TileSize,
    /// Pixels that neighbouring tiles share at the station [default: 32, at most a quarter tile].
    #[arg(long, value_name = "PX")]
    overlap: Option<u32>,
    /// Pictures per step.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Steps of the training.
    #[arg(long, default_value_t = 5000)]
    steps: u64,
    /// What computes.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of the CPU engine; 0 for all.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    board: board::Args,
}

impl Args {
    pub fn run(self) -> Done {
        let by_widths = NetworkSpec {
            reconstructive_poolings: self.reconstructive_poolings.into(),
            ..NetworkSpec::official(
                self.reconstructive_width.into(),
                self.discriminative_width.into(),
            )
        };
        let spec = self.network.map_or(by_widths, NetworkPreset::spec);
        check_network(spec)?;
        let cost = Cost::of(spec, self.tile);
        let TileSize {
            width_px,
            height_px,
        } = self.tile;
        let most = self.tile.most_overlap_px();
        let overlap = self.overlap.unwrap_or(32.min(most / 2));
        if overlap > most {
            return Err(
                format!("overlap = {overlap}: at most half of the tile's smaller side").into(),
            );
        }
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
        drop(out);
        self.board.forecast(spec, self.tile, overlap)?;

        let mut backend = device::open(&self.device, spec, self.threads)?;
        let (weights, adam) = initial::state(spec, 0);
        backend.restore(&weights, &adam)?;
        let size = (width_px as usize, height_px as usize);
        let cards = device::count(&self.device);
        let (batch, factor) = batch_for_timing(&cost, size, self.batch.into(), cards);
        let seconds = factor * seconds_per_step(&mut *backend, &batch)?;
        super::tell(format_args!(
            "training    {:.0} ms a step of {} tiles on this machine as busy as it is: {} for {} steps",
            1e3 * seconds,
            self.batch,
            duration(seconds * self.steps as f64),
            self.steps
        ));
        Ok(ExitCode::SUCCESS)
    }
}
