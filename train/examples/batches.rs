//! The batches of a run on standard output, for the same training elsewhere (`benches/peers/draem_torch.py`):
//! `batches RUN STEPS`.
//!
//! First pictures per batch, height and width as u32; then for every step the clean pictures, what the
//! networks see, and the masks, `N x C x H x W` in f32. All little-endian.

use blemish_train::fit::Source;
use blemish_train::fit::prepare::Prepared;
use blemish_train::run_folder::RunFolder;
use std::io::{BufWriter, Write};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, steps] = &arguments[..] else {
        return Err("give the folder of a run and a number of steps".into());
    };
    let steps: u64 = steps.parse()?;
    let config = RunFolder::read_config(Path::new(run))?;
    let prepared = Prepared::open(&config)?;
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let recipe = &config.recipe;
    for number in [
        recipe.batch as u32,
        recipe.tile.height_px,
        recipe.tile.width_px,
    ] {
        out.write_all(&number.to_le_bytes())?;
    }
    for step in 0..steps {
        let batch = prepared.batch(step)?;
        for values in [&batch.clean, &batch.seen, &batch.mask] {
            for value in values {
                out.write_all(&value.to_le_bytes())?;
            }
        }
    }
    out.flush()?;
    Ok(())
}
