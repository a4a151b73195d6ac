//! The web turns.

use super::*;

/// 400 counts forward, 40 back, and 300 forward; `seen` exposes lines on the way back too, and
/// `second` is the verdict of every second look.
fn there_and_back(reverse: ReversePolicy, second: Verdict) -> Line {
    let mut line = Line::new(RejectConfig {
        reverse,
        ..config()
    });
    line.travel(400, ok);
    assert!(!line.outputs.reject);
    let turn = line.next_line;
    for _ in 0..40 {
        line.tick(-1);
        line.expose();
    }
    assert!(line.outputs.alarms.reversed);
    for _ in 0..40 {
        line.tick(1);
        line.expose();
    }
    let again = line.next_line;
    line.verdict(380, (turn - 380) as u32, Verdict::Ok);
    line.verdict(turn, (again - turn) as u32, second);
    line.travel(300, ok);
    assert_eq!(line.sums().missed_counts, 0);
    assert_eq!(line.sums().reversals, 1);
    line
}

fn rejected(line: &Line) -> Vec<i64> {
    (10..590).filter(|w| !line.accepted.contains(w)).collect()
}

#[test]
fn track_backward_takes_no_line_behind_the_farthest() {
    let line = there_and_back(ReversePolicy::TrackBackward, Verdict::Defect);
    // The line at the turning point itself stands where the last one stood: it is taken.
    assert_eq!(line.sums().lines.not_inspected_for(Reason::Stale), 79);
    assert_eq!(line.sums().lines.defect, 1);
    assert!(!rejected(&line).contains(&365), "its first look was ok");
}

#[test]
fn ignore_backward_takes_every_forward_line() {
    let line = there_and_back(ReversePolicy::IgnoreBackward, Verdict::Defect);
    assert_eq!(line.sums().lines.not_inspected_for(Reason::Stale), 40);
    assert_eq!(line.sums().lines.defect, 40);
    let rejected = rejected(&line);
    assert!((362..=400).all(|w| rejected.contains(&w)), "{rejected:?}");
    assert!(!rejected.contains(&345) && !rejected.contains(&425));
}

#[test]
fn bi_directional_takes_every_line() {
    let line = there_and_back(ReversePolicy::BiDirectional, Verdict::Defect);
    assert_eq!(line.sums().lines.not_inspected_total(), 0);
    assert_eq!(line.sums().lines.defect, 80);
    let rejected = rejected(&line);
    assert!((361..=400).all(|w| rejected.contains(&w)), "{rejected:?}");
    assert_eq!(line.sums().counts.defect, 40);
}

#[test]
fn a_bad_first_look_ends_where_it_ended() {
    let mut line = Line::new(RejectConfig {
        reverse: ReversePolicy::BiDirectional,
        ..config()
    });
    // The bad look is at web 400..405, there and back; the second look crosses its end.
    line.travel(405, ok);
    line.block(33, -1);
    line.block(33, 1);
    line.verdict(390, 10, Verdict::Ok);
    line.verdict(400, 10, Verdict::Defect);
    line.verdict(410, 61, Verdict::Ok);
    line.travel(90, ok);
    // One call for the web 395..415.
    line.ms += 19;
    line.count += 19;
    line.tick(1);
    line.travel(60, ok);
    assert_eq!(line.sums().counts.defect, 5);
    assert_eq!(line.sums().missed_counts, 0);
}

#[test]
fn blocks_take_the_same_lines_as_single_exposures() {
    for (policy, stale) in [
        (ReversePolicy::TrackBackward, 79),
        (ReversePolicy::IgnoreBackward, 40),
        (ReversePolicy::BiDirectional, 0),
    ] {
        let mut line = Line::new(RejectConfig {
            reverse: policy,
            ..config()
        });
        line.travel(400, ok);
        line.block(40, -1);
        line.block(40, 1);
        let sums = line.sums();
        let told = sums.lines.not_inspected_for(Reason::Stale);
        // A run that comes to the farthest count is taken as a whole.
        let whole = policy == ReversePolicy::TrackBackward;
        assert!(
            told == stale || (whole && (68..79).contains(&told)),
            "{policy:?} {told}"
        );
    }
}

#[test]
fn the_pulse_comes_early_backwards_too() {
    let mut line = Line::new(config());
    line.travel(460, |span| {
        Some(if span == 30 {
            Verdict::Defect
        } else {
            Verdict::Ok
        })
    });
    assert!(!line.outputs.reject);
    while !line.outputs.reject {
        line.tick(-1);
    }
    // Behind 311 by margin 2, lead 5 and call period 1.
    assert_eq!(line.count, 100 + 311 + 8 - 1);
}

#[test]
fn a_second_look_that_is_ok_rejects_nothing() {
    for policy in [
        ReversePolicy::TrackBackward,
        ReversePolicy::IgnoreBackward,
        ReversePolicy::BiDirectional,
    ] {
        let line = there_and_back(policy, Verdict::Ok);
        assert!(rejected(&line).is_empty(), "{policy:?}");
    }
}

#[test]
fn the_output_follows_the_position_both_ways() {
    let mut line = Line::new(config());
    line.travel(405, |span| {
        Some(if span == 30 {
            Verdict::Defect
        } else {
            Verdict::Ok
        })
    });
    assert!(line.outputs.reject);
    for _ in 0..60 {
        line.tick(-1);
    }
    assert!(!line.outputs.reject, "good web is below the ejector again");
    for _ in 0..55 {
        line.tick(1);
    }
    assert!(line.outputs.reject, "and the defect again");
    assert_eq!(line.sums().pulses, 2);
}

#[test]
fn web_that_was_forgotten_comes_back_as_not_ok() {
    let mut line = Line::new(config());
    line.travel(1000, ok);
    for _ in 0..90 {
        line.tick(-1);
        assert!(!line.outputs.reject);
    }
    for _ in 0..60 {
        line.tick(-1);
    }
    assert!(line.outputs.reject);
}
