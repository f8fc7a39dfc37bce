//! What a publisher of a small model holds, for verifier files that it makes as it likes.

use crate::fixture::Fixture;
use nanozk_proof::key_proof::limbs;
use nanozk_proof::weights::WeightColumns;
use nanozk_runtime::keys::{self, Bases, ProverKeys};
use nanozk_runtime::storage::KeyDir;

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
            layers.iter().map(|l| limbs(&artifact.shapes[l.shape as usize].plan, &l.weights).unwrap()).collect();
        Holdings { fixture, keys, bases, weights, widths }
    }
}
