//! A plan whose every node is ours, as a list of steps over one piece of memory.
//!
//! Where each value lies is settled when the plan is made: a value takes the lowest place that is free
//! from the step that writes it to the last that reads it. A tile then takes no memory, no lock and no
//! look-up. What is not ours alone stays with tract's plan. [`Team`](super::team::Team) runs it.

use super::transform::{Ours, Output, Scratch, Step};
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::Arc;
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

/// The values between the steps, of one worker.
#[derive(Debug)]
pub struct Arena(Box<[UnsafeCell<CacheLine>]>);

// SAFETY: it is only written through `Memory`, whose users promise to keep apart.
unsafe impl Sync for Arena {}

#[derive(Debug)]
#[repr(align(64))]
struct CacheLine(#[expect(dead_code, reason = "read and written by its address")] [u8; ALIGN]);

/// Where everything of one tile is: valid while the tile is computed.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    tile: *const [f32],
    outputs: [*mut f32; OUTPUTS],
    arena: *mut u8,
}

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
        let mut arena = Layout::default();
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

    /// Memory for the values between the steps.
    pub fn arena(&self) -> Arena {
        let line = |_| UnsafeCell::new(CacheLine([0; ALIGN]));
        Arena((0..self.lines).map(line).collect())
    }

    /// Where a run on `tile` finds everything; `outputs` are made as long as they must be.
    pub fn memory(
        &self,
        tile: &[f32],
        outputs: &mut [&mut Vec<f32>; OUTPUTS],
        arena: &Arena,
    ) -> Memory {
        for (output, &length) in outputs.iter_mut().zip(&self.outputs) {
            output.resize(length, 0.0);
        }
        Memory {
            tile,
            outputs: outputs.each_mut().map(|output| output.as_mut_ptr()),
            arena: UnsafeCell::raw_get(arena.0.as_ptr()).cast(),
        }
    }

    /// Number of steps; each reads what those before it have written.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Lines of a step's output, which may be computed apart.
    pub fn lines(&self, step: usize) -> usize {
        self.steps[step].step.lines()
    }

    /// Scratch for any step.
    pub fn scratch(&self) -> Scratch {
        let mut scratch = Scratch::default();
        for planned in &self.steps {
            planned.step.prepare(&mut scratch);
        }
        scratch
    }

    /// Computes lines of a step.
    ///
    /// # Safety
    /// `memory` is this program's and valid, all steps before this one are done, and nobody else computes
    /// these lines or a later step.
    pub unsafe fn compute(
        &self,
        step: usize,
        lines: Range<usize>,
        memory: &Memory,
        scratch: &mut Scratch,
    ) {
        let planned = &self.steps[step];
        let mut inputs: heapless::Vec<&[u8], INPUTS> = heapless::Vec::new();
        for input in &planned.inputs {
            let bytes = match input {
                // SAFETY: valid, as promised.
                Place::Tile => bytes_of_floats(unsafe { &*memory.tile }),
                // SAFETY: within the arena, and no step writes what it reads.
                Place::Arena(range) => unsafe {
                    std::slice::from_raw_parts(memory.arena.add(range.start), range.len())
                },
                // `Program::of` plans no step that reads an output.
                Place::Output(_) => &[],
            };
            // `Program::of` plans no step with more inputs.
            let _ = inputs.push(bytes);
        }
        let (first, bytes) = match &planned.output {
            Place::Output(number) => {
                let bytes = self.outputs[*number] * size_of::<f32>();
                (memory.outputs[*number].cast(), bytes)
            }
            // SAFETY: within the arena.
            Place::Arena(range) => (unsafe { memory.arena.add(range.start) }, range.len()),
            // `Program::of` plans no step that writes the tile.
            Place::Tile => return,
        };
        // SAFETY: valid, as promised, and these lines are nobody else's.
        let output = unsafe { Output::share(first, bytes, lines) };
        planned.step.compute(&inputs, output, scratch);
    }

    /// Outputs that a run gives.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }
}

fn bytes_of_floats(floats: &[f32]) -> &[u8] {
    // SAFETY: a float is four bytes, each a value.
    unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), size_of_val(floats)) }
}

/// Places taken so far, with the steps from which and up to which they are taken.
#[derive(Default)]
struct Layout {
    taken: Vec<(Range<usize>, Range<usize>)>,
    most: usize,
}

impl Layout {
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

#[cfg(test)]
mod tests {
    use super::Layout;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_alive_together_never_overlap(
            values in prop::collection::vec((1usize..5000, 0usize..6), 1..60),
        ) {
            let mut arena = Layout::default();
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
