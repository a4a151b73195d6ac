//! What the core hears and sees of the machine: encoder, confirmation, and whether outputs are held.

use super::StationError;
use super::core::Core;
use super::input::Input;
use super::inspection::Step;
use crate::pins::{ConfirmEvent, ConfirmInput, Encoder, EncoderEvent, Outputs};

/// Time between two looks at the outputs.
const CHECK_PINS_NS: u64 = 100_000_000;

pub(super) struct Wires {
    encoder: Box<dyn Encoder>,
    confirm: Option<Box<dyn ConfirmInput>>,
    /// When the outputs are looked at next.
    check_pins_ns: u64,
}

impl Wires {
    pub fn new(encoder: Box<dyn Encoder>, confirm: Option<Box<dyn ConfirmInput>>) -> Self {
        Self {
            encoder,
            confirm,
            check_pins_ns: 0,
        }
    }

    /// What the encoder says next.
    pub fn encoder(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, StationError> {
        Ok(self.encoder.next_event(until_ns)?)
    }

    /// What the ejector's confirmation says next.
    pub fn confirm(&mut self, until_ns: u64) -> Option<ConfirmEvent> {
        self.confirm.as_mut()?.next_event(until_ns)
    }

    /// Tells an encoder that counts by the camera's lines what has become of them.
    pub fn tell_encoder(&mut self, input: &Input, step: &Step) {
        match input {
            Input::Block { .. } => self.encoder.lines(&step.stamps),
            Input::Lost { .. } => self.encoder.camera_lost(),
            _ => {}
        }
    }

    /// What there is to say about the outputs.
    pub fn pins_input(&mut self, core: &mut Core, outputs: &mut dyn Outputs) -> Option<Input> {
        let now = core.now();
        if let Some(message) = core.undriven() {
            return Some(Input::PinsLost {
                ns: now.ns,
                message,
            });
        }
        if now.ns < self.check_pins_ns {
            return None;
        }
        self.check_pins_ns = now.ns + CHECK_PINS_NS;
        match (outputs.check(now), core.pins_are_lost()) {
            (Err(error), false) => Some(Input::PinsLost {
                ns: now.ns,
                message: error.to_string(),
            }),
            (Ok(()), true) => Some(Input::PinsBack { ns: now.ns }),
            (Ok(()), false) | (Err(_), true) => None,
        }
    }
}
