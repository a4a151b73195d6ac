//! What computes, chosen by name at run time.

use crate::backend::Backend;
use crate::cpu::CpuEngine;
use blemish::draem::NetworkSpec;

/// burn's devices, each the name of the Cargo feature that it needs, and whether that was on.
const BURN: [(&str, bool); 5] = [
    ("flex", cfg!(feature = "flex")),
    ("wgpu", cfg!(feature = "wgpu")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("metal", cfg!(feature = "metal")),
    ("cuda", cfg!(feature = "cuda")),
];

/// Opens the device called `name` for networks of `spec`: `cpu`, or one of burn's where it was
/// compiled in, with a number behind a colon where a machine has several (`cuda:1`), or the numbers of
/// those that share every batch (`cuda:0,1`). `threads` is for `cpu`.
///
/// # Errors
/// A sentence for people: the name is unknown, the device was not compiled in, or cannot be used.
pub fn open(name: &str, spec: NetworkSpec, threads: usize) -> Result<Box<dyn Backend>, String> {
    if name == "cpu" {
        return Ok(Box::new(CpuEngine::new(spec, threads)?));
    }
    let (kind, numbers) = match name.split_once(':') {
        None => (name, Vec::new()),
        Some((kind, numbers)) => (kind, parse_numbers(name, numbers)?),
    };
    match BURN.iter().find(|(known, _)| *known == kind) {
        Some((_, true)) => burn(kind, &numbers, spec),
        Some((_, false)) => Err(format!(
            "device '{kind}' is not in this program; build it with: cargo build --release -p \
             blemish-train --features {kind}"
        )),
        None => Err(format!(
            "device '{name}' is unknown; this program was built with: {}",
            compiled().join(", ")
        )),
    }
}

/// How many devices share every batch in the one called `name`.
pub fn count(name: &str) -> usize {
    match name.split_once(':') {
        Some((_, numbers)) => numbers.split(',').count(),
        None => 1,
    }
}

/// Numbers between commas, each once.
fn parse_numbers(name: &str, numbers: &str) -> Result<Vec<usize>, String> {
    let parsed: Result<Vec<usize>, _> = numbers.split(',').map(str::parse).collect();
    let parsed = parsed.map_err(|_| {
        format!(
            "device '{name}': behind the colon belongs a number, or several between commas for \
             devices that share every batch"
        )
    })?;
    let mut sorted = parsed.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("device '{name}' names number {} twice", pair[0])),
        None => Ok(parsed),
    }
}

/// Names of this program's devices, `cpu` first.
pub fn compiled() -> Vec<&'static str> {
    let burn = BURN.iter().filter(|(_, on)| *on).map(|(kind, _)| *kind);
    std::iter::once("cpu").chain(burn).collect()
}

#[cfg(feature = "burn")]
fn burn(kind: &str, numbers: &[usize], spec: NetworkSpec) -> Result<Box<dyn Backend>, String> {
    use crate::burn_engine::{BurnEngine, Cards};
    match numbers {
        [] => Ok(Box::new(BurnEngine::open(kind, None, spec)?)),
        [number] => Ok(Box::new(BurnEngine::open(kind, Some(*number), spec)?)),
        several => Ok(Box::new(Cards::open(kind, several, spec)?)),
    }
}

#[cfg(not(feature = "burn"))]
fn burn(kind: &str, _: &[usize], _: NetworkSpec) -> Result<Box<dyn Backend>, String> {
    Err(format!("device '{kind}' is not in this program"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str) -> String {
        let spec = NetworkSpec::official(4, 2);
        open(name, spec, 1).err().unwrap_or_default()
    }

    #[test]
    fn names_that_give_no_device_say_why() {
        assert_eq!(refusal("cpu"), "");
        let unknown = refusal("gpu");
        assert!(
            unknown.contains("unknown") && unknown.contains("built with: cpu"),
            "{unknown}"
        );
        for wrong in ["cuda:one", "cuda:", "cuda:0,", "cuda:0,-1"] {
            let refused = refusal(wrong);
            assert!(refused.contains("behind the colon belongs"), "{refused}");
        }
        let twice = refusal("cuda:1,0,1");
        assert!(twice.contains("names number 1 twice"), "{twice}");
        for (kind, compiled) in BURN {
            let feature = format!("--features {kind}");
            assert_eq!(
                !compiled,
                refusal(&format!("{kind}:99")).contains(&feature),
                "{kind}"
            );
        }
    }
}
