//! Pair tables, whose values the publisher states in the clear: those of a named function, or as they are.
//!
//! A table's commitment has no mask, so the values say nothing that a guess could not be tested against. Stated once for
//! each distinct table, they make its column one that everybody knows ([`super::known`]).

use crate::{field::G1, keys::VerifierKey, wire};
use nanozk_ir::int::Table;
use nanozk_plan::Geometry;
use std::collections::HashMap;

/// A pair table of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct TableKey {
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
pub fn tables(key: &VerifierKey) -> Vec<TableKey> {
    distinct(key).0
}

/// What `of` makes of each table that the publisher's proof states, by layer. `None` when one is missing.
pub fn by_layer<T: Clone>(key: &VerifierKey, of: impl Fn(&Table) -> T) -> Option<Vec<Vec<T>>> {
    let stated = key.proof.as_ref().map_or(&[][..], |proof| &proof.tables);
    let stated: Vec<T> = stated.iter().map(of).collect();
    let of_layer = |places: Vec<usize>| places.into_iter().map(|place| stated.get(place).cloned()).collect();
    distinct(key).1.into_iter().map(of_layer).collect()
}

/// The distinct tables, and the place among them of each table of each layer.
fn distinct(key: &VerifierKey) -> (Vec<TableKey>, Vec<Vec<usize>>) {
    let mut places = HashMap::new();
    let mut out = Vec::new();
    let mut of_layer = |(layer, data): (usize, &crate::layer::LayerKey)| {
        let geometry = key.shapes[data.shape as usize].plan.geometry;
        let place = |(index, &commitment): (usize, &G1)| {
            *places.entry((geometry, wire::encode(&[commitment]))).or_insert_with(|| {
                out.push(TableKey { layer, index, geometry, commitment });
                out.len() - 1
            })
        };
        data.tables.iter().enumerate().map(place).collect()
    };
    let by_layer = key.layers.iter().enumerate().map(&mut of_layer).collect();
    (out, by_layer)
}
