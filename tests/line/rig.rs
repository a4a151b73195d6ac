//! A line in simulated time: belt, camera, workers and ejector around web and ledger.

use blemish::block::{Block, LineStamp};
use blemish::camera::{Belt, BeltSpec, LineFormat, Random};
use blemish::engine::Prediction;
use blemish::geometry::{Count, LineNumber};
use blemish::picture::Samples;
use blemish::reject::{Accounting, Ledger, RejectConfig};
use blemish::verdict::{Reason, SpanVerdict, Verdict};
use blemish::web::{Sink, TileId, Web, WebConfig};

const LINES_PER_BLOCK: u32 = 32;
/// From the exposure of a block's last line until it is in memory.
const TRANSFER_NS: u64 = 2_000_000;
const BRIGHT: u8 = 250;

/// One defect of 20 lines in so many.
pub const DEFECT_EVERY: u64 = 800;
pub const DEFECT_LINES: u64 = 20;

/// What is wrong with a block, or nothing.
#[derive(Clone, Copy, PartialEq)]
pub enum Misfortune {
    None,
    Faulty,
    Lost,
}

pub struct Rig {
    reject: RejectConfig,
    web: Web,
    ledger: Box<Ledger<512>>,
    verdicts: Verdicts,
    camera: Belt,
    next_line: u64,
    block: Block,
    misfortune: fn(u64) -> Misfortune,
    /// Time of one tile, and how often it is ten times that.
    tile_ns: u64,
    slow_tile_share: f32,
    random: Random,
    workers_free_ns: Vec<u64>,
    slots: Vec<Slot>,
    pixels: Vec<f32>,
    encoder: Belt,
    next_position: LineStamp,
    now_ns: u64,
    count: Count,
    rejecting_since_ns: Option<u64>,
    /// Lines with a defect that went past the ejector untouched.
    pub defects_untouched: u64,
    /// Lines with a defect that went past the ejector.
    pub defects_passed: u64,
}

/// A tile that is with a worker.
struct Slot {
    due: Option<(u64, TileId)>,
    prediction: Prediction,
}

/// Lines by their verdict, however late it was.
#[derive(Clone, Copy, Default)]
pub struct Verdicts {
    pub ok: u64,
    pub defect: u64,
    pub not_inspected: u64,
}

struct Relay<'a> {
    ledger: &'a mut Ledger<512>,
    verdicts: &'a mut Verdicts,
}

impl Sink for Relay<'_> {
    fn verdict(&mut self, given: SpanVerdict) {
        let lines = u64::from(given.span.lines);
        match given.verdict {
            Verdict::Ok => self.verdicts.ok += lines,
            Verdict::Defect => self.verdicts.defect += lines,
            Verdict::NotInspected(_) => self.verdicts.not_inspected += lines,
        }
        self.ledger.verdict(given);
    }
}

impl Rig {
    pub fn new(
        belt: &BeltSpec,
        web: WebConfig,
        reject: RejectConfig,
        workers: usize,
        tile_us: u64,
    ) -> Self {
        assert_eq!(
            belt.counts_per_line, 1,
            "a line's web is found by its count"
        );
        let mut encoder = Belt::new(belt).expect("a belt that moves");
        let format = LineFormat {
            width_px: web.width_px,
            channels: 1,
            sixteen_bit: false,
            lines_per_block: LINES_PER_BLOCK,
        };
        let slot = || Slot {
            due: None,
            prediction: Prediction {
                anomaly_map: vec![0.0; web.tile.area()],
                reconstruction: Vec::new(),
            },
        };
        Self {
            ledger: Box::new(Ledger::new(reject.clone(), 0, Count(0)).expect("valid settings")),
            slots: (0..web.tiles_in_flight).map(|_| slot()).collect(),
            pixels: Vec::with_capacity(3 * web.tile.area()),
            web: Web::new(web).expect("valid sizes"),
            reject,
            verdicts: Verdicts::default(),
            camera: Belt::new(belt).expect("a belt that moves"),
            next_line: 0,
            block: format.empty_block(),
            misfortune: |_| Misfortune::None,
            tile_ns: tile_us * 1000,
            slow_tile_share: 0.0,
            random: Random::new(1),
            workers_free_ns: vec![0; workers],
            next_position: encoder.next_line(),
            encoder,
            now_ns: 0,
            count: Count(0),
            rejecting_since_ns: Some(0),
            defects_untouched: 0,
            defects_passed: 0,
        }
    }

    pub fn with_misfortune(self, misfortune: fn(u64) -> Misfortune, slow_tile_share: f32) -> Self {
        Self {
            misfortune,
            slow_tile_share,
            ..self
        }
    }

    pub fn accounting(&self) -> &Accounting {
        self.ledger.accounting()
    }

    pub fn verdicts(&self) -> Verdicts {
        self.verdicts
    }

    pub fn records(&self) -> usize {
        self.ledger.records()
    }

    /// Runs until so many lines were exposed.
    pub fn run_to(&mut self, lines: u64) {
        while self.next_line < lines {
            let lost = self.expose_block(lines);
            let last = self.block.stamps.last().expect("a block has lines");
            let in_memory_ns = last.exposure_ns + TRANSFER_NS;
            self.run_until(in_memory_ns);
            if !lost {
                for exposure in self
                    .reject
                    .exposures(self.block.first_line, &self.block.stamps)
                {
                    self.ledger.arm(&exposure).expect("lines in order");
                }
                let mut relay = Relay {
                    ledger: &mut self.ledger,
                    verdicts: &mut self.verdicts,
                };
                self.web
                    .push(&self.block, &mut relay)
                    .expect("lines in order");
                self.advance();
                self.hand_out_tiles();
            }
        }
    }

    /// Ends the web and lets it run past the ejector.
    pub fn finish(&mut self) {
        let mut relay = Relay {
            ledger: &mut self.ledger,
            verdicts: &mut self.verdicts,
        };
        self.web.end(&mut relay);
        self.hand_out_tiles();
        let reject = &self.reject;
        let behind = reject.distance_counts + reject.margin_counts + reject.max_counts_per_line;
        let passed = self.next_line as i64 + i64::from(behind);
        while self.count.0 < passed || !self.web.is_settled() {
            self.run_until(self.now_ns + 1_000_000);
        }
        self.ledger.reset(Reason::Shutdown, self.now_ns, self.count);
        while self.ledger.pop_event().is_some() {}
    }

    fn expose_block(&mut self, lines: u64) -> bool {
        let number = self.next_line / u64::from(LINES_PER_BLOCK);
        let misfortune = (self.misfortune)(number);
        let end = lines.min((number + 1) * u64::from(LINES_PER_BLOCK));
        let block = &mut self.block;
        block.first_line = LineNumber(self.next_line);
        block.fault = (misfortune == Misfortune::Faulty).then_some(Reason::ErrorFlag);
        block.stamps.clear();
        let Samples::U8(samples) = &mut block.picture.samples else {
            panic!("a grey web of 8 bits");
        };
        samples.clear();
        let width = block.picture.width_px;
        for line in self.next_line..end {
            let bright = if is_defective(line) { width / 2 } else { 0 };
            samples.extend(std::iter::repeat_n(BRIGHT, bright));
            samples.extend(std::iter::repeat_n((line % 100) as u8, width - bright));
            block.stamps.push(self.camera.next_line());
        }
        block.picture.height_px = block.stamps.len();
        self.next_line = end;
        misfortune == Misfortune::Lost
    }

    /// Lets tiles finish and the ledger look, every call period at the latest.
    fn run_until(&mut self, until_ns: u64) {
        let period_ns = u64::from(self.reject.call_period_us) * 1000;
        while self.now_ns < until_ns {
            let tick_ns = until_ns.min(self.now_ns + period_ns);
            let tiles = self.slots.iter().enumerate();
            let first = tiles
                .filter_map(|(place, slot)| slot.due.map(|(ns, id)| (ns, place, id)))
                .min_by_key(|&(ns, place, _)| (ns, place));
            match first {
                Some((ns, place, id)) if ns <= tick_ns => {
                    self.now_ns = self.now_ns.max(ns);
                    let slot = &mut self.slots[place];
                    slot.due = None;
                    let mut relay = Relay {
                        ledger: &mut self.ledger,
                        verdicts: &mut self.verdicts,
                    };
                    self.web.finish_tile(id, Ok(&slot.prediction), &mut relay);
                    self.advance();
                    self.hand_out_tiles();
                }
                _ => {
                    self.now_ns = tick_ns;
                    self.advance();
                }
            }
        }
    }

    fn hand_out_tiles(&mut self) {
        while let Some(slot) = self.slots.iter_mut().find(|slot| slot.due.is_none()) {
            let Some(job) = self.web.next_tile(&mut self.pixels) else {
                return;
            };
            let map = &mut slot.prediction.anomaly_map;
            for (anomaly, pixel) in map.iter_mut().zip(&self.pixels) {
                *anomaly = if *pixel > 0.9 { 1.0 } else { 0.0 };
            }
            let slow = self.slow_tile_share > 0.0 && self.random.unit() < self.slow_tile_share;
            let tile_ns = self.tile_ns * if slow { 10 } else { 1 };
            let free_ns = self.workers_free_ns.iter_mut().min().expect("a worker");
            *free_ns = (*free_ns).max(self.now_ns) + tile_ns;
            slot.due = Some((*free_ns, job.id));
        }
    }

    /// The ejector as it stood until now, then the ledger's look at the present.
    fn advance(&mut self) {
        let lead_ns = u64::from(self.reject.lead_us) * 1000;
        while self.next_position.exposure_ns <= self.now_ns {
            let at = self.next_position;
            let effective = self
                .rejecting_since_ns
                .is_some_and(|ns| ns == 0 || ns + lead_ns <= at.exposure_ns);
            // The step to count k + 1 takes the web of line k - distance past the ejector.
            let line = at.count.0 - 1 - i64::from(self.reject.distance_counts);
            if line >= 0 && (line as u64) < self.next_line && is_defective(line as u64) {
                self.defects_passed += 1;
                self.defects_untouched += u64::from(!effective);
            }
            self.count = at.count;
            self.next_position = self.encoder.next_line();
        }
        let shown = self.ledger.advance(self.now_ns, self.count);
        match (shown.reject, self.rejecting_since_ns) {
            (true, None) => self.rejecting_since_ns = Some(self.now_ns),
            (false, Some(_)) => self.rejecting_since_ns = None,
            _ => {}
        }
        while self.ledger.pop_event().is_some() {}
    }
}

pub fn is_defective(line: u64) -> bool {
    line % DEFECT_EVERY >= DEFECT_EVERY - DEFECT_LINES
}
