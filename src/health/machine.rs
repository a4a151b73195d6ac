//! Clocks, permissions and the watchdog of this machine.

use super::Row;
use crate::evidence::WallQuality;
use crate::station::{Clock, RealClock, RealtimeConfig, rights, watchdog};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What does not depend on the configuration but for what it asks of the system.
pub fn machine_rows(realtime: &RealtimeConfig) -> Vec<Row> {
    vec![
        wall_row(),
        counter_row(),
        fifo_row(realtime),
        memory_row(realtime),
    ]
}

fn wall_row() -> Row {
    const ITEM: &str = "time of day";
    match RealClock::start().wall().quality {
        WallQuality::Ntp => Row::green(ITEM, "set by a time server"),
        WallQuality::Rtc => Row::green(ITEM, "from a clock with a battery"),
        WallQuality::Guessed | WallQuality::None => Row::amber(
            ITEM,
            "guessed: no battery clock and no time server",
            "fit a battery clock, or take the journal's order of records alone",
        ),
    }
}

fn counter_row() -> Row {
    const ITEM: &str = "clock source";
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    match std::fs::read_to_string(path) {
        Ok(source) => {
            let source = source.trim().to_owned();
            // These need no call to another chip for every look at the clock.
            if ["tsc", "arch_sys_counter", "kvm-clock"].contains(&source.as_str()) {
                Row::green(ITEM, source)
            } else {
                Row::amber(
                    ITEM,
                    format!("{source}, slow to read"),
                    "pulses may jitter by some microseconds more",
                )
            }
        }
        Err(error) => Row::amber(ITEM, error.to_string(), "times of pulses may jitter more"),
    }
}

fn fifo_row(realtime: &RealtimeConfig) -> Row {
    const ITEM: &str = "SCHED_FIFO";
    const FIX: &str = "set LimitRTPRIO in the service, or CAP_SYS_NICE, and realtime.fifo_priority";
    let wanted = realtime.fifo_priority;
    match (rights::may_use_fifo(wanted.max(1)), wanted) {
        (true, 0) => Row::amber(
            ITEM,
            "permitted, not used",
            "set realtime.fifo_priority, 50 for instance",
        ),
        (true, _) => Row::green(ITEM, format!("permitted with priority {wanted}")),
        (false, 0) => Row::amber(ITEM, "not permitted", FIX),
        (false, _) => Row::red(ITEM, format!("priority {wanted} is not permitted"), FIX),
    }
}

fn memory_row(realtime: &RealtimeConfig) -> Row {
    const ITEM: &str = "locked memory";
    const FIX: &str = "set LimitMEMLOCK=infinity in the service, and realtime.lock_memory";
    match (rights::may_lock_memory(), realtime.lock_memory) {
        (true, true) => Row::green(ITEM, "permitted"),
        (true, false) => Row::amber(ITEM, "permitted, not used", "set realtime.lock_memory"),
        (false, false) => Row::amber(ITEM, "not permitted", FIX),
        (false, true) => Row::red(ITEM, "not permitted", FIX),
    }
}

/// The hardware watchdog that the station itself feeds. Not opened: that would start it.
pub fn own_watchdog_row(device: &Path) -> Row {
    const ITEM: &str = "supervision.watchdog";
    let shown = device.display();
    let path = std::ffi::CString::new(device.as_os_str().as_bytes()).unwrap_or_default();
    // SAFETY: `path` ends with a zero byte.
    let may_write = unsafe { libc::access(path.as_ptr(), libc::W_OK) } == 0;
    if may_write {
        return Row::green(ITEM, format!("{shown} may be written"));
    }
    let error = std::io::Error::last_os_error();
    Row::red(ITEM, format!("{shown}: {error}"), watchdog::remedy(&error))
}

/// The hardware watchdog, which `RuntimeWatchdogSec` of systemd feeds.
pub fn watchdog_row(device: &Path) -> Row {
    const ITEM: &str = "watchdog";
    if device.exists() {
        Row::green(ITEM, format!("{} is there", device.display()))
    } else {
        Row::amber(
            ITEM,
            format!("{} is not there", device.display()),
            "load the board's watchdog module and set RuntimeWatchdogSec=10 in /etc/systemd/system.conf",
        )
    }
}
