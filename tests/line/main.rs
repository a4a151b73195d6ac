//! Web and ledger joined, without a thread, a clock or a network: every belt speed against every time
//! that a tile may take, and a hundred million lines on end.

#[path = "../common/allocations.rs"]
mod allocations;
mod rig;
#[path = "../common/snapshot.rs"]
mod snapshot;
mod soak;
mod table;
