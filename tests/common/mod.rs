//! Folders with pictures for whole-program tests, and what a run of the program gave.

#![allow(dead_code, reason = "every test program takes what it needs of this")]

use blemish::picture::{Picture, Samples};
use std::path::PathBuf;
use std::process::Command;

/// A folder of one test, emptied before and removed after.
pub struct Folder {
    pub path: PathBuf,
}

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("blemish-inspect")
            .join(name.replace(' ', "-"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub fn make(&self, name: &str) {
        std::fs::create_dir_all(self.path.join(name)).unwrap();
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path.join(name)).unwrap()
    }

    /// An 8-bit grey picture of a texture.
    pub fn picture(&self, name: &str, width_px: usize, height_px: usize) {
        let samples = texture(width_px * height_px)
            .map(|v| (v >> 8) as u8)
            .collect();
        self.save(name, width_px, height_px, 1, Samples::U8(samples));
    }

    pub fn picture_16(&self, name: &str, width_px: usize, height_px: usize) {
        let samples = texture(width_px * height_px).collect();
        self.save(name, width_px, height_px, 1, Samples::U16(samples));
    }

    pub fn picture_rgb(&self, name: &str, width_px: usize, height_px: usize) {
        let samples = texture(width_px * height_px * 3)
            .map(|v| (v >> 8) as u8)
            .collect();
        self.save(name, width_px, height_px, 3, Samples::U8(samples));
    }

    /// A mask with a square of `level` in its middle.
    pub fn mask(&self, name: &str, width_px: usize, height_px: usize, level: u8) {
        let inside = |length: usize, at: usize| (length / 3..2 * length / 3).contains(&at);
        let samples = (0..width_px * height_px)
            .map(|i| {
                let marked = inside(width_px, i % width_px) && inside(height_px, i / width_px);
                level * u8::from(marked)
            })
            .collect();
        self.save(name, width_px, height_px, 1, Samples::U8(samples));
    }

    fn save(
        &self,
        name: &str,
        width_px: usize,
        height_px: usize,
        channels: usize,
        samples: Samples,
    ) {
        let picture = Picture::new(width_px, height_px, channels, samples).unwrap();
        let png = picture.encode_png(&self.path.join(name)).unwrap();
        self.write(name, &png);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn texture(length: usize) -> impl Iterator<Item = u16> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16)
}

/// What a run of the program gave.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The JSON lines on standard output.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Runs the program in the folder.
pub fn blemish(folder: &Folder, args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_blemish"))
        .args(args)
        .current_dir(&folder.path)
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
