//! The eject thread takes no memory while the web runs: an allocator may wait for a lock that a thread without
//! priority holds.

#[path = "common/allocations.rs"]
mod allocations;

use allocations::allocations;
use blemish::block::LineStamp;
use blemish::camera::{BeltSpec, Synthetic, SyntheticSpec, WebSpec};
use blemish::draem::score::Window;
use blemish::engine::{EngineError, Inspector, Prediction};
use blemish::evidence::Fault;
use blemish::geometry::TileSize;
use blemish::model::ColorOrder;
use blemish::pins::{BeltEncoder, Encoder, EncoderEvent, Moment, Output, Outputs, PinError};
use blemish::reject::RejectConfig;
use blemish::station::{
    LightWatch, LineCounts, Pace, RealClock, RealtimeConfig, Setup, Witness, run,
};
use blemish::web::WebConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const TILE_PX: u32 = 32;
const WIDTH_PX: u32 = 128;

/// The belt's encoder, on the eject thread: counts what that thread has allocated since the first look.
struct Counted {
    belt: BeltEncoder,
    first: Option<u64>,
    taken: Arc<AtomicU64>,
}

impl Encoder for Counted {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        // The belt's own memory is taken with the first event.
        let event = self.belt.next_event(until_ns);
        let first = *self.first.get_or_insert_with(allocations);
        self.taken.store(allocations() - first, Ordering::Relaxed);
        event
    }

    fn lines(&mut self, stamps: &[LineStamp]) {
        self.belt.lines(stamps);
    }
}

/// One tile in 211 has a defect.
struct Rarely(u64);

impl Inspector for Rarely {
    fn tile_size(&self) -> TileSize {
        TileSize::square(TILE_PX)
    }

    fn inspect(&mut self, _: &[f32], out: &mut Prediction) -> Result<(), EngineError> {
        self.0 += 1;
        let anomaly = if self.0.is_multiple_of(211) { 1.0 } else { 0.0 };
        out.anomaly_map.clear();
        out.anomaly_map
            .resize(TileSize::square(TILE_PX).area(), anomaly);
        Ok(())
    }
}

/// Edges of `reject`.
struct Edges(bool, u64);

impl Outputs for Edges {
    fn drive(&mut self, output: Output, energised: bool, _: Moment) -> Result<(), PinError> {
        if output == Output::Reject && std::mem::replace(&mut self.0, energised) != energised {
            self.1 += 1;
        }
        Ok(())
    }

    fn release_all(&mut self, _: Moment) -> Result<(), PinError> {
        Ok(())
    }
}

/// Faults have words, and those take memory.
#[derive(Default)]
struct Faults(u64);

impl Witness for Faults {
    fn fault(&mut self, _: Moment, _: &Fault) {
        self.0 += 1;
    }
}

#[test]
fn counts_ledger_and_pins_take_no_memory() {
    let belt = BeltSpec::default();
    let spec = SyntheticSpec {
        web: WebSpec {
            width_px: WIDTH_PX,
            ..WebSpec::default()
        },
        defects: Vec::new(),
        lines: 4000,
        lines_per_block: 32,
        belt: belt.clone(),
    };
    let reject = RejectConfig {
        distance_counts: 8000,
        lead_us: 2000,
        span_lines: 64,
        latency_us: 600_000,
        max_speed_counts_per_s: 8000,
        ..RejectConfig::default()
    };
    let taken = Arc::new(AtomicU64::new(u64::MAX));
    let encoder = Counted {
        belt: BeltEncoder::new(&belt).unwrap(),
        first: None,
        taken: Arc::clone(&taken),
    };
    let setup = Setup {
        web: WebConfig {
            width_px: WIDTH_PX,
            columns: None,
            channels: 1,
            sixteen_bit: false,
            tile: TileSize::square(TILE_PX),
            overlap_px: 12,
            color_order: ColorOrder::Rgb,
            window: Window::OFFICIAL,
            threshold: 0.3,
            min_area_px: 1,
            span_lines: reject.span_lines,
            max_region_lines: 128,
            rolling_lines: 256,
            tiles_in_flight: 6,
            min_segment_lines: 8,
            keep_reconstruction: false,
        },
        reject,
        pace: Pace::Real,
        camera: Box::new(Synthetic::new(&spec).unwrap()),
        light: LightWatch::default(),
        encoder: Box::new(encoder),
        is_live: false,
        line_counts: LineCounts::Encoder,
        is_confirmed: false,
        confirm: None,
        clock: RealClock::start(),
        interrupted: Arc::default(),
        realtime: RealtimeConfig::default(),
        #[cfg(target_os = "linux")]
        thermal: None,
        workers: vec![Rarely(0)],
        replay: None,
        record: None,
    };
    let (mut edges, mut faults) = (Edges(false, 0), Faults::default());
    let summary = run(setup, &mut edges, &mut faults).unwrap();
    assert!(summary.accounting.pulses > 1 && edges.1 > 3, "{summary:?}");
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken <= 8 * faults.0, "{taken} allocations");
}
