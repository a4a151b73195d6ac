//! What an integrator tells the ledger about the machine.

use super::ConfirmConfig;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What happens to lines that the camera exposes while the web runs backwards, or over web that it
/// has already seen. The words are those of line profilers. Whatever the policy, the position of
/// the web at the ejector follows the encoder in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReversePolicy {
    /// Only web beyond the farthest count ever exposed is new: the backward way is tracked and must
    /// be travelled forward again first. Lines behind that count are `not_inspected(stale)`; the
    /// web keeps the fate of its first look.
    #[default]
    TrackBackward,
    /// Lines count whenever the web moves forward, over web already seen too; that web passes only
    /// if every look was ok. Lines exposed while moving backward are `not_inspected(stale)`.
    IgnoreBackward,
    /// Lines count in both directions; web passes only if every look was ok.
    BiDirectional,
}

/// Settings of the ledger. All times and counts are whole numbers with the unit in the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RejectConfig {
    /// Counts that the web travels from the camera's line to the ejector.
    pub distance_counts: u32,
    /// Time from the command to the ejector's effect on the web.
    pub lead_us: u32,
    /// Longest time between two calls of `advance`; the pulse is commanded this much earlier.
    pub call_period_us: u32,
    /// Web rejected before and after each span, for what speed and distance are not known to.
    pub margin_counts: u32,
    /// Shortest pulse that the ejector can follow.
    pub min_pulse_us: u32,
    /// Time the ejector needs between two pulses; shorter gaps are bridged by one held pulse.
    pub recovery_us: u32,
    /// A pulse held longer than this on a moving web raises the alarm `continuous_reject`.
    pub max_hold_ms: u32,
    /// More pulses than this in a minute raise the alarm `pulse_rate`; 0 switches it off.
    pub max_pulses_per_minute: u32,
    /// Fastest web. A count that jumps farther than twice this speed allows is an encoder fault.
    pub max_speed_counts_per_s: u32,
    /// Most counts between two consecutive lines; a longer step is web that no line has seen.
    pub max_counts_per_line: u32,
    /// Lines in a span; checked against the distance.
    pub span_lines: u32,
    /// Longest expected time from the exposure of a span's last line to its verdict.
    pub latency_us: u32,
    /// The speed is the mean over this time.
    pub speed_window_ms: u32,
    /// A web whose count has not changed for this time is stationary.
    pub stationary_after_ms: u32,
    /// What lines of a reversed web mean.
    pub reverse: ReversePolicy,
    /// Web that the ledger remembers behind the ejector, so that it can come back and pass again.
    pub reverse_keep_counts: u32,
    /// Accept the web that lay between camera and ejector when the station started, uninspected.
    pub accept_startup_web: bool,
    /// The station is not ready, and rejects, from a missed reject on until it is started again.
    pub line_stop_on_missed: bool,
    /// When a pulse must be confirmed, where `pins.confirm` is wired.
    pub confirm: ConfirmConfig,
}

impl Default for RejectConfig {
    fn default() -> Self {
        Self {
            distance_counts: 20_000,
            lead_us: 10_000,
            call_period_us: 2_000,
            margin_counts: 40,
            min_pulse_us: 20_000,
            recovery_us: 20_000,
            max_hold_ms: 30_000,
            max_pulses_per_minute: 300,
            max_speed_counts_per_s: 10_000,
            max_counts_per_line: 4,
            span_lines: 256,
            latency_us: 1_000_000,
            speed_window_ms: 50,
            stationary_after_ms: 500,
            reverse: ReversePolicy::TrackBackward,
            reverse_keep_counts: 2_000,
            accept_startup_web: false,
            line_stop_on_missed: false,
            confirm: ConfirmConfig::default(),
        }
    }
}

/// A setting that cannot work, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RejectConfigError {
    #[error(
        "distance_counts {distance_counts} is below the {needed_counts} counts the web needs between camera and ejector: \
         {latency_counts} travelled in latency_us, lead_us and call_period_us at max_speed_counts_per_s, {span_counts} for one \
         span, {margin_counts} for margins; move the ejector away from the camera, or lower latency_us, span_lines or \
         max_speed_counts_per_s to what is measured"
    )]
    TooClose {
        distance_counts: u64,
        needed_counts: u64,
        latency_counts: u64,
        span_counts: u64,
        margin_counts: u64,
    },
    #[error(
        "the ledger holds {capacity} spans, but {needed} of {span_counts} counts lie between camera and ejector; \
         raise span_lines or build with a larger ledger"
    )]
    TooManySpans {
        capacity: usize,
        needed: u64,
        span_counts: u64,
    },
    #[error("{key} is 0; set it to {hint}")]
    Zero {
        key: &'static str,
        hint: &'static str,
    },
    #[error(
        "margin_counts {margin_counts} is below max_counts_per_line {max_counts_per_line}; a line's web begins at its count, so \
         set margin_counts to at least one line"
    )]
    MarginBelowLine {
        margin_counts: u32,
        max_counts_per_line: u32,
    },
    #[error(
        "stationary_after_ms {stationary_after_ms} is below twice speed_window_ms {speed_window_ms}; raise it, or a slow web counts \
         as a stopped one"
    )]
    StationaryTooSoon {
        stationary_after_ms: u32,
        speed_window_ms: u32,
    },
    #[error(
        "confirm.within_ms and confirm.within_counts are both 0; set the time for a switch at the ejector, or the counts for a \
         sensor behind it"
    )]
    NoConfirmLimit,
    #[error("{key} {value} is above {limit}; {hint}")]
    TooLarge {
        key: &'static str,
        value: u64,
        limit: u64,
        hint: &'static str,
    },
}

impl RejectConfig {
    /// Highest accepted `max_speed_counts_per_s`, so that no sum of counts can overflow.
    pub const SPEED_LIMIT: u32 = 10_000_000;

    /// Counts travelled in `us` microseconds at the fastest web, rounded up.
    fn travel(&self, us: u64) -> u64 {
        (u64::from(self.max_speed_counts_per_s) * us).div_ceil(1_000_000)
    }

    /// Least `distance_counts` that leaves time for a verdict.
    pub fn needed_distance_counts(&self) -> u64 {
        self.latency_counts() + self.span_counts() + 2 * u64::from(self.margin_counts)
    }

    fn latency_counts(&self) -> u64 {
        let us =
            u64::from(self.latency_us) + u64::from(self.lead_us) + u64::from(self.call_period_us);
        self.travel(us)
    }

    fn span_counts(&self) -> u64 {
        u64::from(self.span_lines) * u64::from(self.max_counts_per_line)
    }

    /// Checks every setting for itself and against the others, for a ledger of `capacity` spans.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn validate(&self, capacity: usize) -> Result<(), RejectConfigError> {
        let positive = [
            (
                self.distance_counts,
                "distance_counts",
                "the counts from camera to ejector",
            ),
            (
                self.max_speed_counts_per_s,
                "max_speed_counts_per_s",
                "the speed of the fastest web",
            ),
            (
                self.max_counts_per_line,
                "max_counts_per_line",
                "the counts between two lines at the fastest web",
            ),
            (
                self.span_lines,
                "span_lines",
                "the lines that are rejected together",
            ),
            (
                self.call_period_us,
                "call_period_us",
                "the longest time between two looks at the encoder",
            ),
            (
                self.speed_window_ms,
                "speed_window_ms",
                "the time the speed is averaged over, for example 50",
            ),
            (
                self.stationary_after_ms,
                "stationary_after_ms",
                "the time after which a still count means a stopped web, for example 500",
            ),
            (
                self.max_hold_ms,
                "max_hold_ms",
                "the longest pulse that is no fault",
            ),
        ];
        for (value, key, hint) in positive {
            if value == 0 {
                return Err(RejectConfigError::Zero { key, hint });
            }
        }
        if self.max_speed_counts_per_s > Self::SPEED_LIMIT {
            return Err(RejectConfigError::TooLarge {
                key: "max_speed_counts_per_s",
                value: u64::from(self.max_speed_counts_per_s),
                limit: u64::from(Self::SPEED_LIMIT),
                hint: "divide the encoder's pulses",
            });
        }
        if self.stationary_after_ms / 2 < self.speed_window_ms {
            return Err(RejectConfigError::StationaryTooSoon {
                stationary_after_ms: self.stationary_after_ms,
                speed_window_ms: self.speed_window_ms,
            });
        }
        if self.margin_counts < self.max_counts_per_line {
            return Err(RejectConfigError::MarginBelowLine {
                margin_counts: self.margin_counts,
                max_counts_per_line: self.max_counts_per_line,
            });
        }
        if (self.confirm.within_ms, self.confirm.within_counts) == (0, 0) {
            return Err(RejectConfigError::NoConfirmLimit);
        }
        let needed_counts = self.needed_distance_counts();
        if u64::from(self.distance_counts) < needed_counts {
            return Err(RejectConfigError::TooClose {
                distance_counts: u64::from(self.distance_counts),
                needed_counts,
                latency_counts: self.latency_counts(),
                span_counts: self.span_counts(),
                margin_counts: 2 * u64::from(self.margin_counts),
            });
        }
        let span_counts = self.span_counts();
        let web_counts = u64::from(self.distance_counts)
            + 2 * u64::from(self.margin_counts)
            + u64::from(self.max_counts_per_line);
        let needed = web_counts.div_ceil(span_counts) + 2;
        if needed > capacity as u64 {
            return Err(RejectConfigError::TooManySpans {
                capacity,
                needed,
                span_counts,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl Fn(&mut RejectConfig)) -> String {
        let mut config = RejectConfig::default();
        assert_eq!(config.validate(512), Ok(()));
        change(&mut config);
        config
            .validate(512)
            .map_or_else(|e| e.to_string(), |()| String::from("accepted"))
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        // 10 000 counts/s for 1 s of latency, 10 ms of lead and 2 ms between calls; 256 lines of 4
        // counts; two margins of 40.
        let close = refusal(|c| c.distance_counts = 11_223);
        assert!(
            close.contains("distance_counts 11223 is below the 11224 counts"),
            "{close}"
        );
        assert!(
            close.contains("10120 travelled") && close.contains("1024 for one span"),
            "{close}"
        );
        assert_eq!(refusal(|c| c.distance_counts = 11_224), "accepted");
        assert!(refusal(|c| c.span_lines = 0).contains("span_lines is 0; set it to"));
        assert!(
            refusal(|c| c.margin_counts = 3).contains("set margin_counts to at least one line")
        );
        assert!(
            refusal(|c| c.max_speed_counts_per_s = 20_000_000)
                .contains("divide the encoder's pulses")
        );
        assert!(refusal(|c| c.stationary_after_ms = 99).contains("twice speed_window_ms 50"));
        assert!(refusal(|c| c.span_lines = 8).contains("raise span_lines"));
        assert!(refusal(|c| c.confirm.within_ms = 0).contains("are both 0; set the time"));
    }

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_have_defaults() {
        let config: RejectConfig =
            toml::from_str("distance_counts = 30000\nreverse = \"bi_directional\"").unwrap();
        assert_eq!(config.distance_counts, 30_000);
        assert_eq!(config.reverse, ReversePolicy::BiDirectional);
        assert_eq!(config.lead_us, RejectConfig::default().lead_us);
        let refused = toml::from_str::<RejectConfig>("distance_mm = 3").unwrap_err();
        assert!(refused.to_string().contains("distance_mm"), "{refused}");
    }
}
