//! Threads that compute one tile together, for where a tile's latency matters more than throughput.
//!
//! The lines of every step are cut into chunks. Each member has chunks of its own, near each other so that
//! they stay in its cache, and takes others' when it has done them. A step is done when its chunks are:
//! nobody waits for a member that has taken nothing, so a helper that the system does not run costs its
//! share of the work and no more. Waiting is spinning, for a step takes less than waking a thread; between
//! tiles the helpers spin briefly and then sleep.

use super::program::{Arena, Memory, OUTPUTS, Program};
use super::transform::Scratch;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Chunks of a step for each member of a team of several.
const CHUNKS_PER_MEMBER: usize = 4;
/// Turns of waiting, some tens of microseconds, after which another thread may have the processor.
const SPINS: u32 = 2_000;

/// A worker's threads with their memory: the caller's own and its helpers.
#[derive(Debug)]
pub struct Team {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    scratch: Scratch,
}

#[derive(Debug)]
struct Shared {
    program: Arc<Program>,
    arena: Arena,
    members: usize,
    /// Of the tile that is computed; written by the caller while no chunk is taken.
    memory: UnsafeCell<Option<Memory>>,
    /// Number of that tile, counted round.
    tile: AtomicU32,
    /// Helpers that run.
    begun: AtomicUsize,
    steps: Box<[Progress]>,
    /// Whether a helper panicked in a chunk of the tile.
    is_broken: AtomicBool,
    is_ending: AtomicBool,
}

// SAFETY: `memory` is written while every chunk of the last tile is done and none of the next is given
// out, and read by those alone who have taken a chunk that is not done; its pointers are valid for so long.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointers are not used before the next tile's are written.
unsafe impl Send for Shared {}

/// A step's chunks of one tile. Every count carries the tile's number, so that a helper that is late
/// finds nothing to take.
#[derive(Debug)]
struct Progress {
    taken: Box<[Count]>,
    done: Count,
    chunks: usize,
    lines: usize,
}

/// Tile in the upper half, chunks in the lower; a line of the cache of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Count(AtomicU64);

impl Count {
    fn begin(&self, tile: u32) {
        self.0.store(u64::from(tile) << 32, Ordering::Release);
    }

    /// The count, while the tile is `tile`.
    fn of(&self, tile: u32) -> Option<usize> {
        let value = self.0.load(Ordering::Acquire);
        (value >> 32 == u64::from(tile)).then_some(value as u32 as usize)
    }

    /// Counts on and gives the old count, while that is below `end` and the tile is `tile`.
    fn take(&self, tile: u32, end: usize) -> Option<usize> {
        let mut at = self.of(tile)?;
        while at < end {
            let old = u64::from(tile) << 32 | at as u64;
            match self
                .0
                .compare_exchange_weak(old, old + 1, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(at),
                Err(_) => at = self.of(tile)?,
            }
        }
        None
    }
}

impl Progress {
    fn new(lines: usize, members: usize) -> Self {
        let most = match members {
            1 => 1,
            _ => CHUNKS_PER_MEMBER * members,
        };
        Self {
            taken: (0..members).map(|_| Count::default()).collect(),
            done: Count::default(),
            chunks: lines.min(most),
            lines,
        }
    }

    /// The chunks that are `member`'s own.
    fn own(&self, member: usize) -> Range<usize> {
        let first = |member: usize| (member * self.chunks).div_ceil(self.taken.len());
        first(member)..first(member + 1)
    }

    /// Lines of one of `member`'s chunks that nobody has taken, taken now.
    fn take(&self, member: usize, tile: u32) -> Option<Range<usize>> {
        let own = self.own(member);
        let chunk = own.start + self.taken[member].take(tile, own.len())?;
        let first = |chunk: usize| chunk * self.lines / self.chunks;
        Some(first(chunk)..first(chunk + 1))
    }

    /// Waits until every chunk is done; false where the tile is no longer `tile`.
    fn wait(&self, tile: u32) -> bool {
        let mut spins = 0;
        loop {
            match self.done.of(tile) {
                Some(done) if done == self.chunks => return true,
                Some(_) => {}
                None => return false,
            }
            spins += 1;
            if spins < SPINS {
                spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Team {
    /// A worker's memory for `program`, and as many threads as the system gives, at most `members` with
    /// the caller's, which all run then. The helpers have the caller's processors and priority.
    pub fn new(program: Arc<Program>, members: NonZero<usize>) -> Self {
        let members = members.get();
        let steps = 0..program.steps();
        let shared = Arc::new(Shared {
            arena: program.arena(),
            steps: steps
                .map(|step| Progress::new(program.lines(step), members))
                .collect(),
            members,
            memory: UnsafeCell::new(None),
            tile: AtomicU32::new(0),
            begun: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            program,
        });
        let own = std::thread::current();
        let own = own.name().unwrap_or("tile");
        let helper = |member: usize| {
            let helped = shared.clone();
            let scratch = shared.program.scratch();
            let thread = std::thread::Builder::new().name(format!("{own}.{member}"));
            thread.spawn(move || helped.help(member, scratch))
        };
        let mut helpers = Vec::new();
        for member in 1..members {
            match helper(member) {
                Ok(thread) => helpers.push(thread),
                Err(error) => log::warn!(
                    "a tile has {member} threads instead of {members}, for the system gives no more: {error}"
                ),
            }
        }
        // What a thread takes on its start is no tile's.
        while shared.begun.load(Ordering::Acquire) < helpers.len() {
            std::thread::yield_now();
        }
        Self {
            scratch: shared.program.scratch(),
            shared,
            helpers,
        }
    }

    /// Runs the program on `tile`; `outputs` are made as long as they must be. Tells the time of every
    /// step.
    ///
    /// # Errors
    /// Where a helper panicked; what is in `outputs` is of no use then.
    pub fn run(
        &mut self,
        tile: &[f32],
        outputs: &mut [&mut Vec<f32>; OUTPUTS],
        mut seen: Option<&mut dyn FnMut(Duration)>,
    ) -> Result<(), Panicked> {
        let shared = &*self.shared;
        let memory = shared.program.memory(tile, outputs, &shared.arena);
        // SAFETY: the last tile is done, so nobody reads it, see `Shared`.
        unsafe { *shared.memory.get() = Some(memory) };
        let number = shared.tile.load(Ordering::Relaxed).wrapping_add(1);
        shared.is_broken.store(false, Ordering::Relaxed);
        for step in &shared.steps {
            step.done.begin(number);
            step.taken.iter().for_each(|taken| taken.begin(number));
        }
        shared.tile.store(number, Ordering::Release);
        for helper in &self.helpers {
            helper.thread().unpark();
        }
        // Unwinding from here would take the memory away under the helpers.
        let helped = (!self.helpers.is_empty()).then(|| NoUnwinding);
        for step in 0..shared.steps.len() {
            let start = seen.is_some().then(Instant::now);
            shared.compute(0, step, number, &mut self.scratch);
            if let (Some(seen), Some(start)) = (&mut seen, start) {
                seen(start.elapsed());
            }
        }
        std::mem::forget(helped);
        match shared.is_broken.load(Ordering::Relaxed) {
            true => Err(Panicked),
            false => Ok(()),
        }
    }
}

/// A helper panicked.
#[derive(Debug)]
pub struct Panicked;

struct NoUnwinding;

impl Drop for NoUnwinding {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// A chunk that is taken: done when this goes, in whatever way.
struct Taken<'a>(&'a Shared, &'a Progress);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.is_broken.store(true, Ordering::Relaxed);
        }
        self.1.done.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Release);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            // One that panicked has said so, and its tile was an error.
            let _ = helper.join();
        }
    }
}

impl Shared {
    /// Takes chunks of a step until there are no more, then waits for those that others have taken; false
    /// where the tile is over.
    fn compute(&self, member: usize, step: usize, tile: u32, scratch: &mut Scratch) -> bool {
        let progress = &self.steps[step];
        for other in 0..self.members {
            let owner = (member + other) % self.members;
            while let Some(lines) = progress.take(owner, tile) {
                let _taken = Taken(self, progress);
                // SAFETY: the chunk is taken and not done.
                if let Some(memory) = unsafe { &*self.memory.get() } {
                    // SAFETY: this tile's memory; all steps before are done, for we have waited; a
                    // chunk is taken once.
                    unsafe { self.program.compute(step, lines, memory, scratch) };
                }
            }
        }
        progress.wait(tile)
    }

    fn help(&self, member: usize, mut scratch: Scratch) {
        self.begun.fetch_add(1, Ordering::Release);
        let mut last = 0;
        let mut spins = 0;
        while !self.is_ending.load(Ordering::Acquire) {
            let tile = self.tile.load(Ordering::Acquire);
            if tile != last {
                last = tile;
                spins = 0;
                let steps = 0..self.steps.len();
                let mut steps = steps.map(|step| self.compute(member, step, tile, &mut scratch));
                let _over = steps.all(|done| done);
            } else if spins < SPINS {
                spins += 1;
                spin_loop();
            } else {
                std::thread::park();
                spins = 0;
            }
        }
    }
}
