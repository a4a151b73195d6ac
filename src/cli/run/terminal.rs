//! Standard output, which may go away while the line runs on.

use std::cell::RefCell;
use std::io::{ErrorKind, IsTerminal, StdoutLock, Write};
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Lines that may wait for a terminal that is slow.
const WAITING_LINES: usize = 4096;

/// Lines for people. The first failure is kept and ends the telling, never the run.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    failed: Rc<RefCell<Option<std::io::Error>>>,
}

impl Terminal {
    pub fn say(&self, line: &str) {
        self.write(|out| writeln!(out, "{line}"));
    }

    /// What `line` writes is one line or several.
    pub fn write(&self, line: impl FnOnce(&mut StdoutLock<'static>) -> std::io::Result<()>) {
        let mut failed = self.failed.borrow_mut();
        if failed.is_none()
            && let Err(error) = line(&mut std::io::stdout().lock())
        {
            *failed = Some(error);
        }
    }

    /// Whether nothing more is told.
    pub fn has_failed(&self) -> bool {
        self.failed.borrow().is_some()
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

/// Tells lines while a run goes on. In real time another thread writes them, since a terminal, or a pipe
/// that nobody reads, may stand still for as long as it likes; then lines are left out, and told of.
pub enum Teller {
    Now(Terminal),
    ByThread {
        terminal: Terminal,
        lines: SyncSender<String>,
        left_out: u64,
        thread: JoinHandle<Option<std::io::Error>>,
    },
}

impl Teller {
    /// # Errors
    /// Where the system gives no more threads.
    pub fn new(terminal: &Terminal, in_real_time: bool) -> std::io::Result<Self> {
        let terminal = terminal.clone();
        if !in_real_time {
            return Ok(Self::Now(terminal));
        }
        let (lines, queue) = sync_channel::<String>(WAITING_LINES);
        let thread = std::thread::Builder::new()
            .name("words".to_owned())
            .spawn(move || {
                let mut failed = None;
                for line in queue {
                    if failed.is_none()
                        && let Err(error) = writeln!(std::io::stdout().lock(), "{line}")
                    {
                        failed = Some(error);
                    }
                }
                failed
            })?;
        Ok(Self::ByThread {
            terminal,
            lines,
            left_out: 0,
            thread,
        })
    }

    pub fn say(&mut self, line: String) {
        match self {
            Self::Now(terminal) => terminal.say(&line),
            Self::ByThread {
                lines, left_out, ..
            } => *left_out += u64::from(lines.try_send(line).is_err()),
        }
    }

    /// Waits until everything is written.
    pub fn finish(self) {
        let Self::ByThread {
            terminal,
            lines,
            left_out,
            thread,
        } = self
        else {
            return;
        };
        drop(lines);
        if let Ok(Some(error)) = thread.join() {
            terminal.failed.borrow_mut().get_or_insert(error);
        }
        if left_out > 0 {
            terminal.say(&format!(
                "terminal  {left_out} lines were left out, because it was too slow"
            ));
        }
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
