//! The authors' PyTorch checkpoints: two `state_dict` files, read without executing anything.
//!
//! * **state_dict**: names and arrays of one network, as `torch.save` writes them since PyTorch 1.6: a
//!   zip with a pickle of the names and one plain file per array;
//! * **pickle**: a program for a stack machine. Here it is interpreted with a list of known
//!   constructors; whatever else it wants to call is refused ([`pickle`]).

pub mod pickle;
mod state_dict;

pub use state_dict::read_state_dict;

use crate::export::check_size;
use crate::weights::{Weights, WeightsError};
use blemish::draem::{ConvKey, Graph, Network, NetworkSpec};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Widest network that a bundle may hold.
const MOST_WIDTH: usize = 1024;

/// Why a checkpoint was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{}: {what}", path.display())]
    File { path: PathBuf, what: String },
    #[error(
        "{}: no array '{name}': this is not the {network} network of DRAEM; give the reconstructive \
         file first, then the discriminative one",
        path.display()
    )]
    Network {
        path: PathBuf,
        name: &'static str,
        network: &'static str,
    },
    #[error(
        "{}: its first layer, '{name}', has {width} channels, and networks have 1 to {MOST_WIDTH}",
        path.display()
    )]
    Width {
        path: PathBuf,
        name: &'static str,
        width: usize,
    },
    #[error(
        "{}: {surplus} of its arrays have no place in the {network} network of DRAEM, the first is '{name}': it was made \
         for another architecture, whose outputs the others would not give; import the authors' networks only",
        path.display()
    )]
    Surplus {
        path: PathBuf,
        surplus: usize,
        name: String,
        network: &'static str,
    },
    #[error("{}: {source} (network of width {width}, by its first layer)", path.display())]
    Array {
        path: PathBuf,
        width: usize,
        source: WeightsError,
    },
    #[error("networks of {spec} make no bundle: {what}; import narrower ones")]
    Large { spec: NetworkSpec, what: String },
}

/// What PyTorch counts in a `state_dict` and no network needs.
const COUNTER: &str = "num_batches_tracked";

/// Reads both networks; their widths are those of their first layers. The authors upsample with
/// aligned corners. PyTorch's counters of batches are left out.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_networks(
    reconstructive: &Path,
    discriminative: &Path,
) -> Result<(NetworkSpec, Weights), ImportError> {
    let mut weights = Weights::default();
    let mut width_of = |path: &Path, network: Network, name: &'static str, words: &'static str| {
        let arrays = read_state_dict(path).map_err(|what| ImportError::File {
            path: path.to_owned(),
            what,
        })?;
        let width = arrays.0.get(name).and_then(|array| array.shape.first());
        let width = width.copied().ok_or_else(|| ImportError::Network {
            path: path.to_owned(),
            name,
            network: words,
        })?;
        // What is computed with it takes memory by the width that the file claims.
        if !(1..=MOST_WIDTH).contains(&width) {
            return Err(ImportError::Width {
                path: path.to_owned(),
                name,
                width,
            });
        }
        let prefix = network.prefix();
        let arrays: Vec<_> = (arrays.0.into_iter())
            .filter(|(key, _)| !key.ends_with(COUNTER))
            .map(|(key, array)| (format!("{prefix}.{key}"), array))
            .collect();
        let known = parameter_names();
        let mut surplus = arrays.iter().filter(|(key, _)| !known.contains(key));
        if let Some((first, _)) = surplus.next() {
            return Err(ImportError::Surplus {
                path: path.to_owned(),
                name: first[prefix.len() + 1..].to_owned(),
                surplus: 1 + surplus.count(),
                network: words,
            });
        }
        weights.0.extend(arrays);
        Ok(width)
    };
    let reconstructive_width = width_of(
        reconstructive,
        Network::Reconstructive,
        "encoder.block1.0.weight",
        "reconstructive",
    )?;
    let discriminative_width = width_of(
        discriminative,
        Network::Discriminative,
        "encoder_segment.block1.0.weight",
        "discriminative",
    )?;
    let spec = NetworkSpec::official(reconstructive_width, discriminative_width);
    check_size(spec).map_err(|what| ImportError::Large { spec, what })?;
    let file = |network| match network {
        Network::Reconstructive => (reconstructive, reconstructive_width),
        Network::Discriminative => (discriminative, discriminative_width),
    };
    check_arrays(spec, &weights).map_err(|(network, source)| {
        let (path, width) = file(network);
        ImportError::Array {
            path: path.to_owned(),
            width,
            source,
        }
    })?;
    Ok((spec, weights))
}

/// Whether all arrays that networks of `spec` need are there, before memory is taken for them: a width is but
/// a number in the file.
fn check_arrays(spec: NetworkSpec, weights: &Weights) -> Result<(), (Network, WeightsError)> {
    let graph = Graph::new(spec);
    for (node, key, in_channels) in graph.convolutions() {
        let out = [node.channels];
        let kernel = [node.channels, in_channels, 3, 3];
        for name in names_of(key) {
            let shape: &[usize] = match name == format!("{}.weight", key.conv) {
                true => &kernel,
                false => &out,
            };
            (weights.array(&name, shape)).map_err(|source| (node.network, source))?;
        }
    }
    Ok(())
}

/// Names of all that the two networks learn and count; they are the same at every width.
fn parameter_names() -> HashSet<String> {
    let graph = Graph::new(NetworkSpec::official(1, 1));
    let names = graph.convolutions().flat_map(|(_, key, _)| names_of(key));
    names.collect()
}

/// Names of the arrays of a convolution and of its norm.
fn names_of(key: &ConvKey) -> Vec<String> {
    let convolution = ["weight", "bias"].map(|part| format!("{}.{part}", key.conv));
    let parts = ["weight", "bias", "running_mean", "running_var"];
    let norm = (key.norm.iter()).flat_map(|norm| parts.map(|part| format!("{norm}.{part}")));
    convolution.into_iter().chain(norm).collect()
}
