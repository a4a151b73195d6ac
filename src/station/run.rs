//! A run, from the first line to the last pulse.

use super::capture::{Capture, Captured, PLACES};
use super::core::{Core, LineCounts, Surroundings};
use super::feed::{Feed, Ticket};
use super::input::{Input, InputReader, InputWriter};
use super::real_time::RealTime;
use super::simulation::Simulation;
use super::{Clock, Pace, RealClock, RealtimeConfig, StationError, Witness};
use crate::block::Block;
use crate::camera::Camera;
use crate::engine::{Crew, Inspector};
use crate::pins::{ConfirmInput, Encoder, Jitter, Moment, Outputs};
use crate::reject::{Accounting, ConfirmSums, RejectConfig};
use crate::web::WebConfig;
use heapless::spsc::Queue;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Everything that a run is made of.
pub struct Setup<I> {
    pub web: WebConfig,
    pub reject: RejectConfig,
    pub pace: Pace,
    pub camera: Box<dyn Camera>,
    pub encoder: Box<dyn Encoder>,
    pub line_counts: LineCounts,
    /// Whether the ejector confirms its pulses, by `confirm` or by the inputs of a replay.
    pub is_confirmed: bool,
    pub confirm: Option<Box<dyn ConfirmInput>>,
    /// For a run in real time; its 0 is that of all moments.
    pub clock: RealClock,
    /// Ends the run in order once it is set.
    pub interrupted: Arc<AtomicBool>,
    /// What is asked of the system for the thread that drives the pins.
    pub realtime: RealtimeConfig,
    /// Told to the witness where there is one.
    #[cfg(target_os = "linux")]
    pub thermal: Option<crate::health::ThermalWatch>,
    /// One thread each.
    pub workers: Vec<I>,
    /// A recording whose order of inputs is taken instead of `pace` and `encoder`.
    pub replay: Option<PathBuf>,
    /// A recording, begun by a [`Recorder`](crate::camera::Recorder) around `camera`, that gets the
    /// order of inputs as well.
    pub record: Option<PathBuf>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    pub accounting: Accounting,
    pub ended: Moment,
    pub blocks: u64,
    pub tiles: u64,
    pub failed_tiles: u64,
    pub faults: u64,
    pub regions: u64,
    pub defect_spans: u64,
    pub jitter: Jitter,
    /// Where the ejector confirms its pulses.
    pub confirmations: Option<ConfirmSums>,
    /// A fault stood at the end that kept the station from accepting web.
    pub held: bool,
}

/// Time between two looks at the outputs.
const CHECK_PINS_NS: u64 = 100_000_000;

enum Schedule<'c> {
    Simulated(Simulation),
    Real(RealTime<'c>),
    Replayed(InputReader),
}

/// Runs until the source has ended and its web has passed the ejector. The outputs are without current
/// at the end, whatever happened.
///
/// # Errors
/// Settings that cannot work, a source or pin that fails for good, a thread that ends early, or an
/// account that does not add up.
pub fn run<I: Inspector + 'static>(
    setup: Setup<I>,
    outputs: &mut dyn Outputs,
    witness: &mut dyn Witness,
) -> Result<Summary, StationError> {
    let mut core = Core::new(
        setup.web.clone(),
        setup.reject.clone(),
        setup.line_counts,
        setup.is_confirmed,
    )?;
    let mut out = Surroundings { outputs, witness };
    let result = run_core(setup, &mut core, &mut out);
    if result.is_err() {
        // The first error is the one to tell; the pins fall to reject in any case.
        let _ = out.outputs.release_all(core.now());
    }
    result
}

fn run_core<I: Inspector + 'static>(
    setup: Setup<I>,
    core: &mut Core,
    out: &mut Surroundings<'_>,
) -> Result<Summary, StationError> {
    let clock = setup.clock;
    let paced: Option<&dyn Clock> = match (&setup.pace, &setup.replay) {
        (Pace::Real, None) => Some(&clock),
        _ => None,
    };
    let schedule = match (&setup.replay, setup.pace) {
        (Some(folder), _) => Schedule::Replayed(InputReader::open(folder)?),
        (None, Pace::Simulated(pace)) => Schedule::Simulated(Simulation::new(pace)),
        (None, Pace::Real) => Schedule::Real(RealTime::new(&clock)),
    };
    let recorder = match &setup.record {
        Some(folder) => Some(InputWriter::create(folder)?),
        None => None,
    };
    let in_flight = u64::from(setup.web.tiles_in_flight);
    let in_real_time = paced.is_some();
    #[cfg(target_os = "linux")]
    if in_real_time && !setup.realtime.worker_cpus.is_empty() {
        // Threads started from here on are bound as well; this one is bound anew below.
        if let Err(error) = super::rights::use_cpus(&setup.realtime.worker_cpus) {
            let text = format!(
                "workers are not bound to their processors: {error}; see realtime.worker_cpus"
            );
            out.witness.note(core.now(), &text);
        }
    }
    let crew: Crew<Ticket> =
        Crew::start(setup.workers, in_flight as usize).map_err(StationError::Threads)?;
    let mut filled = Queue::<Captured, PLACES>::new();
    let mut emptied = Queue::<Block, PLACES>::new();
    let (filled_in, filled_out) = filled.split();
    let (emptied_in, emptied_out) = emptied.split();
    let (stop, gone) = (AtomicBool::new(false), AtomicBool::new(false));
    let capture = Capture {
        camera: setup.camera,
        filled: filled_in,
        emptied: emptied_out,
        stop: &stop,
        gone: &gone,
        clock: paced,
    };
    let mut shell = Shell {
        feed: Feed::new(
            filled_out,
            emptied_in,
            &gone,
            setup.encoder,
            setup.confirm,
            crew,
        ),
        schedule,
        recorder,
        in_flight,
        failed: None,
        check_pins_ns: 0,
        interrupted: setup.interrupted,
        #[cfg(target_os = "linux")]
        thermal: setup.thermal,
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn_scoped(scope, move || capture.run())
            .map_err(StationError::Threads)?;
        #[cfg(target_os = "linux")]
        if in_real_time {
            for text in super::rights::prefer_this_thread(&setup.realtime) {
                out.witness.note(core.now(), &text);
            }
        }
        let result = shell.run(core, out);
        stop.store(true, Ordering::Release);
        result
    })
}

struct Shell<'q> {
    feed: Feed<'q>,
    schedule: Schedule<'q>,
    recorder: Option<InputWriter>,
    in_flight: u64,
    /// Why the source ended before its end; told when its web has passed.
    failed: Option<StationError>,
    /// When the outputs are looked at next.
    check_pins_ns: u64,
    interrupted: Arc<AtomicBool>,
    #[cfg(target_os = "linux")]
    thermal: Option<crate::health::ThermalWatch>,
}

impl Shell<'_> {
    fn run(
        &mut self,
        core: &mut Core,
        out: &mut Surroundings<'_>,
    ) -> Result<Summary, StationError> {
        core.operate(out);
        loop {
            let pins = self.pins_input(core, out);
            let input = match (&mut self.schedule, pins) {
                _ if self.interrupted.load(Ordering::Relaxed) => Input::Stop { ns: core.now().ns },
                (_, Some(input)) => input,
                (Schedule::Replayed(inputs), None) => inputs.next()?,
                (Schedule::Simulated(simulation), None) => simulation.next(&mut self.feed, core)?,
                (Schedule::Real(clock), None) => clock.next(&mut self.feed, core)?,
            };
            let is_last = matches!(input, Input::Stop { .. });
            self.take(input, core, out)?;
            if is_last {
                break;
            }
            self.hand_out_tiles(core, out)?;
        }
        if let Some(recorder) = self.recorder.take() {
            recorder.finish()?;
        }
        let mut summary = core.summary();
        summary.jitter.decided_to_driven_us = out.outputs.pulse_delays_us().copied();
        if let Schedule::Real(clock) = &self.schedule {
            summary.jitter.between_looks_us = Some(*clock.looks_us());
        }
        out.witness.ended(core.now(), &summary);
        self.failed.take().map_or(Ok(summary), Err)
    }

    /// What there is to say about the outputs; in a replay the recording says it.
    fn pins_input(&mut self, core: &mut Core, out: &mut Surroundings<'_>) -> Option<Input> {
        let now = core.now();
        if matches!(self.schedule, Schedule::Replayed(_)) {
            return None;
        }
        if let Some(message) = core.undriven() {
            return Some(Input::PinsLost {
                ns: now.ns,
                message,
            });
        }
        if now.ns < self.check_pins_ns {
            return None;
        }
        self.check_pins_ns = now.ns + CHECK_PINS_NS;
        #[cfg(target_os = "linux")]
        if let Some(change) = self.thermal.as_ref().and_then(|watch| watch.changed()) {
            core.throttled(change, out);
        }
        match (out.outputs.check(now), core.pins_are_lost()) {
            (Err(error), false) => Some(Input::PinsLost {
                ns: now.ns,
                message: error.to_string(),
            }),
            (Ok(()), true) => Some(Input::PinsBack { ns: now.ns }),
            (Ok(()), false) | (Err(_), true) => None,
        }
    }

    fn handle(
        &mut self,
        input: Input,
        core: &mut Core,
        out: &mut Surroundings<'_>,
    ) -> Result<(), StationError> {
        // These have times of their own within a stall.
        if !matches!(input, Input::Position(_) | Input::Confirmed { .. }) {
            core.catch_up(out);
        }
        match input {
            Input::Position(at) => core.position(at, out),
            Input::EdgesLost { at, edges } => core.edges_lost(at, edges, out),
            Input::EncoderGone { ns, message } => core.encoder_gone(ns, message, out),
            Input::EncoderBack { ns } => core.encoder_back(ns, out),
            Input::Confirmed { ns, edges } => core.confirmed(ns, edges, out),
            Input::ConfirmGone { ns, message } => core.confirm_gone(ns, message, out),
            Input::ConfirmBack { ns } => core.confirm_back(ns, out),
            Input::PinsLost { ns, message } => core.pins_lost(ns, message, out),
            Input::PinsBack { ns } => core.pins_back(ns, out),
            Input::Stalled { ns, stalled_ns } => core.stalled(ns, stalled_ns),
            Input::Tick { ns } => core.tick(ns, out),
            Input::Block { ns, first_line } => loop {
                let Captured::Block(mut block) = self.feed.take()? else {
                    return Err(StationError::ThreadLost("capture"));
                };
                // Blocks that found the queue full were recorded, but never reached the core.
                let wanted = block.first_line.0 >= first_line;
                if wanted {
                    core.block(ns, &mut block, out);
                }
                self.feed.lines(&block);
                self.feed.give_back(block);
                if wanted {
                    break;
                }
            },
            Input::Lost { ns } => match self.feed.take()? {
                Captured::Lost(message) => {
                    self.feed.camera_lost();
                    core.lost(ns, message, out);
                }
                _ => return Err(StationError::ThreadLost("capture")),
            },
            Input::Tile { ns, number } => {
                let (job, outcome) = self.feed.take_back(number)?;
                let outcome = outcome.map(|()| &job.prediction);
                core.tile(ns, &job.tag.job, outcome, out);
                self.feed.keep_spare(job);
            }
            Input::End { ns } => {
                if let Captured::Failed(error) = self.feed.take()? {
                    let error = StationError::from(error);
                    core.lost(ns, error.to_string(), out);
                    self.failed = Some(error);
                }
                core.end(ns, out);
            }
            Input::Stop { ns } => core.stop(ns, out)?,
        }
        Ok(())
    }

    /// Hands out what can be cut while fewer tiles are under way than may be. Cutting takes time, so
    /// encoder and pins are looked at after each tile; what they say changes nothing about the tiles, so
    /// a replay may hand out all of them at once.
    fn hand_out_tiles(
        &mut self,
        core: &mut Core,
        out: &mut Surroundings<'_>,
    ) -> Result<(), StationError> {
        while self.feed.outstanding() < self.in_flight {
            let mut job = self.feed.spare();
            let Some(tile) = core.next_tile(&mut job.tile) else {
                self.feed.keep_spare(job);
                break;
            };
            job.tag.job = tile;
            let number = self.feed.hand_out(job)?;
            match &mut self.schedule {
                Schedule::Simulated(simulation) => simulation.handed_out(number, core.now().ns),
                Schedule::Real(_) => self.look(core, out)?,
                Schedule::Replayed(_) => {}
            }
        }
        Ok(())
    }

    /// Takes what encoder and confirmation have, and asks the ledger if it is time.
    fn look(&mut self, core: &mut Core, out: &mut Surroundings<'_>) -> Result<(), StationError> {
        while let Schedule::Real(clock) = &mut self.schedule
            && let Some(input) = clock.look(&mut self.feed, core)?
        {
            self.take(input, core, out)?;
        }
        Ok(())
    }

    /// Writes an input down, where a recording is made, and hands it to the core.
    fn take(
        &mut self,
        input: Input,
        core: &mut Core,
        out: &mut Surroundings<'_>,
    ) -> Result<(), StationError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.write(&input)?;
        }
        self.handle(input, core, out)
    }
}
