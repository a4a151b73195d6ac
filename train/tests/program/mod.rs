//! Runs `blemish-train` in a folder of its own with computed pictures.
#![allow(dead_code, reason = "every test file uses its own part")]

use blemish::picture::Picture;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Options of a run that takes a second or two.
pub const SMALL: [&str; 8] = [
    "--reconstructive-width=4",
    "--discriminative-width=4",
    "--tile=32",
    "--batch=2",
    "--threads=2",
    "--validate-every=8",
    "--checkpoint-every=4",
    "--hold-out=0.2",
];

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// A folder that is removed at the end, with twelve good pictures in `goods`.
pub struct Scene {
    pub root: PathBuf,
}

impl Scene {
    pub fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("blemish-train-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let scene = Self { root };
        scene.write("goods/notes.txt", b"not a picture");
        for picture in 0..12 {
            scene.weave(&format!("goods/{picture:02}.png"), 48, 40, picture);
        }
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A grey weave.
    pub fn weave(&self, name: &str, width: usize, height: usize, seed: u32) {
        let phase = seed as f32 * 0.37;
        let samples = (0..width * height).map(|i| {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            (120.0 + 30.0 * (x * 0.8 + phase).sin() + 20.0 * (y * 0.6 - phase).cos()) as u8
        });
        self.save(
            name,
            &Picture::from_grey8(width, height, samples.collect()).unwrap(),
        );
    }

    pub fn save(&self, name: &str, picture: &Picture) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        picture.save_png(&path).unwrap();
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// The program with `arguments`, in the scene's folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_blemish-train"));
        command.args(arguments).current_dir(&self.root);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// `fit` on the good pictures with small networks.
    pub fn fit(&self, arguments: &[&str]) -> Output {
        self.run(&[&["fit", "goods"], &SMALL[..], arguments].concat())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// What it printed, and how it ended, for a failed assertion.
pub fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The newest checkpoint of a run folder.
pub fn newest(run: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(run).ok()?;
    let names = entries.map(|entry| entry.unwrap().path());
    names
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .max()
}
