//! Folders of small pictures for tests.

use blemish::picture::Picture;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is deleted when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("blemish-data-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn prepare(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        path
    }

    pub fn text(&self, name: &str, text: &str) {
        std::fs::write(self.prepare(name), text).unwrap();
    }

    pub fn picture(&self, name: &str, picture: &Picture) {
        picture.save_png(&self.prepare(name)).unwrap();
    }

    /// A grey picture whose levels depend on `seed`.
    pub fn grey(&self, name: &str, width: usize, height: usize, seed: usize) {
        let samples = (0..width * height)
            .map(|i| (i * 7 + seed * 31) as u8)
            .collect();
        self.picture(name, &Picture::from_grey8(width, height, samples).unwrap());
    }

    pub fn colour(&self, name: &str, width: usize, height: usize, seed: usize) {
        let samples = (0..3 * width * height)
            .map(|i| (i * 5 + seed * 31) as u8)
            .collect();
        self.picture(name, &Picture::from_rgb8(width, height, samples).unwrap());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
