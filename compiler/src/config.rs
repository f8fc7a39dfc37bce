//! `nanozk.yaml`: every setting of a compilation.

use crate::setting::Setting;
use crate::tokenizer::End;
use nanozk_ir::int::gumbel;
pub use nanozk_plan::check::MAX_K;
pub use nanozk_plan::cost::Objective as Optimize;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What the model's output is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// All scores.
    #[default]
    Logits,
    /// The index of the greatest score of each token.
    Argmax,
}

/// Who sees the model's input or output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// The verifier knows it.
    #[default]
    Public,
    /// It stays with the prover, behind a commitment.
    Private,
}

/// Circuits of up to `2^EMBEDDED_K` rows are served by an SRS that comes with the program.
pub const EMBEDDED_K: u32 = 14;

/// Those of up to `2^STRONGEST_K` rows by the one under which proofs have the most bits of soundness.
pub const STRONGEST_K: u32 = 12;

/// Settings of a compilation; absent keys take their defaults, unknown keys are errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Lengths of dynamic dimensions, and values of inputs of one element, by name.
    pub set: BTreeMap<String, Setting>,
    /// Names of the model's outputs to keep; all when empty.
    pub outputs: Vec<String>,
    /// What the output is.
    pub head: Head,
    /// Who sees the input.
    pub input: Visibility,
    /// Who sees the output.
    pub output: Visibility,
    /// File of the tokenizer (`tokenizer.json` of Hugging Face); its hash becomes part of the model id.
    pub tokenizer: Option<PathBuf>,
    /// Tokens that end an answer: ids, or tokens as the tokenizer writes them.
    pub end: Vec<End>,
    /// Greatest temperature at which answers can be drawn; absent: they are greedy. For an argmax head.
    pub max_temperature: Option<f64>,
    /// What the layout minimises.
    pub optimize: Optimize,
    /// Largest circuits: `2^max_k` rows, as the SRS that the proofs will have allows. Absent: what costs least, but for
    /// what the SRS of this program serves (14), or serves with more bits of soundness (12), if that costs little more.
    pub max_k: Option<u32>,
    /// Quantisation.
    pub quantise: Quantise,
}

/// Bit widths and tolerances of the quantiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quantise {
    /// Width b of the range table, 8 to 16: activations have b bits, proofs have tables of 2^b entries. Absent: 12, more
    /// where the tolerance asks for it, or down to 8 where that makes the proof of a small model cheaper and keeps
    /// within the narrow tolerance.
    pub limb_bits: Option<u32>,
    /// Largest difference of an output from the source model's on the sample data, as a share of its greatest value. A
    /// model that cannot keep it is refused.
    pub tolerance: f64,
    /// The same, up to which an absent `limb_bits` becomes less than 12: never where it is 0. For circuits that the SRS of
    /// this program serves, three times the difference at 12 bits will do.
    pub narrow_tolerance: f64,
    /// Units per 1.0 of exact sums, inputs and outputs are 2^residual_bits: more where the calibrated values are so small
    /// that they would not keep 18 bits, less where 62 bits would not hold what is computed from them. Absent: 22, or as
    /// fine as normalisations of calibrated values allow.
    pub residual_bits: Option<u32>,
    /// Room above the largest calibrated magnitude where a value must be clamped.
    pub margin: f64,
    /// How much coarser than calibration asks a scale may become to make clamping needless.
    pub coarsest: f64,
    /// Nats that the exponential table covers at least.
    pub exp_range: f64,
    /// Coarsest step of the exponential table in nats that is accepted to save a lookup per score.
    pub exp_step: f64,
    /// Bits of the largest exponential.
    pub exp_bits: u32,
    /// Bits of the reciprocal of the largest sum of exponentials.
    pub mean_bits: u32,
    /// Estimated lookups above which a part of the model without repeated structure is cut into several layers.
    pub layer_lookups: u64,
    /// For activations of two limbs of half of `limb_bits`: functions by comparisons and roots in place of tables. No setting:
    /// the search for widths tries it.
    #[serde(skip)]
    pub compare: bool,
}

impl Default for Quantise {
    fn default() -> Self {
        Quantise {
            limb_bits: None,
            tolerance: 0.02,
            narrow_tolerance: 0.002,
            residual_bits: None,
            margin: 1.5,
            coarsest: 4.0,
            exp_range: 16.0,
            exp_step: 1.0 / 32.0,
            exp_bits: 11,
            mean_bits: 7,
            layer_lookups: 1 << 20,
            compare: false,
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is not a valid configuration.
    #[error("{path}: {source}")]
    Parse {
        /// File, or `configuration`.
        path: String,
        /// Cause, with line and key.
        source: serde_yaml::Error,
    },
    /// A value outside its range.
    #[error("{key} = {value}: must lie within {range}")]
    Value {
        /// Key.
        key: &'static str,
        /// Value.
        value: f64,
        /// Allowed values.
        range: &'static str,
    },
}

impl Config {
    /// Reads and checks a YAML file.
    ///
    /// # Errors
    /// When the file is missing, not YAML, or has an unknown key or a value out of range.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: name.clone(), source })?;
        Self::parse(&text).map_err(|e| match e {
            ConfigError::Parse { source, .. } => ConfigError::Parse { path: name, source },
            other => other,
        })
    }

    /// Parses and checks YAML text; empty text is the default configuration.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let parsed: Option<Config> = serde_yaml::from_str(text).map_err(unreadable)?;
        let config = parsed.unwrap_or_default();
        config.check()?;
        Ok(config)
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first one outside.
    pub fn check(&self) -> Result<(), ConfigError> {
        let max_k = self.max_k.unwrap_or(MAX_K);
        if !(9..=MAX_K).contains(&max_k) {
            return Err(ConfigError::Value { key: "max_k", value: max_k.into(), range: "9..=20" });
        }
        match self.max_temperature {
            Some(value) if gumbel::thousandths(value).is_none() => {
                let range = "0.001..=100, in whole thousandths";
                Err(ConfigError::Value { key: "max_temperature", value, range })
            }
            _ => self.quantise.check(),
        }
    }
}

fn unreadable(source: serde_yaml::Error) -> ConfigError {
    ConfigError::Parse { path: "configuration".into(), source }
}

/// Width of limbs where nothing asks for another.
const LIMB_BITS: u32 = 12;

impl Quantise {
    /// Greatest `exp_bits`.
    pub const GREATEST_EXP_BITS: u32 = 20;
    /// Greatest `mean_bits`.
    pub const GREATEST_MEAN_BITS: u32 = 16;

    /// These settings with those of `changes`, by name, in their place.
    ///
    /// # Errors
    /// An unknown name, or a value of another type.
    pub fn with(&self, changes: &serde_yaml::Mapping) -> Result<Self, ConfigError> {
        let mut settings = serde_yaml::to_value(self).map_err(unreadable)?;
        if let serde_yaml::Value::Mapping(settings) = &mut settings {
            settings.extend(changes.clone());
        }
        serde_yaml::from_value(settings).map_err(unreadable)
    }

    /// Width of limbs: as configured, or the usual one.
    pub fn limb_bits(&self) -> u32 {
        self.limb_bits.unwrap_or(LIMB_BITS)
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first one outside.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rules: [(&'static str, f64, std::ops::RangeInclusive<f64>, &'static str); 10] = [
            ("quantise.limb_bits", self.limb_bits().into(), 8.0..=16.0, "8..=16"),
            ("quantise.tolerance", self.tolerance, 0.0..=1.0, "0..=1"),
            ("quantise.narrow_tolerance", self.narrow_tolerance, 0.0..=1.0, "0..=1"),
            ("quantise.residual_bits", self.residual_bits.unwrap_or(22).into(), 8.0..=28.0, "8..=28"),
            ("quantise.margin", self.margin, 1.0..=100.0, "1..=100"),
            ("quantise.coarsest", self.coarsest, 1.0..=1000.0, "1..=1000"),
            ("quantise.exp_range", self.exp_range, 4.0..=64.0, "4..=64"),
            ("quantise.exp_step", self.exp_step, 1e-6..=1.0, "1e-6..=1"),
            ("quantise.exp_bits", self.exp_bits.into(), 6.0..=Self::GREATEST_EXP_BITS.into(), "6..=20"),
            ("quantise.mean_bits", self.mean_bits.into(), 4.0..=Self::GREATEST_MEAN_BITS.into(), "4..=16"),
        ];
        for (key, value, allowed, range) in rules {
            if !allowed.contains(&value) {
                return Err(ConfigError::Value { key, value, range });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_text_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn keys_are_read_and_unknown_ones_refused() {
        let c = Config::parse("set: {seq: 64}\nhead: argmax\ninput: private\nquantise: {limb_bits: 10}").unwrap();
        assert_eq!(
            (c.set["seq"].length(), c.head, c.input, c.quantise.limb_bits),
            (Some(64), Head::Argmax, Visibility::Private, Some(10))
        );
        for bad in ["heads: argmax", "quantise: {limbs: 3}", "input: secret", "head: [1]"] {
            assert!(matches!(Config::parse(bad), Err(ConfigError::Parse { .. })), "{bad}");
        }
        for (text, expected) in [
            ("quantise: {limb_bits: 30}", "quantise.limb_bits = 30: must lie within 8..=16"),
            ("max_k: 21", "max_k = 21: must lie within 9..=20"),
        ] {
            assert_eq!(Config::parse(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn settings_of_the_quantiser_are_changed_by_name() {
        let changes = |text: &str| serde_yaml::from_str(text).unwrap();
        let base = Quantise { margin: 2.0, ..Default::default() };
        let changed = base.with(&changes("{limb_bits: 14, tolerance: 1}")).unwrap();
        assert_eq!(changed, Quantise { limb_bits: Some(14), tolerance: 1.0, ..base.clone() });
        assert_eq!(base.with(&changes("{}")).unwrap(), base);
        for bad in ["{limbs: 3}", "{limb_bits: wide}", "{1: 2}"] {
            assert!(matches!(base.with(&changes(bad)), Err(ConfigError::Parse { .. })), "{bad}");
        }
    }
}
