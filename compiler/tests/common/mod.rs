//! Models shared by tests.

use nanozk_compiler::{
    config::{Config, Head},
    data::{InputInfo, read_input},
    fidelity::{Fidelity, Meter, Models},
    frontend::{self, LoadOptions, Loaded},
    head,
    partition::partition,
    quantise::{self, Stats},
};
use nanozk_ir::{
    float::{InputKind, InputValue},
    int::Model,
};
use serde_json::Value;
use std::path::PathBuf;

/// A model of the shared folder with its sample input.
pub struct Shared {
    pub loaded: Loaded,
    pub input: Vec<InputValue>,
    folder: PathBuf,
}

impl Shared {
    /// Loads a shared model; `None` (with a printed line) where the folder is absent.
    pub fn load(name: &str) -> Option<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/models").join(name);
        if !folder.exists() {
            println!("skipped: {} is absent", folder.display());
            return None;
        }
        Some(Self::read(folder))
    }

    /// A model bundled with the workspace.
    pub fn bundled(name: &str) -> Self {
        Self::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../onnx-models").join(name))
    }

    fn read(folder: PathBuf) -> Self {
        let loaded = frontend::load(&folder.join("network.onnx"), &LoadOptions::default()).unwrap();
        let input = read_input(&folder.join("input.json"), &loaded.inputs).unwrap();
        Shared { input: input.into_iter().map(|i| i.value).collect(), loaded, folder }
    }

    /// The integer model, to be compared with the source model.
    pub fn models<'a>(&'a self, model: &'a Model, head: Head) -> Models<'a> {
        models(&self.loaded, model, head)
    }

    /// The same model with the place of the greatest score as its output.
    pub fn with_argmax(mut self) -> Self {
        head::argmax(&mut self.loaded.graph, &mut self.loaded.outputs).unwrap();
        self
    }

    /// Held-out samples and the expected indices of each, whatever the model's kind; `u32::MAX` is no target.
    pub fn held_out(&self) -> Vec<(Vec<InputValue>, Vec<u32>)> {
        let text = std::fs::read_to_string(self.folder.join("eval.json")).unwrap();
        let eval: Value = serde_json::from_str(&text).unwrap();
        let rows = |key: &str| eval[key].as_array().unwrap().iter();
        if eval.get("val").is_some() {
            let ids = integers(&eval["val"]);
            let window = |w: &[u32]| (vec![InputValue::Tokens(w[..w.len() - 1].to_vec())], w[1..].to_vec());
            let tokens = self.loaded.graph.tokens;
            return (0..ids.len() / tokens).map(|j| window(&ids[j * tokens..(j + 1) * tokens + 1])).collect();
        }
        if eval.get("input_ids").is_some() {
            let one = |((ids, mask), labels): ((&Value, &Value), &Value)| {
                let mask = integers(mask).into_iter().map(|m| m == 1).collect();
                (vec![InputValue::Tokens(integers(ids)), InputValue::Mask(mask)], integers(labels))
            };
            return rows("input_ids").zip(rows("attention_mask")).zip(rows("labels")).map(one).collect();
        }
        let floats = |v: &Value| v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        let one = |(x, label)| (vec![InputValue::Float(floats(x))], vec![label]);
        rows("inputs").zip(integers(&eval["labels"])).map(one).collect()
    }
}

/// Integers of a JSON array; negative ones become `u32::MAX`.
fn integers(v: &Value) -> Vec<u32> {
    v.as_array().unwrap().iter().map(|x| u32::try_from(x.as_i64().unwrap()).unwrap_or(u32::MAX)).collect()
}

/// The integer model, to be compared with the source model.
pub fn models<'a>(loaded: &'a Loaded, model: &'a Model, head: Head) -> Models<'a> {
    Models { model, outputs: &loaded.outputs, head }
}

/// Both models over the first `count` held-out samples.
pub fn evaluate(models: &Models, m: &Shared, count: usize) -> Fidelity {
    let one = |(input, targets): (Vec<InputValue>, Vec<u32>)| {
        let pair = models.run(&m.loaded.reference, &input).unwrap();
        let mut meter = Meter::default();
        models.add(&mut meter, &pair, 0, models.model.tokens, Some(&targets));
        meter
    };
    m.held_out().into_iter().take(count).map(one).fold(Meter::default(), Meter::merged).fidelity()
}

/// Quantised with the sample input as calibration data.
pub fn quantised(m: &Shared, config: &Config) -> Model {
    let graph = &m.loaded.graph;
    let stats = Stats::collect(graph, std::slice::from_ref(&m.input)).unwrap();
    let partition = partition(graph, config.quantise.layer_lookups);
    quantise::quantise(graph, &partition, &stats, config).unwrap().model
}

/// The small exported models beside the tests that the front end accepts, by name.
pub fn forms() -> Vec<(String, frontend::Loaded)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/forms");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "onnx"));
    files.sort();
    let load = |f: PathBuf| {
        let loaded = frontend::load(&f, &LoadOptions::default()).ok()?;
        Some((f.file_stem().unwrap().to_string_lossy().into_owned(), loaded))
    };
    files.into_iter().filter_map(load).collect()
}

/// A pseudo-random input: uniform token ids, values of variance 1, a mask that hides some last keys.
pub fn sample(inputs: &[InputInfo], seed: u64) -> Vec<InputValue> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    let mut unit = move || next() as f32 / (1u64 << 53) as f32;
    let one = |info: &InputInfo| {
        let len: usize = info.shape.iter().product();
        match info.kind {
            InputKind::Tokens { vocab } => {
                InputValue::Tokens((0..len).map(|_| (unit() * vocab as f32) as u32).collect())
            }
            InputKind::Float => InputValue::Float((0..len).map(|_| (0..3).map(|_| 2.0 * unit() - 1.0).sum()).collect()),
            InputKind::Integer { lo, hi } => {
                let span = (hi - lo + 1) as f32;
                InputValue::Integer((0..len).map(|_| lo + (unit() * span) as i64).collect())
            }
            InputKind::Mask => {
                let shown = 1 + (unit() * len as f32) as usize;
                InputValue::Mask((0..len).map(|i| i < shown).collect())
            }
        }
    };
    inputs.iter().map(one).collect()
}
