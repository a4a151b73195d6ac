//! Spans of web and what was decided about them: the words that `web`, `reject`, the journal and the
//! page share.

use crate::geometry::LineNumber;
use serde::{Deserialize, Serialize};

/// Why a line of web was not inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Exposed before the station was operational.
    Startup,
    /// The camera's sequence numbers or the line numbers have a gap.
    Dropped,
    /// The driver marked the buffer as damaged.
    ErrorFlag,
    /// The buffer held fewer bytes than its lines need.
    Short,
    /// The line could not be proven new.
    Stale,
    /// The verdict came after the web had reached the ejector.
    Late,
    /// The engine failed or gave something that is not a number.
    Engine,
    /// The light was outside the limits: too dark, too bright, or without contrast.
    Light,
    /// The station's settings forbid inspection.
    Config,
    /// The station stopped before a verdict.
    Shutdown,
}

impl Reason {
    /// All reasons, in the order of the journal.
    pub const ALL: [Reason; 10] = [
        Reason::Startup,
        Reason::Dropped,
        Reason::ErrorFlag,
        Reason::Short,
        Reason::Stale,
        Reason::Late,
        Reason::Engine,
        Reason::Light,
        Reason::Config,
        Reason::Shutdown,
    ];
}

/// What was decided about a span. Only `Ok` keeps it from being rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    Defect,
    NotInspected(Reason),
}

impl Verdict {
    /// Whether the web goes past the ejector untouched.
    pub const fn passes(self) -> bool {
        matches!(self, Verdict::Ok)
    }
}

/// Consecutive lines of web that are accepted or rejected together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    pub first_line: LineNumber,
    pub lines: u32,
}

impl Span {
    /// The line after the last.
    pub const fn end(&self) -> LineNumber {
        LineNumber(self.first_line.0 + self.lines as u64)
    }
}

/// A span with its verdict. Spans come in order, without gaps and without overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanVerdict {
    pub span: Span,
    pub verdict: Verdict,
}
