//! What computes, chosen by name at run time.

use crate::backend::Backend;
use crate::cpu::CpuEngine;
use blemish::draem::NetworkSpec;

/// Opens the device called `name` for networks of `spec`.
///
/// # Errors
/// A sentence for people: the name is unknown, or the device cannot be used.
pub fn open(name: &str, spec: NetworkSpec, threads: usize) -> Result<Box<dyn Backend>, String> {
    match name {
        "cpu" => Ok(Box::new(CpuEngine::new(spec, threads)?)),
        other => Err(format!(
            "device '{other}' is unknown; this program was built with: cpu"
        )),
    }
}
