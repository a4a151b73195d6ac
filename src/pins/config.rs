//! `[pins]` of a station's TOML: which lines are what.

use super::{CountedEdges, Output};
use serde::{Deserialize, Serialize};

/// The wires. Without `reject`, outputs are only recorded; without `encoder`, the web's
/// position comes from a live camera's lines, or is that of the configured belt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PinsConfig {
    /// Energised: web is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject: Option<OutputConfig>,
    /// Energised: the station inspects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<OutputConfig>,
    /// Changes with every verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<OutputConfig>,
    /// Rises when the ejector has rejected; `reject.confirm` says by when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<ConfirmPin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderConfig>,
}

impl PinsConfig {
    /// The configured outputs.
    pub fn outputs(&self) -> impl Iterator<Item = (Output, &OutputConfig)> {
        [
            (Output::Reject, &self.reject),
            (Output::Ready, &self.ready),
            (Output::Heartbeat, &self.heartbeat),
        ]
        .into_iter()
        .filter_map(|(output, config)| config.as_ref().map(|config| (output, config)))
    }

    /// All configured lines with what they are for.
    pub fn lines(&self) -> Vec<(&'static str, LineConfig)> {
        let mut lines: Vec<_> = self
            .outputs()
            .map(|(output, config)| (output.word(), config.at()))
            .collect();
        lines.extend(self.confirm.iter().map(|pin| ("confirm", pin.at())));
        if let Some(EncoderConfig::Gpio { a, b, .. }) = &self.encoder {
            lines.push(("encoder.a", a.clone()));
            lines.extend(b.iter().map(|b| ("encoder.b", b.clone())));
        }
        lines
    }

    /// Settings that contradict each other, and what to change.
    ///
    /// # Errors
    /// The first of them.
    pub fn validate(&self) -> Result<(), String> {
        if self.reject.is_none()
            && (self.ready.is_some() || self.heartbeat.is_some() || self.confirm.is_some())
        {
            return Err(
                "pins.ready, pins.heartbeat and pins.confirm need pins.reject; name the line of the ejector"
                    .to_owned(),
            );
        }
        let mut used: Vec<(&str, LineConfig)> = Vec::new();
        for (role, line) in self.lines() {
            line.validate()
                .map_err(|why| format!("pins.{role}: {why}"))?;
            if let Some((other, _)) = used.iter().find(|(_, used)| used.names_same(&line)) {
                return Err(format!(
                    "pins.{role} and pins.{other} are the same line {line}; give each its own"
                ));
            }
            used.push((role, line));
        }
        match &self.encoder {
            Some(EncoderConfig::ByTime { counts_per_s })
                if !(*counts_per_s > 0.0 && counts_per_s.is_finite()) =>
            {
                Err(format!(
                    "pins.encoder.counts_per_s is {counts_per_s}; give the web's speed, above 0"
                ))
            }
            Some(EncoderConfig::Gpio {
                kernel_events: 1025..,
                ..
            }) => Err(
                "pins.encoder.kernel_events is above 1024, the most that the kernel keeps"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

/// Which line of which chip: a name that only one line has, or a chip and a number on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LineConfig {
    /// As `blemish board lines` lists it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// `gpiochip0`, or the chip's label such as `pinctrl-bcm2711`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// Number of the line on `chip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
}

impl LineConfig {
    fn validate(&self) -> Result<(), String> {
        match (&self.line, &self.chip, self.offset) {
            (Some(_), _, None) | (None, Some(_), Some(_)) => Ok(()),
            _ => Err("give line = \"NAME\", or chip = \"gpiochip0\" and offset = N".to_owned()),
        }
    }

    fn names_same(&self, other: &Self) -> bool {
        self == other || (self.line.is_some() && self.line == other.line && self.chip == other.chip)
    }
}

impl std::fmt::Display for LineConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.line, &self.chip, self.offset) {
            (Some(line), Some(chip), _) => write!(f, "\"{line}\" of {chip}"),
            (Some(line), None, _) => write!(f, "\"{line}\""),
            (None, Some(chip), Some(offset)) => write!(f, "{offset} of {chip}"),
            _ => f.write_str("without a name"),
        }
    }
}

/// An output; its first three keys are those of [`LineConfig`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
    /// Energised is low. Its undriven state, by an external pull, must still be without energy.
    pub active_low: bool,
    pub drive: Drive,
    pub bias: Bias,
}

impl OutputConfig {
    /// Which line it is.
    pub fn at(&self) -> LineConfig {
        LineConfig {
            line: self.line.clone(),
            chip: self.chip.clone(),
            offset: self.offset,
        }
    }
}

/// The ejector's confirmation; its first three keys are those of [`LineConfig`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfirmPin {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
    /// It falls when the ejector has rejected.
    pub active_low: bool,
    pub bias: Bias,
    /// A level counts once it has lasted so long; 0 for none.
    pub debounce_us: u32,
}

impl ConfirmPin {
    /// Which line it is.
    pub fn at(&self) -> LineConfig {
        LineConfig {
            line: self.line.clone(),
            chip: self.chip.clone(),
            offset: self.offset,
        }
    }
}

/// How an output drives its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drive {
    #[default]
    PushPull,
    OpenDrain,
    OpenSource,
}

/// The chip's own resistor, while the line is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// As the chip has it.
    #[default]
    AsIs,
    PullUp,
    PullDown,
    Disabled,
}

/// Where the web's position comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub enum EncoderConfig {
    /// Edges on one line, or on two lines of one chip.
    Gpio {
        a: LineConfig,
        /// The second channel of a quadrature encoder. Without it a web that runs back counts up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        b: Option<LineConfig>,
        /// Edges of a single channel that count; with two channels all do.
        #[serde(default)]
        edges: CountedEdges,
        /// The encoder counts down while the web runs forward.
        #[serde(default)]
        reversed: bool,
        /// A level counts once it has lasted so long; 0 for none.
        #[serde(default)]
        debounce_us: u32,
        /// Edges that the kernel keeps while nobody reads, at most 1024.
        #[serde(default = "kernel_events")]
        kernel_events: u32,
        #[serde(default)]
        active_low: bool,
        #[serde(default)]
        bias: Bias,
    },
    /// A web of constant speed.
    ByTime { counts_per_s: f64 },
}

const fn kernel_events() -> u32 {
    1024
}

impl Output {
    /// As the configuration spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Output::Reject => "reject",
            Output::Ready => "ready",
            Output::Heartbeat => "heartbeat",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match toml::from_str::<PinsConfig>(text) {
            Ok(config) => config.validate().err().unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn lines_go_by_name_or_by_chip_and_number() {
        let config: PinsConfig = toml::from_str(
            r#"
            reject = { line = "REJECT", bias = "pull_down" }
            ready = { chip = "gpiochip0", offset = 17, active_low = true }
            encoder = { kind = "gpio", a = { line = "ENC_A" }, debounce_us = 5 }
            "#,
        )
        .unwrap();
        assert_eq!(config.validate(), Ok(()));
        let words: Vec<&str> = config.outputs().map(|(output, _)| output.word()).collect();
        assert_eq!(words, ["reject", "ready"]);
        let again: PinsConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        for (text, word) in [
            ("ready = { line = \"R\" }", "need pins.reject"),
            ("confirm = { line = \"C\" }", "need pins.reject"),
            (
                "reject = { line = \"A\" }\nconfirm = { line = \"A\" }",
                "pins.confirm and pins.reject are the same",
            ),
            ("reject = { chip = \"gpiochip0\" }", "offset = N"),
            ("reject = { line = \"A\", offset = 3 }", "offset = N"),
            (
                "reject = { line = \"A\" }\nready = { line = \"A\" }",
                "same line \"A\"",
            ),
            (
                "reject = { line = \"A\" }\nencoder = { kind = \"gpio\", a = { line = \"A\" } }",
                "pins.encoder.a and pins.reject",
            ),
            (
                "encoder = { kind = \"by_time\", counts_per_s = 0.0 }",
                "above 0",
            ),
            (
                "encoder = { kind = \"gpio\", a = { line = \"A\" }, kernel_events = 2000 }",
                "above 1024",
            ),
            ("reject = { line = \"A\", pull = \"up\" }", "unknown field"),
            (
                "encoder = { kind = \"gpio\", a = { name = \"A\" } }",
                "unknown field",
            ),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(word), "{text}: {refusal}");
        }
    }
}
