//! Completeness of binding: one entry of every constant of the compiled model changed gives another model id, for which
//! the old proof fails.

mod common;

use common::{Fixture, lenient, model_dir};
use nanozk_compiler::artifact::Artifact;
use nanozk_ir::int::Model;
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::prover::ShapeProver;
use nanozk_proof::verify::VerifyError;
use nanozk_runtime::keys::{self, Bases, ProverKeys};
use nanozk_runtime::storage::KeyDir;
use std::sync::LazyLock;

struct Honest {
    keys: ProverKeys,
    bases: Bases,
    shapes: Vec<ShapeProver>,
    bundle: Bundle,
}

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let fixture = Fixture::new("block-d16-t16");
    let bundle = fixture.prove(&model_dir("block-d16-t16").join("input.json"));
    let keys = keys::read(&KeyDir::new(fixture.dir.path().join("keys"))).unwrap();
    let plans = || keys.artifact.shapes.iter().map(|s| &s.plan);
    let bases = keys::bases(&keys.srs, plans()).unwrap();
    let shapes = plans().map(|plan| keys::shape_prover(plan, &bases).unwrap()).collect();
    Honest { keys, bases, shapes, bundle }
});

/// A change of the model, by name.
type Flip = (String, Box<dyn Fn(&mut Model)>);

/// One entry of every weight matrix, table, parameter, tensor scale and range: first, middle or last in turn.
fn flips(model: &Model) -> Vec<Flip> {
    let mut out: Vec<Flip> = Vec::new();
    let entry = |len: usize, n: usize| [0, len / 2, len - 1][n % 3];
    for (l, layer) in model.layers.iter().enumerate() {
        for (w, weight) in layer.weights.iter().enumerate().filter(|(_, w)| !w.is_empty()) {
            let at = entry(weight.len(), w);
            out.push((format!("weight {w}"), Box::new(move |m| m.layers[l].weights[w][at] ^= 1)));
        }
        for (t, table) in layer.tables.iter().enumerate().filter(|(_, t)| !t.is_empty()) {
            let at = entry(table.len(), t);
            out.push((format!("table {t}"), Box::new(move |m| m.layers[l].tables[t][at] ^= 1)));
        }
        for p in 0..layer.params.len() {
            out.push((format!("parameter {p}"), Box::new(move |m| m.layers[l].params[p] ^= 1)));
        }
    }
    for t in 0..model.tensors.len() {
        out.push((format!("scale {t}"), Box::new(move |m| m.tensors[t].scale *= 1.5)));
        out.push((format!("least value {t}"), Box::new(move |m| m.tensors[t].lo += 1)));
        out.push((format!("greatest value {t}"), Box::new(move |m| m.tensors[t].hi -= 1)));
    }
    out
}

/// The verifier's side of `artifact` under the keys' own SRS and weight masks, so that nothing but the model differs.
fn other_key(artifact: &Artifact, honest: &Honest) -> VerifierKey {
    let Honest { keys, bases, shapes, .. } = honest;
    let layers = keys::layer_keys(artifact, bases, &keys.weight_seed, &|| {}).unwrap();
    keys::verifier_key(artifact, shapes, layers, &keys.srs).unwrap()
}

#[test]
fn every_constant_is_bound() {
    let honest = &*HONEST;
    let artifact = &honest.keys.artifact;
    lenient(&honest.keys.verifier, &honest.bundle).unwrap();
    assert_eq!(other_key(artifact, honest).model_id(), honest.keys.verifier.model_id(), "the same model, the same id");
    let mut ids = std::collections::HashSet::from([honest.keys.verifier.model_id()]);
    let mut tried = 0;
    for (what, flip) in flips(&artifact.model) {
        let mut changed = artifact.clone();
        flip(&mut changed.model);
        assert!(changed.model != artifact.model, "{what} changed nothing");
        let key = other_key(&changed, honest);
        assert!(ids.insert(key.model_id()), "{what}: the model id stays");
        assert!(matches!(lenient(&key, &honest.bundle), Err(VerifyError::OtherModel { .. })), "{what}");
        let claimed = Bundle { model_id: key.model_id(), ..honest.bundle.clone() };
        assert!(lenient(&key, &claimed).is_err(), "{what}: the old proof is ACCEPTED for the changed model");
        tried += 1;
    }
    println!("constants of the model: {tried} changed, {tried} other ids, {tried} old proofs rejected");
    assert!(tried > 0);
}
