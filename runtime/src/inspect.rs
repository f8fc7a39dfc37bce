//! What a compiled model consists of.

use crate::table::Table;
use crate::{Result, hex, load_model};
use nanozk_compiler::artifact::{Artifact, InputSpec, OutputSpec};
use nanozk_ir::float::{self, NodeId};
use nanozk_ir::int::{Graph, Role};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Graph, partition, scales and tables of a compiled model.
#[derive(Clone, Debug, Serialize)]
pub struct InspectReport {
    /// BLAKE2b-256 of the ONNX file.
    pub source: String,
    /// Tokens T of every activation.
    pub tokens: u32,
    /// Width of the range table.
    pub limb_bits: u32,
    /// Weights of all layers.
    pub weights: u64,
    /// Sample inputs used for calibration.
    pub calibration_samples: usize,
    /// Inputs of the source model.
    pub inputs: Vec<Port>,
    /// Outputs of the source model.
    pub outputs: Vec<Port>,
    /// Layers in evaluation order.
    pub layers: Vec<LayerInfo>,
    /// Distinct layer structures.
    pub shapes: Vec<ShapeInfo>,
    /// Boundary tensors.
    pub tensors: Vec<TensorInfo>,
}

/// An input or output of the source model.
#[derive(Clone, Debug, Serialize)]
pub struct Port {
    /// Name in the source model.
    pub name: String,
    /// What it carries.
    pub kind: String,
    /// Boundary tensor.
    pub tensor: u32,
}

/// One layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerInfo {
    /// Index.
    pub index: usize,
    /// Name.
    pub name: String,
    /// Index of its shape.
    pub shape: u32,
    /// Boundary tensors read.
    pub inputs: Vec<u32>,
    /// Boundary tensors written.
    pub outputs: Vec<u32>,
    /// Number of weights.
    pub weights: u64,
    /// Least and greatest entry of each lookup table.
    pub tables: Vec<(i64, i64)>,
}

/// One shape.
#[derive(Clone, Debug, Serialize)]
pub struct ShapeInfo {
    /// Index.
    pub index: usize,
    /// Layers that have it.
    pub layers: Vec<usize>,
    /// Integer ops by name.
    pub ops: BTreeMap<&'static str, usize>,
}

/// One boundary tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorInfo {
    /// Index.
    pub id: usize,
    /// Name.
    pub name: String,
    /// Features per token.
    pub features: u32,
    /// Real value = integer / scale.
    pub scale: f64,
    /// Least and greatest integer.
    pub range: (i64, i64),
    /// Who sees it.
    pub role: &'static str,
}

/// Name of a role in reports.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::PublicInput => "public input",
        Role::PrivateInput => "private input",
        Role::Internal => "internal",
        Role::PublicOutput => "public output",
        Role::PrivateOutput => "private output",
    }
}

/// Number of ops of a shape by name.
pub fn op_counts(shape: &Graph) -> BTreeMap<&'static str, usize> {
    let mut ops = BTreeMap::new();
    for node in &shape.nodes {
        *ops.entry(node.op.name()).or_default() += 1;
    }
    ops
}

/// Reads a compiled model and describes it.
pub fn inspect(path: &Path) -> Result<InspectReport> {
    Ok(describe(&load_model(path)?))
}

fn describe(artifact: &Artifact) -> InspectReport {
    let model = &artifact.model;
    let layers = model.layers.iter().enumerate().map(|(index, l)| LayerInfo {
        index,
        name: l.name.clone(),
        shape: l.shape,
        inputs: l.inputs.clone(),
        outputs: l.outputs.clone(),
        weights: l.weights.iter().map(|w| w.len() as u64).sum(),
        tables: l
            .tables
            .iter()
            .map(|t| (t.iter().copied().min().unwrap_or(0), t.iter().copied().max().unwrap_or(0)))
            .collect(),
    });
    let layers: Vec<LayerInfo> = layers.collect();
    InspectReport {
        source: hex(&artifact.source),
        tokens: model.tokens,
        limb_bits: model.limb_bits,
        weights: layers.iter().map(|l| l.weights).sum(),
        calibration_samples: artifact.calibration.samples,
        inputs: artifact.inputs.iter().zip(&model.inputs).map(|(spec, &id)| input_port(spec, id)).collect(),
        outputs: artifact.outputs.iter().zip(&model.outputs).map(|(spec, &id)| output_port(spec, id)).collect(),
        shapes: model
            .shapes
            .iter()
            .enumerate()
            .map(|(index, shape)| ShapeInfo {
                index,
                layers: layers.iter().filter(|l| l.shape as usize == index).map(|l| l.index).collect(),
                ops: op_counts(shape),
            })
            .collect(),
        tensors: model
            .tensors
            .iter()
            .enumerate()
            .map(|(id, t)| TensorInfo {
                id,
                name: t.name.clone(),
                features: t.features,
                scale: t.scale,
                range: (t.lo, t.hi),
                role: role(t.role),
            })
            .collect(),
        layers,
    }
}

fn input_port(spec: &InputSpec, tensor: u32) -> Port {
    let kind = match &spec.kind {
        float::InputKind::Tokens { vocab } => format!("token ids below {vocab}"),
        float::InputKind::Float => format!("real numbers {:?}", spec.shape),
        float::InputKind::Mask => "0/1 mask".into(),
    };
    Port { name: spec.name.clone(), kind, tensor }
}

fn output_port(spec: &OutputSpec, tensor: u32) -> Port {
    let kind = if spec.argmax { "index of the greatest score" } else { "scores" };
    Port { name: spec.name.clone(), kind: kind.into(), tensor }
}

/// The float graph and the layers in Graphviz form.
pub fn dot(path: &Path) -> Result<String> {
    let artifact = load_model(path)?;
    let graph = artifact.float_graph().map_err(crate::Error::format(path))?;
    Ok(to_dot(&artifact, &graph))
}

fn to_dot(artifact: &Artifact, graph: &float::Graph) -> String {
    let mut out = String::from(
        "digraph model {\n  node [shape=box fontname=monospace];\n  subgraph cluster_float {\n    label=\"float graph\";\n",
    );
    for id in graph.topo() {
        let node = &graph.dag[id];
        let label = format!("{}\\n{} [{}]", node.op.name(), escape(&node.name), node.features);
        let _ = writeln!(out, "    f{} [label=\"{label}\"];", id.index());
        for source in graph.operands(id) {
            let _ = writeln!(out, "    f{} -> f{};", NodeId::index(source), id.index());
        }
    }
    out.push_str("  }\n  subgraph cluster_layers {\n    label=\"layers\";\n");
    for (id, tensor) in artifact.model.tensors.iter().enumerate() {
        let label = format!("{}\\n[{}] scale {}", escape(&tensor.name), tensor.features, tensor.scale);
        let _ = writeln!(out, "    t{id} [shape=ellipse label=\"{label}\"];");
    }
    for (i, layer) in artifact.model.layers.iter().enumerate() {
        let _ = writeln!(out, "    l{i} [label=\"{i} {}\\nshape {}\"];", escape(&layer.name), layer.shape);
        for t in &layer.inputs {
            let _ = writeln!(out, "    t{t} -> l{i};");
        }
        for t in &layer.outputs {
            let _ = writeln!(out, "    l{i} -> t{t};");
        }
    }
    out.push_str("  }\n}\n");
    out
}

fn escape(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
        .collect()
}

impl std::fmt::Display for InspectReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "source       {}", self.source)?;
        writeln!(f, "tokens       {}", self.tokens)?;
        writeln!(f, "weights      {}", self.weights)?;
        writeln!(f, "range table  2^{}", self.limb_bits)?;
        writeln!(f, "calibration  {} samples", self.calibration_samples)?;
        for (what, ports) in [("input ", &self.inputs), ("output", &self.outputs)] {
            for p in ports {
                writeln!(f, "{what}       {}: {} (tensor {})", p.name, p.kind, p.tensor)?;
            }
        }
        let list = |ids: &[u32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        writeln!(f, "\nLayers")?;
        let mut table = Table::new(&["layer", "name", "shape", "reads", "writes", "weights", "tables"]);
        for l in &self.layers {
            let tables: Vec<String> = l.tables.iter().map(|(lo, hi)| format!("[{lo}, {hi}]")).collect();
            table.row(vec![
                l.index.to_string(),
                l.name.clone(),
                l.shape.to_string(),
                list(&l.inputs),
                list(&l.outputs),
                l.weights.to_string(),
                tables.join(" "),
            ]);
        }
        table.write(f)?;
        writeln!(f, "\nShapes")?;
        let mut table = Table::new(&["shape", "layers", "ops"]);
        for s in &self.shapes {
            let ops: Vec<String> = s.ops.iter().map(|(name, n)| format!("{n} {name}")).collect();
            table.row(vec![s.index.to_string(), s.layers.len().to_string(), ops.join(", ")]);
        }
        table.write(f)?;
        writeln!(f, "\nTensors between layers")?;
        let mut table = Table::new(&["id", "name", "features", "scale", "range", "role"]);
        for t in &self.tensors {
            table.row(vec![
                t.id.to_string(),
                t.name.clone(),
                t.features.to_string(),
                format!("{:.6}", t.scale).trim_end_matches('0').trim_end_matches('.').to_string(),
                format!("[{}, {}]", t.range.0, t.range.1),
                t.role.into(),
            ]);
        }
        table.write(f)
    }
}
