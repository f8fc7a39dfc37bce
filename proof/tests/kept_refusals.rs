//! What verifier files and proofs are refused for before any equation is looked at, each by the check that is there for
//! it: the kept file and proof with one thing changed.

use group::Group;
use nanozk_ir::int::{Op, ops};
use nanozk_plan::format::{self, Kind, VERSION};
use nanozk_plan::{ElementMap, FixedColumn, Geometry, MASK_ROWS, Plan, Port};
use nanozk_proof::bundle::{Bundle, CommittedTensor, LayerProof};
use nanozk_proof::circuits::Circuits;
use nanozk_proof::field::G1;
use nanozk_proof::key_proof::{self, KeyError};
use nanozk_proof::keys::{Rows, TensorKey, VerifierFile, VerifierKey, Visibility};
use nanozk_proof::layer::LayerKey;
use nanozk_proof::verify::{VerifyError, VerifyOptions, verify, verify_layers};
use std::path::Path;
use std::sync::Arc;

fn file(name: &str) -> Vec<u8> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/golden/v{VERSION}"));
    std::fs::read(golden.join(name)).unwrap()
}

fn key() -> VerifierKey {
    VerifierKey::from_bytes(&file("verifier.nanozk")).unwrap()
}

fn proof() -> Bundle {
    Bundle::from_bytes(&file("proof.nanozk")).unwrap()
}

/// The key made anew.
fn made(key: VerifierKey) -> Result<VerifierKey, String> {
    let VerifierKey { tokens, tensors, inputs, outputs, circuits, shapes, layers, srs, .. } = key;
    VerifierKey::new(tokens, tensors, [inputs, outputs], circuits, shapes, layers, srs).map_err(|e| e.to_string())
}

fn refused_key(reason: &str, change: impl FnOnce(&mut VerifierKey)) {
    let mut key = key();
    change(&mut key);
    let error = made(key).map(drop).expect_err(reason);
    assert!(error.to_string().contains(reason), "refused by another check than '{reason}': {error}");
}

fn refused_file(reason: &str, change: impl FnOnce(&mut VerifierFile)) {
    let mut wire: VerifierFile = format::decode(Kind::Verifier, &file("verifier.nanozk")).unwrap();
    change(&mut wire);
    let bytes = format::encode(Kind::Verifier, &wire).unwrap();
    let error = VerifierKey::from_bytes(&bytes).map(drop).expect_err(reason).to_string();
    assert!(error.to_string().contains(reason), "refused by another check than '{reason}': {error}");
}

fn refused_proof(reason: &str, change: impl FnOnce(&mut VerifierKey, &mut Bundle)) {
    let (mut key, mut bundle) = (key(), proof());
    change(&mut key, &mut bundle);
    let error = bundle.fits(&key).expect_err(reason);
    assert!(error.to_string().contains(reason), "refused by another check than '{reason}': {error}");
}

fn hidden(key: &mut VerifierKey) -> u32 {
    let visibility = Visibility::PrivateInput;
    key.tensors.push(TensorKey { visibility, ..key.tensors[0].clone() });
    key.tensors.len() as u32 - 1
}

#[test]
fn the_kept_files_pass() {
    proof().fits(&key()).unwrap();
    made(key()).unwrap();
    verify(&key(), &proof(), &VerifyOptions::default()).unwrap();
}

#[test]
fn a_proof_has_the_tensors_and_layers_of_the_model() {
    let tokens = key().tokens;
    for length in [0, tokens + 1, u32::MAX] {
        refused_proof("is outside 1..=", |_, bundle| bundle.length = length);
    }
    let tensors = "the tensors are not those of the model";
    refused_proof(tensors, |_, bundle| drop(bundle.public.pop()));
    refused_proof(tensors, |_, bundle| bundle.public.reverse());
    refused_proof(tensors, |key, _| {
        hidden(key);
    });
    refused_proof(tensors, |_, bundle| bundle.committed.push(CommittedTensor { tensor: 0, lanes: Vec::new() }));
    // A hidden tensor that no layer holds has no commitment, one that a layer holds has.
    let commit = |key: &mut VerifierKey, bundle: &mut Bundle, lanes: Vec<G1>| {
        let tensor = hidden(key);
        bundle.committed.push(CommittedTensor { tensor, lanes });
        tensor
    };
    refused_proof("is committed to, and no layer reads it", |key, bundle| {
        commit(key, bundle, vec![G1::generator()]);
    });
    let (mut unread, mut bundle) = (key(), proof());
    commit(&mut unread, &mut bundle, Vec::new());
    bundle.fits(&unread).unwrap();
    let (mut read, mut bundle) = (key(), proof());
    let tensor = commit(&mut read, &mut bundle, vec![G1::generator()]);
    read.layers[0].inputs.push(tensor);
    bundle.fits(&read).unwrap();

    let layers = "the layers are not in order, repeated, or not of the model";
    refused_proof(layers, |_, bundle| bundle.layers.push(bundle.layers[0].clone()));
    refused_proof(layers, |_, bundle| bundle.layers[0].index = 1);
    refused_proof(layers, |key, bundle| {
        key.layers.push(key.layers[0].clone());
        bundle.layers.insert(0, LayerProof { index: 1, ..bundle.layers[0].clone() });
    });
}

#[test]
fn public_values_are_what_the_model_asks_for() {
    for at in 0..proof().public.len() {
        refused_proof("has the wrong size", |_, bundle| bundle.public[at].values.push(0));
        refused_proof("has the wrong size", |_, bundle| {
            bundle.public[at].values.pop();
        });
        let (tensor, greatest) = (proof().public[at].tensor as usize, *proof().public[at].values.iter().max().unwrap());
        refused_proof("outside", |key, _| key.tensors[tensor].hi = greatest - 1);
        let least = *proof().public[at].values.iter().min().unwrap();
        refused_proof("outside", |key, _| key.tensors[tensor].lo = least + 1);
        let (mut tight, honest) = (key(), proof());
        (tight.tensors[tensor].lo, tight.tensors[tensor].hi) = (least, greatest);
        honest.fits(&tight).unwrap();
    }
    let input = key().inputs[0].tensor as usize;
    let width = key().tensors[input].features as usize;
    let tokens = key().tokens;
    let changed = |rows: Rows, length: u32, values: &dyn Fn(usize) -> i64| {
        let (mut key, mut bundle) = (key(), proof());
        key.tensors[input].rows = rows;
        bundle.length = length;
        let public = bundle.public.iter_mut().find(|tensor| tensor.tensor as usize == input).unwrap();
        public.values.iter_mut().enumerate().for_each(|(i, value)| *value = values(i));
        (key, bundle)
    };
    let said = |key: &VerifierKey, bundle: &Bundle| {
        let words = ["is not 0", "sees all", "differs", "hides all"];
        bundle.fits(key).map_err(|error| words.into_iter().find(|w| error.to_string().contains(w)))
    };
    let with = |rows: Rows, length: u32, values: &dyn Fn(usize) -> i64| {
        let (key, bundle) = changed(rows, length, &|i| values(i / width));
        said(&key, &bundle)
    };
    let first = |row: usize| i64::from(row == 0);
    assert_eq!(with(Rows::Padded, 1, &first), Ok(()));
    assert_eq!(with(Rows::Padded, 1, &|row| i64::from(row == 1)), Err(Some("is not 0")));
    assert_eq!(with(Rows::Padded, tokens, &first), Ok(()));
    assert_eq!(with(Rows::Full, tokens, &first), Ok(()));
    assert_eq!(with(Rows::Full, tokens - 1, &first), Err(Some("sees all")));
    assert_eq!(with(Rows::Equal, tokens, &|_| 1), Ok(()));
    assert_eq!(with(Rows::Equal, tokens, &first), Err(Some("differs")));
    // A mask without a visible token, or, where tokens see none that follow, without the first.
    assert_eq!(with(Rows::Equal, tokens, &|_| 0), Err(Some("hides all")));
    let (mut key, bundle) = changed(Rows::Equal, tokens, &|i| i64::from(i % width > 0));
    assert_eq!(said(&key, &bundle), Err(Some("hides all")));
    let mut circuits = key.circuits.read().unwrap();
    for node in circuits.iter_mut().flat_map(|circuit| &mut circuit.graph.nodes) {
        if let Op::Attend(ops::Attend { causal, .. }) = &mut node.op {
            *causal = false;
        }
    }
    key.circuits = Circuits::new(&circuits).unwrap();
    assert_eq!(said(&key, &bundle), Ok(()));
    let (mut unread, bundle) = changed(Rows::Equal, tokens, &|_| 0);
    unread.layers.iter_mut().for_each(|layer| layer.inputs.retain(|id| *id as usize != input));
    assert_eq!(said(&unread, &bundle), Ok(()));
    // What a layer writes has no padding to speak of.
    let (mut short, mut bundle) = (self::key(), proof());
    short.inputs.clear();
    bundle.length = 1;
    bundle.fits(&short).unwrap();
}

#[test]
fn a_verifier_gets_what_it_insists_on() {
    let (key, honest) = (key(), proof());
    let verdict = |change: &dyn Fn(&mut Bundle), options: &VerifyOptions| {
        let mut bundle = honest.clone();
        change(&mut bundle);
        verify(&key, &bundle, options).map(drop)
    };
    let id = VerifyOptions { model_id: Some(key.model_id()), ..Default::default() };
    assert_eq!(verdict(&|_| (), &id), Ok(()));
    let other = VerifyOptions { model_id: Some([7; 32]), ..Default::default() };
    assert!(matches!(verdict(&|_| (), &other), Err(VerifyError::ModelId { .. })));
    let claims = verdict(&|bundle| bundle.model_id[0] ^= 1, &VerifyOptions::default());
    assert!(matches!(claims, Err(VerifyError::OtherModel { .. })), "{claims:?}");
    let nonce = VerifyOptions { nonce: Some(honest.nonce.clone()), ..Default::default() };
    assert_eq!(verdict(&|_| (), &nonce), Ok(()));
    let another = VerifyOptions { nonce: Some(b"another".to_vec()), ..Default::default() };
    assert_eq!(verdict(&|_| (), &another), Err(VerifyError::Nonce));
    assert_eq!(verdict(&|bundle| bundle.layers.clear(), &VerifyOptions::default()), Err(VerifyError::Empty));
    let misfit = verdict(&|bundle| bundle.length = 0, &VerifyOptions::default());
    assert!(matches!(misfit, Err(VerifyError::Mismatch(_))), "{misfit:?}");
    let broken = verdict(&|bundle| bundle.layers[0].bytes.truncate(100), &VerifyOptions::default());
    assert!(matches!(broken, Err(VerifyError::Layer { index: 0, .. })), "{broken:?}");

    // Nothing about the weights is proven: that matters to those who ask.
    let unproven = key.clone().with_proof(None).unwrap();
    let bundle = Bundle { model_id: unproven.model_id(), ..honest.clone() };
    let asked = VerifyOptions { check_weights: true, ..Default::default() };
    assert_eq!(verify(&unproven, &bundle, &asked), Err(VerifyError::Key(KeyError::Missing)));
    assert_eq!(key_proof::check(&unproven, false), Err(KeyError::Missing));
    verify(&key, &honest, &asked).unwrap();

    // A model of two layers, of which one is proven.
    let (mut longer, mut bundle) = (key.clone(), honest.clone());
    longer.layers.push(longer.layers[0].clone());
    bundle.layers[0].index = 0;
    let options = VerifyOptions::default();
    assert_eq!(verify(&longer, &bundle, &options).map(drop), Err(VerifyError::Partial { proven: 1, total: 2 }));
    let verdict = verify_layers(&longer, &bundle, &options).unwrap();
    assert_eq!(verdict.layers, [0]);
}

#[test]
fn an_srs_of_no_ceremony_needs_permission() {
    use rand_core::SeedableRng;
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(5);
    let srs = nanozk_proof::srs::Srs::generate_unsafe(4, &mut rng).unwrap();
    let (mut local, mut bundle) = (key(), proof());
    local.srs = *srs.verifier_part();
    let local = made(local).unwrap().with_proof(key().proof).unwrap();
    bundle.model_id = local.model_id();
    assert_eq!(verify(&local, &bundle, &VerifyOptions::default()), Err(VerifyError::UnsafeSrs));
    assert_eq!(key_proof::check(&local, false), Err(KeyError::UnsafeSrs));
    let lenient = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
    let refused = [verify(&local, &bundle, &lenient).map(drop).is_err(), key_proof::check(&local, true).is_err()];
    assert_eq!(refused, [true, true], "a proof under another SRS");
    assert_ne!(verify(&local, &bundle, &lenient), Err(VerifyError::UnsafeSrs));
}

#[test]
fn tensors_and_layers_fit_together() {
    let none = "a model input or output names no tensor";
    refused_key(none, |key| key.inputs[0].tensor = 99);
    refused_key(none, |key| key.outputs[0].tensor = 99);
    refused_key("no layer reads the noise tensor of nobody", |key| {
        let noise =
            TensorKey { name: "tensor of nobody".into(), visibility: Visibility::Noise, ..key.tensors[0].clone() };
        key.tensors.push(noise);
    });
    let once = |key: &mut VerifierKey| {
        let value = &mut key.inputs[0].value;
        let mut indices: Vec<u32> = value.indices().map(|i| i as u32).collect();
        indices[0] = indices[1];
        value.map = ElementMap::List(indices);
    };
    refused_key("does not determine its tensor", once);
    // All of a hidden tensor, whatever is said of its rows: nobody sees that they are equal.
    refused_key("does not determine its tensor", |key| {
        let (input, tokens) = (key.inputs[0].tensor as usize, key.tokens as usize);
        (key.tensors[input].rows, key.tensors[input].visibility) = (Rows::Equal, Visibility::PrivateInput);
        let value = &mut key.inputs[0].value;
        let row = value.indices().count() / tokens;
        *value = nanozk_plan::ValueInfo::row_major("row", vec![row], value.dtype);
    });
    refused_key("has elements outside its tensor", |key| {
        let value = &mut key.outputs[0].value;
        let mut indices: Vec<u32> = value.indices().map(|i| i as u32).collect();
        indices[0] = u32::MAX;
        value.map = ElementMap::List(indices);
    });
    let range = "a tensor has an invalid scale or range";
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused_key(range, |key| key.tensors[0].scale = scale);
    }
    refused_key(range, |key| (key.tensors[0].lo, key.tensors[0].hi) = (1, 0));
    refused_key("has no shape", |key| key.layers[0].shape = 1);
    let fit = "does not fit its shape";
    refused_key(fit, |key| {
        let plan: &Plan = &key.shapes[0].plan;
        let geometry = Geometry { tokens: plan.geometry.tokens + 1, ..plan.geometry };
        key.shapes[0].plan = Arc::new(Plan { geometry, ..plan.clone() });
    });
    refused_key(fit, |key| key.layers[0].inputs[0] = 99);
    refused_key(fit, |key| key.layers[0].outputs[0] = 99);
    refused_key(fit, |key| key.layers[0].tables.push(G1::generator()));
    refused_key(fit, |key| {
        key.layers[0].weights.pop();
    });
    refused_key(fit, |key| key.layers[0].params.push(1));
    refused_key(fit, |key| key.layers[0].inputs.push(0));
    refused_key(fit, |key| {
        let plan: &Plan = &key.shapes[0].plan;
        let mut other = plan.clone();
        other.boundaries[0].port = Port::Input(7);
        key.shapes[0].plan = Arc::new(other);
    });
    refused_key(fit, |key| {
        let plan: &Plan = &key.shapes[0].plan;
        let mut other = plan.clone();
        other.boundaries[0].features += 1;
        key.shapes[0].plan = Arc::new(other);
    });
    refused_key(fit, |key| {
        let input = key.layers[0].inputs[0] as usize;
        key.tensors[input].visibility = Visibility::PrivateInput;
    });
    refused_key("two shapes have different geometries", |key| {
        let mut other = key.shapes[0].clone();
        let geometry = Geometry { groups: other.plan.geometry.groups - 1, ..other.plan.geometry };
        other.plan = Arc::new(Plan { geometry, ..(*other.plan).clone() });
        key.shapes.push(other);
    });
    refused_key("before any layer writes it", |key| key.inputs.clear());
    refused_key("which has its value already", |key| key.layers.push(key.layers[0].clone()));
    refused_key("no layer writes the output", |key| key.layers.clear());
}

/// What is counted of the openings is what the constraint system asks for.
#[test]
fn openings_of_committed_columns_are_counted() {
    let key = key();
    assert_eq!(nanozk_proof::hiding::points(&key.shapes[0]), 1, "committed columns are opened at x");
    nanozk_proof::hiding::check(&key.shapes, &key.layers).unwrap();
}

/// More openings of one lane than its random rows hide, in as many layers, and helpers that share all their lanes.
#[test]
fn files_without_enough_random_rows_are_refused() {
    refused_key("share a helper column", |key| {
        let plan = Arc::make_mut(&mut key.shapes[0].plan);
        plan.lookups = vec![plan.lookups[0].clone(); 6];
    });
    let readers = |count: usize| {
        move |key: &mut VerifierKey| {
            let tensor = key.inputs[0].tensor;
            key.tensors[tensor as usize].visibility = Visibility::PrivateInput;
            let first = key.layers[0].clone();
            let port = first.inputs.iter().position(|id| *id == tensor).unwrap() as u32;
            let plan = Arc::make_mut(&mut key.shapes[0].plan);
            plan.lookups.clear();
            let boundary = plan.boundaries.iter_mut().find(|b| b.port == Port::Input(port)).unwrap();
            boundary.lanes = (0..boundary.features.div_ceil(plan.geometry.groups)).collect();
            for _ in 1..count {
                let outputs = first.outputs.iter().map(|id| {
                    key.tensors.push(key.tensors[*id as usize].clone());
                    key.tensors.len() as u32 - 1
                });
                let outputs = outputs.collect();
                key.layers.push(LayerKey { outputs, ..first.clone() });
            }
        }
    };
    let mut most = key();
    readers(MASK_ROWS - 1)(&mut most);
    made(most).unwrap();
    refused_key("would be opened 8 times", readers(MASK_ROWS));
}

/// A tensor that comes with more or fewer commitments than it has lanes has none.
#[test]
fn tensors_have_one_commitment_for_each_lane() {
    let layer = LayerKey { inputs: vec![0], ..key().layers[0].clone() };
    let boundary = nanozk_plan::Boundary { port: Port::Input(0), lanes: vec![0, 1], features: 1 };
    let lane = nanozk_plan::Lane { name: String::new(), boundary: Some(Port::Input(0)) };
    let plan = Plan { lanes: vec![lane; 2], boundaries: vec![boundary], ..Plan::default() };
    for count in 0..4 {
        let commitments = vec![G1::generator(); count];
        assert_eq!(layer.boundary_lanes(&plan, |_| Some(&commitments)).is_some(), count == 2, "{count} commitments");
    }
}

#[test]
fn shapes_have_sound_plans_and_a_basis_of_the_span() {
    refused_file("relation 0 has no terms", |wire| wire.shapes[0].plan.relations[0].terms.clear());
    let basis = "a shape has the wrong number of commitments of mask rows";
    refused_file(basis, |wire| wire.shapes[0].span_basis.truncate(1));
    refused_file(basis, |wire| wire.shapes[0].span_basis.push(G1::generator()));
    refused_file("does not fit its shape", |wire| wire.layers[0].params.push(1));
}

/// Counts are numbers, so a short file can ask for much: for circuits of many rows, for tables, for layers.
#[test]
fn a_file_asks_for_no_more_work_than_its_length_allows() {
    let rows = |plan: &mut Plan| plan.geometry.k = 20;
    refused_file("reading the circuits would take", |wire| {
        rows(&mut wire.shapes[0].plan);
        wire.shapes[0].plan.fixed = vec![FixedColumn { name: String::new(), runs: Vec::new() }; 4000];
    });
    refused_file("checking the tables would take", |wire| {
        rows(&mut wire.shapes[0].plan);
        wire.layers[0].tables = vec![G1::generator(); 1000];
    });
    let layers = |layer: &LayerKey| {
        let name = String::new();
        let (weights, tables, params) = (Vec::new(), Vec::new(), Vec::new());
        vec![LayerKey { name, weights, tables, params, ..layer.clone() }; 1000]
    };
    let verifying = "verifying a proof of all layers would take";
    refused_file(verifying, |wire| {
        rows(&mut wire.shapes[0].plan);
        wire.layers = layers(&wire.layers[0]);
    });
    // Nor is such a file written.
    let mut key = key();
    rows(Arc::make_mut(&mut key.shapes[0].plan));
    key.layers = layers(&key.layers[0]);
    let error = key.with_proof(None).map(drop).expect_err(verifying).to_string();
    assert!(error.contains(verifying), "{error}");
}
