//! What a model is loaded with.

use super::rounding::Rounding;
use crate::setting::Setting;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the caller knows about the model.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoadOptions {
    /// Lengths of dynamic dimensions by name (`<input>.<axis>` for one without name), and values of inputs of one element.
    pub set: BTreeMap<String, Setting>,
    /// Names of the outputs to keep; all when empty.
    pub outputs: Vec<String>,
    /// Shapes of the inputs in the sample data, where it states them.
    pub shapes: Vec<Option<Vec<usize>>>,
    /// Least and greatest value of the sample data of each input, where known.
    pub seen: Vec<Option<(f64, f64)>>,
    /// Which activations are rounded as the file says; the reference rounds all.
    #[serde(skip)]
    pub rounding: Rounding,
}
