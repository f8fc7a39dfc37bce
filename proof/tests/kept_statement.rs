//! What a verifier file says of its model, against its plans: the kept file with one thing changed, refused by the check that
//! is there for it.

use nanozk_ir::int::{Node, Op, ops};
use nanozk_plan::format::VERSION;
use nanozk_plan::{FixedColumn, Functional, Lane, Operand, Plan, Public, TokenWeight};
use nanozk_proof::circuits::{Circuit, Circuits};
use nanozk_proof::key_proof::{self, KeyError};
use nanozk_proof::keys::{KeyProof, Limbs, Rows, VerifierKey, Visibility};
use nanozk_proof::misfit::RangesMisfit;
use nanozk_proof::statement::Statement;
use std::path::Path;
use std::sync::Arc;

fn key() -> VerifierKey {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/golden/v{VERSION}/verifier.nanozk"));
    VerifierKey::from_bytes(&std::fs::read(golden).unwrap()).unwrap()
}

/// What is proven of the magnitudes of weights.
fn bounds(key: &VerifierKey) -> Vec<Vec<f64>> {
    key.proof.as_ref().unwrap().limbs.bounds(key)
}

/// What is said of a changed file.
fn refused(reason: &str, change: impl FnOnce(&mut VerifierKey)) {
    let mut key = key();
    change(&mut key);
    let verdict = Statement::of(&key).and_then(|statement| statement.check(&key, &bounds(&key)));
    let error = verdict.expect_err(reason).to_string();
    assert!(error.contains(reason), "refused by another check than '{reason}': {error}");
}

fn with_circuits(key: &mut VerifierKey, change: impl FnOnce(&mut Vec<Circuit>)) {
    let mut circuits = key.circuits.read().unwrap();
    change(&mut circuits);
    key.circuits = Circuits::new(&circuits).unwrap();
}

#[test]
fn the_kept_file_passes() {
    Statement::of(&key()).unwrap().check(&key(), &bounds(&key())).unwrap();
    key_proof::check(&key(), false).unwrap();
}

#[test]
fn every_part_of_a_plan_is_compared() {
    let changed = |part: &str, change: &dyn Fn(&mut Plan)| {
        let reason = format!("the plan of shape 0 is not the one of its graph: {part} are other ones");
        refused(&reason, |key| change(Arc::make_mut(&mut key.shapes[0].plan)));
    };
    let numbers = "its numbers of rows, tables, parameters and weight columns";
    changed(numbers, &|plan| plan.geometry.groups -= 1);
    changed(numbers, &|plan| plan.params += 1);
    changed("its lanes", &|plan| plan.lanes.push(Lane { name: String::new(), boundary: None }));
    changed("its boundaries", &|plan| plan.boundaries[0].features += 1);
    changed("its fixed columns", &|plan| plan.fixed.push(FixedColumn { name: String::new(), runs: Vec::new() }));
    changed("its gates", &|plan| drop(plan.gates.pop()));
    changed("its lookups", &|plan| plan.lookups.clear());
    changed("its public slots", &|plan| plan.publics.push(Public::Position));
    changed("its relations", &|plan| drop(plan.relations.pop()));
    changed("its claims", &|plan| drop(plan.claims.pop()));
    changed("its operands", &|plan| drop(plan.operands.pop()));
    changed("its operands", &|plan| {
        let right = Operand { row: 0, row_stride: 0, count: 1, monomial: Default::default(), terms: Vec::new() };
        plan.right_operands.push(right);
    });
    changed("its matrices", &|plan| plan.tiles.clear());
    changed("its functionals", &|plan| {
        plan.functionals.push(Functional { kind: TokenWeight::Eta, entries: Vec::new() });
    });
}

#[test]
fn graphs_layers_and_tensors_make_a_model() {
    refused("there is not one graph for each plan", |key| with_circuits(key, Vec::clear));
    refused("unread bytes", |key| key.circuits = Circuits::from_bytes([key.circuits.bytes(), &[0]].concat()));
    refused("cannot be read", |key| key.circuits = Circuits::default());
    refused("the values of a table are missing", |key| key.proof.as_mut().unwrap().tables.clear());
    refused("a graph does not write each of its layer's outputs once", |key| {
        let (output, tensor) = (key.layers[0].outputs[0], key.tensors[0].clone());
        key.tensors.push(tensor);
        key.layers[0].outputs.push(output);
    });
    refused("is not an earlier node", |key| {
        with_circuits(key, |circuits| circuits[0].graph.nodes.last_mut().unwrap().inputs = vec![u32::MAX]);
    });
    refused("there are too many layers for graphs of this size", |key| {
        with_circuits(key, |circuits| circuits[0].graph.nodes[0].name = "x".repeat(8 << 20));
        key.layers = vec![key.layers[0].clone(); 2000];
    });
    refused("has layers that see tensors differently", |key| {
        let mut layer = key.layers[0].clone();
        let tensor = layer.inputs[0];
        let hidden = nanozk_proof::keys::TensorKey {
            visibility: Visibility::PrivateInput,
            ..key.tensors[tensor as usize].clone()
        };
        layer.inputs[0] = key.tensors.len() as u32;
        key.tensors.push(hidden);
        key.layers.push(layer);
    });
    refused("belongs to no layer", |key| {
        with_circuits(key, |circuits| circuits.push(circuits[0].clone()));
        key.shapes.push(key.shapes[0].clone());
    });
    refused("may be padded, and all tokens see padding", |key| {
        with_circuits(key, |circuits| {
            for node in &mut circuits[0].graph.nodes {
                if let Op::Attend(ops::Attend { causal, .. }) = &mut node.op {
                    *causal = false;
                }
            }
        });
        key.tensors[key.inputs[0].tensor as usize].rows = Rows::Padded;
    });
}

/// Also of ids that a layer gives to the next one for all to see.
#[test]
fn public_ids_have_embeddings() {
    for visibility in [Visibility::PublicInput, Visibility::PublicOutput] {
        refused("may hold ids that have no embedding", |key| {
            with_circuits(key, |circuits| {
                let graph = &mut circuits[0].graph;
                let op = ops::Embed { weight: graph.weights.len() as u32, vocab: 4 }.into();
                graph.weights.push((4, 1));
                let features = graph.nodes[0].features;
                graph.nodes.push(Node { name: "embedding".into(), op, inputs: vec![0], features, lo: 0, hi: 0 });
            });
            key.tensors[key.layers[0].inputs[0] as usize].visibility = visibility;
        });
    }
}

#[test]
fn weights_have_proven_ranges() {
    let statement = Statement::of(&key()).unwrap();
    let error = statement.check(&key(), &[]).unwrap_err().to_string();
    assert!(error.contains("the ranges of weights are not of its layers"), "{error}");
    // Weights of unknown width have no bound.
    let error = statement.check(&key(), &[Vec::new()]).unwrap_err().to_string();
    assert!(error.starts_with("layer "), "{error}");
}

/// The stated ranges of a proof that has those of every matrix.
fn exact(proof: &mut KeyProof) -> &mut Vec<Vec<u32>> {
    match &mut proof.limbs {
        Limbs::Exact(limbs) => limbs,
        Limbs::Projected(_) => panic!("no exact ranges"),
    }
}

#[test]
fn proofs_about_weights_have_the_right_parts() {
    let refused = |reason: &str, change: &dyn Fn(&mut KeyProof)| {
        let mut key = key();
        change(key.proof.as_mut().unwrap());
        let error = key_proof::check(&key, false).expect_err(reason).to_string();
        assert!(error.contains(reason), "refused by another check than '{reason}': {error}");
    };
    let parts = "it has the wrong number of parts";
    refused(parts, &|proof| proof.openings.clear());
    refused(parts, &|proof| drop(proof.ranges.pop()));
    refused(parts, &|proof| proof.ranges.push(Vec::new()));
    refused(parts, &|proof| drop(proof.tables.pop()));
    refused("are not those that the file stands for", &|proof| proof.openings[0] = -proof.openings[0]);
    refused("the ranges of weights", &|proof| proof.ranges[0].truncate(100));
    refused("does not fit the file", &|proof| drop(exact(proof).pop()));
    refused("does not fit the file", &|proof| exact(proof)[0].truncate(1));
    refused("does not fit the file", &|proof| exact(proof)[0].push(1));
    refused("does not fit the file", &|proof| exact(proof)[0][0] = 0);
    refused("does not fit the file", &|proof| exact(proof)[0][0] = 99);
    let mut wide = key();
    Arc::make_mut(&mut wide.shapes[0].plan).tiles[0].outputs = (1 << 21) + 1;
    assert_eq!(key_proof::check(&wide, false), Err(KeyError::Mismatch(RangesMisfit::Outputs)));
    let projected = |limbs| move |proof: &mut KeyProof| proof.limbs = Limbs::Projected(limbs);
    [0, 99, u32::MAX].iter().for_each(|limbs| refused("projections have no such width", &projected(*limbs)));
    let mut none = key();
    none.proof = None;
    assert_eq!(key_proof::check(&none, false), Err(KeyError::Missing));
}

/// One graph may be laid out, though its plan is another one; those of all layers together ask for too much.
#[test]
fn layers_are_charged_for_their_graphs() {
    let layers = |count: usize| {
        move |key: &mut VerifierKey| {
            let geometry = key.shapes[0].plan.geometry;
            key.shapes[0].plan = Arc::new(Plan { geometry, ..Plan::default() });
            key.layers = vec![key.layers[0].clone(); count];
        }
    };
    refused("the plan of shape 0 is not the one of its graph", layers(1));
    refused("shape 0 has no circuit: it takes", layers(4000));
}
