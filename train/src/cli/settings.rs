//! Settings of a run, as options: those of `fit` and `sweep`.

use crate::config::{FitConfig, learning_rate_of};
use crate::data::Product;
use crate::simulate::Preset;
use blemish::draem::score::Window;
use blemish::draem::{NetworkPreset, NetworkSpec, Upsampling};
use blemish::geometry::TileSize;
use blemish::picture::ResizeFilter;
use std::path::{Path, PathBuf};

/// Every setting of a run but its pictures and its folder.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Settings {
    /// What the bundle calls the product; the folder's name if left out.
    #[arg(long)]
    pub name: Option<String>,
    /// Networks by name: fast (8/4 with two poolings), balanced (16/8 with two) or accurate (16/8 with the
    /// paper's four) [default: accurate].
    #[arg(long, value_name = "NAME", conflicts_with_all = ["reconstructive_width", "discriminative_width", "reconstructive_poolings"])]
    pub network: Option<NetworkPreset>,
    /// Channels of the reconstructive network's first block [default: 16; paper: 128].
    #[arg(long)]
    pub reconstructive_width: Option<usize>,
    /// Channels of the discriminative network's first block [default: 8; paper: 64].
    #[arg(long)]
    pub discriminative_width: Option<usize>,
    /// How often the reconstructive network halves the picture, 1 to 4 [default: 4, as the paper].
    #[arg(long, value_name = "COUNT")]
    pub reconstructive_poolings: Option<usize>,
    /// Upsampling in both decoders [default: align-corners].
    #[arg(long, value_parser = parse_upsampling)]
    upsampling: Option<Upsampling>,
    /// Tile side in pixels, or WIDTHxHEIGHT, cut at the pictures' own resolution [default: 128].
    #[arg(long)]
    tile: Option<TileSize>,
    /// Resize whole pictures to this side instead of cutting tiles (the paper's protocol with 256).
    #[arg(long, value_name = "SIDE", conflicts_with = "tile")]
    resize: Option<TileSize>,
    /// How --resize shrinks: antialiased (every pixel counts) or bilinear (four pixels count, as the paper)
    /// [default: bilinear].
    #[arg(long, value_name = "FILTER", value_parser = parse_resize_filter)]
    resize_filter: Option<ResizeFilter>,
    /// Pixels that neighbouring tiles share at the station [default: 32, at most a quarter tile].
    #[arg(long, value_name = "PX")]
    overlap: Option<u32>,
    /// Pictures per step [default: 8].
    #[arg(long)]
    batch: Option<usize>,
    /// Adam steps; the learning rate falls to a fifth at 80 % and again at 90 % of them
    /// [default: 5000].
    #[arg(long)]
    steps: Option<u64>,
    /// Adam's learning rate before it falls [default: 0.0128 divided by the reconstructive width, but from
    /// 2.5e-5 to 1.6e-3].
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Seed of first weights, hold-out and simulation [default: 0].
    #[arg(long)]
    seed: Option<u64>,
    /// Folder of pictures to paint defects from; the product itself and procedural patterns if left
    /// out.
    #[arg(long, value_name = "DIR")]
    textures: Option<PathBuf>,
    /// Paint defects on the product only: 'auto' finds it in front of an even background; or a folder of
    /// masks named as the pictures, white where the product is, or one mask for all.
    #[arg(long, value_name = "auto|MASKS")]
    product: Option<String>,
    /// Simulation of defects: structural, official or paper [default: structural].
    #[arg(long, value_parser = parse_preset)]
    simulation: Option<Preset>,
    /// Share of the good pictures kept for validation and threshold [default: 0.1].
    #[arg(long, value_name = "SHARE")]
    hold_out: Option<f64>,
    /// End when so many validations in a row were no better than the best, whose weights are kept; 0 for
    /// never [default: 0].
    #[arg(long, value_name = "VALIDATIONS")]
    patience: Option<u64>,
    /// The pictures are flat-field corrected, and the station's will be.
    #[arg(long)]
    flat_field: bool,
    /// What computes [default: cpu].
    #[arg(long)]
    device: Option<String>,
    /// Threads of the CPU engine [default: all].
    #[arg(long)]
    threads: Option<usize>,
    /// Steps between checkpoints [default: 100].
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<u64>,
    /// Steps between validations on simulated defects, 0 for none [default: 250].
    #[arg(long, value_name = "STEPS")]
    validate_every: Option<u64>,
    /// Side of the square that a picture's score averages over, odd; 21 in the paper [default: auto, the one
    /// that tells simulated defects apart best].
    #[arg(long, value_name = "PX|auto", value_parser = parse_window)]
    score_window: Option<ScoreWindow>,
}

impl Settings {
    /// Overrides what the command line names; `fresh` where the run begins with it.
    pub fn apply(&self, config: &mut FitConfig, fresh: bool) {
        fn set<T: Clone>(value: &mut T, option: &Option<T>) {
            if let Some(option) = option {
                value.clone_from(option);
            }
        }
        let recipe = &mut config.recipe;
        if let Some(textures) = &self.textures {
            recipe.textures = Some(absolute(textures));
        }
        if let Some(product) = &self.product {
            recipe.product = Some(match Product::from(product.clone()) {
                Product::Auto => Product::Auto,
                Product::Masks(path) => Product::Masks(absolute(&path)),
            });
        }
        if self.resize.is_some() {
            recipe.resize = true;
        }
        let network = &mut recipe.network;
        let by_width = recipe.learning_rate == learning_rate_of(network.reconstructive_width);
        if let Some(preset) = self.network {
            *network = NetworkSpec {
                upsampling: network.upsampling,
                ..preset.spec()
            };
        }
        set(
            &mut network.reconstructive_width,
            &self.reconstructive_width,
        );
        set(
            &mut network.discriminative_width,
            &self.discriminative_width,
        );
        if by_width {
            recipe.learning_rate = learning_rate_of(network.reconstructive_width);
        }
        set(
            &mut network.reconstructive_poolings,
            &self.reconstructive_poolings,
        );
        set(&mut network.upsampling, &self.upsampling);
        set(&mut recipe.tile, &self.tile);
        set(&mut recipe.tile, &self.resize);
        set(&mut recipe.resize_filter, &self.resize_filter);
        set(&mut recipe.batch, &self.batch);
        set(&mut recipe.steps, &self.steps);
        set(&mut recipe.learning_rate, &self.learning_rate);
        set(&mut recipe.seed, &self.seed);
        set(&mut recipe.simulation, &self.simulation);
        set(&mut recipe.hold_out, &self.hold_out);
        set(&mut recipe.patience, &self.patience);
        if fresh {
            // The default overlap suits a tile of 128; smaller tiles share a quarter.
            let tile = recipe.tile;
            config.overlap_px = config.overlap_px.min(tile.width_px.min(tile.height_px) / 4);
        }
        set(&mut config.overlap_px, &self.overlap);
        set(&mut config.name, &self.name);
        set(&mut config.device, &self.device);
        set(&mut config.threads, &self.threads);
        set(&mut config.checkpoint_every, &self.checkpoint_every);
        set(&mut config.validate_every, &self.validate_every);
        config.flat_field |= self.flat_field;
        set(
            &mut config.score_window_px,
            &self.score_window.map(ScoreWindow::px),
        );
    }
}

impl Settings {
    /// Refuses options that would do nothing in the run, whose settings are `config` with them applied.
    ///
    /// # Errors
    /// Names the option and what to give instead.
    pub fn check(&self, config: &FitConfig) -> Result<(), String> {
        let resize = config.recipe.resize;
        if self.resize_filter.is_some() && !resize {
            return Err(
                "--resize-filter says how --resize shrinks whole pictures, and this run cuts tiles: give --resize \
                 SIDE as well, or leave it out"
                    .to_owned(),
            );
        }
        if self.overlap.is_some() && resize {
            return Err(
                "--overlap is what neighbouring tiles share, and with --resize a picture is one tile: leave one of \
                 them out"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// The path as it stays valid from another folder.
pub fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Of the score: a side in pixels, or to be chosen.
#[derive(Debug, Clone, Copy)]
pub struct ScoreWindow(Option<Window>);

impl ScoreWindow {
    /// The side where one was named.
    pub fn px(self) -> Option<Window> {
        self.0
    }
}

pub fn parse_window(text: &str) -> Result<ScoreWindow, String> {
    if text == "auto" {
        return Ok(ScoreWindow(None));
    }
    let side: u32 =
        (text.parse()).map_err(|_| "must be 'auto' or a number of pixels".to_owned())?;
    let window = Window::new(side).map_err(|error| error.to_string())?;
    Ok(ScoreWindow(Some(window)))
}

fn parse_upsampling(text: &str) -> Result<Upsampling, String> {
    match text {
        "align-corners" => Ok(Upsampling::AlignCorners),
        "half-pixel" => Ok(Upsampling::HalfPixel),
        _ => Err("must be align-corners or half-pixel".to_owned()),
    }
}

fn parse_resize_filter(text: &str) -> Result<ResizeFilter, String> {
    [ResizeFilter::Antialiased, ResizeFilter::Bilinear]
        .into_iter()
        .find(|filter| filter.name() == text)
        .ok_or_else(|| "must be antialiased or bilinear".to_owned())
}

fn parse_preset(text: &str) -> Result<Preset, String> {
    [Preset::Official, Preset::Paper, Preset::Structural]
        .into_iter()
        .find(|preset| preset.name() == text)
        .ok_or_else(|| "must be official, paper or structural".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_width_unless_it_was_named() {
        let narrower = Settings {
            reconstructive_width: Some(16),
            ..Settings::default()
        };
        let mut config = FitConfig::default();
        config.recipe.network.reconstructive_width = 64;
        for (before, after) in [(learning_rate_of(64), learning_rate_of(16)), (3e-5, 3e-5)] {
            config.recipe.learning_rate = before;
            let mut found = config.clone();
            narrower.apply(&mut found, false);
            assert_eq!(found.recipe.learning_rate, after);
        }
    }
}
