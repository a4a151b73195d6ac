//! Telling systemd: ready, alive, stopping.

use super::{State, Witness};
use crate::pins::Moment;
use sd_notify::NotifyState;

/// Speaks to the service manager that started this process with `Type=notify`.
///
/// `WATCHDOG=1` is sent by the thread that hands verdicts to the ledger, when it has done so or has
/// nothing to do, never by a timer: a station whose engine hangs is killed, and its pins fall to reject.
#[derive(Debug)]
pub struct Supervision {
    /// Least time between two pings; `None` without a watchdog.
    spacing_ns: Option<u64>,
    pinged_ns: Option<u64>,
    ready: bool,
}

impl Supervision {
    /// `None` where no service manager listens.
    pub fn of_environment() -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        Some(Self {
            spacing_ns: sd_notify::watchdog_enabled().map(|limit| limit.as_nanos() as u64 / 4),
            pinged_ns: None,
            ready: false,
        })
    }

    fn tell(states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states) {
            log::warn!("cannot tell the service manager: {error}");
        }
    }
}

impl Witness for Supervision {
    fn state(&mut self, _: Moment, state: State) {
        let status = NotifyState::Status(state.word());
        match state {
            State::Stopped | State::Aborted => {
                Self::tell(&[NotifyState::Stopping, status]);
            }
            State::Idle if !self.ready => {
                self.ready = true;
                Self::tell(&[NotifyState::Ready, status]);
            }
            _ => Self::tell(&[status]),
        }
    }

    fn alive(&mut self, now: Moment) {
        let Some(spacing_ns) = self.spacing_ns else {
            return;
        };
        if self
            .pinged_ns
            .is_none_or(|pinged| now.ns >= pinged + spacing_ns)
        {
            self.pinged_ns = Some(now.ns);
            Self::tell(&[NotifyState::Watchdog]);
        }
    }
}
