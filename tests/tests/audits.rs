//! Providers that cheat under audit, and why the layers must not follow from the commitment alone.
//!
//! What each layer's proof is worth is seen once, by the real prover and verifier; draws are then counted.

use ff::PrimeField;
use nanozk_audit::{Challenge, Design, Digest, Policy, Randomness, Weights, plan};
use nanozk_ir::int::{Model, interp};
use nanozk_proof::bundle::{Bundle, LayerProof};
use nanozk_proof::misfit::BundleMisfit;
use nanozk_proof::prover::ShapeProver;
use nanozk_proof::verify::{AuditedVerdict, VerifyError, VerifyOptions, verify_audited};
use nanozk_runtime::commit::{Committed, Statement};
use nanozk_runtime::keys::{self, Bases, ProverKeys};
use nanozk_runtime::layer::{self, LayerData};
use nanozk_runtime::{input, storage::KeyDir};
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, NONCE, partial};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Draws by which rates are measured.
const TRIALS: u32 = 400;

struct Provider {
    fixture: Fixture,
    keys: ProverKeys,
    bases: Bases,
    shapes: Vec<ShapeProver>,
    input: Vec<Vec<i64>>,
    length: u32,
}

static PROVIDER: LazyLock<Provider> = LazyLock::new(|| {
    let fixture = Fixture::new("llama-d64-l2");
    let keys = keys::read(&KeyDir::new(fixture.dir.path().join("keys"))).unwrap();
    let bases = keys::bases(&keys.srs, keys.plans()).unwrap();
    let input = input::read(&keys.artifact, &model_dir("llama-d64-l2").join("input.json")).unwrap();
    let shapes = keys.plans().map(|plan| keys::shape_prover(plan, &bases).unwrap()).collect();
    Provider { fixture, keys, bases, shapes, input: input.int, length: input.length }
});

impl Provider {
    fn model(&self) -> &Model {
        &self.fixture.artifact.model
    }

    fn layers(&self) -> usize {
        self.model().layers.len()
    }

    /// Commits to whatever `values` the tensors are said to have.
    fn commit(&self, values: Vec<Vec<i64>>, seed: u8) -> Committed {
        let statement = Statement { input: &self.input, length: self.length, answer: None, nonce: NONCE };
        Committed::new(&self.keys, &self.bases, &statement, values, [seed; 32])
    }

    /// The proof of a layer of a commitment by who computes the layer as `model` does.
    fn prove(&self, committed: &Committed, model: &Model, index: usize) -> LayerProof {
        let LayerData { at, lowered, key, weight_masks, .. } = LayerData::of(&self.keys, index);
        let data = LayerData { model, at, lowered, key, weight_masks };
        let (shape, base) = (&self.shapes[data.key.shape as usize], keys::base(&self.bases, &data.lowered.plan));
        layer::prove(data, &committed.task(&self.keys, index), shape, base).unwrap()
    }

    /// Proofs of the layers of a commitment that its provider can prove, be it by the model's weights or by its own.
    fn provable(&self, committed: &Committed, own: &Model) -> BTreeMap<u32, LayerProof> {
        let accepted = |index: usize| {
            let mut proofs = [self.model(), own].map(|model| self.prove(committed, model, index)).into_iter();
            proofs.find(|proof| {
                let bundle = Bundle { layers: vec![proof.clone()], ..committed.bundle().clone() };
                partial(&self.fixture.key, &bundle).is_ok()
            })
        };
        (0..self.layers()).filter_map(|index| Some((index as u32, accepted(index)?))).collect()
    }

    /// The verifier's draw of layers of a commitment.
    fn challenge(&self, committed: &Committed, design: &Design, value: u32) -> Challenge {
        let id = self.fixture.key.model_id();
        let mut commitment = [0; 32];
        commitment.copy_from_slice(committed.bundle().prefix().to_repr().as_ref());
        let mut random = vec![0; 32];
        random[..4].copy_from_slice(&value.to_le_bytes());
        let policy = Policy::new(design, Some(Digest(id)));
        Challenge::draw(Digest(id), Digest(commitment), policy, Randomness::System { value: random }, 0).unwrap()
    }

    /// The verdict on an answer to a challenge, with what there is of the layers drawn.
    fn verdict(
        &self,
        committed: &Committed,
        proofs: &BTreeMap<u32, LayerProof>,
        challenge: &Challenge,
    ) -> Result<AuditedVerdict, VerifyError> {
        let layers = challenge.layers.iter().filter_map(|index| proofs.get(index).cloned()).collect();
        let bundle = Bundle { layers, ..committed.bundle().clone() };
        let options = VerifyOptions { nonce: Some(NONCE.to_vec()), allow_unsafe_srs: true, ..Default::default() };
        verify_audited(&self.fixture.key, &bundle, &options, &challenge.check().unwrap())
    }

    /// Layers in the middle that read and write one hidden tensor of the same width.
    fn inner(&self) -> Vec<usize> {
        let width = |id: u32| self.model().tensors[id as usize].features;
        let inner = |l: &usize| {
            let layer = &self.model().layers[*l];
            layer.inputs.len() == 1 && layer.outputs.len() == 1 && width(layer.inputs[0]) == width(layer.outputs[0])
        };
        let inner: Vec<usize> = (1..self.layers() - 1).filter(inner).collect();
        assert!(!inner.is_empty());
        inner
    }
}

fn designs(layers: usize) -> [Design; 2] {
    let pins = vec![false; layers];
    let weights: Vec<f64> = (0..layers).map(|i| 1.0 + i as f64).collect();
    [
        plan(&pins, 2, Weights::Uniform).unwrap(),
        plan(&pins, 2, Weights::Given { weights: &weights, floor: 0.2 }).unwrap(),
    ]
}

/// A provider that committed to `values`, which it computes as `own` does, can prove all layers but `wrong`; so it is
/// caught when one of these is drawn, and at the stated rate.
fn audit(name: &str, own: &Model, values: Vec<Vec<i64>>, wrong: &BTreeSet<u32>) {
    let provider = &*PROVIDER;
    let committed = provider.commit(values, 1);
    let proofs = provider.provable(&committed, own);
    let unproven: BTreeSet<u32> = (0..provider.layers() as u32).filter(|i| !proofs.contains_key(i)).collect();
    assert_eq!(unproven, *wrong, "{name}: layers that cannot be proven");
    for design in designs(provider.layers()) {
        let (mut caught, mut passed) = (0, None);
        for trial in 0..TRIALS {
            let challenge = provider.challenge(&committed, &design, trial);
            if challenge.layers.iter().any(|index| wrong.contains(index)) {
                caught += 1;
            } else {
                passed = Some(challenge);
            }
        }
        let places: Vec<usize> = wrong.iter().map(|i| *i as usize).collect();
        let stated = 1.0 - design.miss(&places);
        let (seen, trials) = (f64::from(caught) / f64::from(TRIALS), f64::from(TRIALS));
        let deviation = (stated * (1.0 - stated) / trials).sqrt();
        println!("{name}: {} wrong layers, caught in {seen:.4} of {TRIALS} draws, stated {stated:.4}", wrong.len());
        assert!((seen - stated).abs() <= 5.0 * deviation, "{name}: {seen} seen, {stated} stated");
        assert!(stated >= design.least() - 1e-12);
        // What the verifier says where no wrong layer is drawn: audited, with the least probability, and no more.
        if let Some(challenge) = passed {
            let verdict = provider.verdict(&committed, &proofs, &challenge).unwrap();
            assert_eq!((verdict.layers.len(), verdict.total), (2, provider.layers()));
            assert_eq!((verdict.layers, verdict.caught), (challenge.layers, design.least()));
        }
    }
    // Each wrong layer, drawn: the proof that the provider has of it fails, and leaving it out fails too.
    let design = &designs(provider.layers())[0];
    for index in wrong {
        let drawn = (0..).map(|value| provider.challenge(&committed, design, value));
        let challenge = drawn.into_iter().find(|c| c.layers.contains(index)).unwrap();
        assert!(matches!(provider.verdict(&committed, &proofs, &challenge), Err(VerifyError::OtherLayers { .. })));
        let mut forged = proofs.clone();
        for wrong in wrong {
            forged.insert(*wrong, provider.prove(&committed, own, *wrong as usize));
        }
        let error = provider.verdict(&committed, &forged, &challenge).unwrap_err();
        assert!(matches!(error, VerifyError::Layer { index, .. } if wrong.contains(&index)), "{name}: {error}");
    }
}

#[test]
fn swapped_weights_are_caught() {
    let provider = &*PROVIDER;
    let index = provider.inner()[0];
    let mut own = provider.model().clone();
    own.layers[index].weights.iter_mut().flatten().for_each(|weight| *weight = -*weight);
    let values = interp::run_model(&own, &provider.input).unwrap();
    audit("swapped weights", &own, values, &BTreeSet::from([index as u32]));
}

#[test]
fn a_skipped_layer_is_caught() {
    let provider = &*PROVIDER;
    let (model, index) = (provider.model(), provider.inner()[0]);
    let mut values = interp::run_model(model, &provider.input).unwrap();
    values[model.layers[index].outputs[0] as usize] = values[model.layers[index].inputs[0] as usize].clone();
    for later in index + 1..provider.layers() {
        let layer = &model.layers[later];
        let inputs: Vec<&[i64]> = layer.inputs.iter().map(|id| values[*id as usize].as_slice()).collect();
        let mut nodes = interp::run(model, later, &inputs).unwrap();
        for (port, node) in interp::outputs(&model.shapes[layer.shape as usize]) {
            values[layer.outputs[port] as usize] = std::mem::take(&mut nodes[node]);
        }
    }
    audit("skipped layer", model, values, &BTreeSet::from([index as u32]));
}

#[test]
fn a_cheaper_model_is_caught() {
    let provider = &*PROVIDER;
    let mut own = provider.model().clone();
    let blocks: BTreeSet<u32> = provider.inner().into_iter().map(|i| i as u32).collect();
    assert!(blocks.len() > 1);
    for index in &blocks {
        let weights = &mut own.layers[*index as usize].weights;
        weights.iter_mut().flatten().for_each(|weight| *weight = *weight / 64 * 64);
    }
    let values = interp::run_model(&own, &provider.input).unwrap();
    audit("cheaper model", &own, values, &blocks);
}

/// An honest provider answers every challenge.
#[test]
fn an_honest_provider_passes() {
    let provider = &*PROVIDER;
    let values = interp::run_model(provider.model(), &provider.input).unwrap();
    let committed = provider.commit(values, 1);
    let proofs = provider.provable(&committed, provider.model());
    for value in 0..4 {
        let challenge = provider.challenge(&committed, &designs(provider.layers())[1], value);
        provider.verdict(&committed, &proofs, &challenge).unwrap();
    }
    // A proof of more than was drawn is another proof, and one for another commitment too.
    let challenge = provider.challenge(&committed, &designs(provider.layers())[0], 0);
    let all = Challenge { layers: (0..provider.layers() as u32).collect(), ..challenge.clone() };
    let bundle = Bundle { layers: proofs.values().cloned().collect(), ..committed.bundle().clone() };
    assert!(all.check().is_err());
    let options = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
    let error = verify_audited(&provider.fixture.key, &bundle, &options, &challenge.check().unwrap()).unwrap_err();
    assert!(matches!(error, VerifyError::OtherLayers { .. }), "{error}");
    let more = provider.challenge(&committed, &designs(provider.layers() + 1)[0], 0);
    let error = provider.verdict(&committed, &proofs, &more).unwrap_err();
    assert!(matches!(error, VerifyError::Mismatch(BundleMisfit::Challenge { .. })), "{error}");
    let masked_again = provider.commit(interp::run_model(provider.model(), &provider.input).unwrap(), 2);
    let error = provider.verdict(&masked_again, &proofs, &challenge).unwrap_err();
    assert!(matches!(error, VerifyError::OtherCommitment { .. }), "{error}");
}

/// Layers that follow from the commitment alone, as Fiat-Shamir would have it: the provider of a wrong answer draws new
/// masks until its wrong layer is not among them, and the proof of the others is accepted. Each attempt costs it a
/// commitment, and one in four of these passes. So a draw needs what the provider did not know when it committed.
#[test]
fn layers_that_follow_from_the_commitment_are_ground() {
    let provider = &*PROVIDER;
    let (index, layers) = (provider.inner()[0], provider.layers());
    let mut own = provider.model().clone();
    own.layers[index].weights.iter_mut().flatten().for_each(|weight| *weight = -*weight);
    let values = interp::run_model(&own, &provider.input).unwrap();
    let design = plan(&vec![false; layers], layers as u32 - 1, Weights::Uniform).unwrap();
    assert!(design.least() > 0.7);

    // A public value: the layers are a function of commitment and policy. Several, to see what it costs.
    let ground = |known: u32| {
        let attempt = |seed: u8| {
            let committed = provider.commit(values.clone(), seed);
            let challenge = provider.challenge(&committed, &design, known);
            (!challenge.layers.contains(&(index as u32))).then_some((seed, committed, challenge))
        };
        (1..).find_map(attempt).unwrap()
    };
    let mut attempts: Vec<u8> = (1..6).map(|known| ground(known).0).collect();
    let (last, committed, challenge) = ground(0);
    attempts.push(last);
    println!("commitments until the wrong layer is not among {} of {layers}: {attempts:?}", challenge.layers.len());
    let proofs = provider.provable(&committed, &own);
    let verdict = provider.verdict(&committed, &proofs, &challenge).unwrap();
    assert!(!verdict.layers.contains(&(index as u32)), "a wrong answer has passed");

    // The same commitment before a verifier whose randomness comes later: caught at the stated rate.
    let caught =
        (1..=TRIALS).filter(|value| provider.challenge(&committed, &design, *value).layers.contains(&(index as u32)));
    let seen = caught.count() as f64 / f64::from(TRIALS);
    let stated = design.probability(index);
    assert!((seen - stated).abs() <= 5.0 * (stated * (1.0 - stated) / f64::from(TRIALS)).sqrt(), "{seen} {stated}");
}
