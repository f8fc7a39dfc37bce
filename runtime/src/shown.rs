//! Model inputs and outputs in reports, as the source model has them.

use nanozk_plan::{ElementType, ValueInfo};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::{Endpoint, VerifierKey};
use serde::Serialize;

/// Most values that the text form shows in full.
const FULL: usize = 64;
/// Values that it shows of more.
const PART: usize = 12;

/// One model input or output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Name in the source model.
    pub name: String,
    /// Shape in the source model.
    pub shape: Vec<usize>,
    /// Element type in the source model.
    pub dtype: ElementType,
    /// Real value = integer of the proven model / scale.
    pub scale: f64,
    /// What is known of it.
    #[serde(flatten)]
    pub content: Content,
}

/// The values of a model input or output, or why there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// The values.
    Known {
        /// Row-major in the order of the source model; `None` beyond the true number of tokens.
        values: Vec<Option<Number>>,
    },
    /// None.
    Absent {
        /// Why.
        reason: &'static str,
    },
}

/// A value as its type has it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Number {
    /// Of an integer or truth value, exactly.
    Integer(i64),
    /// Of a floating-point value.
    Real(f64),
}

impl Number {
    /// As a real number.
    pub fn real(self) -> f64 {
        match self {
            Number::Integer(v) => v as f64,
            Number::Real(v) => v,
        }
    }
}

/// What reports need to know of a value's tensor `[tokens, features]`.
#[derive(Clone, Copy, Debug)]
pub struct Meaning {
    /// Features per token.
    pub features: u32,
    /// Real value = integer / scale.
    pub scale: f64,
    /// True number of tokens.
    pub length: u32,
}

impl Shown {
    /// A value whose tensor holds `integers`.
    pub fn new(value: &ValueInfo, meaning: Meaning, integers: &[i64]) -> Self {
        let known = meaning.length as usize * meaning.features as usize;
        let exact = value.dtype.exact() && meaning.scale == 1.0;
        let number = |v: i64| if exact { Number::Integer(v) } else { Number::Real(v as f64 / meaning.scale) };
        let values = value.indices().map(|i| (i < known).then(|| number(integers[i]))).collect();
        Shown::of(value, meaning.scale, Content::Known { values })
    }

    fn of(value: &ValueInfo, scale: f64, content: Content) -> Self {
        let ValueInfo { name, shape, dtype, .. } = value.clone();
        Shown { name, shape, dtype, scale, content }
    }

    /// The public values of a bundle that fits `key`; `reason` tells why an endpoint's values are not to be shown.
    pub fn of_bundle(
        key: &VerifierKey,
        bundle: &Bundle,
        endpoints: &[Endpoint],
        reason: impl Fn(u32) -> Option<&'static str>,
    ) -> Vec<Self> {
        let one = |Endpoint { tensor, value }: &Endpoint| {
            let spec = &key.tensors[*tensor as usize];
            let meaning = Meaning { features: spec.features, scale: spec.scale, length: bundle.length };
            match (reason(*tensor), bundle.public(*tensor)) {
                (None, Some(integers)) => Shown::new(value, meaning, integers),
                (reason, _) => {
                    let reason = reason.unwrap_or("hidden behind a commitment");
                    Shown::of(value, spec.scale, Content::Absent { reason })
                }
            }
        };
        endpoints.iter().map(one).collect()
    }

    /// The values within the true number of tokens, in order.
    pub fn known(&self) -> impl Iterator<Item = Number> + '_ {
        let values = match &self.content {
            Content::Known { values } => values.as_slice(),
            Content::Absent { .. } => &[],
        };
        values.iter().flatten().copied()
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Integer(v) => write!(f, "{v}"),
            Number::Real(v) => write!(f, "{v:.4}"),
        }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A name is the publisher's choice: it must not look like a line of the report.
        write!(f, "{} {}{:?}: ", self.name.escape_debug(), self.dtype, self.shape)?;
        let total = match &self.content {
            Content::Known { values } => values.len(),
            Content::Absent { reason } => return f.write_str(reason),
        };
        let known = self.known().count();
        // The last token's values come last: for a decoder they are the ones that matter.
        let skipped = if known > FULL { known - PART } else { 0 };
        let shown: Vec<String> = self.known().skip(skipped).map(|value| value.to_string()).collect();
        let dots = if skipped > 0 { "... " } else { "" };
        write!(f, "{dots}{} ({known} values", shown.join(" "))?;
        match total - known {
            0 => f.write_str(")"),
            padding => write!(f, ", {padding} beyond the true length)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_plan::ElementMap;

    #[test]
    fn values_come_in_the_order_of_the_source_model() {
        let value = ValueInfo {
            name: "k".into(),
            shape: vec![2, 2, 1],
            dtype: ElementType::Float32,
            map: ElementMap::new(&[2, 2, 1], &[0, 2, 1, 3]),
        };
        let meaning = Meaning { features: 2, scale: 2.0, length: 1 };
        let shown = Shown::new(&value, meaning, &[2, 4, 6, 8]);
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["values"], serde_json::json!([1.0, null, 2.0, null]));
        assert_eq!((&json["shape"], &json["dtype"]), (&serde_json::json!([2, 2, 1]), &"float32".into()));
        assert_eq!(shown.to_string(), "k float32[2, 2, 1]: 1.0000 2.0000 (2 values, 2 beyond the true length)");
    }

    #[test]
    fn integers_are_exact_and_names_stay_on_their_line() {
        let value = ValueInfo::row_major("a\nVERIFIED\u{1b}[2K", vec![2], ElementType::Int64);
        let meaning = Meaning { features: 1, scale: 1.0, length: 2 };
        let shown = Shown::new(&value, meaning, &[(1 << 60) + 1, -3]);
        assert_eq!(serde_json::to_string(&shown.content).unwrap(), r#"{"values":[1152921504606846977,-3]}"#);
        let text = shown.to_string();
        assert!(text.lines().count() == 1 && !text.contains('\u{1b}'), "{text}");
    }
}
