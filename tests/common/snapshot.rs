//! Tables kept as text in `tests/snapshots`: a change of behaviour is a change of the text.

use std::path::Path;

/// Holds `now` to the kept table `name`; `BLEMISH_UPDATE_SNAPSHOTS=1` writes it anew instead.
///
/// # Panics
/// Where they differ, or the table cannot be read or written.
pub fn is_kept(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
    if std::env::var_os("BLEMISH_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, now).expect("the snapshot can be written");
        return;
    }
    let known = std::fs::read_to_string(path).expect("the snapshot exists");
    assert!(
        known == now,
        "the table has changed; BLEMISH_UPDATE_SNAPSHOTS=1 writes it anew. It is now:\n{now}"
    );
}
