//! The measurements for people.

use super::measure::Measured;
use std::fmt::Write;

/// A few lines, one per number of workers, and a table of the layers.
pub fn report(measured: &Measured) -> String {
    let Measured {
        model, load, tile, ..
    } = measured;
    let peak = match model.quantized {
        true => ("int8", measured.peak_gmacs_per_s.int8),
        false => ("f32", measured.peak_gmacs_per_s.f32),
    };
    let memory = match load.peak_memory_kib {
        Some(kib) => format!("; {:.1} MB at most until then", kib as f64 / 1024.0),
        None => String::new(),
    };
    let worker = match load.worker_kib {
        Some(kib) => format!(", {:.1} MB for each worker", kib as f64 / 1024.0),
        None => String::new(),
    };
    let cpu = match (tile.cpu_median_ms, tile.cpu_min_ms) {
        (Some(median), Some(least)) => format!("; CPU {median:.2}, {least:.2}"),
        _ => String::new(),
    };
    let mut rows = vec![
        (
            "model",
            format!(
                "{}, DRAEM {}/{}, {} on {}, {}x{} px, {:.1} MMAC per tile",
                model.origin,
                model.widths[0],
                model.widths[1],
                peak.0,
                model.kernels,
                model.tile.width_px,
                model.tile.height_px,
                model.macs as f64 / 1e6
            ),
        ),
        (
            "load",
            format!(
                "{:.0} ms, first verdict after {:.0} ms{memory}{worker}",
                load.ready_ms, load.first_verdict_ms
            ),
        ),
        (
            "tile",
            format!(
                "median {:.2} ms, least {:.2} ms{cpu} ({} tiles, one thread)",
                tile.median_ms, tile.min_ms, tile.tiles
            ),
        ),
        (
            "speed",
            format!(
                "{:.1} GMAC/s, {:.1} % of this core's {} peak of {:.1}",
                tile.gmacs_per_s,
                100.0 * tile.share_of_peak,
                peak.0,
                peak.1
            ),
        ),
    ];
    for row in &measured.workers {
        rows.push((
            "workers",
            format!(
                "{}: {:.1} tiles/s, x{:.2}",
                row.workers, row.tiles_per_s, row.against_first
            ),
        ));
    }
    for row in &measured.one_tile {
        rows.push((
            "one tile",
            format!(
                "on {}: median {:.2} ms, least {:.2} ms, x{:.2}",
                row.threads, row.median_ms, row.min_ms, row.against_first
            ),
        ));
    }
    let mut text = String::new();
    // Writing into a String cannot fail.
    for (label, value) in rows {
        let _ = writeln!(text, "{label:<8} {value}");
    }
    let _ = writeln!(
        text,
        "\n{:>9} {:>9} {:>9} {:>6}  {:<16} node",
        "median us", "least us", "MMAC", "peak %", "run by"
    );
    for layer in &measured.layers {
        let macs = match layer.node.macs {
            0 => String::new(),
            macs => format!("{:.3}", macs as f64 / 1e6),
        };
        let share = match layer.share_of_peak {
            Some(share) => format!("{:.1}", 100.0 * share),
            None => String::new(),
        };
        let _ = writeln!(
            text,
            "{:>9.1} {:>9.1} {macs:>9} {share:>6}  {:<16} {}",
            layer.median_us, layer.min_us, layer.node.operator, layer.node.name
        );
    }
    text
}
