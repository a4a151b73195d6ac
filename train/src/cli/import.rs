//! `import`: the authors' PyTorch checkpoints as a bundle.

use super::{Done, output, tell};
use crate::atomic_file::write_atomically;
use crate::export::write_bundle;
use crate::import::read_networks;
use crate::{device, golden, threshold};
use blemish::draem::score::Window;
use blemish::draem::{Cost, NetworkSpec};
use blemish::geometry::TileSize;
use blemish::model::{
    ColorOrder, Golden, Metadata, Preparation, SCHEMA_VERSION, ScoreRule, Training,
};
use blemish::picture::ResizeFilter;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// state_dict of the reconstructive network (the authors' NAME.pckl).
    reconstructive: PathBuf,
    /// state_dict of the discriminative network (the authors' NAME_seg.pckl).
    discriminative: PathBuf,
    /// Bundle to write.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// What the bundle calls the product; the file's name if left out.
    #[arg(long)]
    name: Option<String>,
    /// Tile side in pixels, or WIDTHxHEIGHT: what whole pictures are resized to.
    #[arg(long, default_value = "256")]
    tile: TileSize,
    /// The product is grey.
    #[arg(long)]
    grey: bool,
}

impl Args {
    pub fn run(self) -> Done {
        output::probe(&self.out)?;
        let (network, weights) = read_networks(&self.reconstructive, &self.discriminative)?;
        let cost = Cost::of(network, self.tile);
        let mut backend = device::open("cpu", network, 0)?;
        backend.restore(&weights, &crate::backend::AdamState::default())?;
        let golden = golden::liveliest(&mut *backend, self.tile, [128; 3])?;
        let bundle = write_bundle(&weights, self.metadata(network), &golden)?;
        write_atomically(&self.out, |file| file.write_all(&bundle))?;
        tell(format_args!(
            "networks    {network}, {:.2} GMAC per tile of {}x{} px",
            cost.macs() as f64 / 1e9,
            self.tile.width_px,
            self.tile.height_px
        ));
        tell(format_args!(
            "threshold   0.5, set from no data: set it with 'blemish-train threshold'"
        ));
        tell(format_args!("bundle      {}", self.out.display()));
        Ok(ExitCode::SUCCESS)
    }

    /// The authors read pictures with OpenCV, so their networks expect blue first, and resize them
    /// whole.
    fn metadata(&self, network: NetworkSpec) -> Metadata {
        let stem = self.reconstructive.file_stem();
        let stem = stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Metadata {
            schema: SCHEMA_VERSION,
            name: self.name.clone().unwrap_or(stem),
            network,
            tile: self.tile,
            color_order: ColorOrder::Bgr,
            grey: self.grey,
            preparation: Preparation::Resize {
                filter: ResizeFilter::Bilinear,
            },
            score: ScoreRule {
                window_px: Window::OFFICIAL,
            },
            threshold: threshold::choose(&[], &[], 1).threshold,
            flat_field: false,
            training: Training {
                data_fingerprint: String::new(),
                pictures: 0,
                seed: 0,
                steps: 0,
                batch: 0,
                trainer: "imported from PyTorch".to_owned(),
                simulation: "unknown".to_owned(),
            },
            golden: Golden::default(),
            light: None,
        }
    }
}
