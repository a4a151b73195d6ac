//! Pickles, interpreted as data only (Python's `pickletools.py`, protocols 2 to 5).
//!
//! Executing a pickle lets its author run any program. This reader knows no callables: a reduction is
//! understood where it is one of the constructors that `torch.save` writes for a `state_dict`, and
//! refused by name otherwise.

use std::ops::Deref;
use std::rc::Rc;

/// A `state_dict`'s pickle is some 100 bytes per array.
pub(super) const MOST_BYTES: usize = 64 << 20;
/// Places left out between two in its memory; whoever takes unused ones out of a pickle leaves a few.
const MOST_GAP: usize = 256;
/// What is written twice in memory though once in the file: elements of lists that are remembered and then grow, sides
/// of arrays, bytes of names put together. An honest file has some ten for every array.
const MOST_COPIED: usize = 1 << 20;
/// Containers within each other. A checkpoint with an optimizer's state has some six; what is nested deeply takes as
/// much of the stack when it is dropped.
const MOST_DEPTH: usize = 64;

/// What a pickle can say here.
#[derive(Debug, Clone)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// What stands beside arrays, such as a loss; its value is of no use here.
    Float(f64),
    Text(Rc<str>),
    /// Tuples, lists and sets.
    Items(Rc<Nest<Value>>),
    /// Pairs in the order written.
    Pairs(Rc<Nest<(Value, Value)>>),
    /// Module and name of something Python would import.
    Global(Rc<str>),
    /// A file of the archive that holds an array's elements.
    Storage(Rc<Storage>),
    Tensor(Rc<Tensor>),
}

/// What a container holds, at most `MOST_DEPTH` containers deep.
#[derive(Debug, Clone)]
pub struct Nest<T> {
    held: Vec<T>,
    depth: usize,
}

impl<T> Default for Nest<T> {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            depth: 1,
        }
    }
}

impl<T> Deref for Nest<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.held
    }
}

impl<T> Nest<T> {
    /// Takes `items` in, of which the deepest has `inner` containers.
    fn extend(&mut self, items: impl IntoIterator<Item = T>, inner: usize) -> Result<(), String> {
        if inner >= MOST_DEPTH {
            return Err("its pickle nests deeper than any state_dict".to_owned());
        }
        self.depth = self.depth.max(inner + 1);
        self.held.extend(items);
        Ok(())
    }
}

/// Containers within each other in the deepest of `values`.
fn deepest(values: &[Value]) -> usize {
    values.iter().map(Value::depth).max().unwrap_or(0)
}

/// Elements in the archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Storage {
    /// Class of the storage, such as `torch.FloatStorage`.
    pub kind: Rc<str>,
    /// Name of the file below `data/`.
    pub key: Rc<str>,
}

/// A view of a storage.
#[derive(Debug, PartialEq, Eq)]
pub struct Tensor {
    pub storage: Rc<Storage>,
    /// All three in elements.
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

impl Value {
    fn tuple(items: Vec<Value>) -> Result<Self, String> {
        let inner = deepest(&items);
        let mut held = Nest::default();
        held.extend(items, inner)?;
        Ok(Value::Items(Rc::new(held)))
    }

    fn depth(&self) -> usize {
        match self {
            Value::Items(items) => items.depth,
            Value::Pairs(pairs) => pairs.depth,
            _ => 0,
        }
    }

    fn items(&self) -> Result<&[Value], String> {
        match self {
            Value::Items(items) => Ok(items),
            other => Err(format!("{} stands where a tuple belongs", other.word())),
        }
    }

    fn size(&self) -> Result<usize, String> {
        match self {
            Value::Int(value) => usize::try_from(*value).map_err(|_| format!("the size {value}")),
            other => Err(format!("{} stands where a size belongs", other.word())),
        }
    }

    fn sizes(&self) -> Result<Vec<usize>, String> {
        self.items()?.iter().map(Value::size).collect()
    }

    fn text(&self) -> Result<&Rc<str>, String> {
        match self {
            Value::Text(text) => Ok(text),
            other => Err(format!("{} stands where a text belongs", other.word())),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Items(_) => "a tuple or list",
            Value::Pairs(_) => "a dictionary",
            Value::Global(_) => "a class",
            Value::Storage(_) => "a storage",
            Value::Tensor(_) => "a tensor",
        }
    }
}

/// Interprets a pickle.
///
/// # Errors
/// A sentence for people: damaged, or more than a `state_dict`.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > MOST_BYTES {
        return Err(format!(
            "its pickle of {} bytes is larger than any state_dict's",
            bytes.len()
        ));
    }
    Machine {
        length: bytes.len(),
        rest: bytes,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        copied: 0,
    }
    .run()
}

struct Machine<'a> {
    /// Bytes of the whole pickle.
    length: usize,
    rest: &'a [u8],
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
    /// Towards `MOST_COPIED`.
    copied: usize,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Value, String> {
        loop {
            let code = self.byte()?;
            match code {
                // PROTO, FRAME: only say how what follows is written.
                0x80 => drop(self.byte()?),
                0x95 => drop(self.bytes(8)?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.stack.push(Value::None),
                0x88 => self.stack.push(Value::Bool(true)),
                0x89 => self.stack.push(Value::Bool(false)),
                b'J' => {
                    let bytes = self.array()?;
                    self.int(i64::from(i32::from_le_bytes(bytes)));
                }
                b'K' => {
                    let value = self.byte()?;
                    self.int(i64::from(value));
                }
                b'M' => {
                    let bytes = self.array()?;
                    self.int(i64::from(u16::from_le_bytes(bytes)));
                }
                0x8a => self.long()?,
                b'G' => {
                    let value = f64::from_be_bytes(self.array()?);
                    self.stack.push(Value::Float(value));
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.array()?) as usize;
                    self.push_text(length)?;
                }
                0x8c => {
                    let length = usize::from(self.byte()?);
                    self.push_text(length)?;
                }
                b'}' => self.stack.push(Value::Pairs(Rc::default())),
                b']' | b')' | 0x8f => self.stack.push(Value::Items(Rc::default())),
                b't' => {
                    let items = self.since_mark()?;
                    self.stack.push(Value::tuple(items)?);
                }
                0x85..=0x87 => {
                    let items = self.last(usize::from(code - 0x84))?;
                    self.stack.push(Value::tuple(items)?);
                }
                b'a' => {
                    let items = self.last(1)?;
                    self.append(items)?;
                }
                b'e' | 0x90 => {
                    let items = self.since_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let items = self.last(2)?;
                    self.set(items)?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set(items)?;
                }
                b'q' => {
                    let index = usize::from(self.byte()?);
                    self.remember(index)?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?) as usize;
                    self.remember(index)?;
                }
                0x94 => self.remember(self.memo.len())?,
                b'h' => {
                    let index = usize::from(self.byte()?);
                    self.recall(index)?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.array()?) as usize;
                    self.recall(index)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.stack
                        .push(Value::Global(format!("{module}.{name}").into()));
                }
                0x93 => {
                    let parts = self.last(2)?;
                    let (module, name) = (parts[0].text()?, parts[1].text()?);
                    self.copies(module.len() + name.len())?;
                    let name = format!("{module}.{name}");
                    self.stack.push(Value::Global(name.into()));
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.stack.push(storage(&id)?);
                }
                b'R' => {
                    let parts = self.last(2)?;
                    let made = reduce(&parts[0], parts[1].items()?)?;
                    if let Value::Tensor(tensor) = &made {
                        self.copies(tensor.shape.len() + tensor.stride.len())?;
                    }
                    self.stack.push(made);
                }
                0x81 => {
                    let parts = self.last(2)?;
                    reduce(&parts[0], parts[1].items()?)?;
                    return Err("its pickle makes an object of a class; save the network's state_dict() alone".to_owned());
                }
                // BUILD gives an OrderedDict its `_metadata`, which says nothing about arrays.
                b'b' => drop(self.pop()?),
                other => {
                    return Err(format!(
                        "its pickle has the operation {other:#04x}, which no state_dict needs"
                    ));
                }
            }
        }
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.bytes(1)?[0])
    }

    fn bytes(&mut self, count: usize) -> Result<&[u8], String> {
        let (bytes, rest) = (self.rest.split_at_checked(count)).ok_or("its pickle ends early")?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.bytes(N)?;
        bytes
            .try_into()
            .map_err(|_| "its pickle ends early".to_owned())
    }

    fn line(&mut self) -> Result<String, String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let line = self.bytes(end.ok_or("its pickle ends early")?)?.to_vec();
        self.byte()?;
        String::from_utf8(line).map_err(|_| "its pickle names no text".to_owned())
    }

    fn int(&mut self, value: i64) {
        self.stack.push(Value::Int(value));
    }

    /// LONG1: little-endian two's complement of any length; ours fit in 64 bits.
    fn long(&mut self) -> Result<(), String> {
        let length = usize::from(self.byte()?);
        let bytes = self.bytes(length)?;
        if length > 8 {
            return Err("its pickle has a number beyond 64 bits".to_owned());
        }
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
            0xff
        } else {
            0
        };
        let mut wide = [sign; 8];
        wide[..length].copy_from_slice(bytes);
        self.int(i64::from_le_bytes(wide));
        Ok(())
    }

    fn push_text(&mut self, length: usize) -> Result<(), String> {
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|error| error.to_string())?;
        let text = Value::Text(text.into());
        self.stack.push(text);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack
            .pop()
            .ok_or_else(|| "its pickle takes from an empty stack".to_owned())
    }

    fn last(&mut self, count: usize) -> Result<Vec<Value>, String> {
        let from = self.stack.len().checked_sub(count);
        Ok(self
            .stack
            .split_off(from.ok_or("its pickle takes from an empty stack")?))
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("its pickle has no mark")?))
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), String> {
        let inner = deepest(&items);
        let Some(Value::Items(held)) = self.stack.last_mut() else {
            return Err("its pickle appends to no list".to_owned());
        };
        let copied = shared(held);
        Rc::make_mut(held).extend(items, inner)?;
        self.copies(copied)
    }

    fn set(&mut self, items: Vec<Value>) -> Result<(), String> {
        let Some(Value::Pairs(held)) = self.stack.last_mut() else {
            return Err("its pickle fills no dictionary".to_owned());
        };
        let inner = deepest(&items);
        let mut items = items.into_iter();
        let pairs = std::iter::from_fn(|| Some((items.next()?, items.next()?)));
        let copied = shared(held);
        Rc::make_mut(held).extend(pairs, inner)?;
        self.copies(copied)
    }

    /// Counts `more` towards what may be copied.
    fn copies(&mut self, more: usize) -> Result<(), String> {
        self.copied = self.copied.saturating_add(more);
        match self.copied > MOST_COPIED {
            false => Ok(()),
            true => Err("its pickle repeats itself more than any state_dict".to_owned()),
        }
    }

    fn remember(&mut self, index: usize) -> Result<(), String> {
        let value = self
            .stack
            .last()
            .ok_or("its pickle takes from an empty stack")?;
        // Places are numbered as they are written: an honest file leaves hardly a gap, and spends a byte at least on
        // each of them.
        let read = self.length - self.rest.len();
        if index > self.memo.len() + MOST_GAP || index >= read {
            return Err("its pickle numbers its memory wildly".to_owned());
        }
        if index >= self.memo.len() {
            self.memo.resize(index + 1, None);
        }
        self.memo[index] = Some(value.clone());
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<(), String> {
        let value = self.memo.get(index).cloned().flatten();
        self.stack
            .push(value.ok_or("its pickle recalls what it never stored")?);
        Ok(())
    }
}

/// Elements that are copied where `held` grows: all, where the memory holds it as well.
fn shared<T>(held: &Rc<Nest<T>>) -> usize {
    match Rc::strong_count(held) {
        1 => 0,
        _ => held.len(),
    }
}

/// `("storage", class, key, device, elements)`.
fn storage(id: &Value) -> Result<Value, String> {
    match id.items()? {
        [tag, Value::Global(kind), key, ..] if &**tag.text()? == "storage" => {
            Ok(Value::Storage(Rc::new(Storage {
                kind: Rc::clone(kind),
                key: Rc::clone(key.text()?),
            })))
        }
        _ => Err("its pickle refers to something that is no storage".to_owned()),
    }
}

/// What calling `callable` gives, where it is known.
fn reduce(callable: &Value, arguments: &[Value]) -> Result<Value, String> {
    let Value::Global(name) = callable else {
        return Err(format!("its pickle calls {}", callable.word()));
    };
    match (&**name, arguments) {
        ("collections.OrderedDict", []) => Ok(Value::Pairs(Rc::default())),
        (
            "torch._utils._rebuild_tensor_v2",
            [Value::Storage(storage), offset, shape, stride, ..],
        ) => Ok(Value::Tensor(Rc::new(Tensor {
            storage: Rc::clone(storage),
            offset: offset.size()?,
            shape: shape.sizes()?,
            stride: stride.sizes()?,
        }))),
        ("torch._utils._rebuild_parameter", [tensor @ Value::Tensor(_), ..]) => Ok(tensor.clone()),
        _ => Err(format!(
            "its pickle calls '{name}', which is not run here; save the network's state_dict() alone"
        )),
    }
}

#[cfg(test)]
mod tests;
