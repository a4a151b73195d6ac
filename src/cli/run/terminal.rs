//! Standard output, which may go away while the line runs on.

use std::cell::RefCell;
use std::io::{ErrorKind, IsTerminal, Write};
use std::rc::Rc;

/// Lines for people. The first failure is kept and ends the telling, never the run.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    failed: Rc<RefCell<Option<std::io::Error>>>,
}

impl Terminal {
    pub fn say(&self, line: &str) {
        let mut failed = self.failed.borrow_mut();
        if failed.is_none()
            && let Err(error) = writeln!(std::io::stdout().lock(), "{line}")
        {
            *failed = Some(error);
        }
    }

    /// Whether everything was told.
    ///
    /// # Errors
    /// Why it was not.
    pub fn finish(&self) -> Result<(), String> {
        self.flush()
            .map_err(|error| format!("standard output cannot be written: {error}"))
    }

    /// As [`Terminal::finish`]; but a reader who has seen enough, as `head` has, is no failure.
    ///
    /// # Errors
    /// Why not everything was told, if not for that.
    pub fn finish_for_reader(&self) -> Result<(), String> {
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(format!("standard output cannot be written: {error}"))
            }
            _ => Ok(()),
        }
    }

    fn flush(&self) -> std::io::Result<()> {
        let flushed = std::io::stdout().flush();
        self.failed.take().map_or(flushed, Err)
    }
}

/// Colours where the output is a terminal and `NO_COLOR` is not set.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    pub fn of_stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub fn doubtful(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }
}
