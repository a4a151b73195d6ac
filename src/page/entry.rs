//! A picture in a report: overview, heat, boxes, and each region at the camera's own resolution.

use super::draw::{Area, Canvas, TRUTH, shrink_map};
use super::report::{Cell, Table, Tone, badge, escape};
use crate::picture::{Mask, Picture, PictureError};
use crate::verdict::Verdict;
use crate::web::Region;
use base64::Engine;
use std::fmt::Write;
use std::path::Path;

/// Greatest sides of an overview.
const OVERVIEW_WIDTH_PX: usize = 2048;
const OVERVIEW_HEIGHT_PX: usize = 4096;
/// Regions that are shown at the camera's own resolution, those with the greatest peaks first.
const CROPS: usize = 4;
/// Least and greatest side of a crop.
const CROP_PX: (usize, usize) = (96, 384);
const JPEG_QUALITY: u8 = 88;
/// Rows of the table of regions; regions beyond have a frame, but no number.
const REGION_ROWS: usize = 12;
/// A picture this many times wider than high gets its panels one below the other.
const WIDE: usize = 2;

/// What is known about a picture from people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth<'a> {
    /// `good` or the kind of defect.
    pub kind: &'a str,
    pub defect: bool,
    /// Marked pixels, with the picture's sides.
    pub mask: Option<&'a Mask>,
}

/// A picture or a piece of web with what was found on it.
#[derive(Debug, Clone, Copy)]
pub struct PictureEntry<'a> {
    pub name: &'a str,
    /// Where tables of this report link to; unique in the report, letters and digits.
    pub anchor: &'a str,
    pub picture: &'a Picture,
    /// Line of the web that the picture begins with.
    pub first_line: u64,
    /// Anomaly probability, `height x width`.
    pub map: &'a [f32],
    /// In web coordinates.
    pub regions: &'a [Region],
    /// As the reconstructive network repaints it, with the picture's sides.
    pub reconstruction: Option<&'a Picture>,
    pub verdict: Verdict,
    /// Greatest mean of the map over the window.
    pub score: f32,
    pub threshold: f32,
    pub truth: Option<Truth<'a>>,
}

impl PictureEntry<'_> {
    /// The entry as HTML for [`super::Report::html`].
    ///
    /// # Errors
    /// If a piece of the picture cannot be encoded.
    ///
    /// # Panics
    /// If map, mask or reconstruction do not have the picture's sides.
    pub fn html(&self) -> Result<String, PictureError> {
        let Picture {
            width_px,
            height_px,
            ..
        } = *self.picture;
        let mut html = format!(
            "<article id=\"{}\"><h3>{} {} {}</h3>",
            escape(self.anchor),
            escape(self.name),
            badge(&verdict_word(self.verdict), Tone::of(self.verdict)),
            self.truth
                .map(|truth| self.truth_badge(truth))
                .unwrap_or_default(),
        );
        let _ = write!(
            html,
            "<p class=\"meta\">{width_px} × {height_px} px{} · score {:.3}, threshold {:.3} \
             <span class=\"bar\"><i class=\"{}\" style=\"width:{:.1}%\"></i>\
             <b style=\"left:{:.1}%\"></b></span></p>",
            if self.first_line > 0 {
                format!(" from line {}", self.first_line)
            } else {
                String::new()
            },
            self.score,
            self.threshold,
            if self.score >= self.threshold {
                "bad"
            } else {
                "good"
            },
            100.0 * self.score.clamp(0.0, 1.0),
            100.0 * self.threshold.clamp(0.0, 1.0),
        );
        html.push_str(&self.panels()?);
        if !self.regions.is_empty() {
            html.push_str(&self.crops()?);
            html.push_str(&self.region_table());
        }
        html.push_str("</article>");
        Ok(html)
    }

    fn panels(&self) -> Result<String, PictureError> {
        let (width, height) = (self.picture.width_px, self.picture.height_px);
        let factor = width
            .div_ceil(OVERVIEW_WIDTH_PX)
            .max(height.div_ceil(OVERVIEW_HEIGHT_PX));
        let plain = Canvas::of(self.picture).shrunk(factor);
        let mut heat = plain.clone();
        heat.heat(&shrink_map(self.map, width, factor));
        let mut panels = Vec::new();
        let mut shown = plain;
        let mut caption = String::from("picture");
        if let Some(mask) = self.truth.and_then(|truth| truth.mask) {
            let levels: Vec<f32> = mask
                .defect
                .iter()
                .map(|&d| f32::from(u8::from(d)))
                .collect();
            let small = Mask {
                width_px: shown.width_px,
                height_px: shown.height_px,
                defect: shrink_map(&levels, width, factor)
                    .iter()
                    .map(|&l| l > 0.0)
                    .collect(),
            };
            shown.outline(&small, TRUTH);
            if mask.area_px() > 0 {
                caption.push_str(", outlined where the defect is");
            }
        }
        panels.push((shown, false, caption));
        panels.push((heat, true, String::from("anomaly map and regions")));
        if let Some(reconstruction) = self.reconstruction {
            let canvas = Canvas::of(reconstruction).shrunk(factor);
            panels.push((canvas, false, String::from("repainted as if it were good")));
        }
        let wide = width > WIDE * height;
        let mut html = format!("<div class=\"panels{}\">", if wide { " wide" } else { "" });
        let legend = " <span class=\"legend\">0<i></i>1</span>";
        for (canvas, boxes, caption) in panels {
            let _ = write!(
                html,
                "<figure><svg viewBox=\"0 0 {width} {height}\"><image width=\"{width}\" \
                 height=\"{height}\" href=\"{}\"/>{}</svg><figcaption>{}{}</figcaption></figure>",
                self.jpeg(&canvas)?,
                if boxes {
                    self.boxes(wide)
                } else {
                    String::new()
                },
                escape(&caption),
                if boxes { legend } else { "" }
            );
        }
        html.push_str("</div>");
        Ok(html)
    }

    /// Frames with the regions' numbers; they stay sharp at any size.
    fn boxes(&self, wide: bool) -> String {
        let (width, height) = (self.picture.width_px, self.picture.height_px);
        // Pixels of the picture per pixel of a usual screen.
        let unit = width as f64 / if wide { 1080.0 } else { 340.0 };
        let (gap, letter) = (3.0 * unit, 13.0 * unit);
        let mut svg = String::new();
        for (number, region) in self.numbered() {
            let Some(area) = Area::of(region, self.first_line, width, height) else {
                continue;
            };
            let (x, y) = (area.column as f64 - gap, area.line as f64 - gap);
            let (w, h) = (
                area.width_px as f64 + 2.0 * gap,
                area.height_px as f64 + 2.0 * gap,
            );
            let above = y > letter;
            let text_y = if above {
                y - 0.3 * letter
            } else {
                y + h + letter
            };
            let (anchor, text_x) = if x + 4.0 * letter > width as f64 {
                ("end", (x + w).min(width as f64))
            } else {
                ("start", x.max(0.0))
            };
            let _ = write!(
                svg,
                "<rect class=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\"/>",
                region_class(region)
            );
            if number <= REGION_ROWS {
                let _ = write!(
                    svg,
                    "<text x=\"{text_x:.1}\" y=\"{text_y:.1}\" font-size=\"{letter:.1}\" \
                     stroke-width=\"{:.1}\" text-anchor=\"{anchor}\">{number}</text>",
                    3.0 * unit,
                );
            }
        }
        svg
    }

    /// Regions with their numbers, 1 for the greatest peak.
    fn numbered(&self) -> impl Iterator<Item = (usize, &Region)> {
        let mut order: Vec<&Region> = self.regions.iter().collect();
        order.sort_by(|a, b| b.defect.cmp(&a.defect).then(b.peak.total_cmp(&a.peak)));
        order
            .into_iter()
            .enumerate()
            .map(|(i, region)| (i + 1, region))
    }

    fn crops(&self) -> Result<String, PictureError> {
        let (width, height) = (self.picture.width_px, self.picture.height_px);
        let mut html = String::from("<div class=\"crops\">");
        for (number, region) in self.numbered().take(CROPS) {
            let Some(area) = Area::of(region, self.first_line, width, height) else {
                continue;
            };
            let side = |length: usize, whole: usize| {
                (2 * length + 32).clamp(CROP_PX.0, CROP_PX.1).min(whole)
            };
            let (w, h) = (side(area.width_px, width), side(area.height_px, height));
            let first = |start: usize, length: usize, side: usize, whole: usize| {
                (start + length / 2)
                    .saturating_sub(side / 2)
                    .min(whole - side)
            };
            let column = first(area.column, area.width_px, w, width);
            let line = first(area.line, area.height_px, h, height);
            let cut = |picture: &Picture| picture.crop(column, line, w, h);
            let Some(piece) = cut(self.picture) else {
                continue;
            };
            let plain = Canvas::of(&piece);
            let mut heat = plain.clone();
            let map: Vec<f32> = self.map[line * width..]
                .chunks(width)
                .take(h)
                .flat_map(|row| row[column..column + w].iter().copied())
                .collect();
            heat.heat(&map);
            let mut pieces = vec![(plain, "picture")];
            if let Some(repainted) = self.reconstruction.and_then(cut) {
                pieces.push((Canvas::of(&repainted), "repainted"));
            }
            pieces.push((heat, "anomaly map"));
            let _ = write!(
                html,
                "<figure><div class=\"pieces {}\">",
                region_class(region)
            );
            for (canvas, name) in pieces {
                let _ = write!(
                    html,
                    "<img alt=\"{name}\" title=\"{name}\" width=\"{w}\" height=\"{h}\" src=\"{}\">",
                    self.jpeg(&canvas)?
                );
            }
            let _ = write!(
                html,
                "</div><figcaption><b>{number}</b> picture{}, anomaly map at {w} × {h} px</figcaption></figure>",
                if self.reconstruction.is_some() {
                    ", repainted"
                } else {
                    ""
                }
            );
        }
        html.push_str("</div>");
        Ok(html)
    }

    fn region_table(&self) -> String {
        let mut table = Table::new(&["region", "", "line", "column", "box px", "area px", "peak"]);
        for (number, region) in self.numbered().take(REGION_ROWS) {
            let (word, tone) = if region.defect {
                ("defect", Tone::Bad)
            } else {
                ("too small", Tone::Doubtful)
            };
            table.rows.push(vec![
                Cell::number(number),
                Cell::badge(word, tone),
                Cell::number(region.first_line.0),
                Cell::number(region.first_column),
                Cell::number(format!("{} × {}", region.columns, region.lines)),
                Cell::number(region.area_px),
                Cell::number(format!("{:.3}", region.peak)),
            ]);
        }
        let mut html = table.html();
        if self.regions.len() > REGION_ROWS {
            let _ = write!(
                html,
                "<p class=\"meta\">and {} more</p>",
                self.regions.len() - REGION_ROWS
            );
        }
        html
    }

    fn truth_badge(&self, truth: Truth<'_>) -> String {
        let right = truth.defect == (self.verdict == Verdict::Defect);
        let tone = if right { Tone::Plain } else { Tone::Doubtful };
        badge(&format!("in truth: {}", truth.kind), tone)
    }

    fn jpeg(&self, canvas: &Canvas) -> Result<String, PictureError> {
        let file = canvas.encode_jpeg(JPEG_QUALITY, Path::new(self.name))?;
        Ok(format!(
            "data:image/jpeg;base64,{}",
            base64::engine::general_purpose::STANDARD.encode(file)
        ))
    }
}

fn region_class(region: &Region) -> &'static str {
    if region.defect { "defect" } else { "small" }
}

fn verdict_word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Ok => "ok".to_owned(),
        Verdict::Defect => "defect".to_owned(),
        Verdict::NotInspected(reason) => format!("not inspected: {reason:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::LineNumber;

    fn region(first_line: u64, first_column: u32, peak: f32, defect: bool) -> Region {
        Region {
            first_line: LineNumber(first_line),
            lines: 10,
            first_column,
            columns: 20,
            area_px: 150,
            reaching_px: 150,
            peak,
            capped: false,
            defect,
        }
    }

    #[test]
    fn a_strip_of_the_web_shows_its_regions_in_its_own_pixels() {
        let picture = Picture::from_grey8(4096, 64, vec![90; 4096 * 64]).unwrap();
        let map = vec![0.0; 4096 * 64];
        let regions = [
            region(1000, 4000, 0.7, false),
            region(1010, 100, 0.6, true),
            region(5, 5, 0.9, true),
        ];
        let entry = PictureEntry {
            name: "<roll>",
            anchor: "p1",
            picture: &picture,
            first_line: 1000,
            map: &map,
            regions: &regions,
            reconstruction: None,
            verdict: Verdict::Defect,
            score: 0.7,
            threshold: 0.5,
            truth: None,
        };
        let html = entry.html().unwrap();
        assert!(html.contains("&lt;roll&gt;") && html.contains("from line 1000"));
        // The third region lies elsewhere on the web: it is in the table, not in the picture.
        assert_eq!(html.matches("<rect").count(), 2);
        assert_eq!(html.matches("<tr>").count(), 4);
        assert_eq!(html.matches("<image").count(), 2);
        // Defects come before what is too small.
        assert!(html.find("defect</span></td>") < html.find("too small"));
    }

    #[test]
    fn a_tiny_picture_with_truth_and_reconstruction_is_shown() {
        let picture = Picture::from_rgb8(5, 3, vec![1; 45]).unwrap();
        let mut mask = Mask::good(5, 3);
        mask.defect[7] = true;
        let entry = PictureEntry {
            name: "tiny",
            anchor: "p1",
            picture: &picture,
            first_line: 0,
            map: &[0.5; 15],
            regions: &[region(0, 3, 0.7, true)],
            reconstruction: Some(&picture),
            verdict: Verdict::Defect,
            score: 0.7,
            threshold: 0.5,
            truth: Some(Truth {
                kind: "hole",
                defect: true,
                mask: Some(&mask),
            }),
        };
        let html = entry.html().unwrap();
        assert_eq!(html.matches("data:image/jpeg").count(), 6);
        assert!(html.contains("in truth: hole"));
    }
}
