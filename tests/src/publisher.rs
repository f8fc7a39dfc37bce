//! What a publisher of a small model holds, for verifier files that it makes as it likes.

use crate::fixture::Fixture;
use nanozk_ir::int::Known;
use nanozk_proof::key_proof::limbs;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::weights::WeightColumns;
use nanozk_runtime::keys::{self, Bases, ProverKeys};
use nanozk_runtime::storage::KeyDir;

/// Layer, column and row of spare entries beside diagonals: beside the first weight of the first diagonal and the last of the
/// last one, in the column next to it and in the last column.
pub fn beside_diagonals(key: &VerifierKey) -> [(usize, usize, usize); 2] {
    let mut all = key.layers.iter().enumerate().flat_map(|(layer, data)| {
        let plan = &key.shapes[data.shape as usize].plan;
        let diagonals = plan.tiles.iter().filter(|tile| tile.outputs == 1 && tile.inputs > 1);
        diagonals.map(move |tile| (layer, plan.weight_columns as usize - 1, tile))
    });
    let (layer, _, tile) = all.next().expect("a diagonal");
    let first = (layer, 1, tile.row as usize);
    let (layer, column, tile) = all.last().expect("another one");
    [first, (layer, column, (tile.row + tile.inputs - 1) as usize)]
}

/// A publisher's keys and weights.
pub struct Holdings {
    /// The model, with the honest verifier file.
    pub fixture: Fixture,
    /// The prover's files.
    pub keys: ProverKeys,
    /// SRS bases of all circuits.
    pub bases: Bases,
    /// Weight columns by layer.
    pub weights: Vec<WeightColumns>,
    /// Narrowest ranges in limbs, by layer and matrix.
    pub widths: Vec<Vec<u32>>,
}

impl Holdings {
    /// Those of a bundled model.
    pub fn new(model: &str) -> Self {
        let fixture = Fixture::new(model);
        let keys = keys::read(&KeyDir::new(fixture.dir.path().join("keys"))).unwrap();
        let artifact = &keys.artifact;
        let bases = keys::bases(&keys.srs, artifact.shapes.iter().map(|s| &s.plan)).unwrap();
        let layers = &artifact.model.layers;
        let columns = |i| keys::weight_columns(artifact, i, &keys.weight_seed).unwrap();
        let weights = (0..layers.len()).map(columns).collect();
        let widths =
            layers.iter().map(|l| limbs(&artifact.shapes[l.shape as usize].plan, &l.weights.get().unwrap()).unwrap());
        let widths = widths.collect();
        Holdings { fixture, keys, bases, weights, widths }
    }
}
