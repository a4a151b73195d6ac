//! The web's speed from pairs of time and count, robust at stops.

use heapless::Deque;

/// Samples kept; they lie at least an eighth of the window apart.
const SAMPLES: usize = 12;

/// Mean speed over a window.
///
/// After a standstill the first movement starts a new window, so the estimate is high rather than
/// low: pulses then come early, never late.
#[derive(Debug, Clone)]
pub struct SpeedEstimate {
    window_ns: u64,
    limit_millicounts_per_s: i64,
    samples: Deque<(u64, i64), SAMPLES>,
    last: (u64, i64),
    last_change_ns: u64,
    millicounts_per_s: i64,
}

impl SpeedEstimate {
    /// A standing web at `count`. `limit_counts_per_s` bounds every estimate.
    pub fn new(window_ms: u32, limit_counts_per_s: u32, now_ns: u64, count: i64) -> Self {
        let mut estimate = Self {
            window_ns: u64::from(window_ms.max(1)) * 1_000_000,
            limit_millicounts_per_s: i64::from(limit_counts_per_s) * 1000,
            samples: Deque::new(),
            last: (now_ns, count),
            last_change_ns: now_ns,
            millicounts_per_s: 0,
        };
        estimate.push((now_ns, count));
        estimate
    }

    fn push(&mut self, sample: (u64, i64)) {
        if self.samples.is_full() {
            self.samples.pop_front();
        }
        // A place was just made.
        let _ = self.samples.push_back(sample);
    }

    /// Takes the next pair; `now_ns` must not fall.
    pub fn update(&mut self, now_ns: u64, count: i64) {
        let moved = count != self.last.1;
        if moved && now_ns.saturating_sub(self.last_change_ns) > self.window_ns {
            self.samples.clear();
            self.push(self.last);
        }
        if moved {
            self.last_change_ns = now_ns;
        }
        self.last = (now_ns, count);
        // The window's start: the newest sample that is at least a window old.
        while self.samples.len() > 1 {
            let second = self.samples.iter().nth(1).copied().unwrap_or(self.last);
            if now_ns.saturating_sub(second.0) < self.window_ns {
                break;
            }
            self.samples.pop_front();
        }
        let start = self.samples.front().copied().unwrap_or(self.last);
        let elapsed_ns = now_ns.saturating_sub(start.0);
        if elapsed_ns > 0 {
            let counts = i128::from(count) - i128::from(start.1);
            let speed = counts * 1_000_000_000_000 / i128::from(elapsed_ns);
            let limit = i128::from(self.limit_millicounts_per_s);
            self.millicounts_per_s = speed.clamp(-limit, limit) as i64;
        }
        let newest = self.samples.back().copied().unwrap_or(start);
        if now_ns.saturating_sub(newest.0) >= self.window_ns / 8 {
            self.push((now_ns, count));
        }
    }

    /// Thousandths of a count per second; negative while the web runs backwards.
    pub fn millicounts_per_s(&self) -> i64 {
        self.millicounts_per_s
    }

    /// When the count last changed.
    pub fn last_change_ns(&self) -> u64 {
        self.last_change_ns
    }

    /// Counts travelled in `us` microseconds at the present speed, rounded up; 0 when it is not forward.
    pub fn counts_ahead(&self, us: u64) -> i64 {
        Self::travel(self.millicounts_per_s.max(0), us)
    }

    /// The same for a web running backwards.
    pub fn counts_behind(&self, us: u64) -> i64 {
        Self::travel(self.millicounts_per_s.saturating_neg().max(0), us)
    }

    fn travel(millicounts_per_s: i64, us: u64) -> i64 {
        let counts = (i128::from(millicounts_per_s) * i128::from(us) + 999_999_999) / 1_000_000_000;
        i64::try_from(counts).unwrap_or(i64::MAX / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_steady_web_is_measured_to_the_rounding_of_a_count() {
        let mut speed = SpeedEstimate::new(50, 10_000, 0, 0);
        for ms in 1..1000u64 {
            speed.update(ms * MS, ms as i64 * 3);
        }
        assert_eq!(speed.millicounts_per_s(), 3_000_000);
        assert_eq!(speed.counts_ahead(10_000), 30);
        assert_eq!(speed.counts_behind(10_000), 0);
    }

    #[test]
    fn it_falls_to_zero_at_a_stop_and_never_undershoots_at_the_start() {
        let mut speed = SpeedEstimate::new(50, 10_000, 0, 0);
        for ms in 1..200u64 {
            speed.update(ms * MS, ms as i64);
        }
        for ms in 200..400 {
            speed.update(ms * MS, 199);
        }
        assert_eq!(speed.millicounts_per_s(), 0);
        for ms in 400..450u64 {
            speed.update(ms * MS, 199 + (ms as i64 - 399));
            assert!(speed.millicounts_per_s() >= 1_000_000);
        }
    }

    #[test]
    fn backwards_is_negative_and_extremes_are_bounded() {
        let mut speed = SpeedEstimate::new(50, 10_000, 0, 0);
        speed.update(1, i64::MAX);
        assert_eq!(speed.millicounts_per_s(), 10_000_000);
        speed.update(u64::MAX, i64::MIN);
        assert!(speed.millicounts_per_s() <= 0);
        assert_eq!(speed.counts_ahead(u64::MAX), 0);
        let mut back = SpeedEstimate::new(50, 10_000, 0, 0);
        for ms in 1..200i64 {
            back.update(ms as u64 * MS, -2 * ms);
        }
        assert_eq!(back.millicounts_per_s(), -2_000_000);
        assert_eq!(back.counts_behind(5_000), 10);
    }
}
