//! Lines of the kernel's GPIO character device (uapi v2), by `gpiocdev`.
//!
//! The kernel hands a line to one holder at a time and takes it back when that process dies, however it
//! dies. What the line does then is the chip's affair: see the table in `docs/guide/wiring.md`.

mod confirm;
mod encoder;
mod events;
mod lines;
mod outputs;

pub use confirm::GpioConfirm;
pub use encoder::GpioEncoder;
pub use lines::{SeenLine, find_line, seen_lines};
pub use outputs::GpioOutputs;

/// As whom the kernel lists the holder of a line.
const CONSUMER: &str = "blemish";

/// Time between two tries to get a lost line back.
const RETRY_NS: u64 = 500_000_000;
