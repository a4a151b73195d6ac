//! `fit`: train, set the threshold, write the bundle; one class or several.

use super::settings::{Settings, absolute};
use super::{Done, board, grouped, output, tell};
use crate::backend::Backend;
use crate::budget::seconds_per_step;
use crate::config::FitConfig;
use crate::data::{Class, ClassFolders, class_folders, class_name, fingerprint_below};
use crate::fit::metrics_log::{self, Record, Validation};
use crate::fit::patience::Patience;
use crate::fit::prepare::{Prepared, same_masks, same_textures};
use crate::fit::progress::duration;
use crate::fit::stop::Stop;
use crate::fit::{Fitting, Outcome, Source, initial, validation};
use crate::run_folder::{RunError, RunFolder};
use crate::{checkpoint::Checkpoint, device};
use blemish::draem::Cost;
use blemish::model::{Bundle, Metadata};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Every option of a run. With --resume, options of the recipe must be as they were; others, such as
/// --threads, may change.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of good pictures, a class folder in MVTec's or DAGM's layout, or a folder of class
    /// folders: then every class is trained, and those that are done are left alone.
    #[arg(required_unless_present = "resume")]
    pictures: Option<PathBuf>,
    /// Continue the run in this folder.
    #[arg(long, value_name = "RUNDIR", conflicts_with = "out")]
    resume: Option<PathBuf>,
    /// Folder of the run; runs/NAME if left out. Of several classes, the folder of their runs.
    #[arg(long, value_name = "RUNDIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    board: board::Args,
}

impl Args {
    pub fn run(self) -> Done {
        let stop = Stop::on_signals()?;
        let trainer = Trainer {
            settings: &self.settings,
            board: &self.board,
            stop: &stop,
        };
        let Some(pictures) = &self.pictures else {
            let root = self.resume.as_deref().unwrap_or(Path::new("."));
            return Ok(trainer.resume(root)?.exit());
        };
        if let Some(root) = &self.resume {
            return Ok(trainer.reopen(root, Some(pictures))?.exit());
        }
        let ClassFolders { classes, left_out } = class_folders(pictures)?;
        if classes.is_empty() {
            return Ok(trainer.begin(pictures, self.out.as_deref())?.exit());
        }
        for left_out in left_out {
            tell(format_args!("left out    {left_out}"));
        }
        let runs = self.out.as_deref().unwrap_or(Path::new("runs"));
        trainer.each(&classes, runs)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Finished,
    Stopped { signal: i32 },
}

impl Ended {
    pub fn exit(self) -> ExitCode {
        match self {
            Ended::Finished => ExitCode::SUCCESS,
            Ended::Stopped { signal } => ExitCode::from(128 + signal as u8),
        }
    }
}

/// Trains runs with the settings of the command line.
pub struct Trainer<'a> {
    pub settings: &'a Settings,
    pub board: &'a board::Args,
    pub stop: &'a Stop,
}

type Trained = Result<Ended, Box<dyn Error>>;

impl Trainer<'_> {
    /// Trains every class into `runs/CLASS`, takes up those that were stopped, leaves those alone that
    /// are done, and prints a table.
    fn each(&self, classes: &[PathBuf], runs: &Path) -> Done {
        if self.settings.name.is_some() {
            return Err("--name is for one class; several are called by their folders".into());
        }
        // Before anything is trained: the last class must not be found wrong after a night.
        for class in classes {
            let of_class = FitConfig {
                pictures: absolute(class),
                ..FitConfig::default()
            };
            of_class.check_paths()?;
            Class::find(class)?;
        }
        let mut rows = Vec::new();
        for class in classes {
            let name = class.file_name().unwrap_or_default();
            let root = runs.join(name);
            tell(format_args!("class       {}", name.to_string_lossy()));
            let ended = self.ensure(class, &root)?;
            if ended != Ended::Finished {
                return Ok(ended.exit());
            }
            rows.push((name.to_string_lossy().into_owned(), RunFigures::of(&root)?));
        }
        tell(format_args!(
            "\n{:<20} {:>8} {:>6}  simulated: image AUROC  pixel AP  threshold  rejects per 1000, at most",
            "class", "pictures", "steps"
        ));
        for (name, figures) in rows {
            tell(format_args!("{name:<20} {figures}"));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Brings the run in `root` to its end, wherever it is.
    ///
    /// # Errors
    /// As [`Trainer::begin`] and [`Trainer::resume`].
    pub fn ensure(&self, pictures: &Path, root: &Path) -> Trained {
        if !root.join("config.toml").exists() {
            return self.begin(pictures, Some(root));
        }
        let stored = RunFolder::read_config(root)?;
        let mut asked = self.fresh(pictures);
        if asked.name.is_empty() {
            asked.name.clone_from(&stored.name);
        }
        self.settings.check(&asked)?;
        if !RunFolder::has_learnt(root)? {
            let (folder, stored) = RunFolder::open(root)?;
            return self.go_on(folder, &stored, asked);
        }
        let latest = RunFolder::latest(root)?.checkpoint;
        // A bundle alone says nothing: 'export' writes one of a stopped run as well.
        let has_bundle = match output::metadata(&root.join("model.onnx")) {
            Some(metadata) => is_of_chosen(&metadata, root)?,
            None => false,
        };
        let done = latest.filter(|latest| has_bundle && is_over(&stored, latest, root));
        let differences = asked.differences(&stored);
        if !differences.is_empty() {
            return Err(format!(
                "{} {} with other settings: {}; give the options again that it was begun with, or choose another \
                 folder with --out",
                root.display(),
                done.map_or("was begun", |_| "is done, but"),
                differences.join(", ")
            )
            .into());
        }
        let Some(latest) = done else {
            return self.reopen(root, Some(pictures));
        };
        let class = Class::find(pictures)?;
        if class.fingerprint()? != latest.data_fingerprint {
            return Err(format!(
                "{} is done, but with other pictures than are in {} now; choose another folder with --out",
                root.display(),
                pictures.display()
            )
            .into());
        }
        Self::check_painted(&asked, &class, &latest, root)?;
        self.board.check(&asked)?;
        tell(format_args!("            {} is done", root.display()));
        Ok(Ended::Finished)
    }

    /// Refuses other textures, or masks of the product, than the finished run in `root` was trained with.
    fn check_painted(
        config: &FitConfig,
        class: &Class,
        latest: &Checkpoint,
        root: &Path,
    ) -> Result<(), Box<dyn Error>> {
        let recipe = &config.recipe;
        if let Some(product) = &recipe.product {
            let now = product.fingerprint(&class.folder, &class.goods)?;
            if !same_masks(recipe, now.as_deref(), latest)? {
                return Err(format!(
                    "{} is done, but with other masks of the product than are in {product} now; choose another folder \
                     with --out",
                    root.display()
                )
                .into());
            }
        }
        let Some(folder) = &recipe.textures else {
            return Ok(());
        };
        match same_textures(recipe, Some(&fingerprint_below(folder)?), latest)? {
            true => Ok(()),
            false => Err(format!(
                "{} is done, but with other textures than are in {} now; choose another folder with --out",
                root.display(),
                folder.display()
            )
            .into()),
        }
    }

    /// The settings of a run on `pictures` that begins with the options of the command line.
    fn fresh(&self, pictures: &Path) -> FitConfig {
        let mut config = FitConfig {
            pictures: absolute(pictures),
            ..FitConfig::default()
        };
        self.settings.apply(&mut config, true);
        config
    }

    /// Trains on `pictures` into `out`, or `runs/NAME`.
    ///
    /// # Errors
    /// A setting, a picture or the folder that cannot be used, or what stopped the training.
    pub fn begin(&self, pictures: &Path, out: Option<&Path>) -> Trained {
        let mut config = self.fresh(pictures);
        self.settings.check(&config)?;
        config.check()?;
        self.board.check(&config)?;
        let backend = open_device(&config)?;
        let prepared = Prepared::open(&config)?;
        config.check_patience(prepared.validation.is_empty())?;
        let name = class_name(pictures);
        let root = match out {
            Some(out) => out.to_owned(),
            None => Path::new("runs").join(&name),
        };
        if config.name.is_empty() {
            config.name = name;
        }
        output::refuse_over_set(&root.join("model.onnx"))?;
        let folder = RunFolder::create(&root, &config)?;
        self.train(Opened {
            folder,
            config,
            prepared,
            backend,
            checkpoint: None,
        })
    }

    /// Continues the run in `root`.
    ///
    /// # Errors
    /// As [`Trainer::begin`], or the settings or pictures are not those of the run.
    pub fn resume(&self, root: &Path) -> Trained {
        self.reopen(root, None)
    }

    fn reopen(&self, root: &Path, pictures: Option<&Path>) -> Trained {
        let (folder, stored) = RunFolder::open(root)?;
        let mut config = stored.clone();
        if let Some(pictures) = pictures {
            config.pictures = absolute(pictures);
        }
        self.settings.apply(&mut config, false);
        self.go_on(folder, &stored, config)
    }

    /// Continues the run in `folder`, whose settings were `stored`, with `config`.
    fn go_on(&self, folder: RunFolder, stored: &FitConfig, config: FitConfig) -> Trained {
        let root = folder.root();
        self.settings.check(&config)?;
        config.check()?;
        self.board.check(&config)?;
        let refuse = |what: &str, differences: Vec<String>| match differences.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "{what}: {}; a resumed run must keep its settings: leave these options out, or \
                 start a new run with another --out",
                differences.join(", ")
            )),
        };
        // A run that failed before there was anything to keep may be tried again with what helps.
        if RunFolder::has_learnt(root)? {
            let differences = config.recipe.differences(&stored.recipe);
            refuse("cannot resume with other settings", differences)?;
        }
        let latest = RunFolder::latest(root)?;
        for reason in &latest.refused {
            log::warn!("{reason}; an earlier checkpoint is used");
        }
        let prepared = Prepared::open(&config)?;
        config.check_patience(prepared.validation.is_empty())?;
        if let Some(checkpoint) = &latest.checkpoint {
            let differences = config.recipe.differences(&checkpoint.recipe()?);
            refuse("config.toml does not belong to the checkpoint", differences)?;
            if checkpoint.data_fingerprint != prepared.fingerprint {
                return Err(format!(
                    "the pictures in {} are not those the run began with; restore them, or start a \
                     new run with another --out",
                    config.pictures.display()
                )
                .into());
            }
            prepared.check_painted(&config.recipe, checkpoint)?;
        }
        let kept = Self::keeps_threshold(&folder, &config, stored, latest.checkpoint.as_ref())?;
        if kept && config == *stored {
            return Ok(Ended::Finished);
        }
        // Before the settings are kept: a device that cannot be used must not become the run's.
        let backend = open_device(&config)?;
        if config != *stored {
            folder.save_config(&config)?;
        }
        if kept {
            return Ok(Ended::Finished);
        }
        self.train(Opened {
            folder,
            backend,
            config,
            prepared,
            checkpoint: latest.checkpoint,
        })
    }

    /// Whether there is nothing to do, because the run is over and its bundle has a threshold that 'threshold' set.
    ///
    /// # Errors
    /// There is such a bundle and the run, which is to go on, would write over it.
    fn keeps_threshold(
        folder: &RunFolder,
        config: &FitConfig,
        stored: &FitConfig,
        latest: Option<&Checkpoint>,
    ) -> Result<bool, Box<dyn Error>> {
        let path = folder.bundle_path();
        let Some(set) = output::with_set_threshold(&path) else {
            return Ok(false);
        };
        let done = latest.is_some_and(|latest| is_over(config, latest, folder.root()));
        if done && is_of_chosen(&set, folder.root())? && config.differences(stored).is_empty() {
            tell(format_args!(
                "threshold   kept: {}, as 'threshold' set it in {}; set anew from held-out goods by 'export' with \
                 --discard-threshold",
                set.threshold.basis,
                path.display()
            ));
            return Ok(true);
        }
        output::refuse_over_set(&path)?;
        Ok(false)
    }

    fn train(&self, opened: Opened) -> Trained {
        let Opened {
            folder,
            config,
            prepared,
            mut backend,
            checkpoint,
        } = opened;
        let recipe = &config.recipe;
        let (weights, adam) = match &checkpoint {
            Some(checkpoint) => (checkpoint.weights.clone(), checkpoint.adam.clone()),
            None => initial::state(recipe.network, recipe.seed),
        };
        let done = checkpoint.map_or(0, |checkpoint| checkpoint.step);
        summary(&config, &prepared, folder.root(), done);
        self.board
            .forecast(recipe.network, recipe.tile, config.overlap_px)?;
        if done < recipe.steps {
            backend.restore(&weights, &adam)?;
            let seconds = seconds_per_step(&mut *backend, &prepared.batch(done)?)?;
            tell(format_args!(
                "time        {:.0} ms a step on this machine as busy as it is: {} for {} steps, besides validations",
                1e3 * seconds,
                duration(seconds * (recipe.steps - done) as f64),
                recipe.steps - done
            ));
        }
        // Timing moved the weights.
        backend.restore(&weights, &adam)?;
        drop((weights, adam));
        let validate = |backend: &mut dyn Backend| {
            validation::judge(backend, &prepared.validation, config.score_window_px)
        };
        let fitting = Fitting {
            config: &config,
            folder: &folder,
            data_fingerprint: &prepared.fingerprint,
            textures: prepared.textures_fingerprint.as_deref(),
            masks: prepared.masks_fingerprint.as_deref(),
            source: &prepared,
            validate: (!prepared.validation.is_empty()).then_some(&validate),
            stop: self.stop,
            quiet: false,
        };
        let outcome = fitting.run(&mut *backend, done)?;
        drop(backend);
        if let Outcome::Stopped { signal, step } = outcome {
            tell(format_args!(
                "stopped after step {step} of {}; continue with: blemish-train fit --resume {}",
                recipe.steps,
                folder.root().display()
            ));
            return Ok(Ended::Stopped { signal });
        }
        let checkpoint = RunFolder::chosen(folder.root())?.ok_or("the run has no checkpoint")?;
        if checkpoint.step < recipe.steps {
            tell(format_args!(
                "best        step {}: its weights go into the bundle",
                checkpoint.step
            ));
        }
        let path = folder.bundle_path();
        // As late as can be: 'export' and 'threshold' may have been at work beside this run.
        let place = || output::not_over_set(&path);
        let out = super::export::finish(&config, &prepared, &checkpoint, &place, None)?;
        if out != path {
            tell(format_args!(
                "            beside {}, whose threshold was set with 'threshold' meanwhile",
                path.display()
            ));
        }
        Ok(Ended::Finished)
    }
}

/// Whether nothing is left to train: all steps were done, or the recipe's patience is at its end.
fn is_over(config: &FitConfig, latest: &Checkpoint, root: &Path) -> bool {
    let records = metrics_log::read(&root.join("metrics.jsonl")).unwrap_or_default();
    latest.step >= config.recipe.steps || Patience::new(config.recipe.patience, &records).is_over()
}

/// Whether the bundle that says `metadata` of itself has the weights that a run in `root` gives its bundle.
fn is_of_chosen(metadata: &Metadata, root: &Path) -> Result<bool, RunError> {
    let chosen = RunFolder::chosen(root)?;
    Ok(chosen.is_some_and(|chosen| chosen.step == metadata.training.steps))
}

/// A run that is ready to go on.
struct Opened {
    folder: RunFolder,
    config: FitConfig,
    prepared: Prepared,
    backend: Box<dyn Backend>,
    checkpoint: Option<Checkpoint>,
}

/// What a finished run says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFigures {
    pub pictures: u32,
    /// Steps of the weights in the bundle.
    pub steps: u64,
    /// The validation of these weights, where there was one.
    pub validation: Option<Validation>,
    /// Median seconds of a step, other work of the machine included.
    pub seconds_per_step: f64,
    pub threshold: f32,
    pub upper_95_rejects_per_1000: f64,
}

impl RunFigures {
    /// Reads them from a run's folder.
    ///
    /// # Errors
    /// The run is not finished, or its files cannot be read.
    pub fn of(root: &Path) -> Result<Self, Box<dyn Error>> {
        let bundle = Bundle::read(root.join("model.onnx"))?;
        let metrics = root.join("metrics.jsonl");
        let records = metrics_log::read(&metrics).map_err(|error| {
            format!(
                "cannot read {}: {error}; the table tells what it holds: restore it, or move the folder away and the \
                 same command trains it anew",
                metrics.display()
            )
        })?;
        let (training, threshold) = (&bundle.metadata().training, &bundle.metadata().threshold);
        let validation = (records.iter().rev()).find_map(|record| match record {
            Record::Validation { step, figures } if *step <= training.steps => Some(*figures),
            _ => None,
        });
        let times: Vec<f64> = (records.iter())
            .filter_map(|record| match record {
                Record::Step { seconds, .. } => Some(*seconds),
                Record::Validation { .. } => None,
            })
            .collect();
        let mut each: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        each.sort_by(f64::total_cmp);
        Ok(Self {
            pictures: training.pictures,
            steps: training.steps,
            validation,
            seconds_per_step: each.get(each.len() / 2).copied().unwrap_or(0.0),
            threshold: threshold.score,
            upper_95_rejects_per_1000: threshold.upper_95_rejects_per_1000,
        })
    }
}

impl std::fmt::Display for RunFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (auroc, ap) = match &self.validation {
            Some(figures) => (
                format!("{:.3}", figures.image_auroc),
                format!("{:.3}", figures.pixel_ap),
            ),
            None => ("-".to_owned(), "-".to_owned()),
        };
        write!(
            f,
            "{:>8} {:>6} {auroc:>23} {ap:>9} {:>10.4} {:>26.1}",
            self.pictures, self.steps, self.threshold, self.upper_95_rejects_per_1000
        )
    }
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
    let place = match &recipe.product {
        Some(product) => format!(", on the product only ({product})"),
        None => String::new(),
    };
    let cut = match recipe.whole_pictures() {
        Some(filter) => format!("whole pictures resized to it, {}", filter.name()),
        None => "cut at the pictures' own resolution".to_owned(),
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
        "networks    {}: {} parameters, {:.2} GMAC per tile",
        recipe.network,
        grouped(cost.parameters()),
        cost.macs() as f64 / 1e9
    ));
    tell(format_args!(
        "defects     simulated ({}) from {textures}{place}",
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
