//! The archive around a `state_dict`'s pickle.

use super::pickle::{self, Tensor, Value};
use crate::weights::{Array, Weights};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use std::rc::Rc;
use zip::ZipArchive;

/// Elements of all arrays together; DRAEM 128 has 69 million, and more than these are no bundle that is read.
const MOST_ELEMENTS: usize = 1 << 28;

/// Reads every floating-point array of a `state_dict` file. Counters of other types are left out; a
/// dictionary under `state_dict` or `model` is looked into, and the prefix `module.` of parallel
/// training is taken off.
///
/// # Errors
/// A sentence for people.
pub fn read_state_dict(path: &Path) -> Result<Weights, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| {
        format!(
            "no checkpoint of PyTorch 1.6 or newer ({error}); load an older one with PyTorch and save it again"
        )
    })?;
    let mut names = archive.file_names();
    let root = names
        .find_map(|name| name.strip_suffix("data.pkl").map(str::to_owned))
        .ok_or("a zip without data.pkl, so not written by torch.save")?;
    drop(names);
    if let Ok(order) = member(&mut archive, &format!("{root}byteorder"), 16)
        && order != b"little"
    {
        return Err("its arrays are big-endian; save it on an ordinary machine".to_owned());
    }
    let program = member(
        &mut archive,
        &format!("{root}data.pkl"),
        pickle::MOST_BYTES as u64 + 1,
    )?;
    let arrays = arrays_of(pickle::read(&program)?)?;
    let mut files = BTreeMap::new();
    let mut weights = Weights::default();
    let (mut room_bytes, mut room) = (8 * MOST_ELEMENTS as u64, MOST_ELEMENTS);
    for (name, tensor) in arrays {
        let Some(decode) = decoder(&tensor.storage.kind) else {
            continue;
        };
        let key = &tensor.storage.key;
        if !files.contains_key(key) {
            let bytes = member(&mut archive, &format!("{root}data/{key}"), room_bytes)?;
            room_bytes -= bytes.len() as u64;
            files.insert(Rc::clone(key), decode(&bytes));
        }
        let values =
            gather(&tensor, &files[key], room).map_err(|what| format!("array '{name}' {what}"))?;
        room -= values.len();
        let shape = tensor.shape.clone();
        let name = name.strip_prefix("module.").unwrap_or(&name).to_owned();
        weights.0.insert(name, Array { shape, values });
    }
    Ok(weights)
}

fn member(
    archive: &mut ZipArchive<impl Read + Seek>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, String> {
    let file = archive
        .by_name(name)
        .map_err(|error| format!("'{name}' in it cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    (file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| format!("'{name}' in it: {error}"))?;
    Ok(bytes)
}

/// Arrays by their names in the file.
type Named = Vec<(Rc<str>, Rc<Tensor>)>;

fn arrays_of(value: Value) -> Result<Named, String> {
    let Value::Pairs(pairs) = value else {
        return Err("no dictionary, so no state_dict; save the network's state_dict()".to_owned());
    };
    let mut arrays = Vec::new();
    for (key, value) in pairs.iter() {
        match (key, value) {
            (Value::Text(key), Value::Tensor(tensor)) => {
                arrays.push((Rc::clone(key), Rc::clone(tensor)));
            }
            (Value::Text(key), inner @ Value::Pairs(_))
                if matches!(&**key, "state_dict" | "model") =>
            {
                return arrays_of(inner.clone());
            }
            _ => {}
        }
    }
    match arrays.is_empty() {
        true => Err("a dictionary without arrays, so no state_dict".to_owned()),
        false => Ok(arrays),
    }
}

type Decode = fn(&[u8]) -> Vec<f32>;

/// How elements of this storage become floats; `None` for counters.
fn decoder(kind: &str) -> Option<Decode> {
    match kind {
        "torch.FloatStorage" => Some(|bytes| {
            let elements = bytes.as_chunks::<4>().0.iter();
            elements
                .map(|&element| f32::from_le_bytes(element))
                .collect()
        }),
        "torch.DoubleStorage" => Some(|bytes| {
            let elements = bytes.as_chunks::<8>().0.iter();
            elements
                .map(|&element| f64::from_le_bytes(element) as f32)
                .collect()
        }),
        "torch.HalfStorage" => Some(|bytes| {
            let elements = bytes.as_chunks::<2>().0.iter();
            elements
                .map(|&element| half(u16::from_le_bytes(element)))
                .collect()
        }),
        // The upper half of a float.
        "torch.BFloat16Storage" => Some(|bytes| {
            let elements = bytes.as_chunks::<2>().0.iter();
            let wide = |&element: &[u8; 2]| u32::from(u16::from_le_bytes(element)) << 16;
            elements
                .map(|element| f32::from_bits(wide(element)))
                .collect()
        }),
        _ => None,
    }
}

/// A float of 16 bits, IEEE 754's binary16.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match exponent {
        // Below the least normal number steps are 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 * (1.0 / (1 << 24) as f32)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13),
    }
}

/// The view's elements in row-major order, at most `room`.
fn gather(tensor: &Tensor, storage: &[f32], room: usize) -> Result<Vec<f32>, String> {
    if tensor.stride.len() != tensor.shape.len() {
        return Err("has a shape and strides of different lengths".to_owned());
    }
    let mut sides = tensor.shape.iter().zip(&tensor.stride);
    if sides.any(|(&side, &stride)| side > 1 && stride == 0) {
        return Err(
            "repeats one element along a side, as none of DRAEM's does; save it made contiguous"
                .to_owned(),
        );
    }
    let count = (tensor.shape.iter()).try_fold(1usize, |count, &side| count.checked_mul(side));
    let count = count.filter(|&count| count <= room).ok_or_else(|| {
        format!(
            "is larger than any of DRAEM's, or all together have more than {MOST_ELEMENTS} elements"
        )
    })?;
    let mut values = Vec::with_capacity(count);
    for place in 0..count {
        let (mut rest, mut from) = (place, Some(tensor.offset));
        for (side, stride) in tensor.shape.iter().zip(&tensor.stride).rev() {
            let step = (rest % side).checked_mul(*stride);
            from = from
                .zip(step)
                .and_then(|(from, step)| from.checked_add(step));
            rest /= side;
        }
        let value = from.and_then(|from| storage.get(from));
        values.push(*value.ok_or("reaches beyond its file; the checkpoint is truncated")?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::super::pickle::Storage;
    use super::*;

    fn view(offset: usize, shape: &[usize], stride: &[usize]) -> Tensor {
        Tensor {
            storage: Rc::new(Storage {
                kind: "".into(),
                key: "".into(),
            }),
            offset,
            shape: shape.to_vec(),
            stride: stride.to_vec(),
        }
    }

    #[test]
    fn views_are_gathered_and_never_reach_beyond_their_file() {
        let storage = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let gather = |view: &Tensor, storage: &[f32]| super::gather(view, storage, 6);
        let transposed = gather(&view(0, &[3, 2], &[1, 3]), &storage);
        assert_eq!(transposed, Ok(vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(gather(&view(5, &[], &[]), &storage), Ok(vec![5.0]));
        for bad in [
            view(1, &[3, 2], &[2, 1]),
            view(0, &[usize::MAX, 2], &[1, 1]),
            view(0, &[2], &[usize::MAX]),
            view(usize::MAX, &[2], &[1]),
            view(0, &[2], &[]),
            view(0, &[2, 3], &[0, 1]),
            view(0, &[7], &[0]),
        ] {
            assert!(gather(&bad, &storage).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn all_views_together_have_their_limit() {
        let whole = view(0, &[3], &[1]);
        let storage = [0.0, 1.0, 2.0];
        assert!(gather(&whole, &storage, 3).is_ok());
        let refused = gather(&whole, &storage, 2).unwrap_err();
        assert!(refused.contains("all together"), "{refused}");
        // Nothing is repeated along a side of one, whatever its stride.
        let one = view(1, &[1, 2], &[0, 1]);
        assert_eq!(gather(&one, &storage, 2), Ok(vec![1.0, 2.0]));
        let repeated = gather(&view(0, &[1 << 28], &[0]), &storage, 1 << 28).unwrap_err();
        assert!(repeated.contains("repeats one element"), "{repeated}");
    }

    #[test]
    fn half_width_floats_are_widened() {
        let decode = decoder("torch.BFloat16Storage").unwrap();
        assert_eq!(decode(&[0x80, 0x3f, 0x20, 0xc1]), [1.0, -10.0]);
        let decode = decoder("torch.HalfStorage").unwrap();
        let bytes = [
            0x3c00u16, 0xc900, 0x7bff, 0x0001, 0x8400, 0x3555, 0xfc00, 0x8000,
        ];
        let bytes: Vec<u8> = bytes.iter().flat_map(|half| half.to_le_bytes()).collect();
        let expected = [
            1.0,
            -10.0,
            65504.0,
            2f32.powi(-24),
            -2f32.powi(-14),
            0.333_251_95,
            f32::NEG_INFINITY,
            0.0,
        ];
        assert_eq!(decode(&bytes), expected);
        assert!(decode(&[0x01, 0x7c])[0].is_nan());
        assert!(decoder("torch.LongStorage").is_none());
    }
}
