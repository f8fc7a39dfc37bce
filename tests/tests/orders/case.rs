//! A model on disk, taken through every step, its verified outputs held against the source model's.

use crate::numbered::Numbered;
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::config::{Head, Visibility};
use nanozk_compiler::error::CompileError;
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_runtime::shown::{Content, Number, Shown};
use nanozk_runtime::verify::{VerifyOptions, VerifyReport};
use nanozk_runtime::{Result, Silent, prove, run, setup, verify};
use std::path::PathBuf;

/// Width of limbs, so that no other is tried.
const SETTINGS: &str = "quantise: {limb_bits: 12}";

/// How a model is compiled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    pub head: Head,
    pub input: Visibility,
    pub output: Visibility,
    /// Dimensions and settled inputs, as the settings file has them.
    pub set: &'static str,
}

/// A compiled model with one input.
pub struct Case {
    dir: tempfile::TempDir,
    pub artifact: Artifact,
}

impl Case {
    /// Compiles `onnx` for `data`, one array for each input, in any nesting.
    pub fn new(onnx: Numbered, data: &serde_json::Value, ends: Ends) -> std::result::Result<Self, CompileError> {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let network = file("network.onnx", &onnx.bytes());
        let input = file("input.json", serde_json::json!({ "input_data": data }).to_string().as_bytes());
        let options = CompileOptions {
            data: vec![input],
            config: Some(file("nanozk.yaml", format!("set: {{{}}}\n{SETTINGS}", ends.set).as_bytes())),
            head: Some(ends.head),
            input: Some(ends.input),
            output: Some(ends.output),
            ..Default::default()
        };
        let artifact = compile(&network, &options, &|_| {})?;
        file("model.nanozk", &artifact.to_bytes().unwrap());
        Ok(Case { dir, artifact })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Both models on the input.
    pub fn run(&self) -> Result<Vec<run::Output>> {
        let (model, input) = (self.path("model.nanozk"), self.path("input.json"));
        Ok(run::run(&run::Request { model, input, eval: None, source: None }, &Silent)?.output)
    }

    /// A verified proof of the input.
    pub fn verified(&self) -> Result<VerifyReport> {
        let (keys, input, out) = (self.path("keys"), self.path("input.json"), self.path("proof.nanozk"));
        setup::setup(&self.path("model.nanozk"), None, setup::Options::default(), &keys, &Silent)?;
        let request = prove::Request { keys, input, out, ..Default::default() };
        prove::prove(&request, &Silent)?;
        let report = self.verify(|_| ())?;
        assert!(report.verified && report.full, "{:?}", report.error);
        Ok(report)
    }

    /// The verdict on the proof that was made.
    pub fn verify(&self, ask: impl FnOnce(&mut verify::Request)) -> Result<VerifyReport> {
        let options = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
        let (verifier, proof) = (self.path("keys/verifier.nanozk"), self.path("proof.nanozk"));
        let mut request = verify::Request { verifier, proof, options, ..Default::default() };
        ask(&mut request);
        verify::verify(&request)
    }

    /// Verifier file and proof that were made.
    pub fn files(&self) -> (VerifierKey, Bundle) {
        let read = |name: &str| std::fs::read(self.path(name)).unwrap();
        let key = VerifierKey::from_bytes(&read("keys/verifier.nanozk")).unwrap();
        (key, Bundle::from_bytes(&read("proof.nanozk")).unwrap())
    }

    /// Outputs of the source model by tract, flat, in the order of the file.
    pub fn float(&self) -> Vec<Vec<f64>> {
        let input = nanozk_compiler::data::read_input(&self.path("input.json"), &self.artifact.inputs).unwrap();
        let values: Vec<_> = input.into_iter().map(|input| input.value).collect();
        self.artifact.source.reference(None).unwrap().run(&values).unwrap()
    }
}

/// Numbers of an output that is known in full.
pub fn numbers(shown: &Shown) -> Vec<f64> {
    let Content::Known { values } = &shown.content else { panic!("{shown} has no values") };
    values.iter().map(|v| v.map_or(f64::NAN, Number::real)).collect()
}

/// Largest difference as a share of the greatest expected value; infinite where lengths differ.
pub fn gap(got: &[f64], expected: &[f64]) -> f64 {
    let size = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    let worst = got
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs() / size)
        .fold(0.0, |m: f64, g| if g > m || g.is_nan() { g } else { m });
    if got.len() == expected.len() { worst } else { f64::INFINITY }
}
