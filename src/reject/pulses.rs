//! Pulses in the last minute.

/// Parts of a minute.
const PARTS: usize = 12;
const PART_NS: u64 = 5_000_000_000;

/// A sliding minute in steps of five seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct PulseRate {
    parts: [u32; PARTS],
    newest: u64,
}

impl PulseRate {
    /// Drops what is older than a minute.
    pub fn advance(&mut self, now_ns: u64) {
        let part = now_ns / PART_NS;
        let steps = part.saturating_sub(self.newest).min(PARTS as u64);
        for step in 1..=steps {
            self.parts[((part - steps + step) % PARTS as u64) as usize] = 0;
        }
        self.newest = self.newest.max(part);
    }

    /// Counts one pulse.
    pub fn add(&mut self, now_ns: u64) {
        self.advance(now_ns);
        let place = (self.newest % PARTS as u64) as usize;
        self.parts[place] = self.parts[place].saturating_add(1);
    }

    /// Pulses in the last 55 to 60 seconds.
    pub fn per_minute(&self) -> u32 {
        self.parts
            .iter()
            .fold(0, |sum, part| sum.saturating_add(*part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulses_are_forgotten_after_a_minute() {
        let second = 1_000_000_000u64;
        let mut rate = PulseRate::default();
        for at in 0..120 {
            rate.add(at * second);
            assert!(rate.per_minute() <= 60);
        }
        assert!(rate.per_minute() >= 56, "{}", rate.per_minute());
        rate.advance(170 * second);
        assert!((5..=10).contains(&rate.per_minute()));
        rate.advance(u64::MAX);
        assert_eq!(rate.per_minute(), 0);
    }
}
