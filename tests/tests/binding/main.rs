//! Completeness of binding: one entry of every constant, of the ONNX graph and of the compiled model, changed gives
//! another model id, for which the old proof fails.

mod graph;
mod onnx;

use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_ir::int::{Graph, Model, Op, ops};
use nanozk_layout::{Options, Ports, lower};
use nanozk_plan::{Plan, Public};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::prover::ShapeProver;
use nanozk_proof::verify::VerifyError;
use nanozk_runtime::keys::{self, Bases, ProverKeys};
use nanozk_runtime::storage::KeyDir;
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, compiled, lenient};
use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

struct Honest {
    artifact: Artifact,
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
    Honest { artifact: fixture.artifact, keys, bases, shapes, bundle }
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
            let flip = move |m: &mut Model| {
                let mut values = m.layers[l].tables[t].to_vec();
                values[at] ^= 1;
                m.layers[l].tables[t] = values.into();
            };
            out.push((format!("table {t}"), Box::new(flip)));
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

/// The verifier's side of `artifact` under the keys' own SRS and weight masks, so that nothing but the model differs;
/// without the proof about the weights, which follows from the rest.
fn other_key(artifact: &Artifact, honest: &Honest) -> VerifierKey {
    let Honest { keys, bases, shapes, .. } = honest;
    let same = artifact.shapes.iter().zip(&keys.artifact.shapes).all(|(a, b)| a.plan == b.plan);
    let (mut other_bases, mut other_shapes) = (None, None);
    if !same {
        let plans = || artifact.shapes.iter().map(|s| &s.plan);
        let bases = &*other_bases.insert(keys::bases(&keys.srs, plans()).unwrap());
        other_shapes = Some(plans().map(|plan| keys::shape_prover(plan, bases).unwrap()).collect::<Vec<_>>());
    }
    let (bases, shapes) = (other_bases.as_ref().unwrap_or(bases), other_shapes.as_ref().unwrap_or(shapes));
    let layers = keys::layer_keys(artifact, bases, &keys.weight_seed, &|| {}).unwrap();
    keys::verifier_key(artifact, shapes, layers, &keys.srs).unwrap()
}

/// The old proof fails under another key, even when it claims that key's model.
fn rejects_old_proof(key: &VerifierKey, honest: &Honest, what: &str) {
    assert!(matches!(lenient(key, &honest.bundle), Err(VerifyError::OtherModel { .. })), "{what}");
    let claimed = Bundle { model_id: key.model_id(), ..honest.bundle.clone() };
    assert!(lenient(key, &claimed).is_err(), "{what}: the old proof is ACCEPTED for the changed model");
}

#[test]
fn every_constant_is_bound() {
    let honest = &*HONEST;
    let artifact = &honest.artifact;
    lenient(&honest.keys.verifier, &honest.bundle).unwrap();
    let id = honest.keys.verifier.unproven_id().unwrap();
    assert_eq!(other_key(artifact, honest).model_id(), id, "the same model, the same id");
    let mut ids = HashSet::from([id]);
    let mut tried = 0;
    for (what, flip) in flips(&artifact.model) {
        let mut changed = artifact.clone();
        flip(&mut changed.model);
        assert!(changed.model != artifact.model, "{what} changed nothing");
        let key = other_key(&changed, honest);
        assert!(ids.insert(key.model_id()), "{what}: the model id stays");
        rejects_old_proof(&key, honest, &what);
        tried += 1;
    }
    println!("constants of the model: {tried} changed, {tried} other ids, {tried} old proofs rejected");
    assert!(tried > 0);
}

/// Every constant of the ONNX graph: with the calibration of the honest model it gives other integers, and with its own
/// another model id, for which the old proof fails.
#[test]
fn every_constant_of_the_graph_is_bound() {
    let honest = &*HONEST;
    let mut ids = HashSet::from([honest.keys.verifier.unproven_id().unwrap()]);
    let name = "block-d16-t16";
    // The width that the honest model has: a changed one may choose another, which the SRS here is too short for.
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("width.yaml");
    std::fs::write(&config, format!("quantise: {{limb_bits: {}}}", honest.keys.artifact.model.limb_bits)).unwrap();
    graph::Source::new(name).change_all(1, &mut |constant, path| {
        let data = vec![model_dir(name).join("input.json")];
        let options = CompileOptions { data, config: Some(config.clone()), ..Default::default() };
        let Ok(artifact) = compile(path, &options, &|_| {}) else { return };
        let key = other_key(&artifact, honest);
        assert!(ids.insert(key.model_id()), "{constant:?}: the model id stays");
        rejects_old_proof(&key, honest, &constant.name);
    });
    println!("{name}: {} other model ids, as many old proofs rejected", ids.len() - 1);
}

/// The same integers as [`every_constant_of_the_graph_is_bound`], without proofs, for all bundled models.
#[test]
#[ignore = "every constant of every model: minutes"]
fn every_constant_of_every_graph_is_bound() {
    for name in ["block-d16-t16", "block-d32-t16", "mlp-digits", "llama-d64-l2", "bert-d64-l2", "kjvgpt-d64-l4"] {
        graph::Source::new(name).change_all(1, &mut |_, _| ());
    }
}

#[test]
fn some_constants_of_every_graph_are_bound() {
    for name in ["mlp-digits", "llama-d64-l2", "bert-d64-l2", "kjvgpt-d64-l4"] {
        graph::Source::new(name).change_all(13, &mut |_, _| ());
    }
}

/// One entry of every constant that the ops of a shape hold changed gives another plan.
#[test]
fn every_constant_op_is_bound() {
    for name in ["block-d16-t16", "llama-d64-l2", "bert-d64-l2"] {
        let artifact = compiled(name);
        let model = &artifact.model;
        let mut tried = 0;
        for (shape, lowered) in artifact.shapes.iter().enumerate() {
            let layer = model.layers.iter().position(|l| l.shape as usize == shape).unwrap();
            let (graph, ports) = (&model.shapes[shape], Ports::of(model, layer).unwrap());
            let options = Options { k: Some(lowered.plan.geometry.k), ..Options::new(model.tokens, model.limb_bits) };
            let plan = |graph: &Graph| lower(graph, &ports, &options).unwrap().plan;
            assert_eq!(plan(graph), lowered.plan, "{name}: the same graph, the same plan");
            for (n, node) in graph.nodes.iter().enumerate() {
                let Op::Const(ops::Const { data, .. }) = &node.op else { continue };
                let mut changed = graph.clone();
                if let Op::Const(ops::Const { data: other, .. }) = &mut changed.nodes[n].op {
                    other[[0, data.len() / 2, data.len() - 1][n % 3]] += 1;
                }
                assert!(plan(&changed) != lowered.plan, "{name}: '{}' is not bound", node.name);
                tried += 1;
            }
        }
        println!("{name}: {tried} constants of ops changed, {tried} other plans");
        assert!(tried > 0);
    }
}

/// A key with another plan is of another model, for which the old proof fails.
#[test]
fn the_plan_is_bound() {
    let honest = &*HONEST;
    let mut ids = HashSet::from([honest.keys.verifier.unproven_id().unwrap()]);
    let mut other = |what: &str, change: &dyn Fn(&mut Plan)| {
        let VerifierKey { tokens, tensors, inputs, outputs, circuits, mut shapes, layers, srs, .. } =
            honest.keys.verifier.clone();
        change(Arc::make_mut(&mut shapes[0].plan));
        let key = VerifierKey::new(tokens, tensors, [inputs, outputs], circuits, shapes, layers, srs).unwrap();
        assert!(ids.insert(key.model_id()), "{what}: the model id stays");
        rejects_old_proof(&key, honest, what);
    };
    let plan = &honest.keys.verifier.shapes[0].plan;
    for i in 0..plan.relations.len() {
        other("a factor of a relation", &|p| p.relations[i].terms[0].coef += 1);
    }
    for i in 0..plan.claims.len() {
        other("a factor of a claim", &|p| p.claims[i].terms[0].coef += 1);
    }
    for i in 0..plan.operands.len() {
        other("a factor of an operand", &|p| p.operands[i].terms[0].coef += 1);
    }
    for i in 0..plan.right_operands.len() {
        other("a factor of a right operand", &|p| p.right_operands[i].terms[0].coef += 1);
    }
    for (i, public) in plan.publics.iter().enumerate() {
        if matches!(public, Public::Const { .. }) {
            other("a public constant", &|p| {
                if let Public::Const { data, .. } = &mut p.publics[i] {
                    data[0] += 1;
                }
            });
        }
    }
    println!("parts of the plan: {} changed, as many other ids and old proofs rejected", ids.len() - 1);
}

/// Two layers of one shape whose numbers to add before a root differ: each has its own, and the outputs are those of the
/// source model.
#[test]
fn layers_of_one_shape_have_parameters_of_their_own() {
    let source = model_dir("llama-d64-l2");
    let mut file = std::fs::read(source.join("network.onnx")).unwrap();
    let of_second = |c: &onnx::Constant| c.name.starts_with("/layers.1/") && c.name.contains("layernorm/Constant_1");
    let constants: Vec<_> = onnx::constants(&file).into_iter().filter(of_second).collect();
    assert_eq!(constants.len(), 2, "{constants:?}");
    for constant in &constants {
        file = onnx::changed(&file, constant, 0, onnx::Change::One).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("network.onnx");
    std::fs::write(&path, file).unwrap();
    let options = CompileOptions { data: vec![source.join("input.json")], ..Default::default() };
    let Artifact { model, .. } = compile(&path, &options, &|_| {}).expect("outputs within the tolerance");
    let pairs = model.layers.iter().enumerate().flat_map(|(i, a)| model.layers[i + 1..].iter().map(move |b| (a, b)));
    let alike: Vec<_> = pairs.filter(|(a, b)| a.shape == b.shape && !a.params.is_empty()).collect();
    assert!(!alike.is_empty(), "no shape has two layers");
    for (a, b) in alike {
        assert_ne!(a.params, b.params, "{} and {} have the same parameters", a.name, b.name);
    }
}
