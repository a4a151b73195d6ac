//! Running a bundle's graph.
//!
//! * **plan**: the graph after tract's optimizer, shared by all workers;
//! * **worker**: an [`Inspector`] with buffers of its own on a shared plan;
//! * **program**: a plan of which every node is ours, as steps over one piece of memory; the usual case;
//! * **team**: a worker's threads, which compute one tile of a program together; usually one alone;
//! * **crew**: workers in threads, one tile each.

mod constants;
mod crew;
pub mod kernels;
mod program;
mod team;
mod tract;
mod transform;

pub use crew::{Crew, Job, Refused};
pub use tract::{Plan, PlanNode, TractInspector};

/// What the networks say about one tile. Buffers are reused from tile to tile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prediction {
    /// Probability of the anomaly class, `height x width`, row-major.
    pub anomaly_map: Vec<f32>,
    /// The picture as the reconstructive network repaints it, `3 x height x width`; empty where the
    /// bundle does not keep it.
    pub reconstruction: Vec<f32>,
}

/// Something that gives anomaly maps: tract with a bundle on a station, a plain function in a test.
pub trait Inspector: Send {
    /// Sides of the tiles it takes.
    fn tile_size(&self) -> crate::geometry::TileSize;

    /// Runs both networks on one tile, `3 x height x width` in [0, 1], into `out`.
    ///
    /// # Errors
    /// Where the engine failed or gave a value that is not finite; the tile counts as not inspected.
    fn inspect(&mut self, tile: &[f32], out: &mut Prediction) -> Result<(), EngineError>;
}

/// Why a tile could not be inspected.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// tract refused to run the graph.
    #[error("the engine failed on a tile: {0}")]
    Run(String),
    /// A NaN or infinity in the output.
    #[error(
        "the engine gave a value that is not a number; check the bundle with 'blemish model show'"
    )]
    NotFinite,
}
