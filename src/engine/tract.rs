//! tract as the reader and optimizer: an ONNX graph in, one plan for all workers out.

use super::constants::multiplied_out;
use super::kernels::Levels;
use super::program::Program;
use super::team::{Panicked, Team};
use super::{EngineError, Inspector, Prediction};
use crate::geometry::TileSize;
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tract_core::internal::*;
use tract_core::plan::eval;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{InferenceModel, InferenceModelExt};

/// A graph ready to run, with its weights; clones share it.
#[derive(Clone)]
pub struct Plan {
    runs: Runs,
    nodes: Arc<[PlanNode]>,
    tile: TileSize,
}

/// Who runs a plan.
#[derive(Clone)]
enum Runs {
    /// We alone: every node is ours.
    Program(Arc<Program>),
    Tract(Arc<TypedSimplePlan>),
}

/// A worker on a plan.
pub struct TractInspector {
    plan: Plan,
    threads: NonZero<usize>,
    /// Made by the first tile, on the thread that will bring all others.
    team: Option<Team>,
    /// The input tensor, given back by tract's plan after every run.
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
        Self::with_levels(model, tile, Levels::detect())
    }

    /// The same with chosen kernels.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn with_levels(
        model: &ModelProto,
        tile: TileSize,
        levels: Levels,
    ) -> Result<Self, EngineError> {
        let plan = || {
            // Each form of the weights is let go before the next is made.
            let read = read(&multiplied_out(model))?;
            let typed = read.into_typed()?.into_decluttered()?;
            let rewritten = super::transform::rewrite(&typed, levels)?;
            drop(typed);
            rewritten.into_optimized()?.into_runnable()
        };
        Self::of(plan, tile).map_err(refusal)
    }

    /// The same without our kernels: what theirs are measured against.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of_tract_alone(model: &ModelProto, tile: TileSize) -> Result<Self, EngineError> {
        let typed = || read(model)?.into_typed()?.into_decluttered();
        let plan = || typed()?.into_optimized()?.into_runnable();
        Self::of(plan, tile).map_err(refusal)
    }

    fn of(
        plan: impl FnOnce() -> TractResult<Arc<TypedSimplePlan>>,
        tile: TileSize,
    ) -> TractResult<Self> {
        let plan = plan()?;
        let (model, order) = (plan.model(), plan.order_without_consts());
        let program = Program::of(model, order)?;
        let is_computed = |id: &&usize| program.is_none() || !model.node(**id).inputs.is_empty();
        let nodes = order
            .iter()
            .filter(is_computed)
            .map(|&id| describe(model, &model.nodes[id]))
            .collect();
        let runs = match program {
            Some(program) => Runs::Program(Arc::new(program)),
            None => Runs::Tract(plan),
        };
        Ok(Self { runs, nodes, tile })
    }

    /// A new worker on one thread.
    pub fn worker(&self) -> TractInspector {
        self.worker_on(NonZero::<usize>::MIN)
    }

    /// A new worker that computes each tile on so many threads, the caller's among them: a tile is ready
    /// sooner, where workers on one thread each would together do more tiles. Where tract runs a node, one
    /// thread runs all.
    pub fn worker_on(&self, threads: NonZero<usize>) -> TractInspector {
        TractInspector {
            plan: self.clone(),
            threads,
            team: None,
            input: None,
            state: None,
        }
    }

    /// What is computed for a tile, in order; constants left out.
    pub fn nodes(&self) -> &[PlanNode] {
        &self.nodes
    }

    /// Bytes of activations that each worker owns; `None` where tract takes memory as it goes.
    pub fn workspace_bytes(&self) -> Option<usize> {
        match &self.runs {
            Runs::Program(program) => Some(program.workspace_bytes()),
            Runs::Tract(_) => None,
        }
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("tile", &self.tile)
            .field("nodes", &self.nodes.len())
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
        self.run(tile, out, Some(seen))
    }

    fn run(
        &mut self,
        tile: &[f32],
        out: &mut Prediction,
        seen: Option<&mut dyn FnMut(Duration)>,
    ) -> Result<(), EngineError> {
        let needed = 3 * self.plan.tile.area();
        if tile.len() != needed {
            let held = tile.len();
            let reason = format!("a tile has {needed} values and {held} were given");
            return Err(EngineError::Run(reason));
        }
        match &self.plan.runs {
            Runs::Program(program) => {
                let (map, reconstruction) = (&mut out.anomaly_map, &mut out.reconstruction);
                if program.outputs() < 2 {
                    reconstruction.clear();
                }
                let team = || Team::new(program.clone(), self.threads);
                let team = self.team.get_or_insert_with(team);
                let outputs = &mut [map, reconstruction];
                team.run(tile, outputs, seen).map_err(|Panicked| {
                    EngineError::Run("a thread panicked, see above".to_owned())
                })?;
            }
            Runs::Tract(plan) => {
                let plan = plan.clone();
                if let Err(error) = self.run_in_tract(&plan, tile, out, seen) {
                    self.state = None;
                    return Err(refusal(error));
                }
            }
        }
        if all_finite(&out.anomaly_map) && all_finite(&out.reconstruction) {
            Ok(())
        } else {
            Err(EngineError::NotFinite)
        }
    }

    fn run_in_tract(
        &mut self,
        plan: &Arc<TypedSimplePlan>,
        tile: &[f32],
        out: &mut Prediction,
        seen: Option<&mut dyn FnMut(Duration)>,
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
        view.as_slice_mut::<f32>()?.copy_from_slice(tile);
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(plan.spawn()?),
        };
        let inputs = tvec!(TValue::from_const(shared.clone()));
        let results = match seen {
            None => state.run(inputs)?,
            Some(seen) => state.run_plan_with_eval(inputs, |context, state, node, inputs| {
                let start = Instant::now();
                let outputs = eval(context, state, node, inputs);
                seen(start.elapsed());
                outputs
            })?,
        };
        self.input = Some(shared);
        copy(results.first(), &mut out.anomaly_map)?;
        copy(results.get(1), &mut out.reconstruction)
    }
}

/// Whether there is neither NaN nor infinity; in strips, which compilers vectorize.
fn all_finite(values: &[f32]) -> bool {
    let strip_is_finite = |strip: &[f32]| strip.iter().fold(true, |ok, v| ok & v.is_finite());
    values.chunks(256).all(strip_is_finite)
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
        self.run(tile, out, None)
    }
}

fn read(model: &ModelProto) -> TractResult<InferenceModel> {
    tract_onnx::onnx().model_for_proto_model(model)
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
