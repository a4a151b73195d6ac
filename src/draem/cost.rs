//! What a network costs before anything is trained.

use super::{Graph, Network, NetworkSpec};
use crate::geometry::TileSize;

/// Parameters and multiply-accumulates of one forward pass over one tile, convolutions only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Learnable parameters, batch norm's scale and shift included.
    pub reconstructive_parameters: u64,
    pub discriminative_parameters: u64,
    /// Multiply-accumulates.
    pub reconstructive_macs: u64,
    pub discriminative_macs: u64,
}

impl Cost {
    /// Cost of `spec` on one tile.
    pub fn of(spec: NetworkSpec, tile: TileSize) -> Self {
        let mut cost = Cost::default();
        for (node, key, in_channels) in Graph::new(spec).convolutions() {
            let (input, output) = (in_channels as u64, node.channels as u64);
            let norm = if key.norm.is_some() { 2 * output } else { 0 };
            let parameters = 9 * input * output + output + norm;
            let pixels = (tile.area() as u64) >> (2 * node.shrink_log2);
            let macs = 9 * input * output * pixels;
            match node.network {
                Network::Reconstructive => {
                    cost.reconstructive_parameters += parameters;
                    cost.reconstructive_macs += macs;
                }
                Network::Discriminative => {
                    cost.discriminative_parameters += parameters;
                    cost.discriminative_macs += macs;
                }
            }
        }
        cost
    }

    /// Learnable parameters of both networks.
    pub fn parameters(&self) -> u64 {
        self.reconstructive_parameters + self.discriminative_parameters
    }

    /// Multiply-accumulates of both networks.
    pub fn macs(&self) -> u64 {
        self.reconstructive_macs + self.discriminative_macs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters computed from the authors' modules by PyTorch.
    #[test]
    fn parameters_and_macs_equal_the_authors() {
        let table = [
            (128, 64, 69_048_579, 28_374_146, 197.95),
            (64, 32, 17_271_939, 7_099_970, 49.68),
            (16, 16, 1_083_171, 1_778_210, 4.98),
            (16, 8, 1_083_171, 446_162, 3.18),
            (8, 8, 272_019, 446_162, 1.28),
        ];
        for (reconstructive, discriminative, first, second, gmac) in table {
            let spec = NetworkSpec::official(reconstructive, discriminative);
            let cost = Cost::of(spec, TileSize::square(256));
            assert_eq!(cost.reconstructive_parameters, first);
            assert_eq!(cost.discriminative_parameters, second);
            assert!((cost.macs() as f64 / 1e9 - gmac).abs() < 0.006, "{cost:?}");
        }
    }
}
