//! How the web moves: when each line is exposed and where the encoder stands then.
//!
//! The camera is triggered by the encoder in position mode: it exposes a line every
//! `counts_per_line` counts of new web and nothing while the web stands, runs backwards or has not yet
//! come back to where it turned.

use super::CameraError;
use crate::block::LineStamp;
use crate::geometry::Count;
use serde::{Deserialize, Serialize};

/// A belt without moves of its own: constant speed from count 0 at time 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BeltSpec {
    /// Lines exposed per second at the start.
    pub line_rate_hz: f64,
    /// Encoder counts from one line to the next.
    pub counts_per_line: u32,
    /// What the belt does besides, by line.
    pub moves: Vec<Move>,
}

impl Default for BeltSpec {
    fn default() -> Self {
        Self {
            line_rate_hz: 2000.0,
            counts_per_line: 4,
            moves: Vec::new(),
        }
    }
}

impl BeltSpec {
    /// The highest line rate that it ever runs at.
    pub fn fastest_line_rate_hz(&self) -> f64 {
        let rates = self.moves.iter().filter_map(|change| match change {
            Move::Speed { line_rate_hz, .. } => Some(*line_rate_hz),
            _ => None,
        });
        rates.fold(self.line_rate_hz, f64::max)
    }
}

/// What the belt does after the line before `before_line`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "do")]
pub enum Move {
    /// Goes on at another speed.
    Speed { before_line: u64, line_rate_hz: f64 },
    /// Stands.
    Stop { before_line: u64, stop_ms: u64 },
    /// Runs back by so many lines of web and forward again to where it was.
    Reverse { before_line: u64, lines: u32 },
}

impl Move {
    const fn before_line(&self) -> u64 {
        match self {
            Move::Speed { before_line, .. }
            | Move::Stop { before_line, .. }
            | Move::Reverse { before_line, .. } => *before_line,
        }
    }
}

/// The moving belt: gives the stamp of every line in turn.
#[derive(Debug, Clone)]
pub struct Belt {
    moves: Vec<Move>,
    next_move: usize,
    counts_per_line: i64,
    line_ns: f64,
    line: u64,
    time_ns: f64,
    count: i64,
    /// Positions between the line before and this one.
    detour: Vec<LineStamp>,
}

impl Belt {
    /// # Errors
    /// Where a rate is not positive or the counts per line are 0.
    pub fn new(spec: &BeltSpec) -> Result<Self, CameraError> {
        let mut moves = spec.moves.clone();
        moves.sort_by_key(Move::before_line);
        let rates = moves.iter().filter_map(|change| match change {
            Move::Speed { line_rate_hz, .. } => Some(*line_rate_hz),
            _ => None,
        });
        for rate in std::iter::once(spec.line_rate_hz).chain(rates) {
            if !(rate > 0.0 && rate <= 1e6) {
                return Err(CameraError::Belt(format!(
                    "a line rate of {rate} Hz; give line_rate_hz above 0 and at most 1000000"
                )));
            }
        }
        if spec.counts_per_line == 0 {
            return Err(CameraError::Belt(
                "0 counts per line; give counts_per_line at least 1".to_owned(),
            ));
        }
        Ok(Self {
            moves,
            next_move: 0,
            counts_per_line: i64::from(spec.counts_per_line),
            line_ns: 1e9 / spec.line_rate_hz,
            line: 0,
            time_ns: 0.0,
            count: 0,
            detour: Vec::new(),
        })
    }

    /// Stamp of the next line.
    pub fn next_line(&mut self) -> LineStamp {
        self.detour.clear();
        while let Some(change) = self.moves.get(self.next_move) {
            if change.before_line() > self.line {
                break;
            }
            self.make(*change);
            self.next_move += 1;
        }
        self.line += 1;
        self.time_ns += self.line_ns;
        self.count += self.counts_per_line;
        self.stamp()
    }

    /// Encoder positions between the line before the last one given and that line, where the web did
    /// not simply run on: both ends of a stop, a reversal line by line.
    pub fn detour(&self) -> &[LineStamp] {
        &self.detour
    }

    fn make(&mut self, change: Move) {
        match change {
            Move::Speed { line_rate_hz, .. } => {
                self.line_ns = 1e9 / line_rate_hz;
            }
            Move::Stop { stop_ms, .. } => {
                self.detour.push(self.stamp());
                self.time_ns += stop_ms as f64 * 1e6;
                self.detour.push(self.stamp());
            }
            Move::Reverse { lines, .. } => {
                self.detour.push(self.stamp());
                for way in [-1, 1] {
                    for _ in 0..lines {
                        self.time_ns += self.line_ns;
                        self.count += way * self.counts_per_line;
                        self.detour.push(self.stamp());
                    }
                }
            }
        }
    }

    fn stamp(&self) -> LineStamp {
        LineStamp {
            exposure_ns: self.time_ns as u64,
            count: Count(self.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(spec: &BeltSpec, lines: usize) -> Vec<(u64, i64)> {
        let mut belt = Belt::new(spec).unwrap();
        let stamps = (0..lines).map(|_| belt.next_line());
        stamps.map(|s| (s.exposure_ns, s.count.0)).collect()
    }

    #[test]
    fn speed_stop_and_reversal_show_in_time_and_never_in_the_lines_counts() {
        let spec = BeltSpec {
            line_rate_hz: 1000.0,
            counts_per_line: 4,
            moves: vec![
                Move::Reverse {
                    before_line: 4,
                    lines: 2,
                },
                Move::Speed {
                    before_line: 1,
                    line_rate_hz: 500.0,
                },
                Move::Stop {
                    before_line: 3,
                    stop_ms: 10,
                },
            ],
        };
        let ms = 1_000_000;
        assert_eq!(
            stamps(&spec, 5),
            [
                (ms, 4),
                (3 * ms, 8),
                (5 * ms, 12),
                (17 * ms, 16),
                (27 * ms, 20)
            ]
        );
    }

    #[test]
    fn a_reversal_is_told_line_by_line() {
        let spec = BeltSpec {
            line_rate_hz: 1000.0,
            counts_per_line: 4,
            moves: vec![Move::Reverse {
                before_line: 1,
                lines: 3,
            }],
        };
        let mut belt = Belt::new(&spec).unwrap();
        belt.next_line();
        assert!(belt.detour().is_empty());
        belt.next_line();
        let counts: Vec<i64> = belt.detour().iter().map(|at| at.count.0).collect();
        assert_eq!(counts, [4, 0, -4, -8, -4, 0, 4]);
        belt.next_line();
        assert!(belt.detour().is_empty());
    }

    #[test]
    fn a_belt_that_cannot_be_is_refused() {
        for spec in [
            BeltSpec {
                line_rate_hz: 0.0,
                ..BeltSpec::default()
            },
            BeltSpec {
                line_rate_hz: f64::NAN,
                ..BeltSpec::default()
            },
            BeltSpec {
                counts_per_line: 0,
                ..BeltSpec::default()
            },
            BeltSpec {
                moves: vec![Move::Speed {
                    before_line: 1,
                    line_rate_hz: -1.0,
                }],
                ..BeltSpec::default()
            },
        ] {
            assert!(Belt::new(&spec).is_err(), "{spec:?}");
        }
    }
}
