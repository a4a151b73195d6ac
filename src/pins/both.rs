//! Outputs that are driven and written down.

use super::{Edge, Moment, Output, Outputs, PinError, RecordedOutputs};
use crate::histogram::Histogram;

/// Drives `device`, where there is one, and writes every edge down, also where the device refuses it.
pub struct WatchedOutputs<O> {
    device: Option<O>,
    /// `None` where nobody wants the edges: a station runs for ever.
    written: Option<RecordedOutputs>,
}

impl<O> WatchedOutputs<O> {
    /// Outputs on `device`; edges are kept in memory if `write` says so, for a run that ends.
    pub fn new(device: Option<O>, write: bool) -> Self {
        Self {
            device,
            written: write.then(RecordedOutputs::default),
        }
    }

    /// Every edge so far, in the order of time.
    pub fn edges(&self) -> &[Edge] {
        self.written.as_ref().map_or(&[], RecordedOutputs::edges)
    }
}

impl<O: Outputs> Outputs for WatchedOutputs<O> {
    fn drive(&mut self, output: Output, energised: bool, now: Moment) -> Result<(), PinError> {
        if let Some(written) = &mut self.written {
            written.drive(output, energised, now)?;
        }
        match &mut self.device {
            Some(device) => device.drive(output, energised, now),
            None => Ok(()),
        }
    }

    fn check(&mut self, now: Moment) -> Result<(), PinError> {
        self.device
            .as_mut()
            .map_or(Ok(()), |device| device.check(now))
    }

    fn release_all(&mut self, now: Moment) -> Result<(), PinError> {
        if let Some(written) = &mut self.written {
            written.release_all(now)?;
        }
        self.device
            .as_mut()
            .map_or(Ok(()), |device| device.release_all(now))
    }

    fn pulse_delays_us(&self) -> Option<&Histogram> {
        self.device.as_ref()?.pulse_delays_us()
    }
}
