//! Camera settings under the names of GenICam's Standard Features Naming Convention (SFNC 2.7), set
//! as V4L2 controls and read back.

use super::V4l2Spec;
use super::error::DeviceError;
use super::format::set_line_rate;
use super::sys::{G_CTRL, Node, Plain, QUERY_EXT_CTRL, QUERYMENU, S_CTRL};
use serde::{Deserialize, Serialize};
use v4l::v4l_sys as sys;

/// A value as the configuration gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ControlValue {
    Bool(bool),
    Integer(i64),
    Number(f64),
    /// An item of a menu, by its name.
    Item(String),
}

impl std::fmt::Display for ControlValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ControlValue::Bool(value) => write!(f, "{value}"),
            ControlValue::Integer(value) => write!(f, "{value}"),
            ControlValue::Number(value) => write!(f, "{value}"),
            ControlValue::Item(name) => write!(f, "\"{name}\""),
        }
    }
}

/// What a feature of SFNC is to V4L2.
#[derive(Debug, Clone, Copy)]
struct Feature {
    name: &'static str,
    /// The first of these that the camera has is set.
    controls: &'static [u32],
    value: Conversion,
}

/// From SFNC's value to V4L2's.
#[derive(Debug, Clone, Copy)]
enum Conversion {
    /// The driver's own unit.
    Same,
    /// From microseconds to V4L2's hundreds of microseconds.
    Us,
    /// SFNC's words and V4L2's number for each.
    Words(&'static [(&'static str, i64)]),
}

/// All features, in the order in which they are set: what is automatic first, since it holds others.
const FEATURES: &[Feature] = &[
    Feature {
        name: "ExposureAuto",
        controls: &[sys::V4L2_CID_EXPOSURE_AUTO],
        value: Conversion::Words(&[("Off", 1), ("Continuous", 0)]),
    },
    Feature {
        name: "GainAuto",
        controls: &[sys::V4L2_CID_AUTOGAIN],
        value: Conversion::Words(&[("Off", 0), ("Continuous", 1)]),
    },
    Feature {
        name: "BalanceWhiteAuto",
        controls: &[sys::V4L2_CID_AUTO_WHITE_BALANCE],
        value: Conversion::Words(&[("Off", 0), ("Continuous", 1)]),
    },
    Feature {
        name: "ExposureTime",
        controls: &[sys::V4L2_CID_EXPOSURE_ABSOLUTE],
        value: Conversion::Us,
    },
    Feature {
        name: "Gain",
        controls: &[sys::V4L2_CID_ANALOGUE_GAIN, sys::V4L2_CID_GAIN],
        value: Conversion::Same,
    },
    Feature {
        name: "BlackLevel",
        controls: &[sys::V4L2_CID_BLACK_LEVEL],
        value: Conversion::Same,
    },
    Feature {
        name: "Gamma",
        controls: &[sys::V4L2_CID_GAMMA],
        value: Conversion::Same,
    },
    Feature {
        name: "ReverseX",
        controls: &[sys::V4L2_CID_HFLIP],
        value: Conversion::Same,
    },
    Feature {
        name: "TestPattern",
        controls: &[sys::V4L2_CID_TEST_PATTERN],
        value: Conversion::Same,
    },
];

/// Set by the time from block to block, not by a control.
const LINE_RATE: &str = "AcquisitionLineRate";

/// In front of a control's own name, as `v4l2-ctl --list-ctrls` or the driver gives it.
const RAW: &str = "v4l2:";

/// Sets everything that the configuration names, and reads it back.
pub(super) fn set_all(node: &Node, spec: &V4l2Spec) -> Result<(), DeviceError> {
    if spec.controls.is_empty() {
        return Ok(());
    }
    let controls = Control::all(node);
    for feature in FEATURES {
        if let Some(value) = spec.controls.get(feature.name) {
            let control = feature
                .controls
                .iter()
                .find_map(|id| controls.iter().find(|control| control.id == *id))
                .ok_or_else(|| no_control(spec, feature.name, &controls))?;
            set(node, spec, feature.name, control, value, feature.value)?;
        }
    }
    for (name, value) in &spec.controls {
        if name == LINE_RATE {
            let rate = match value {
                ControlValue::Integer(rate) => *rate as f64,
                ControlValue::Number(rate) => *rate,
                _ => f64::NAN,
            };
            if !(rate > 0.0 && rate <= 1e6) {
                return Err(bad_value(
                    spec,
                    name,
                    value,
                    "give lines per second, above 0 and at most 1000000".to_owned(),
                ));
            }
            set_line_rate(node, spec, rate)?;
        } else if let Some(raw) = name.strip_prefix(RAW) {
            let control = controls
                .iter()
                .find(|control| same_name(&control.name, raw))
                .ok_or_else(|| no_control(spec, name, &controls))?;
            set(node, spec, name, control, value, Conversion::Same)?;
        } else if !FEATURES.iter().any(|feature| feature.name == name) {
            return Err(no_control(spec, name, &controls));
        }
    }
    Ok(())
}

/// `Exposure Time, Absolute` and `exposure_time_absolute` are the same.
fn same_name(driver: &str, asked: &str) -> bool {
    let words = |name: &str| -> Vec<String> {
        name.split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect()
    };
    words(driver) == words(asked)
}

/// A control of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Control {
    id: u32,
    kind: u32,
    name: String,
    minimum: i64,
    maximum: i64,
    step: u64,
    flags: u32,
}

impl Control {
    /// All that hold one value of up to 32 bits.
    fn all(node: &Node) -> Vec<Self> {
        let mut found = Vec::new();
        let mut query = sys::v4l2_query_ext_ctrl::zeroed();
        loop {
            query.id |= sys::V4L2_CTRL_FLAG_NEXT_CTRL;
            if node.call(QUERY_EXT_CTRL, &mut query).is_err() {
                return found;
            }
            let name: Vec<u8> = query.name.iter().map(|&letter| letter as u8).collect();
            let end = name.iter().position(|&letter| letter == 0);
            let usable = matches!(
                query.type_,
                sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER
                    | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN
                    | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU
                    | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU
                    | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK
                    | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON
            );
            if usable && query.flags & sys::V4L2_CTRL_FLAG_DISABLED == 0 && query.elems <= 1 {
                found.push(Self {
                    id: query.id,
                    kind: query.type_,
                    name: String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]).into_owned(),
                    minimum: query.minimum,
                    maximum: query.maximum,
                    step: query.step,
                    flags: query.flags,
                });
            }
        }
    }

    fn is_menu(&self) -> bool {
        self.kind == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU
    }

    /// Items of the menu with their numbers.
    fn items(&self, node: &Node) -> Vec<(i64, String)> {
        let mut items = Vec::new();
        for index in self.minimum.max(0)..=self.maximum.min(255) {
            let mut menu = sys::v4l2_querymenu {
                id: self.id,
                index: index as u32,
                ..Plain::zeroed()
            };
            // Menus have holes.
            if self.is_menu() && node.call(QUERYMENU, &mut menu).is_ok() {
                // Copied out, since the structure is packed.
                let menu = menu.__bindgen_anon_1;
                // SAFETY: the union holds bytes or a number, and any bytes are a name.
                let name = unsafe { menu.name };
                let end = name.iter().position(|&letter| letter == 0);
                let name = String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]);
                items.push((index, name.into_owned()));
            }
        }
        items
    }

    /// What it takes, for people.
    fn takes(&self, node: &Node) -> String {
        if self.is_menu() {
            let items = self.items(node).into_iter();
            let items: Vec<String> = items
                .map(|(number, name)| format!("{number} \"{name}\""))
                .collect();
            return format!("it takes {}", items.join(", "));
        }
        let step = match self.step {
            0 | 1 => String::new(),
            step => format!(" in steps of {step}"),
        };
        format!("it takes {}..={}{step}", self.minimum, self.maximum)
    }
}

fn set(
    node: &Node,
    spec: &V4l2Spec,
    name: &str,
    control: &Control,
    value: &ControlValue,
    conversion: Conversion,
) -> Result<(), DeviceError> {
    let number = number(value, conversion, &control.items(node)).ok_or_else(|| {
        let takes = match conversion {
            Conversion::Words(words) => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                format!("it takes {}", words.join(" or "))
            }
            Conversion::Us => format!(
                "it takes {}..={} in steps of 100 (microseconds)",
                control.minimum.saturating_mul(100),
                control.maximum.saturating_mul(100)
            ),
            Conversion::Same => control.takes(node),
        };
        bad_value(spec, name, value, takes)
    })?;
    let mut order = sys::v4l2_control {
        id: control.id,
        value: number,
    };
    node.call(S_CTRL, &mut order).map_err(|error| {
        let held = if control.flags & sys::V4L2_CTRL_FLAG_GRABBED != 0 {
            "; another program holds it"
        } else {
            ""
        };
        bad_value(
            spec,
            name,
            value,
            format!("{error}; {}{held}", control.takes(node)),
        )
    })?;
    let write_only = control.flags & sys::V4L2_CTRL_FLAG_WRITE_ONLY != 0;
    if write_only || control.kind == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON {
        return Ok(());
    }
    let mut given = sys::v4l2_control {
        id: control.id,
        value: 0,
    };
    node.call(G_CTRL, &mut given).map_err(|error| {
        bad_value(
            spec,
            name,
            value,
            format!("it cannot be read back: {error}"),
        )
    })?;
    if given.value != number {
        return Err(DeviceError::Other {
            key: format!("controls.{name}"),
            device: spec.device.clone(),
            asked: shown(number, conversion),
            given: shown(given.value, conversion),
            hint: if control.flags & sys::V4L2_CTRL_FLAG_VOLATILE == 0 {
                format!("{}; set one of these", control.takes(node))
            } else {
                "the camera sets it by itself; set ExposureAuto or GainAuto to \"Off\"".to_owned()
            },
        });
    }
    Ok(())
}

/// The number that the driver takes; `None` where there is none for this value.
fn number(value: &ControlValue, conversion: Conversion, items: &[(i64, String)]) -> Option<i32> {
    let number = match (conversion, value) {
        (Conversion::Words(words), ControlValue::Item(word)) => {
            words.iter().find(|(known, _)| known == word)?.1
        }
        (Conversion::Words(_), _) => return None,
        (Conversion::Us, ControlValue::Integer(us)) if us % 100 == 0 => us / 100,
        (Conversion::Us, ControlValue::Number(us)) if us % 100.0 == 0.0 => (us / 100.0) as i64,
        (Conversion::Us, _) => return None,
        (Conversion::Same, ControlValue::Bool(value)) => i64::from(*value),
        (Conversion::Same, ControlValue::Integer(value)) => *value,
        (Conversion::Same, ControlValue::Number(value)) if value.fract() == 0.0 => *value as i64,
        (Conversion::Same, ControlValue::Item(name)) => {
            items
                .iter()
                .find(|(_, item)| item.eq_ignore_ascii_case(name))?
                .0
        }
        (Conversion::Same, ControlValue::Number(_)) => return None,
    };
    i32::try_from(number).ok()
}

fn shown(number: i32, conversion: Conversion) -> String {
    match conversion {
        Conversion::Same => number.to_string(),
        Conversion::Us => format!("{} us", i64::from(number) * 100),
        Conversion::Words(words) => words
            .iter()
            .find(|(_, known)| *known == i64::from(number))
            .map_or_else(|| number.to_string(), |(word, _)| (*word).to_owned()),
    }
}

fn bad_value(spec: &V4l2Spec, name: &str, value: &ControlValue, reason: String) -> DeviceError {
    DeviceError::Value {
        device: spec.device.clone(),
        name: name.to_owned(),
        asked: value.to_string(),
        reason,
    }
}

fn no_control(spec: &V4l2Spec, name: &str, controls: &[Control]) -> DeviceError {
    let known = FEATURES.iter().filter(|feature| {
        let mut ids = feature.controls.iter();
        ids.any(|id| controls.iter().any(|control| control.id == *id))
    });
    let mut has: Vec<String> = known.map(|feature| feature.name.to_owned()).collect();
    has.push(LINE_RATE.to_owned());
    has.extend(
        controls
            .iter()
            .map(|control| format!("{RAW}{}", control.name)),
    );
    DeviceError::NoControl {
        device: spec.device.clone(),
        name: name.to_owned(),
        has: has.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_converted_or_refused() {
        let words = FEATURES[0].value;
        let item = |name: &str| ControlValue::Item(name.to_owned());
        let menu = [(0, "Disabled".to_owned()), (3, "Grey Ramp".to_owned())];
        for (value, conversion, expected) in [
            (ControlValue::Integer(1500), Conversion::Us, Some(15)),
            (ControlValue::Number(1500.0), Conversion::Us, Some(15)),
            (ControlValue::Integer(1550), Conversion::Us, None),
            (item("Off"), words, Some(1)),
            (item("Once"), words, None),
            (ControlValue::Integer(1), words, None),
            (ControlValue::Bool(true), Conversion::Same, Some(1)),
            (ControlValue::Integer(-3), Conversion::Same, Some(-3)),
            (ControlValue::Integer(1 << 40), Conversion::Same, None),
            (ControlValue::Number(0.5), Conversion::Same, None),
            (item("grey ramp"), Conversion::Same, Some(3)),
            (item("Blue"), Conversion::Same, None),
        ] {
            assert_eq!(
                number(&value, conversion, &menu),
                expected,
                "{value} {conversion:?}"
            );
        }
    }

    #[test]
    fn drivers_names_may_be_written_as_their_tools_do() {
        assert!(same_name(
            "Exposure Time, Absolute",
            "exposure_time_absolute"
        ));
        assert!(same_name(
            "Inject V4L2_BUF_FLAG_ERROR",
            "Inject V4L2_BUF_FLAG_ERROR"
        ));
        assert!(!same_name("Gain", "Gain, Automatic"));
    }

    #[test]
    fn every_feature_is_named_once() {
        let mut names: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
        names.push(LINE_RATE);
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
