//! What samples tell of how a picture was recorded, where that may not be what the networks expect.

use super::{Picture, Samples};

/// Bits that cameras have and files of 16 bits hold.
const DEPTHS: [u32; 3] = [8, 10, 12];

/// Watches whether pictures of 16 bits hold values of fewer bits at the lower end, where full scale would
/// have to be 65535: the networks would see them almost black.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DepthWatch {
    greatest: u16,
}

impl DepthWatch {
    /// Looks at a picture; those of 8 bits say nothing.
    pub fn see(&mut self, picture: &Picture) {
        if let Samples::U16(samples) = &picture.samples {
            self.greatest = samples.iter().copied().fold(self.greatest, u16::max);
        }
    }

    /// Bits that all pictures of 16 bits made do with so far: 8, 10 or 12. `None` where there was none,
    /// where all are black, and where they need more.
    pub fn bits(&self) -> Option<u32> {
        let fits = |bits: &u32| (1..1u32 << bits).contains(&u32::from(self.greatest));
        DEPTHS.into_iter().find(fits)
    }
}

/// Mean difference of the greatest and the least channel above which a picture is not a grey one that was
/// saved in colour, nor one of a camera whose white balance is off.
const COLOURED: f64 = 0.1;

impl Picture {
    /// Mean difference between a pixel's greatest and least channel, in [0, 1]: 0 for grey.
    pub fn colourfulness(&self) -> f64 {
        fn sum<T: Copy + Ord + Into<u64>>(samples: &[T]) -> u64 {
            let spread = |&[r, g, b]: &[T; 3]| r.max(g).max(b).into() - r.min(g).min(b).into();
            samples.as_chunks::<3>().0.iter().map(spread).sum()
        }
        if self.channels != 3 {
            return 0.0;
        }
        let (sum, full) = match &self.samples {
            Samples::U8(samples) => (sum(samples), u8::MAX.into()),
            Samples::U16(samples) => (sum(samples), f64::from(u16::MAX)),
        };
        sum as f64 / full / (self.width_px * self.height_px) as f64
    }

    /// Whether the picture is of something in colour, which a model of grey pictures has never seen.
    pub fn is_strongly_coloured(&self) -> bool {
        self.colourfulness() > COLOURED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_the_lower_end_of_16_bits_are_noticed_over_all_pictures() {
        let mut watch = DepthWatch::default();
        let mut bits = |greatest: u16| {
            watch.see(&Picture::from_grey16(2, 1, vec![0, greatest]).unwrap());
            watch.bits()
        };
        assert_eq!(bits(0), None, "black");
        assert_eq!(bits(255), Some(8));
        assert_eq!(bits(1023), Some(10));
        assert_eq!(bits(1024), Some(12));
        assert_eq!(bits(4095), Some(12));
        assert_eq!(bits(4096), None);
        assert_eq!(bits(7), None, "the others have more");
        let mut watch = DepthWatch::default();
        watch.see(&Picture::from_grey8(2, 1, vec![0, 200]).unwrap());
        assert_eq!(watch.bits(), None);
    }

    #[test]
    fn colour_is_told_from_grey_that_was_saved_in_colour() {
        let picture = |pixel: [u8; 3]| Picture::from_rgb8(2, 1, pixel.repeat(2)).unwrap();
        assert_eq!(picture([90, 90, 90]).colourfulness(), 0.0);
        assert!(!picture([120, 110, 105]).is_strongly_coloured());
        assert!(picture([180, 90, 60]).is_strongly_coloured());
        assert_eq!(picture([255, 0, 7]).colourfulness(), 1.0);
        let wide = Picture::new(1, 1, 3, Samples::U16(vec![65535, 0, 9])).unwrap();
        assert_eq!(wide.colourfulness(), 1.0);
        assert!(
            !Picture::from_grey8(1, 1, vec![200])
                .unwrap()
                .is_strongly_coloured()
        );
    }
}
