//! Probabilities and ranges of the simulation.

use super::augment::Kind;
use super::structural::Structure;
use serde::{Deserialize, Serialize};

/// A named recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The authors' released code.
    #[default]
    Official,
    /// The paper's text where it differs (draem.md 1.7).
    Paper,
    /// The authors' defects and, as often, hairs, scratches, specks, stains and misplaced pieces whose
    /// contrast follows the product's own.
    Structural,
}

impl Preset {
    /// Name as in configurations and bundles.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Official => "official",
            Preset::Paper => "paper",
            Preset::Structural => "structural",
        }
    }
}

/// All that the simulation draws from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Share of clean pictures that are turned.
    pub rotation_share: f64,
    /// They are turned by up to this many degrees either way.
    pub rotation_max_degrees: f64,
    /// Share of samples without a defect.
    pub clean_share: f64,
    /// The texture's weight inside the mask is uniform between this and 1.
    pub texture_weight_min: f64,
    /// The mask is where the noise exceeds a number drawn uniformly between these two.
    pub mask_threshold: [f64; 2],
    /// Operations to choose from.
    pub operations: Vec<Kind>,
    /// Distinct operations applied to each texture.
    pub operations_per_texture: usize,
    /// Whether textures lose their colour after the operations, so that on grey product colour does
    /// not give a defect away.
    pub grey_textures: bool,
    /// Share of the defects that are structures instead of textures behind a Perlin mask.
    pub structure_share: f64,
    /// Structures to choose from.
    pub structures: Vec<Structure>,
    /// Whether structures have no colour of their own.
    pub grey_structures: bool,
    /// Share of clean tiles that are mirrored left to right, and again top to bottom.
    pub mirror_share: f64,
}

impl Recipe {
    /// The recipe of `preset` for grey or coloured product.
    ///
    /// The paper names no share for its rotation and no range for its mask threshold: the share is
    /// the code's, the range lies evenly around the code's 0.5.
    pub fn new(preset: Preset, grey: bool) -> Self {
        let official = Recipe {
            rotation_share: 0.3,
            rotation_max_degrees: 90.0,
            clean_share: 0.5,
            texture_weight_min: 0.2,
            mask_threshold: [0.5, 0.5],
            operations: Kind::ALL.to_vec(),
            operations_per_texture: 3,
            grey_textures: grey,
            structure_share: 0.0,
            structures: Vec::new(),
            grey_structures: grey,
            mirror_share: 0.0,
        };
        match preset {
            Preset::Official => official,
            Preset::Paper => Recipe {
                rotation_max_degrees: 45.0,
                texture_weight_min: 0.1,
                mask_threshold: [0.25, 0.75],
                operations: vec![
                    Kind::Posterize,
                    Kind::Sharpness,
                    Kind::Solarize,
                    Kind::Equalize,
                    Kind::Brightness,
                    Kind::HueSaturation,
                    Kind::Autocontrast,
                ],
                ..official
            },
            // Mirrored tiles lose no corner and keep their sharpness, as turned ones do not.
            Preset::Structural => Recipe {
                rotation_share: 0.0,
                mirror_share: 0.5,
                structure_share: 0.5,
                structures: Structure::ALL.to_vec(),
                ..official
            },
        }
    }
}
