//! Pictures through the core of the line, many tiles at a time.
//!
//! Every picture is a web of its own. The tiles of one wide picture and of many small ones keep all
//! workers busy alike; results leave in the order in which pictures came.

use super::files::{Input, Known};
use blemish::block::{Block, LineStamp};
use blemish::engine::{Crew, EngineError, Job, Refused, TractInspector};
use blemish::geometry::{LineNumber, TileSize};
use blemish::model::{ColorOrder, Preparation};
use blemish::picture::{Mask, Picture, PictureError, ResizeFilter, Samples, resize_bilinear};
use blemish::verdict::{Reason, Verdict};
use blemish::web::{ConfigError, PictureRules, PushError, Region, Sheet, TileJob, Web, WebConfig};
use std::collections::VecDeque;
use std::path::PathBuf;

/// Lines that are handed to the core at once.
const STRIP_LINES: usize = 64;

/// Pixels above which a picture's reconstruction is not kept: it takes 12 bytes for each.
const REPAINTED_PX: usize = 64 << 20;

/// What was found on a picture, in the picture's own pixels.
#[derive(Debug)]
pub struct Inspected {
    pub picture: Picture,
    /// Anomaly probability, `height x width`.
    pub map: Vec<f32>,
    /// Greatest mean of the map over the window.
    pub score: f32,
    pub regions: Vec<Region>,
    /// Pixels that a region needs to be a defect.
    pub min_area_px: u64,
    pub verdict: Verdict,
    pub reconstruction: Option<Picture>,
    pub mask: Option<Mask>,
}

/// Why a picture was not inspected.
#[derive(Debug, thiserror::Error)]
pub enum PictureFailure {
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(
        "the mask '{mask}' has {}x{} px and '{picture}' has {}x{}; masks need the picture's own size",
        mask_px.0, mask_px.1, picture_px.0, picture_px.1
    )]
    MaskSize {
        mask: PathBuf,
        picture: PathBuf,
        mask_px: (usize, usize),
        picture_px: (usize, usize),
    },
    #[error(
        "'{path}' does not continue '{first}': width, depth and channels of joined strips must be the \
         same; inspect them without --join"
    )]
    Strip { first: PathBuf, path: PathBuf },
    #[error("'{path}' cannot be inspected: {source}")]
    Config { path: PathBuf, source: ConfigError },
    #[error("'{path}' cannot be inspected: {source}")]
    Lines { path: PathBuf, source: PushError },
    #[error("'{path}', tile at column {column}, line {line}: {source}")]
    Engine {
        path: PathBuf,
        column: u32,
        line: u64,
        source: EngineError,
    },
    #[error("'{path}' cannot be inspected: every worker has ended; see the messages above")]
    NoWorker { path: PathBuf },
    #[error("'{path}' has {width_px}x{height_px} px; sides up to 4294967295 can be inspected")]
    Sides {
        path: PathBuf,
        width_px: usize,
        height_px: usize,
    },
}

/// Rules and sizes for all pictures.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Those of the bundle, whose least area is in pixels of the tile where pictures are resized to one.
    pub rules: PictureRules,
    /// Least area in the picture's own pixels, instead of the bundle's.
    pub min_area_px: Option<u32>,
    pub tile: TileSize,
    /// Tiles that are out at one time.
    pub tiles_in_flight: usize,
}

impl Settings {
    /// The core's configuration for pictures that look like this one.
    fn web(&self, picture: &Picture, width_px: u32, repaint: bool) -> WebConfig {
        let overlap_px = match self.rules.preparation {
            Preparation::Native { overlap_px } => overlap_px,
            Preparation::Resize { .. } => 0,
        };
        WebConfig {
            width_px,
            columns: self.rules.columns,
            channels: picture.channels,
            sixteen_bit: matches!(picture.samples, Samples::U16(_)),
            tile: self.tile,
            overlap_px,
            color_order: self.rules.color_order,
            window: self.rules.window,
            threshold: self.rules.threshold,
            min_area_px: self.min_area_px.unwrap_or(self.rules.min_area_px),
            span_lines: u32::MAX,
            max_region_lines: u32::MAX,
            rolling_lines: self.rolling_lines(width_px),
            tiles_in_flight: self.tiles_in_flight as u32,
            min_segment_lines: 1,
            keep_reconstruction: repaint,
        }
    }

    /// The least area that holds.
    pub fn least_area(&self) -> LeastArea {
        let resizes = matches!(self.rules.preparation, Preparation::Resize { .. });
        match self.min_area_px {
            Some(px) => LeastArea { px, of_tile: false },
            None => LeastArea {
                px: self.rules.min_area_px,
                of_tile: resizes,
            },
        }
    }

    /// Enough lines for a row of tiles being cut, the next one, and as many more as workers need.
    fn rolling_lines(&self, width_px: u32) -> u32 {
        let across = width_px.div_ceil(self.tile.width_px).max(1);
        let rows = (self.tiles_in_flight as u32).div_ceil(across) + 2;
        rows * self.tile.height_px + STRIP_LINES as u32
    }

    /// Refuses rules that no picture can be inspected with.
    ///
    /// # Errors
    /// Names the first value that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let tiny = Picture {
            width_px: 1,
            height_px: 1,
            channels: 1,
            samples: Samples::U8(vec![0]),
        };
        let columns = self.rules.columns;
        if let (Some(columns), Preparation::Resize { .. }) = (columns, self.rules.preparation) {
            return Err(ConfigError::WholePicture(columns));
        }
        let width_px = columns.map_or(1, |columns| columns.end);
        self.web(&tiny, width_px, false).check()
    }
}

/// Pixels that a region needs to be a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeastArea {
    pub px: u32,
    /// Whether they are the tile's, to which pictures are resized, and not the picture's own.
    pub of_tile: bool,
}

/// Names a tile among all open pictures.
#[derive(Debug, Clone, Copy, Default)]
struct Tag {
    picture: usize,
    tile: TileJob,
}

/// A picture between its file and its result.
struct Open {
    number: usize,
    input: Input,
    picture: Picture,
    /// The picture as the core sees it, where it is not the picture itself.
    resized: Option<Picture>,
    mask: Option<Mask>,
    web: Web,
    sheet: Sheet,
    pushed: usize,
    ended: bool,
    /// First line of the last tile that was cut.
    cut_to: u64,
    rolling_lines: u64,
    repainted: bool,
    color_order: ColorOrder,
    least_area: LeastArea,
    failure: Option<PictureFailure>,
}

/// The conveyor: see the module.
pub struct Conveyor<'a> {
    settings: Settings,
    crew: Crew<Tag>,
    inputs: std::slice::Iter<'a, Input>,
    taken: usize,
    open: VecDeque<Result<Open, Box<(Input, PictureFailure)>>>,
    spare: Vec<Job<Tag>>,
    out: usize,
}

impl<'a> Conveyor<'a> {
    /// Starts `workers` on `inputs`.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub fn start(
        settings: Settings,
        workers: Vec<TractInspector>,
        inputs: &'a [Input],
    ) -> std::io::Result<Self> {
        let crew = Crew::start(workers, settings.tiles_in_flight)?;
        Ok(Self {
            settings,
            crew,
            inputs: inputs.iter(),
            taken: 0,
            open: VecDeque::new(),
            spare: Vec::new(),
            out: 0,
        })
    }

    /// The next picture's result, in the order of the inputs; `None` after the last.
    ///
    /// `progress` is told the number of pictures that are complete, with the share of the one that is
    /// next.
    pub fn next(
        &mut self,
        progress: &mut dyn FnMut(f64),
    ) -> Option<(Input, Result<Inspected, PictureFailure>)> {
        loop {
            while self.out < self.settings.tiles_in_flight && self.feed() {}
            let settled = match self.open.front() {
                None => return None,
                Some(Err(_)) => true,
                Some(Ok(open)) => {
                    let done = self.taken - self.open.len();
                    let share = open.sheet.lines() as f64 / open.seen().height_px as f64;
                    progress(done as f64 + share);
                    open.ended && open.web.is_settled()
                }
            };
            if settled {
                return self.open.pop_front().map(|front| match front {
                    Ok(open) => open.finish(),
                    Err(failed) => (failed.0, Err(failed.1)),
                });
            }
            // With nothing out, nothing would ever come back.
            match (self.out > 0).then(|| self.crew.wait()).flatten() {
                Some((job, outcome)) => self.take(job, outcome),
                None => self.give_up(),
            }
        }
    }

    /// Sends one tile out; `false` where there is none at present.
    fn feed(&mut self) -> bool {
        let mut job = self.spare.pop().unwrap_or_default();
        for open in self.open.iter_mut().filter_map(|open| open.as_mut().ok()) {
            if let Some(tile) = open.next_tile(&mut job.tile) {
                job.tag = Tag {
                    picture: open.number,
                    tile,
                };
                return match self.crew.submit(job) {
                    Ok(()) => {
                        self.out += 1;
                        true
                    }
                    Err(Refused::Full(_) | Refused::Closed(_)) => {
                        self.give_up();
                        false
                    }
                };
            }
        }
        self.spare.push(job);
        // One picture more than tiles that are out: results must wait for the slowest picture.
        if self.open.len() > self.settings.tiles_in_flight {
            return false;
        }
        let Some(input) = self.inputs.next() else {
            return false;
        };
        self.open.push_back(
            Open::new(input, self.taken, &self.settings)
                .map_err(|failure| Box::new((input.clone(), failure))),
        );
        self.taken += 1;
        true
    }

    fn take(&mut self, job: Job<Tag>, outcome: Result<(), EngineError>) {
        self.out -= 1;
        let tag = job.tag;
        let mut open = self.open.iter_mut().filter_map(|open| open.as_mut().ok());
        if let Some(open) = open.find(|open| open.number == tag.picture) {
            open.repainted &= !job.prediction.reconstruction.is_empty();
            let outcome = match outcome {
                Ok(()) => Ok(&job.prediction),
                Err(source) => {
                    open.fail(tag.tile, source);
                    Err(Reason::Engine)
                }
            };
            open.web.finish_tile(tag.tile.id, outcome, &mut open.sheet);
        }
        self.spare.push(job);
    }

    /// No worker is left: nothing that is open will ever be complete.
    fn give_up(&mut self) {
        for slot in &mut self.open {
            if let Ok(open) = slot
                && !(open.ended && open.web.is_settled())
            {
                let path = open.input.path.clone();
                let failure = PictureFailure::NoWorker { path };
                *slot = Err(Box::new((open.input.clone(), failure)));
            }
        }
    }
}

impl Open {
    fn new(input: &Input, number: usize, settings: &Settings) -> Result<Self, PictureFailure> {
        let path = || input.path.clone();
        let picture = read_picture(input)?;
        let mask = match &input.truth {
            None => None,
            Some(known) => Some(read_mask(known, input, &picture)?),
        };
        let resized = match settings.rules.preparation {
            Preparation::Native { .. } => None,
            Preparation::Resize { filter } => Some(picture.resized(
                settings.tile.width_px as usize,
                settings.tile.height_px as usize,
                filter,
            )),
        };
        let seen = resized.as_ref().unwrap_or(&picture);
        let (Ok(width_px), Ok(_)) = (u32::try_from(seen.width_px), u32::try_from(seen.height_px))
        else {
            return Err(PictureFailure::Sides {
                path: path(),
                width_px: seen.width_px,
                height_px: seen.height_px,
            });
        };
        let repainted =
            settings.rules.keep_reconstruction && seen.width_px * seen.height_px <= REPAINTED_PX;
        let config = settings.web(seen, width_px, repainted);
        let rolling_lines = u64::from(config.rolling_lines);
        let web = Web::new(config).map_err(|source| PictureFailure::Config {
            path: path(),
            source,
        })?;
        Ok(Self {
            number,
            input: input.clone(),
            sheet: Sheet::new(seen.width_px, seen.height_px),
            resized,
            picture,
            mask,
            web,
            pushed: 0,
            ended: false,
            cut_to: 0,
            rolling_lines,
            repainted,
            color_order: settings.rules.color_order,
            least_area: settings.least_area(),
            failure: None,
        })
    }

    fn seen(&self) -> &Picture {
        self.resized.as_ref().unwrap_or(&self.picture)
    }

    /// The next tile, after pushing as many lines as it needs and as fit.
    fn next_tile(&mut self, tile: &mut Vec<f32>) -> Option<TileJob> {
        loop {
            if let Some(job) = self.web.next_tile(tile) {
                self.cut_to = self.cut_to.max(job.first_line.0);
                return Some(job);
            }
            if self.ended {
                return None;
            }
            let width = self.seen().width_px;
            let Some(strip) = self.seen().crop(0, self.pushed, width, STRIP_LINES) else {
                self.ended = true;
                self.web.end(&mut self.sheet);
                continue;
            };
            // No row of tiles that is still to be cut begins above `cut_to`.
            if (self.pushed + strip.height_px) as u64 > self.cut_to + self.rolling_lines {
                return None;
            }
            let lines = strip.height_px;
            let block = Block {
                first_line: LineNumber(self.pushed as u64),
                picture: strip,
                stamps: vec![LineStamp::default(); lines],
                timed_line: None,
                fault: None,
            };
            self.pushed += lines;
            if let Err(source) = self.web.push(&block, &mut self.sheet) {
                let path = self.input.path.clone();
                self.failure
                    .get_or_insert(PictureFailure::Lines { path, source });
                self.ended = true;
                self.web.abort(Reason::Engine, &mut self.sheet);
            }
        }
    }

    fn fail(&mut self, tile: TileJob, source: EngineError) {
        let path = self.input.path.clone();
        self.failure.get_or_insert(PictureFailure::Engine {
            path,
            column: tile.first_column,
            line: tile.first_line.0,
            source,
        });
    }

    fn finish(self) -> (Input, Result<Inspected, PictureFailure>) {
        if let Some(failure) = self.failure {
            return (self.input, Err(failure));
        }
        let result = self.sheet.result(self.repainted);
        let (width, height) = (result.width_px, result.height_px);
        let order = self.color_order;
        let mut inspected = Inspected {
            reconstruction: result.reconstruction.map(|planes| Picture {
                width_px: width,
                height_px: height,
                channels: 3,
                samples: Samples::U8(interleaved(&planes, order)),
            }),
            map: result.anomaly_map,
            score: result.score,
            regions: result.regions,
            min_area_px: self.least_area.px.into(),
            verdict: result.verdict,
            picture: self.picture,
            mask: self.mask,
        };
        if self.resized.is_some() {
            inspected.enlarge(width, height, self.least_area);
        }
        (self.input, Ok(inspected))
    }
}

impl Inspected {
    /// Brings what was found on a picture of the tile's sides to the picture's own pixels. A least area
    /// in these is compared only here; one in the tile's pixels was before.
    fn enlarge(&mut self, width: usize, height: usize, least_area: LeastArea) {
        let (width_px, height_px) = (self.picture.width_px, self.picture.height_px);
        self.map = resize_bilinear(&self.map, 1, width, height, width_px, height_px);
        self.reconstruction = self
            .reconstruction
            .as_ref()
            .map(|repainted| repainted.resized(width_px, height_px, ResizeFilter::Bilinear));
        let (across, along) = (
            width_px as f64 / width as f64,
            height_px as f64 / height as f64,
        );
        for region in &mut self.regions {
            let end = |first: f64, length: f64, scale: f64| ((first + length) * scale).ceil();
            let line = region.first_line.0 as f64;
            let column = f64::from(region.first_column);
            let first_line = (line * along).floor();
            let first_column = (column * across).floor();
            region.lines = (end(line, f64::from(region.lines), along) - first_line) as u32;
            region.columns = (end(column, f64::from(region.columns), across) - first_column) as u32;
            region.first_line = LineNumber(first_line as u64);
            region.first_column = first_column as u32;
            for area_px in [&mut region.area_px, &mut region.reaching_px] {
                *area_px = (*area_px as f64 * across * along).round() as u64;
            }
        }
        if least_area.of_tile {
            self.min_area_px = (self.min_area_px as f64 * across * along).ceil() as u64;
            return;
        }
        self.verdict = Verdict::Ok;
        for region in &mut self.regions {
            region.defect = region.capped || region.reaching_px >= self.min_area_px;
            if region.defect {
                self.verdict = Verdict::Defect;
            }
        }
    }
}

fn read_picture(input: &Input) -> Result<Picture, PictureFailure> {
    let [first, rest @ ..] = input.strips.as_slice() else {
        return Ok(Picture::open(&input.path)?);
    };
    let mut picture = Picture::open(first)?;
    for path in rest {
        if !picture.append(&Picture::open(path)?) {
            return Err(PictureFailure::Strip {
                first: first.clone(),
                path: path.clone(),
            });
        }
    }
    Ok(picture)
}

fn read_mask(known: &Known, input: &Input, picture: &Picture) -> Result<Mask, PictureFailure> {
    let Some(path) = &known.mask else {
        return Ok(Mask::good(picture.width_px, picture.height_px));
    };
    let mask = Mask::open(path)?;
    let mask_px = (mask.width_px, mask.height_px);
    let picture_px = (picture.width_px, picture.height_px);
    if mask_px != picture_px {
        return Err(PictureFailure::MaskSize {
            mask: path.clone(),
            picture: input.path.clone(),
            mask_px,
            picture_px,
        });
    }
    Ok(mask)
}

/// `3 x height x width` in the network's order of colours as R, G, B pixels.
fn interleaved(planes: &[f32], order: ColorOrder) -> Vec<u8> {
    let area = planes.len() / 3;
    let (first, rest) = planes.split_at(area);
    let (green, third) = rest.split_at(area);
    let (red, blue) = match order {
        ColorOrder::Rgb => (first, third),
        ColorOrder::Bgr => (third, first),
    };
    let level = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let colours = red.iter().zip(green).zip(blue);
    colours
        .flat_map(|((&r, &g), &b)| [level(r), level(g), level(b)])
        .collect()
}
