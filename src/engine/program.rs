//! A plan whose every node is ours, as a list of steps over one piece of memory.
//!
//! Where each value lies is settled when the plan is made: a value takes the lowest place that is free
//! from the step that writes it to the last that reads it. A tile then takes no memory, no lock and no
//! look-up. What is not ours alone stays with tract's plan.

use super::transform::{Ours, Scratch, Step};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tract_core::internal::*;
use tract_core::ops::konst::Const;
use tract_core::ops::source::TypedSource;

/// Values begin on lines of the cache.
const ALIGN: usize = 64;
/// Map and reconstruction.
pub const OUTPUTS: usize = 2;
/// Most values that a step reads.
const INPUTS: usize = 4;

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The tile that is inspected.
    Tile,
    /// The output of this number, written where the caller wants it.
    Output(usize),
    /// Bytes of the arena.
    Arena(Range<usize>),
}

#[derive(Debug)]
struct Planned {
    step: Arc<dyn Step>,
    inputs: Vec<Place>,
    output: Place,
}

/// The steps of a plan and the memory that they need; shared by all workers.
#[derive(Debug)]
pub struct Program {
    steps: Vec<Planned>,
    /// Cache lines of the arena.
    lines: usize,
    /// Floats of each output.
    outputs: Vec<usize>,
}

/// What a worker on a program owns.
#[derive(Debug, Default)]
pub struct Workspace {
    arena: Vec<CacheLine>,
    scratch: Scratch,
}

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct CacheLine(#[allow(dead_code)] [u8; ALIGN]);

impl Program {
    /// The program of `model`, whose nodes are computed in `order`; `None` where tract must run it.
    pub fn of(model: &TypedModel, order: &[usize]) -> TractResult<Option<Self>> {
        let [source] = model.input_outlets()? else {
            return Ok(None);
        };
        let outlets = model.output_outlets()?;
        if outlets.len() > OUTPUTS {
            return Ok(None);
        }
        let mut steps: Vec<(usize, Arc<dyn Step>)> = Vec::new();
        for &id in order {
            let node = model.node(id);
            if let Some(ours) = node.op_as::<Ours>() {
                steps.push((id, ours.0.clone()));
            } else if !node.op_is::<TypedSource>() && !node.op_is::<Const>() {
                return Ok(None);
            }
        }
        let output_of = |id: usize| outlets.iter().position(|outlet| outlet.node == id);
        let mut outputs = vec![0; outlets.len()];
        let mut arena = Arena::default();
        let mut places: HashMap<usize, Place> = HashMap::new();
        places.insert(source.node, Place::Tile);
        let mut planned = Vec::new();
        for (at, (id, step)) in steps.iter().enumerate() {
            let reads = |id: &usize| model.node(*id).inputs.iter().map(|input| input.node);
            let last_use = |value: usize| {
                let readers = steps.iter().enumerate().skip(at + 1);
                let mut readers =
                    readers.filter(|(_, (id, _))| reads(id).any(|read| read == value));
                readers.next_back().map(|(at, _)| at)
            };
            let bytes = step.format().bytes();
            let output = match (output_of(*id), last_use(*id)) {
                (Some(number), None) => {
                    outputs[number] = bytes / size_of::<f32>();
                    Place::Output(number)
                }
                // Written to the caller and read again: not worth a case of its own.
                (Some(_), Some(_)) => return Ok(None),
                (None, until) => Place::Arena(arena.take(bytes, at, until.unwrap_or(at))),
            };
            let inputs: Option<Vec<Place>> =
                reads(id).map(|value| places.get(&value).cloned()).collect();
            let Some(inputs) = inputs.filter(|inputs| inputs.len() <= INPUTS) else {
                return Ok(None);
            };
            places.insert(*id, output.clone());
            planned.push(Planned {
                step: step.clone(),
                inputs,
                output,
            });
        }
        if outputs.contains(&0) {
            return Ok(None);
        }
        Ok(Some(Program {
            steps: planned,
            lines: arena.most.div_ceil(ALIGN),
            outputs,
        }))
    }

    /// Bytes that each worker needs beside the weights, which all share.
    pub fn workspace_bytes(&self) -> usize {
        self.lines * ALIGN
    }

    /// Runs all steps on `tile`; `outputs` are made as long as they must be. Tells the time of every step.
    pub fn run(
        &self,
        tile: &[f32],
        outputs: &mut [&mut Vec<f32>; OUTPUTS],
        workspace: &mut Workspace,
        mut seen: Option<&mut dyn FnMut(Duration)>,
    ) {
        for (output, &length) in outputs.iter_mut().zip(&self.outputs) {
            output.resize(length, 0.0);
        }
        let Workspace { arena, scratch } = workspace;
        arena.resize(self.lines, CacheLine([0; ALIGN]));
        let arena = bytes_of_lines(arena);
        for planned in &self.steps {
            let start = seen.is_some().then(Instant::now);
            planned.run(tile, outputs, arena, scratch);
            if let (Some(seen), Some(start)) = (&mut seen, start) {
                seen(start.elapsed());
            }
        }
    }

    /// Outputs that a run gives.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }
}

impl Planned {
    fn run(
        &self,
        tile: &[f32],
        outputs: &mut [&mut Vec<f32>],
        arena: &mut [u8],
        scratch: &mut Scratch,
    ) {
        let mut inputs: heapless::Vec<&[u8], INPUTS> = heapless::Vec::new();
        let written = match &self.output {
            Place::Arena(range) => range.clone(),
            Place::Tile | Place::Output(_) => arena.len()..arena.len(),
        };
        let (below, rest) = arena.split_at_mut(written.start);
        let (target, above) = rest.split_at_mut(written.len());
        for input in &self.inputs {
            let bytes = match input {
                Place::Tile => bytes_of_floats(tile),
                Place::Arena(range) if range.end <= written.start => &below[range.clone()],
                Place::Arena(range) => &above[range.start - written.end..range.end - written.end],
                // `Program::of` plans no step that reads an output.
                Place::Output(_) => &[],
            };
            // `Program::of` plans no step with more inputs.
            let _ = inputs.push(bytes);
        }
        let target = match self.output {
            Place::Output(number) => bytes_of_floats_mut(outputs[number]),
            Place::Tile | Place::Arena(_) => target,
        };
        self.step.compute(&inputs, target, scratch);
    }
}

/// Places taken so far, with the steps from which and up to which they are taken.
#[derive(Default)]
struct Arena {
    taken: Vec<(Range<usize>, Range<usize>)>,
    most: usize,
}

impl Arena {
    /// The lowest free place for a value that is alive from step `from` to step `until`.
    fn take(&mut self, bytes: usize, from: usize, until: usize) -> Range<usize> {
        let alive = from..until + 1;
        let mut near: Vec<&Range<usize>> = self
            .taken
            .iter()
            .filter(|(_, other)| other.start < alive.end && alive.start < other.end)
            .map(|(place, _)| place)
            .collect();
        near.sort_unstable_by_key(|place| place.start);
        let mut start = 0;
        for place in near {
            if start + bytes <= place.start {
                break;
            }
            start = start.max(place.end.next_multiple_of(ALIGN));
        }
        let place = start..start + bytes;
        self.most = self.most.max(place.end);
        self.taken.push((place.clone(), alive));
        place
    }
}

fn bytes_of_lines(lines: &mut [CacheLine]) -> &mut [u8] {
    // SAFETY: a line is its bytes, and every byte is a value.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
}

fn bytes_of_floats(floats: &[f32]) -> &[u8] {
    // SAFETY: a float is four bytes, each a value.
    unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), size_of_val(floats)) }
}

fn bytes_of_floats_mut(floats: &mut [f32]) -> &mut [u8] {
    // SAFETY: a float is four bytes, and any four are a float.
    unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), size_of_val(floats)) }
}

#[cfg(test)]
mod tests {
    use super::Arena;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_alive_together_never_overlap(
            values in prop::collection::vec((1usize..5000, 0usize..6), 1..60),
        ) {
            let mut arena = Arena::default();
            for (step, &(bytes, steps)) in values.iter().enumerate() {
                let place = arena.take(bytes, step, step + steps);
                prop_assert_eq!(place.len(), bytes);
                prop_assert_eq!(place.start % super::ALIGN, 0);
                prop_assert!(place.end <= arena.most);
            }
            for (index, (place, alive)) in arena.taken.iter().enumerate() {
                for (other, others) in &arena.taken[..index] {
                    let together = alive.start < others.end && others.start < alive.end;
                    let apart = place.end <= other.start || other.end <= place.start;
                    prop_assert!(apart || !together);
                }
            }
            let all: usize = values.iter().map(|(bytes, _)| bytes + super::ALIGN).sum();
            prop_assert!(arena.most <= all);
        }
    }
}
