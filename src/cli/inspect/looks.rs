//! Pictures that do not look like those that the bundle was trained on: told once, after the last.

use super::files::Input;
use blemish::model::Metadata;
use blemish::picture::{DepthWatch, Picture};
use blemish::text::printable;

/// Watches the pictures that are inspected.
pub struct Looks {
    grey: bool,
    depth: DepthWatch,
    coloured: usize,
    first_coloured: String,
}

impl Looks {
    pub fn new(metadata: &Metadata) -> Self {
        Self {
            grey: metadata.grey,
            depth: DepthWatch::default(),
            coloured: 0,
            first_coloured: String::new(),
        }
    }

    pub fn see(&mut self, input: &Input, picture: &Picture) {
        self.depth.see(picture);
        if self.grey && picture.is_strongly_coloured() {
            if self.coloured == 0 {
                self.first_coloured.clone_from(&input.name);
            }
            self.coloured += 1;
        }
    }

    /// Says what does not fit.
    pub fn warn(&self) {
        if let Some(bits) = self.depth.bits() {
            log::warn!(
                "no 16-bit picture has a value above {}, as where a camera's {bits} bits lie at the lower end; \
                 full scale is 65535, so the model saw them almost black: save them multiplied by {}, those \
                 for training as well",
                (1u32 << bits) - 1,
                1u32 << (16 - bits)
            );
        }
        if self.coloured > 0 {
            log::warn!(
                "the model was trained on grey pictures, and {} of these are strongly coloured, the first is \
                 '{}'; their scores mean little: inspect grey ones, or train on colour",
                self.coloured,
                printable(&self.first_coloured)
            );
        }
    }
}
