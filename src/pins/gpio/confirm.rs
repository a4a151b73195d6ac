//! The ejector's confirmation on a line, by edge events with the kernel's times.

use super::super::{ConfirmEvent, ConfirmInput, ConfirmPin, PinError};
use super::events::Events;
use super::lines::{look_up, refused};
use super::outputs::bias;
use super::{CONSUMER, RETRY_NS};
use gpiocdev::Request;
use gpiocdev::line::{EdgeDetection, EventClock};
use std::time::Duration;

/// Edges that the kernel keeps while nobody reads.
const KERNEL_EVENTS: u32 = 64;

/// Time between two looks whether the line is still there: it has no edges while nothing is rejected.
const CHECK_NS: u64 = 100_000_000;

/// The line of `[pins.confirm]`. Only its rising counts, so a sensor that sticks confirms nothing.
pub struct GpioConfirm {
    config: ConfirmPin,
    /// CLOCK_MONOTONIC at the station's time 0.
    zero_ns: u64,
    offset: u32,
    request: Option<Request>,
    events: Events,
    /// The kernel's number of the last edge.
    seqno: u32,
    retry_ns: u64,
    check_ns: u64,
}

impl GpioConfirm {
    /// Takes the line. `zero_ns` is CLOCK_MONOTONIC at the station's time 0.
    ///
    /// # Errors
    /// Where the line is not found, not unique, held by another program or refused.
    pub fn open(config: &ConfirmPin, zero_ns: u64) -> Result<Self, PinError> {
        let mut confirm = Self {
            config: config.clone(),
            zero_ns,
            offset: 0,
            request: None,
            events: Events::new(),
            seqno: 0,
            retry_ns: 0,
            check_ns: 0,
        };
        confirm.take()?;
        Ok(confirm)
    }

    fn take(&mut self) -> Result<(), PinError> {
        let at = self.config.at();
        let found = look_up("confirm", &at)?;
        let mut builder = Request::builder();
        builder
            .with_consumer(CONSUMER)
            .with_kernel_event_buffer_size(KERNEL_EVENTS)
            .with_found_line(&found)
            .as_input()
            .with_bias(bias(self.config.bias))
            .with_edge_detection(EdgeDetection::RisingEdge)
            .with_event_clock(EventClock::Monotonic);
        if self.config.active_low {
            builder.as_active_low();
        }
        if self.config.debounce_us > 0 {
            builder.with_debounce_period(Duration::from_micros(u64::from(self.config.debounce_us)));
        }
        let request = builder
            .request()
            .map_err(|error| refused("confirm", &at, &found, &error))?;
        self.offset = found.info.offset;
        self.request = Some(request);
        self.events.clear();
        self.seqno = 0;
        Ok(())
    }

    fn lose(&mut self, now_ns: u64, error: &gpiocdev::Error) -> ConfirmEvent {
        self.request = None;
        self.retry_ns = now_ns + RETRY_NS;
        let error = PinError::Line {
            role: "confirm",
            line: self.config.at().to_string(),
            reason: format!("cannot be read: {error}"),
            remedy: "it is asked for again; check the chip's supply and driver".to_owned(),
        };
        ConfirmEvent::Gone(error.to_string())
    }
}

impl ConfirmInput for GpioConfirm {
    fn next_event(&mut self, until_ns: u64) -> Option<ConfirmEvent> {
        let Some(request) = &self.request else {
            if until_ns < self.retry_ns {
                return None;
            }
            self.retry_ns = until_ns + RETRY_NS;
            return self.take().is_ok().then_some(ConfirmEvent::Back);
        };
        match self.events.next(request) {
            Ok(Some(event)) => {
                // The kernel numbers edges that it had no place for as well.
                let edges = event.line_seqno.wrapping_sub(self.seqno);
                self.seqno = event.line_seqno;
                Some(ConfirmEvent::Rose {
                    ns: event.timestamp_ns.saturating_sub(self.zero_ns),
                    edges: u64::from(edges),
                })
            }
            Ok(None) if until_ns >= self.check_ns => {
                self.check_ns = until_ns + CHECK_NS;
                let looked = request.value(self.offset);
                looked.err().map(|error| self.lose(until_ns, &error))
            }
            Ok(None) => None,
            Err(error) => Some(self.lose(until_ns, &error)),
        }
    }
}
