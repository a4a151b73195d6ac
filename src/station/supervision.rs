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
    unheard: bool,
}

impl Supervision {
    /// `None` where no service manager listens.
    pub fn of_environment() -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        Some(Self {
            spacing_ns: sd_notify::watchdog_enabled().map(|limit| limit.as_nanos() as u64 / 4),
            pinged_ns: None,
            ready: false,
            unheard: false,
        })
    }

    fn tell(&mut self, states: &[NotifyState<'_>]) {
        // Once: a manager that is gone would be told of several times a second.
        if let Err(error) = sd_notify::notify(states)
            && !std::mem::replace(&mut self.unheard, true)
        {
            log::warn!("cannot tell the service manager: {error}; see NOTIFY_SOCKET");
        }
    }
}

impl Witness for Supervision {
    fn state(&mut self, _: Moment, state: State) {
        let status = NotifyState::Status(state.word());
        match state {
            State::Stopped => {
                self.tell(&[NotifyState::Stopping, status]);
            }
            State::Idle if !self.ready => {
                self.ready = true;
                self.tell(&[NotifyState::Ready, status]);
            }
            _ => self.tell(&[status]),
        }
    }

    fn alive(&mut self, now: Moment, _: bool) {
        let Some(spacing_ns) = self.spacing_ns else {
            return;
        };
        if self
            .pinged_ns
            .is_none_or(|pinged| now.ns >= pinged + spacing_ns)
        {
            self.pinged_ns = Some(now.ns);
            self.tell(&[NotifyState::Watchdog]);
        }
    }
}
