//! Commitments: any layers can be proven later, each of them once.

use nanozk_proof::bundle::{Bundle, LayerProof};
use nanozk_runtime::Silent;
use nanozk_runtime::commit::{self, Of, Request, commit, secret};
use nanozk_runtime::keys::{self, ProverKeys};
use nanozk_runtime::storage::KeyDir;
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, NONCE, lenient, partial};
use std::collections::BTreeSet;
use std::path::PathBuf;

struct Commitment {
    fixture: Fixture,
    keys: ProverKeys,
    secret: PathBuf,
    public: Bundle,
}

impl Commitment {
    fn new(model: &str) -> Self {
        let fixture = Fixture::new(model);
        let (keys, out) = (fixture.dir.path().join("keys"), fixture.dir.path().join("a.commit"));
        let input = model_dir(model).join("input.json");
        let request = Request {
            keys: keys.clone(),
            of: Of::Input(input),
            out: out.clone(),
            nonce: Some(NONCE.to_vec()),
            strict: false,
        };
        let report = commit(&request, &Silent).unwrap();
        let public = commit::read(&out).unwrap();
        assert_eq!(report.commitment_id, commit::commitment_id(&public));
        Commitment { keys: keys::read(&KeyDir::new(keys)).unwrap(), secret: report.secret, public, fixture }
    }

    fn prove(&self, layers: impl IntoIterator<Item = u32>) -> Result<Bundle, String> {
        let layers = BTreeSet::from_iter(layers);
        secret::prove_layers(&self.secret, &self.keys, &layers, None, &Silent).map_err(|e| e.to_string())
    }

    fn file(&self, layer: u32) -> PathBuf {
        self.secret.join(format!("layer-{layer}"))
    }
}

#[test]
fn layers_are_proven_later_and_once() {
    let c = Commitment::new("llama-d64-l2");
    let (key, last) = (&c.fixture.key, c.fixture.key.layers.len() as u32 - 1);
    assert!(last >= 2, "layers with a gap between them");
    assert!(c.public.layers.is_empty() && c.public.fits(key).is_ok());

    let ends = c.prove([0, last]).unwrap();
    assert_eq!(ends.layers.iter().map(|l| l.index).collect::<Vec<_>>(), [0, last]);
    assert_eq!(Bundle { layers: Vec::new(), ..ends.clone() }, c.public, "the proof is of the commitment");
    assert_eq!(partial(key, &ends).unwrap().layers, [0, last]);
    assert!(lenient(key, &ends).is_err());

    // Whoever asks again gets the same bytes; all challenges together get one full proof.
    let all = c.prove(0..=last).unwrap();
    assert_eq!([&all.layers[0], &all.layers[last as usize]], [&ends.layers[0], &ends.layers[1]]);
    lenient(key, &all).unwrap();
    assert_eq!(c.prove([1]).unwrap().layers, [all.layers[1].clone()]);
    assert!(c.prove([]).unwrap().layers.is_empty());

    let error = c.prove([0, last + 1]).unwrap_err();
    assert!(error.contains("is not one of the model's") && error.contains("; choose from 0-"), "{error}");
}

#[test]
fn a_stored_proof_is_never_replaced() {
    let c = Commitment::new("block-d16-t16");
    let proof = c.prove([0]).unwrap();
    let stored = std::fs::read(c.file(0)).unwrap();
    let mut broken = stored.clone();
    *broken.last_mut().unwrap() ^= 1;
    let other = nanozk_plan::format::encode(
        nanozk_plan::format::Kind::Work,
        &LayerProof { index: 1, bytes: proof.layers[0].bytes.clone() },
    );
    for wrong in [Vec::new(), stored[..stored.len() / 2].to_vec(), broken, other.unwrap()] {
        std::fs::write(c.file(0), &wrong).unwrap();
        let error = c.prove([0]).unwrap_err();
        assert!(error.contains("must not be proven twice; restore the file"), "{error}");
        assert_eq!(std::fs::read(c.file(0)).unwrap(), wrong);
    }
    std::fs::write(c.file(0), stored).unwrap();
    assert_eq!(c.prove([0]).unwrap(), proof);
}

#[test]
fn two_at_once_hand_out_one_proof() {
    let c = Commitment::new("block-d16-t16");
    let proofs: Vec<Result<Bundle, String>> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| c.prove([0]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let handed_out: Vec<&Bundle> = proofs.iter().filter_map(|proof| proof.as_ref().ok()).collect();
    assert!(!handed_out.is_empty() && handed_out.iter().all(|proof| *proof == handed_out[0]));
    for error in proofs.iter().filter_map(|proof| proof.as_ref().err()) {
        assert!(error.contains("another process"), "{error}");
    }
    assert_eq!(&c.prove([0]).unwrap(), handed_out[0]);
}

#[test]
fn commitments_belong_to_their_model() {
    let (c, other) = (Commitment::new("block-d16-t16"), Commitment::new("block-d16-t16"));
    let layers = BTreeSet::from([0]);
    let error = secret::prove_layers(&c.secret, &other.keys, &layers, None, &Silent).unwrap_err().to_string();
    assert!(error.contains("the commitment is of model") && error.contains("; use the keys"), "{error}");
    let error = secret::prove_layers(&c.secret, &c.keys, &layers, Some(1_000_000), &Silent).unwrap_err().to_string();
    assert!(error.contains("--memory allows 1 MB; allow more"), "{error}");
    // The secrets of an earlier commitment are not overwritten: layers of it may still be asked for.
    let (keys, dir) = (c.fixture.dir.path().join("keys"), c.fixture.dir.path());
    let request = Request {
        keys,
        of: Of::Input(model_dir("block-d16-t16").join("input.json")),
        out: dir.join("a.commit"),
        nonce: None,
        strict: false,
    };
    let error = commit(&request, &Silent).unwrap_err().to_string();
    assert!(error.contains("holds the secrets of an earlier commitment; "), "{error}");
    assert_eq!(commit::read(&request.out).unwrap(), c.public);
    // A proof is no commitment.
    let proof = c.prove([0]).unwrap();
    std::fs::write(dir.join("p"), proof.to_bytes().unwrap()).unwrap();
    assert!(commit::read(&dir.join("p")).unwrap_err().to_string().contains("this is a proof, not a commitment"));
}

#[cfg(unix)]
#[test]
fn secrets_are_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let c = Commitment::new("block-d16-t16");
    c.prove([0]).unwrap();
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&c.secret), 0o700);
    assert_eq!([mode(&c.secret.join("state")), mode(&c.file(0))], [0o600; 2]);
    let mut names: Vec<_> = std::fs::read_dir(&c.secret).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["layer-0", "lock", "state"]);
}

/// Two proofs of one input have nothing in common: every commitment in them is masked anew.
#[test]
fn two_proofs_of_one_input_share_nothing() {
    let fixture = Fixture::new("mlp-digits");
    let input = model_dir("mlp-digits").join("input.json");
    let [one, other] = [0; 2].map(|_| fixture.prove(&input));
    for (one, other) in one.layers.iter().zip(&other.layers) {
        assert_eq!(one.bytes.len(), other.bytes.len());
        let mut windows = one.bytes.windows(24).zip(other.bytes.windows(24));
        assert_eq!(windows.position(|(one, other)| one == other), None, "layer {}", one.index);
    }
}
