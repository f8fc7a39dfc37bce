//! Models that are compiled, set up and proven once for all tests of a file.

use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::config::Head;
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::srs::Srs;
use nanozk_proof::verify::{PartialVerdict, Verdict, VerifyError, VerifyOptions, verify, verify_layers};
use nanozk_runtime::Silent;
use nanozk_runtime::answer::{AnswerReport, Prompt};
use nanozk_runtime::commit::Statement;
use nanozk_runtime::decoding::Asked;
use nanozk_runtime::generate;
use nanozk_runtime::keys::{self, ProverKeys};
use nanozk_runtime::prove::{self, Job, Request, prove};
use nanozk_runtime::setup::{Options, setup};
use nanozk_runtime::storage::KeyDir;
use nanozk_testkit::model_dir;
use std::path::{Path, PathBuf};
use std::time::Instant;

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

/// Compiles a model with its sample input.
pub fn compiled(name: &str) -> Artifact {
    compiled_with(name, CompileOptions::default())
}

/// The same with options beside the input.
pub fn compiled_with(name: &str, options: CompileOptions) -> Artifact {
    let source = model_dir(name);
    let options = CompileOptions { data: vec![source.join("input.json")], ..options };
    compile(&source.join("network.onnx"), &options, &|_| {}).unwrap()
}

/// A prompt of tokens, and the most tokens of the answer to it.
pub fn asked(prompt: &[u32], max_new: u32) -> Asked {
    Asked { prompt: Prompt::Tokens(prompt.to_vec()), max_new, temperature: None, tokenizer: None }
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
        Fixture::set_up(artifact, srs, Options::default())
    }

    /// The same with open weights.
    pub fn open(artifact: Artifact) -> Self {
        Fixture::set_up(artifact, None, Options { open_weights: true, ..Options::default() })
    }

    fn set_up(artifact: Artifact, srs: Option<&Srs>, options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model.nanozk");
        std::fs::write(&model, artifact.to_bytes().unwrap()).unwrap();
        let keys = dir.path().join("keys");
        let file = dir.path().join("srs.bin");
        srs.iter().for_each(|srs| nanozk_runtime::srs::write(srs, &file).unwrap());
        setup(&model, srs.map(|_| file.as_path()), options, &keys, &Silent).unwrap();
        let key = VerifierKey::from_bytes(&std::fs::read(keys.join("verifier.nanozk")).unwrap()).unwrap();
        Fixture { dir, artifact, key }
    }

    /// A language model that writes answers, and draws them at temperatures up to this one.
    pub fn language(max_temperature: Option<f64>) -> Self {
        let options = CompileOptions { head: Some(Head::Argmax), max_temperature, ..Default::default() };
        Fixture::of(compiled_with("llama-d64-l2", options))
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The prover's side.
    pub fn prover(&self) -> ProverKeys {
        keys::read(&KeyDir::new(self.path("keys"))).unwrap()
    }

    /// The model's answer as its provider sees it, and the proof, which is in the file `name` too.
    pub fn answer(&self, name: &str, asked: Asked, nonce: Option<&[u8]>) -> Result<(AnswerReport, Bundle), String> {
        let (keys, out, nonce) = (self.path("keys"), self.path(name), nonce.map(<[u8]>::to_vec));
        let request = generate::Request { keys, asked, out, nonce, strict: false, memory: None };
        let report = generate::generate(&request, &Silent).map_err(|error| error.to_string())?;
        Ok((report.answer, self.bundle(name)))
    }

    /// A proof by a provider who lets the model read what it likes and claims what it likes, in the file `name` too.
    pub fn claim(&self, keys: &ProverKeys, name: &str, statement: Statement<'_>) -> Result<Bundle, String> {
        let (out, start) = (self.path(name), Instant::now());
        let job = Job { keys, statement, layers: None, strict: false, memory: None, out: &out, start };
        prove::run(&job, &Silent).map_err(|error| error.to_string())?;
        Ok(self.bundle(name))
    }

    /// The proof in the file `name`.
    pub fn bundle(&self, name: &str) -> Bundle {
        Bundle::from_bytes(&std::fs::read(self.path(name)).unwrap()).unwrap()
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
        let (keys, out, nonce) = (self.path("keys"), self.path("proof.nanozk"), Some(NONCE.to_vec()));
        prove(&Request { keys, input: input.into(), out, nonce, ..Default::default() }, &Silent).unwrap();
        self.bundle("proof.nanozk")
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
