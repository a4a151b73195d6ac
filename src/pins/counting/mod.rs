//! Where the web is, without a device: edges to counts, counts at a time, and an encoder for
//! machines that have none.

mod belt;
mod by_time;
mod edges;
mod track;

pub use belt::BeltEncoder;
pub use by_time::TimeEncoder;
pub use edges::{
    Channel, ChannelEdge, ChannelNews, ChannelWatch, CountedEdges, Decoding, EdgeCounter,
};

pub use track::Track;
