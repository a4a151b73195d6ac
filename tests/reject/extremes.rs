//! Any call with any number, in any order: no panic, no wrap, and the sums still add up.

use blemish::block::LineStamp;
use blemish::geometry::{Count, LineNumber};
use blemish::reject::{Exposure, Ledger, RejectConfig, ReversePolicy};
use blemish::verdict::{Reason, Span, SpanVerdict, Verdict};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Call {
    Arm(u64, u32, i64, i64, u64),
    Verdict(u64, u32, bool),
    Advance(u64, i64),
    Reset(u64, i64),
    Hold(bool),
}

fn large_u64() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0u64..2000,
        (0u64..2000).prop_map(|below| u64::MAX - below),
    ]
}

fn large_i64() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -2000i64..2000,
        (0i64..2000).prop_map(|below| i64::MAX - below),
        (0i64..2000).prop_map(|above| i64::MIN + above),
        (-2000i64..2000).prop_map(|around| (1 << 61) + around),
        (-2000i64..2000).prop_map(|around| -(1 << 61) + around),
    ]
}

fn lines() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0u32..50]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (large_u64(), lines(), large_i64(), large_i64(), large_u64())
            .prop_map(|(l, n, a, b, t)| Call::Arm(l, n, a, b, t)),
        2 => (large_u64(), lines(), any::<bool>()).prop_map(|(l, n, ok)| Call::Verdict(l, n, ok)),
        4 => (large_u64(), large_i64()).prop_map(|(t, c)| Call::Advance(t, c)),
        1 => (large_u64(), large_i64()).prop_map(|(t, c)| Call::Reset(t, c)),
        1 => any::<bool>().prop_map(Call::Hold),
    ]
}

/// Whole settings from the ends of their ranges; most are refused, the rest must work.
fn config() -> impl Strategy<Value = RejectConfig> {
    let any_u32 = || {
        prop_oneof![
            Just(0u32),
            Just(1),
            Just(1000),
            Just(u32::MAX),
            any::<u32>()
        ]
    };
    (
        (any_u32(), any_u32(), any_u32(), any_u32(), any_u32()),
        (any_u32(), any_u32(), any_u32(), any_u32(), any_u32()),
        (any_u32(), any_u32(), any_u32(), any_u32()),
    )
        .prop_map(|(a, b, c)| RejectConfig {
            distance_counts: u32::MAX,
            lead_us: a.0 % 1_000_000,
            call_period_us: a.1 % 10_000_000 + 1,
            margin_counts: a.2 / 4,
            min_pulse_us: a.3,
            recovery_us: a.4,
            max_hold_ms: b.0,
            max_pulses_per_minute: b.1,
            max_speed_counts_per_s: b.2 % 3_000_000 + 1,
            max_counts_per_line: b.3 % 100_000 + 1,
            span_lines: b.4 % 10_000 + 1,
            latency_us: c.0 % 10_000_000,
            speed_window_ms: c.1,
            stationary_after_ms: c.2,
            reverse_keep_counts: c.3,
            ..RejectConfig::default()
        })
}

fn survive<const N: usize>(ledger: &mut Ledger<N>, calls: &[Call]) -> Result<(), TestCaseError> {
    for call in calls {
        match *call {
            Call::Arm(line, lines, first, last, at_ns) => {
                let stamp = |count| LineStamp {
                    exposure_ns: at_ns,
                    count: Count(count),
                };
                // Refusals are part of the game.
                let _ = ledger.arm(&Exposure {
                    first_line: LineNumber(line),
                    lines,
                    first: stamp(first),
                    last: stamp(last),
                });
            }
            Call::Verdict(line, lines, ok) => {
                let verdict = if ok {
                    Verdict::Ok
                } else {
                    Verdict::NotInspected(Reason::Light)
                };
                ledger.verdict(SpanVerdict {
                    span: Span {
                        first_line: LineNumber(line),
                        lines,
                    },
                    verdict,
                });
            }
            Call::Advance(at_ns, count) => {
                ledger.advance(at_ns, Count(count));
            }
            Call::Reset(at_ns, count) => ledger.reset(Reason::Startup, at_ns, Count(count)),
            Call::Hold(asked) => ledger.hold(asked),
        }
        prop_assert_eq!(ledger.accounting().identity(), Ok(()));
        let sums = ledger.accounting();
        prop_assert!(sums.counts_travelled <= 1 << 63);
        while ledger.pop_event().is_some() {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_call_with_any_number(
        start in large_i64(),
        reverse in prop::sample::select(vec![
            ReversePolicy::TrackBackward,
            ReversePolicy::IgnoreBackward,
            ReversePolicy::BiDirectional,
        ]),
        calls in prop::collection::vec(call(), 1..60),
    ) {
        let config = RejectConfig { reverse, ..RejectConfig::default() };
        let mut ledger: Ledger<24> = Ledger::new(config, 0, Count(start)).expect("the defaults work");
        survive(&mut ledger, &calls)?;
    }

    #[test]
    fn any_settings_that_are_let_in(config in config(), calls in prop::collection::vec(call(), 1..30)) {
        if let Ok(mut ledger) = Ledger::<4096>::new(config, 0, Count(0)) {
            survive(&mut ledger, &calls)?;
        }
    }
}
