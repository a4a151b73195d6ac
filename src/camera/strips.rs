//! A folder of strips, delivered as a line camera would have delivered the web they show.

use super::{Belt, BeltSpec, BlockEvent, Camera, CameraError, LineFormat, begin, push_stamp};
use crate::block::Block;
use crate::geometry::LineNumber;
use crate::picture::{LineSamples, Picture, Samples, is_picture, natural_order};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pictures sorted by name, numbers in names by their value, one after the other as consecutive web: rows
/// are lines, columns run across the web.
#[derive(Debug)]
pub struct Strips {
    left: VecDeque<PathBuf>,
    strip: Picture,
    next_row: usize,
    next_line: u64,
    belt: Belt,
    format: LineFormat,
}

impl Strips {
    /// Opens a folder; the first picture says how lines look.
    ///
    /// # Errors
    /// Where the folder cannot be listed, holds no picture, or its first one cannot be read.
    pub fn open(folder: &Path, lines_per_block: u32, belt: &BeltSpec) -> Result<Self, CameraError> {
        let mut left = VecDeque::from(Self::files(folder)?);
        let first = left.pop_front().ok_or_else(|| CameraError::NoStrips {
            path: folder.to_owned(),
        })?;
        let strip = Picture::open(&first)?;
        Ok(Self {
            format: LineFormat {
                width_px: strip.width_px as u32,
                channels: strip.channels as u32,
                sixteen_bit: matches!(strip.samples, Samples::U16(_)),
                lines_per_block: lines_per_block.max(1),
            },
            left,
            strip,
            next_row: 0,
            next_line: 0,
            belt: Belt::new(belt)?,
        })
    }

    /// The folder's pictures in their order.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>, CameraError> {
        let unusable = |source| CameraError::Folder {
            path: folder.to_owned(),
            source,
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unusable)? {
            let path = entry.map_err(unusable)?.path();
            if is_picture(&path) {
                paths.push(path);
            }
        }
        paths.sort_by(|a, b| natural_order(a, b));
        Ok(paths)
    }

    /// Opens the next strip; false where there is none.
    fn turn(&mut self) -> Result<bool, CameraError> {
        let Some(path) = self.left.pop_front() else {
            return Ok(false);
        };
        let strip = Picture::open(&path)?;
        if describe(&strip) != describe(&self.strip) {
            return Err(CameraError::StripFormat {
                path,
                found: describe(&strip),
                expected: describe(&self.strip),
            });
        }
        self.strip = strip;
        self.next_row = 0;
        Ok(true)
    }
}

fn describe(strip: &Picture) -> String {
    let depth = match strip.samples {
        Samples::U8(_) => 8,
        Samples::U16(_) => 16,
    };
    let color = if strip.channels == 1 { "grey" } else { "RGB" };
    format!("{} px wide, {depth} bit {color}", strip.width_px)
}

impl Camera for Strips {
    fn format(&self) -> LineFormat {
        self.format
    }

    fn start(&mut self) -> Result<(), CameraError> {
        Ok(())
    }

    fn next_block(&mut self, _: Duration, into: &mut Block) -> Result<BlockEvent, CameraError> {
        begin(into, LineNumber(self.next_line));
        while into.stamps.len() < self.format.lines_per_block as usize {
            if self.next_row == self.strip.height_px && !self.turn()? {
                break;
            }
            match (
                self.strip.line(self.next_row).samples,
                &mut into.picture.samples,
            ) {
                (LineSamples::U8(line), Samples::U8(samples)) => samples.extend_from_slice(line),
                (LineSamples::U16(line), Samples::U16(samples)) => samples.extend_from_slice(line),
                // Every strip was checked against the first, which made the format.
                _ => break,
            }
            push_stamp(into, self.belt.next_line());
            self.next_row += 1;
            self.next_line += 1;
        }
        Ok(if into.stamps.is_empty() {
            BlockEvent::End
        } else {
            BlockEvent::Filled
        })
    }

    fn stop(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, strips: &[(&str, Picture)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("blemish-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, picture) in strips {
            picture.save_png(&folder.join(name)).unwrap();
        }
        folder
    }

    fn grey(width: usize, lines: usize, first: u8) -> Picture {
        let samples = (0..width * lines).map(|i| first + (i / width) as u8);
        Picture::from_grey8(width, lines, samples.collect()).unwrap()
    }

    #[test]
    fn blocks_run_over_the_borders_of_strips_in_the_order_of_names() {
        let folder = folder(
            "strips",
            &[("a10.png", grey(3, 4, 10)), ("a9.png", grey(3, 10, 0))],
        );
        std::fs::write(folder.join("notes.txt"), "not a picture").unwrap();
        // What `inspect` wrote beside them is no web.
        for ours in ["a.inspected.png", "a.map.png", "._a.png"] {
            grey(9, 9, 7).save_png(&folder.join(ours)).unwrap();
        }
        let mut camera = Strips::open(&folder, 6, &BeltSpec::default()).unwrap();
        let mut block = camera.format().empty_block();
        let (mut lines, mut sizes) = (Vec::new(), Vec::new());
        while camera.next_block(Duration::ZERO, &mut block).unwrap() == BlockEvent::Filled {
            assert_eq!(block.first_line.0, lines.len() as u64);
            sizes.push(block.stamps.len());
            let Samples::U8(samples) = &block.picture.samples else {
                panic!()
            };
            lines.extend(samples.chunks(3).map(|line| line[2]));
        }
        assert_eq!(sizes, [6, 6, 2]);
        assert_eq!(lines, (0..14).collect::<Vec<u8>>());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_strip_of_another_width_is_refused_by_name() {
        let folder = folder(
            "unlike",
            &[("a.png", grey(3, 4, 0)), ("b.png", grey(4, 4, 0))],
        );
        let mut camera = Strips::open(&folder, 6, &BeltSpec::default()).unwrap();
        let mut block = camera.format().empty_block();
        let error = camera.next_block(Duration::ZERO, &mut block).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("b.png' is 4 px wide") && text.contains("are 3 px wide"),
            "{text}"
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_without_strips_is_refused() {
        let folder = folder("empty", &[]);
        let error = Strips::open(&folder, 6, &BeltSpec::default()).unwrap_err();
        assert!(matches!(error, CameraError::NoStrips { .. }));
        std::fs::remove_dir_all(folder).unwrap();
        let missing = Strips::open(Path::new("/no/such/folder"), 6, &BeltSpec::default());
        assert!(matches!(missing, Err(CameraError::Folder { .. })));
    }
}
