//! What the kernel does with an output once nobody holds it.

use super::Row;
use std::path::Path;

/// Modules with their parameters.
pub(super) const MODULES: &str = "/sys/module";

/// The module behind a chip's label that can be told to leave outputs as they were.
///
/// Raspberry Pi's kernels have it so from the start (github.com/raspberrypi/linux, pull requests 6117 and 6150), others only
/// for RP1.
fn module_of(label: &str) -> Option<&'static str> {
    match label {
        "pinctrl-bcm2835" | "pinctrl-bcm2711" => Some("pinctrl_bcm2835"),
        "pinctrl-rp1" => Some("pinctrl_rp1"),
        _ => None,
    }
}

/// Whether a line of the chip with this label loses its current when the station dies. `None` for chips whose driver
/// leaves no choice.
pub(super) fn released_row(role: &str, label: &str, modules: &Path) -> Option<Row> {
    const STRICT: &str = "add 'dtparam=strict_gpiod' to /boot/firmware/config.txt, restart the board and prove it: 'kill -9' of a station that accepts must reject";
    let module = module_of(label)?;
    let parameter = modules.join(module).join("parameters/persist_gpio_outputs");
    let item = format!("line {role} after a crash");
    Some(match std::fs::read_to_string(&parameter) {
        Ok(text) if text.trim() == "N" => Row::green(item, "goes back to its pull"),
        Ok(_) => Row::red(
            item,
            format!("{module} leaves it as it was, also at \"accept\""),
            STRICT,
        ),
        Err(_) => Row::amber(
            item,
            format!("this kernel does not say: no '{}'", parameter.display()),
            STRICT,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_kernel_that_keeps_outputs_as_they_were_is_red() {
        let modules = std::env::temp_dir().join(format!("blemish-released-{}", std::process::id()));
        let status = |label| {
            released_row("reject", label, &modules).map(|row| (row.status, row.fix.is_empty()))
        };
        let parameters = modules.join("pinctrl_rp1/parameters");
        std::fs::create_dir_all(&parameters).unwrap();
        let parameter = parameters.join("persist_gpio_outputs");
        std::fs::write(&parameter, "Y\n").unwrap();
        assert_eq!(status("pinctrl-rp1"), Some((Status::Red, false)));
        std::fs::write(&parameter, "N\n").unwrap();
        assert_eq!(status("pinctrl-rp1"), Some((Status::Green, true)));
        assert_eq!(status("pinctrl-bcm2711"), Some((Status::Amber, false)));
        assert_eq!(status("pinctrl-bcm2835"), Some((Status::Amber, false)));
        assert_eq!(status("tegra234-gpio"), None);
        std::fs::remove_dir_all(modules).unwrap();
    }
}
