//! The checkpoint reader on bytes it has never seen: an error or a checkpoint, never a panic, and no more
//! memory than the file is long.
//!
//! `cargo +nightly fuzz run checkpoint -- -max_len=20000`, with the seeds that `BLEMISH_SEEDS=fuzz/corpus
//! cargo test --release --workspace checkpoint_seeds` writes to `fuzz/corpus/checkpoint/`.
//! What can be parsed is sealed again, so that mutations come past the hash to the checks behind it.

#![no_main]

use blemish_train::checkpoint::{Checkpoint, reseal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Checkpoint::read_from(&mut &*bytes, bytes.len() as u64);
    if let Some(sealed) = reseal(bytes) {
        let _ = Checkpoint::read_from(&mut &*sealed, sealed.len() as u64);
    }
});
