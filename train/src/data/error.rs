//! What can be wrong with training data.

use blemish::picture::PictureError;
use std::path::PathBuf;

/// Why pictures cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("cannot read the folder '{path}': {source}; check that it exists and may be read")]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot read '{path}': {source}; check that the file exists and may be read")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "'{path}' holds no good picture: put PNG, JPEG, TIFF or BMP files there, or in train/good \
         below it"
    )]
    Empty { path: PathBuf },
    #[error("'{path}' holds no picture of a defect; give another folder, or leave --defects out")]
    NoDefect { path: PathBuf },
    #[error(
        "the defect '{defect}' is among the good pictures as '{good}' and would count as good: give a folder with the good \
         pictures alone"
    )]
    DefectAmongGoods { defect: PathBuf, good: PathBuf },
    #[error(
        "'{path}' is not a class but holds one, '{class}': name that folder, or pictures of defects would \
         be taken for good ones"
    )]
    NotAClass { path: PathBuf, class: String },
    #[error(
        "'{path}' has the folder '{part}' of MVTec's layout but no train/good: put the good pictures \
         there, or name the folder that holds them"
    )]
    NoTrainGood { path: PathBuf, part: &'static str },
    #[error(
        "'{path}' holds '{good}' beside '{beside}', and both would be taken for the same: name the one that is meant, \
         or rename '{good}' if all are good"
    )]
    GoodBeside {
        path: PathBuf,
        good: String,
        beside: String,
    },
    #[error(
        "'{path}' holds '{inside}', which by its name holds tests or masks of a class: they would be taken for \
         good pictures; name the folder of the good pictures alone, or rename '{inside}' if it holds such"
    )]
    Foreign { path: PathBuf, inside: String },
    #[error(
        "'{label}' belongs to no picture in '{folder}', so that a defective one would be taken for good: a label \
         is called as its picture with _label, such as 0001_label.PNG for 0001.PNG; rename it, or move it away"
    )]
    StrayLabel { label: PathBuf, folder: PathBuf },
    #[error(
        "'{path}' holds pictures, and in DAGM's layout only the folder 'Label' may, with the labels of defective \
         pictures: call it so if these are labels, else move it away, or defects could be taken for good"
    )]
    BesideLabels { path: PathBuf },
    #[error(
        "'{path}' holds no picture: give a folder of textures with PNG, JPEG, TIFF or BMP files, or \
         leave it out to paint defects from the product itself and procedural patterns"
    )]
    NoTextures { path: PathBuf },
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(
        "'{grey}' is grey and '{colour}' is in colour; a network is trained on one kind, so convert or \
         sort them"
    )]
    Mixed { grey: PathBuf, colour: PathBuf },
    #[error(
        "the mask '{mask}' of the defective picture '{picture}' is missing; add it or move the picture \
         away"
    )]
    NoMask { picture: PathBuf, mask: PathBuf },
    #[error(
        "the product's mask '{mask}' for '{picture}' is missing: put it there, name one mask for all pictures, or \
         take --product auto"
    )]
    NoProductMask { picture: PathBuf, mask: PathBuf },
    #[error(
        "the product's mask '{mask}' is {found} px, its picture {wanted} px: draw it on the picture itself"
    )]
    ProductMaskSize {
        mask: PathBuf,
        found: String,
        wanted: String,
    },
    #[error(
        "the pictures need more than {limit_mib} MiB of memory ('{path}' is the first beyond it); train \
         on fewer or smaller pictures"
    )]
    Memory { path: PathBuf, limit_mib: usize },
    #[error(
        "{pictures} good pictures cannot be split: give at least 2, or a hold-out share of 0 (then there \
         is no validation and no threshold)"
    )]
    TooFew { pictures: usize },
    #[error(
        "every held-out picture is a training picture under another name ({repeated}), so nothing is left to judge a \
         run by: begin a new run without the copies, with another --seed, or with nothing held out (--hold-out 0)"
    )]
    NothingHeldOut { repeated: String },
    #[error(
        "of {tiles} held-out tiles {defective} have a simulated defect, and a run is judged by both kinds: {remedy}, or \
         hold nothing out (--hold-out 0)"
    )]
    OneKind {
        tiles: usize,
        defective: usize,
        remedy: &'static str,
    },
    #[error("{threads} threads for the simulation cannot be started: {reason}")]
    Threads { threads: usize, reason: String },
}
