//! Joining the tiles' maps into one.
//!
//! A pixel is the weighted mean of the tiles over it. Weights are a pyramid: greatest in a tile's
//! middle, 1 at its rim. All tiles over it count, but for the last row of a stretch of lines, which is moved
//! back so as to end on the last line: it counts from where the next regular row would have started, since the
//! lines above are settled before anyone knows that the stretch ends. Sums are whole numbers, so the map's bits do not depend on the order in which
//! tiles are finished, and where tiles agree the mean is exactly what they say. Values are kept to
//! 2^-40; see [`crate::draem::score::WindowRows`].

use super::config::WebConfig;
use super::pieces::TileRow;
use crate::engine::Prediction;
use crate::verdict::Reason;

const SCALE: f32 = (1u64 << 40) as f32;

/// Sums of the lines that are not settled, a ring over the numbers of stored lines.
#[derive(Debug)]
pub(super) struct Stitch {
    width: usize,
    /// The column after the last that is inspected.
    end_column: usize,
    tile_width: usize,
    /// 1, or 4 with the three planes of the reconstruction.
    planes: usize,
    lines: u64,
    /// `lines x planes x width`: weight times value.
    sums: Vec<i64>,
    /// Per line: sum of the weights along the web.
    weights_along: Vec<u32>,
    /// Per line: why a tile over it gave nothing.
    trouble: Vec<Option<Reason>>,
    /// Per column: 1 / sum of the weights across; 0 where nothing is inspected.
    shares_across: Vec<f64>,
    ramp_across: Vec<i64>,
    ramp_along: Vec<u32>,
    /// Stored lines that have sums.
    begin: u64,
    end: u64,
}

fn ramp(length: u32) -> impl Iterator<Item = u32> {
    (0..length).map(move |i| (i + 1).min(length - i))
}

impl Stitch {
    pub(super) fn new(config: &WebConfig, columns: &[u32]) -> Self {
        let width = config.width_px as usize;
        let end_column = config.inspected().end as usize;
        let (tile_width, tile_lines) = (config.tile.width_px, config.tile.height_px);
        let planes = if config.keep_reconstruction { 4 } else { 1 };
        let rows = config.tiles_in_flight.div_ceil(columns.len() as u32) + 1;
        let lines =
            u64::from(tile_lines + config.overlap_px) + u64::from(rows) * config.stride_lines();
        let mut weights_across = vec![0u32; width];
        for &first in columns {
            for (weight, more) in weights_across[first as usize..end_column]
                .iter_mut()
                .zip(ramp(tile_width))
            {
                *weight += more;
            }
        }
        Self {
            width,
            end_column,
            tile_width: tile_width as usize,
            planes,
            lines,
            sums: vec![0; lines as usize * planes * width],
            weights_along: vec![0; lines as usize],
            trouble: vec![None; lines as usize],
            shares_across: weights_across
                .iter()
                .map(|&w| if w == 0 { 0.0 } else { 1.0 / f64::from(w) })
                .collect(),
            ramp_across: ramp(tile_width).map(i64::from).collect(),
            ramp_along: ramp(tile_lines).collect(),
            begin: 0,
            end: 0,
        }
    }

    fn slot(&self, stored: u64) -> usize {
        (stored % self.lines) as usize
    }

    /// Whether there is place for the sums of a row of tiles.
    pub(super) fn has_place(&self, row: &TileRow) -> bool {
        let begin = if self.begin < self.end {
            self.begin
        } else {
            row.counted_from_stored()
        };
        row.end_stored() <= begin + self.lines
    }

    /// Prepares the sums of a row of tiles that [`Stitch::has_place`].
    pub(super) fn open(&mut self, row: &TileRow) {
        let (from, end) = (row.counted_from_stored(), row.end_stored());
        if self.begin >= self.end {
            (self.begin, self.end) = (from, from);
        }
        for stored in self.end.max(from)..end {
            let slot = self.slot(stored);
            self.trouble[slot] = None;
            let length = self.planes * self.width;
            self.sums[slot * length..(slot + 1) * length].fill(0);
        }
        self.end = self.end.max(end);
        for stored in from..end {
            let slot = self.slot(stored);
            self.weights_along[slot] += self.ramp_along[(stored - row.first_stored) as usize];
        }
    }

    /// Adds a tile of an opened row. `false`: the prediction is not one of numbers, or has not the
    /// tile's size; nothing was added.
    pub(super) fn add(&mut self, row: &TileRow, column: u32, prediction: &Prediction) -> bool {
        let area = self.tile_width * self.ramp_along.len();
        let map = &prediction.anomaly_map;
        let repainted = &prediction.reconstruction;
        if map.len() != area
            || !all_finite(map)
            || !(repainted.is_empty() || repainted.len() == 3 * area)
        {
            return false;
        }
        let planes = std::iter::once(map.as_slice())
            .chain(repainted.chunks_exact(area))
            .take(self.planes);
        let column = column as usize;
        let columns = self.tile_width.min(self.end_column - column);
        for (plane, values) in planes.enumerate() {
            for stored in row.counted_from_stored()..row.end_stored() {
                let line = (stored - row.first_stored) as usize;
                let along = i64::from(self.ramp_along[line]);
                let at = (self.slot(stored) * self.planes + plane) * self.width + column;
                let values = &values[line * self.tile_width..][..columns];
                for ((sum, &value), &across) in self.sums[at..at + columns]
                    .iter_mut()
                    .zip(values)
                    .zip(&self.ramp_across)
                {
                    *sum += along * across * (value.clamp(0.0, 1.0) * SCALE) as i64;
                }
            }
        }
        true
    }

    /// The lines of an opened row are not inspected. Of several reasons the first in
    /// [`Reason::ALL`] is kept, whatever their order.
    pub(super) fn fail(&mut self, row: &TileRow, reason: Reason) {
        for stored in row.counted_from_stored()..row.end_stored() {
            let slot = self.slot(stored);
            let known = &mut self.trouble[slot];
            *known = Some(known.map_or(reason, |known| known.min(reason)));
        }
    }

    /// The mean of a line's plane into `out`; plane 0 is the anomaly map.
    pub(super) fn read(&self, stored: u64, plane: usize, out: &mut [f32]) {
        let slot = self.slot(stored);
        let along = 1.0 / f64::from(self.weights_along[slot].max(1));
        let at = (slot * self.planes + plane) * self.width;
        for ((value, &sum), &across) in out
            .iter_mut()
            .zip(&self.sums[at..at + self.width])
            .zip(&self.shares_across)
        {
            let mean = (sum as f64 * (along * across) + 0.5) as i64;
            *value = mean as f32 * (1.0 / SCALE);
        }
    }

    /// Frees a line's sums and gives the reason why it was not inspected, if there is one. Lines are
    /// released in order.
    pub(super) fn release(&mut self, stored: u64) -> Option<Reason> {
        self.begin = stored + 1;
        let slot = self.slot(stored);
        // The plan lets no line through that has no tile; if it did, the line must not pass as good.
        let weight = std::mem::take(&mut self.weights_along[slot]);
        if weight == 0 {
            return Some(Reason::Engine);
        }
        self.trouble[slot]
    }
}

/// Without an early way out, so that it runs many values at a time.
fn all_finite(values: &[f32]) -> bool {
    values
        .iter()
        .fold(true, |good, value| good & value.is_finite())
}
