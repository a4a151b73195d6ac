//! The ledger and what it needs: inputs and what they did to the web in, decisions out. No thread, clock
//! or file.

mod lines;
mod wires;

use super::input::Input;
use super::inspection::{Found, Step};
use super::standing::{Part, Standing};
use super::{State, StationError, Summary, Witness};
use crate::block::{LineStamp, TimedLine};
use crate::evidence::Fault;
use crate::geometry::Count;
use crate::pins::{Jitter, Moment, Output, Outputs, Placing, Track, TriggeredLines};
use crate::reject::{ArmError, Confirmations, Ledger, RejectConfig, RejectEvent};
use crate::verdict::{Reason, Span, Verdict};
use wires::CatchingUp;

/// Spans that the ledger holds.
pub const SPANS: usize = 512;

/// Positions remembered for lines that come without a count: at one in 200 us, 13 s.
const POSITIONS: usize = 1 << 16;

/// The count of a line whose place is forgotten; the ledger takes it for the line of no web.
const NOWHERE: Count = Count(i64::MAX);

/// Where a line's encoder count comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineCounts {
    /// The camera stamps it.
    #[default]
    Camera,
    /// From the encoder's positions, by the time of exposure.
    Encoder,
    /// From line to line as the camera says, which the encoder triggers; from the encoder's positions
    /// only how far the camera's counts are from its own.
    Triggered,
}

/// Of lines that the drift watch refuses.
const DRIFTED: &str = "lines are not inspected: their light is farther off than light.reject_drift_percent; look at lamp, lens and exposure, then run `blemish calibrate white`";

/// Light that is within its limits for so long is well again: a lamp that flickers is one fault.
pub(super) const LIGHT_IS_BACK_NS: u64 = 1_000_000_000;

/// What the core acts on.
pub(super) struct Surroundings<'a> {
    pub outputs: &'a mut dyn Outputs,
    pub witness: &'a mut dyn Witness,
}

#[derive(Debug)]
pub(super) struct Core {
    ledger: Box<Ledger<SPANS>>,
    reject: RejectConfig,
    now: Moment,
    state: State,
    stationary: bool,
    seen_lines: bool,
    ended: bool,
    /// Every line that the web took has its verdict, and no tile is out.
    settled: bool,
    /// No tile is out, and none can be cut from the lines there are.
    engine_is_idle: bool,
    line_counts: LineCounts,
    triggered: TriggeredLines,
    track: Track,
    standing: Standing,
    /// Where the ejector confirms its pulses.
    confirmations: Option<Confirmations>,
    /// Why an output could not be driven, until it comes back as an input.
    undriven: Option<String>,
    /// A verdict ok or defect was given since the last sign of life.
    gave_verdict: bool,
    /// New counts that had passed the ejector when one was given last.
    inspected_at: u64,
    /// The way of the web while nobody looked, until it is accounted for.
    catching_up: Option<CatchingUp>,
    jitter: Jitter,
    /// Where the web was when the ledger was asked last.
    looked: Moment,
    heartbeat: bool,
    last_line: Option<(u64, Count)>,
    /// The farthest line, or where the web was before the first.
    heard: Count,
    /// The encoder stands though lines come.
    is_unfollowed: bool,
    /// Nobody knows where the lines of the last block lie.
    are_lines_lost: bool,
    /// The next reset is one more of lines whose place stays unknown.
    is_reset_untold: bool,
    /// When lines last came that were not inspected for their light.
    bad_light_ns: u64,
    /// From the first line of the last block to its last.
    block_counts: i64,
    tiles: u64,
    failed_tiles: u64,
    blocks: u64,
    faults: u64,
    regions: u64,
    defect_spans: u64,
    /// A fault held the station when it stopped.
    ended_held: bool,
}

impl Core {
    pub fn new(
        reject: RejectConfig,
        line_counts: LineCounts,
        is_confirmed: bool,
    ) -> Result<Self, StationError> {
        let now = Moment::default();
        let reject_confirm = reject.confirm;
        // Half of what the ledger allows a line to be away from where it is said to be.
        let triggered = TriggeredLines::new(i64::from(reject.margin_counts / 2));
        Ok(Self {
            ledger: Box::new(Ledger::new(reject.clone(), now.ns, now.count)?),
            reject,
            now,
            state: State::Starting,
            stationary: false,
            seen_lines: false,
            ended: false,
            settled: true,
            engine_is_idle: true,
            line_counts,
            triggered,
            track: Track::new(match line_counts {
                LineCounts::Encoder | LineCounts::Triggered => POSITIONS,
                LineCounts::Camera => 1,
            }),
            standing: Standing::default(),
            confirmations: is_confirmed.then(|| Confirmations::new(reject_confirm)),
            undriven: None,
            gave_verdict: false,
            inspected_at: 0,
            catching_up: None,
            jitter: Jitter::default(),
            looked: now,
            heartbeat: false,
            last_line: None,
            heard: now.count,
            is_unfollowed: false,
            are_lines_lost: false,
            is_reset_untold: false,
            bad_light_ns: 0,
            block_counts: 0,
            tiles: 0,
            failed_tiles: 0,
            blocks: 0,
            faults: 0,
            regions: 0,
            defect_spans: 0,
            ended_held: false,
        })
    }

    pub fn now(&self) -> Moment {
        self.now
    }

    pub fn call_period_ns(&self) -> u64 {
        u64::from(self.reject.call_period_us) * 1000
    }

    /// The self-test has passed: what comes now is inspected.
    pub fn operate(&mut self, out: &mut Surroundings<'_>) {
        self.enter(State::Idle, out);
        self.refresh(self.now.ns, self.now.count, out);
    }

    pub fn position(&mut self, at: Moment, out: &mut Surroundings<'_>) {
        self.track.push(at);
        if let Some(stall) = &mut self.catching_up
            && at.ns <= stall.until_ns
        {
            stall.count = at.count;
            return;
        }
        self.catch_up(out);
        // An edge is stamped by the kernel, and may be read after something later.
        self.refresh(at.ns.max(self.now.ns), at.count, out);
    }

    pub fn tick(&mut self, ns: u64, out: &mut Surroundings<'_>) {
        self.refresh(ns, self.now.count, out);
    }

    /// Takes the next input, and what it did to the web.
    pub fn take(
        &mut self,
        input: Input,
        step: &mut Step,
        out: &mut Surroundings<'_>,
    ) -> Result<(), StationError> {
        // These have times of their own within a stall.
        if !matches!(input, Input::Position(_) | Input::Confirmed { .. }) {
            self.catch_up(out);
        }
        match input {
            Input::Position(at) => self.position(at, out),
            Input::EdgesLost { at, edges } => {
                // Whether the encoder is dead, only its way from now on can show.
                self.triggered.forget_way();
                self.edges_lost(at, edges, out);
            }
            Input::PlaceLost { at, off_counts } => self.place_lost(at, off_counts, out),
            Input::EncoderGone { ns, message } => {
                self.forget_what_lines_proved();
                self.encoder_gone(ns, message, out);
            }
            Input::EncoderBack { ns } => {
                self.forget_what_lines_proved();
                self.encoder_back(ns, out);
            }
            Input::Confirmed { ns, edges } => self.confirmed(ns, edges, out),
            Input::ConfirmGone { ns, message } => self.confirm_gone(ns, message, out),
            Input::ConfirmBack { ns } => self.confirm_back(ns, out),
            Input::PinsLost { ns, message } => self.pins_lost(ns, message, out),
            Input::PinsBack { ns } => self.pins_back(ns, out),
            Input::Stalled { ns, stalled_ns } => self.stalled(ns, stalled_ns),
            Input::Tick { ns } => self.tick(ns, out),
            Input::Block { ns, .. } => self.block(ns, step, out),
            Input::Lost { ns } => self.lost(ns, step, out),
            Input::Tile { ns, .. } => self.tile(ns, step, out),
            Input::End { ns } => self.end(ns, step, out),
            Input::Stop { ns } => return self.stop(ns, step, out),
        }
        Ok(())
    }

    /// Gives the lines of a block the encoder's counts; whether that went wrong.
    fn stamp(&mut self, stamps: &mut [LineStamp], timed_line: Option<TimedLine>) -> bool {
        let mut is_lost = false;
        match self.line_counts {
            LineCounts::Camera => return false,
            LineCounts::Encoder => {}
            LineCounts::Triggered => match self.triggered.place(stamps, timed_line, &self.track) {
                Placing::ByNumber => return false,
                Placing::Unmeasured => {}
                Placing::Lost => is_lost = true,
            },
        }
        for stamp in stamps {
            stamp.count = match self.track.count_at(stamp.exposure_ns) {
                Some(count) => count,
                None if self.track.forgets() => NOWHERE,
                // Before the first position the web had not moved.
                None => self.now.count,
            };
        }
        is_lost
    }

    fn block(&mut self, ns: u64, step: &mut Step, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(ns);
        self.look_at_encoder(step, out);
        let is_lost = self.stamp(&mut step.stamps, step.timed_line);
        self.blocks += 1;
        let armed = self.arm(step);
        if armed.is_ok() {
            self.look_at_lines(step, out);
        }
        let verdicts = self.learn(step, out);
        let misplaced = match armed {
            Ok(()) => step.trouble.take(),
            Err(error) => Some(error.to_string()),
        };
        if let Some(message) = misplaced {
            self.fault(Fault::LineNumbers { message }, out);
        }
        self.look_at_places(is_lost, out);
        self.beat(verdicts, out);
        self.refresh(ns, self.now.count, out);
    }

    fn arm(&mut self, step: &Step) -> Result<(), ArmError> {
        for exposure in self.reject.exposures(step.first_line, &step.stamps) {
            self.ledger.arm(&exposure)?;
        }
        Ok(())
    }

    /// Remembers how far the web has come, and what its lines are worth.
    fn look_at_lines(&mut self, step: &Step, out: &mut Surroundings<'_>) {
        if let Some(last) = step.stamps.last().filter(|last| last.count != NOWHERE) {
            let count = self
                .last_line
                .map_or(last.count, |(_, most)| most.max(last.count));
            self.last_line = Some((last.exposure_ns, count));
            self.heard = self.heard.max(last.count);
            self.end_fault(Part::Silence, out);
            let first = step
                .stamps
                .first()
                .map_or(last.count.0, |first| first.count.0);
            self.block_counts = last.count.0.saturating_sub(first).max(0);
        }
        match step.fault {
            Some(Reason::Light) => {
                self.end_fault(Part::Camera, out);
                self.bad_light_ns = self.now.ns;
                if !self.standing.has(Part::Light) {
                    let message = match &step.bad_light {
                        Some(bad) => bad.to_string(),
                        None => DRIFTED.to_owned(),
                    };
                    self.begin_fault(Part::Light, Fault::Light { message }, out);
                }
            }
            Some(reason) => {
                let span = Span {
                    first_line: step.first_line,
                    lines: step.stamps.len() as u32,
                };
                self.fault(Fault::Lines { span, reason }, out);
            }
            None => {
                self.end_fault(Part::Camera, out);
                if self.now.ns.saturating_sub(self.bad_light_ns) >= LIGHT_IS_BACK_NS {
                    self.end_fault(Part::Light, out);
                }
                self.seen_lines = true;
            }
        }
    }

    /// Hands to the ledger what the web has found out; gives the number of verdicts ok and defect.
    fn learn(&mut self, step: &Step, out: &mut Surroundings<'_>) -> u64 {
        let mut verdicts = 0;
        for found in &step.found {
            match found {
                Found::Region(region) => {
                    self.regions += 1;
                    out.witness.region(self.now, region);
                }
                Found::Verdict(verdict) => {
                    let used = self.ledger.verdict(*verdict);
                    verdicts += u64::from(!matches!(verdict.verdict, Verdict::NotInspected(_)));
                    self.defect_spans += u64::from(verdict.verdict == Verdict::Defect);
                    out.witness.verdict(self.now, *verdict, used);
                }
            }
        }
        self.settled = step.settled;
        self.engine_is_idle = step.idle;
        verdicts
    }

    fn lost(&mut self, ns: u64, step: &mut Step, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(ns);
        let message = step.trouble.take().unwrap_or_default();
        let fault = Fault::Camera { message };
        self.fault(fault.clone(), out);
        self.standing.begin(Part::Camera, fault);
        self.refresh(ns, self.now.count, out);
    }

    fn tile(&mut self, ns: u64, step: &mut Step, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(ns);
        self.tiles += 1;
        if let Some(message) = step.trouble.take() {
            self.failed_tiles += 1;
            let fault = Fault::Engine {
                first_line: step.first_line.0,
                message,
            };
            self.fault(fault, out);
        }
        let verdicts = self.learn(step, out);
        self.beat(verdicts, out);
        self.refresh(ns, self.now.count, out);
    }

    /// No more lines: the web's last lines were inspected as an edge is.
    fn end(&mut self, ns: u64, step: &mut Step, out: &mut Surroundings<'_>) {
        if step.trouble.is_some() {
            self.lost(ns, step, out);
        }
        self.now.ns = self.now.ns.max(ns);
        self.ended = true;
        let verdicts = self.learn(step, out);
        self.beat(verdicts, out);
        self.refresh(ns, self.now.count, out);
    }

    /// Whether all web that was ever seen has passed the ejector, or never will.
    pub fn is_over(&self) -> bool {
        /// A web that does not move for so long after its end will not come.
        const PATIENCE_NS: u64 = 600_000_000_000;
        if !self.ended || !self.settled {
            return false;
        }
        let Some((ns, count)) = self.last_line else {
            return true;
        };
        let passed = count.0
            + i64::from(self.reject.distance_counts)
            + i64::from(self.reject.margin_counts)
            + i64::from(self.reject.max_counts_per_line);
        self.now.count.0 >= passed || self.now.ns > ns.saturating_add(PATIENCE_NS)
    }

    /// Settles what is left, takes the current from all outputs and checks the account.
    pub fn stop(
        &mut self,
        ns: u64,
        step: &Step,
        out: &mut Surroundings<'_>,
    ) -> Result<(), StationError> {
        self.now.ns = self.now.ns.max(ns);
        let verdicts = self.learn(step, out);
        self.beat(verdicts, out);
        self.refresh(ns, self.now.count, out);
        self.ledger
            .reset(Reason::Shutdown, self.now.ns, self.now.count);
        self.drain(out);
        if let Err(error) = out.outputs.release_all(self.now) {
            // A line that is gone is without current as far as this process can see to it.
            let message = error.to_string();
            self.begin_fault(Part::Pins, Fault::Pins { message }, out);
        }
        self.ended_held = self.is_held() || self.undriven.is_some();
        if let Some(confirmations) = &mut self.confirmations {
            confirmations.forget();
        }
        self.enter(State::Stopped, out);
        self.ledger.accounting().identity()?;
        Ok(())
    }

    pub fn summary(&self) -> Summary {
        Summary {
            accounting: *self.ledger.accounting(),
            ended: self.now,
            blocks: self.blocks,
            tiles: self.tiles,
            failed_tiles: self.failed_tiles,
            faults: self.faults,
            regions: self.regions,
            defect_spans: self.defect_spans,
            jitter: self.jitter,
            confirmations: self.confirmations.as_ref().map(Confirmations::sums),
            held: self.ended_held,
            source_ended: self.ended,
        }
    }

    fn fault(&mut self, fault: Fault, out: &mut Surroundings<'_>) {
        self.faults += 1;
        out.witness.fault(self.now, &fault);
    }

    /// The heartbeat lives on verdicts ok and defect alone: what was not inspected is no sign of an inspection.
    fn beat(&mut self, verdicts: u64, out: &mut Surroundings<'_>) {
        if verdicts > 0 {
            self.gave_verdict = true;
            self.inspected_at = self.ledger.accounting().counts_travelled;
            self.end_fault(Part::Inspection, out);
            self.heartbeat = !self.heartbeat;
            self.drive(Output::Heartbeat, self.heartbeat, out);
        }
    }

    /// An output that refuses is no reason to stop looking: it comes back as an input. Until then the
    /// others may only lose their current: one line can be gone while `reject` is still held.
    fn drive(&mut self, output: Output, energised: bool, out: &mut Surroundings<'_>) {
        let lost = self.pins_are_lost();
        if lost && energised {
            return;
        }
        if let Err(error) = out.outputs.drive(output, energised, self.now)
            && !lost
            && self.undriven.is_none()
        {
            self.undriven = Some(error.to_string());
        }
    }

    /// Moves the ledger on and shows on the pins what it says.
    fn refresh(&mut self, ns: u64, count: Count, out: &mut Surroundings<'_>) {
        self.looked = self.now;
        self.now = Moment {
            ns: self.now.ns.max(ns),
            count,
        };
        // Before the ledger, whose level and the state follow from it in the same moment.
        self.look_for_unconfirmed(self.now.ns, out);
        self.look_for_chatter(self.now.ns, out);
        let mut shown = self.ledger.advance(ns, count);
        if shown.alarms.missed && self.stop_line(out) {
            // In the same moment as `ready`.
            shown = self.ledger.advance(ns, count);
        }
        self.drive(Output::Reject, !shown.reject, out);
        if let Some(confirmations) = &mut self.confirmations
            && shown.reject
        {
            confirmations.rejecting(self.now.ns, count);
        }
        self.stationary = shown.stationary;
        self.drain(out);
        self.look_for_silence(out);
        self.look_for_inspection(out);
        self.enter(self.present_state(), out);
        if std::mem::take(&mut self.gave_verdict) || self.owes_nothing() {
            out.witness.alive(self.now, self.is_held());
        }
    }

    /// Whether no verdict is to be expected at present: the web stands, all lines have theirs or too few
    /// have come for a tile, or what is missing is not the engine's fault.
    fn owes_nothing(&self) -> bool {
        let is_done = self.engine_is_idle || self.ledger.accounting().lines_pending == 0;
        self.stationary
            || (is_done && !self.lines_are_overdue())
            || self.standing.has(Part::Camera)
            || self.standing.has(Part::Encoder)
    }

    /// Whether a fault keeps the station from accepting web. A line stop is none: a reset would acknowledge it
    /// for people.
    fn is_held(&self) -> bool {
        self.standing.has(Part::Camera)
            || self.standing.has(Part::Encoder)
            || self.standing.has(Part::Pins)
            || self.standing.has(Part::Silence)
            || self.standing.has(Part::Inspection)
            || self.is_stopped_by_ejector()
    }

    fn drain(&mut self, out: &mut Surroundings<'_>) {
        while let Some(event) = self.ledger.pop_event() {
            if is_fault(&event) {
                self.faults += 1;
            }
            if let RejectEvent::EncoderFault { from, to, .. } = event {
                // What jumped is the place, not the web that no line has shown.
                self.heard.0 = self.heard.0.saturating_add(to.0.saturating_sub(from.0));
            }
            if let RejectEvent::Fired {
                at_ns,
                commanded_count,
                fired_count,
                ..
            } = event
            {
                self.add_delay(at_ns, commanded_count, fired_count);
                self.expect_confirmation(at_ns, fired_count, out);
            }
            if matches!(event, RejectEvent::Reset { .. })
                && std::mem::take(&mut self.is_reset_untold)
            {
                continue;
            }
            out.witness.ledger(self.now, event);
        }
        // The ledger may have had no place for it.
        self.is_reset_untold = false;
    }

    fn present_state(&self) -> State {
        match self.state {
            State::Starting | State::Stopped => self.state,
            _ if self.ended => State::Stopping,
            _ if self.is_held() || self.standing.has(Part::LineStop) => State::Held,
            _ if !self.seen_lines => State::Idle,
            _ if self.stationary => State::Suspended,
            _ => State::Execute,
        }
    }

    fn enter(&mut self, state: State, out: &mut Surroundings<'_>) {
        if state != self.state {
            self.state = state;
            self.drive(Output::Ready, state.is_ready(), out);
            out.witness.state(self.now, state);
        }
    }
}

/// Whether a ledger's event is something wrong, and not its daily work.
pub(super) const fn is_fault(event: &RejectEvent) -> bool {
    matches!(
        event,
        RejectEvent::Missed { .. }
            | RejectEvent::Late { .. }
            | RejectEvent::QueueFull { .. }
            | RejectEvent::ContinuousReject { .. }
            | RejectEvent::PulseRate { .. }
            | RejectEvent::EncoderFault { .. }
    )
}
