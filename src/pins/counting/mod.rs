//! Where the web is, without a device: edges to counts, counts at a time, and encoders for machines
//! that have none.

mod belt;
mod edges;
mod thought;
mod track;

pub use belt::BeltEncoder;
pub use edges::{Channel, ChannelEdge, CountedEdges, Decoding, EdgeCounter};
pub use thought::{LineEncoder, TimeEncoder};
pub use track::Track;
