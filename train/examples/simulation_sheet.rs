//! Draws 16 simulated samples of a class as one PNG (clean, seen, mask; four samples per row) and says
//! how long a sample takes on one thread.
//!
//! `cargo run --release -p blemish-train --example simulation_sheet -- CLASS OUT.png SIDE [TEXTURES [PRESET]]`

use blemish::geometry::TileSize;
use blemish::picture::Picture;
use blemish_train::backend::Batch;
use blemish_train::data::{Class, Goods, Sampler, TileSource, load_textures};
use blemish_train::simulate::{Preset, Recipe, Simulator, Textures};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const SAMPLES: usize = 16;
const PER_ROW: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [class, out, side, rest @ ..] = arguments.as_slice() else {
        return Err("give CLASS, OUT.png, SIDE and perhaps TEXTURES".into());
    };
    let tile = TileSize::square(side.parse()?);
    let goods = Goods::open(&Class::find(Path::new(class))?.goods)?;
    let tiles = Arc::new(TileSource::new(&goods, tile, None));
    let textures = match rest.first() {
        Some(folder) => Textures::Pictures(load_textures(Path::new(folder), tile)?),
        None => Textures::Own {
            product: Box::new(TileSource::new(&goods, tile, None)),
            grey: goods.is_grey(),
        },
    };
    let preset = match rest.get(1).map(String::as_str) {
        Some("structural") => Preset::Structural,
        Some("paper") => Preset::Paper,
        _ => Preset::Official,
    };
    let simulator = Simulator {
        recipe: Recipe::new(preset, goods.is_grey()),
        textures,
    };
    let sampler = Sampler::new(tiles, simulator, 1, SAMPLES, 1)?;
    let start = Instant::now();
    for number in 1..9 {
        sampler.batch(number);
    }
    let per_sample = start.elapsed() / (8 * SAMPLES as u32);
    println!("{per_sample:?} per sample of {side}x{side} on one thread");
    sheet(&sampler.batch(0))?.save_png(Path::new(out))?;
    Ok(())
}

fn sheet(batch: &Batch) -> Result<Picture, Box<dyn Error>> {
    let (width, height) = (batch.width_px, batch.height_px);
    let area = width * height;
    let (sheet_width, sheet_height) = (3 * PER_ROW * width, SAMPLES / PER_ROW * height);
    let mut samples = vec![0; 3 * sheet_width * sheet_height];
    for place in 0..SAMPLES {
        let clean = &batch.clean[3 * place * area..][..3 * area];
        let seen = &batch.seen[3 * place * area..][..3 * area];
        let mask = batch.mask[place * area..][..area].repeat(3);
        for (part, planes) in [clean, seen, &mask].into_iter().enumerate() {
            let (left, top) = (
                (place % PER_ROW * 3 + part) * width,
                place / PER_ROW * height,
            );
            for (at, value) in planes.iter().enumerate() {
                let (channel, pixel) = (at / area, at % area);
                let (x, y) = (left + pixel % width, top + pixel / width);
                samples[3 * (y * sheet_width + x) + channel] = (value * 255.0).round() as u8;
            }
        }
    }
    Ok(Picture::from_rgb8(sheet_width, sheet_height, samples)?)
}
