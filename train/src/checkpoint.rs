//! Checkpoints: weights, Adam's moments and the step, in one file that a power cut cannot spoil.
//!
//! The file is in safetensors' layout (8 bytes header length, JSON, f32 little-endian), so that other
//! programs can read it; arrays are named `weights/...`, `adam.first/...`, `adam.second/...`. Our own
//! metadata adds a SHA-256 over everything that counts: a truncated or altered file is refused.
//! Writing goes to `NAME.partial`, is synced, and only then gets its name.

use crate::atomic_file::write_atomically;
use crate::backend::AdamState;
use crate::config::Recipe;
use crate::weights::{Array, Weights};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// What the metadata's `format` must say.
const FORMAT: &str = "blemish-checkpoint-1";
/// No header of ours comes near; a longer one is not read into memory.
const HEADER_LIMIT: u64 = 16 << 20;
/// Prefixes of the three groups of arrays.
const GROUPS: [&str; 3] = ["weights/", "adam.first/", "adam.second/"];

/// A run between two steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Steps done.
    pub step: u64,
    /// The recipe as TOML: resuming compares it.
    pub recipe: String,
    /// SHA-256 of the training pictures.
    pub data_fingerprint: String,
    /// SHA-256 of the textures' contents; absent without textures, and in files from before it was kept.
    pub textures: Option<String>,
    /// SHA-256 of the masks that say where the product is; absent as those are.
    pub masks: Option<String>,
    pub weights: Weights,
    pub adam: AdamState,
}

/// Why a checkpoint was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    arrays: BTreeMap<String, Entry>,
}

impl Checkpoint {
    fn groups(&self) -> [&Weights; 3] {
        [
            &self.weights,
            &self.adam.first_moment,
            &self.adam.second_moment,
        ]
    }

    /// The recipe that the weights were trained by.
    ///
    /// # Errors
    /// This program cannot read it, in a sentence for people.
    pub fn recipe(&self) -> Result<Recipe, String> {
        toml::from_str(&self.recipe).map_err(|error| {
            format!(
                "the recipe in the checkpoint of step {} cannot be read: {error}",
                self.step
            )
        })
    }

    /// Name of the first array that holds a NaN or an infinity.
    pub fn not_finite(&self) -> Option<String> {
        GROUPS
            .iter()
            .zip(self.groups())
            .flat_map(|(prefix, group)| {
                group
                    .0
                    .iter()
                    .map(move |(name, array)| (prefix, name, array))
            })
            .find(|(_, _, array)| array.values.iter().any(|value| !value.is_finite()))
            .map(|(prefix, name, _)| format!("{prefix}{name}"))
    }

    /// Writes the file so that `path` holds either what it held before or all of this.
    ///
    /// # Errors
    /// What could not be done, such as a full disk; `path` is then as it was.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        write_atomically(path, |out| self.write_to(out))
    }

    /// Writes the file's bytes.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let arrays: BTreeMap<String, &Array> = GROUPS
            .iter()
            .zip(self.groups())
            .flat_map(|(prefix, group)| {
                (group.0.iter()).map(move |(name, array)| (format!("{prefix}{name}"), array))
            })
            .collect();
        let mut metadata = BTreeMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("step".to_owned(), self.step.to_string()),
            ("adam_steps".to_owned(), self.adam.steps.to_string()),
            ("recipe".to_owned(), self.recipe.clone()),
            ("pictures".to_owned(), self.data_fingerprint.clone()),
        ]);
        if let Some(textures) = &self.textures {
            metadata.insert("textures".to_owned(), textures.clone());
        }
        if let Some(masks) = &self.masks {
            metadata.insert("masks".to_owned(), masks.clone());
        }
        let mut digest = Sha256::new();
        digest_metadata(&mut digest, &metadata);
        let mut entries = BTreeMap::new();
        let mut offset = 0;
        for (name, array) in &arrays {
            digest_shape(&mut digest, name, &array.shape);
            for_bytes(&array.values, |bytes| {
                digest.update(bytes);
                Ok(())
            })?;
            let end = offset + 4 * array.values.len() as u64;
            let entry = Entry {
                dtype: "F32".to_owned(),
                shape: array.shape.clone(),
                data_offsets: [offset, end],
            };
            entries.insert(name.clone(), entry);
            offset = end;
        }
        metadata.insert("sha256".to_owned(), hex(&digest.finalize()));
        let header = Header {
            metadata,
            arrays: entries,
        };
        let mut json = serde_json::to_vec(&header)?;
        json.resize(json.len().next_multiple_of(8), b' ');
        out.write_all(&(json.len() as u64).to_le_bytes())?;
        out.write_all(&json)?;
        for array in arrays.values() {
            for_bytes(&array.values, |bytes| out.write_all(bytes))?;
        }
        Ok(())
    }

    /// Reads and verifies a file.
    ///
    /// # Errors
    /// The file cannot be opened, or is truncated, altered or not a checkpoint.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        Self::read_from(&mut BufReader::new(file), length).map_err(|what| {
            CheckpointError::Damaged {
                path: path.to_owned(),
                what,
            }
        })
    }

    /// Reads and verifies `length` bytes. Never panics and never allocates more than a small multiple
    /// of `length`, whatever the bytes are.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read_from(input: &mut dyn Read, length: u64) -> Result<Self, String> {
        let cut = |error: io::Error| format!("it ends early ({error})");
        let mut prefix = [0; 8];
        input.read_exact(&mut prefix).map_err(cut)?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > HEADER_LIMIT || header_length > length.saturating_sub(8) {
            return Err(format!("its header would be {header_length} bytes long"));
        }
        let mut json = vec![0; header_length as usize];
        input.read_exact(&mut json).map_err(cut)?;
        let header: Header =
            serde_json::from_slice(&json).map_err(|error| format!("its header: {error}"))?;
        let field = |key: &str| {
            let value = header.metadata.get(key);
            value.ok_or_else(|| format!("its header lacks '{key}'"))
        };
        if field("format")? != FORMAT {
            return Err(format!(
                "its format is '{}', not {FORMAT}",
                field("format")?
            ));
        }
        let number = |key: &str| {
            let text = field(key)?;
            (text.parse::<u64>()).map_err(|_| format!("its header's {key} is '{text}'"))
        };

        let mut digest = Sha256::new();
        digest_metadata(&mut digest, &header.metadata);
        let mut groups: [Weights; 3] = Default::default();
        let data_length = length - 8 - header_length;
        let mut offset = 0;
        for (name, entry) in &header.arrays {
            let values = checked_values(name, entry, offset, data_length)?;
            let group = GROUPS.iter().position(|prefix| name.starts_with(prefix));
            let group = group.ok_or_else(|| format!("it holds an unknown array '{name}'"))?;
            digest_shape(&mut digest, name, &entry.shape);
            let mut bytes = vec![0; 4 * values];
            input.read_exact(&mut bytes).map_err(cut)?;
            digest.update(&bytes);
            let array = Array {
                shape: entry.shape.clone(),
                values: (bytes.as_chunks::<4>().0.iter())
                    .map(|chunk| f32::from_le_bytes(*chunk))
                    .collect(),
            };
            offset = entry.data_offsets[1];
            groups[group]
                .0
                .insert(name[GROUPS[group].len()..].to_owned(), array);
        }
        if offset != data_length {
            return Err(format!(
                "{} bytes follow its last array",
                data_length - offset
            ));
        }
        if *field("sha256")? != hex(&digest.finalize()) {
            return Err("its SHA-256 does not match its contents".to_owned());
        }
        let [weights, first_moment, second_moment] = groups;
        Ok(Self {
            step: number("step")?,
            recipe: field("recipe")?.clone(),
            data_fingerprint: field("pictures")?.clone(),
            textures: header.metadata.get("textures").cloned(),
            masks: header.metadata.get("masks").cloned(),
            weights,
            adam: AdamState {
                steps: number("adam_steps")?,
                first_moment,
                second_moment,
            },
        })
    }
}

/// The same bytes with a hash that fits them, so that what lies behind the hash can be tested; `None`
/// where there is no header, or an array is not in the data.
pub fn reseal(bytes: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (json, data) = rest.split_at_checked(length)?;
    let mut header: Header = serde_json::from_slice(json).ok()?;
    let mut digest = Sha256::new();
    digest_metadata(&mut digest, &header.metadata);
    for (name, entry) in &header.arrays {
        digest_shape(&mut digest, name, &entry.shape);
        let [begin, end] = entry.data_offsets.map(usize::try_from);
        digest.update(data.get(begin.ok()?..end.ok()?)?);
    }
    let hash = hex(&digest.finalize());
    header.metadata.insert("sha256".to_owned(), hash);
    let json = serde_json::to_vec(&header).ok()?;
    let mut sealed = (json.len() as u64).to_le_bytes().to_vec();
    sealed.extend(json);
    sealed.extend(data);
    Some(sealed)
}

/// Values of an array whose header entry agrees with what precedes it and with the file's length.
fn checked_values(
    name: &str,
    entry: &Entry,
    offset: u64,
    data_length: u64,
) -> Result<usize, String> {
    let values = (entry.shape.iter()).try_fold(1usize, |product, &side| product.checked_mul(side));
    let bytes = values.and_then(|values| (values as u64).checked_mul(4));
    let [begin, end] = entry.data_offsets;
    let fits = entry.dtype == "F32" && begin == offset && end <= data_length;
    match (values, bytes) {
        (Some(values), Some(bytes)) if fits && end.checked_sub(begin) == Some(bytes) => Ok(values),
        _ => Err(format!(
            "its array '{name}' does not fit the file's {data_length} bytes"
        )),
    }
}

fn digest_metadata(digest: &mut Sha256, metadata: &BTreeMap<String, String>) {
    for (key, value) in metadata.iter().filter(|(key, _)| *key != "sha256") {
        for text in [key, value] {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
    }
}

fn digest_shape(digest: &mut Sha256, name: &str, shape: &[usize]) {
    digest.update((name.len() as u64).to_le_bytes());
    digest.update(name);
    digest.update((shape.len() as u64).to_le_bytes());
    for &side in shape {
        digest.update((side as u64).to_le_bytes());
    }
}

fn for_bytes(values: &[f32], mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(1 << 16);
    for chunk in values.chunks(1 << 14) {
        buffer.clear();
        buffer.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
        take(&buffer)?;
    }
    Ok(())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn array(shape: &[usize], first: f32) -> Array {
        let count = shape.iter().product::<usize>();
        Array {
            shape: shape.to_vec(),
            values: (0..count).map(|i| first + i as f32).collect(),
        }
    }

    fn sample() -> Checkpoint {
        let group = |first| {
            Weights(BTreeMap::from([
                ("rec.b.bias".to_owned(), array(&[3], first)),
                ("rec.a.weight".to_owned(), array(&[2, 1, 3, 3], -first)),
            ]))
        };
        Checkpoint {
            step: 40,
            recipe: "seed = 1\n".to_owned(),
            data_fingerprint: "abc".to_owned(),
            textures: Some("def".to_owned()),
            masks: Some("123".to_owned()),
            weights: group(0.1),
            adam: AdamState {
                steps: 40,
                first_moment: group(f32::MIN_POSITIVE / 8.0),
                second_moment: group(7.0),
            },
        }
    }

    fn bytes(checkpoint: &Checkpoint) -> Vec<u8> {
        let mut out = Vec::new();
        checkpoint.write_to(&mut out).expect("memory does not fail");
        out
    }

    fn read(bytes: &[u8]) -> Result<Checkpoint, String> {
        Checkpoint::read_from(&mut &bytes[..], bytes.len() as u64)
    }

    #[test]
    fn what_was_written_is_read_bit_for_bit() {
        assert_eq!(read(&bytes(&sample())), Ok(sample()));
    }

    #[test]
    fn the_first_array_that_is_not_finite_is_named() {
        let mut checkpoint = sample();
        assert_eq!(checkpoint.not_finite(), None);
        let moments = &mut checkpoint.adam.second_moment.0;
        moments.get_mut("rec.b.bias").expect("present").values[1] = f32::INFINITY;
        assert_eq!(
            checkpoint.not_finite().as_deref(),
            Some("adam.second/rec.b.bias")
        );
    }

    #[test]
    fn a_lying_header_allocates_nothing() {
        let mut long = u64::MAX.to_le_bytes().to_vec();
        long.extend([b' '; 64]);
        assert!(read(&long).expect_err("too long").contains("header"));
        let json = br#"{"__metadata__":{"format":"blemish-checkpoint-1"},
            "weights/x":{"dtype":"F32","shape":[4294967295,4294967295,9],"data_offsets":[0,8]}}"#;
        let mut huge = (json.len() as u64).to_le_bytes().to_vec();
        huge.extend(json);
        huge.extend([0; 8]);
        assert!(read(&huge).expect_err("does not fit").contains("weights/x"));
    }

    #[test]
    fn a_failing_disk_leaves_the_file_as_it_was() {
        let folder = std::env::temp_dir().join(format!("blemish-disk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("temporary folder");
        let path = folder.join("checkpoint");
        sample().write(&path).expect("room");
        let full = write_atomically(&path, |out| {
            out.write_all(&[1; 100_000])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(full.expect_err("full").to_string().contains("cannot write"));
        assert_eq!(Checkpoint::read(&path).expect("untouched"), sample());
        let names = std::fs::read_dir(&folder).expect("listable").count();
        assert_eq!(names, 1, "the partial file is gone");
        std::fs::remove_dir_all(&folder).expect("removable");
    }

    /// What fuzzing starts from, written to `BLEMISH_SEEDS/checkpoint` where that is set.
    #[test]
    fn checkpoint_seeds_are_read() {
        let small = Checkpoint {
            weights: Weights(BTreeMap::from([("x".to_owned(), array(&[1], 0.0))])),
            adam: AdamState::default(),
            ..sample()
        };
        let empty = Checkpoint {
            weights: Weights::default(),
            ..small.clone()
        };
        let folder =
            std::env::var_os("BLEMISH_SEEDS").map(|path| Path::new(&path).join("checkpoint"));
        for (name, seed) in [("whole", sample()), ("small", small), ("empty", empty)] {
            let content = bytes(&seed);
            assert_eq!(read(&content), Ok(seed), "{name}");
            if let Some(folder) = &folder {
                std::fs::create_dir_all(folder).expect("a folder for the seeds");
                std::fs::write(folder.join(name), &content).expect("room");
            }
        }
    }

    #[test]
    fn sealing_again_brings_an_altered_value_past_the_hash() {
        let mut altered = bytes(&sample());
        let last = altered.len() - 4;
        altered[last..].copy_from_slice(&0.5f32.to_le_bytes());
        assert!(read(&altered).expect_err("altered").contains("SHA-256"));
        let sealed = reseal(&altered).expect("a header");
        assert_ne!(read(&sealed).expect("sealed"), sample());
        assert_eq!(
            read(&reseal(&bytes(&sample())).expect("a header")),
            Ok(sample())
        );
    }

    /// One change to a file.
    fn mutation() -> impl Strategy<Value = (u8, usize, u8, Vec<u8>)> {
        let text = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..9),
            Just(b"99999999999999999999".to_vec()),
            Just(b"-1".to_vec()),
            Just(b"[]".to_vec()),
            Just(b"null".to_vec()),
            Just(b"\"".to_vec()),
        ];
        (0u8..4, any::<usize>(), any::<u8>(), text)
    }

    fn mutate(bytes: &mut Vec<u8>, (how, at, value, text): (u8, usize, u8, Vec<u8>)) {
        if bytes.is_empty() {
            return;
        }
        let at = at % bytes.len();
        match how {
            0 => bytes[at] = value,
            1 => drop(bytes.splice(at..at, text)),
            2 => drop(bytes.splice(at..(at + text.len()).min(bytes.len()), text)),
            _ => bytes.truncate(at),
        }
    }

    /// The length of the header put right after a change within it.
    fn reframed(mut bytes: Vec<u8>) -> Vec<u8> {
        let end = bytes.iter().rposition(|&byte| byte == b'}');
        if let (Some(end), true) = (end, bytes.len() >= 8) {
            let length = (end.saturating_sub(7)) as u64;
            bytes[..8].copy_from_slice(&length.to_le_bytes());
        }
        bytes
    }

    proptest! {
        /// An error or a checkpoint, never a panic; and what is read is what is written again.
        #[test]
        fn a_mutated_checkpoint_is_refused_or_read(
            mutations in prop::collection::vec(mutation(), 1..6), frame: bool,
        ) {
            let mut mutated = bytes(&sample());
            for change in mutations {
                mutate(&mut mutated, change);
            }
            if frame {
                mutated = reframed(mutated);
            }
            for file in [Some(mutated.clone()), reseal(&mutated)].into_iter().flatten() {
                if let Ok(found) = read(&file) {
                    let again = bytes(&found);
                    prop_assert_eq!(read(&again).map(|found| bytes(&found)), Ok(again));
                }
            }
        }

        #[test]
        fn a_truncated_file_is_refused(keep in 0usize..100_000) {
            let whole = bytes(&sample());
            prop_assert!(read(&whole[..keep % whole.len()]).is_err());
        }

        /// Padding between header and data is the only place where a changed byte changes nothing.
        #[test]
        fn an_altered_byte_is_refused_or_changes_nothing(
            position in 0usize..100_000, change in 1u8..=255,
        ) {
            let mut altered = bytes(&sample());
            let position = position % altered.len();
            altered[position] ^= change;
            if let Ok(checkpoint) = read(&altered) {
                prop_assert_eq!(checkpoint, sample());
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut framed = (noise.len() as u64 / 2).to_le_bytes().to_vec();
            framed.extend(&noise);
            prop_assert!(read(&noise).is_err());
            prop_assert!(read(&framed).is_err());
        }
    }
}
