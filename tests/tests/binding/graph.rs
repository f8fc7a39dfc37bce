//! One entry of every constant of the ONNX graph changed: the integer model is another one.

use crate::onnx::{CHANGES, Constant, changed, constants};
use nanozk_compiler::config::Config;
use nanozk_compiler::data::read_input;
use nanozk_compiler::frontend::{self, LoadOptions, Loaded};
use nanozk_compiler::partition::partition;
use nanozk_compiler::quantise::{self, Stats};
use nanozk_ir::float::NodeId;
use nanozk_ir::int::{Model, Op, Table, Tensor, Weights};
use nanozk_testkit::model_dir;
use std::path::{Path, PathBuf};

/// Constants that no integer depends on: model, end of the name, reason.
const IDLE: [(&str, &str, &str); 4] = [
    ("llama-d64-l2", "self_attn/ConstantOfShape value", EXPAND),
    ("llama-d64-l2", "self_attn/Constant_26 value", EXPAND),
    ("llama-d64-l2", "self_attn/ConstantOfShape_1 value", EXPAND),
    ("llama-d64-l2", "self_attn/Constant_31 value", EXPAND),
];
const EXPAND: &str =
    "an expansion written as `Where(shape == fill * factor, ..)`; no entry of the shape is equal to that";

/// A bundled model with the calibration of its sample input.
pub struct Source {
    name: &'static str,
    file: Vec<u8>,
    dir: tempfile::TempDir,
    stats: Stats,
    structure: Vec<String>,
    honest: Vec<Bound>,
}

/// What a model id binds of one layer: weights, tables, parameters, and the ops of its shape with their constants.
#[derive(PartialEq)]
struct Bound {
    data: (Weights, Vec<Table>, Vec<i64>),
    ops: Vec<Op>,
    tensors: Vec<Tensor>,
}

fn bound(model: &Model) -> Vec<Bound> {
    let layer = |layer: &nanozk_ir::int::Layer| Bound {
        data: (layer.weights.clone(), layer.tables.clone(), layer.params.clone()),
        ops: model.shapes[layer.shape as usize].nodes.iter().map(|n| n.op.clone()).collect(),
        tensors: layer.inputs.iter().chain(&layer.outputs).map(|&id| model.tensors[id as usize].clone()).collect(),
    };
    model.layers.iter().map(layer).collect()
}

/// What a changed constant comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The same integer model.
    None,
    /// The compiler refuses the changed graph.
    Refused,
    /// The graph has other ops or shapes.
    OtherGraph,
    /// At the same scales, what the model id binds is different.
    Bound,
}

impl Source {
    pub fn new(name: &'static str) -> Self {
        let file = std::fs::read(model_dir(name).join("network.onnx")).unwrap();
        let loaded = frontend::load(&model_dir(name).join("network.onnx"), &LoadOptions::default()).unwrap();
        let read = read_input(&model_dir(name).join("input.json"), &loaded.inputs).unwrap();
        let stats = Stats::collect(&loaded.graph, &[read.into_iter().map(|t| t.value).collect()]).unwrap();
        let honest = bound(&integers(&loaded, &stats).unwrap());
        let structure = structure(&loaded);
        Source { name, file, dir: tempfile::tempdir().unwrap(), stats, structure, honest }
    }

    /// The path of the changed file.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("network.onnx")
    }

    /// The first change that has the greatest effect, of the first, middle and last entry; the changed file stays in
    /// [`Source::path`].
    fn strongest(&self, constant: &Constant) -> Effect {
        let mut entries = vec![0, constant.len / 2, constant.len.saturating_sub(1)];
        entries.dedup();
        let mut strongest = (Effect::None, None);
        for (entry, change) in entries.into_iter().flat_map(|e| CHANGES.map(|c| (e, c))) {
            let Some(bytes) = changed(&self.file, constant, entry, change) else { continue };
            std::fs::write(self.path(), &bytes).unwrap();
            let effect = self.effect(&self.path());
            if effect > strongest.0 {
                strongest = (effect, Some(bytes));
            }
            if effect == Effect::Bound {
                break;
            }
        }
        if let Some(bytes) = strongest.1 {
            std::fs::write(self.path(), bytes).unwrap();
        }
        strongest.0
    }

    fn effect(&self, path: &Path) -> Effect {
        let Ok(loaded) = frontend::load(path, &LoadOptions::default()) else { return Effect::Refused };
        if structure(&loaded) != self.structure {
            return Effect::OtherGraph;
        }
        match integers(&loaded, &self.stats) {
            Ok(model) if bound(&model) == self.honest => Effect::None,
            Ok(_) => Effect::Bound,
            Err(_) => Effect::Refused,
        }
    }

    /// Changes every `step`-th constant; `then` is told of each that makes another model. Those without effect must be
    /// [`IDLE`], and these must be without effect.
    pub fn change_all(&self, step: usize, then: &mut dyn FnMut(&Constant, &Path)) {
        let all = constants(&self.file);
        let mut counts = std::collections::BTreeMap::<Effect, usize>::new();
        for constant in all.iter().step_by(step).filter(|c| c.len > 0) {
            let effect = self.strongest(constant);
            *counts.entry(effect).or_default() += 1;
            let known = IDLE.iter().any(|(model, name, _)| *model == self.name && constant.name.ends_with(name));
            assert_eq!(effect == Effect::None, known, "{}: {constant:?}: {effect:?}", self.name);
            if effect > Effect::Refused {
                then(constant, &self.path());
            }
        }
        println!("{}: {} constants in the ONNX file, by effect of a changed entry: {counts:?}", self.name, all.len());
        assert!(counts.contains_key(&Effect::Bound));
    }
}

/// Ops, widths and edges of the float graph.
fn structure(loaded: &Loaded) -> Vec<String> {
    let graph = &loaded.graph;
    let node = |id: NodeId| {
        let node = &graph.dag[id];
        format!("{} {} {:?}", node.op.name(), node.features, graph.operands(id))
    };
    graph.dag.node_indices().map(node).chain([graph.tokens.to_string()]).collect()
}

/// The integer model at the scales that `stats` give.
fn integers(loaded: &Loaded, stats: &Stats) -> Result<Model, quantise::QuantiseError> {
    let config = Config::default();
    let partition = partition(&loaded.graph, config.quantise.layer_lookups);
    Ok(quantise::quantise(&loaded.graph, &partition, stats, &config)?.model)
}
