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
/// compiled in, with a number behind a colon where a machine has several (`cuda:1`). `threads` is for
/// `cpu`.
///
/// # Errors
/// A sentence for people: the name is unknown, the device was not compiled in, or cannot be used.
pub fn open(name: &str, spec: NetworkSpec, threads: usize) -> Result<Box<dyn Backend>, String> {
    if name == "cpu" {
        return Ok(Box::new(CpuEngine::new(spec, threads)?));
    }
    let (kind, index) = match name.split_once(':') {
        None => (name, None),
        Some((kind, index)) => {
            let number = index.parse::<usize>();
            let number = number
                .map_err(|_| format!("device '{name}': behind the colon belongs a number"))?;
            (kind, Some(number))
        }
    };
    match BURN.iter().find(|(known, _)| *known == kind) {
        Some((_, true)) => burn(kind, index, spec),
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

/// Names of this program's devices, `cpu` first.
pub fn compiled() -> Vec<&'static str> {
    let burn = BURN.iter().filter(|(_, on)| *on).map(|(kind, _)| *kind);
    std::iter::once("cpu").chain(burn).collect()
}

#[cfg(feature = "burn")]
fn burn(kind: &str, index: Option<usize>, spec: NetworkSpec) -> Result<Box<dyn Backend>, String> {
    Ok(Box::new(crate::burn_engine::BurnEngine::open(
        kind, index, spec,
    )?))
}

#[cfg(not(feature = "burn"))]
fn burn(kind: &str, _: Option<usize>, _: NetworkSpec) -> Result<Box<dyn Backend>, String> {
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
        assert!(refusal("cuda:one").contains("behind the colon belongs a number"));
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
