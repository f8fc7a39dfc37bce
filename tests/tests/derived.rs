//! Publishers whose verifier file says one model and holds the circuits of another: proofs verify, but `check` derives the
//! plans from the integer graphs and refuses.

use nanozk_compiler::artifact::Artifact;
use nanozk_ir::int::ops::OneHot;
use nanozk_ir::int::{Node, Op, ops};
use nanozk_layout::{Ports, lower_with};
use nanozk_plan::format::{self, Kind};
use nanozk_plan::{Plan, Public, Tag, Term};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::circuits::{Circuit, Circuits};
use nanozk_proof::key_proof::{self, KeyError, check};
use nanozk_proof::keys::{Limbs, Rows, VerifierKey};
use nanozk_proof::statement::{Statement, StatementError};
use nanozk_runtime::Silent;
use nanozk_runtime::architecture::{describe, summary};
use nanozk_runtime::keys::{self, ProverFile, ProverKeys};
use nanozk_runtime::prove::{Request, prove};
use nanozk_runtime::storage::KeyDir;
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, NONCE, lenient};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::{Arc, LazyLock};

/// An honest publisher.
static HONEST: LazyLock<(Fixture, ProverKeys)> = LazyLock::new(|| {
    let fixture = Fixture::new("block-d16-t16");
    let keys = keys::read(&KeyDir::new(fixture.dir.path().join("keys"))).unwrap();
    (fixture, keys)
});

/// The verifier file of `artifact` with the best proof about its weights that there is, under the integer graphs `circuits`.
fn publish(artifact: &Artifact, circuits: Circuits, honest: &ProverKeys) -> VerifierKey {
    let bases = keys::bases(&honest.srs, artifact.shapes.iter().map(|s| &s.plan)).unwrap();
    let shapes: Vec<_> = artifact.shapes.iter().map(|s| keys::shape_prover(&s.plan, &bases).unwrap()).collect();
    let layers = keys::layer_keys(artifact, &bases, &honest.weight_seed, &|| {}).unwrap();
    let mut key = keys::verifier_key(artifact, &shapes, layers, &honest.srs).unwrap();
    key.circuits = circuits;
    let layers = &artifact.model.layers;
    let weights: Vec<_> =
        (0..layers.len()).map(|i| keys::weight_columns(artifact, i, &honest.weight_seed).unwrap()).collect();
    let limbs = layers.iter().map(|l| key_proof::limbs(&artifact.shapes[l.shape as usize].plan, &l.weights).unwrap());
    let tables: Vec<_> = layers.iter().map(|l| l.tables.as_slice()).collect();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let limbs = Limbs::Exact(limbs.collect());
    let proof = key_proof::prove(&key, &bases, &|layer| weights.get(layer).cloned(), &tables, limbs, &mut rng).unwrap();
    let key = key.with_proof(Some(proof)).unwrap();
    VerifierKey::from_bytes(&key.to_bytes().unwrap()).unwrap()
}

/// What `check` says of a file with a changed plan. `None` when the file cannot even be read.
fn verdict(change: impl FnOnce(&mut Plan)) -> Option<KeyError> {
    let (fixture, _) = &*HONEST;
    let mut key = fixture.key.clone();
    change(Arc::make_mut(&mut key.shapes[0].plan));
    assert!(key.shapes[0].plan != fixture.key.shapes[0].plan, "nothing changed");
    nanozk_plan::check::check(&key.shapes[0].plan).ok()?;
    Some(check(&key, true).expect_err("ACCEPTED"))
}

/// The publisher's circuits compute something else than the graph says: all outputs negated. Proofs of it verify.
#[test]
fn circuits_of_another_graph_are_refused() {
    let (fixture, honest) = &*HONEST;
    let mut artifact = fixture.artifact.clone();
    let model = &mut artifact.model;
    let output = model.shapes[0].nodes.iter().position(|n| matches!(n.op, Op::Output(ops::Output { .. }))).unwrap();
    let before = model.shapes[0].nodes[output].inputs[0] as usize;
    let Op::Affine(ops::Affine { rows }) = &mut model.shapes[0].nodes[before].op else { panic!("a residual sum") };
    rows.iter_mut().flatten().for_each(|term| term.coef = -term.coef);
    for node in [before, output] {
        let node = &mut model.shapes[0].nodes[node];
        (node.lo, node.hi) = (-node.hi, -node.lo);
    }
    let tensor = model.outputs[0] as usize;
    (model.tensors[tensor].lo, model.tensors[tensor].hi) = (-model.tensors[tensor].hi, -model.tensors[tensor].lo);
    let ports = Ports::of(model, 0).unwrap();
    let choices = artifact.shapes[0].choices;
    artifact.shapes[0] = lower_with(&model.shapes[0], &ports, model.tokens, model.limb_bits, &choices).unwrap();

    let key = publish(&artifact, fixture.key.circuits.clone(), honest);
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::new(dir.path());
    std::fs::copy(KeyDir::new(fixture.dir.path().join("keys")).srs(), keys.srs()).unwrap();
    std::fs::write(keys.verifier(), key.to_bytes().unwrap()).unwrap();
    let file =
        ProverFile { model_id: key.model_id(), weight_seed: honest.weight_seed, model: artifact.to_bytes().unwrap() };
    std::fs::write(keys.prover(), format::encode(Kind::Prover, &file).unwrap()).unwrap();
    let out = dir.path().join("proof.nanozk");
    let input = model_dir("block-d16-t16").join("input.json");
    let nonce = Some(NONCE.to_vec());
    prove(
        &Request {
            keys: dir.path().into(),
            input: input.clone(),
            out: out.clone(),
            layers: None,
            nonce,
            strict: false,
            memory: None,
        },
        &Silent,
    )
    .unwrap();
    let forged = Bundle::from_bytes(&std::fs::read(out).unwrap()).unwrap();
    lenient(&key, &forged).expect("verify alone does not look at the graph");
    let values = |bundle: &Bundle| {
        let of_output = bundle.public.iter().find(|t| t.tensor as usize == tensor);
        of_output.unwrap().values.clone()
    };
    let negated: Vec<i64> = values(&fixture.prove(&input)).iter().map(|v| -v).collect();
    assert_eq!(values(&forged), negated, "the proof shows other outputs");

    let error = check(&key, true).unwrap_err();
    assert!(matches!(error, KeyError::Statement(StatementError::Plan { shape: 0, .. })), "{error}");
    // With the graph that belongs to them, the file is that of another model.
    let circuits = [Circuit { graph: artifact.model.shapes[0].clone(), choices }];
    let told = publish(&artifact, Circuits::new(&circuits).unwrap(), honest);
    check(&told, true).unwrap();
    assert_ne!(told.model_id(), fixture.key.model_id());
}

/// Any part of a plan deleted or changed, and the plans of audits that leave cells to a provider. Some of them the reader
/// accepts: they are not the plan of the graph.
#[test]
fn changed_plans_are_refused() {
    let (mut unread, mut others) = (0, 0);
    let mut refused = |expected: &str, change: &dyn Fn(&mut Plan)| match verdict(change) {
        Some(KeyError::Statement(StatementError::Plan { shape: 0, part })) => {
            assert_eq!(part, expected);
            others += 1;
        }
        Some(other) => panic!("{other}"),
        None => unread += 1,
    };
    let plan = &HONEST.1.artifact.shapes[0].plan;
    for i in 0..plan.gates.len() {
        refused("its gates", &|p| {
            p.gates.remove(i);
        });
    }
    for i in 0..plan.lookups.len() {
        refused("its lookups", &|p| {
            p.lookups.remove(i);
        });
        refused("its lookups", &|p| p.lookups[i].tag = Tag::Table(1 + i as u32 % plan.tables));
    }
    for i in 0..plan.relations.len() {
        refused("its relations", &|p| {
            p.relations.remove(i);
        });
        refused("its relations", &|p| p.relations[i].terms[0].coef += 1);
        // A cell with great factors that cancel.
        refused("its relations", &|p| {
            let first = p.relations[i].terms[0];
            p.relations[i].terms = [i64::MAX, i64::MAX, -i64::MAX, -i64::MAX].map(|coef| Term { coef, ..first }).into();
        });
    }
    for i in 0..plan.claims.len() {
        refused("its claims", &|p| p.claims[i].terms.iter_mut().for_each(|t| t.coef = -t.coef));
    }
    refused("its lanes", &|p| p.lanes[0].name.push('x'));
    refused("its public slots", &|p| p.publics.push(Public::Position));
    println!("changed plans: {others} are not those of the graph, {unread} are not even read");
    assert!(others > unread);
}

/// A graph that says 2 to the power of 500 lies between -1 and 1. Its plan is the derived one, and its products wrap.
#[test]
fn graphs_whose_values_wrap_are_refused() {
    let (fixture, honest) = &*HONEST;
    let mut artifact = fixture.artifact.clone();
    let model = &mut artifact.model;
    let graph = &mut model.shapes[0];
    let (mut x, features) = (0, graph.nodes[0].features);
    for i in 0..7 {
        let name = format!("square {i}");
        x = graph.push(Node { name, op: Op::Mul(ops::Mul), inputs: vec![x, x], features, lo: -1, hi: 1 });
    }
    let ports = Ports::of(model, 0).unwrap();
    let choices = artifact.shapes[0].choices;
    artifact.shapes[0] = lower_with(&model.shapes[0], &ports, model.tokens, model.limb_bits, &choices).unwrap();
    let circuits = [Circuit { graph: model.shapes[0].clone(), choices }];
    let key = publish(&artifact, Circuits::new(&circuits).unwrap(), honest);
    match check(&key, true).unwrap_err() {
        KeyError::Statement(error @ StatementError::Bounds { .. }) => {
            assert!(error.to_string().contains("'square "), "{error}");
        }
        other => panic!("{other}"),
    }
}

/// Graphs that ask for any number of cells, in a few bytes.
#[test]
fn graphs_that_ask_for_too_much_are_refused() {
    let (fixture, _) = &*HONEST;
    let circuits = fixture.key.circuits.read().unwrap();
    let width = circuits[0].graph.nodes[0].features;
    let refused = |change: &dyn Fn(&mut Circuit), words: &str| {
        let mut changed = circuits.clone();
        change(&mut changed[0]);
        let mut key = fixture.key.clone();
        key.circuits = Circuits::new(&changed).unwrap();
        let weights = key.proof.as_ref().unwrap().limbs.bounds(&key);
        let error = Statement::of(&key).and_then(|s| s.check(&key, &weights)).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
    };
    let more = |op: Op, features: u32| {
        move |c: &mut Circuit| {
            let id =
                c.graph.push(Node { name: "more".into(), op: op.clone(), inputs: vec![0], features, lo: 0, hi: 1 });
            c.graph.push(Node {
                name: "twice".into(),
                op: Op::Mul(ops::Mul),
                inputs: vec![id, id],
                features,
                lo: 0,
                hi: 1,
            });
        }
    };
    let many = u32::MAX / width;
    refused(&more(OneHot { depth: many }.into(), many * width), "more cells");
    refused(&more(Op::Range(ops::Range { limbs: 5 }), width), "other ones");
    refused(&|c| (0..20_000).for_each(|_| more(Op::Range(ops::Range { limbs: 5 }), width)(c)), "shape 0");
    refused(&|c| c.choices.weight_columns = u32::MAX, "too many");
    refused(&|c| c.choices.weight_columns = 1 << 16, "shape 0");
    refused(&|c| c.choices.k = u32::MAX, "no circuit");
    refused(&|c| c.graph.weights.extend([(u32::MAX, u32::MAX); 9]), "more cells");
}

/// What the id commits to, in words.
#[test]
fn architectures_are_told() {
    let (fixture, _) = &*HONEST;
    let report = describe(&fixture.key, true).unwrap();
    let has = |words: &str| report.summary.iter().any(|line| line.contains(words));
    for words in ["1 layers of 1 shapes on 16 tokens", "heads", "softmax, causal", "matrix 16 x 64", "normalisation"] {
        assert!(has(words), "{words}: {:?}", report.summary);
    }
    assert!(has("Exp(") && report.tables.iter().all(|t| t.function.is_some() && !t.values.is_empty()));
    let shape = &report.shapes[0];
    let argued = nanozk_plan::check::check(&fixture.key.shapes[0].plan).unwrap().argued.len();
    assert_eq!(shape.argued.values().sum::<usize>(), argued, "each slot once: {:?}", shape.argued);
    assert!(shape.argued.keys().any(|why| why.starts_with("maximum")) && argued < shape.slots as usize / 2);
    assert_eq!(shape.graph, fixture.artifact.model.shapes[0]);
    assert_eq!(report.outputs[0].value, fixture.key.outputs[0].value);
    // Values without a name are told as such.
    let mut proof = fixture.key.proof.clone().unwrap();
    proof.tables = proof.tables.iter().map(|table| table.to_vec().into()).collect();
    let unnamed = fixture.key.clone().with_proof(Some(proof)).unwrap();
    assert!(summary(&unnamed).unwrap().iter().any(|line| line.contains("without a name")));
    assert_eq!(summary(&fixture.key).unwrap(), report.summary);
}

/// Padding that true tokens would see, and token ids without an embedding.
#[test]
fn inputs_that_the_graph_does_not_take_are_refused() {
    let refused = |name: &str, change: &dyn Fn(&mut VerifierKey), words: &str| {
        let fixture = Fixture::new(name);
        let mut key = fixture.key.clone();
        change(&mut key);
        let error = check(&key.with_proof(fixture.key.proof.clone()).unwrap(), true).unwrap_err();
        assert!(matches!(error, KeyError::Statement(_)) && error.to_string().contains(words), "{error}");
    };
    let ids = |key: &mut VerifierKey| key.tensors[key.inputs[0].tensor as usize].hi += 1;
    refused("llama-d64-l2", &ids, "no embedding");
    let negative = |key: &mut VerifierKey| key.tensors[key.inputs[0].tensor as usize].lo = -1;
    refused("llama-d64-l2", &negative, "no embedding");
    let padded = |key: &mut VerifierKey| key.tensors[key.inputs[0].tensor as usize].rows = Rows::Padded;
    refused("bert-d64-l2", &padded, "see padding");
}

/// A graph that has no plan, or does not fit the tensors of the file.
#[test]
fn graphs_that_do_not_fit_are_refused() {
    let (fixture, _) = &*HONEST;
    let circuits = fixture.key.circuits.read().unwrap();
    let refused = |change: &dyn Fn(&mut Vec<Circuit>), words: &str| {
        let mut changed = circuits.clone();
        change(&mut changed);
        let mut key = fixture.key.clone();
        key.circuits = Circuits::new(&changed).unwrap();
        let error = check(&key.with_proof(fixture.key.proof.clone()).unwrap(), true).unwrap_err();
        assert!(matches!(error, KeyError::Statement(_)) && error.to_string().contains(words), "{error}");
    };
    refused(&|c| c.clear(), "not one graph for each plan");
    refused(&|c| c.push(c[0].clone()), "not one graph for each plan");
    refused(&|c| c[0].graph.nodes[3].inputs = vec![3], "not an earlier node");
    refused(&|c| c[0].graph.nodes[3].features += 1, "layer");
    let output =
        |c: &Circuit| c.graph.nodes.iter().find(|n| matches!(n.op, Op::Output(ops::Output { .. }))).unwrap().clone();
    let twice = |c: &mut Vec<Circuit>| {
        let node = output(&c[0]);
        c[0].graph.nodes.push(node);
    };
    refused(&twice, "outputs once");
    refused(&|c| c[0].graph.nodes.retain(|n| !matches!(n.op, Op::Output(ops::Output { .. }))), "outputs once");
    refused(&|c| c[0].choices.k += 1, "the plan of shape 0");
    refused(&|c| c[0].choices.k = 0, "shape 0 has no circuit");
    refused(&|c| c[0].choices.weight_columns *= 2, "the plan of shape 0");
    refused(&|c| c[0].graph.params += 1, "parameters");
    let mut key = fixture.key.clone();
    key.circuits = Circuits::default();
    let error = check(&key.with_proof(fixture.key.proof.clone()).unwrap(), true).unwrap_err();
    assert!(matches!(error, KeyError::Statement(StatementError::Unreadable(_))), "{error}");
}
