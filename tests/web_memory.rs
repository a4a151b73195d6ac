//! The core takes no memory while the web runs: an allocation on the line is a pause that nobody
//! asked for, and memory that grows is a station that stops after a month.

#[path = "common/allocations.rs"]
mod allocations;

use allocations::allocations;
use blemish::block::{Block, LineStamp};
use blemish::draem::score::Window;
use blemish::engine::Prediction;
use blemish::geometry::{LineNumber, TileSize};
use blemish::model::ColorOrder;
use blemish::picture::Picture;
use blemish::verdict::{Reason, SpanVerdict, Verdict};
use blemish::web::{Region, Sink, Web, WebConfig};

#[derive(Default)]
struct Tally {
    ok: u64,
    defect: u64,
    not_inspected: u64,
    regions: u64,
}

impl Sink for Tally {
    fn verdict(&mut self, verdict: SpanVerdict) {
        let lines = u64::from(verdict.span.lines);
        match verdict.verdict {
            Verdict::Ok => self.ok += lines,
            Verdict::Defect => self.defect += lines,
            Verdict::NotInspected(_) => self.not_inspected += lines,
        }
    }

    fn region(&mut self, _: &Region) {
        self.regions += 1;
    }
}

const WIDTH: usize = 300;
const LINES: usize = 64;

/// Blocks with marks and a scratch; every seventh is faulty, every eleventh is missing.
fn blocks() -> Vec<Block> {
    (0..77u64)
        .filter(|turn| turn % 11 != 10)
        .map(|turn| {
            let samples = (0..WIDTH * LINES).map(|i| {
                let (x, y) = (i % WIDTH, i / WIDTH);
                let mark = turn % 5 == 0 && (100..140).contains(&x) && (20..50).contains(&y);
                let scratch = turn > 40 && (200..215).contains(&x);
                if mark || scratch { 255 } else { 0 }
            });
            Block {
                first_line: LineNumber(turn * LINES as u64),
                picture: Picture::from_grey8(WIDTH, LINES, samples.collect()).unwrap(),
                stamps: vec![LineStamp::default(); LINES],
                timed_line: None,
                fault: (turn % 7 == 6).then_some(Reason::ErrorFlag),
            }
        })
        .collect()
}

#[test]
fn no_allocation_after_construction() {
    let tile = TileSize::square(64);
    let mut web = Web::new(WebConfig {
        width_px: WIDTH as u32,
        columns: None,
        channels: 1,
        sixteen_bit: false,
        tile,
        overlap_px: 16,
        color_order: ColorOrder::Rgb,
        window: Window::OFFICIAL,
        threshold: 0.3,
        min_area_px: 100,
        span_lines: 32,
        max_region_lines: 200,
        rolling_lines: 192,
        tiles_in_flight: 4,
        min_segment_lines: 32,
        keep_reconstruction: true,
    })
    .unwrap();
    let mut sink = Tally::default();
    let blocks = blocks();
    let mut pixels = Vec::with_capacity(3 * tile.area());
    let mut prediction = Prediction {
        anomaly_map: vec![0.0; tile.area()],
        reconstruction: vec![0.5; 3 * tile.area()],
    };
    let before = allocations();
    for (turn, block) in blocks.iter().enumerate() {
        web.push(block, &mut sink).unwrap();
        // For a while the engine is too slow.
        let most = if (30..40).contains(&turn) { 2 } else { 100 };
        for _ in 0..most {
            let Some(job) = web.next_tile(&mut pixels) else {
                break;
            };
            prediction
                .anomaly_map
                .copy_from_slice(&pixels[..tile.area()]);
            web.finish_tile(job.id, Ok(&prediction), &mut sink);
        }
    }
    web.abort(Reason::Shutdown, &mut sink);
    assert_eq!(allocations() - before, 0);
    let end = 76 * LINES as u64;
    assert_eq!(sink.ok + sink.defect + sink.not_inspected, end);
    // The test means something only if all of it happened.
    assert!(sink.ok > 500 && sink.defect > 500 && sink.not_inspected > 500);
    assert!(sink.regions > 10, "{} regions", sink.regions);
}
