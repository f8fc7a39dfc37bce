//! Models shared by tests.

use nanozk_compiler::{
    config::Config,
    data::read_input,
    frontend::{self, LoadOptions},
    partition::partition,
    quantise::{self, Stats},
};
use nanozk_ir::{
    float::{Graph, InputValue},
    int::Model,
};
use std::path::PathBuf;

/// A model of the shared folder with its sample input.
pub struct Shared {
    pub graph: Graph,
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
        let loaded = frontend::load(&folder.join("network.onnx"), &LoadOptions::default()).unwrap();
        let input = read_input(&folder.join("input.json"), &loaded.inputs).unwrap();
        Some(Shared { graph: loaded.graph, input: input.into_iter().map(|i| i.value).collect(), folder })
    }

    /// Held-out token ids.
    pub fn validation(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.folder.join("eval.json")).unwrap();
        let eval: serde_json::Value = serde_json::from_str(&text).unwrap();
        eval["val"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
    }
}

/// Quantised with the sample input as calibration data.
pub fn quantised(m: &Shared, config: &Config) -> Model {
    let stats = Stats::collect(&m.graph, std::slice::from_ref(&m.input)).unwrap();
    let partition = partition(&m.graph, config.quantise.layer_lookups);
    quantise::quantise(&m.graph, &partition, &stats, config).unwrap()
}
