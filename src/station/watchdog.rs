//! The board's hardware watchdog (`Documentation/watchdog/watchdog-api.rst` of the kernel).
//!
//! Once it is open it resets the machine, unless it is written to within its timeout. Only the verdict
//! path writes, as with the service manager's watchdog; so a process that hangs, dies or is stopped takes
//! the machine with it, however it came to that.

use super::{State, StationError, Summary, SupervisionConfig, Witness};
use crate::pins::Moment;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;

// _IOWR('W', 6, int) and _IOR('W', 7, int); the same numbers on x86 and Arm.
const WDIOC_SETTIMEOUT: u32 = 0xC004_5706;
const WDIOC_GETTIMEOUT: u32 = 0x8004_5707;

/// Anything that counts as a sign of life but `V`, which closes in order.
const PING: &[u8] = b"1";
const MAGIC_CLOSE: &[u8] = b"V";

/// An open watchdog. Dropped without [`close`](Self::close), it resets the machine in its time.
#[derive(Debug)]
pub struct Watchdog<D = File> {
    device: D,
    spacing_ns: u64,
    resets_when_held: bool,
    pinged_ns: Option<u64>,
    /// Whether the station has begun its work.
    operated: bool,
    unheard: bool,
}

impl Watchdog {
    /// Opens and sets the configured one, which starts it; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be opened, or does not take its timeout.
    pub fn open(config: &SupervisionConfig) -> Result<Option<Self>, StationError> {
        let Some(path) = &config.watchdog else {
            return Ok(None);
        };
        let device = File::options()
            .write(true)
            .open(path)
            .map_err(|error| refused(path, &error))?;
        let set = set_timeout(&device, config.watchdog_timeout_s);
        let mut watchdog = Self::over(device, config);
        if let Err(reason) = set {
            // Nothing is armed by a station that does not start.
            let _ = watchdog.device.write_all(MAGIC_CLOSE);
            return Err(StationError::Watchdog {
                path: path.clone(),
                reason,
            });
        }
        Ok(Some(watchdog))
    }
}

impl<D: Write> Watchdog<D> {
    fn over(device: D, config: &SupervisionConfig) -> Self {
        Self {
            device,
            spacing_ns: u64::from(config.watchdog_timeout_s) * 1_000_000_000 / 4,
            resets_when_held: config.reset_when_held,
            pinged_ns: None,
            operated: false,
            unheard: false,
        }
    }

    /// After a run: disarms the watchdog where the station ended in order and without a fault, or never
    /// began. Every other end resets the machine.
    pub fn close(mut self, ran: Result<&Summary, &StationError>) {
        match ran {
            Ok(summary) if summary.held => {
                log::warn!(
                    "the station ends with a fault standing, so the watchdog stays armed: the machine is reset unless the station starts again in time"
                );
                return;
            }
            Err(_) if self.operated => return,
            Ok(_) | Err(_) => {}
        }
        if let Err(error) = self.device.write_all(MAGIC_CLOSE) {
            log::warn!("the watchdog cannot be closed: {error}; the machine will be reset");
        }
    }
}

impl<D: Write> Witness for Watchdog<D> {
    fn state(&mut self, _: Moment, _: State) {
        self.operated = true;
    }

    fn alive(&mut self, now: Moment, held: bool) {
        let is_due = self
            .pinged_ns
            .is_none_or(|pinged_ns| now.ns >= pinged_ns + self.spacing_ns);
        if !is_due || (self.resets_when_held && held) {
            return;
        }
        self.pinged_ns = Some(now.ns);
        if let Err(error) = self.device.write_all(PING)
            && !std::mem::replace(&mut self.unheard, true)
        {
            log::warn!("the watchdog does not take a sign of life: {error}");
        }
    }
}

fn set_timeout(device: &File, timeout_s: u32) -> Result<(), String> {
    let call = |request: u32, mut value: libc::c_int| {
        // SAFETY: both requests read or write one int, which lives during the call.
        let failed =
            unsafe { libc::ioctl(device.as_raw_fd(), request as libc::Ioctl, &raw mut value) };
        match failed {
            0 => Ok(value),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    let wanted = libc::c_int::try_from(timeout_s).unwrap_or(libc::c_int::MAX);
    call(WDIOC_SETTIMEOUT, wanted).map_err(|error| {
        format!("does not take a timeout of {timeout_s} s: {error}; give supervision.watchdog_timeout_s that its driver knows")
    })?;
    match call(WDIOC_GETTIMEOUT, 0) {
        Ok(took) if took == wanted => Ok(()),
        Ok(took) => Err(format!(
            "took a timeout of {took} s instead of {timeout_s} s; set supervision.watchdog_timeout_s = {took}"
        )),
        Err(error) => Err(format!("does not tell its timeout: {error}; use another")),
    }
}

fn refused(path: &Path, error: &std::io::Error) -> StationError {
    StationError::Watchdog {
        path: path.to_owned(),
        reason: format!("cannot be opened: {error}; {}", remedy(error)),
    }
}

/// What to do about a watchdog that may not be written to.
pub fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "give the service's user the right to write to it by a udev rule"
        }
        std::io::ErrorKind::ResourceBusy => {
            "another program has it: unset RuntimeWatchdogSec in /etc/systemd/system.conf, or supervision.watchdog"
        }
        _ => "load the board's watchdog module; 'ls /dev/watchdog*' shows what is there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn watchdog(reset_when_held: bool) -> Watchdog<Vec<u8>> {
        let config = SupervisionConfig {
            watchdog_timeout_s: 8,
            reset_when_held,
            ..SupervisionConfig::default()
        };
        Watchdog::over(Vec::new(), &config)
    }

    fn at(seconds: u64) -> Moment {
        Moment {
            ns: seconds * SECOND_NS,
            ..Moment::default()
        }
    }

    /// What was written in ten seconds of life.
    fn written(watchdog: &mut Watchdog<Vec<u8>>, held: bool) -> String {
        (0..10).for_each(|second| watchdog.alive(at(second), held));
        String::from_utf8(watchdog.device.clone()).unwrap()
    }

    #[test]
    fn signs_of_life_are_a_quarter_of_the_timeout_apart_and_come_from_nowhere_else() {
        let mut watchdog = watchdog(false);
        watchdog.state(at(0), State::Execute);
        assert!(watchdog.device.is_empty());
        assert_eq!(written(&mut watchdog, false), "11111");
    }

    #[test]
    fn a_station_that_is_held_resets_the_machine_where_that_is_asked_for() {
        for (reset_when_held, expected) in [(false, "11111"), (true, "")] {
            let mut watchdog = watchdog(reset_when_held);
            assert_eq!(written(&mut watchdog, true), expected);
        }
    }

    /// A device whose writes can be looked at after it has been closed.
    struct Seen<'a>(&'a mut Vec<u8>);

    impl Write for Seen<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_fault_that_stands_at_the_end_or_ended_the_run_leaves_it_armed() {
        let ended = |held| Summary {
            held,
            ..Summary::default()
        };
        let lost = StationError::ThreadLost("capture");
        for (operated, ran, expected) in [
            (true, Ok(&ended(false)), "V"),
            (true, Ok(&ended(true)), ""),
            (true, Err(&lost), ""),
            (false, Err(&lost), "V"),
        ] {
            let mut bytes = Vec::new();
            let mut watchdog = Watchdog::over(Seen(&mut bytes), &SupervisionConfig::default());
            if operated {
                watchdog.state(at(0), State::Idle);
            }
            watchdog.close(ran);
            assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{ran:?}");
        }
    }

    #[test]
    fn a_file_is_no_watchdog() {
        let path = std::env::temp_dir().join(format!("blemish-watchdog-{}", std::process::id()));
        std::fs::write(&path, b"").unwrap();
        let config = SupervisionConfig {
            watchdog: Some(path.clone()),
            ..SupervisionConfig::default()
        };
        let error = Watchdog::open(&config).unwrap_err().to_string();
        assert!(error.contains("does not take a timeout of 10 s"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = Watchdog::open(&config).unwrap_err().to_string();
        assert!(
            error.contains("load the board's watchdog module"),
            "{error}"
        );
    }
}
