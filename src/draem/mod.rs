//! DRAEM (Zavrtanik, Kristan, Skočaj, ICCV 2021) as a description: which layers, how they are joined,
//! what they cost, and how a map becomes a score. No framework in it.
//!
//! * **reconstructive network**: repaints a picture as if it were good; no skips;
//! * **discriminative network**: a U-Net that compares reconstruction and picture pixel by pixel;
//! * **anomaly map**: probability of the anomaly class per pixel;
//! * **score**: maximum of the anomaly map's mean over a window, 21x21 in the paper.

mod cost;
mod graph;
mod preset;
pub mod score;

pub use cost::Cost;
pub use graph::{
    ConvKey, Graph, Network, NetworkSpec, Node, NodeId, OFFICIAL_POOLINGS, Op, Upsampling,
};
pub use preset::NetworkPreset;
