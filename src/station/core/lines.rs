//! What lines say about the rest of the station: whether they come while the web moves, and whether the encoder
//! moves while they come.

use super::super::State;
use super::super::inspection::Step;
use super::super::standing::Part;
use super::{Core, LineCounts, Surroundings};
use crate::evidence::Fault;
use crate::verdict::Reason;

impl Core {
    /// Whether the web has moved on by more than two blocks since the last line: a camera that is silent, or the
    /// thread that reads it, is no idle engine. Before the first line, how long a block is nobody knows, and it is
    /// all the way to the ejector.
    pub(super) fn lines_are_overdue(&self) -> bool {
        let most = match self.last_line {
            Some(_) => 2 * self.block_counts + i64::from(self.reject.margin_counts),
            None => i64::from(self.reject.distance_counts),
        };
        !self.ended && self.unseen_counts() > most
    }

    /// Way of the web since the last line.
    fn unseen_counts(&self) -> i64 {
        self.now.count.0.saturating_sub(self.heard.0)
    }

    /// Takes `ready` away where no line has shown any of the web between camera and ejector.
    pub(super) fn look_for_silence(&mut self, out: &mut Surroundings<'_>) {
        let distance_counts = i64::from(self.reject.distance_counts);
        let has_begun = !matches!(self.state, State::Starting | State::Stopped);
        if self.unseen_counts() <= distance_counts
            || self.ended
            || !has_begun
            || self.standing.has(Part::Camera)
            || self.standing.has(Part::Silence)
        {
            return;
        }
        let message = format!(
            "the web has moved on by {distance_counts} counts, as far as from camera to ejector, and no line has come; check the camera's trigger and cable"
        );
        self.begin_fault(Part::Silence, Fault::Camera { message }, out);
    }

    /// Lines that the belt triggers are proof that it moves: an encoder that stands meanwhile is dead, and so is one
    /// that trembles on one edge. Everything is rejected until it moves with the lines again.
    pub(super) fn look_at_encoder(&mut self, step: &Step, out: &mut Surroundings<'_>) {
        if self.line_counts != LineCounts::Triggered {
            return;
        }
        let most_per_s = self.reject.max_speed_counts_per_s;
        let proven = self.triggered.proven(
            &step.stamps,
            step.timed_line,
            &self.track,
            self.now.ns,
            most_per_s,
        );
        let Some(way) = proven else {
            return;
        };
        if way.is_followed() {
            if std::mem::take(&mut self.is_unfollowed) {
                self.end_fault(Part::Encoder, out);
                self.ledger
                    .reset(Reason::Stale, self.now.ns, self.now.count);
                self.hold_if_blind();
            }
        } else if !self.standing.has(Part::Encoder) {
            let message = format!(
                "lines have come for {} counts of web, and the encoder has moved by {} only; everything is rejected until it moves with them; check both of its channels and its supply, or set source.timeout_ms where the camera is not triggered by the belt",
                way.by_lines_counts, way.by_encoder_counts
            );
            self.begin_fault(Part::Encoder, Fault::Encoder { message }, out);
            self.is_unfollowed = true;
            self.hold_if_blind();
        }
    }

    /// Numbers of lines and encoder disagree about the web's place: all web that the lines can have shown is behind the
    /// camera, and with all that lies there it is rejected. Told once where it goes on, its reset too, and not of a dead
    /// encoder.
    pub(super) fn look_at_places(&mut self, are_lost: bool, out: &mut Surroundings<'_>) {
        let were_lost = std::mem::replace(&mut self.are_lines_lost, are_lost);
        if !are_lost {
            return;
        }
        if !were_lost && !self.standing.has(Part::Encoder) {
            let message = "the numbers of the camera's lines and the encoder disagree about the web's place; web between camera and ejector is rejected; look whether the camera follows its trigger at the fastest belt".to_owned();
            self.fault(Fault::LineNumbers { message }, out);
        }
        if were_lost && self.standing.has(Part::Encoder) {
            // Held until the encoder is back, with a reset.
            return;
        }
        self.is_reset_untold = were_lost;
        self.ledger
            .reset(Reason::Stale, self.now.ns, self.now.count);
        self.hold_if_blind();
    }

    /// The encoder is gone, or back: whether it moves with the lines is no longer what its fault waits for.
    pub(super) fn forget_what_lines_proved(&mut self) {
        self.triggered.forget_way();
        self.is_unfollowed = false;
    }
}
