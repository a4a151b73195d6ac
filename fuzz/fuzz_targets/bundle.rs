//! The bundle reader on bytes it has never seen: an error or a bundle, never a panic.
//!
//! `cargo +nightly fuzz run bundle -- -max_len=400000`, with a small bundle in `fuzz/corpus/bundle/`.
//! What decodes is sealed again, so that mutations come past the hash to the checks behind it.

#![no_main]

use blemish::model::{Bundle, reseal};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tract_onnx::pb::ModelProto;

fuzz_target!(|bytes: &[u8]| {
    let _ = Bundle::from_bytes(bytes.to_vec(), "fuzz", &mut |_| {});
    if let Ok(model) = ModelProto::decode(bytes) {
        let _ = Bundle::from_bytes(reseal(model), "fuzz", &mut |_| {});
    }
});
