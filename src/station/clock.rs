//! The clock that a run goes by. Others are read only by drivers, and to measure how long work takes.

use crate::evidence::{Wall, WallQuality};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time as the station sees it.
pub trait Clock: Send + Sync {
    /// Nanoseconds that never go back; 0 is the start of the run.
    fn now_ns(&self) -> u64;

    /// The time of day for the journal.
    fn wall(&self) -> Wall;

    /// Names the start of the machine that `now_ns` belongs to.
    fn boot(&self) -> String;

    /// Lets time pass.
    fn sleep(&self, time: Duration);
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The clock's 0.
    pub fn zero(&self) -> Instant {
        self.start
    }

    /// The clock's 0 as CLOCK_MONOTONIC, which the kernel stamps edges and frames with.
    #[cfg(target_os = "linux")]
    pub fn zero_monotonic_ns(&self) -> u64 {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `now` is a valid place for a timespec; the call writes nothing else.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        debug_assert_eq!(failed, 0, "every Linux has CLOCK_MONOTONIC");
        let now_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        now_ns.saturating_sub(self.now_ns())
    }
}

impl Clock for RealClock {
    fn now_ns(&self) -> u64 {
        // 584 years fit.
        self.start.elapsed().as_nanos() as u64
    }

    fn wall(&self) -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let quality = if Path::new("/run/systemd/timesync/synchronized").exists() {
            WallQuality::Ntp
        } else if Path::new("/sys/class/rtc/rtc0").exists() {
            WallQuality::Rtc
        } else {
            WallQuality::Guessed
        };
        Wall {
            unix_ms: since.map_or(0, |since| since.as_millis() as u64),
            quality,
        }
    }

    fn boot(&self) -> String {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// For simulated and replayed runs, whose times come with their inputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimulatedClock;

impl Clock for SimulatedClock {
    fn now_ns(&self) -> u64 {
        0
    }

    fn wall(&self) -> Wall {
        Wall {
            unix_ms: 0,
            quality: WallQuality::None,
        }
    }

    fn boot(&self) -> String {
        "simulated".to_owned()
    }

    fn sleep(&self, _: Duration) {}
}
