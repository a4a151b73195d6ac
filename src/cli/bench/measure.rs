//! The measurements, in the order in which they disturb each other least.

use super::Args;
use blemish::engine::kernels::{Levels, Peak};
use blemish::engine::{Crew, EngineError, Inspector, Job, Plan, PlanNode, Prediction};
use blemish::geometry::TileSize;
use blemish::model::Bundle;
use std::error::Error;
use std::num::NonZero;
use std::path::Path;
use std::time::{Duration, Instant};

/// Rounds of each number of workers; the best counts, for a round can only be disturbed.
const ROUNDS: u32 = 3;

/// What `--json` prints.
#[derive(Debug, serde::Serialize)]
pub struct Measured {
    pub schema: u32,
    pub model: Model,
    pub peak_gmacs_per_s: Peak,
    pub load: Load,
    pub tile: Tile,
    pub layers: Vec<Layer>,
    pub workers: Vec<Workers>,
    pub one_tile: Vec<OneTile>,
}

#[derive(Debug, serde::Serialize)]
pub struct Model {
    pub origin: String,
    pub sha256: String,
    pub widths: [usize; 2],
    pub tile: TileSize,
    pub quantized: bool,
    /// Instructions of the kernels.
    pub kernels: &'static str,
    pub macs: u64,
}

/// From nothing to the first verdict, golden tile and all.
#[derive(Debug, serde::Serialize)]
pub struct Load {
    pub ready_ms: f64,
    pub first_verdict_ms: f64,
    /// Most memory this process had in use by then, where the system tells.
    pub peak_memory_kib: Option<u64>,
    /// What each worker's activations take; absent where tract takes memory as it goes.
    pub worker_kib: Option<u64>,
}

#[derive(Debug, serde::Serialize)]
pub struct Tile {
    pub tiles: u32,
    pub median_ms: f64,
    pub min_ms: f64,
    /// Time of the processor, where the system tells.
    pub cpu_median_ms: Option<f64>,
    pub cpu_min_ms: Option<f64>,
    pub gmacs_per_s: f64,
    /// Of the peak of the instruction that the model's convolutions use, by the least time of the
    /// processor.
    pub share_of_peak: f64,
}

#[derive(Debug, serde::Serialize)]
pub struct Layer {
    #[serde(flatten)]
    pub node: PlanNode,
    pub median_us: f64,
    pub min_us: f64,
    pub share_of_peak: Option<f64>,
}

#[derive(Debug, serde::Serialize)]
pub struct Workers {
    pub workers: usize,
    pub tiles_per_s: f64,
    /// Throughput over that of the first number of workers.
    pub against_first: f64,
}

/// A worker that computes each tile on so many threads.
#[derive(Debug, serde::Serialize)]
pub struct OneTile {
    pub threads: usize,
    pub median_ms: f64,
    pub min_ms: f64,
    /// Least time of the first number of threads over this one's.
    pub against_first: f64,
}

impl Measured {
    pub fn take(args: &Args, workers: &[usize]) -> Result<Self, Box<dyn Error>> {
        let start = Instant::now();
        let bundle = super::read(args)?;
        let ready = start.elapsed();
        let own = bundle.metadata().tile;
        let mut prediction = Prediction::default();
        bundle.inspector().inspect(&picture(own), &mut prediction)?;
        let worker = bundle.plan().workspace_bytes();
        let load = Load {
            ready_ms: ms(ready),
            first_verdict_ms: ms(start.elapsed()),
            peak_memory_kib: peak_memory_kib(),
            worker_kib: worker.map(|bytes| bytes as u64 / 1024),
        };
        let size = args.tile.unwrap_or(own);
        let levels = args.kernels.unwrap_or(Levels::detect());
        let plan = match size == own && levels == Levels::detect() {
            true => bundle.plan().clone(),
            false => Bundle::plan_for(args.model.as_deref(), size, levels)?,
        };
        let nodes = plan.nodes();
        let macs: u64 = nodes.iter().map(|node| node.macs).sum();
        let quantized = nodes
            .iter()
            .any(|node| node.operator.starts_with("ByteConv"));
        let timed = Timed::take(&plan, size, levels, args.tiles)?;
        let best = match quantized {
            true => timed.peak.int8,
            false => timed.peak.f32,
        };
        if let Some(folder) = &args.save {
            save(folder, &picture(size), &timed.prediction)?;
        }
        let spec = bundle.metadata().network;
        Ok(Measured {
            schema: 1,
            model: Model {
                origin: bundle.origin().to_owned(),
                sha256: bundle.sha256().to_owned(),
                widths: [spec.reconstructive_width, spec.discriminative_width],
                tile: size,
                quantized,
                kernels: levels.name(),
                macs,
            },
            peak_gmacs_per_s: Peak {
                int8: timed.peak.int8 / 1e9,
                f32: timed.peak.f32 / 1e9,
            },
            load,
            tile: timed.tile(macs, best),
            layers: timed.layers(nodes, best),
            workers: throughput(&plan, size, workers, args.tiles)?,
            one_tile: latency(&plan, size, workers, args.tiles)?,
        })
    }
}

/// Samples of one worker, with the peak taken in between.
struct Timed {
    peak: Peak,
    wall: Vec<Duration>,
    cpu: Vec<Option<Duration>>,
    by_node: Vec<Vec<Duration>>,
    prediction: Prediction,
}

impl Timed {
    fn take(plan: &Plan, size: TileSize, levels: Levels, tiles: u32) -> Result<Self, EngineError> {
        let mut worker = plan.worker();
        let picture = picture(size);
        let mut timed = Timed {
            peak: Peak::measure(levels, 4),
            wall: Vec::new(),
            cpu: Vec::new(),
            by_node: vec![Vec::new(); plan.nodes().len()],
            prediction: Prediction::default(),
        };
        worker.inspect(&picture, &mut timed.prediction)?;
        for _ in 0..tiles {
            timed.peak = timed.peak.or(Peak::measure(levels, 2));
            let (start, cpu) = (Instant::now(), thread_time());
            worker.inspect(&picture, &mut timed.prediction)?;
            timed.wall.push(start.elapsed());
            let spent = thread_time().zip(cpu).map(|(after, before)| after - before);
            timed.cpu.push(spent);
        }
        for _ in 0..tiles {
            let mut samples = timed.by_node.iter_mut();
            worker.inspect_timed(&picture, &mut timed.prediction, &mut |took| {
                if let Some(samples) = samples.next() {
                    samples.push(took);
                }
            })?;
        }
        Ok(timed)
    }

    fn tile(&self, macs: u64, peak: f64) -> Tile {
        let (median, least) = median_and_least(&self.wall);
        let cpu: Option<Vec<Duration>> = self.cpu.iter().copied().collect();
        let cpu = cpu.map(|cpu| median_and_least(&cpu));
        // On a busy machine the wall's clock counts other programs' work too.
        let undisturbed = cpu.map_or(least, |cpu| cpu.1);
        let rate = macs as f64 / undisturbed.as_secs_f64();
        Tile {
            tiles: self.wall.len() as u32,
            median_ms: ms(median),
            min_ms: ms(least),
            cpu_median_ms: cpu.map(|cpu| ms(cpu.0)),
            cpu_min_ms: cpu.map(|cpu| ms(cpu.1)),
            gmacs_per_s: rate / 1e9,
            share_of_peak: rate / peak,
        }
    }

    fn layers(&self, nodes: &[PlanNode], peak: f64) -> Vec<Layer> {
        let layer = |(node, samples): (&PlanNode, &Vec<Duration>)| {
            let (median, least) = median_and_least(samples);
            let share = node.macs as f64 / least.as_secs_f64() / peak;
            Layer {
                median_us: 1e3 * ms(median),
                min_us: 1e3 * ms(least),
                share_of_peak: (node.macs > 0).then_some(share),
                node: node.clone(),
            }
        };
        nodes.iter().zip(&self.by_node).map(layer).collect()
    }
}

/// Time of a tile on each number of threads, turn by turn.
fn latency(
    plan: &Plan,
    size: TileSize,
    counts: &[usize],
    tiles: u32,
) -> Result<Vec<OneTile>, EngineError> {
    let picture = picture(size);
    let mut prediction = Prediction::default();
    let worker =
        |&count: &usize| plan.worker_on(NonZero::new(count).unwrap_or(NonZero::<usize>::MIN));
    let mut workers: Vec<_> = counts.iter().map(worker).collect();
    let mut samples = vec![Vec::new(); counts.len()];
    for _ in 0..tiles {
        for (worker, samples) in workers.iter_mut().zip(&mut samples) {
            // The first wakes the threads and brings the values into the processors' caches.
            worker.inspect(&picture, &mut prediction)?;
            let start = Instant::now();
            worker.inspect(&picture, &mut prediction)?;
            samples.push(start.elapsed());
        }
    }
    let times = samples.iter().map(|samples| median_and_least(samples));
    let times: Vec<(f64, f64)> = times
        .map(|(median, least)| (ms(median), ms(least)))
        .collect();
    let first = times[0].1;
    let row = |(&threads, (median_ms, min_ms)): (&usize, (f64, f64))| OneTile {
        threads,
        median_ms,
        min_ms,
        against_first: first / min_ms,
    };
    Ok(counts.iter().zip(times).map(row).collect())
}

/// Tiles per second of each number of workers.
fn throughput(
    plan: &Plan,
    size: TileSize,
    counts: &[usize],
    tiles: u32,
) -> Result<Vec<Workers>, Box<dyn Error>> {
    let mut best = vec![0f64; counts.len()];
    for _ in 0..ROUNDS {
        for (best, &count) in best.iter_mut().zip(counts) {
            *best = best.max(round(plan, size, count, tiles)?);
        }
    }
    let first = best[0];
    let row = |(&workers, tiles_per_s): (&usize, f64)| Workers {
        workers,
        tiles_per_s,
        against_first: tiles_per_s / first,
    };
    Ok(counts.iter().zip(best).map(row).collect())
}

/// Tiles per second of `count` workers that are never short of tiles, the first of each left out.
fn round(plan: &Plan, size: TileSize, count: usize, tiles: u32) -> Result<f64, Box<dyn Error>> {
    let workers = (0..count).map(|_| plan.worker()).collect();
    let crew = Crew::start(workers, 2 * count)?;
    let next = || crew.wait().ok_or("every worker has ended");
    for _ in 0..2 * count {
        let job = Job {
            tile: picture(size),
            ..Job::<()>::default()
        };
        crew.submit(job).map_err(|_| "every worker has ended")?;
    }
    let mut start = Instant::now();
    for done in 0..count as u32 + tiles {
        let (job, outcome) = next()?;
        outcome?;
        crew.submit(job).map_err(|_| "every worker has ended")?;
        if done + 1 == count as u32 {
            start = Instant::now();
        }
    }
    Ok(f64::from(tiles) / start.elapsed().as_secs_f64())
}

/// A woven pattern with some noise: the same on every machine.
fn picture(size: TileSize) -> Vec<f32> {
    let mut noise = 1u32;
    let mut value = |channel: u32, x: u32, y: u32| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let weave = f64::from((x * 7 + channel) % 23 + (y * 5) % 19) / 40.0;
        (0.2 + 0.5 * weave + 0.1 * f64::from(noise >> 8) / f64::from(1 << 24)) as f32
    };
    let mut values = Vec::with_capacity(3 * size.area());
    for channel in 0..3 {
        for y in 0..size.height_px {
            values.extend((0..size.width_px).map(|x| value(channel, x, y)));
        }
    }
    values
}

fn save(folder: &Path, tile: &[f32], prediction: &Prediction) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let bytes =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    std::fs::write(folder.join("tile.f32"), bytes(tile))?;
    std::fs::write(folder.join("map.f32"), bytes(&prediction.anomaly_map))
}

fn ms(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

fn median_and_least(samples: &[Duration]) -> (Duration, Duration) {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    (at(sorted.len() / 2), at(0))
}

/// Time that this thread has had a processor.
#[cfg(target_os = "linux")]
fn thread_time() -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills the one struct that it is given.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    (failed == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(not(target_os = "linux"))]
fn thread_time() -> Option<Duration> {
    None
}

/// Most memory that this process ever had in use.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
