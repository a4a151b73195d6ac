//! tract as the engine: an ONNX graph in, one plan for all workers out.

use super::{EngineError, Inspector, Prediction};
use crate::geometry::TileSize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tract_core::internal::*;
use tract_core::plan::eval;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::InferenceModelExt;

/// A graph after tract's optimizer, with its weights; clones share it.
#[derive(Clone)]
pub struct Plan {
    plan: Arc<TypedSimplePlan>,
    tile: TileSize,
}

/// A worker on a plan.
pub struct TractInspector {
    plan: Plan,
    /// The input tensor, given back by the plan after every run.
    input: Option<Arc<Tensor>>,
    /// Made by the first tile, dropped after a failure.
    state: Option<TypedSimpleState>,
}

/// What runs one node of the plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PlanNode {
    /// Name in the ONNX graph, with what the optimizer added to it.
    pub name: String,
    /// Operator that runs it.
    pub operator: String,
    /// Shape of the first output.
    pub shape: Vec<usize>,
    /// Multiply-accumulates for one tile, where the operator states them.
    pub macs: u64,
}

impl Plan {
    /// Plans a graph that passed the bundle's checks; its input has shape `1 x 3 x height x width`.
    ///
    /// # Errors
    /// tract's own words where it cannot read, type or optimize the graph.
    pub fn new(model: &ModelProto, tile: TileSize) -> Result<Self, EngineError> {
        Ok(Self {
            plan: optimize(model).map_err(refusal)?,
            tile,
        })
    }

    /// The same without our kernels: what theirs are measured against.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of_tract_alone(model: &ModelProto, tile: TileSize) -> Result<Self, EngineError> {
        let plan = || decluttered(model)?.into_optimized()?.into_runnable();
        Ok(Self {
            plan: plan().map_err(refusal)?,
            tile,
        })
    }

    /// A new worker.
    pub fn worker(&self) -> TractInspector {
        TractInspector {
            plan: self.clone(),
            input: None,
            state: None,
        }
    }

    /// The plan's nodes in order of computation, constants left out.
    pub fn nodes(&self) -> Vec<PlanNode> {
        let model = self.plan.model();
        self.plan
            .order_without_consts()
            .iter()
            .map(|&id| describe(model, &model.nodes[id]))
            .collect()
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("tile", &self.tile)
            .field("nodes", &self.plan.model().nodes.len())
            .finish_non_exhaustive()
    }
}

impl TractInspector {
    /// As [`Inspector::inspect`]; tells the time of every node in the order of [`Plan::nodes`].
    ///
    /// # Errors
    /// As [`Inspector::inspect`].
    pub fn inspect_timed(
        &mut self,
        tile: &[f32],
        out: &mut Prediction,
        seen: &mut dyn FnMut(Duration),
    ) -> Result<(), EngineError> {
        let outcome = self.run(tile, out, |state, inputs| {
            state.run_plan_with_eval(inputs, |context, state, node, inputs| {
                let start = Instant::now();
                let outputs = eval(context, state, node, inputs);
                seen(start.elapsed());
                outputs
            })
        });
        self.judge(outcome, out)
    }

    fn judge(&mut self, outcome: TractResult<()>, out: &Prediction) -> Result<(), EngineError> {
        if let Err(error) = outcome {
            self.state = None;
            return Err(refusal(error));
        }
        let mut values = out.anomaly_map.iter().chain(&out.reconstruction);
        if values.all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(EngineError::NotFinite)
        }
    }

    fn run(
        &mut self,
        tile: &[f32],
        out: &mut Prediction,
        turn: impl FnOnce(&mut TypedSimpleState, TVec<TValue>) -> TractResult<TVec<TValue>>,
    ) -> TractResult<()> {
        let mut shared = match self.input.take() {
            Some(tensor) => tensor,
            None => {
                let TileSize {
                    width_px,
                    height_px,
                } = self.plan.tile;
                let shape = [1, 3, height_px as usize, width_px as usize];
                Arc::new(Tensor::zero::<f32>(&shape)?)
            }
        };
        let input = Arc::get_mut(&mut shared).context("the input is still in use")?;
        let mut view = input.try_as_plain_ram_mut()?;
        let pixels = view.as_slice_mut::<f32>()?;
        ensure!(
            pixels.len() == tile.len(),
            "a tile has {} values and {} were given",
            pixels.len(),
            tile.len()
        );
        pixels.copy_from_slice(tile);
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(self.plan.plan.spawn()?),
        };
        let results = turn(state, tvec!(TValue::from_const(shared.clone())))?;
        self.input = Some(shared);
        copy(results.first(), &mut out.anomaly_map)?;
        copy(results.get(1), &mut out.reconstruction)
    }
}

impl std::fmt::Debug for TractInspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TractInspector").field(&self.plan).finish()
    }
}

impl Inspector for TractInspector {
    fn tile_size(&self) -> TileSize {
        self.plan.tile
    }

    fn inspect(&mut self, tile: &[f32], out: &mut Prediction) -> Result<(), EngineError> {
        let outcome = self.run(tile, out, SimpleState::run);
        self.judge(outcome, out)
    }
}

fn decluttered(model: &ModelProto) -> TractResult<TypedModel> {
    tract_onnx::onnx()
        .model_for_proto_model(model)?
        .into_typed()?
        .into_decluttered()
}

fn optimize(model: &ModelProto) -> TractResult<Arc<TypedSimplePlan>> {
    super::transform::rewrite(&decluttered(model)?)?
        .into_optimized()?
        .into_runnable()
}

fn describe(model: &TypedModel, node: &TypedNode) -> PlanNode {
    let shape = node
        .outputs
        .first()
        .and_then(|out| out.fact.shape.as_concrete());
    let element_wise = node.op_is::<tract_core::ops::element_wise::ElementWiseOp>();
    let macs = model
        .node_input_facts(node.id)
        .and_then(|facts| node.op.cost(&facts))
        .unwrap_or_default()
        .iter()
        .filter(|(kind, _)| matches!(kind, Cost::FMA(_)) && !element_wise)
        .filter_map(|(_, count)| count.to_i64().ok())
        .sum::<i64>();
    PlanNode {
        name: node.name.clone(),
        operator: node.op.name().into_owned(),
        shape: shape.map(<[usize]>::to_vec).unwrap_or_default(),
        macs: macs.max(0) as u64,
    }
}

fn copy(tensor: Option<&TValue>, into: &mut Vec<f32>) -> TractResult<()> {
    into.clear();
    if let Some(tensor) = tensor {
        into.extend_from_slice(tensor.try_as_plain_ram()?.as_slice::<f32>()?);
    }
    Ok(())
}

/// tract's chain of causes in one line.
fn refusal(error: TractError) -> EngineError {
    EngineError::Run(format!("{error:#}"))
}
