//! Values of `--set`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// The length of a dimension, or the value of an input of one element; `true` and `false` are 1 and 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting(pub f64);

impl Setting {
    /// The length of a dimension, if it is one.
    pub fn length(self) -> Option<usize> {
        let whole = self.0 >= 0.0 && self.0.fract() == 0.0 && self.0 <= f64::from(u32::MAX);
        whole.then_some(self.0 as usize)
    }
}

impl From<usize> for Setting {
    fn from(n: usize) -> Self {
        Setting(n as f64)
    }
}

/// A setting as `--set` takes it: in quotes where a shell would take the name apart.
pub(crate) fn setting(name: &str, value: impl fmt::Display) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-+.,:/@%".contains(c);
    match name.chars().all(plain) {
        true => format!("{name}={value}"),
        false => format!("\"{name}={value}\""),
    }
}

/// A text that is no setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a number, true or false")]
pub struct UnknownSetting(String);

impl FromStr for Setting {
    type Err = UnknownSetting;

    fn from_str(text: &str) -> Result<Self, UnknownSetting> {
        match text {
            "true" => Ok(Setting(1.0)),
            "false" => Ok(Setting(0.0)),
            _ => match text.parse() {
                Ok(value) if f64::is_finite(value) => Ok(Setting(value)),
                _ => Err(UnknownSetting(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only text formats tell numbers and truth values apart.
        match deserializer.is_human_readable() {
            true => deserializer.deserialize_any(Text),
            false => f64::deserialize(deserializer).map(Setting),
        }
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Setting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, true or false")
    }

    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Setting, E> {
        Ok(Setting(v.into()))
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Setting, E> {
        Ok(Setting(v as f64))
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Setting, E> {
        Ok(Setting(v as f64))
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Setting, E> {
        match v.is_finite() {
            true => Ok(Setting(v)),
            false => Err(E::custom(format!("{v} is not finite"))),
        }
    }
}
