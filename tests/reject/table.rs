//! The table of belt speeds and latencies, kept as text: a change of behaviour is a change of the
//! file. `BLEMISH_UPDATE_SNAPSHOTS=1` writes it anew.

use blemish::block::LineStamp;
use blemish::geometry::{Count, LineNumber};
use blemish::reject::{Ledger, Outputs, RejectConfig};
use blemish::verdict::{Reason, Span, SpanVerdict, Verdict};
use std::collections::VecDeque;
use std::fmt::Write;

const DISTANCE: u32 = 6_000;
const SPAN: u32 = 256;
const COUNTS: i64 = 120_000;
/// One span in this many has a defect.
const DEFECT_EVERY: u64 = 8;
const SPEEDS_COUNTS_PER_S: [i64; 6] = [500, 1_000, 2_000, 5_000, 10_000, 20_000];
const LATENCIES_MS: [u64; 6] = [20, 100, 300, 600, 1_000, 3_000];

/// Runs a steady belt with a line per count; the eject thread looks every millisecond and, where
/// `stalled`, sleeps for half a second in every five.
fn belt(speed: i64, latency_ms: u64, stalled: bool) -> Ledger<256> {
    let config = RejectConfig {
        distance_counts: DISTANCE,
        lead_us: 10_000,
        call_period_us: 1_000,
        margin_counts: 20,
        min_pulse_us: 20_000,
        recovery_us: 20_000,
        max_speed_counts_per_s: 20_000,
        max_counts_per_line: 1,
        span_lines: SPAN,
        // What the integrator believed; the table shows what happens when it is not so.
        latency_us: 250_000,
        ..RejectConfig::default()
    };
    let mut ledger: Ledger<256> = Ledger::new(config.clone(), 0, Count(0)).expect("valid settings");
    let mut due: VecDeque<(u64, SpanVerdict)> = VecDeque::new();
    let mut line = 0i64;
    let mut ms = 0u64;
    let mut stamps = Vec::new();
    let mut outputs: Outputs;
    loop {
        ms += 1;
        let now_ns = ms * 1_000_000;
        let count = speed * ms as i64 / 1_000;
        if count > COUNTS {
            return ledger;
        }
        // Blocks of 64 lines: they are known when their last line is exposed.
        while line + 64 <= count {
            stamps.clear();
            for l in line..line + 64 {
                stamps.push(LineStamp {
                    exposure_ns: (l * 1_000_000_000 / speed) as u64,
                    count: Count(l),
                });
            }
            for exposure in config.exposures(LineNumber(line as u64), &stamps) {
                ledger.arm(&exposure).expect("lines in order");
            }
            line += 64;
            if line % i64::from(SPAN) == 0 {
                let first = (line - i64::from(SPAN)) as u64;
                let verdict = if (first / u64::from(SPAN)).is_multiple_of(DEFECT_EVERY) {
                    Verdict::Defect
                } else {
                    Verdict::Ok
                };
                let span = Span {
                    first_line: LineNumber(first),
                    lines: SPAN,
                };
                due.push_back((
                    now_ns + latency_ms * 1_000_000,
                    SpanVerdict { span, verdict },
                ));
            }
        }
        while due.front().is_some_and(|(at, _)| *at <= now_ns) {
            if let Some((_, given)) = due.pop_front() {
                ledger.verdict(given);
            }
        }
        if stalled && ms % 5_000 < 500 {
            continue;
        }
        outputs = ledger.advance(now_ns, Count(count));
        assert!(!outputs.alarms.queue_full && !outputs.alarms.encoder_fault);
        while ledger.pop_event().is_some() {}
        ledger
            .accounting()
            .identity()
            .expect("the accounting identity");
    }
}

fn table() -> String {
    let mut text = String::from(
        "Belt speed x latency from a span's last line to its verdict, in permille of the web that passed the ejector.\n\
         Distance 6000 counts, span 256, lead 10 ms, call period 1 ms, margin 20, minimum pulse and recovery 20 ms.\n\
         One span in 8 has a defect. 'stalled': the eject thread sleeps for 0.5 s in every 5 s.\n\
         ok + defect + late + startup = 1000; missed = not ok, yet untouched; rejected-good = ok in time, yet rejected.\n\n\
         speed/s latency_ms stalled   ok defect late startup  missed rejected-good pulses\n",
    );
    for stalled in [false, true] {
        for speed in SPEEDS_COUNTS_PER_S {
            for latency_ms in LATENCIES_MS {
                let ledger = belt(speed, latency_ms, stalled);
                let sums = ledger.accounting();
                let permille =
                    |part: u64| (part * 1000 + sums.counts_travelled / 2) / sums.counts_travelled;
                let word = |reason| permille(sums.counts.not_inspected_for(reason));
                writeln!(
                    text,
                    "{speed:>7} {latency_ms:>10} {:>7} {:>4} {:>6} {:>4} {:>7} {:>7} {:>13} {:>6}",
                    if stalled { "yes" } else { "no" },
                    permille(sums.counts.ok),
                    permille(sums.counts.defect),
                    word(Reason::Late),
                    word(Reason::Startup),
                    permille(sums.missed_counts),
                    permille(sums.rejected_ok_counts),
                    sums.pulses,
                )
                .expect("writing to a string");
                if !stalled {
                    assert_eq!(
                        sums.missed_counts, 0,
                        "speed {speed}, latency {latency_ms} ms"
                    );
                }
            }
        }
    }
    text
}

#[test]
fn speeds_and_latencies_give_the_known_table() {
    crate::snapshot::is_kept("reject_table.txt", &table());
}
