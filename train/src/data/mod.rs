//! Training data: finding pictures, keeping them in memory, cutting tiles, and making batches.
//!
//! * **class**: one product, a folder in MVTec's layout or a bare folder of good pictures;
//! * **held out**: good pictures that training never sees; validation and threshold use them. The split
//!   is by picture file: where several files show one physical sample, keep all but one of them out of
//!   the folder, or the held-out score is too good;
//! * **sample**: one clean tile with its simulated defect; **batch**: some of them.

mod content;
mod dagm;
mod error;
mod layout;
mod pictures;
mod product;
mod sampler;
mod split;
#[cfg(test)]
mod tests_support;
mod walk;

pub use content::{Content, contents, fingerprint_below, refuse_defects_among};
pub use error::DataError;
pub use layout::{
    Class, ClassFolders, TestPicture, class_folders, class_name, name_below, real_defects_in,
    test_folders,
};
pub use pictures::{Cut, Goods, MEMORY_LIMIT_BYTES, TileSource};
pub use product::{Product, automatic_mask};
pub use sampler::{Sampler, load_textures};
pub use split::hold_out;
pub use walk::pictures_below;
