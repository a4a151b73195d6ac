use super::*;
use proptest::prelude::*;

const LINES: u32 = 10;
const MS: u64 = 1_000_000;

fn frames() -> Frames {
    Frames::new(LINES, 1000.0)
}

/// A good frame of 10 ms whose end is at `end_ms`.
fn good(sequence: u32, end_ms: u64) -> BufferFacts {
    BufferFacts {
        sequence,
        stamp_ns: Some(end_ms * MS),
        stamped_at_start: false,
        arrival_ns: end_ms * MS + MS,
        error_flag: false,
        whole_lines: LINES,
    }
}

#[test]
fn lines_are_exposed_before_the_end_of_their_frame_or_after_its_start() {
    let mut at_end = frames();
    let own = at_end.judge(good(7, 100)).own;
    assert_eq!((own.first_line, own.lines), (0, 10));
    assert_eq!((own.exposure_ns(0), own.exposure_ns(9)), (90 * MS, 99 * MS));
    let mut at_start = frames();
    let facts = BufferFacts {
        stamped_at_start: true,
        arrival_ns: 111 * MS,
        ..good(7, 100)
    };
    let own = at_start.judge(facts).own;
    assert_eq!(
        (own.exposure_ns(0), own.exposure_ns(9)),
        (100 * MS, 109 * MS)
    );
}

/// The time from start to start has the pause in it, and is no measure of the frame that follows.
#[test]
fn no_line_behind_a_pause_is_exposed_after_its_frame_has_arrived() {
    let mut frames = frames();
    let minutes = 600_000;
    let starts = [0, 10, 20, minutes + 30, minutes + 40, minutes + 50];
    for (sequence, start_ms) in starts.into_iter().enumerate() {
        let facts = BufferFacts {
            stamped_at_start: true,
            arrival_ns: (start_ms + if start_ms == 20 { minutes + 11 } else { 11 }) * MS,
            ..good(sequence as u32, start_ms)
        };
        let own = frames.judge(facts).own;
        assert_eq!(own.from_ns, start_ms * MS);
        assert!(own.to_ns <= (start_ms + 11) * MS, "{sequence}: {own:?}");
    }
    assert_eq!(frames.line_ns, 1e6);
}

#[test]
fn the_line_period_is_measured_over_missing_frames_too() {
    let mut frames = frames();
    frames.judge(good(0, 100));
    assert_eq!(frames.judge(good(1, 120)).fault, None);
    assert_eq!(frames.line_ns, 2e6);
    let judged = frames.judge(good(4, 180));
    assert_eq!(frames.line_ns, 2e6);
    assert_eq!((judged.missing.first_line, judged.missing.lines), (20, 20));
    assert_eq!(judged.own.first_line, 40);
    assert_eq!(judged.own.exposure_ns(0), 160 * MS);
    assert_eq!(judged.missing.exposure_ns(0), 118 * MS);
    assert_eq!(judged.missing.exposure_ns(10), 139 * MS);
    assert_eq!(frames.counts.missing_frames, 2);
}

/// The lines' times run on over a pause that the frame before showed too late; the driver's own do not.
#[test]
fn a_frames_own_time_is_told_whatever_its_lines_are_said_to_be() {
    for stamped_at_start in [true, false] {
        let mut frames = frames();
        for (sequence, stamp_ms) in [(0, 100), (1, 110), (2, 10_110), (3, 10_120), (4, 10_130)] {
            let facts = BufferFacts {
                stamped_at_start,
                ..good(sequence, stamp_ms)
            };
            let judged = frames.judge(facts);
            let line = match stamped_at_start {
                true => Timed::First,
                false => Timed::Last,
            };
            assert_eq!(judged.timed, Some((line, stamp_ms * MS)), "{sequence}");
        }
        assert_eq!(frames.judge(good(4, 10_140)).timed, None, "a copy");
    }
}

#[test]
fn the_sequence_wraps_without_a_gap() {
    let mut frames = frames();
    frames.judge(good(u32::MAX, 100));
    let judged = frames.judge(good(0, 110));
    assert_eq!((judged.missing.lines, judged.fault), (0, None));
    let judged = frames.judge(good(2, 130));
    assert_eq!((judged.missing.lines, judged.fault), (10, None));
}

#[test]
fn a_second_copy_is_stale_and_no_new_web() {
    let mut frames = frames();
    frames.judge(good(5, 100));
    let copy = frames.judge(good(5, 100));
    assert_eq!((copy.fault, copy.own.new_web), (Some(Reason::Stale), false));
    assert_eq!((copy.own.first_line, copy.own.web_lines(9)), (10, 10));
    let next = frames.judge(good(6, 110));
    assert_eq!((next.fault, next.own.web_lines(0)), (None, 11));
    // The number repeats, but time went on: web that passed, with pixels of unknown age.
    let again = frames.judge(good(6, 120));
    assert_eq!(
        (again.fault, again.own.new_web),
        (Some(Reason::Stale), true)
    );
}

#[test]
fn every_doubt_has_its_reason() {
    let cases = [
        (
            BufferFacts {
                error_flag: true,
                ..good(1, 110)
            },
            Some(Reason::ErrorFlag),
            false,
        ),
        (
            BufferFacts {
                whole_lines: 9,
                ..good(1, 110)
            },
            Some(Reason::Short),
            false,
        ),
        (good(1, 100), Some(Reason::Stale), false),
        (good(1, 99), Some(Reason::Stale), false),
        (
            BufferFacts {
                arrival_ns: 105 * MS,
                ..good(1, 300)
            },
            Some(Reason::Stale),
            false,
        ),
        // Vivid stamps the end of a frame before it is there.
        (
            BufferFacts {
                arrival_ns: 101 * MS,
                ..good(1, 110)
            },
            None,
            false,
        ),
        (
            BufferFacts {
                stamp_ns: None,
                ..good(1, 0)
            },
            Some(Reason::Stale),
            false,
        ),
        (
            BufferFacts {
                stamp_ns: None,
                ..good(1, 110)
            },
            None,
            false,
        ),
        (good(0, 110), Some(Reason::Stale), false),
        (good(u32::MAX, 110), Some(Reason::Stale), true),
        (good(1 << 20, 110), Some(Reason::Stale), true),
    ];
    for (facts, fault, place_lost) in cases {
        let mut frames = frames();
        frames.judge(good(0, 100));
        let judged = frames.judge(facts);
        assert_eq!(
            (judged.fault, judged.place_lost),
            (fault, place_lost),
            "{facts:?}"
        );
    }
}

#[test]
fn a_new_stream_has_no_gap_and_lines_go_on() {
    let mut frames = frames();
    frames.judge(good(500, 100));
    frames.stream_begins(0);
    let judged = frames.judge(good(0, 5000));
    assert_eq!((judged.missing.lines, judged.fault), (0, None));
    assert_eq!(judged.own.first_line, 10);
}

/// v4l2loopback hands a reader what its writer wrote before, then what is written now.
#[test]
fn what_the_driver_kept_from_before_the_stream_is_stale_and_no_loss() {
    let mut frames = frames();
    frames.stream_begins(205 * MS);
    let kept = frames.judge(good(10, 180));
    assert_eq!(kept.fault, Some(Reason::Stale));
    let kept = frames.judge(good(12, 200));
    assert_eq!(
        (kept.fault, kept.missing.lines, kept.missing_for),
        (Some(Reason::Stale), 10, Reason::Stale)
    );
    let first = frames.judge(good(15, 230));
    assert_eq!(
        (first.fault, first.missing.lines, first.missing_for),
        (None, 20, Reason::Stale)
    );
    assert_eq!((frames.counts.missing_frames, frames.counts.stale), (0, 5));
    let next = frames.judge(good(17, 250));
    assert_eq!(
        (next.fault, next.missing.lines, next.missing_for),
        (None, 10, Reason::Dropped)
    );
    assert_eq!(frames.counts.missing_frames, 1);
}

/// A driver's misfortunes, and how many frames really passed with each.
#[derive(Debug, Clone, Copy)]
enum Next {
    Good,
    Missing(u32),
    Error,
    Short(u32),
    Repeated,
    Copied,
    TimeBack(u64),
    Future,
    NoClock,
    NewSequence(u32),
    NewStream,
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        4 => Just(Next::Good),
        1 => (1u32..100).prop_map(Next::Missing),
        1 => Just(Next::Error),
        1 => (0..LINES).prop_map(Next::Short),
        1 => Just(Next::Repeated),
        1 => Just(Next::Copied),
        1 => (0u64..1000).prop_map(Next::TimeBack),
        1 => Just(Next::Future),
        1 => Just(Next::NoClock),
        1 => (MOST_MISSING_FRAMES + 1..u32::MAX).prop_map(Next::NewSequence),
        1 => Just(Next::NewStream),
    ]
}

proptest! {
    #[test]
    fn no_line_is_lost_no_time_goes_back_and_no_doubt_passes(
        first in prop_oneof![Just(u32::MAX - 3), any::<u32>()],
        steps in prop::collection::vec((next(), 1u64..50), 1..120),
        stamped_at_start in any::<bool>(),
    ) {
        let mut frames = frames();
        let mut time_ms = 1000;
        let mut newest_ns = time_ms * MS;
        let mut sequence = first;
        frames.judge(good(sequence, time_ms));
        let (mut next_line, mut told_ns, mut web) = (10, 0, 10);
        for (step, took_ms) in steps {
            time_ms += took_ms;
            let (ahead, missing, doubtful) = match step {
                Next::Missing(missing) => (missing + 1, missing, false),
                Next::Repeated | Next::Copied => (0, 0, true),
                Next::NewSequence(ahead) => (ahead, 0, true),
                Next::Good | Next::NoClock | Next::NewStream => (1, 0, false),
                _ => (1, 0, true),
            };
            sequence = sequence.wrapping_add(ahead);
            let mut facts = BufferFacts { stamped_at_start, ..good(sequence, time_ms) };
            match step {
                Next::Error => facts.error_flag = true,
                Next::Short(lines) => facts.whole_lines = lines,
                Next::Copied => facts.stamp_ns = Some(newest_ns),
                Next::TimeBack(back_ms) => {
                    facts.stamp_ns = Some(newest_ns.saturating_sub(back_ms * MS));
                }
                Next::Future => facts.stamp_ns = Some((time_ms + 5000) * MS),
                Next::NoClock => facts.stamp_ns = None,
                Next::NewStream => frames.stream_begins(0),
                _ => {}
            }
            let stamp_ns = match step {
                Next::Future | Next::NoClock => facts.arrival_ns,
                _ => facts.stamp_ns.unwrap_or(0),
            };
            newest_ns = match step {
                Next::NewStream => stamp_ns,
                _ => newest_ns.max(stamp_ns),
            };
            let judged = frames.judge(facts);
            prop_assert_eq!(judged.missing.lines, u64::from(missing * LINES));
            prop_assert_eq!(judged.own.lines, u64::from(LINES));
            prop_assert!(!doubtful || judged.fault.is_some(), "{:?}", step);
            prop_assert_eq!(judged.place_lost, matches!(step, Next::NewSequence(_)));
            let mut pieces = vec![];
            for mut run in [judged.missing, judged.own] {
                while run.lines > 0 {
                    pieces.push(run.split(7));
                }
            }
            for piece in pieces {
                for place in 0..piece.lines {
                    prop_assert_eq!(piece.first_line + place, next_line);
                    let at_ns = piece.exposure_ns(place);
                    prop_assert!(at_ns >= told_ns, "{:?}: {} after {}", step, at_ns, told_ns);
                    prop_assert!(at_ns <= facts.arrival_ns, "{:?}: {}", step, at_ns);
                    let lines = piece.web_lines(place);
                    prop_assert_eq!(lines, web + u64::from(piece.new_web));
                    (next_line, told_ns, web) = (next_line + 1, at_ns, lines);
                }
            }
        }
    }
}
