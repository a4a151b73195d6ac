//! `fit`: train, set the threshold, write the bundle.

use super::{Done, grouped, parse_tile, tell};
use crate::backend::Backend;
use crate::config::{FitConfig, Recipe, learning_rate_of};
use crate::fit::prepare::Prepared;
use crate::fit::stop::Stop;
use crate::fit::{Fitting, Outcome, initial, validation};
use crate::run_folder::RunFolder;
use crate::simulate::Preset;
use crate::{checkpoint::Checkpoint, device};
use blemish::draem::{Cost, Upsampling};
use blemish::geometry::TileSize;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Every option of a run. With --resume, options of the recipe must be as they were; others, such as
/// --threads, may change.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of good pictures, or a class folder in MVTec's layout (train/good).
    #[arg(required_unless_present = "resume")]
    pictures: Option<PathBuf>,
    /// Continue the run in this folder.
    #[arg(long, value_name = "RUNDIR", conflicts_with = "out")]
    resume: Option<PathBuf>,
    /// Folder of the run; runs/NAME if left out.
    #[arg(long, value_name = "RUNDIR")]
    out: Option<PathBuf>,
    /// What the bundle calls the product; the folder's name if left out.
    #[arg(long)]
    name: Option<String>,
    /// Channels of the reconstructive network's first block [default: 16; paper: 128].
    #[arg(long)]
    reconstructive_width: Option<usize>,
    /// Channels of the discriminative network's first block [default: 8; paper: 64].
    #[arg(long)]
    discriminative_width: Option<usize>,
    /// Upsampling in both decoders [default: align-corners].
    #[arg(long, value_parser = parse_upsampling)]
    upsampling: Option<Upsampling>,
    /// Tile side in pixels, or WIDTHxHEIGHT, cut at the pictures' own resolution [default: 128].
    #[arg(long, value_parser = parse_tile)]
    tile: Option<TileSize>,
    /// Resize whole pictures to this side instead of cutting tiles (the paper's protocol with 256).
    #[arg(long, value_name = "SIDE", value_parser = parse_tile, conflicts_with = "tile")]
    resize: Option<TileSize>,
    /// Pixels that neighbouring tiles share at the station [default: 32].
    #[arg(long, value_name = "PX")]
    overlap: Option<u32>,
    /// Pictures per step [default: 8].
    #[arg(long)]
    batch: Option<usize>,
    /// Adam steps; the learning rate falls to a fifth at 80 % and again at 90 % of them
    /// [default: 5000].
    #[arg(long)]
    steps: Option<u64>,
    /// Adam's learning rate before it falls [default: 0.0128 divided by the reconstructive width].
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Seed of first weights, hold-out and simulation [default: 0].
    #[arg(long)]
    seed: Option<u64>,
    /// Folder of pictures to paint defects from; the product itself and procedural patterns if left
    /// out.
    #[arg(long, value_name = "DIR")]
    textures: Option<PathBuf>,
    /// Simulation of defects: structural, official or paper [default: structural].
    #[arg(long, value_parser = parse_preset)]
    simulation: Option<Preset>,
    /// Share of the good pictures kept for validation and threshold [default: 0.1].
    #[arg(long, value_name = "SHARE")]
    hold_out: Option<f64>,
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
}

impl Args {
    pub fn run(self) -> Done {
        let stop = Stop::on_signals()?;
        let Opened {
            folder,
            config,
            prepared,
            mut backend,
            checkpoint,
        } = match &self.resume {
            Some(root) => self.reopen(root)?,
            None => self.begin()?,
        };
        let recipe = &config.recipe;
        let (weights, adam) = match &checkpoint {
            Some(checkpoint) => (checkpoint.weights.clone(), checkpoint.adam.clone()),
            None => initial::state(recipe.network, recipe.seed),
        };
        backend.restore(&weights, &adam)?;
        drop((weights, adam));
        let done = checkpoint.map_or(0, |checkpoint| checkpoint.step);
        summary(&config, &prepared, folder.root(), done);
        let validate = |backend: &mut dyn Backend| validation::judge(backend, &prepared.validation);
        let fitting = Fitting {
            config: &config,
            folder: &folder,
            data_fingerprint: &prepared.fingerprint,
            source: &prepared,
            validate: (!prepared.validation.is_empty()).then_some(&validate),
            stop: &stop,
            quiet: false,
        };
        let outcome = fitting.run(&mut *backend, done)?;
        drop(backend);
        match outcome {
            Outcome::Finished => {}
            Outcome::Stopped { signal, step } => {
                tell(format_args!(
                    "stopped after step {step} of {}; continue with: blemish-train fit --resume {}",
                    recipe.steps,
                    folder.root().display()
                ));
                return Ok(ExitCode::from(128 + signal as u8));
            }
        }
        let latest = RunFolder::latest(folder.root())?.checkpoint;
        let checkpoint = latest.ok_or("the run has no checkpoint")?;
        let out = folder.bundle_path();
        super::export::finish(&config, &prepared, &checkpoint, &out, None)?;
        Ok(ExitCode::SUCCESS)
    }

    fn begin(&self) -> Result<Opened, Box<dyn Error>> {
        let mut config = FitConfig::default();
        self.apply(&mut config);
        config.check()?;
        let backend = open_device(&config)?;
        let prepared = Prepared::open(&config)?;
        if config.name.is_empty() {
            config.name.clone_from(&prepared.name);
        }
        let root = match &self.out {
            Some(out) => out.clone(),
            None => Path::new("runs").join(&prepared.name),
        };
        let folder = RunFolder::create(&root, &config)?;
        Ok(Opened {
            folder,
            config,
            prepared,
            backend,
            checkpoint: None,
        })
    }

    fn reopen(&self, root: &Path) -> Result<Opened, Box<dyn Error>> {
        let (folder, stored) = RunFolder::open(root)?;
        let mut config = stored.clone();
        self.apply(&mut config);
        config.check()?;
        let refuse = |what: &str, differences: Vec<String>| match differences.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "{what}: {}; a resumed run must keep its settings: leave these options out, or \
                 start a new run with another --out",
                differences.join(", ")
            )),
        };
        let differences = config.recipe.differences(&stored.recipe);
        refuse("cannot resume with other settings", differences)?;
        let latest = RunFolder::latest(root)?;
        for reason in &latest.refused {
            log::warn!("{reason}; an earlier checkpoint is used");
        }
        let prepared = Prepared::open(&config)?;
        if let Some(checkpoint) = &latest.checkpoint {
            let recipe: Recipe = toml::from_str(&checkpoint.recipe)?;
            let differences = config.recipe.differences(&recipe);
            refuse("config.toml does not belong to the checkpoint", differences)?;
            if checkpoint.data_fingerprint != prepared.fingerprint {
                return Err(format!(
                    "the pictures in {} are not those the run began with; restore them, or start a \
                     new run with another --out",
                    config.pictures.display()
                )
                .into());
            }
        }
        if config != stored {
            folder.save_config(&config)?;
        }
        Ok(Opened {
            folder,
            backend: open_device(&config)?,
            config,
            prepared,
            checkpoint: latest.checkpoint,
        })
    }

    /// Overrides what the command line names.
    fn apply(&self, config: &mut FitConfig) {
        fn set<T: Clone>(value: &mut T, option: &Option<T>) {
            if let Some(option) = option {
                value.clone_from(option);
            }
        }
        let absolute = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let recipe = &mut config.recipe;
        if let Some(pictures) = &self.pictures {
            config.pictures = absolute(pictures);
        }
        if let Some(textures) = &self.textures {
            recipe.textures = Some(absolute(textures));
        }
        if self.resize.is_some() {
            recipe.resize = true;
        }
        let network = &mut recipe.network;
        set(
            &mut network.reconstructive_width,
            &self.reconstructive_width,
        );
        set(
            &mut network.discriminative_width,
            &self.discriminative_width,
        );
        if self.reconstructive_width.is_some() && self.resume.is_none() {
            recipe.learning_rate = learning_rate_of(network.reconstructive_width);
        }
        set(&mut network.upsampling, &self.upsampling);
        set(&mut recipe.tile, &self.tile);
        set(&mut recipe.tile, &self.resize);
        set(&mut recipe.batch, &self.batch);
        set(&mut recipe.steps, &self.steps);
        set(&mut recipe.learning_rate, &self.learning_rate);
        set(&mut recipe.seed, &self.seed);
        set(&mut recipe.simulation, &self.simulation);
        set(&mut recipe.hold_out, &self.hold_out);
        if self.resume.is_none() {
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
    }
}

/// A run that is ready to go on.
struct Opened {
    folder: RunFolder,
    config: FitConfig,
    prepared: Prepared,
    backend: Box<dyn Backend>,
    checkpoint: Option<Checkpoint>,
}

fn open_device(config: &FitConfig) -> Result<Box<dyn Backend>, String> {
    device::open(&config.device, config.recipe.network, config.threads)
}

fn summary(config: &FitConfig, prepared: &Prepared, root: &Path, done: u64) {
    let recipe = &config.recipe;
    let cost = Cost::of(recipe.network, recipe.tile);
    let kind = if prepared.grey { "grey" } else { "colour" };
    let textures = match prepared.textures {
        0 => "the product itself and procedural patterns".to_owned(),
        count => format!("{count} pictures of textures"),
    };
    let cut = if recipe.resize {
        "whole pictures resized to it"
    } else {
        "cut at the pictures' own resolution"
    };
    tell(format_args!(
        "pictures    {} good for training, {} held out, {kind}, from {}",
        prepared.trained.len(),
        prepared.held_out.len(),
        config.pictures.display()
    ));
    tell(format_args!(
        "tile        {}x{} px, {cut}",
        recipe.tile.width_px, recipe.tile.height_px
    ));
    tell(format_args!(
        "networks    {}/{}: {} parameters, {:.2} GMAC per tile",
        recipe.network.reconstructive_width,
        recipe.network.discriminative_width,
        grouped(cost.parameters()),
        cost.macs() as f64 / 1e9
    ));
    tell(format_args!(
        "defects     simulated ({}) from {textures}",
        recipe.simulation.name()
    ));
    tell(format_args!(
        "run         {} steps of {} tiles, seed {}, {} with {} threads",
        recipe.steps, recipe.batch, recipe.seed, config.device, config.threads
    ));
    let from = if done > 0 {
        format!(", from step {done}")
    } else {
        String::new()
    };
    tell(format_args!("folder      {}{from}", root.display()));
}

fn parse_upsampling(text: &str) -> Result<Upsampling, String> {
    match text {
        "align-corners" => Ok(Upsampling::AlignCorners),
        "half-pixel" => Ok(Upsampling::HalfPixel),
        _ => Err("must be align-corners or half-pixel".to_owned()),
    }
}

fn parse_preset(text: &str) -> Result<Preset, String> {
    [Preset::Official, Preset::Paper, Preset::Structural]
        .into_iter()
        .find(|preset| preset.name() == text)
        .ok_or_else(|| "must be official, paper or structural".to_owned())
}
