//! The program under test as a process of the guest, its folder and what it wrote there.

use crate::brightness_model;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Asks every 20 ms until `done` gives something.
///
/// # Panics
/// Where it gives nothing within `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        sleep(Duration::from_millis(20));
    }
}

/// CLOCK_MONOTONIC in seconds, by which the kernel's trace goes.
pub fn monotonic_s() -> f64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a place for one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// When a record was made, since the program's start.
pub fn ns(record: &Value) -> u64 {
    record["ns"].as_u64().unwrap()
}

/// How much of something a test does, where the environment asks for another number.
pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number"))
    })
}

/// Runs one of the guest's tools.
///
/// # Panics
/// Where it ends with a failure.
pub fn tool(line: &str) {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A folder in the guest's memory for one test, with the model in it.
pub struct Place {
    pub path: PathBuf,
}

impl Place {
    /// # Panics
    /// Outside of the guest.
    pub fn new(name: &str) -> Self {
        assert!(
            Path::new("/job/blemish").exists(),
            "this test sets clocks and fills disks: run tests/guest/run-all.sh"
        );
        let path = Path::new("/tmp").join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        brightness_model::write(&path.join("brightness.onnx"));
        Self { path }
    }

    /// Writes `station.toml`.
    pub fn station(&self, toml: &str) {
        std::fs::write(self.path.join("station.toml"), toml).unwrap();
    }

    /// Starts the program here; its words go into the file `words`.
    pub fn start(&self, args: &[&str]) -> Program {
        let words = self.path.join("words");
        let out = File::options()
            .create(true)
            .append(true)
            .open(&words)
            .unwrap();
        let child = Command::new("/job/blemish")
            .args(args)
            .current_dir(&self.path)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Program {
            child,
            words,
            journal: self.path.join("evidence"),
        }
    }
}

/// A running program; killed with the test.
pub struct Program {
    child: Child,
    words: PathBuf,
    journal: PathBuf,
}

impl Program {
    /// Everything that it has said, stdout and stderr.
    pub fn words(&self) -> String {
        std::fs::read_to_string(&self.words).unwrap()
    }

    /// Complete records of the journal so far, all files of it.
    pub fn journal(&self) -> Vec<Value> {
        journal(&self.journal)
    }

    /// When the newest record was made: what is caused now has a later one.
    pub fn last_ns(&self) -> u64 {
        self.journal().last().map_or(0, ns)
    }

    /// Waits until the journal holds a record; the oldest that is `wanted`, so ask for a time where an earlier event may
    /// have left one too.
    ///
    /// # Panics
    /// Where the program ends before or `limit` passes; with its words.
    pub fn wait_record(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let begun = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            let records = self.journal();
            if let Some(record) = records.iter().find(|record| wanted(record)) {
                return record.clone();
            }
            let last: Vec<String> = records.iter().rev().take(8).map(Value::to_string).collect();
            assert!(
                ended.is_none() && begun.elapsed() < limit,
                "no record of {what} within {limit:?} (ended: {ended:?}); last, backwards: {}\nwords: {}",
                last.join("\n"),
                self.words()
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// What a failed test needs to be understood.
    fn tell(&self) {
        let words = self.words();
        let last: Vec<&str> = words.lines().rev().take(40).collect();
        println!("\n--- the program's last words");
        last.iter().rev().for_each(|line| println!("{line}"));
        println!("--- its last faults");
        let mut faults = self.journal();
        faults.retain(|record| record["event"] == "fault" || record["event"] == "recovered");
        let first = faults.len().saturating_sub(15);
        faults[first..].iter().for_each(|fault| println!("{fault}"));
    }

    /// Memory that it has in RAM.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let figure = line.and_then(|line| line.split_whitespace().nth(1));
        figure.and_then(|figure| figure.parse().ok()).unwrap()
    }

    /// Whether it has `node` open, also where that was deleted since.
    pub fn holds(&self, node: &Path) -> bool {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let name = node.to_str().unwrap();
        open.flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .any(|target| target.to_string_lossy().trim_end_matches(" (deleted)") == name)
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        tool(&format!("kill -{name} {}", self.child.id()));
    }

    /// SIGKILL, straight from this process.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where `limit` passes; with its words.
    pub fn end(&mut self, limit: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                begun.elapsed() < limit,
                "runs longer than {limit:?}: {}",
                self.words()
            );
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.tell();
        }
    }
}

/// Complete records of a journal, in the order of its files. A torn last line is left out, as a reader must.
pub fn journal(folder: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    let mut records = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            records
                .push(serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")));
        }
    }
    records
}
