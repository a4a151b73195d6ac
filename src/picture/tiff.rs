//! How many pictures a TIFF file holds: the decoder gives the first and says nothing of the others.

/// Tags that say what an image of the file is for.
const NEW_SUBFILE_TYPE: u16 = 254;
const SUBFILE_TYPE: u16 = 255;

/// Bits of [`NEW_SUBFILE_TYPE`]: another image at less resolution, or which of its pixels are seen.
const REDUCED_OR_MASK: u64 = 1 | 4;

/// Value of [`SUBFILE_TYPE`] for another image at less resolution.
const REDUCED: u64 = 2;

/// Bytes with the order that the file states.
struct Reader<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    /// BigTIFF: offsets of 64 bits.
    big: bool,
}

impl Reader<'_> {
    /// A number of `length` bytes, 8 at most; `None` beyond the end.
    fn number(&self, at: u64, length: u64) -> Option<u64> {
        let from = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(from..from.checked_add(length as usize)?)?;
        let add = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        Some(match self.big_endian {
            true => bytes.iter().fold(0, add),
            false => bytes.iter().rev().fold(0, add),
        })
    }

    /// Whether the directory at `at` is of a picture of its own, its length in bytes, and where the next
    /// directory is, 0 after the last.
    fn directory(&self, at: u64) -> Option<(bool, u64, u64)> {
        let (count_bytes, entry_bytes, offset_bytes) = match self.big {
            true => (8, 20, 8),
            false => (2, 12, 4),
        };
        let entries = self.number(at, count_bytes)?;
        let first = at.checked_add(count_bytes)?;
        let end = first.checked_add(entries.checked_mul(entry_bytes)?)?;
        let next = self.number(end, offset_bytes)?;
        let mut own = true;
        for entry in (first..end).step_by(entry_bytes as usize) {
            let tag = self.number(entry, 2)? as u16;
            if !matches!(tag, NEW_SUBFILE_TYPE | SUBFILE_TYPE) {
                continue;
            }
            // SHORT takes the first two bytes of its field, LONG four.
            let length = if self.number(entry + 2, 2)? == 3 {
                2
            } else {
                4
            };
            let value = self.number(entry + entry_bytes - offset_bytes, length)?;
            own &= match tag {
                NEW_SUBFILE_TYPE => value & REDUCED_OR_MASK == 0,
                _ => value != REDUCED,
            };
        }
        Some((own, end - at, next))
    }
}

/// Pictures in the file: the first image, which is the one that is decoded, and every other that is not a
/// smaller copy or a mask of another.
///
/// # Errors
/// Where the chain of images leads out of the file, or over places where it has been.
pub(super) fn pictures(bytes: &[u8]) -> Result<usize, String> {
    let broken = || "its list of images leads out of the file".to_owned();
    let mut reader = Reader {
        bytes,
        big_endian: bytes.starts_with(b"MM"),
        big: false,
    };
    reader.big = reader.number(2, 2).ok_or_else(broken)? == 43;
    let first = match reader.big {
        true => reader.number(8, 8),
        false => reader.number(4, 4),
    };
    let mut next = first.ok_or_else(broken)?;
    let (mut count, mut seen_bytes) = (0, 0);
    while next != 0 {
        let (own, length, after) = reader.directory(next).ok_or_else(broken)?;
        // Also where there is no circle, a small file must not take long.
        if seen_bytes + length > bytes.len() as u64 {
            return Err("its list of images leads round in a circle".to_owned());
        }
        count += usize::from(own || seen_bytes == 0);
        seen_bytes += length;
        next = after;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of directories alone, with the subfile type of each.
    fn file(big_endian: bool, big: bool, kinds: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let put = |bytes: &mut Vec<u8>, number: u64, length: usize| {
            let all = number.to_be_bytes();
            let mut part = all[8 - length..].to_vec();
            if !big_endian {
                part.reverse();
            }
            bytes.extend(part);
        };
        bytes.extend(if big_endian { b"MM" } else { b"II" });
        let (count, offset) = if big { (8, 8) } else { (2, 4) };
        put(&mut bytes, if big { 43 } else { 42 }, 2);
        if big {
            put(&mut bytes, 8, 2);
            put(&mut bytes, 0, 2);
        }
        for (number, &kind) in kinds.iter().enumerate() {
            let here = bytes.len() as u64 + offset as u64;
            put(&mut bytes, here, offset);
            put(&mut bytes, 1, count);
            put(&mut bytes, u64::from(NEW_SUBFILE_TYPE), 2);
            put(&mut bytes, 4, 2);
            put(&mut bytes, 1, offset);
            put(&mut bytes, kind, 4);
            if big {
                put(&mut bytes, 0, 4);
            }
            if number + 1 == kinds.len() {
                put(&mut bytes, 0, offset);
            }
        }
        bytes
    }

    #[test]
    fn pictures_are_counted_and_their_small_copies_are_not() {
        for (big_endian, big) in [(false, false), (true, false), (false, true), (true, true)] {
            let count = |kinds: &[u64]| pictures(&file(big_endian, big, kinds));
            assert_eq!(count(&[0]), Ok(1));
            assert_eq!(count(&[2, 2, 2]), Ok(3), "pages");
            assert_eq!(count(&[0, 1, 1, 4]), Ok(1), "a pyramid and a mask");
            // The first is decoded, so the picture behind it would be missed.
            assert_eq!(count(&[1, 0]), Ok(2));
        }
    }

    #[test]
    fn a_list_that_does_not_end_is_refused() {
        let whole = file(false, false, &[0, 0]);
        for length in 0..whole.len() {
            assert!(pictures(&whole[..length]).is_err(), "{length}");
        }
        let mut circle = whole.clone();
        let end = circle.len() - 4;
        circle[end..].copy_from_slice(&8u32.to_le_bytes());
        let error = pictures(&circle).unwrap_err();
        assert!(error.contains("circle"), "{error}");
    }
}
