//! One run with everything around it: bundle, pins, journal, terminal.

use super::super::places::{probe, spare, with_part};
use super::live::Live;
use super::terminal::{Teller, Terminal};
use blemish::camera::LineFormat;
use blemish::evidence::{
    Event, EvidenceError, JournalFile, Keeper, KeeperReport, ModelId, PictureStore, WhenFull,
    last_start,
};
use blemish::model::Bundle;
use blemish::page::{Report, annotate};
use blemish::picture::Picture;
use blemish::pins::{Edge, Moment, WatchedOutputs};
use blemish::station::{
    Clock, Cutter, Journaling, Pace, Piece, SimulatedClock, Sources, StationConfig, Summary,
    Witnesses, assemble, open_outputs, run,
};
use std::cell::RefCell;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

/// Lines kept for pictures of defects where not the whole web is.
const REEL_LINES: usize = 8192;

/// Defects that a report shows.
const SHOWN: usize = 60;

/// What is to be run and what is to be kept.
pub struct Session {
    pub config: StationConfig,
    sources: Sources,
    pub bundle: Bundle,
    pub terminal: Terminal,
    pub quiet: bool,
    /// File for the outputs' edges.
    pub pulses: Option<PathBuf>,
    /// Whether pieces of web are kept for a report.
    pub keep_pieces: bool,
    /// Lines of web that a report can show as a whole.
    pub whole_lines: Option<usize>,
}

/// What came of it.
pub struct Done {
    pub summary: Summary,
    /// Web around defects, the first of them.
    pub pieces: Vec<Piece>,
    pub whole: Option<Piece>,
    pub took: Duration,
    pub workers: usize,
    pub threshold: f32,
    pub format: LineFormat,
}

impl Session {
    /// Opens the bundle that the configuration names.
    ///
    /// # Errors
    /// Where the bundle is refused.
    pub fn open(config: StationConfig, sources: Sources) -> Result<Self, Box<dyn Error>> {
        let bundle = match &config.model.path {
            Some(path) => Bundle::read(path)?,
            None => Bundle::embedded()?,
        };
        Ok(Self {
            config,
            sources,
            bundle,
            terminal: Terminal::default(),
            quiet: false,
            pulses: None,
            keep_pieces: false,
            whole_lines: None,
        })
    }

    /// Runs to the end and writes journal, pictures and pulses.
    ///
    /// # Errors
    /// What the station says, or an output that cannot be written.
    pub fn run(&self) -> Result<Done, Box<dyn Error>> {
        #[cfg(target_os = "linux")]
        if self.config.pace == Pace::Real && self.sources.replay.is_none() {
            self_test(&self.config, &self.bundle)?;
        }
        let mut setup = assemble(&self.config, &self.bundle, &self.sources)?;
        let format = setup.camera.format();
        setup.web.keep_reconstruction = self.keep_pieces;
        let (threshold, workers) = (setup.web.threshold, setup.workers.len());
        let real = setup.clock;
        end_on_signals(&setup.interrupted)?;
        let in_real_time = self.config.pace == Pace::Real && self.sources.replay.is_none();
        let clock: &dyn Clock = if in_real_time { &real } else { &SimulatedClock };
        let keeper = match &self.config.evidence.folder {
            Some(folder) => self
                .keeper_if_possible(folder, in_real_time)?
                .map(RefCell::new),
            None => None,
        };

        let device = open_outputs(&self.config, &self.sources, &setup.clock)?;
        // Not before all is there that a run needs: what lies in its place is lost.
        let pulses = match &self.pulses {
            Some(path) => {
                Some(std::fs::File::create(path).map_err(|error| unwritable(path, &error))?)
            }
            None => None,
        };
        let mut outputs = WatchedOutputs::new(device, self.pulses.is_some());
        let mut pieces = Vec::new();
        let started = Instant::now();
        let (ran, whole, live) = {
            let mut live = match self.quiet {
                true => None,
                false => Some(Live::new(
                    Teller::new(&self.terminal, in_real_time)?,
                    threshold,
                )),
            };
            let mut journaling = match (&keeper, &self.config.evidence.folder) {
                (Some(keeper), Some(folder)) => {
                    let mut journaling = Journaling::new(keeper, clock);
                    self.begin(&mut journaling, folder, threshold, setup.web.min_area_px)?;
                    Some(journaling)
                }
                _ => None,
            };
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let began_unix_ms =
                in_real_time.then(|| since_1970.map_or(0, |since| since.as_millis()));
            let order = self.bundle.metadata().color_order;
            let mut cutter = (self.keep_pieces || keeper.is_some()).then(|| {
                let lines = self.whole_lines.unwrap_or(REEL_LINES);
                Cutter::new(format, lines, self.keep_pieces.then_some(order), |piece| {
                    let shown = self.keep_pieces && pieces.len() < SHOWN;
                    if shown {
                        pieces.push(piece.clone());
                    }
                    if let Some(keeper) = &keeper {
                        keep_picture(&mut keeper.borrow_mut(), piece, began_unix_ms);
                    }
                })
            });
            let mut witnesses = Witnesses::default();
            #[cfg(target_os = "linux")]
            let mut supervision = in_real_time
                .then(blemish::station::Supervision::of_environment)
                .flatten();
            #[cfg(target_os = "linux")]
            if let Some(supervision) = &mut supervision {
                witnesses.0.push(supervision);
            }
            #[cfg(target_os = "linux")]
            let mut watchdog = match in_real_time {
                true => blemish::station::Watchdog::open(&self.config.supervision)?,
                false => None,
            };
            #[cfg(target_os = "linux")]
            if let Some(watchdog) = &mut watchdog {
                witnesses.0.push(watchdog);
            }
            if let Some(live) = &mut live {
                witnesses.0.push(live);
            }
            if let Some(journaling) = &mut journaling {
                witnesses.0.push(journaling);
            }
            if let Some(cutter) = &mut cutter {
                witnesses.0.push(cutter);
            }
            let ran = run(setup, &mut outputs, &mut witnesses);
            drop(witnesses);
            if let (Err(error), Some(journaling)) = (&ran, &mut journaling) {
                journaling.failed(&error.to_string());
            }
            #[cfg(target_os = "linux")]
            if let Some(watchdog) = watchdog {
                watchdog.close(ran.as_ref());
            }
            let whole = cutter.and_then(Cutter::finish);
            (ran, whole.filter(|_| self.whole_lines.is_some()), live)
        };
        let took = started.elapsed();
        // Before the terminal, which may never take its last lines.
        let kept = keeper.map(|keeper| keeper.into_inner().finish());
        if let Some(live) = live {
            live.finish();
        }
        let summary = ran?;
        if let Some(kept) = kept {
            tell_evidence(&self.terminal, &kept?);
        }
        if let (Some(file), Some(path)) = (pulses, &self.pulses) {
            write_edges(file, outputs.edges()).map_err(|error| unwritable(path, &error))?;
        }
        Ok(Done {
            summary,
            pieces,
            whole,
            took,
            workers,
            threshold,
            format,
        })
    }

    /// As [`Session::keeper`], but without one where the disk is full or may only be read: a plant would
    /// rather have its web inspected than a journal of it.
    fn keeper_if_possible(
        &self,
        folder: &Path,
        in_real_time: bool,
    ) -> Result<Option<Keeper>, Box<dyn Error>> {
        match self.keeper(folder, in_real_time) {
            Err(error) if in_real_time && error.is_disk_at_its_end() => {
                log::error!("no journal and no pictures are kept in this run: {error}");
                Ok(None)
            }
            keeper => Ok(Some(keeper?)),
        }
    }

    fn keeper(&self, folder: &Path, in_real_time: bool) -> Result<Keeper, EvidenceError> {
        let evidence = &self.config.evidence;
        let journal = JournalFile::open(folder, evidence.journal)?;
        let pictures = match evidence.pictures_max_bytes {
            0 => None,
            bytes => Some(PictureStore::open(&folder.join("pictures"), bytes)?),
        };
        let when_full = if in_real_time {
            WhenFull::Refuse
        } else {
            WhenFull::Wait
        };
        Keeper::start(journal, pictures, when_full)
    }

    /// The first records of a run: what has changed since the last, and what is started.
    fn begin(
        &self,
        journaling: &mut Journaling<'_>,
        folder: &Path,
        threshold: f32,
        min_area_px: u32,
    ) -> Result<(), Box<dyn Error>> {
        let metadata = self.bundle.metadata();
        let at = Moment::default();
        let model = ModelId {
            name: metadata.name.clone(),
            sha256: self.bundle.sha256().to_owned(),
        };
        if let Some(Event::Start {
            model: before,
            threshold: threshold_before,
            ..
        }) = last_start(folder)?
        {
            if before != model {
                let to = model.clone();
                journaling.write(at, Event::ModelChanged { from: before, to });
            }
            if threshold_before != threshold {
                let changed = Event::ThresholdChanged {
                    from: threshold_before,
                    to: threshold,
                    why: match self.config.model.threshold {
                        Some(_) => "the configuration".to_owned(),
                        None => "the bundle".to_owned(),
                    },
                };
                journaling.write(at, changed);
            }
        }
        let checked = Event::GoldenChecked {
            difference: self.bundle.parity(),
            tolerance: metadata.golden.tolerance,
        };
        journaling.write(at, checked);
        let start = Event::Start {
            station: self.config.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model,
            threshold,
            min_area_px,
        };
        journaling.write(at, start);
        Ok(())
    }
}

/// SIGINT, SIGTERM and SIGHUP, as of a terminal that was closed, end the run in order, a second one at once: the
/// outputs then lose their current with the process.
fn end_on_signals(interrupted: &Arc<AtomicBool>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = vec![SIGINT, SIGTERM];
    #[cfg(target_os = "linux")]
    if !is_ignored(libc::SIGHUP) {
        signals.push(libc::SIGHUP);
    }
    for signal in signals {
        let code = 128 + signal;
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(interrupted))?;
    }
    Ok(())
}

/// Whether whoever started this process wants it not to hear the signal, as `nohup` does.
#[cfg(target_os = "linux")]
fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: all-zero is a valid sigaction, a struct of integers and an optional pointer.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only reads the present action into a place for one.
    let failed = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    failed == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// A station that cannot do its work does not begin it.
#[cfg(target_os = "linux")]
fn self_test(config: &StationConfig, bundle: &Bundle) -> Result<(), String> {
    let rows = blemish::health::station_rows(config, Ok(bundle));
    let red: Vec<String> = rows
        .iter()
        .filter(|row| row.status == blemish::health::Status::Red)
        .map(|row| format!("{}: {}; {}", row.item, row.found, row.fix))
        .collect();
    if red.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the station's self-test failed; 'blemish check' shows all of it\n  {}",
        red.join("\n  ")
    ))
}

/// Refuses places of a report and of pulses that will not be writable, before the work is done for them, and
/// those of the files in `read`. What lies there stays as it is.
///
/// # Errors
/// Names the first place that cannot be used.
pub fn check_places(
    report: Option<&Path>,
    pulses: Option<&Path>,
    read: &[PathBuf],
) -> Result<(), Box<dyn Error>> {
    spare(
        read,
        [report, pulses].into_iter().flatten().flat_map(with_part),
    )?;
    if let Some(path) = report {
        probe(path).map_err(|error| unwritable(path, &error))?;
    }
    if let Some(path) = pulses {
        let written = match std::fs::metadata(path) {
            Ok(about) if about.is_file() => OpenOptions::new().append(true).open(path).map(drop),
            Ok(about) if !about.is_dir() => Ok(()),
            _ => probe(path),
        };
        written.map_err(|error| unwritable(path, &error))?;
    }
    Ok(())
}

/// Writes the report and says where it is.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_report(terminal: &Terminal, report: &Report, path: &Path) -> Result<(), String> {
    report
        .write(path)
        .map_err(|error| unwritable(path, &error))?;
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    terminal.say(&format!("report    {}", shown.display()));
    Ok(())
}

/// The drawing is the evidence thread's work: it takes longer than the line may wait.
///
/// Lines are numbered anew in every run, so in real time the run's start goes before them. A run in
/// simulated time is the same each time, and so are its names.
fn keep_picture(keeper: &mut Keeper, piece: Piece, began_unix_ms: Option<u128>) {
    let began = began_unix_ms.map_or(String::new(), |ms| format!("{ms:013}-"));
    let name = format!("{began}line{:012}", piece.first_line);
    keeper.picture(name, move || {
        let canvas = annotate(&piece.picture, &piece.map, &piece.regions, piece.first_line);
        Picture::from_rgb8(canvas.width_px, canvas.height_px, canvas.rgb).ok()
    });
}

fn tell_evidence(terminal: &Terminal, report: &KeeperReport) {
    terminal.say(&format!(
        "evidence  {} records and {} pictures kept, {} and {} lost{}",
        report.records,
        report.pictures,
        report.records_lost,
        report.pictures_lost,
        report
            .error
            .as_ref()
            .map_or(String::new(), |error| format!(": {error}")),
    ));
}

fn write_edges(file: std::fs::File, edges: &[Edge]) -> std::io::Result<()> {
    let mut file = BufWriter::new(file);
    for edge in edges {
        serde_json::to_writer(&mut file, edge)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn unwritable(path: &Path, error: &std::io::Error) -> String {
    format!(
        "cannot write '{}': {error}; choose a folder that may be written and has room",
        path.display()
    )
}
