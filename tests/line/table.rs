//! The table of belt speeds and tile times, kept as text: a change of behaviour is a change of the
//! file. `BLEMISH_UPDATE_SNAPSHOTS=1` writes it anew.

use crate::rig::{DEFECT_EVERY, DEFECT_LINES, Rig};
use blemish::camera::BeltSpec;
use blemish::draem::score::Window;
use blemish::geometry::TileSize;
use blemish::model::ColorOrder;
use blemish::reject::RejectConfig;
use blemish::verdict::Reason;
use blemish::web::WebConfig;
use std::fmt::Write;

const LINES: u64 = 20_000;
const WORKERS: usize = 3;
/// Lines between camera and ejector: by what a verdict takes at the highest speed, and generously.
const DISTANCES: [u32; 2] = [600, 6_000];
const LINE_RATES_HZ: [u32; 6] = [500, 1_000, 2_000, 4_000, 8_000, 16_000];
const TILE_TIMES_MS: [u64; 6] = [2, 5, 10, 20, 40, 80];

fn web() -> WebConfig {
    WebConfig {
        width_px: 208,
        columns: None,
        channels: 1,
        sixteen_bit: false,
        tile: TileSize::square(64),
        overlap_px: 16,
        color_order: ColorOrder::Rgb,
        window: Window::OFFICIAL,
        threshold: 0.3,
        min_area_px: 1,
        span_lines: 64,
        max_region_lines: 256,
        rolling_lines: 4 * 64 + 4 * 32,
        tiles_in_flight: 8,
        min_segment_lines: 32,
        keep_reconstruction: false,
    }
}

fn reject(distance_counts: u32) -> RejectConfig {
    RejectConfig {
        distance_counts,
        lead_us: 10_000,
        call_period_us: 1_000,
        margin_counts: 20,
        min_pulse_us: 10_000,
        recovery_us: 10_000,
        max_speed_counts_per_s: 16_000,
        max_counts_per_line: 1,
        span_lines: 64,
        // What the integrator believed; the table shows what happens where it is not so.
        latency_us: 20_000,
        ..RejectConfig::default()
    }
}

fn table() -> String {
    let mut text = String::from(
        "Belt speed x time of a tile, in permille of the web that passed the ejector.\n\
         Web of 208 px in tiles of 64 px that share 16: 4 tiles for 48 lines. 3 workers, 8 tiles under way, 384 lines wait at most.\n\
         20 lines in 800 have a defect. Lead 10 ms, call period 1 ms, margin 20, minimum pulse and recovery 10 ms, span 64.\n\
         load = share of the workers' time that the web asks for, in percent; distance = lines between camera and ejector.\n\
         ok + defect + late + other = 1000, other = web of the start and the end; rejected-good = ok in time, yet rejected.\n\
         missed = not ok, yet untouched; escaped = lines with a defect that passed untouched, seen from belt and ejector alone.\n\n\
         lines/s tile_ms load distance   ok defect late other  rejected rejected-good pulses  missed escaped\n",
    );
    for distance in DISTANCES {
        for rate in LINE_RATES_HZ {
            for tile_ms in TILE_TIMES_MS {
                let belt = BeltSpec {
                    line_rate_hz: f64::from(rate),
                    counts_per_line: 1,
                    moves: Vec::new(),
                };
                let mut rig = Rig::new(&belt, web(), reject(distance), WORKERS, tile_ms * 1000);
                rig.run_to(LINES);
                rig.finish();
                let sums = rig.accounting();
                sums.identity().expect("the accounting identity");
                assert_eq!(sums.lines_travelled, LINES);
                assert!(rig.defects_passed >= LINES / DEFECT_EVERY * DEFECT_LINES);
                let here = format!("{rate} lines/s, {tile_ms} ms, distance {distance}");
                assert_eq!(sums.missed_counts, 0, "{here}");
                assert_eq!(rig.defects_untouched, 0, "{here}");
                let permille =
                    |part: u64| (part * 1000 + sums.counts_travelled / 2) / sums.counts_travelled;
                let late = sums.counts.not_inspected_for(Reason::Late);
                let other = sums.counts.not_inspected_total() - late;
                let load = u64::from(rate) * 4 * tile_ms / (48 * WORKERS as u64 * 10);
                writeln!(
                    text,
                    "{rate:>7} {tile_ms:>7} {load:>4} {distance:>8} {:>4} {:>6} {:>4} {:>5} {:>9} {:>13} {:>6} {:>7} {:>7}",
                    permille(sums.counts.ok),
                    permille(sums.counts.defect),
                    permille(late),
                    permille(other),
                    permille(sums.rejected_counts),
                    permille(sums.rejected_ok_counts),
                    sums.pulses,
                    permille(sums.missed_counts),
                    rig.defects_untouched,
                )
                .expect("writing to a string");
            }
        }
    }
    text
}

#[test]
fn speeds_and_tile_times_give_the_known_table() {
    crate::snapshot::is_kept("speed_latency.txt", &table());
}
