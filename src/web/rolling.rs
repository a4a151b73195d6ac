//! The last lines of the web, kept until their tiles are cut.

use super::config::WebConfig;
use crate::picture::{Line, Picture, Samples};

/// A ring of lines. Lines are numbered by how many were stored before them, so that nothing is lost
/// to gaps in the web's own numbers.
#[derive(Debug)]
pub(super) struct Rolling {
    ring: Picture,
}

impl Rolling {
    pub(super) fn new(config: &WebConfig) -> Self {
        let (width_px, height_px) = (config.width_px as usize, config.rolling_lines as usize);
        let length = width_px * height_px * config.channels;
        let samples = if config.sixteen_bit {
            Samples::U16(vec![0; length])
        } else {
            Samples::U8(vec![0; length])
        };
        Self {
            ring: Picture {
                width_px,
                height_px,
                channels: config.channels,
                samples,
            },
        }
    }

    pub(super) fn lines(&self) -> u64 {
        self.ring.height_px as u64
    }

    /// Whether a block's lines look like this image's, and there are `lines` of them.
    pub(super) fn fits(&self, picture: &Picture, lines: usize) -> Fit {
        let ring = &self.ring;
        let same_depth = matches!(
            (&picture.samples, &ring.samples),
            (Samples::U8(_), Samples::U8(_)) | (Samples::U16(_), Samples::U16(_))
        );
        if !same_depth || picture.width_px != ring.width_px || picture.channels != ring.channels {
            return Fit::OtherFormat;
        }
        let needed = lines * ring.width_px * ring.channels;
        if picture.height_px != lines || picture.samples.len() != needed {
            return Fit::Short;
        }
        Fit::Fits
    }

    /// Keeps a line of a picture that [`Rolling::fits`], in the place of the oldest.
    pub(super) fn store(&mut self, stored: u64, picture: &Picture, line: usize) {
        let stride = self.ring.width_px * self.ring.channels;
        let to = (stored % self.lines()) as usize * stride;
        let from = line * stride;
        match (&mut self.ring.samples, &picture.samples) {
            (Samples::U8(ring), Samples::U8(new)) => {
                ring[to..to + stride].copy_from_slice(&new[from..from + stride]);
            }
            (Samples::U16(ring), Samples::U16(new)) => {
                ring[to..to + stride].copy_from_slice(&new[from..from + stride]);
            }
            _ => {}
        }
    }

    pub(super) fn line(&self, stored: u64) -> Line<'_> {
        self.ring.line((stored % self.lines()) as usize)
    }
}

/// What a block's pixels are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Fits,
    /// Another width, depth or number of channels than configured.
    OtherFormat,
    /// Not as many lines as stamps.
    Short,
}
