//! What people see while a run goes on: a bar on a terminal, a line every half minute elsewhere.

use crate::backend::Losses;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Steps timed before the whole is predicted; the first is left out.
const PREDICT_AFTER: u64 = 10;
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Shows how far a run is, on standard error.
#[derive(Debug)]
pub struct Progress {
    /// Absent where standard error is no terminal.
    bar: Option<ProgressBar>,
    quiet: bool,
    steps: u64,
    first_step: u64,
    started: Instant,
    /// When the first step ended, which also paid for memory and warming up.
    warm: Option<Instant>,
    last_line: Instant,
}

impl Progress {
    /// For a run of `steps` steps of which `done` are done.
    pub fn new(steps: u64, done: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let bar = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
            let template = "{bar:20} {pos}/{len} steps, {wide_msg}";
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_position(done);
            bar
        });
        let now = Instant::now();
        Self {
            bar,
            quiet,
            steps,
            first_step: done,
            started: now,
            warm: None,
            last_line: now,
        }
    }

    /// Seconds since the run was taken up.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// `done` steps are done, the last with `losses`.
    pub fn step(&mut self, done: u64, losses: &Losses) {
        let now = Instant::now();
        let Some(warm) = self.warm else {
            self.warm = Some(now);
            return;
        };
        let timed = done - self.first_step - 1;
        let per_step = (now - warm).as_secs_f64() / timed as f64;
        let left = duration(per_step * (self.steps - done) as f64);
        if timed == PREDICT_AFTER && done < self.steps {
            self.say(&format!(
                "{:.0} ms a step: about {left} for the {} steps left",
                1000.0 * per_step,
                self.steps - done
            ));
        }
        let losses = format!(
            "l2 {:.4} ssim {:.4} focal {:.4}",
            losses.l2, losses.ssim, losses.focal
        );
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(format!("{left} left, {losses}"));
        } else if now - self.last_line >= LINE_EVERY {
            self.last_line = now;
            self.say(&format!(
                "step {done}/{}, {left} left, {losses}",
                self.steps
            ));
        }
    }

    /// Prints a line without tearing the bar.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.quiet => {}
            None => {
                // A closed standard error must not end a training of hours.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }

    /// Leaves the bar as it stands.
    pub fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// `1 h 52 min`, `4 min 10 s`, `35 s`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(34.6), "35 s");
        assert_eq!(duration(250.0), "4 min 10 s");
        assert_eq!(duration(6740.0), "1 h 52 min");
    }
}
