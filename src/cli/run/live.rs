//! A line on the terminal for every verdict and every pulse.

use super::terminal::{Paint, Teller};
use blemish::evidence::{Fault, State};
use blemish::geometry::LineNumber;
use blemish::pins::Moment;
use blemish::reject::{RejectEvent, VerdictUse};
use blemish::station::Witness;
use blemish::verdict::{Reason, SpanVerdict, Verdict};
use blemish::web::Region;

/// Tells a person what happens.
pub struct Live {
    teller: Teller,
    paint: Paint,
    threshold: f32,
    /// Greatest peak and its region since the last verdict.
    strongest: Option<Region>,
}

impl Live {
    pub fn new(teller: Teller, threshold: f32) -> Self {
        Self {
            teller,
            paint: Paint::of_stdout(),
            threshold,
            strongest: None,
        }
    }

    /// Waits until everything is told.
    pub fn finish(self) {
        self.teller.finish();
    }

    fn say(&mut self, now: Moment, what: &str) {
        let seconds = self.paint.faint(&format!("{:9.3} s", now.ns as f64 / 1e9));
        self.teller.say(format!("{seconds}  {what}"));
    }
}

fn lines(first: LineNumber, lines: u32) -> String {
    format!("lines {:>7}..{:<7}", first.0, first.0 + u64::from(lines))
}

/// A reason as people say it.
pub const fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Startup => "startup",
        Reason::Dropped => "dropped",
        Reason::ErrorFlag => "error flag",
        Reason::Short => "short",
        Reason::Stale => "stale",
        Reason::Late => "late",
        Reason::Engine => "engine",
        Reason::Light => "light",
        Reason::Config => "config",
        Reason::Shutdown => "shutdown",
    }
}

fn verdict_word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Ok => "ok".to_owned(),
        Verdict::Defect => "defect".to_owned(),
        Verdict::NotInspected(reason) => format!("not inspected: {}", reason_word(reason)),
    }
}

impl Witness for Live {
    fn region(&mut self, _: Moment, region: &Region) {
        if self
            .strongest
            .is_none_or(|strongest| region.peak > strongest.peak)
        {
            self.strongest = Some(*region);
        }
    }

    fn verdict(&mut self, now: Moment, given: SpanVerdict, used: VerdictUse) {
        let span = lines(given.span.first_line, given.span.lines);
        let word = match given.verdict {
            Verdict::Ok => self.paint.good("ok"),
            Verdict::Defect => self.paint.bad("DEFECT"),
            Verdict::NotInspected(_) => self.paint.doubtful(&verdict_word(given.verdict)),
        };
        let late = if used == VerdictUse::Late {
            self.paint.doubtful("  too late: already rejected")
        } else {
            String::new()
        };
        let region = match self.strongest.take() {
            Some(region) => format!(
                "  peak {:.2} (threshold {:.2}) at line {}, column {}: {} x {} px",
                region.peak,
                self.threshold,
                region.first_line.0,
                region.first_column,
                region.columns,
                region.lines
            ),
            None => String::new(),
        };
        self.say(now, &format!("{span} {word}{region}{late}"));
    }

    fn ledger(&mut self, now: Moment, event: RejectEvent) {
        let what = match event {
            RejectEvent::Fired {
                span,
                why,
                fired_count,
                ..
            } => {
                let web = span.map_or("web of which no line is known".to_owned(), |span| {
                    lines(span.first_line, span.lines)
                });
                format!(
                    "reject on at count {}: {web} ({})",
                    fired_count.0,
                    verdict_word(why)
                )
            }
            RejectEvent::Released { count, held_ns, .. } => format!(
                "reject off at count {} after {:.0} ms",
                count.0,
                held_ns as f64 / 1e6
            ),
            RejectEvent::Missed { span, counts, .. } => {
                let web = span.map_or(String::new(), |span| lines(span.first_line, span.lines));
                self.paint
                    .bad(&format!("MISSED REJECT: {counts} counts {web}"))
            }
            RejectEvent::EncoderFault { from, to, .. } => self
                .paint
                .bad(&format!("encoder jumped from {} to {}", from.0, to.0)),
            RejectEvent::Reversed { from, .. } => {
                format!("web runs backwards from count {}", from.0)
            }
            RejectEvent::Returned { count, .. } => format!("web is back at count {}", count.0),
            RejectEvent::Stopped { count, .. } => format!("web stands at count {}", count.0),
            RejectEvent::Moving { count, .. } => format!("web moves again at count {}", count.0),
            RejectEvent::ContinuousReject { .. } => self.paint.doubtful("continuous reject"),
            RejectEvent::PulseRate { pulses, .. } => {
                self.paint.doubtful(&format!("{pulses} pulses in a minute"))
            }
            RejectEvent::QueueFull { .. } => self.paint.doubtful("the ledger is full: reject held"),
            RejectEvent::Late { .. }
            | RejectEvent::Held { .. }
            | RejectEvent::Freed { .. }
            | RejectEvent::Reset { .. } => return,
        };
        self.say(now, &format!("  {what}"));
    }

    fn fault(&mut self, now: Moment, fault: &Fault) {
        let what = match fault {
            Fault::Camera { message } => format!("camera: {message}"),
            Fault::Lines { span, reason } => format!(
                "{} came without pixels to be trusted: {}",
                lines(span.first_line, span.lines),
                reason_word(*reason)
            ),
            Fault::LineNumbers { message } => message.clone(),
            Fault::Engine {
                first_line,
                message,
            } => format!("tile at line {first_line}: {message}"),
            Fault::Encoder { message }
            | Fault::Light { message }
            | Fault::LineStop { message }
            | Fault::Uninspected { message }
            | Fault::Pins { message }
            | Fault::Ejector { message }
            | Fault::Confirm { message }
            | Fault::Stalled { message }
            | Fault::Throttled { message } => message.clone(),
            Fault::Ledger { .. } => return,
            Fault::JournalLost { records } => format!("{records} records of the journal were lost"),
        };
        self.say(now, &self.paint.doubtful(&format!("  fault: {what}")));
    }

    fn recovered(&mut self, now: Moment, fault: &Fault) {
        let what = match fault {
            Fault::Camera { .. } => "the camera is back",
            Fault::Light { .. } => "the light is well again",
            Fault::Uninspected { .. } => "web is inspected again",
            Fault::Encoder { .. } => "the encoder is back",
            Fault::Pins { .. } => "the outputs are back",
            Fault::Ejector { .. } => "the ejector confirms again",
            Fault::Confirm { .. } => "the ejector's confirmation is back",
            Fault::Throttled { .. } => "the board is at full speed again",
            _ => return,
        };
        self.say(now, &self.paint.good(&format!("  {what}")));
    }

    fn note(&mut self, now: Moment, text: &str) {
        self.say(now, &self.paint.doubtful(&format!("  {text}")));
    }

    fn state(&mut self, now: Moment, state: State) {
        self.say(now, &self.paint.faint(&format!("  {}", state.word())));
    }
}
