//! Outputs that are lines.

use super::super::{Bias, Drive, Moment, Output, OutputConfig, Outputs, PinError, PinsConfig};
use super::lines::{look_up, refused};
use super::{CONSUMER, RETRY_NS};
use crate::histogram::Histogram;
use gpiocdev::Request;
use gpiocdev::line::{self, Value};
use std::time::{Duration, Instant};

/// Looks in a row at which a wire may be at another level than it is driven to: one may come while it changes.
const ASTRAY_LOOKS: u8 = 2;

/// Whether a wire follows what drives it.
#[derive(Debug, Default)]
struct Follow {
    astray: u8,
}

impl Follow {
    /// Looks once; `false` where it does not follow.
    fn look(&mut self, wanted: bool, found: bool) -> bool {
        self.astray = match wanted == found {
            true => 0,
            false => self.astray.saturating_add(1),
        };
        self.astray < ASTRAY_LOOKS
    }
}

/// A line that is held, or was.
struct Line {
    output: Output,
    config: OutputConfig,
    offset: u32,
    request: Option<Request>,
    energised: bool,
    follow: Follow,
}

impl Line {
    /// Takes the line as an output without current, in one step with its request.
    fn take(&mut self) -> Result<(), PinError> {
        let found = look_up(self.output.word(), &self.config.at())?;
        let mut builder = Request::builder();
        builder
            .with_consumer(CONSUMER)
            .with_found_line(&found)
            .as_output(Value::Inactive)
            .with_drive(match self.config.drive {
                Drive::PushPull => line::Drive::PushPull,
                Drive::OpenDrain => line::Drive::OpenDrain,
                Drive::OpenSource => line::Drive::OpenSource,
            })
            .with_bias(bias(self.config.bias));
        if self.config.active_low {
            builder.as_active_low();
        }
        let request = builder
            .request()
            .map_err(|error| refused(self.output.word(), &self.config.at(), &found, &error))?;
        self.offset = found.info.offset;
        self.request = Some(request);
        self.energised = false;
        self.follow = Follow::default();
        Ok(())
    }

    /// Takes a lost line back, unless something else drives its wire.
    fn take_back(&mut self) -> Result<(), PinError> {
        self.take()?;
        (0..ASTRAY_LOOKS).try_for_each(|_| self.look())
    }

    /// Whether the line is still ours, and its wire where it is driven to. What a line that is only pulled one way
    /// reads is up to what else is on the wire.
    fn look(&mut self) -> Result<(), PinError> {
        let Some(request) = &self.request else {
            return Err(self.lost(&"not held at present"));
        };
        let value = match request.value(self.offset) {
            Ok(value) => value,
            Err(error) => return Err(self.lose(&error)),
        };
        let follows = self.config.drive != Drive::PushPull
            || self.follow.look(self.energised, value == Value::Active);
        match follows {
            true => Ok(()),
            false => Err(self.lose(&"the wire is at another level than it is driven to")),
        }
    }

    /// The line is no longer ours.
    fn lose(&mut self, error: &dyn std::fmt::Display) -> PinError {
        self.request = None;
        self.lost(error)
    }

    fn lost(&self, reason: &dyn std::fmt::Display) -> PinError {
        PinError::Line {
            role: self.output.word(),
            line: self.config.at().to_string(),
            reason: format!("lost: {reason}"),
            remedy: "it is asked for again; check the chip's supply and driver, and what else is on the wire"
                .to_owned(),
        }
    }
}

/// The lines of `[pins]`. They are released, and so without current, when this is dropped.
pub struct GpioOutputs {
    lines: Vec<Line>,
    retry_ns: u64,
    /// The station's time 0.
    zero: Instant,
    delays_us: Histogram,
}

impl GpioOutputs {
    /// Takes all configured lines, without current. `zero` is the time 0 of the moments to come.
    ///
    /// # Errors
    /// Where a line is not found, not unique, held by another program or refused.
    pub fn open(config: &PinsConfig, zero: Instant) -> Result<Self, PinError> {
        let mut lines = Vec::new();
        for (output, config) in config.outputs() {
            let mut line = Line {
                output,
                config: config.clone(),
                offset: 0,
                request: None,
                energised: false,
                follow: Follow::default(),
            };
            line.take()?;
            lines.push(line);
        }
        Ok(Self {
            lines,
            retry_ns: 0,
            zero,
            delays_us: Histogram::default(),
        })
    }
}

impl Outputs for GpioOutputs {
    fn drive(&mut self, output: Output, energised: bool, now: Moment) -> Result<(), PinError> {
        let Some(line) = self.lines.iter_mut().find(|line| line.output == output) else {
            return Ok(());
        };
        let Some(request) = &line.request else {
            return Err(line.lost(&"not held at present"));
        };
        if line.energised == energised {
            return Ok(());
        }
        let value = if energised {
            Value::Active
        } else {
            Value::Inactive
        };
        if let Err(error) = request.set_value(line.offset, value) {
            return Err(line.lose(&error));
        }
        line.energised = energised;
        if output == Output::Reject {
            let delay = self
                .zero
                .elapsed()
                .saturating_sub(Duration::from_nanos(now.ns));
            self.delays_us.add(delay.as_micros() as u64);
        }
        Ok(())
    }

    fn check(&mut self, now: Moment) -> Result<(), PinError> {
        let mut first = None;
        let retry = now.ns >= self.retry_ns;
        for line in &mut self.lines {
            let looked = match line.request.is_none() && retry {
                true => line.take_back(),
                false => line.look(),
            };
            if let Err(error) = looked {
                first.get_or_insert(error);
            }
        }
        if retry {
            self.retry_ns = now.ns + RETRY_NS;
        }
        first.map_or(Ok(()), Err)
    }

    fn release_all(&mut self, now: Moment) -> Result<(), PinError> {
        let mut result = Ok(());
        for output in [Output::Reject, Output::Ready, Output::Heartbeat] {
            // One that is lost must not keep the others energised.
            result = result.and(self.drive(output, false, now));
        }
        result
    }

    fn pulse_delays_us(&self) -> Option<&Histogram> {
        Some(&self.delays_us)
    }
}

pub(super) fn bias(bias: Bias) -> Option<line::Bias> {
    match bias {
        Bias::AsIs => None,
        Bias::PullUp => Some(line::Bias::PullUp),
        Bias::PullDown => Some(line::Bias::PullDown),
        Bias::Disabled => Some(line::Bias::Disabled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wire_that_stays_at_the_other_level_does_not_follow_and_one_that_changes_does() {
        let mut follow = Follow::default();
        assert!(
            follow.look(true, true) && follow.look(false, true),
            "it changes"
        );
        assert!(follow.look(false, false) && follow.look(true, false));
        assert!(!follow.look(true, false), "it is shorted");
        assert!(follow.look(false, false));
        assert!(
            follow.look(false, true) && !follow.look(false, true),
            "it is held"
        );
    }
}
