//! The whole station but for the networks: a web whose bright pixels are its defects, an engine that
//! calls bright pixels anomalous, and an account of our own of what the ejector did to every line.

mod capture;
mod confirm;
mod eject;
mod keeping;
mod light;
mod line_stop;
mod properties;
mod replay;
mod silence;
mod triggered;
mod uninspected;
mod wires;

use super::{
    LightWatch, LineCounts, Pace, RealClock, RealtimeConfig, Setup, SimulatedPace, Summary,
    Witness, run,
};
use crate::block::Block;
use crate::camera::{
    Belt, BeltSpec, BlockEvent, Camera, CameraError, FaultInjector, FaultRates, LineFormat, Random,
    Recorder, Replay,
};
use crate::draem::score::Window;
use crate::engine::{EngineError, Inspector, Prediction};
use crate::geometry::{LineNumber, TileSize};
use crate::model::ColorOrder;
use crate::picture::Samples;
use crate::pins::{
    BeltEncoder, Edge, Encoder, EncoderEvent, Moment, Output, PinError, RecordedOutputs,
};
use crate::reject::{RejectConfig, VerdictUse};
use crate::verdict::{SpanVerdict, Verdict};
use crate::web::WebConfig;
use std::path::{Path, PathBuf};
use std::time::Duration;

const WIDTH_PX: u32 = 64;
const DEFECT: u8 = 250;

/// What is run.
#[derive(Debug, Clone)]
struct World {
    seed: u64,
    lines: u64,
    lines_per_block: u32,
    belt: BeltSpec,
    faults: FaultRates,
    pace: SimulatedPace,
    reject: RejectConfig,
    workers: usize,
    /// One tile in so many gives no numbers; 0 for none.
    broken_tiles: u64,
}

impl World {
    fn calm(seed: u64) -> Self {
        Self {
            seed,
            lines: 3000,
            lines_per_block: 24,
            belt: BeltSpec::default(),
            faults: FaultRates::default(),
            pace: SimulatedPace {
                tile_us: 4000,
                workers: 2,
                ..SimulatedPace::default()
            },
            reject: RejectConfig {
                distance_counts: 8000,
                lead_us: 2000,
                span_lines: 64,
                latency_us: 600_000,
                max_speed_counts_per_s: 8000,
                min_pulse_us: 5000,
                recovery_us: 5000,
                ..RejectConfig::default()
            },
            workers: 2,
            broken_tiles: 0,
        }
    }

    /// Whether a line of web has a defect on it.
    fn is_defective(&self, line: u64) -> bool {
        let (cell, place) = (line / 300, line % 300);
        let mut random = Random::stream(self.seed, cell);
        let first = u64::from(random.below(200));
        random.below(3) == 0 && (first..first + 30).contains(&place)
    }

    fn camera(&self) -> FaultInjector<BrightCamera> {
        let camera = BrightCamera {
            world: self.clone(),
            belt: Belt::new(&self.belt).unwrap(),
            next_line: 0,
        };
        FaultInjector::new(camera, self.faults)
    }

    fn web(&self) -> WebConfig {
        WebConfig {
            width_px: WIDTH_PX,
            columns: None,
            channels: 1,
            sixteen_bit: false,
            tile: TileSize::square(32),
            overlap_px: 12,
            color_order: ColorOrder::Rgb,
            window: Window::OFFICIAL,
            threshold: 0.3,
            min_area_px: 1,
            span_lines: self.reject.span_lines,
            max_region_lines: 128,
            rolling_lines: 160,
            tiles_in_flight: 6,
            min_segment_lines: 8,
            keep_reconstruction: false,
        }
    }

    fn setup(&self, camera: Box<dyn Camera>) -> Setup<BrightEngine> {
        let engine = BrightEngine {
            broken_tiles: self.broken_tiles,
        };
        Setup {
            web: self.web(),
            reject: self.reject.clone(),
            pace: Pace::Simulated(self.pace),
            camera,
            is_live: false,
            light: LightWatch::default(),
            encoder: Box::new(BeltEncoder::new(&self.belt).unwrap()),
            line_counts: LineCounts::Camera,
            is_confirmed: false,
            confirm: None,
            clock: RealClock::start(),
            interrupted: std::sync::Arc::default(),
            realtime: RealtimeConfig::default(),
            #[cfg(target_os = "linux")]
            thermal: None,
            workers: vec![engine; self.workers],
            replay: None,
            record: None,
        }
    }

    fn run(&self) -> Outcome {
        Outcome::of(self.setup(Box::new(self.camera())))
    }

    fn record(&self, folder: &Path) -> Outcome {
        let recorder = Recorder::new(self.camera(), folder).unwrap();
        Outcome::of(Setup {
            record: Some(folder.to_path_buf()),
            ..self.setup(Box::new(recorder))
        })
    }

    fn replay(&self, folder: &Path) -> Outcome {
        Outcome::of(Setup {
            replay: Some(folder.to_path_buf()),
            encoder: Box::new(Deaf),
            ..self.setup(Box::new(Replay::open(folder).unwrap()))
        })
    }

    /// Lines that the camera delivered in blocks without a fault, by running it again.
    fn seen_lines(&self) -> Vec<bool> {
        let mut camera = self.camera();
        let mut block = camera.format().empty_block();
        let mut seen = vec![false; self.lines as usize];
        loop {
            match camera.next_block(Duration::ZERO, &mut block) {
                Ok(BlockEvent::Filled) => {
                    let first = block.first_line.0 as usize;
                    seen[first..first + block.stamps.len()].fill(block.fault.is_none());
                }
                Ok(BlockEvent::Waiting) | Err(_) => {}
                Ok(BlockEvent::End) => return seen,
            }
        }
    }
}

/// Everything that came out.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    summary: Summary,
    edges: Vec<Edge>,
    verdicts: Vec<(Moment, SpanVerdict, VerdictUse)>,
}

impl Outcome {
    fn of(setup: Setup<BrightEngine>) -> Self {
        let mut outputs = RecordedOutputs::default();
        let mut told = Told::default();
        let summary = run(setup, &mut outputs, &mut told).unwrap();
        Self {
            summary,
            edges: outputs.edges().to_vec(),
            verdicts: told.0,
        }
    }

    /// The verdict for each line, in order; every line must have one.
    fn by_line(&self) -> Vec<Verdict> {
        let mut lines = Vec::new();
        for (_, given, _) in &self.verdicts {
            assert_eq!(
                given.span.first_line.0,
                lines.len() as u64,
                "spans without gaps"
            );
            lines.resize(lines.len() + given.span.lines as usize, given.verdict);
        }
        lines
    }
}

#[derive(Default)]
struct Told(Vec<(Moment, SpanVerdict, VerdictUse)>);

impl Witness for Told {
    fn verdict(&mut self, now: Moment, verdict: SpanVerdict, used: VerdictUse) {
        self.0.push((now, verdict, used));
    }
}

/// From the pins and the belt alone: which lines went past the ejector untouched.
///
/// The ejector follows a command to reject `lead_us` later and lets go at once.
fn untouched(world: &World, edges: &[Edge]) -> Vec<bool> {
    let mut rejecting = vec![(0u64, u64::MAX)];
    for edge in edges.iter().filter(|edge| edge.output == Output::Reject) {
        if edge.energised {
            if let Some(last) = rejecting.last_mut() {
                last.1 = edge.at.ns;
            }
        } else {
            rejecting.push((
                edge.at.ns + u64::from(world.reject.lead_us) * 1000,
                u64::MAX,
            ));
        }
    }
    let mut belt = Belt::new(&world.belt).unwrap();
    let lines: Vec<i64> = (0..world.lines).map(|_| belt.next_line().count.0).collect();
    let mut belt = Belt::new(&world.belt).unwrap();
    let distance = i64::from(world.reject.distance_counts);
    let mut passes = Vec::new();
    while passes.len() < lines.len() {
        let at = belt.next_line();
        while lines
            .get(passes.len())
            .is_some_and(|count| count + distance <= at.count.0)
        {
            let hit = rejecting
                .iter()
                .any(|&(from, to)| from <= at.exposure_ns && at.exposure_ns < to);
            passes.push(!hit);
        }
    }
    passes
}

/// A web of dark good lines and bright defects.
struct BrightCamera {
    world: World,
    belt: Belt,
    next_line: u64,
}

impl Camera for BrightCamera {
    fn format(&self) -> LineFormat {
        LineFormat {
            width_px: WIDTH_PX,
            channels: 1,
            sixteen_bit: false,
            lines_per_block: self.world.lines_per_block,
        }
    }

    fn start(&mut self) -> Result<(), CameraError> {
        Ok(())
    }

    fn next_block(&mut self, _: Duration, into: &mut Block) -> Result<BlockEvent, CameraError> {
        let left = self.world.lines - self.next_line;
        if left == 0 {
            return Ok(BlockEvent::End);
        }
        let lines = left.min(u64::from(self.world.lines_per_block));
        into.first_line = LineNumber(self.next_line);
        into.fault = None;
        into.stamps.clear();
        let mut samples = Vec::new();
        for line in self.next_line..self.next_line + lines {
            let defective = self.world.is_defective(line);
            samples.extend((0..WIDTH_PX).map(|column| {
                if defective && (20..50).contains(&column) {
                    DEFECT
                } else {
                    (line % 100) as u8
                }
            }));
            into.stamps.push(self.belt.next_line());
        }
        into.picture.height_px = lines as usize;
        into.picture.samples = Samples::U8(samples);
        self.next_line += lines;
        Ok(BlockEvent::Filled)
    }

    fn stop(&mut self) {}
}

/// Bright pixels are anomalous.
#[derive(Clone)]
struct BrightEngine {
    broken_tiles: u64,
}

impl Inspector for BrightEngine {
    fn tile_size(&self) -> TileSize {
        TileSize::square(32)
    }

    fn inspect(&mut self, tile: &[f32], out: &mut Prediction) -> Result<(), EngineError> {
        let plane = &tile[..32 * 32];
        let sum: f32 = plane.iter().sum();
        // By content, so that it does not matter which worker has which tile.
        let draw = Random::new(u64::from(sum.to_bits())).next_u64();
        if self.broken_tiles > 0 && draw.is_multiple_of(self.broken_tiles) {
            return Err(EngineError::NotFinite);
        }
        out.anomaly_map.clear();
        out.anomaly_map.extend(
            plane
                .iter()
                .map(|&value| if value > 0.9 { 1.0 } else { 0.0 }),
        );
        Ok(())
    }
}

struct Deaf;

impl Encoder for Deaf {
    fn next_event(&mut self, _: u64) -> Result<Option<EncoderEvent>, PinError> {
        Ok(None)
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("blemish-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}
