//! An encoder on one or two lines, by edge events with the kernel's times.

use super::super::{
    Channel, ChannelEdge, ChannelNews, ChannelWatch, CountedEdges, Decoding, EdgeCounter, Encoder,
    EncoderConfig, EncoderEvent, LineConfig, Moment, PinError,
};
use super::events::Events;
use super::lines::{look_up, refused};
use super::outputs::bias;
use super::{CONSUMER, RETRY_NS};
use crate::geometry::Count;
use gpiocdev::Request;
use gpiocdev::line::{EdgeDetection, EdgeKind, EventClock, Value};
use std::time::Duration;

/// Positions are told at most this often; counts between them are interpolated.
const SPACING_NS: u64 = 200_000;

/// The encoder of `[pins.encoder]` with `kind = "gpio"`.
pub struct GpioEncoder {
    config: EncoderConfig,
    /// CLOCK_MONOTONIC at the station's time 0.
    zero_ns: u64,
    request: Option<Request>,
    /// Offset of channel A.
    a_offset: u32,
    counter: EdgeCounter,
    /// Where there are two channels.
    channels: Option<ChannelWatch>,
    events: Events,
    told: Moment,
    untold: Option<Moment>,
    retry_ns: u64,
}

impl GpioEncoder {
    /// Takes the lines and begins to count from 0. `zero_ns` is CLOCK_MONOTONIC at the station's time 0.
    ///
    /// # Errors
    /// Where a line is not found, not unique, held by another program or refused, or the two are not on
    /// one chip.
    pub fn open(config: &EncoderConfig, zero_ns: u64) -> Result<Self, PinError> {
        let EncoderConfig::Gpio {
            b, edges, reversed, ..
        } = config
        else {
            return Err(PinError::Encoder("it has no lines".to_owned()));
        };
        let decoding = match b {
            Some(_) => Decoding::Quadrature,
            None => Decoding::Single(*edges),
        };
        let mut encoder = Self {
            config: config.clone(),
            zero_ns,
            request: None,
            a_offset: 0,
            counter: EdgeCounter::new(decoding, *reversed),
            channels: b.as_ref().map(|_| ChannelWatch::default()),
            events: Events::new(),
            told: Moment::default(),
            untold: None,
            retry_ns: 0,
        };
        encoder.take()?;
        Ok(encoder)
    }

    fn take(&mut self) -> Result<(), PinError> {
        let EncoderConfig::Gpio {
            a,
            b,
            edges,
            debounce_us,
            kernel_events,
            active_low,
            bias: pull,
            ..
        } = &self.config
        else {
            return Err(PinError::Encoder("it has no lines".to_owned()));
        };
        let first = look_up("encoder", a)?;
        let second = match b {
            Some(b) => Some(look_up("encoder", b)?),
            None => None,
        };
        if let (Some(second), Some(b)) = (&second, b)
            && second.chip != first.chip
        {
            return Err(PinError::Encoder(format!(
                "the lines {a} and {b} are on two chips, {} and {}, whose edges have no common order; use two lines of one chip",
                first.chip.display(),
                second.chip.display()
            )));
        }
        let detect = match (&second, edges) {
            (Some(_), _) | (None, CountedEdges::Both) => EdgeDetection::BothEdges,
            (None, CountedEdges::Rising) => EdgeDetection::RisingEdge,
            (None, CountedEdges::Falling) => EdgeDetection::FallingEdge,
        };
        let mut builder = Request::builder();
        builder
            .with_consumer(CONSUMER)
            .with_kernel_event_buffer_size(*kernel_events);
        for found in std::iter::once(&first).chain(&second) {
            // Settings go to the line named last.
            builder
                .with_found_line(found)
                .as_input()
                .with_bias(bias(*pull))
                .with_edge_detection(detect)
                .with_event_clock(EventClock::Monotonic);
            if *active_low {
                builder.as_active_low();
            }
            if *debounce_us > 0 {
                builder.with_debounce_period(Duration::from_micros(u64::from(*debounce_us)));
            }
        }
        let request = builder
            .request()
            .map_err(|error| refused("encoder", a, &first, &error))?;
        let level = |offset| -> Result<bool, PinError> {
            let value = request
                .value(offset)
                .map_err(|error| unreadable(a, &error))?;
            Ok(value == Value::Active)
        };
        let a_high = level(first.info.offset)?;
        let b_high = match &second {
            Some(second) => level(second.info.offset)?,
            None => false,
        };
        self.counter.restart(a_high, b_high);
        self.channels = self.channels.take().map(|_| ChannelWatch::default());
        self.a_offset = first.info.offset;
        self.events.clear();
        self.request = Some(request);
        Ok(())
    }

    /// The next edge that the kernel has, if there is one.
    fn next_edge(&mut self) -> Result<Option<(u64, ChannelEdge)>, gpiocdev::Error> {
        let Some(request) = &self.request else {
            return Ok(None);
        };
        let Some(event) = self.events.next(request)? else {
            return Ok(None);
        };
        let channel = if event.offset == self.a_offset {
            Channel::A
        } else {
            Channel::B
        };
        Ok(Some((
            event.timestamp_ns,
            ChannelEdge {
                channel,
                rising: event.kind == EdgeKind::Rising,
                line_seqno: event.line_seqno,
            },
        )))
    }

    /// What to say of a channel that is silent beside the other.
    fn dead(&self, channel: Channel) -> String {
        let line = match (&self.config, channel) {
            (EncoderConfig::Gpio { b: Some(b), .. }, Channel::B) => b.clone(),
            _ => self.name(),
        };
        PinError::Line {
            role: "encoder",
            line: line.to_string(),
            reason: "has no edges, though the other channel has many".to_owned(),
            remedy: "everything is rejected until both have; check its wire, or give pins.encoder.debounce_us where the belt stood and its edge flickers".to_owned(),
        }
        .to_string()
    }

    fn name(&self) -> LineConfig {
        match &self.config {
            EncoderConfig::Gpio { a, .. } => a.clone(),
            _ => LineConfig::default(),
        }
    }
}

impl Encoder for GpioEncoder {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        if self.request.is_none() {
            if until_ns < self.retry_ns {
                return Ok(None);
            }
            self.retry_ns = until_ns + RETRY_NS;
            return Ok(self.take().is_ok().then_some(EncoderEvent::Back));
        }
        loop {
            let (ns, edge) = match self.next_edge() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) => {
                    self.request = None;
                    self.retry_ns = until_ns + RETRY_NS;
                    return Ok(Some(EncoderEvent::Gone(
                        unreadable(&self.name(), &error).to_string(),
                    )));
                }
            };
            let edges = self.counter.take(edge);
            let at = Moment {
                ns: ns.saturating_sub(self.zero_ns),
                count: Count(self.counter.count()),
            };
            let channels = self.channels.as_mut();
            match channels.and_then(|channels| channels.take(edge.channel, at.ns)) {
                Some(ChannelNews::Dead(channel)) => {
                    return Ok(Some(EncoderEvent::Gone(self.dead(channel))));
                }
                Some(ChannelNews::Back) => return Ok(Some(EncoderEvent::Back)),
                None => {}
            }
            if edges > 0 {
                self.told = at;
                self.untold = None;
                return Ok(Some(EncoderEvent::EdgesLost { at, edges }));
            }
            if at.ns >= self.told.ns + SPACING_NS {
                self.told = at;
                self.untold = None;
                return Ok(Some(EncoderEvent::Position(at)));
            }
            self.untold = Some(at);
        }
        let due = self.untold.filter(|at| until_ns >= at.ns + SPACING_NS);
        if let Some(at) = due {
            self.untold = None;
            self.told = at;
        }
        Ok(due.map(EncoderEvent::Position))
    }
}

fn unreadable(line: &LineConfig, error: &gpiocdev::Error) -> PinError {
    PinError::Line {
        role: "encoder",
        line: line.to_string(),
        reason: format!("cannot be read: {error}"),
        remedy: "it is asked for again; check the chip's supply and driver".to_owned(),
    }
}
