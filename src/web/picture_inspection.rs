//! A picture, inspected as a web of one segment.

use super::judge::Judge;
use super::{ConfigError, PushError, Region, Sheet, Web, WebConfig};
use crate::block::{Block, LineStamp};
use crate::draem::score::Window;
use crate::engine::{EngineError, Inspector, Prediction};
use crate::geometry::{Columns, LineNumber, TileSize};
use crate::model::{ColorOrder, Metadata, Preparation};
use crate::picture::{Picture, ResizeFilter, Samples, fill_resized};
use crate::verdict::Verdict;

/// Lines that are handed to the core at once.
const STRIP_LINES: usize = 64;

/// How a picture is cut and judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PictureRules {
    pub preparation: Preparation,
    pub color_order: ColorOrder,
    /// As in [`WebConfig::window`].
    pub window: Window,
    /// As in [`WebConfig::threshold`].
    pub threshold: f32,
    /// As in [`WebConfig::min_area_px`].
    pub min_area_px: u32,
    /// As in [`WebConfig::columns`]; not for pictures that are resized to a tile.
    pub columns: Option<Columns>,
    /// Whether the reconstruction is stitched as well.
    pub keep_reconstruction: bool,
}

impl PictureRules {
    /// The rules that a bundle states.
    pub fn of(metadata: &Metadata, keep_reconstruction: bool) -> Self {
        Self {
            preparation: metadata.preparation,
            color_order: metadata.color_order,
            window: metadata.score.window_px,
            threshold: metadata.threshold.score,
            min_area_px: metadata.threshold.min_area_px,
            columns: None,
            keep_reconstruction,
        }
    }
}

/// What was found on a picture.
///
/// Map and regions have the picture's own pixels, or the tile's where the picture was resized to one.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureResult {
    pub width_px: usize,
    pub height_px: usize,
    /// Anomaly probability, `height x width`.
    pub anomaly_map: Vec<f32>,
    /// Greatest mean of the map over the bundle's window.
    pub score: f32,
    /// In the order in which they end, from top to bottom.
    pub regions: Vec<Region>,
    /// `Defect` where a region is one, else `Ok`.
    pub verdict: Verdict,
    /// `3 x height x width` in [0, 1], in the network's order of colours; present where it was asked
    /// for and the engine gives it.
    pub reconstruction: Option<Vec<f32>>,
}

/// Why a picture was not inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The rules do not fit the engine's tiles.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The picture has no pixels, or not as many as it says.
    #[error("a picture of {width_px}x{height_px} px with {samples} samples cannot be inspected")]
    Picture {
        width_px: usize,
        height_px: usize,
        samples: usize,
    },
    /// More lines than a web can have.
    #[error(transparent)]
    Lines(#[from] PushError),
    /// The engine failed on a tile.
    #[error("tile at column {first_column}, line {first_line}: {source}")]
    Engine {
        first_column: u32,
        first_line: u64,
        source: EngineError,
    },
}

/// Inspects a picture of any size with one engine.
///
/// # Errors
/// If the rules are out of range, the picture is empty or inconsistent, or the engine fails.
pub fn inspect_picture(
    picture: &Picture,
    inspector: &mut dyn Inspector,
    rules: &PictureRules,
) -> Result<PictureResult, InspectError> {
    let refused = InspectError::Picture {
        width_px: picture.width_px,
        height_px: picture.height_px,
        samples: picture.samples.len(),
    };
    let pixels = picture.width_px.checked_mul(picture.height_px);
    let samples = pixels.and_then(|pixels| pixels.checked_mul(picture.channels));
    let sides = (
        u32::try_from(picture.width_px),
        u32::try_from(picture.height_px),
    );
    let (Ok(width_px), Ok(height_px)) = sides else {
        return Err(refused);
    };
    if samples != Some(picture.samples.len()) || picture.samples.is_empty() {
        return Err(refused);
    }
    let tile = inspector.tile_size();
    let config = WebConfig {
        width_px,
        columns: rules.columns,
        channels: picture.channels,
        sixteen_bit: matches!(picture.samples, Samples::U16(_)),
        tile,
        overlap_px: 0,
        color_order: rules.color_order,
        window: rules.window,
        threshold: rules.threshold,
        min_area_px: rules.min_area_px,
        span_lines: u32::MAX,
        max_region_lines: u32::MAX,
        rolling_lines: tile.height_px + STRIP_LINES as u32,
        tiles_in_flight: 1,
        min_segment_lines: 1,
        keep_reconstruction: rules.keep_reconstruction,
    };
    match rules.preparation {
        Preparation::Resize { filter } => match config.columns {
            Some(columns) => Err(ConfigError::WholePicture(columns).into()),
            None => inspect_resized(picture, filter, inspector, config),
        },
        Preparation::Native { overlap_px } => inspect_native(
            picture,
            height_px,
            inspector,
            WebConfig {
                overlap_px,
                ..config
            },
        ),
    }
}

fn inspect_native(
    picture: &Picture,
    height_px: u32,
    inspector: &mut dyn Inspector,
    config: WebConfig,
) -> Result<PictureResult, InspectError> {
    let mut sheet = Sheet::new(config.width_px as usize, height_px as usize);
    let keep_reconstruction = config.keep_reconstruction;
    let mut web = Web::new(config)?;
    let mut tile = Vec::new();
    let mut prediction = Prediction::default();
    let mut repainted = keep_reconstruction;
    let mut inspect_tiles = |web: &mut Web, sheet: &mut Sheet| {
        while let Some(job) = web.next_tile(&mut tile) {
            inspect_tile(inspector, &tile, &mut prediction).map_err(|source| {
                InspectError::Engine {
                    first_column: job.first_column,
                    first_line: job.first_line.0,
                    source,
                }
            })?;
            repainted &= !prediction.reconstruction.is_empty();
            web.finish_tile(job.id, Ok(&prediction), sheet);
        }
        Ok::<(), InspectError>(())
    };
    let mut first_line = 0;
    while let Some(strip) = picture.crop(0, first_line, picture.width_px, STRIP_LINES) {
        let lines = strip.height_px;
        let block = Block {
            first_line: LineNumber(first_line as u64),
            picture: strip,
            stamps: vec![LineStamp::default(); lines],
            timed_line: None,
            fault: None,
        };
        web.push(&block, &mut sheet)?;
        inspect_tiles(&mut web, &mut sheet)?;
        first_line += lines;
    }
    web.end(&mut sheet);
    inspect_tiles(&mut web, &mut sheet)?;
    Ok(sheet.result(repainted))
}

fn inspect_resized(
    picture: &Picture,
    filter: ResizeFilter,
    inspector: &mut dyn Inspector,
    config: WebConfig,
) -> Result<PictureResult, InspectError> {
    let TileSize {
        width_px,
        height_px,
    } = config.tile;
    let config = WebConfig { width_px, ..config };
    config.check()?;
    let mut tile = vec![0.0; 3 * config.tile.area()];
    fill_resized(picture, config.tile, filter, config.color_order, &mut tile);
    let mut prediction = Prediction::default();
    inspect_tile(inspector, &tile, &mut prediction).map_err(|source| InspectError::Engine {
        first_column: 0,
        first_line: 0,
        source,
    })?;
    let mut sheet = Sheet::new(width_px as usize, height_px as usize);
    let mut judge = Judge::new(&config);
    for (line, row) in prediction
        .anomaly_map
        .chunks_exact(width_px as usize)
        .enumerate()
    {
        judge.row(line as u64, None, row, &mut sheet);
    }
    judge.end_segment(&mut sheet);
    let repainted = config.keep_reconstruction && !prediction.reconstruction.is_empty();
    for value in &mut prediction.reconstruction {
        *value = value.clamp(0.0, 1.0);
    }
    Ok(PictureResult {
        reconstruction: repainted.then_some(prediction.reconstruction),
        ..sheet.result(false)
    })
}

/// Runs the engine and refuses what would make the core call lines not inspected: a picture has no
/// use for half a result.
fn inspect_tile(
    inspector: &mut dyn Inspector,
    tile: &[f32],
    prediction: &mut Prediction,
) -> Result<(), EngineError> {
    inspector.inspect(tile, prediction)?;
    let area = inspector.tile_size().area();
    let (map, repainted) = (&prediction.anomaly_map, &prediction.reconstruction);
    if map.len() != area || !matches!(repainted.len(), n if n == 0 || n == 3 * area) {
        return Err(EngineError::Run(format!(
            "{} values in the map and {} in the reconstruction for a tile of {area} pixels",
            map.len(),
            repainted.len()
        )));
    }
    if map.iter().any(|p| !p.is_finite()) {
        return Err(EngineError::NotFinite);
    }
    Ok(())
}
