//! The one list of layers that drives training, ONNX export, cost and parity tests.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a bilinear x2 upsampling takes its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// First and last pixels of both sizes coincide: what the authors trained with.
    #[default]
    AlignCorners,
    /// Pixel areas coincide; the filter is the same everywhere, so integer kernels like it.
    HalfPixel,
}

/// Poolings of the authors' reconstructive network.
pub const OFFICIAL_POOLINGS: usize = 4;

/// What has to be known to build both networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Channels of the reconstructive network's first block; 128 in the paper.
    pub reconstructive_width: usize,
    /// Channels of the discriminative network's first block; 64 in the paper.
    pub discriminative_width: usize,
    /// Upsampling in both decoders.
    #[serde(default)]
    pub upsampling: Upsampling,
    /// How often the reconstructive network halves a picture before it repaints it: 1 to 4, 4 in the paper.
    ///
    /// Upsampled bilinearly, equal codes give equal pixels, so a texture must survive the poolings to be
    /// repainted: a weave with a period of 7 px is never learnt with 4, and in 200 steps with 2
    /// (`docs/design/network.md`).
    #[serde(
        default = "official_poolings",
        skip_serializing_if = "is_official_poolings"
    )]
    pub reconstructive_poolings: usize,
}

fn official_poolings() -> usize {
    OFFICIAL_POOLINGS
}

fn is_official_poolings(poolings: &usize) -> bool {
    *poolings == OFFICIAL_POOLINGS
}

impl NetworkSpec {
    /// The authors' layers at these widths.
    pub const fn official(reconstructive_width: usize, discriminative_width: usize) -> Self {
        Self {
            reconstructive_width,
            discriminative_width,
            upsampling: Upsampling::AlignCorners,
            reconstructive_poolings: OFFICIAL_POOLINGS,
        }
    }
}

/// `16/8`, and the poolings where they are not the authors'.
impl fmt::Display for NetworkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rec, seg) = (self.reconstructive_width, self.discriminative_width);
        write!(f, "{rec}/{seg}")?;
        match self.reconstructive_poolings {
            OFFICIAL_POOLINGS => Ok(()),
            1 => f.write_str(", 1 pooling"),
            poolings => write!(f, ", {poolings} poolings"),
        }
    }
}

/// Which of the two networks a layer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    Reconstructive,
    Discriminative,
}

impl Network {
    /// Prefix of this network's parameter names.
    pub const fn prefix(self) -> &'static str {
        match self {
            Network::Reconstructive => "rec",
            Network::Discriminative => "seg",
        }
    }
}

/// Names of a convolution's parameters as in the authors' checkpoints, with the network in front:
/// `rec.encoder.block1.0` holds `.weight` and `.bias`, its norm `rec.encoder.block1.1` holds
/// `.weight`, `.bias`, `.running_mean` and `.running_var`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvKey {
    pub conv: String,
    /// Absent for the two output convolutions, which are linear.
    pub norm: Option<String>,
}

/// Position of a node in [`Graph::nodes`]; inputs always come before their users.
pub type NodeId = usize;

/// What a node computes. All tensors are `N x C x H x W`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// The picture, three channels in [0, 1].
    Image,
    /// 3x3, stride 1, zero padding 1, with bias; then batch norm (eps 1e-5, momentum 0.1) and ReLU
    /// where `key.norm` is present, nothing where it is not.
    Conv { in_channels: usize, key: ConvKey },
    /// 2x2, stride 2.
    MaxPool,
    /// Bilinear, x2.
    Upsample,
    /// Channels of the inputs one after the other.
    Concat,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub network: Network,
    /// Unique name, usable as ONNX tensor name.
    pub name: String,
    pub op: Op,
    pub inputs: Vec<NodeId>,
    /// Channels of the output.
    pub channels: usize,
    /// The output's sides are the tile's sides divided by `1 << shrink_log2`.
    pub shrink_log2: u32,
}

/// Both networks as one list in order of computation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    pub spec: NetworkSpec,
    pub nodes: Vec<Node>,
    /// The reconstructive network's output, 3 channels, not clamped.
    pub reconstruction: NodeId,
    /// The discriminative network's output, channel 0 normal, channel 1 anomaly, before softmax.
    pub logits: NodeId,
}

impl Graph {
    /// The layers of DRAEM, as in the authors' `model_unet.py`.
    pub fn new(spec: NetworkSpec) -> Self {
        let mut build = Builder { nodes: Vec::new() };
        let image = build.push(Network::Reconstructive, "image", Op::Image, vec![], 3, 0);
        let reconstruction = build.reconstructive(
            image,
            spec.reconstructive_width,
            spec.reconstructive_poolings,
        );
        let logits = build.discriminative(reconstruction, image, spec.discriminative_width);
        Graph {
            spec,
            nodes: build.nodes,
            reconstruction,
            logits,
        }
    }

    /// All convolutions with the channels they read and write, in order.
    pub fn convolutions(&self) -> impl Iterator<Item = (&Node, &ConvKey, usize)> {
        self.nodes.iter().filter_map(|node| match &node.op {
            Op::Conv { in_channels, key } => Some((node, key, *in_channels)),
            _ => None,
        })
    }
}

struct Builder {
    nodes: Vec<Node>,
}

impl Builder {
    fn push(
        &mut self,
        network: Network,
        name: &str,
        op: Op,
        inputs: Vec<NodeId>,
        channels: usize,
        shrink_log2: u32,
    ) -> NodeId {
        self.nodes.push(Node {
            network,
            name: name.to_owned(),
            op,
            inputs,
            channels,
            shrink_log2,
        });
        self.nodes.len() - 1
    }

    /// `part` is the authors' module, `first` its position of the convolution in the sequence.
    fn conv(
        &mut self,
        network: Network,
        part: &str,
        first: usize,
        input: NodeId,
        channels: usize,
    ) -> NodeId {
        let stem = format!("{}.{part}", network.prefix());
        let conv = format!("{stem}.{first}");
        let norm = (!part.ends_with("fin_out")).then(|| format!("{stem}.{}", first + 1));
        let (in_channels, shrink) = {
            let node = &self.nodes[input];
            (node.channels, node.shrink_log2)
        };
        let op = Op::Conv {
            in_channels,
            key: ConvKey {
                conv: conv.clone(),
                norm,
            },
        };
        self.push(network, &conv, op, vec![input], channels, shrink)
    }

    /// Two convolutions, as in every block of the authors.
    fn block(
        &mut self,
        network: Network,
        part: &str,
        input: NodeId,
        channels: [usize; 2],
    ) -> NodeId {
        let middle = self.conv(network, part, 0, input, channels[0]);
        self.conv(network, part, 3, middle, channels[1])
    }

    fn pool(&mut self, network: Network, input: NodeId) -> NodeId {
        let node = &self.nodes[input];
        let (name, channels, shrink) = (
            format!("{}.pool", node.name),
            node.channels,
            node.shrink_log2,
        );
        self.push(
            network,
            &name,
            Op::MaxPool,
            vec![input],
            channels,
            shrink + 1,
        )
    }

    /// Upsampling and the convolution behind it.
    fn up(&mut self, network: Network, part: &str, input: NodeId, channels: usize) -> NodeId {
        let (in_channels, shrink) = {
            let node = &self.nodes[input];
            (node.channels, node.shrink_log2)
        };
        let name = format!("{}.{part}.0", network.prefix());
        let grown = self.push(
            network,
            &name,
            Op::Upsample,
            vec![input],
            in_channels,
            shrink - 1,
        );
        self.conv(network, part, 1, grown, channels)
    }

    fn concat(&mut self, network: Network, name: &str, parts: [NodeId; 2]) -> NodeId {
        let channels = parts.iter().map(|&part| self.nodes[part].channels).sum();
        let shrink = self.nodes[parts[0]].shrink_log2;
        self.push(network, name, Op::Concat, parts.to_vec(), channels, shrink)
    }

    /// With fewer than four poolings, the innermost blocks of the authors' are left out; the others keep
    /// their names, so `decoder.db4` is at the picture's own sides always.
    fn reconstructive(&mut self, image: NodeId, w: usize, poolings: usize) -> NodeId {
        let net = Network::Reconstructive;
        let mut x = self.block(net, "encoder.block1", image, [w, w]);
        let inner = [(2, 2 * w), (3, 4 * w), (4, 8 * w), (5, 8 * w)];
        for (number, channels) in inner.into_iter().take(poolings) {
            x = self.pool(net, x);
            x = self.block(net, &format!("encoder.block{number}"), x, [channels; 2]);
        }
        let outer = [
            (1, 8 * w, 4 * w),
            (2, 4 * w, 2 * w),
            (3, 2 * w, w),
            (4, w, w),
        ];
        let left_out = outer.len().saturating_sub(poolings);
        for (number, wide, narrow) in outer.into_iter().skip(left_out) {
            x = self.up(net, &format!("decoder.up{number}"), x, wide);
            x = self.block(net, &format!("decoder.db{number}"), x, [wide, narrow]);
        }
        self.conv(net, "decoder.fin_out", 0, x, 3)
    }

    fn discriminative(&mut self, reconstruction: NodeId, image: NodeId, w: usize) -> NodeId {
        let net = Network::Discriminative;
        let seen = self.concat(net, "seg.input", [reconstruction, image]);
        let mut x = self.block(net, "encoder_segment.block1", seen, [w, w]);
        let mut skips = vec![x];
        for (number, channels) in [(2, 2 * w), (3, 4 * w), (4, 8 * w), (5, 8 * w), (6, 8 * w)] {
            x = self.pool(net, x);
            x = self.block(
                net,
                &format!("encoder_segment.block{number}"),
                x,
                [channels; 2],
            );
            skips.push(x);
        }
        skips.pop();
        for (number, channels) in [
            ("_b", 8 * w),
            ("1", 4 * w),
            ("2", 2 * w),
            ("3", w),
            ("4", w),
        ] {
            x = self.up(net, &format!("decoder_segment.up{number}"), x, channels);
            if let Some(skip) = skips.pop() {
                x = self.concat(net, &format!("seg.cat{number}"), [x, skip]);
            }
            x = self.block(
                net,
                &format!("decoder_segment.db{number}"),
                x,
                [channels; 2],
            );
        }
        self.conv(net, "decoder_segment.fin_out", 0, x, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_poolings(reconstructive_poolings: usize) -> NetworkSpec {
        NetworkSpec {
            reconstructive_poolings,
            ..NetworkSpec::official(16, 8)
        }
    }

    #[test]
    fn fewer_poolings_leave_out_the_innermost_blocks_and_keep_names_and_sides() {
        for poolings in 1..=OFFICIAL_POOLINGS {
            let graph = Graph::new(with_poolings(poolings));
            let keys: Vec<&str> = (graph.convolutions())
                .filter(|(node, _, _)| node.network == Network::Reconstructive)
                .map(|(_, key, _)| key.conv.as_str())
                .collect();
            assert_eq!(keys.len(), 2 * (poolings + 1) + 3 * poolings + 1);
            assert_eq!(keys[keys.len() - 4..][0], "rec.decoder.up4.1");
            let out = &graph.nodes[graph.reconstruction];
            assert_eq!((out.channels, out.shrink_log2), (3, 0));
            let deepest = graph
                .nodes
                .iter()
                .filter(|n| n.network == Network::Reconstructive);
            let deepest = deepest.map(|node| node.shrink_log2).max();
            assert_eq!(deepest, Some(poolings as u32));
            for node in &graph.nodes {
                let Op::Conv { in_channels, .. } = node.op else {
                    continue;
                };
                assert_eq!(
                    graph.nodes[node.inputs[0]].channels, in_channels,
                    "{}",
                    node.name
                );
            }
        }
    }

    #[test]
    fn the_authors_networks_are_written_as_before_and_others_named() {
        let official = serde_json::to_string(&with_poolings(OFFICIAL_POOLINGS)).unwrap();
        assert!(!official.contains("poolings"), "{official}");
        assert_eq!(with_poolings(4).to_string(), "16/8");
        assert_eq!(with_poolings(2).to_string(), "16/8, 2 poolings");
        let shallow = serde_json::to_string(&with_poolings(2)).unwrap();
        let read: NetworkSpec = serde_json::from_str(&shallow).unwrap();
        assert_eq!(read, with_poolings(2));
    }
}
