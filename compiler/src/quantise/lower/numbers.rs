//! Numbers of a float graph for an integer one.

use crate::quantise::error::QuantiseError;
use nanozk_ir::float::Floats;
use std::borrow::Cow;

/// The numbers of a node.
pub(super) fn read<'n>(node: &str, numbers: &'n Floats) -> Result<Cow<'n, [f32]>, QuantiseError> {
    numbers.read().map_err(|source| QuantiseError::Stored { node: node.into(), source })
}

/// Rounds scaled weights to i32.
pub(super) fn weights(node: &str, values: impl ExactSizeIterator<Item = f64>) -> Result<Vec<i32>, QuantiseError> {
    let mut weights = Vec::with_capacity(values.len());
    for value in values {
        let rounded = value.round();
        if rounded.abs() >= f64::from(i32::MAX) || rounded.is_nan() {
            return Err(QuantiseError::Weight { node: node.into(), value });
        }
        weights.push(rounded as i32);
    }
    Ok(weights)
}

/// Units of scales.
pub(super) fn inverse(scale: &[f64]) -> Vec<f64> {
    scale.iter().map(|s| 1.0 / s).collect()
}
