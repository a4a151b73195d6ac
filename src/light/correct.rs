//! The correction on the way from the camera.

use super::{Dark, Drift, Watched, White};
use crate::block::Block;
use crate::camera::{BlockEvent, Camera, CameraError, LineFormat};
use crate::picture::Samples;
use crate::verdict::Reason;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What the drift watch said, by the first line of the block that it saw it in.
#[derive(Debug)]
pub struct DriftNews {
    told: Receiver<(u64, Watched)>,
    next: Option<(u64, Watched)>,
}

impl DriftNews {
    /// What was said up to the block that begins with this line.
    pub fn up_to(&mut self, first_line: u64) -> Option<Watched> {
        if self.next.is_none() {
            self.next = self.told.try_recv().ok();
        }
        self.next
            .take_if(|(line, _)| *line <= first_line)
            .map(|(_, watched)| watched)
    }
}

/// Any camera, with its lines made even before anybody sees them.
pub struct Corrected<C> {
    camera: C,
    /// Empty where lines are watched and not corrected.
    offset: Vec<f32>,
    gain: Vec<f32>,
    drift: Drift,
    news: Option<Sender<(u64, Watched)>>,
}

impl<C: Camera> Corrected<C> {
    /// Corrects lines as long as the calibration; others are left as they are.
    pub fn new(camera: C, dark: &Dark, white: &White, drift: Drift) -> Self {
        Self {
            camera,
            offset: dark.offset.clone(),
            gain: white.gain.clone(),
            drift,
            news: None,
        }
    }

    /// Watches lines and leaves them as they are.
    pub fn watched(camera: C, drift: Drift) -> Self {
        Self {
            camera,
            offset: Vec::new(),
            gain: Vec::new(),
            drift,
            news: None,
        }
    }

    /// What the drift watch will say.
    pub fn news(&mut self) -> DriftNews {
        let (sender, told) = channel();
        self.news = Some(sender);
        DriftNews { told, next: None }
    }

    fn correct(&mut self, block: &mut Block) {
        let columns = self.gain.len();
        if columns == 0 {
            return;
        }
        match &mut block.picture.samples {
            Samples::U8(samples) => {
                for line in samples.chunks_exact_mut(columns) {
                    for ((sample, offset), gain) in
                        line.iter_mut().zip(&self.offset).zip(&self.gain)
                    {
                        // `as` keeps to the range.
                        *sample = ((f32::from(*sample) - offset) * gain + 0.5) as u8;
                    }
                }
            }
            Samples::U16(samples) => {
                for line in samples.chunks_exact_mut(columns) {
                    for ((sample, offset), gain) in
                        line.iter_mut().zip(&self.offset).zip(&self.gain)
                    {
                        *sample = ((f32::from(*sample) - offset) * gain + 0.5) as u16;
                    }
                }
            }
        }
    }
}

impl<C: Camera> Camera for Corrected<C> {
    fn format(&self) -> LineFormat {
        self.camera.format()
    }

    fn start(&mut self) -> Result<(), CameraError> {
        self.camera.start()
    }

    fn next_block(
        &mut self,
        patience: Duration,
        into: &mut Block,
    ) -> Result<BlockEvent, CameraError> {
        let event = self.camera.next_block(patience, into)?;
        if event == BlockEvent::Filled {
            self.correct(into);
            if into.fault.is_none() {
                let look = self.drift.look(&into.picture);
                if let Some(watched) = look.news {
                    tell(watched);
                    if let Some(news) = &self.news {
                        // Nobody listens any more where the run is over.
                        let _ = news.send((into.first_line.0, watched));
                    }
                }
                if look.is_beyond {
                    into.fault = Some(Reason::Light);
                }
            }
        }
        Ok(event)
    }

    fn stop(&mut self) {
        self.camera.stop();
    }
}

fn tell(watched: Watched) {
    match watched {
        Watched::Darker { .. } | Watched::Brighter { .. } => log::warn!("{watched}"),
        Watched::Even => log::info!("{watched}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{BeltSpec, Synthetic, SyntheticSpec, WebSpec};

    #[test]
    fn columns_lose_their_offset_get_their_gain_and_keep_to_the_range() {
        let format = LineFormat {
            width_px: 3,
            channels: 1,
            sixteen_bit: true,
            lines_per_block: 2,
        };
        let dark = Dark {
            lines: 2048,
            offset: vec![100.0, 200.5, 0.0],
            dsnu: 0.0,
            temporal_noise: 0.0,
        };
        let white = White {
            lines: 2048,
            gain: vec![1.0, 2.0, 4.0],
            level: 50_000.0,
            prnu: 0.0,
            temporal_noise: 0.0,
        };
        let spec = SyntheticSpec {
            web: WebSpec::default(),
            defects: Vec::new(),
            lines: 1,
            lines_per_block: 1,
            belt: BeltSpec::default(),
        };
        let camera = Synthetic::new(&spec).unwrap();
        let mut corrected = Corrected::new(camera, &dark, &white, Drift::off());
        let mut block = format.empty_block();
        block.picture.samples = Samples::U16(vec![100, 201, 1000, 50, 60_000, 20_000]);
        corrected.correct(&mut block);
        assert_eq!(
            block.picture.samples,
            Samples::U16(vec![0, 1, 4000, 0, 65535, 65535])
        );
    }

    /// What the first block of the built-in web is taken for where white was calibrated at `level`.
    fn fault_at(level: f64) -> Option<Reason> {
        let spec = SyntheticSpec {
            web: WebSpec::default(),
            defects: Vec::new(),
            lines: 64,
            lines_per_block: 64,
            belt: BeltSpec::default(),
        };
        let camera = Synthetic::new(&spec).unwrap();
        let format = camera.format();
        let samples = format.samples_per_line();
        let dark = Dark {
            lines: 2048,
            offset: vec![0.0; samples],
            dsnu: 0.0,
            temporal_noise: 0.0,
        };
        let white = White {
            lines: 2048,
            gain: vec![1.0; samples],
            level: level as f32,
            prnu: 0.0,
            temporal_noise: 0.0,
        };
        let columns = Some([0, format.width_px]);
        let drift = Drift::new(format, columns, level, 15)
            .unwrap()
            .rejecting(60);
        let mut corrected = Corrected::new(camera, &dark, &white, drift);
        corrected.start().unwrap();
        let mut block = format.empty_block();
        corrected.next_block(Duration::ZERO, &mut block).unwrap();
        block.fault
    }

    #[test]
    fn lines_in_the_dark_are_not_inspected() {
        // The web's level is a hundred or so.
        assert_eq!(fault_at(100.0), None);
        assert_eq!(fault_at(1000.0), Some(Reason::Light));
        assert_eq!(fault_at(10.0), Some(Reason::Light));
    }
}
