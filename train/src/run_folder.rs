//! The run folder: `config.toml`, `metrics.jsonl`, `checkpoint-STEP.safetensors` (the last two),
//! `best.safetensors` where the recipe has patience, and `model.onnx`.

use crate::atomic_file::write_atomically;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::config::{ConfigError, FitConfig};
use std::cmp::Reverse;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Checkpoints kept: the last, and one more should the last be damaged.
const CHECKPOINTS_KEPT: usize = 2;

/// Checkpoint of the best validation.
const BEST: &str = "best.safetensors";

/// What the run's bundle is called.
const BUNDLE: &str = "model.onnx";

/// A run's folder, locked against a second process for as long as this value lives.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    _lock: File,
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "{0} already holds a run; continue it with 'blemish-train fit --resume {0}', or choose \
         another folder with --out"
    )]
    Exists(String),
    #[error(
        "{folder} holds {files} but no config.toml: their weights would be taken for those of the new run; \
         choose another folder with --out, move them away, or restore the config.toml they belong to"
    )]
    Remains { folder: String, files: String },
    #[error("{0} is not a run folder: it has no config.toml; give the folder that 'fit' wrote")]
    NotARun(String),
    #[error("{0} is in use by another blemish-train; wait for it or stop it")]
    InUse(String),
    #[error("{path}: {source}")]
    Config { path: String, source: ConfigError },
    #[error(
        "no checkpoint in {folder} can be used ({reasons}); start again with another --out, or \
         restore the folder from a copy"
    )]
    AllDamaged { folder: String, reasons: String },
    #[error(
        "{0}; it holds the weights that go into a bundle: restore it from a copy, or move it away, and those of the \
         newest checkpoint are taken"
    )]
    Best(CheckpointError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// The newest checkpoint that can be read.
#[derive(Debug, Default)]
pub struct Latest {
    /// Absent where none was written yet.
    pub checkpoint: Option<Checkpoint>,
    /// Why newer ones were passed over.
    pub refused: Vec<String>,
}

impl RunFolder {
    /// Makes the folder and writes `config.toml`.
    ///
    /// # Errors
    /// The folder already holds a run or checkpoints of one, or cannot be written.
    pub fn create(root: &Path, config: &FitConfig) -> Result<Self, RunError> {
        fs::create_dir_all(root).map_err(io_error("create", root))?;
        let path = root.join("config.toml");
        if path.exists() {
            return Err(RunError::Exists(root.display().to_string()));
        }
        let remains = remains(root)?;
        if !remains.is_empty() {
            return Err(RunError::Remains {
                folder: root.display().to_string(),
                files: remains.join(", "),
            });
        }
        let lock = lock(root)?;
        let folder = Self {
            root: root.to_owned(),
            _lock: lock,
        };
        folder.save_config(config)?;
        Ok(folder)
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    /// Where it cannot be written; the earlier one is then still there.
    pub fn save_config(&self, config: &FitConfig) -> Result<(), RunError> {
        let path = self.root.join("config.toml");
        let text = config.to_toml().map_err(|source| RunError::Config {
            path: path.display().to_string(),
            source,
        })?;
        Ok(write_atomically(&path, |out| {
            out.write_all(text.as_bytes())
        })?)
    }

    /// Opens the folder of an earlier run, and removes what killed writes of checkpoints left there.
    ///
    /// # Errors
    /// It is no run folder, is in use, or its `config.toml` cannot be used.
    pub fn open(root: &Path) -> Result<(Self, FitConfig), RunError> {
        let config = Self::read_config(root)?;
        let lock = lock(root)?;
        remove_partial_checkpoints(root)?;
        let folder = Self {
            root: root.to_owned(),
            _lock: lock,
        };
        Ok((folder, config))
    }

    /// Whether a folder holds anything that a run there learnt: a checkpoint or a bundle.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn has_learnt(root: &Path) -> Result<bool, RunError> {
        Ok(root.join(BUNDLE).exists() || !remains(root)?.is_empty())
    }

    /// Reads `config.toml` without locking the folder.
    ///
    /// # Errors
    /// As [`RunFolder::open`].
    pub fn read_config(root: &Path) -> Result<FitConfig, RunError> {
        let path = root.join("config.toml");
        let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => RunError::NotARun(root.display().to_string()),
            _ => io_error("read", &path)(source),
        })?;
        FitConfig::from_toml(&text).map_err(|source| RunError::Config {
            path: path.display().to_string(),
            source,
        })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the losses are written.
    pub fn metrics_path(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// Where the bundle is written.
    pub fn bundle_path(&self) -> PathBuf {
        self.root.join(BUNDLE)
    }

    /// Writes a checkpoint, then removes all but the last two.
    ///
    /// # Errors
    /// Where it cannot be written; the earlier ones are then still there.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<(), RunError> {
        let name = format!("checkpoint-{:08}.safetensors", checkpoint.step);
        checkpoint.write(&self.root.join(name))?;
        for (_, path) in checkpoints(&self.root)?.into_iter().skip(CHECKPOINTS_KEPT) {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
        Ok(())
    }

    /// Writes the checkpoint of the best validation so far over the one before.
    ///
    /// # Errors
    /// Where it cannot be written; the earlier one is then still there.
    pub fn save_best(&self, checkpoint: &Checkpoint) -> Result<(), RunError> {
        Ok(checkpoint.write(&self.root.join(BEST))?)
    }

    /// The checkpoint whose weights a bundle gets: the best where the run keeps one, else the newest;
    /// `None` where there is none yet.
    ///
    /// # Errors
    /// As [`RunFolder::latest`], or the best one is damaged.
    pub fn chosen(root: &Path) -> Result<Option<Checkpoint>, RunError> {
        let best = root.join(BEST);
        match best.is_file() {
            true => Ok(Some(Checkpoint::read(&best).map_err(RunError::Best)?)),
            false => Ok(Self::latest(root)?.checkpoint),
        }
    }

    /// Reads the newest checkpoint of a folder that is whole; damaged ones are passed over.
    ///
    /// # Errors
    /// There are checkpoints, but none is whole; or the folder cannot be read.
    pub fn latest(root: &Path) -> Result<Latest, RunError> {
        let mut refused = Vec::new();
        for (step, path) in checkpoints(root)? {
            match Checkpoint::read(&path) {
                Ok(checkpoint) if checkpoint.step == step => {
                    return Ok(Latest {
                        checkpoint: Some(checkpoint),
                        refused,
                    });
                }
                Ok(other) => refused.push(format!(
                    "{} is damaged: it holds step {}",
                    path.display(),
                    other.step
                )),
                Err(error) => refused.push(error.to_string()),
            }
        }
        if refused.is_empty() {
            return Ok(Latest::default());
        }
        Err(RunError::AllDamaged {
            folder: root.display().to_string(),
            reasons: refused.join("; "),
        })
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_owned();
    move |source| RunError::Io {
        action,
        path,
        source,
    }
}

fn lock(root: &Path) -> Result<File, RunError> {
    let path = root.join("lock");
    let file = File::create(&path).map_err(io_error("write", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::InUse(root.display().to_string())),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

/// Names of the files of a folder whose weights a run there would take for its own.
fn remains(root: &Path) -> Result<Vec<String>, RunError> {
    let mut found = Vec::new();
    if root.join(BEST).exists() {
        found.push(BEST.to_owned());
    }
    let names = checkpoints(root)?.into_iter();
    found.extend(names.filter_map(|(_, path)| Some(path.file_name()?.to_str()?.to_owned())));
    Ok(found)
}

/// Checkpoints of a folder by step, newest first.
fn checkpoints(root: &Path) -> Result<Vec<(u64, PathBuf)>, RunError> {
    let mut found = by_step(root, ".safetensors")?;
    found.sort_by_key(|(step, _)| Reverse(*step));
    Ok(found)
}

/// Removes checkpoints that were not written to their end. Only a write of the same step would.
fn remove_partial_checkpoints(root: &Path) -> Result<(), RunError> {
    for (_, path) in by_step(root, ".safetensors.partial")? {
        fs::remove_file(&path).map_err(io_error("remove", &path))?;
    }
    Ok(())
}

/// Files called `checkpoint-STEP` and `ending`, with their steps.
fn by_step(root: &Path, ending: &str) -> Result<Vec<(u64, PathBuf)>, RunError> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(root).map_err(io_error("read", root))? {
        let path = entry.map_err(io_error("read", root))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let step = name
            .and_then(|name| name.strip_prefix("checkpoint-"))
            .and_then(|rest| rest.strip_suffix(ending))
            .and_then(|digits| digits.parse().ok());
        if let Some(step) = step {
            found.push((step, path));
        }
    }
    Ok(found)
}
