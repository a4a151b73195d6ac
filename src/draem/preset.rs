//! Networks by name.

use super::NetworkSpec;

/// Networks that were found to be worth their cost, on `fabric_04_tile` (`docs/design/network.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkPreset {
    /// 8/4 with two poolings: less than a fifth of the cost of `Accurate`.
    Fast,
    /// 16/8 with two poolings: seven tenths of it, and fine textures are repainted.
    Balanced,
    /// 16/8 with the authors' four poolings.
    Accurate,
}

impl NetworkPreset {
    /// Least cost first.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Balanced, Self::Accurate];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Accurate => "accurate",
        }
    }

    /// The networks.
    pub const fn spec(self) -> NetworkSpec {
        match self {
            Self::Fast => NetworkSpec {
                reconstructive_poolings: 2,
                ..NetworkSpec::official(8, 4)
            },
            Self::Balanced => NetworkSpec {
                reconstructive_poolings: 2,
                ..NetworkSpec::official(16, 8)
            },
            Self::Accurate => NetworkSpec::official(16, 8),
        }
    }
}

impl std::str::FromStr for NetworkPreset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |preset: &Self| preset.name() == text;
        let found = Self::ALL.into_iter().find(named);
        found.ok_or_else(|| "must be fast, balanced or accurate".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cost;
    use super::*;
    use crate::geometry::TileSize;

    #[test]
    fn each_costs_what_its_description_says() {
        let macs = |preset: NetworkPreset| Cost::of(preset.spec(), TileSize::square(128)).macs();
        let [fast, balanced, accurate] = NetworkPreset::ALL.map(macs);
        let share = |part: u64| part as f64 / accurate as f64;
        assert!((0.15..0.2).contains(&share(fast)), "{}", share(fast));
        assert!(
            (0.68..0.74).contains(&share(balanced)),
            "{}",
            share(balanced)
        );
    }

    #[test]
    fn names_are_read_back() {
        for preset in NetworkPreset::ALL {
            assert_eq!(preset.name().parse(), Ok(preset));
        }
        assert!("quick".parse::<NetworkPreset>().is_err());
    }
}
