//! Workers in threads, one tile each, behind one bounded queue.
//!
//! A full queue never blocks and never drops in silence: [`Crew::try_submit`] hands the job back, and
//! the caller decides whether it waits (a folder of pictures) or calls the tile not inspected (a line).
//!
//! Every tile comes back, that of a worker that panics as an error. Where several threads share a tile, this holds for those
//! that help; a panic in the worker's own thread ends the process, as the helpers still use what unwinding would take
//! away. Workers without a tile wait for one behind a
//! lock that no other thread takes.

use super::{EngineError, Inspector, Prediction};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A tile on its way through the crew. Its buffers come back with the result, to be filled again.
#[derive(Debug, Default)]
pub struct Job<T> {
    /// What the caller needs to know the tile again.
    pub tag: T,
    /// `3 x height x width` in [0, 1].
    pub tile: Vec<f32>,
    /// The result; valid where the crew says the tile went well.
    pub prediction: Prediction,
}

/// A job that was not taken.
#[derive(Debug)]
pub enum Refused<T> {
    /// As many jobs wait as may wait.
    Full(Job<T>),
    /// Every worker has ended.
    Closed(Job<T>),
}

/// Threads that inspect tiles. Dropping it lets waiting jobs finish and ends the threads.
#[derive(Debug)]
pub struct Crew<T> {
    jobs: Option<SyncSender<Job<T>>>,
    results: Receiver<(Job<T>, Result<(), EngineError>)>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Crew<T> {
    /// Starts a thread for each worker; at most `waiting` jobs wait for a free one.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub fn start<I: Inspector + 'static>(workers: Vec<I>, waiting: usize) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(waiting);
        let (done, results) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(workers.len());
        for (number, worker) in workers.into_iter().enumerate() {
            let (queue, done) = (queue.clone(), done.clone());
            threads.push(
                std::thread::Builder::new()
                    .name(format!("tile{number}"))
                    .spawn(move || work(worker, &queue, &done))?,
            );
        }
        Ok(Self {
            jobs: Some(jobs),
            results,
            threads,
        })
    }

    /// Gives a tile to the crew if a place is free.
    ///
    /// # Errors
    /// Hands the job back where the queue is full or no worker is left.
    pub fn try_submit(&self, job: Job<T>) -> Result<(), Refused<T>> {
        match &self.jobs {
            Some(jobs) => jobs.try_send(job).map_err(|refused| match refused {
                TrySendError::Full(job) => Refused::Full(job),
                TrySendError::Disconnected(job) => Refused::Closed(job),
            }),
            None => Err(Refused::Closed(job)),
        }
    }

    /// Gives a tile to the crew; waits for a place.
    ///
    /// # Errors
    /// Hands the job back where no worker is left.
    pub fn submit(&self, job: Job<T>) -> Result<(), Refused<T>> {
        match &self.jobs {
            Some(jobs) => jobs.send(job).map_err(|refused| Refused::Closed(refused.0)),
            None => Err(Refused::Closed(job)),
        }
    }

    /// Says that no more jobs will come: [`Crew::wait`] gives `None` after the last result.
    pub fn close(&mut self) {
        self.jobs = None;
    }

    /// The next finished tile, in the order of finishing; waits for one. `None` after the last result
    /// of a closed crew.
    pub fn wait(&self) -> Option<(Job<T>, Result<(), EngineError>)> {
        self.results.recv().ok()
    }

    /// The next finished tile, if one is ready.
    pub fn ready(&self) -> Option<(Job<T>, Result<(), EngineError>)> {
        self.results.try_recv().ok()
    }
}

impl<T> Drop for Crew<T> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A worker that panicked has already said so on stderr, and its tile came back as an error.
            let _ = thread.join();
        }
    }
}

fn work<T, I: Inspector>(
    mut worker: I,
    queue: &Mutex<Receiver<Job<T>>>,
    done: &mpsc::Sender<(Job<T>, Result<(), EngineError>)>,
) {
    loop {
        let next = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok(mut job) = next else { return };
        // What a worker keeps from tile to tile is memory that each tile fills anew.
        let inspect = AssertUnwindSafe(|| worker.inspect(&job.tile, &mut job.prediction));
        let outcome = std::panic::catch_unwind(inspect).unwrap_or_else(|_| {
            Err(EngineError::Run(
                "the worker panicked, see above".to_owned(),
            ))
        });
        if done.send((job, outcome)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::TileSize;

    /// Gives the tile's first value as the map; fails on negative ones and panics on a great one.
    struct Echo;

    impl Inspector for Echo {
        fn tile_size(&self) -> TileSize {
            TileSize::square(32)
        }

        fn inspect(&mut self, tile: &[f32], out: &mut Prediction) -> Result<(), EngineError> {
            out.anomaly_map.clear();
            out.anomaly_map.push(tile[0]);
            assert!(tile[0] < 1e6);
            if tile[0] < 0.0 {
                return Err(EngineError::NotFinite);
            }
            Ok(())
        }
    }

    #[test]
    fn every_job_comes_back_once_with_its_own_result() {
        let mut crew = Crew::start(vec![Echo, Echo, Echo], 4).unwrap();
        let mut seen = [0; 200];
        let mut take = |(job, outcome): (Job<usize>, Result<(), EngineError>)| {
            seen[job.tag] += 1;
            assert_eq!(job.prediction.anomaly_map, job.tile);
            assert_eq!(outcome.is_err(), job.tag % 10 == 7);
        };
        for tag in 0..200 {
            let sign = if tag % 10 == 7 { -1.0 } else { 1.0 };
            let job = Job {
                tag,
                tile: vec![sign * tag as f32],
                prediction: Prediction::default(),
            };
            crew.submit(job).unwrap();
            while let Some(result) = crew.ready() {
                take(result);
            }
        }
        crew.close();
        while let Some(result) = crew.wait() {
            take(result);
        }
        assert!(seen.iter().all(|&times| times == 1));
        let late = crew.try_submit(Job::default());
        assert!(matches!(late, Err(Refused::Closed(_))));
    }

    #[test]
    fn a_tile_whose_worker_panics_comes_back_as_an_error_and_the_next_is_inspected() {
        let crew = Crew::start(vec![Echo], 4).unwrap();
        for (tag, value) in [1.0, 2e6, 3.0].into_iter().enumerate() {
            let job = Job {
                tag,
                tile: vec![value],
                prediction: Prediction::default(),
            };
            crew.submit(job).unwrap();
        }
        let failed = [false, true, false];
        for (tag, failed) in failed.into_iter().enumerate() {
            let (job, outcome) = crew.wait().unwrap();
            assert_eq!((job.tag, outcome.is_err()), (tag, failed));
        }
    }

    /// Waits for a word before it takes the next tile.
    struct Held(mpsc::Receiver<()>);

    impl Inspector for Held {
        fn tile_size(&self) -> TileSize {
            TileSize::square(32)
        }

        fn inspect(&mut self, _: &[f32], _: &mut Prediction) -> Result<(), EngineError> {
            self.0
                .recv()
                .map_err(|error| EngineError::Run(error.to_string()))
        }
    }

    #[test]
    fn a_full_queue_hands_the_job_back() {
        let (go, word) = mpsc::channel();
        let mut crew: Crew<u32> = Crew::start(vec![Held(word)], 1).unwrap();
        let job = |tag| Job {
            tag,
            ..Job::default()
        };
        // One with the worker and one in the queue, whichever moment the worker takes the first.
        crew.submit(job(0)).unwrap();
        crew.submit(job(1)).unwrap();
        let Err(Refused::Full(back)) = crew.try_submit(job(2)) else {
            panic!("a third job must not fit")
        };
        assert_eq!(back.tag, 2);
        go.send(()).unwrap();
        go.send(()).unwrap();
        crew.close();
        let tags: Vec<u32> = std::iter::from_fn(|| crew.wait())
            .map(|(job, _)| job.tag)
            .collect();
        assert_eq!(tags, [0, 1]);
    }
}
