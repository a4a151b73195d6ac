//! A line camera over the built-in web.

use super::web_texture::{Defect, Truth, WebSpec, WebTexture};
use super::{Belt, BeltSpec, BlockEvent, Camera, CameraError, LineFormat, begin, push_stamp};
use crate::block::Block;
use crate::geometry::LineNumber;
use crate::picture::Samples;
use std::time::Duration;

/// A piece of web, its defects and how it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticSpec {
    pub web: WebSpec,
    pub defects: Vec<Defect>,
    pub lines: u64,
    pub lines_per_block: u32,
    pub belt: BeltSpec,
}

impl SyntheticSpec {
    /// The true boxes of all defects, found by weaving the web once without a camera.
    pub fn truth(&self) -> Vec<Truth> {
        let width = self.web.width_px as usize;
        let mut web = WebTexture::new(self.web, self.defects.clone());
        let (mut grey, mut labels) = (vec![0; width], vec![0; width]);
        for _ in 0..self.lines {
            web.next_line(&mut grey, &mut labels);
        }
        web.all_truth()
    }
}

/// Delivers the web of a [`SyntheticSpec`]; never waits.
#[derive(Debug)]
pub struct Synthetic {
    texture: WebTexture,
    belt: Belt,
    next_line: u64,
    lines: u64,
    format: LineFormat,
    labels: Vec<u8>,
}

impl Synthetic {
    /// # Errors
    /// Where the belt's description makes no sense.
    pub fn new(spec: &SyntheticSpec) -> Result<Self, CameraError> {
        Ok(Self {
            texture: WebTexture::new(spec.web, spec.defects.clone()),
            belt: Belt::new(&spec.belt)?,
            next_line: 0,
            lines: spec.lines,
            format: LineFormat {
                width_px: spec.web.width_px,
                channels: 1,
                sixteen_bit: false,
                lines_per_block: spec.lines_per_block.max(1),
            },
            labels: vec![0; spec.web.width_px as usize],
        })
    }
}

impl Camera for Synthetic {
    fn format(&self) -> LineFormat {
        self.format
    }

    fn start(&mut self) -> Result<(), CameraError> {
        Ok(())
    }

    fn next_block(&mut self, _: Duration, into: &mut Block) -> Result<BlockEvent, CameraError> {
        let left = self.lines - self.next_line;
        if left == 0 {
            return Ok(BlockEvent::End);
        }
        begin(into, LineNumber(self.next_line));
        let width = self.format.width_px as usize;
        let lines = left.min(u64::from(self.format.lines_per_block));
        for line in 0..lines as usize {
            if let Samples::U8(samples) = &mut into.picture.samples {
                samples.resize((line + 1) * width, 0);
                self.texture
                    .next_line(&mut samples[line * width..], &mut self.labels);
            }
            push_stamp(into, self.belt.next_line());
        }
        self.next_line += lines;
        Ok(BlockEvent::Filled)
    }

    fn stop(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::plan_defects;
    use super::*;

    #[test]
    fn delivers_every_line_once_with_its_stamp_and_ends() {
        let web = WebSpec::default();
        let spec = SyntheticSpec {
            web,
            defects: plan_defects(&web, 0, 1000, 500),
            lines: 1000,
            lines_per_block: 64,
            belt: BeltSpec::default(),
        };
        let mut camera = Synthetic::new(&spec).unwrap();
        let mut block = camera.format().empty_block();
        let mut expected = 0;
        while camera.next_block(Duration::ZERO, &mut block).unwrap() == BlockEvent::Filled {
            assert_eq!(block.first_line, LineNumber(expected));
            assert_eq!(block.stamps.len(), block.picture.height_px);
            assert_eq!(block.picture.samples.len(), 512 * block.stamps.len());
            for (line, stamp) in (expected..).zip(&block.stamps) {
                assert_eq!(stamp.count.0, 4 * (line as i64 + 1));
            }
            expected += block.stamps.len() as u64;
        }
        assert_eq!(expected, 1000);
        assert_eq!(spec.truth().len(), 2);
    }
}
