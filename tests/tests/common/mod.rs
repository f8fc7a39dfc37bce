//! Models that are compiled, set up and proven once for all tests of a file.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod corpus;
pub mod hash;
pub mod slow;

use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::srs::Srs;
use nanozk_proof::verify::{PartialVerdict, Verdict, VerifyError, VerifyOptions, verify, verify_layers};
use nanozk_runtime::Silent;
use nanozk_runtime::prove::{Request, prove};
use nanozk_runtime::setup::setup;
use std::path::{Path, PathBuf};

/// Verifier's challenge of every honest proof here.
pub const NONCE: &[u8] = b"challenge";

/// A model with its keys.
pub struct Fixture {
    /// Holds `model.nanozk`, `keys/` and the inputs.
    pub dir: tempfile::TempDir,
    /// The compiled model.
    pub artifact: Artifact,
    /// The verifier's side.
    pub key: VerifierKey,
}

/// `onnx-models/NAME`.
pub fn model_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx-models").join(name)
}

/// Compiles a model with its sample input.
pub fn compiled(name: &str) -> Artifact {
    let source = model_dir(name);
    let options = CompileOptions { data: vec![source.join("input.json")], ..Default::default() };
    compile(&source.join("network.onnx"), &options, &|_| {}).unwrap()
}

impl Fixture {
    /// Compiles `onnx-models/NAME` and sets it up.
    pub fn new(name: &str) -> Self {
        Fixture::of(compiled(name))
    }

    /// Sets a compiled model up.
    pub fn of(artifact: Artifact) -> Self {
        Fixture::under(artifact, None)
    }

    /// The same with an SRS other than the program's.
    pub fn under(artifact: Artifact, srs: Option<&Srs>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model.nanozk");
        std::fs::write(&model, artifact.to_bytes().unwrap()).unwrap();
        let keys = dir.path().join("keys");
        let file = dir.path().join("srs.bin");
        srs.iter().for_each(|srs| nanozk_runtime::srs::write(srs, &file).unwrap());
        setup(&model, srs.map(|_| file.as_path()), false, &keys, &Silent).unwrap();
        let key = VerifierKey::from_bytes(&std::fs::read(keys.join("verifier.nanozk")).unwrap()).unwrap();
        Fixture { dir, artifact, key }
    }

    /// Another input: `input` with the values of its first tensor in reverse order.
    pub fn reversed(&self, input: &Path) -> PathBuf {
        let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(input).unwrap()).unwrap();
        json["input_data"][0].as_array_mut().unwrap().reverse();
        let reversed = self.dir.path().join("reversed.json");
        std::fs::write(&reversed, json.to_string()).unwrap();
        reversed
    }

    /// An honest proof of `input`.
    pub fn prove(&self, input: &Path) -> Bundle {
        let out = self.dir.path().join("proof.nanozk");
        let keys = self.dir.path().join("keys");
        let request =
            Request { keys, input: input.into(), out: out.clone(), nonce: Some(NONCE.to_vec()), ..Default::default() };
        prove(&request, &Silent).unwrap();
        Bundle::from_bytes(&std::fs::read(out).unwrap()).unwrap()
    }

    /// The verdict of the most lenient verifier: any model id, any nonce, any SRS.
    pub fn verdict(&self, bundle: &Bundle) -> Result<Verdict, VerifyError> {
        lenient(&self.key, bundle)
    }

    /// The same of one that takes any layers.
    pub fn partial(&self, bundle: &Bundle) -> Result<PartialVerdict, VerifyError> {
        partial(&self.key, bundle)
    }
}

/// Any model id, any nonce, any SRS.
fn anything() -> VerifyOptions {
    VerifyOptions { allow_unsafe_srs: true, ..Default::default() }
}

/// The verdict of a verifier that insists on all layers and nothing else.
pub fn lenient(key: &VerifierKey, bundle: &Bundle) -> Result<Verdict, VerifyError> {
    verify(key, bundle, &anything())
}

/// The verdict of a verifier that insists on nothing, not on all layers either.
pub fn partial(key: &VerifierKey, bundle: &Bundle) -> Result<PartialVerdict, VerifyError> {
    verify_layers(key, bundle, &anything())
}
