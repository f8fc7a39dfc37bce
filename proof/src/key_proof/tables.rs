//! The values of pair tables, which the publisher states in the clear.
//!
//! A table's commitment has no mask, so the values say nothing that a guess could not be tested against. Stated once for
//! each distinct table, they make its column one that everybody knows ([`super::known`]).

pub use nanozk_ir::int::table::code::{decode, encode};

use crate::{field::G1, keys::VerifierKey, wire};
use nanozk_plan::Geometry;
use std::collections::HashSet;

/// A pair table of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The first layer that has it.
    pub layer: usize,
    /// Its index in that layer.
    pub index: usize,
    /// Rows of its column.
    pub geometry: Geometry,
    /// Commitment of its column.
    pub commitment: G1,
}

/// The distinct tables of a model in the order of their first use.
pub fn tables(key: &VerifierKey) -> Vec<Table> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (layer, data) in key.layers.iter().enumerate() {
        let geometry = key.shapes[data.shape as usize].plan.geometry;
        for (index, commitment) in data.tables.iter().enumerate() {
            if seen.insert((geometry, wire::encode(&[*commitment]))) {
                out.push(Table { layer, index, geometry, commitment: *commitment });
            }
        }
    }
    out
}
