//! Where every node's gradient lives. The parts of a concatenation lie next to each other, so that taking
//! it apart costs nothing where channels come in whole blocks.

use blemish::draem::{Graph, NodeId, Op};
use blemish::engine::kernels::float::BLOCK;
use blemish::engine::kernels::float::Slot;

/// Buffers and places for one batch size and picture size.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Buffer and first block of every node's gradient.
    pub places: Vec<(usize, Slot)>,
    /// Shapes of the buffers, without values.
    pub shapes: Vec<(usize, usize, usize)>,
    /// Concatenations that copy because their parts do not come in whole blocks.
    pub copies: Vec<bool>,
    /// The first node that writes into a buffer; behind it, the buffer's gradient is used up.
    pub first_writer: Vec<NodeId>,
    /// Whether a node's gradient is needed: all but the picture's.
    pub needs_gradient: Vec<bool>,
}

impl Plan {
    /// Plans `graph` for pictures of `height x width`.
    pub fn new(graph: &Graph, height: usize, width: usize) -> Self {
        let nodes = &graph.nodes;
        let mut places = vec![None; nodes.len()];
        let mut shapes = Vec::new();
        let mut copies = vec![false; nodes.len()];
        let mut needs_gradient = vec![true; nodes.len()];
        let sides = |shrink: u32| (height >> shrink, width >> shrink);
        for (id, node) in nodes.iter().enumerate() {
            needs_gradient[id] = node.op != Op::Image;
            if node.op != Op::Concat {
                continue;
            }
            let whole = node.inputs.iter().all(|&input| {
                let part = &nodes[input];
                part.channels.is_multiple_of(BLOCK)
                    && places[input].is_none()
                    && matches!(&part.op, Op::Conv { key, .. } if key.norm.is_some())
            });
            let (height, width) = sides(node.shrink_log2);
            shapes.push((node.channels.div_ceil(BLOCK), height, width));
            let buffer = shapes.len() - 1;
            places[id] = Some((buffer, Slot { first_block: 0 }));
            copies[id] = !whole;
            if whole {
                let mut first_block = 0;
                for &input in &node.inputs {
                    places[input] = Some((buffer, Slot { first_block }));
                    first_block += nodes[input].channels / BLOCK;
                }
            }
        }
        for (id, node) in nodes.iter().enumerate() {
            if places[id].is_none() {
                let (height, width) = sides(node.shrink_log2);
                shapes.push((node.channels.div_ceil(BLOCK), height, width));
                places[id] = Some((shapes.len() - 1, Slot { first_block: 0 }));
            }
        }
        let places: Vec<(usize, Slot)> = places.into_iter().flatten().collect();
        let mut first_writer = vec![usize::MAX; shapes.len()];
        for (id, (buffer, _)) in places.iter().enumerate() {
            first_writer[*buffer] = first_writer[*buffer].min(id);
        }
        Plan {
            places,
            shapes,
            copies,
            first_writer,
            needs_gradient,
        }
    }
}
