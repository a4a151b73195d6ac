//! The ledger as a whole: against a slow model of the web, over random faults, at the ends of the
//! number ranges, as a table of belt speeds and latencies, and for millions of lines.

mod extremes;
mod model;
mod properties;
#[path = "../common/snapshot.rs"]
mod snapshot;
mod soak;
mod table;
