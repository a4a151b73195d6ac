//! A run, from the first line to the last pulse.

use super::capture::{Capture, Captured, PLACES};
use super::core::{Core, LineCounts, Surroundings};
use super::input::{Input, InputReader, InputWriter};
use super::inspection::{Inspection, Step};
use super::real_time::RealTime;
use super::simulation::Simulation;
use super::supply::{Supply, Ticket};
use super::wires::Wires;
use super::{Clock, LightWatch, Pace, RealClock, RealtimeConfig, StationError, Witness};
use crate::block::Block;
use crate::camera::Camera;
use crate::engine::{Crew, Inspector};
use crate::pins::{ConfirmInput, Encoder, Jitter, Moment, Outputs};
use crate::reject::{Accounting, ConfirmSums, RejectConfig};
use crate::web::{Web, WebConfig};
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
    /// Whether its lines come when they are exposed, and are never waited with.
    pub is_live: bool,
    pub light: LightWatch,
    pub encoder: Box<dyn Encoder>,
    pub line_counts: LineCounts,
    /// Whether the ejector confirms its pulses, by `confirm` or by the inputs of a replay.
    pub is_confirmed: bool,
    pub confirm: Option<Box<dyn ConfirmInput>>,
    /// For a run in real time; its 0 is that of all moments.
    pub clock: RealClock,
    /// Ends the run in order once it is set.
    pub interrupted: Arc<AtomicBool>,
    /// What is asked of the system for the eject thread.
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
    /// The source had ended; else the run was ended from outside.
    pub source_ended: bool,
}

/// What decides the order of inputs where the clock does not.
enum Schedule {
    Simulated(Simulation),
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
    let mut core = Core::new(setup.reject.clone(), setup.line_counts, setup.is_confirmed)?;
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
    let schedule = match (&setup.replay, setup.pace) {
        (Some(folder), _) => Some(Schedule::Replayed(InputReader::open(folder)?)),
        (None, Pace::Simulated(pace)) => Some(Schedule::Simulated(Simulation::new(pace))),
        (None, Pace::Real) => None,
    };
    let paced: Option<&dyn Clock> = match &schedule {
        None => Some(&clock),
        Some(_) => None,
    };
    let recorder = match &setup.record {
        Some(folder) => Some(InputWriter::create(folder)?),
        None => None,
    };
    #[cfg(target_os = "linux")]
    if paced.is_some() && !setup.realtime.worker_cpus.is_empty() {
        // Threads started from here on are bound as well; the eject thread is bound anew.
        if let Err(error) = super::rights::use_cpus(&setup.realtime.worker_cpus) {
            let text = format!(
                "workers are not bound to their processors: {error}; see realtime.worker_cpus"
            );
            out.witness.note(core.now(), &text);
        }
    }
    let tiles_in_flight = setup.web.tiles_in_flight;
    let web = Web::new(setup.web)?;
    let crew: Crew<Ticket> =
        Crew::start(setup.workers, tiles_in_flight as usize).map_err(StationError::Threads)?;
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
        is_live: setup.is_live,
    };
    let supply = Supply::new(filled_out, emptied_in, &gone, crew);
    let inspection = Inspection::new(web, setup.light, supply, tiles_in_flight);
    let wires = Wires::new(setup.encoder, setup.confirm);
    std::thread::scope(|scope| {
        let _ends_with_this = SetOnDrop(&stop);
        std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn_scoped(scope, move || capture.run())
            .map_err(StationError::Threads)?;
        match schedule {
            None => {
                let real_time = RealTime {
                    inspection,
                    recorder,
                    clock: &clock,
                    interrupted: setup.interrupted,
                    #[cfg(target_os = "linux")]
                    thermal: setup.thermal,
                };
                real_time.run(wires, &setup.realtime, core, out)
            }
            Some(schedule) => {
                let ordered = Ordered {
                    inspection,
                    wires,
                    schedule,
                    recorder,
                    interrupted: setup.interrupted,
                };
                ordered.run(core, out)
            }
        }
    })
}

/// Tells another thread of this one's end, also where this one panics: a scope waits for all of its threads.
pub(super) struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A run on one thread, whose order of inputs does not depend on any clock.
struct Ordered<'q> {
    inspection: Inspection<'q>,
    wires: Wires,
    schedule: Schedule,
    recorder: Option<InputWriter>,
    interrupted: Arc<AtomicBool>,
}

impl Ordered<'_> {
    fn run(mut self, core: &mut Core, out: &mut Surroundings<'_>) -> Result<Summary, StationError> {
        core.operate(out);
        let mut step = Step::default();
        loop {
            let input = self.next(core, out)?;
            let is_last = matches!(input, Input::Stop { .. });
            if let Some(recorder) = &mut self.recorder {
                recorder.write(&input)?;
            }
            self.inspection
                .take(&input, core.now(), &mut step, &mut *out.witness)?;
            self.wires.tell_encoder(&input, &step);
            core.take(input, &mut step, out)?;
            if is_last {
                break;
            }
            while let Some(number) = self.inspection.hand_out_tile()? {
                if let Schedule::Simulated(simulation) = &mut self.schedule {
                    simulation.handed_out(number, core.now().ns);
                }
            }
        }
        if let Some(recorder) = self.recorder.take() {
            recorder.finish()?;
        }
        let mut summary = core.summary();
        summary.jitter.decided_to_driven_us = out.outputs.pulse_delays_us().copied();
        out.witness.ended(core.now(), &summary);
        self.inspection.failed.take().map_or(Ok(summary), Err)
    }

    fn next(&mut self, core: &mut Core, out: &mut Surroundings<'_>) -> Result<Input, StationError> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Ok(Input::Stop { ns: core.now().ns });
        }
        let simulation = match &mut self.schedule {
            // What there is to say about the outputs, the recording says.
            Schedule::Replayed(inputs) => return inputs.next(),
            Schedule::Simulated(simulation) => simulation,
        };
        match self.wires.pins_input(core, &mut *out.outputs) {
            Some(input) => Ok(input),
            None => simulation.next(&mut self.inspection.supply, &mut self.wires, core),
        }
    }
}
