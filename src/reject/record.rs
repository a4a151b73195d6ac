//! The web that the ledger remembers: spans with their place and their fate.

use crate::geometry::LineNumber;
use crate::verdict::{Reason, Span, Verdict};
use heapless::Deque;

/// What is known of a record's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Will be rejected unless all its lines are found ok before its web is due.
    Armed,
    /// At least one line is not ok.
    Bad(Verdict),
    /// Due before it was decided.
    Late,
    /// Settled without a verdict: lines that nobody can inspect.
    Fixed(Reason),
}

/// Consecutive lines that share a fate, and the web from the line before them to their last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub first_line: u64,
    pub lines: u64,
    /// Web in counts at the camera: `lo..hi`; a line owns what has passed since the line before it.
    pub lo: i64,
    pub hi: i64,
    pub undecided: u64,
    pub fate: Fate,
    /// A missed reject was reported.
    pub missed: bool,
}

impl Record {
    pub fn end_line(&self) -> u64 {
        self.first_line.saturating_add(self.lines)
    }

    pub fn passes(&self) -> bool {
        self.fate == Fate::Armed && self.undecided == 0
    }

    /// The word for its web once it reaches the ejector.
    pub fn word(&self) -> Verdict {
        match self.fate {
            Fate::Armed if self.undecided == 0 => Verdict::Ok,
            Fate::Armed | Fate::Late => Verdict::NotInspected(Reason::Late),
            Fate::Bad(verdict) => verdict,
            Fate::Fixed(reason) => Verdict::NotInspected(reason),
        }
    }

    pub fn span(&self) -> Option<Span> {
        (self.lines > 0).then_some(Span {
            first_line: LineNumber(self.first_line),
            lines: u32::try_from(self.lines).unwrap_or(u32::MAX),
        })
    }
}

/// A piece of web that must not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad {
    pub lo: i64,
    pub span: Option<Span>,
    pub why: Verdict,
}

/// A piece of web with one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub hi: i64,
    pub word: Verdict,
    /// Place of the record in the store.
    pub record: Option<usize>,
}

/// Records in the order of their lines.
///
/// Web below `known_from` or from `known_to` on is unknown, which is not ok. Between them every
/// count belongs to at least one record, except behind a hold for a full ledger.
#[derive(Debug, Clone)]
pub(super) struct Memory<const N: usize> {
    pub records: Deque<Record, N>,
    pub known_from: i64,
    pub known_to: i64,
    /// Where the web was at the start or the last reset.
    pub start: i64,
    /// Where the first line was exposed; `i64::MAX` before it was.
    pub origin: i64,
    /// Why web before the first line is not inspected.
    pub origin_reason: Reason,
    /// Web below this passes although nothing is known of it; `i64::MIN` for none.
    pub accepted_to: i64,
    /// From the first to the last web of which a look found no place.
    pub hole: Option<(i64, i64)>,
    /// Web behind a line's count that the line has seen too.
    pub reach: i64,
}

impl<const N: usize> Memory<N> {
    /// Nothing is known; the web at `count` is below the camera.
    pub fn new(count: i64, reason: Reason, accept: bool, reach: i64) -> Self {
        Self {
            records: Deque::new(),
            known_from: count,
            known_to: count,
            start: count,
            origin: i64::MAX,
            origin_reason: reason,
            accepted_to: if accept { count } else { i64::MIN },
            hole: None,
            reach,
        }
    }

    /// The first piece of `from..to` that must not pass.
    pub fn first_bad(&self, from: i64, to: i64) -> Option<Bad> {
        let mut bad: Option<Bad> = None;
        let mut take = |lo: i64, span: Option<Span>, why: Verdict| {
            if bad.is_none_or(|b| lo < b.lo) {
                bad = Some(Bad { lo, span, why });
            }
        };
        if from < self.known_from && self.known_from > self.accepted_to {
            take(from, None, self.unknown_word(from));
        }
        for record in &self.records {
            let hi = record.hi.saturating_add(self.reach);
            if !record.passes() && record.lo < to && hi > from {
                take(record.lo.max(from), record.span(), record.word());
            }
        }
        if to > self.known_to {
            let lo = self.known_to.max(from);
            take(lo, None, self.unknown_word(lo));
        }
        bad
    }

    /// The word for web of which no record is kept.
    fn unknown_word(&self, at: i64) -> Verdict {
        Verdict::NotInspected(if at < self.origin {
            self.origin_reason
        } else if self.in_hole(at) {
            Reason::Config
        } else {
            Reason::Dropped
        })
    }

    /// Whether a look at this web found no place.
    fn in_hole(&self, at: i64) -> bool {
        self.hole.is_some_and(|(from, to)| (from..to).contains(&at))
    }

    /// The word at `from` and how far it reaches, at most to `to`. A record that is not ok wins.
    pub fn piece(&self, from: i64, to: i64) -> Piece {
        let mut hi = to;
        let mut cut = |at: i64| {
            if at > from && at < hi {
                hi = at;
            }
        };
        cut(self.known_from);
        cut(self.known_to);
        cut(self.origin);
        if let Some((from, to)) = self.hole {
            cut(from);
            cut(to);
        }
        let mut covered = false;
        let mut worst: Option<usize> = None;
        for (place, record) in self.records.iter().enumerate() {
            cut(record.lo);
            cut(record.hi);
            if record.lo <= from && record.hi > from {
                covered = true;
                if !record.passes() && worst.is_none() {
                    worst = Some(place);
                }
            }
        }
        let word = match worst {
            Some(place) => self
                .records
                .iter()
                .nth(place)
                .map_or(Verdict::Ok, Record::word),
            None if covered && from >= self.known_from && !self.in_hole(from) => Verdict::Ok,
            None => self.unknown_word(from),
        };
        Piece {
            hi,
            word,
            record: worst,
        }
    }

    /// Joins neighbouring records whose lines are all ok; returns whether a place became free.
    pub fn join_ok(&mut self) -> bool {
        let before = self.records.len();
        for _ in 0..before {
            // The number of pops never exceeds the number of records.
            let Some(record) = self.records.pop_front() else {
                break;
            };
            let joined = match self.records.back_mut() {
                // While the loop runs, the back is the record before, or the last of all at the start.
                Some(last)
                    if last.passes() && record.passes() && last.end_line() == record.first_line =>
                {
                    last.lines += record.lines;
                    last.lo = last.lo.min(record.lo);
                    last.hi = last.hi.max(record.hi);
                    true
                }
                _ => false,
            };
            if !joined {
                // A place was just freed by the pop.
                let _ = self.records.push_back(record);
            }
        }
        self.records.len() < before
    }
}
