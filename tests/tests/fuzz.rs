//! Hostile files: every reader on mutated files, without a panic, an endless loop, or an allocation beyond a small
//! multiple of the file's size.
//!
//! Each target starts from real files and keeps mutants that fail in a new way, so that later mutants reach further.
//! A checksum protects from damage and not from malice: payloads are mutated inside and sealed again.
//!
//! `NANOZK_FUZZ_SECONDS` (default 3) is the time per target, `NANOZK_FUZZ_SEED` (default 1) makes another run:
//! `NANOZK_FUZZ_SECONDS=600 cargo test --release -p nanozk-tests --test fuzz -- --nocapture verifier_file`. The case at
//! work stands in `fuzz-TARGET.case` of the target directory's `tmp`, so that even an abort leaves it behind.

#[path = "fuzz/run.rs"]
mod run;

use group::GroupEncoding;
use group::prime::PrimeCurveAffine;
use nanozk_audit::{Challenge, Digest, Policy, Randomness, Weights, plan};
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::config::Config;
use nanozk_compiler::data::{InputInfo, read_input};
use nanozk_compiler::frontend::{self, LoadOptions};
use nanozk_ir::float::InputKind;
use nanozk_ir::int::{Known, interp};
use nanozk_plan::ElementType;
use nanozk_plan::format::{self, HEADER_LEN, Kind};
use nanozk_proof::budget::budget;
use nanozk_proof::bundle::{Bundle, LayerProof};
use nanozk_proof::circuits::Circuits;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::srs::Srs;
use nanozk_proof::statement::Statement;
use nanozk_runtime::audit::files;
use nanozk_runtime::keys::ProverFile;
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, NONCE, compiled, partial};
use nanozk_tests::{heap, mutate};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use run::Target;
use std::borrow::Cow;
use std::fs::File;
use std::sync::LazyLock;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// What the rows of a circuit may cost: a short plan can ask for many of them, up to the bounds of `plan::check`.
const PLAN_BASE: usize = 512 << 20;

/// A model with one layer, and one with several and token inputs.
static SINGLE: LazyLock<(Fixture, Bundle)> = LazyLock::new(|| proven("block-d16-t16"));
static CHAIN: LazyLock<(Fixture, Bundle)> = LazyLock::new(|| proven("llama-d64-l2"));

fn proven(name: &str) -> (Fixture, Bundle) {
    let fixture = Fixture::new(name);
    let bundle = fixture.prove(&model_dir(name).join("input.json"));
    (fixture, bundle)
}

fn payload(file: Vec<u8>) -> Vec<u8> {
    file[HEADER_LEN..].to_vec()
}

/// What a reader said: the kind of its error, without names and numbers.
fn said<T, E: std::fmt::Display>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "accepted".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn onnx_files() {
    let _turn = run::turn();
    let read = |name: &str| std::fs::read(model_dir(name).join("network.onnx")).unwrap();
    let forms = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../compiler/tests/forms");
    let mut corpus = vec![read("block-d16-t16")];
    for entry in
        std::fs::read_dir(forms).unwrap().flatten().filter(|e| e.path().extension().is_some_and(|x| x == "onnx"))
    {
        corpus.push(std::fs::read(entry.path()).unwrap());
    }
    corpus.sort();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("network.onnx");
    let words: [&[u8]; 12] = [
        b"MatMul",
        b"Reshape",
        b"Softmax",
        b"Where",
        b"Gather",
        b"Expand",
        b"ConstantOfShape",
        b"Concat",
        b"Slice",
        b"Transpose",
        b"Einsum",
        b"Cast",
    ];
    Target { name: "onnx", factor: 400, base: 64 << 20, words: &words, corpus, mutate: mutate::mutate_protobuf }.run(
        |bytes| {
            run::overwrite(&path, bytes);
            said(frontend::load(&path, &LoadOptions::default()))
        },
    );
}

#[test]
fn model_files() {
    let _turn = run::turn();
    let corpus = ["block-d16-t16", "mlp-digits"].map(|name| payload(compiled(name).to_bytes().unwrap())).to_vec();
    Target { name: "model", factor: 64, base: PLAN_BASE, words: &[], corpus, mutate: mutate::mutate }.run(|bytes| {
        match Artifact::from_bytes(&format::seal(Kind::Model, bytes)) {
            Ok(artifact) => artifact_says(&artifact),
            Err(error) => error.to_string(),
        }
    });
}

/// A model whose weights stay in its file is the one that is read whole, and refused where that is: at the latest when
/// weights are asked for.
#[test]
fn models_in_their_files() {
    let _turn = run::turn();
    let corpus = ["block-d16-t16", "mlp-digits"].map(|name| payload(compiled(name).to_bytes().unwrap())).to_vec();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.nanozk");
    Target { name: "held", factor: 128, base: PLAN_BASE, words: &[], corpus, mutate: mutate::mutate }.run(|bytes| {
        let bytes = format::seal(Kind::Model, bytes);
        run::overwrite(&path, &bytes);
        let file = File::open(&path).unwrap();
        let held = Artifact::open(&path, &file, 0..bytes.len() as u64).map_err(|error| error.to_string());
        let held = held.and_then(|held| {
            let weights = held.model.layers.iter().map(|layer| layer.weights.get().map(Cow::into_owned));
            let weights: Vec<_> = weights.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
            Ok((format::encode(Kind::Model, &held.model.architecture()).unwrap(), weights))
        });
        let whole = Artifact::from_bytes(&bytes).map(|Artifact { model, .. }| {
            let architecture = format::encode(Kind::Model, &model.architecture()).unwrap();
            (architecture, model.layers.into_iter().map(|layer| layer.weights).collect())
        });
        assert_eq!(held.as_ref().ok(), whole.as_ref().ok());
        held.map_or_else(|error| error, |_| "read".into())
    });
}

/// An accepted model must be fit for evaluation, where a mutant is small enough to try.
fn artifact_says(artifact: &Artifact) -> String {
    const MOST: u64 = 1 << 16;
    let tokens = u64::from(artifact.model.tokens);
    let nodes = artifact.model.shapes.iter().flat_map(|s| &s.nodes).map(|n| u64::from(n.features));
    let tensors = artifact.model.tensors.iter().map(|t| u64::from(t.features));
    if nodes.chain(tensors).sum::<u64>().saturating_mul(tokens) > MOST {
        return "accepted, large".into();
    }
    let inputs = artifact.model.inputs.iter();
    let zeros: Vec<_> =
        inputs.map(|&i| vec![0; (tokens * u64::from(artifact.model.tensors[i as usize].features)) as usize]).collect();
    let tensors = interp::run_model(&artifact.model, &zeros);
    if let Ok(tensors) = &tensors {
        for (value, &tensor) in artifact.outputs.iter().zip(&artifact.model.outputs) {
            value.arrange(&tensors[tensor as usize]);
        }
    }
    said(tensors)
}

#[test]
fn prover_files() {
    let _turn = run::turn();
    let model = compiled("block-d16-t16").to_bytes().unwrap();
    let file = ProverFile { model_id: [7; 32], weight_seed: [9; 32], model };
    let corpus = vec![payload(format::encode(Kind::Prover, &file).unwrap())];
    Target { name: "prover", factor: 64, base: PLAN_BASE, words: &[], corpus, mutate: mutate::mutate }.run(|bytes| {
        match format::decode::<ProverFile>(Kind::Prover, &format::seal(Kind::Prover, bytes)) {
            Ok(file) => said(Artifact::from_bytes(&file.model)),
            Err(error) => error.to_string(),
        }
    });
}

#[test]
fn verifier_files() {
    let _turn = run::turn();
    let (fixtures, bundles): (Vec<_>, Vec<_>) = [&*SINGLE, &*CHAIN].map(|(f, b)| (f, b)).into_iter().unzip();
    let corpus = fixtures.iter().map(|f| payload(f.key.to_bytes().unwrap())).collect();
    Target { name: "verifier", factor: 64, base: PLAN_BASE, words: &[], corpus, mutate: mutate::mutate }.run(|bytes| {
        let key = match VerifierKey::from_bytes(&format::seal(Kind::Verifier, bytes)) {
            Ok(key) => key,
            Err(error) => return error.to_string(),
        };
        assert!(budget(&key).statistical_bits.is_finite() || key.layers.is_empty());
        // The proof comes from the same hand, so it names this model.
        let verdicts =
            bundles.iter().map(|bundle| said(partial(&key, &Bundle { model_id: key.model_id(), ..(*bundle).clone() })));
        verdicts.collect::<Vec<_>>().join("; ")
    });
}

/// The integer graphs of a verifier file, which `check` lays out.
#[test]
fn integer_graphs() {
    let _turn = run::turn();
    let keys = [&SINGLE.0.key, &CHAIN.0.key];
    let corpus = keys.map(|key| key.circuits.bytes().to_vec()).to_vec();
    Target { name: "graphs", factor: 4096, base: PLAN_BASE, words: &[], corpus, mutate: mutate::mutate }.run(|bytes| {
        let says = |key: &&VerifierKey| {
            let mut key = (*key).clone();
            key.circuits = Circuits::from_bytes(bytes.to_vec());
            let weights = key.proof.as_ref().unwrap().limbs.bounds(&key);
            said(Statement::of(&key).and_then(|statement| statement.check(&key, &weights)))
        };
        keys.iter().map(says).collect::<Vec<_>>().join("; ")
    });
}

#[test]
fn proof_files() {
    let _turn = run::turn();
    let honest = [&*SINGLE, &*CHAIN];
    let corpus = honest.iter().map(|(_, b)| payload(b.to_bytes().unwrap())).collect();
    Target { name: "proof", factor: 64, base: 8 << 20, words: &[NONCE], corpus, mutate: mutate::mutate }.run(|bytes| {
        let bundle = match Bundle::from_bytes(&format::seal(Kind::Proof, bytes)) {
            Ok(bundle) => bundle,
            Err(error) => return error.to_string(),
        };
        let verdict = |(fixture, honest): &&(Fixture, Bundle)| {
            let verdict = partial(&fixture.key, &bundle);
            // Layers may be missing, and the verdict says so.
            let part = Bundle { layers: bundle.layers.clone(), ..honest.clone() };
            let honest = bundle == part && bundle.layers.iter().all(|l| honest.layers.contains(l));
            assert!(verdict.is_err() || honest, "a mutant was accepted");
            said(verdict)
        };
        honest.iter().map(verdict).collect::<Vec<_>>().join("; ")
    });
}

#[test]
fn work_files() {
    let _turn = run::turn();
    let proof = LayerProof { index: 3, bytes: vec![5; 300] };
    let corpus = vec![payload(format::encode(Kind::Work, &proof).unwrap())];
    Target { name: "work", factor: 16, base: 1 << 16, words: &[], corpus, mutate: mutate::mutate }
        .run(|bytes| said(format::decode::<LayerProof>(Kind::Work, &format::seal(Kind::Work, bytes))));
}

#[test]
fn run_files() {
    let _turn = run::turn();
    let dir = tempfile::tempdir().unwrap();
    // A manifest with two answers of two layers, as it is written.
    let ids = || vec![[7u8; 32], [8; 32]];
    let manifest = ([9u8; 32], ids(), vec![("a".to_string(), [6u8; 32], ids()), ("b".to_string(), [5; 32], ids())]);
    let corpus = vec![payload(format::encode(Kind::Run, &manifest).unwrap())];
    Target { name: "run", factor: 64, base: 1 << 20, words: &[], corpus, mutate: mutate::mutate }.run(|bytes| {
        std::fs::write(dir.path().join("run"), format::seal(Kind::Run, bytes)).unwrap();
        said(nanozk_runtime::jobs::status::status(dir.path()))
    });
}

#[test]
fn settings_files() {
    let _turn = run::turn();
    let text = "set: {seq: 16, batch: 1}\nhead: argmax\ninput: private\noutput: public\noptimize: memory\nquantise:\n  \
                limb_bits: 12\n  residual_bits: 14\n  margin: 1.5\n  coarsest: 4.0\n  exp_step: 0.03\n  exp_bits: 11\n";
    let alias = "set: &a {x: 1, y: 2}\nhead: logits\nquantise: {margin: !!float \"2\", exp_range: 16}\n";
    let corpus = [text, alias].map(|t| t.as_bytes().to_vec()).to_vec();
    let words: [&[u8]; 12] = [
        b"&a [",
        b"*a, *a, *a, *a, *a",
        b"<<: *a",
        b"---\n",
        b"!!binary ",
        b"{",
        b"[",
        b".inf",
        b"-.nan",
        b"- ",
        b"1e400",
        b"|\n",
    ];
    Target { name: "settings", factor: 4096, base: 1 << 20, words: &words, corpus, mutate: mutate::mutate }
        .run(|bytes| String::from_utf8(bytes.to_vec()).map_or("no text".into(), |text| said(Config::parse(&text))));
}

#[test]
fn policies_and_challenges() {
    let _turn = run::turn();
    let design = plan(&[true, false, false, false], 2, Weights::Uniform).unwrap();
    let policy = Policy::new(&design, Some(Digest([1; 32])));
    let randomness = Randomness::Beacon { name: "beacon".into(), value: vec![3; 32] };
    let challenge = Challenge::draw(Digest([1; 32]), Digest([2; 32]), policy, randomness, 5).unwrap();
    let json = serde_json::to_vec(&challenge).unwrap();
    let yaml = b"version: 1\ndrawn: 2\ninclusion:\n- 4294967296\n- 2147483648\n- 2147483648\n".to_vec();
    let (used, numbers): (&[u8], &[u8]) = (br#","used":{"proof":"00","at":1}"#, b"4294967295,1,");
    let words: [&[u8]; 8] = [used, numbers, b"4294967296", b"null", b"{", b"[", b"- 4294967296\n", b"\"system\""];
    Target {
        name: "challenges",
        factor: 4096,
        base: 4 << 20,
        words: &words,
        corpus: vec![json, yaml],
        mutate: mutate::mutate,
    }
    .run(|bytes| said(files::challenge(bytes)) + &said(files::policy(bytes)));
}

fn float_input() -> InputInfo {
    InputInfo { name: "x".into(), shape: vec![1, 4, 8], dtype: ElementType::Float32, kind: InputKind::Float }
}

fn token_input() -> InputInfo {
    InputInfo { name: "t".into(), shape: vec![1, 8], dtype: ElementType::Int64, kind: InputKind::Tokens { vocab: 60 } }
}

#[test]
fn json_inputs() {
    let _turn = run::turn();
    let numbers: Vec<String> = (0..32).map(|i| format!("{}.5", i)).collect();
    let text = format!(r#"{{"input_shapes": [[1, 4, 8], [8]], "input_data": [[{}], [1,2,3,4]]}}"#, numbers.join(","));
    let corpus = vec![text.into_bytes(), br#"{"input_data": [["NaN", true, [1, [2]]], []]}"#.to_vec()];
    let words: [&[u8]; 10] =
        [b"[[", b"[", b"]", b"{\"a\":", b"1e999", b"18446744073709551616", b"\"inf\"", b"null", b"-1,", b"0.5,"];
    input_files("json", corpus, &words);
}

#[test]
fn npz_inputs() {
    let _turn = run::turn();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/input.npz");
    let corpus = vec![std::fs::read(file).unwrap()];
    let words: [&[u8]; 8] = [
        b"'<f4'",
        b"'<i8'",
        b"'|b1'",
        b"(4, 8), ",
        b"(99999999, 999), ",
        b"(1, 99999999999), ",
        b"PK\x01\x02",
        b"True",
    ];
    input_files("npz", corpus, &words);
}

fn input_files(name: &'static str, corpus: Vec<Vec<u8>>, words: &[&[u8]]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input").with_extension(name);
    let inputs = [float_input(), token_input()];
    Target { name, factor: 200, base: 32 << 20, words, corpus, mutate: mutate::mutate }.run(|bytes| {
        run::overwrite(&path, bytes);
        said(read_input(&path, &inputs))
    });
}

#[test]
fn srs_files() {
    let _turn = run::turn();
    let mut file = Vec::new();
    let srs = Srs::generate_unsafe(4, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    srs.lagrange(4).unwrap();
    srs.write(&mut file).unwrap();
    let hash = |content: &[u8]| {
        blake2b_simd::Params::new().hash_length(32).personal(b"nanozk-srs-file").hash(content).as_bytes().to_vec()
    };
    let content = file[..file.len() - 32].to_vec();
    assert!(file.ends_with(&hash(&content)));
    Target { name: "srs", factor: 16, base: 8 << 20, words: &[], corpus: vec![content], mutate: mutate::mutate }.run(
        |bytes| {
            let file = [bytes, &hash(bytes)].concat();
            said(Srs::read(&mut file.as_slice()))
        },
    );
}

#[test]
fn ceremony_files() {
    let _turn = run::turn();
    let srs = Srs::generate_unsafe(4, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let mut file = 4u32.to_le_bytes().to_vec();
    for point in srs.monomial().iter().chain(srs.lagrange(4).unwrap().iter()) {
        file.extend_from_slice(point.to_bytes().as_ref());
    }
    let s_g2 = srs.verifier_part().s_g2();
    // The generator of G2 is the first power.
    for point in [first_like(&s_g2), s_g2] {
        file.extend_from_slice(point.to_bytes().as_ref());
    }
    Srs::import(file.as_slice(), None).unwrap();
    let digits = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let g1: Vec<String> = srs.monomial().iter().map(|point| digits(point.to_bytes().as_ref())).collect();
    let g2 = [first_like(&s_g2), s_g2].map(|point| digits(point.to_bytes().as_ref()));
    let json = serde_json::json!({ "g1_monomial": g1, "g2_monomial": g2 }).to_string().into_bytes();
    Srs::import(json.as_slice(), None).unwrap();
    Target {
        name: "ceremony",
        factor: 64,
        base: 8 << 20,
        words: &[],
        corpus: vec![file, json],
        mutate: mutate::mutate,
    }
    .run(|bytes| said(Srs::import(bytes, None)));
}

/// The generator of the group of a point.
fn first_like<P: PrimeCurveAffine>(_: &P) -> P {
    P::generator()
}
