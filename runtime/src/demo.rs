//! `nanozk demo`: every step on the bundled GPT.

use crate::compile::{CompileOptions, CompileReport, compile};
use crate::plan::{PlanReport, plan};
use crate::prove::{self, ProveReport, prove};
use crate::run::{self, RunReport, run};
use crate::setup::{Options, SetupReport, setup};
use crate::shown::{Number, Shown};
use crate::verify::{self, VerifyReport, verify};
use crate::{Error, Progress, Result, storage};
use serde::Serialize;
use std::path::{Path, PathBuf};

const NETWORK: &[u8] = include_bytes!("../../onnx-models/kjvgpt-d64-l4/network.onnx");
const INPUT: &[u8] = include_bytes!("../../onnx-models/kjvgpt-d64-l4/input.json");

/// Token ids are indices into this text.
const VOCABULARY: &str = "\n !'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWYZabcdefghijklmnopqrstuvwxyz";

/// All steps.
#[derive(Clone, Debug, Serialize)]
pub struct DemoReport {
    /// Text of the prompt.
    pub prompt: String,
    /// Most likely next character by the proven scores.
    pub next: Option<char>,
    /// `nanozk compile`.
    pub compile: CompileReport,
    /// `nanozk plan`.
    pub plan: PlanReport,
    /// `nanozk run`.
    pub run: RunReport,
    /// `nanozk setup`.
    pub setup: SetupReport,
    /// `nanozk prove`.
    pub prove: ProveReport,
    /// `nanozk verify`.
    pub verify: VerifyReport,
    /// Where model, keys and proof were kept, if asked for.
    pub kept: Option<PathBuf>,
}

/// Compiles, sets up, proves and verifies the bundled GPT, in `keep` or in a temporary directory.
///
/// # Errors
/// The step that fails.
pub fn demo(keep: Option<&Path>, progress: &dyn Progress) -> Result<DemoReport> {
    let temporary = match keep {
        Some(dir) => {
            storage::make_dir(dir)?;
            None
        }
        None => Some(tempfile::tempdir().map_err(Error::io(&std::env::temp_dir()))?),
    };
    let dir = temporary.as_ref().map(tempfile::TempDir::path).or(keep).unwrap_or(Path::new("."));
    let [network, input, model, keys, proof] =
        ["network.onnx", "input.json", "model.nanozk", "keys", "proof.nanozk"].map(|name| dir.join(name));
    storage::write_atomic(&network, storage::Secrecy::Open, NETWORK)?;
    storage::write_atomic(&input, storage::Secrecy::Open, INPUT)?;

    let options = CompileOptions { data: vec![input.clone()], ..Default::default() };
    let compile = compile(&network, &options, &model, progress)?;
    let plan = plan(&model)?;
    let request = run::Request { model: model.clone(), input: input.clone(), eval: None, source: None };
    let run = run(&request, progress)?;
    let setup = setup(&model, None, Options::default(), &keys, progress)?;
    let request = prove::Request { keys: keys.clone(), input, out: proof.clone(), ..Default::default() };
    let prove = prove(&request, progress)?;
    progress.stage("verifying", 1);
    let request = verify::Request { verifier: keys.join("verifier.nanozk"), proof, ..Default::default() };
    let verify = verify(&request)?;
    if let Some(error) = &verify.error {
        return Err(error.clone().into());
    }
    let (prompt, next) = read_out(&verify);
    Ok(DemoReport { prompt, next, compile, plan, run, setup, prove, verify, kept: keep.map(Path::to_path_buf) })
}

/// Prompt and most likely next character, from the verified statement.
fn read_out(verdict: &VerifyReport) -> (String, Option<char>) {
    let letter = |id: usize| VOCABULARY.chars().nth(id);
    let known = |values: &[Shown]| values.iter().take(1).flat_map(Shown::known).map(Number::real).collect::<Vec<_>>();
    let prompt = known(&verdict.input).into_iter().filter_map(|id| letter(id as usize)).collect();
    let (scores, classes) = (known(&verdict.output), VOCABULARY.chars().count());
    let last = scores.len().checked_sub(classes).map(|first| &scores[first..]);
    let best = last.and_then(|s| s.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)));
    (prompt, best.and_then(|(id, _)| letter(id)))
}

impl std::fmt::Display for DemoReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let step = |f: &mut std::fmt::Formatter<'_>, name: &str, text: String| writeln!(f, "{name:<9}{text}");
        writeln!(
            f,
            "A GPT of {} weights, trained on the King James Bible, answers under proof.\n",
            self.compile.weights
        )?;
        let c = &self.compile;
        step(f, "compile", format!("{} layers of {} shapes, {:.2} s", c.layers, c.shapes, c.compile_seconds))?;
        let p = &self.plan;
        step(
            f,
            "plan",
            format!("{} proof bytes, {:.1} s, {:.0} MB predicted", p.proof_bytes, p.prove_seconds, p.memory_mb),
        )?;
        let gap = self.run.max_abs_error.map_or(String::new(), |e| format!("worst gap {e:.5}, "));
        step(f, "run", format!("{gap}top-1 agreement {:.1} %", self.run.top1_agreement * 100.0))?;
        let s = &self.setup;
        step(f, "setup", format!("{:.2} s (SRS {:.2} s), model id {}", s.setup_seconds, s.srs_seconds, s.model_id))?;
        let p = &self.prove;
        let memory = p.peak_memory_mb.map_or(String::new(), |m| format!(", {m:.0} MB peak"));
        step(
            f,
            "prove",
            format!("{} proofs, {} bytes, {:.2} s{memory}", p.layers.len(), p.proof_bytes, p.prove_seconds),
        )?;
        let v = &self.verify;
        let scope = format!("{} of {} layers", v.layers_covered, v.layers_total);
        step(f, "verify", format!("holds for {scope}, {:.1} ms", v.verify_seconds * 1e3))?;
        writeln!(f, "\nprompt   {:?}", self.prompt)?;
        if let Some(next) = self.next {
            writeln!(f, "next     {next:?}")?;
        }
        writeln!(
            f,
            "\nThe SRS comes with this program and from a ceremony that many took part in ({}):\n\
             nobody who did not break it can forge such a proof.",
            v.ceremony.unwrap_or("unknown")
        )?;
        match &self.kept {
            Some(dir) => write!(f, "Model, keys and proof are in {}.", dir.display()),
            None => write!(f, "Nothing was kept; `nanozk demo --keep DIR` keeps model, keys and proof."),
        }
    }
}
