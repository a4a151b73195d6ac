//! `quantize`: the bundle of what a run learnt in integers.

use super::{Done, export, tell};
use crate::backend::Backend;
use crate::cpu::CpuEngine;
use crate::quantize::calibrate;
use blemish::draem::Graph;
use std::process::ExitCode;

/// Layers named in the report.
const NAMED: usize = 5;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    export: export::Args,
}

impl Args {
    pub fn run(self) -> Done {
        let (config, prepared, checkpoint) = self.export.open()?;
        if prepared.validation.is_empty() {
            return Err(
                "ranges are chosen on held-out goods and this run held none out; \
                        fit again with --hold-out 0.1"
                    .into(),
            );
        }
        let recipe = &config.recipe;
        let graph = Graph::new(recipe.network);
        let mut engine = CpuEngine::new(recipe.network, config.threads)?;
        engine.restore(&checkpoint.weights, &checkpoint.adam)?;
        let pictures: usize = prepared.validation.iter().map(|batch| batch.pictures).sum();
        tell(format_args!(
            "ranges      from {pictures} held-out tiles, about half with a simulated defect"
        ));
        let (grids, report) = calibrate(
            &graph,
            &checkpoint.weights,
            &mut engine,
            &prepared.validation,
        )?;
        for layer in report.worst(NAMED) {
            let output = layer
                .output_db
                .map_or("float".to_owned(), |db| format!("{db:.1} dB"));
            tell(format_args!(
                "noise       {:<36} weights {:.1} dB, output {output}",
                layer.layer, layer.weights_db
            ));
        }
        let out = &self.export.out;
        let out = out
            .clone()
            .unwrap_or_else(|| self.export.run.join("model.int8.onnx"));
        export::finish(&config, &prepared, &checkpoint, &out, Some(&grids))?;
        Ok(ExitCode::SUCCESS)
    }
}
