//! The effective settings of a run: what `config.toml` in the run folder holds.
//!
//! The **recipe** decides the weights; everything else may change between a stop and a resume.

use crate::data::Product;
use crate::device;
use crate::export::check_size;
use crate::simulate::Preset;
use blemish::draem::score::Window;
use blemish::draem::{NetworkSpec, OFFICIAL_POOLINGS};
use blemish::geometry::TileSize;
use blemish::picture::ResizeFilter;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Poolings of the discriminative network: how often tiles are halved where both networks are deepest.
const DEEPEST_POOLINGS: usize = 5;

/// The greatest integer of TOML.
const GREATEST_INTEGER: u64 = i64::MAX as u64;

/// Version of `config.toml` that this program reads and writes.
pub const CONFIG_SCHEMA: u32 = 1;

/// Everything that decides the weights, besides the pictures themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Sides of the networks' input in pixels, multiples of 32.
    pub tile: TileSize,
    /// Resize whole pictures to one tile (the paper's protocol) instead of cutting tiles at the
    /// pictures' own resolution.
    pub resize: bool,
    /// With `resize`: by what filter. Absent in runs from before it could be chosen: bilinear.
    #[serde(default)]
    pub resize_filter: ResizeFilter,
    /// Pictures per step.
    pub batch: usize,
    /// Adam steps of the whole run; the learning rate falls at 80 % and 90 % of them.
    pub steps: u64,
    /// Adam's learning rate before it falls; [`learning_rate_of`] the width where none is named.
    pub learning_rate: f64,
    /// Seed of the first weights, of the hold-out and of every simulated defect.
    pub seed: u64,
    /// Preset of the anomaly simulation.
    pub simulation: Preset,
    /// Share of the good pictures that is kept out of training, for validation and threshold.
    pub hold_out: f64,
    /// Folder of pictures to paint defects from; absent: own crops and procedural textures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub textures: Option<PathBuf>,
    /// Where simulated defects may lie; absent: everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// Validations in a row without a better one after which the run ends, with the best weights; 0:
    /// never, with the last weights.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub patience: u64,
    pub network: NetworkSpec,
}

impl Recipe {
    /// By what filter whole pictures are resized to a tile; nothing where tiles are cut.
    pub fn whole_pictures(&self) -> Option<ResizeFilter> {
        self.resize.then_some(self.resize_filter)
    }
}

/// The effective settings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitConfig {
    pub schema: u32,
    /// What is inspected, for people; goes into the bundle.
    pub name: String,
    /// Folder of good pictures, or a class folder in MVTec's layout.
    pub pictures: PathBuf,
    /// What computes: `cpu`, or a burn backend this program was built with.
    pub device: String,
    /// Threads of the CPU engine.
    pub threads: usize,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between validations on simulated defects; 0 for none.
    pub validate_every: u64,
    /// Pixels that neighbouring tiles share at the station.
    pub overlap_px: u32,
    /// Whether the pictures were flat-field corrected; the station's must then be so too.
    pub flat_field: bool,
    /// Side of the square that the score averages over; absent: chosen on simulated defects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_window_px: Option<Window>,
    pub recipe: Recipe,
}

/// The learning rate for a reconstructive network of this width: the authors' 1e-4 at their 128
/// channels, and higher in proportion for narrower networks.
///
/// Adam changes every weight by about the learning rate, and a channel that sums fewer inputs needs
/// larger weights to say as much (Yang et al. 2022, arXiv 2203.03466, table 8: Adam's rate for hidden
/// weights goes with 1/width). At 1e-4 a network of 16 channels is not trained after 5000 steps.
pub fn learning_rate_of(reconstructive_width: usize) -> f64 {
    1e-4 * (128.0 / reconstructive_width.max(1) as f64).clamp(0.25, 16.0)
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            schema: CONFIG_SCHEMA,
            name: String::new(),
            pictures: PathBuf::new(),
            device: "cpu".to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            checkpoint_every: 100,
            validate_every: 250,
            overlap_px: 32,
            flat_field: false,
            score_window_px: None,
            recipe: Recipe {
                tile: TileSize::square(128),
                resize: false,
                resize_filter: ResizeFilter::Bilinear,
                batch: 8,
                steps: 5000,
                learning_rate: learning_rate_of(16),
                seed: 0,
                simulation: Preset::Structural,
                hold_out: 0.1,
                textures: None,
                product: None,
                patience: 0,
                network: NetworkSpec::official(16, 8),
            },
        }
    }
}

/// Whether a bundle can hold these networks.
///
/// # Errors
/// How large it would be.
pub fn check_network(network: NetworkSpec) -> Result<(), ConfigError> {
    check_size(network).map_err(|what| ConfigError::Value {
        key: "network",
        value: format!("{network} ({what})"),
        rule: "take narrower networks",
    })
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    #[error("config.toml: {0}")]
    Unreadable(String),
    #[error("config.toml has schema {0}; this program reads schema {CONFIG_SCHEMA}")]
    Schema(u32),
    #[error("{key} = {value}: {rule}")]
    Value {
        key: &'static str,
        value: String,
        rule: &'static str,
    },
}

impl FitConfig {
    /// Reads and checks `config.toml`.
    ///
    /// # Errors
    /// Names the key that is unknown, missing or out of range.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Unreadable(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// Where a value has no TOML form, such as a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|error| ConfigError::Unreadable(error.to_string()))
    }

    /// Whether there are validations to be patient about; `unjudged` where no good picture is held out.
    ///
    /// # Errors
    /// There is patience without validations.
    pub fn check_patience(&self, unjudged: bool) -> Result<(), ConfigError> {
        match self.recipe.patience > 0 && (unjudged || self.validate_every == 0) {
            false => Ok(()),
            true => Err(ConfigError::Value {
                key: "patience",
                value: self.recipe.patience.to_string(),
                rule: "needs validations: --hold-out and --validate-every above 0",
            }),
        }
    }

    /// Whether `config.toml`, which is UTF-8, can hold all paths.
    ///
    /// # Errors
    /// The first that it cannot.
    pub fn check_paths(&self) -> Result<(), ConfigError> {
        let recipe = &self.recipe;
        let masks = match &recipe.product {
            Some(Product::Masks(path)) => Some(path),
            Some(Product::Auto) | None => None,
        };
        let paths = [
            ("pictures", Some(&self.pictures)),
            ("textures", recipe.textures.as_ref()),
            ("product", masks),
        ];
        let bad = (paths.into_iter())
            .find_map(|(key, path)| Some((key, path?)).filter(|(_, path)| path.to_str().is_none()));
        match bad {
            None => Ok(()),
            Some((key, path)) => Err(ConfigError::Value {
                key,
                value: format!("'{}'", path.display()),
                rule: "a path in UTF-8, for config.toml holds no other: rename the folder",
            }),
        }
    }

    /// Whether every value can be used.
    ///
    /// # Errors
    /// The first key that cannot, with the rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        let recipe = &self.recipe;
        let tile = recipe.tile;
        let rule = |holds: bool, key, value: String, rule| match holds {
            true => Ok(()),
            false => Err(ConfigError::Value { key, value, rule }),
        };
        if self.schema != CONFIG_SCHEMA {
            return Err(ConfigError::Schema(self.schema));
        }
        let (rec, seg) = (
            recipe.network.reconstructive_width,
            recipe.network.discriminative_width,
        );
        let share = recipe.hold_out;
        let rate = recipe.learning_rate;
        self.check_paths()?;
        recipe.check_tile()?;
        for (key, value) in [
            ("seed", recipe.seed),
            ("steps", recipe.steps),
            ("patience", recipe.patience),
            ("checkpoint-every", self.checkpoint_every),
            ("validate-every", self.validate_every),
        ] {
            rule(
                value <= GREATEST_INTEGER,
                key,
                value.to_string(),
                "at most 9223372036854775807, the greatest integer of TOML; a run that has a greater one must be \
                 trained anew with another",
            )?;
        }
        for (key, width) in [("reconstructive-width", rec), ("discriminative-width", seg)] {
            let holds = (1..=1024).contains(&width);
            rule(holds, key, width.to_string(), "1 to 1024")?;
        }
        rule(
            (1..=OFFICIAL_POOLINGS).contains(&recipe.network.reconstructive_poolings),
            "reconstructive-poolings",
            recipe.network.reconstructive_poolings.to_string(),
            "1 to 4",
        )?;
        check_network(recipe.network)?;
        rule(
            (1..=1024).contains(&recipe.batch),
            "batch",
            recipe.batch.to_string(),
            "1 to 1024",
        )?;
        let cards = device::count(&self.device);
        // Batch norm takes mean and variance over these; of a single value the variance is nothing.
        let deepest_values = recipe.batch / cards * (tile.area() >> (2 * DEEPEST_POOLINGS));
        rule(
            deepest_values >= 2,
            "batch",
            recipe.batch.to_string(),
            "a tile of 32x32 px is a single value where the networks are deepest, and their norms need two: at least 2 \
             tiles for every card, or larger tiles",
        )?;
        rule(
            recipe.steps > 0,
            "steps",
            recipe.steps.to_string(),
            "at least 1",
        )?;
        rule(
            rate > 0.0 && rate <= 1.0,
            "learning-rate",
            rate.to_string(),
            "above 0, at most 1",
        )?;
        rule(
            (0.0..=0.9).contains(&share),
            "hold-out",
            share.to_string(),
            "0 to 0.9",
        )?;
        rule(
            self.overlap_px <= tile.most_overlap_px(),
            "overlap",
            self.overlap_px.to_string(),
            "at most half of the tile's smaller side",
        )?;
        rule(
            (1..=1024).contains(&self.threads),
            "threads",
            self.threads.to_string(),
            "1 to 1024",
        )?;
        rule(
            self.checkpoint_every > 0,
            "checkpoint-every",
            self.checkpoint_every.to_string(),
            "at least 1",
        )
    }
}

impl FitConfig {
    /// What a bundle of the one run and of the other differ in: the recipe's keys, and what the bundle says besides.
    /// For people; empty where they are equal.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = self.recipe.differences(&other.recipe);
        let window = |config: &Self| match config.score_window_px {
            Some(window) => window.side_px().to_string(),
            None => "auto".to_owned(),
        };
        let rest = |config: &Self| {
            [
                ("name", config.name.clone()),
                ("overlap_px", config.overlap_px.to_string()),
                ("flat_field", config.flat_field.to_string()),
                ("score_window_px", window(config)),
            ]
        };
        for ((key, mine), (_, theirs)) in rest(self).into_iter().zip(rest(other)) {
            if mine != theirs {
                found.push(format!("{key} is {mine}, was {theirs}"));
            }
        }
        found
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Recipe {
    /// Whether tiles have sides that can be used.
    ///
    /// # Errors
    /// The rule that they break.
    pub fn check_tile(&self) -> Result<(), ConfigError> {
        let tile = self.tile;
        match tile.is_valid() {
            true => Ok(()),
            false => Err(ConfigError::Value {
                key: "tile",
                value: format!("{}x{}", tile.width_px, tile.height_px),
                rule: "sides must be multiples of 32, such as 128, of at most 1024",
            }),
        }
    }

    /// Keys whose values differ, with both values, for people; empty where the recipes are equal. Of textures and masks
    /// not their place but their contents count, which a recipe does not hold.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut moved = self.clone();
        if let (Some(place), Some(other)) = (&mut moved.textures, &other.textures) {
            place.clone_from(other);
        }
        if let (Some(Product::Masks(place)), Some(Product::Masks(other))) =
            (&mut moved.product, &other.product)
        {
            place.clone_from(other);
        }
        if moved == *other {
            return found;
        }
        let (mine, theirs) = (moved.flat(), other.flat());
        for (key, value) in &mine {
            let counterpart = theirs.iter().find(|(name, _)| name == key).map(|(_, v)| v);
            if counterpart != Some(value) {
                let theirs = counterpart.map_or("absent", String::as_str);
                found.push(format!("{key} is {value}, was {theirs}"));
            }
        }
        for (key, value) in theirs {
            if mine.iter().all(|(name, _)| *name != key) {
                found.push(format!("{key} is absent, was {value}"));
            }
        }
        if found.is_empty() {
            found.push("a value that TOML cannot hold".to_owned());
        }
        found
    }

    /// `section.key` and value of every setting.
    fn flat(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        if let Ok(toml::Value::Table(table)) = toml::Value::try_from(self) {
            flatten("", &table, &mut out);
        }
        out
    }
}

fn flatten(prefix: &str, table: &toml::Table, out: &mut Vec<(String, String)>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => flatten(&format!("{prefix}{key}."), inner, out),
            other => out.push((format!("{prefix}{key}"), other.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_back_as_written() {
        let mut config = FitConfig::default();
        config.recipe.textures = Some("t".into());
        config.recipe.learning_rate = 3.3e-5;
        let text = config.to_toml().expect("serialisable");
        assert_eq!(FitConfig::from_toml(&text), Ok(config));
    }

    #[test]
    fn a_run_from_before_filters_goes_on_bilinear() {
        let mut config = FitConfig::default();
        config.recipe.resize = true;
        config.recipe.resize_filter = ResizeFilter::Antialiased;
        let text = config.to_toml().expect("serialisable");
        let before = text.replace("resize_filter = \"antialiased\"\n", "");
        assert_ne!(before, text);
        let read = FitConfig::from_toml(&before).expect("an older file");
        assert_eq!(read.recipe.whole_pictures(), Some(ResizeFilter::Bilinear));
    }

    #[test]
    fn the_authors_width_gets_the_authors_rate() {
        assert_eq!(learning_rate_of(128), 1e-4);
        assert_eq!(learning_rate_of(16), 8e-4);
        assert_eq!(FitConfig::default().recipe.learning_rate, 8e-4);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let text = FitConfig::default().to_toml().expect("serialisable");
        let error = FitConfig::from_toml(&text.replace("batch =", "bach ="))
            .expect_err("unknown key")
            .to_string();
        assert!(error.contains("bach"), "{error}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        type Edit = fn(&mut FitConfig);
        let edits: [(&str, Edit); 10] = [
            ("seed", |c| c.recipe.seed = u64::MAX),
            ("validate-every", |c| c.validate_every = 1 << 63),
            ("tile", |c| c.recipe.tile = TileSize::square(2048)),
            ("batch", |c| {
                (c.recipe.tile, c.overlap_px, c.recipe.batch) = (TileSize::square(32), 8, 1);
            }),
            ("batch", |c| {
                (c.recipe.tile, c.overlap_px, c.recipe.batch) = (TileSize::square(32), 8, 2);
                c.device = "cuda:0,1".to_owned();
            }),
            ("tile", |c| c.recipe.tile = TileSize::square(100)),
            ("hold-out", |c| c.recipe.hold_out = f64::NAN),
            ("steps", |c| c.recipe.steps = 0),
            ("learning-rate", |c| c.recipe.learning_rate = f64::INFINITY),
            ("overlap", |c| c.overlap_px = 128),
        ];
        for (key, edit) in edits {
            let mut config = FitConfig::default();
            edit(&mut config);
            let error = config.check().expect_err(key).to_string();
            assert!(error.starts_with(key), "{error}");
        }
        let mut least = FitConfig::default();
        (least.overlap_px, least.recipe.batch) = (8, 1);
        least.recipe.tile = TileSize {
            width_px: 64,
            height_px: 32,
        };
        assert_eq!(least.check(), Ok(()));
    }

    #[test]
    fn networks_whose_bundle_nothing_reads_are_refused() {
        let with = |network| {
            let mut config = FitConfig::default();
            config.recipe.network = network;
            config.check()
        };
        assert_eq!(with(NetworkSpec::official(128, 64)), Ok(()));
        assert_eq!(with(NetworkSpec::official(208, 103)), Ok(()));
        for (rec, seg) in [(256, 8), (8, 256), (1024, 1024)] {
            let error = with(NetworkSpec::official(rec, seg)).expect_err("too large");
            let error = error.to_string();
            let start = format!("network = {rec}/{seg} (");
            assert!(error.starts_with(&start), "{error}");
            for part in ["no bundle of more than 1024 MiB", "narrower networks"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn differing_keys_are_listed() {
        let first = FitConfig::default().recipe;
        let mut second = first.clone();
        second.seed = 7;
        second.network.discriminative_width = 16;
        second.textures = Some("dtd".into());
        let found = first.differences(&second);
        assert_eq!(
            found,
            [
                "network.discriminative_width is 8, was 16",
                "seed is 0, was 7",
                "textures is absent, was \"dtd\"",
            ]
        );
        assert!(first.differences(&first.clone()).is_empty());
        let moved = Recipe {
            textures: Some("elsewhere".into()),
            ..second.clone()
        };
        assert!(moved.differences(&second).is_empty());
        let on = |product: &str| Recipe {
            product: Some(Product::from(product.to_owned())),
            ..second.clone()
        };
        assert!(on("masks").differences(&on("elsewhere")).is_empty());
        assert_eq!(
            on("masks").differences(&on("auto")),
            ["product is \"masks\", was \"auto\""]
        );

        let first = FitConfig::default();
        let mut second = FitConfig {
            threads: first.threads + 1,
            ..first.clone()
        };
        assert!(second.differences(&first).is_empty());
        second.score_window_px = Window::new(3).ok();
        second.flat_field = true;
        assert_eq!(
            second.differences(&first),
            [
                "flat_field is true, was false",
                "score_window_px is 3, was auto"
            ]
        );
    }

    /// Of a checkpoint from before such seeds were refused.
    #[test]
    fn recipes_that_toml_cannot_hold_differ_all_the_same() {
        let first = Recipe {
            seed: u64::MAX,
            ..FitConfig::default().recipe
        };
        let second = Recipe {
            batch: first.batch + 1,
            ..first.clone()
        };
        assert!(!first.differences(&second).is_empty());
        assert!(first.differences(&first.clone()).is_empty());
    }
}
