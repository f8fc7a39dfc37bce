//! Neighbours are tied by the commitments of their tensors: a layer that is proven from start to end on one run, under a
//! bundle that commits to another run's tensor at one of its ports, is rejected. Nothing is spliced afterwards, so the
//! transcript alone would not notice. And what stands beside a proof of some layers is not verified by it.

use nanozk_compiler::artifact::Artifact;
use nanozk_ir::int::{Held, interp};
use nanozk_layout::witness;
use nanozk_proof::bundle::{Bundle, LayerProof};
use nanozk_proof::field::G1;
use nanozk_proof::prover::{LayerInput, LayerProver, commit_lane, prove_layer, random_mask};
use nanozk_proof::publics::PublicData;
use nanozk_proof::verify::{VerifyError, VerifyOptions};
use nanozk_proof::witness::LaneColumn;
use nanozk_runtime::keys::{self, Bases, ProverKeys};
use nanozk_runtime::shown::Content;
use nanozk_runtime::{input, storage::KeyDir, verify};
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, partial};
use nanozk_tests::slow;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::borrow::Cow;
use std::path::Path;

/// A prover that commits to tensors of its choice.
struct Prover {
    keys: ProverKeys,
    bases: Bases,
    honest: Bundle,
}

/// One layer's lanes, and the commitments of those that hold boundary tensors, by lane.
struct Run {
    lanes: Vec<LaneColumn>,
    commitments: Vec<Option<G1>>,
}

impl Prover {
    fn artifact(&self) -> &Artifact<Held> {
        &self.keys.artifact
    }

    /// The layer's part of an inference.
    fn run(&self, layer: usize, file: &Path, rng: &mut ChaCha20Rng) -> Run {
        let model = &self.artifact().model;
        let values = interp::run_model(model, &input::read(self.artifact(), file).unwrap().int).unwrap();
        let inputs: Vec<&[i64]> = model.layers[layer].inputs.iter().map(|&t| values[t as usize].as_slice()).collect();
        let nodes = interp::run(model, layer, &inputs).unwrap();
        let lowered = &self.artifact().shapes[model.layers[layer].shape as usize];
        let data = witness::fill(lowered, model, layer, &nodes).unwrap();
        let lanes: Vec<LaneColumn> = data.into_iter().map(|data| LaneColumn { data, mask: random_mask(rng) }).collect();
        let plan = &lowered.plan;
        let boundary = |l: usize| plan.lanes[l].boundary.is_some();
        let commit = |l: usize| commit_lane(&plan.geometry, keys::base(&self.bases, plan), &lanes[l]);
        let commitments = (0..lanes.len()).map(|l| boundary(l).then(|| commit(l))).collect();
        Run { lanes, commitments }
    }

    /// A bundle with one layer, proven on `run`, that commits to what `commitments` says by lane.
    fn prove(&self, layer: usize, run: &Run, commitments: &[Option<G1>], rng: &mut ChaCha20Rng) -> Bundle {
        let (key, shape) = (&self.keys.verifier.layers[layer], self.artifact().model.layers[layer].shape);
        let plan = &self.artifact().shapes[shape as usize].plan;
        let mut bundle = Bundle { layers: Vec::new(), ..self.honest.clone() };
        for boundary in plan.boundaries.iter().filter(|b| !b.lanes.is_empty()) {
            let tensor = key.tensor(boundary.port).unwrap();
            let committed = bundle.committed.iter_mut().find(|c| c.tensor == tensor).unwrap();
            committed.lanes = boundary.lanes.iter().map(|l| commitments[*l as usize].unwrap()).collect();
        }
        let values = |ids: &[u32]| ids.iter().map(|id| self.honest.public(*id)).collect::<Vec<_>>();
        let (inputs, outputs) = (values(&key.inputs), values(&key.outputs));
        let prover = LayerProver {
            shape: &keys::shape_prover(plan, &self.bases).unwrap(),
            key,
            tables: &self.artifact().model.layers[layer].table_values(),
            weights: Cow::Owned(keys::weight_columns(self.artifact(), layer, &self.keys.weight_seed).unwrap()),
            index: layer as u32,
        };
        let input = LayerInput {
            lanes: run.lanes.clone(),
            boundary: &key.boundary_lanes(plan, |id| bundle.commitments(id)).unwrap(),
            public: PublicData { params: &key.params, inputs: &inputs, outputs: &outputs },
            prefix: bundle.prefix(),
        };
        let bytes = prove_layer(keys::base(&self.bases, plan), prover, input, rng).unwrap();
        bundle.layers = vec![LayerProof { index: layer as u32, bytes }];
        bundle
    }
}

#[test]
fn a_tensor_of_another_run_is_rejected_at_every_port() {
    let fixture = Fixture::new("llama-d64-l2");
    let file = model_dir("llama-d64-l2").join("input.json");
    let reversed = fixture.reversed(&file);

    let keys = keys::read(&KeyDir::new(fixture.dir.path().join("keys"))).unwrap();
    let bases = keys::bases(&keys.srs, keys.artifact.shapes.iter().map(|s| &s.plan)).unwrap();
    let prover = Prover { keys, bases, honest: fixture.prove(&file) };
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut ports = 0;
    for layer in 0..fixture.key.layers.len() {
        let (run, other) = (prover.run(layer, &file, &mut rng), prover.run(layer, &reversed, &mut rng));
        let honest = prover.prove(layer, &run, &run.commitments, &mut rng);
        partial(&fixture.key, &honest).unwrap();
        slow::verify(&fixture.key, &honest).unwrap();
        let plan = &prover.artifact().shapes[prover.artifact().model.layers[layer].shape as usize].plan;
        for boundary in plan.boundaries.iter().filter(|b| !b.lanes.is_empty()) {
            let mut commitments = run.commitments.clone();
            boundary.lanes.iter().for_each(|l| commitments[*l as usize] = other.commitments[*l as usize]);
            let forged = prover.prove(layer, &run, &commitments, &mut rng);
            assert!(partial(&fixture.key, &forged).is_err(), "layer {layer}, {:?}: ACCEPTED", boundary.port);
            assert!(slow::verify(&fixture.key, &forged).is_err(), "layer {layer}, {:?}: ACCEPTED", boundary.port);
            ports += 1;
        }
    }
    println!("ports of layers: {ports} forged, {ports} rejected");
    assert!(ports >= 2 * (fixture.key.layers.len() - 1));
}

/// The logits of a model whose last layer has negated weights, beside a proof of the first layer of the committed one:
/// nothing proves them, and nothing shows them.
#[test]
fn fabricated_logits_stand_behind_no_proof_of_the_first_layer() {
    let fixture = Fixture::new("llama-d64-l2");
    let file = model_dir("llama-d64-l2").join("input.json");
    let keys = keys::read(&KeyDir::new(fixture.dir.path().join("keys"))).unwrap();
    let bases = keys::bases(&keys.srs, keys.artifact.shapes.iter().map(|s| &s.plan)).unwrap();
    let mut prover = Prover { keys, bases, honest: fixture.prove(&file) };

    let mut negated = fixture.artifact.model.clone();
    negated.layers.last_mut().unwrap().weights.iter_mut().flatten().for_each(|weight| *weight = -*weight);
    let input = input::read(prover.artifact(), &file).unwrap().int;
    let values = interp::run_model(&negated, &input).unwrap();
    let mut changed = 0;
    for public in &mut prover.honest.public {
        let fabricated = &values[public.tensor as usize];
        changed += usize::from(public.values != *fabricated);
        public.values.clone_from(fabricated);
    }
    assert_eq!(changed, 1, "the logits and nothing else");
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let run = prover.run(0, &file, &mut rng);
    let bundle = prover.prove(0, &run, &run.commitments, &mut rng);
    assert!(matches!(fixture.verdict(&bundle), Err(VerifyError::Partial { proven: 1, .. })));

    let proof = fixture.dir.path().join("first.nanozk");
    std::fs::write(&proof, bundle.to_bytes().unwrap()).unwrap();
    let verdict = |allow_partial| {
        let options = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
        let verifier = fixture.dir.path().join("keys/verifier.nanozk");
        let request = verify::Request { verifier, proof: proof.clone(), options, allow_partial, ..Default::default() };
        verify::verify(&request).unwrap()
    };
    let refused = verdict(false);
    assert!(!refused.verified && !refused.full && refused.output.is_empty(), "{refused:?}");
    let allowed = verdict(true);
    assert!(allowed.verified && !allowed.full);
    assert_eq!(allowed.layers, [0]);
    assert!(allowed.output.iter().all(|output| matches!(output.content, Content::Absent { .. })), "{allowed:?}");
}
