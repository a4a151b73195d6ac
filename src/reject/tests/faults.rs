//! What goes wrong on a line, and the stated answer to it.

use super::*;

#[test]
fn a_camera_that_says_nothing_rejects() {
    let mut line = Line::new(config());
    line.travel(300, ok);
    assert!(!line.outputs.reject);
    let last = line.next_line as i64;
    for _ in 0..300 {
        line.tick(1);
    }
    assert!(line.outputs.reject);
    assert!(line.accepted.iter().all(|w| *w < last));
    assert_eq!(line.sums().missed_counts, 0);
    // The camera is back, with line numbers that know nothing of the gap.
    line.travel(300, ok);
    assert!(!line.outputs.reject);
    assert!(line.accepted.iter().all(|w| *w < last || *w > last + 300));
    assert!(line.sums().counts.not_inspected_for(Reason::Dropped) >= 300);
}

#[test]
fn a_gap_in_line_numbers_is_dropped_web() {
    let mut line = Line::new(config());
    line.travel(200, ok);
    line.next_line += 7;
    for _ in 0..7 {
        line.tick(1);
    }
    for _ in 0..33 {
        line.tick(1);
        line.expose();
    }
    assert_eq!(line.sums().lines.not_inspected_for(Reason::Dropped), 7);
    assert_eq!(line.verdict(190, 50, Verdict::Ok), VerdictUse::Taken);
    assert_eq!(line.sums().ignored_lines, 7);
    line.travel(100, |_| None);
    let dropped: Vec<i64> = (190..230).filter(|w| !line.accepted.contains(w)).collect();
    // Web 200..208 was not seen by lines 200..207; the lines around it are good.
    assert!(dropped.contains(&201) && dropped.contains(&207));
    assert_eq!(line.sums().missed_counts, 0);
}

#[test]
fn a_delayed_call_is_a_missed_reject_and_is_told() {
    let mut line = Line::new(config());
    line.travel(385, |span| {
        Some(if span == 30 {
            Verdict::Defect
        } else {
            Verdict::Ok
        })
    });
    assert!(!line.outputs.reject);
    // The eject thread sleeps through the whole span.
    line.ms += 49;
    line.count += 49;
    line.tick(1);
    assert_eq!(line.sums().missed_counts, 10);
    assert!(line.outputs.alarms.missed);
    let missed = line.events.iter().find_map(|e| match e {
        RejectEvent::Missed {
            span,
            what,
            web_count,
            ..
        } => Some((span.map(|s| s.first_line.0), *what, web_count.0)),
        _ => None,
    });
    assert!(missed.is_some());
}

#[test]
fn a_reset_rejects_everything_between_camera_and_ejector() {
    for standing in [false, true] {
        let mut line = Line::new(config());
        line.travel(300, ok);
        assert!(!line.outputs.reject);
        if standing {
            for _ in 0..100 {
                line.tick(0);
            }
        }
        line.count = -5000;
        line.ledger
            .reset(Reason::Startup, line.ms * MS, Count(line.count));
        assert_eq!(line.sums().lines_pending, 0);
        line.tick(0);
        assert!(line.outputs.reject);
        let passed = line.accepted.len();
        line.travel(100, ok);
        assert_eq!(line.accepted.len(), passed);
        // Verdicts of lines from before the reset do nothing, lines after it count.
        line.travel(40, ok);
        assert!(!line.outputs.reject);
        // A reset comes without warning: what passes while the ejector moves is missed, and told.
        assert_eq!(line.sums().missed_counts, 5);
    }
}

#[test]
fn an_encoder_that_jumps_is_a_fault_and_the_ledger_recovers() {
    let mut line = Line::new(config());
    line.travel(300, ok);
    line.count += 1_000_000;
    line.tick(0);
    assert!(line.outputs.reject && line.outputs.alarms.encoder_fault);
    line.count -= 1_000_000;
    line.tick(0);
    assert_eq!(line.sums().encoder_faults, 2);
    line.travel(150, ok);
    assert!(!line.outputs.reject);
    for count in [i64::MAX, i64::MIN, 0] {
        line.count = count;
        line.tick(0);
        assert!(line.outputs.reject);
    }
}

#[test]
fn a_full_ledger_holds_and_drops_nothing() {
    let mut ledger: Ledger<24> = Ledger::new(config(), 0, Count(0)).unwrap();
    let mut ms = 0;
    let mut at = |ledger: &mut Ledger<24>, count: i64| {
        ms += 1;
        ledger.advance(ms * MS, Count(count))
    };
    let expose = |ledger: &mut Ledger<24>, line: u64, count: i64| {
        let stamp = LineStamp {
            exposure_ns: u64::MAX,
            count: Count(count),
        };
        let one = Exposure {
            first_line: LineNumber(line),
            lines: 1,
            first: stamp,
            last: stamp,
        };
        ledger.arm(&one).unwrap();
    };
    let decide = |ledger: &mut Ledger<24>, first_line: u64, lines: u32| {
        let span = Span {
            first_line: LineNumber(first_line),
            lines,
        };
        ledger.verdict(SpanVerdict {
            span,
            verdict: Verdict::Ok,
        })
    };
    for count in 0..150 {
        at(&mut ledger, count);
        expose(&mut ledger, count as u64, count);
        decide(&mut ledger, count as u64, 1);
    }
    assert!(!at(&mut ledger, 150).reject);
    // The web stands, the camera runs freely, and the engine is silent.
    for line in 150..900 {
        expose(&mut ledger, line, 150);
    }
    let outputs = at(&mut ledger, 150);
    assert!(outputs.reject && outputs.alarms.queue_full);
    assert!(ledger.accounting().lines.not_inspected_for(Reason::Config) > 0);
    assert_eq!(ledger.records(), 24);
    ledger.accounting().identity().unwrap();
    // It goes on, and all is well; the hold ends when the web of count 150 has passed.
    decide(&mut ledger, 150, 750);
    for count in 151..400 {
        let outputs = at(&mut ledger, count);
        assert!(count > 252 || outputs.reject, "{count}");
        assert!(count < 262 || !outputs.reject, "{count}");
        expose(&mut ledger, 749 + count as u64, count);
        decide(&mut ledger, 749 + count as u64, 1);
    }
    assert_eq!(ledger.accounting().missed_counts, 0);
    let mut full = 0;
    while let Some(event) = ledger.pop_event() {
        full += usize::from(matches!(event, RejectEvent::QueueFull { .. }));
    }
    assert_eq!(full, 1);
}

#[test]
fn lost_events_are_counted() {
    let mut line = Line::new(config());
    for n in 0..50 {
        line.ledger.hold(n % 2 == 0);
    }
    assert_eq!(line.sums().events_lost, 0);
    for n in 0..50 {
        line.ledger.hold(n % 2 == 0);
    }
    assert_eq!(line.sums().events_lost, 100 - 64);
}

#[test]
fn lines_from_before_a_reset_settle_nothing() {
    let mut line = Line::new(config());
    line.travel(300, ok);
    let old: Vec<LineStamp> = (0..10)
        .map(|_| {
            line.tick(1);
            line.stamp()
        })
        .collect();
    line.ms += 1;
    line.ledger
        .reset(Reason::Stale, line.ms * MS, Count(line.count));
    let pending = 310 - line.sums().lines.ok - 10;
    line.arm(&old);
    assert_eq!(line.sums().lines_pending, 0);
    assert_eq!(
        line.sums().lines.not_inspected_for(Reason::Stale),
        pending + 10
    );
    assert_eq!(line.verdict(300, 10, Verdict::Ok), VerdictUse::Ignored);
    assert_eq!(line.ledger.records(), 0);
}

#[test]
fn web_that_was_committed_before_its_lines_were_told_is_late() {
    let mut line = Line::new(config());
    line.travel(300, ok);
    let stamps: Vec<LineStamp> = (0..120)
        .map(|_| {
            line.tick(1);
            line.stamp()
        })
        .collect();
    line.arm(&stamps);
    // Web 300..330 is committed; an ok between two calls of `advance` changes nothing.
    line.verdict(270, 30, Verdict::Ok);
    let before = line.sums().late_ok_lines;
    assert_eq!(line.verdict(300, 20, Verdict::Ok), VerdictUse::Late);
    assert_eq!(line.sums().late_ok_lines, before + 20);
    assert_eq!(line.verdict(330, 90, Verdict::Ok), VerdictUse::Taken);
}

#[test]
fn a_verdict_for_lines_to_come_decides_nothing() {
    let mut line = Line::new(config());
    line.travel(20, ok);
    assert_eq!(line.verdict(0, 30, Verdict::Ok), VerdictUse::Taken);
    assert_eq!(line.sums().ignored_lines, 10);
    line.travel(4, |_| None);
    assert_eq!(line.verdict(20, 4, Verdict::Ok), VerdictUse::Taken);
}

#[test]
fn a_run_that_spans_too_much_web_is_not_inspected() {
    let mut line = Line::new(config());
    line.travel(200, ok);
    let first = line.stamp();
    for _ in 0..20 {
        line.tick(1);
    }
    let long = Exposure {
        first_line: LineNumber(200),
        lines: 10,
        first,
        last: line.stamp(),
    };
    line.ledger.arm(&long).unwrap();
    line.next_line += 10;
    assert_eq!(line.sums().lines.not_inspected_for(Reason::Dropped), 10);
    line.verdict(180, 30, Verdict::Ok);
    line.travel(150, |_| Some(Verdict::Ok));
    assert!((200..220).all(|w| !line.accepted.contains(&w)));
}

#[test]
fn web_that_found_no_place_is_rejected_each_time_it_comes() {
    let mut line = Line::new(config());
    line.travel(150, ok);
    // Ten lines per count make a span of each count: more than the ledger holds.
    for _ in 0..80 {
        line.tick(1);
        let stamps = [line.stamp(); 10];
        line.arm(&stamps);
    }
    assert!(line.outputs.alarms.queue_full && line.outputs.reject);
    assert!(line.sums().lines.not_inspected_for(Reason::Config) > 0);
    let lines = line.next_line;
    line.verdict(130, (lines - 130) as u32, Verdict::Ok);
    line.next_line = lines.next_multiple_of(10);
    for _ in 0..150 {
        line.tick(1);
        line.expose();
        let last = line.next_line - 1;
        line.verdict(last, 1, Verdict::Ok);
    }
    assert!(!line.outputs.alarms.queue_full && !line.outputs.reject);
    assert!(line.sums().counts.not_inspected_for(Reason::Config) > 10);
    assert_eq!(line.sums().missed_counts, 0);
    // Web 215 is in the hole; the web goes back until it is below the ejector.
    while line.count > 315 {
        line.tick(-1);
    }
    assert!(line.outputs.reject);
}

#[test]
fn lines_out_of_order_are_refused() {
    let mut line = Line::new(config());
    line.travel(20, ok);
    line.next_line = 5;
    let stamp = LineStamp::default();
    let mut one = Exposure {
        first_line: LineNumber(5),
        lines: 1,
        first: stamp,
        last: stamp,
    };
    let refused = line.ledger.arm(&one).unwrap_err();
    assert!(refused.to_string().contains("line 20"), "{refused}");
    one.lines = 0;
    assert_eq!(
        line.ledger.arm(&one),
        Err(ArmError::Empty { first_line: 5 })
    );
    one.first_line = LineNumber(u64::MAX - 1);
    one.lines = 3;
    assert!(matches!(
        line.ledger.arm(&one),
        Err(ArmError::LineNumbers { .. })
    ));
}

#[test]
fn bad_news_of_standing_web_waits_for_the_first_movement() {
    let mut line = Line::new(RejectConfig {
        reverse: ReversePolicy::BiDirectional,
        ..config()
    });
    line.travel(300, ok);
    // Back and forth again; a line at the turn is told of only when the web stands.
    for _ in 0..120 {
        line.tick(-1);
    }
    let turn = line.stamp();
    for _ in 0..120 {
        line.tick(1);
    }
    for _ in 0..60 {
        line.tick(0);
    }
    assert!(line.outputs.stationary && !line.outputs.reject);
    line.arm(&[turn]);
    line.tick(0);
    assert!(!line.outputs.reject);
    line.tick(1);
    assert!(line.outputs.reject);
}

/// Half as fast again as the greatest speed is no encoder's fault, so pulses must come in time there too.
#[test]
fn a_web_above_the_greatest_speed_is_still_rejected_in_time() {
    let mut line = Line::new(RejectConfig {
        max_speed_counts_per_s: 650,
        ..config()
    });
    line.travel(400, |span| {
        Some(match span {
            12 => Verdict::Defect,
            _ => Verdict::Ok,
        })
    });
    assert_eq!(line.outputs.speed_millicounts_per_s, 1_000_000);
    assert!(line.accepted.contains(&110) && line.accepted.contains(&140));
    assert!(
        line.accepted
            .iter()
            .all(|count| !(121..=130).contains(count))
    );
    assert_eq!(line.sums().missed_counts, 0, "{:?}", line.events);
}
