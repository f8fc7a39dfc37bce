//! What a compiled model consists of.

use crate::table::Table;
use crate::{Result, hex, load_model};
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::config::Head;
use nanozk_compiler::data::InputInfo;
use nanozk_ir::float::InputKind;
use nanozk_ir::int::{Graph, Role, Tensor};
use nanozk_plan::{ElementType, ValueInfo};
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
    /// Shape in the source model.
    pub shape: Vec<usize>,
    /// Element type in the source model.
    pub dtype: ElementType,
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
        Role::Noise => "noise of the verifier",
        Role::PrivateOutput => "private output",
    }
}

/// Boundary tensors for reports.
pub(crate) fn tensor_info(tensors: &[Tensor]) -> Vec<TensorInfo> {
    let info = |(id, t): (usize, &Tensor)| TensorInfo {
        id,
        name: t.name.clone(),
        features: t.features,
        scale: t.scale,
        range: (t.lo, t.hi),
        role: role(t.role),
    };
    tensors.iter().enumerate().map(info).collect()
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
///
/// # Errors
/// A file that is no model.
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
    let output_kind = match artifact.head {
        Head::Logits => "scores",
        Head::Argmax => "index of the greatest score",
    };
    let outputs = artifact.outputs.iter().zip(&model.outputs);
    InspectReport {
        source: hex(&artifact.source.digest),
        tokens: model.tokens,
        limb_bits: model.limb_bits,
        weights: layers.iter().map(|l| l.weights).sum(),
        calibration_samples: artifact.calibration.samples,
        inputs: artifact
            .inputs
            .iter()
            .zip(&model.inputs)
            .map(|(info, &id)| port(info.value(), input_kind(info), id))
            .collect(),
        outputs: outputs.map(|(value, &id)| port(value.clone(), output_kind.into(), id)).collect(),
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
        tensors: tensor_info(&model.tensors),
        layers,
    }
}

fn input_kind(info: &InputInfo) -> String {
    match &info.kind {
        InputKind::Tokens { vocab } => format!("token ids below {vocab}"),
        InputKind::Float => "real numbers".into(),
        InputKind::Mask => "0/1 mask".into(),
        InputKind::Integer { lo, hi } => format!("whole numbers in {lo}..={hi}"),
    }
}

fn port(value: ValueInfo, kind: String, tensor: u32) -> Port {
    let ValueInfo { name, shape, dtype, .. } = value;
    Port { name, shape, dtype, kind, tensor }
}

/// The layers and the tensors between them in Graphviz form.
///
/// # Errors
/// A file that is no model.
pub fn dot(path: &Path) -> Result<String> {
    Ok(to_dot(&load_model(path)?))
}

fn to_dot(artifact: &Artifact) -> String {
    let mut out = String::from("digraph model {\n  node [shape=box fontname=monospace];\n");
    for (id, tensor) in artifact.model.tensors.iter().enumerate() {
        let label = format!("{}\\n[{}] scale {}", escape(&tensor.name), tensor.features, tensor.scale);
        let _ = writeln!(out, "  t{id} [shape=ellipse label=\"{label}\"];");
    }
    for (i, layer) in artifact.model.layers.iter().enumerate() {
        let shape = &artifact.model.shapes[layer.shape as usize];
        let ops: Vec<String> = op_counts(shape).iter().map(|(name, n)| format!("{n} {name}")).collect();
        let label = format!("{i} {}\\nshape {}\\n{}", escape(&layer.name), layer.shape, ops.join("\\n"));
        let _ = writeln!(out, "  l{i} [label=\"{label}\"];");
        for t in &layer.inputs {
            let _ = writeln!(out, "  t{t} -> l{i};");
        }
        for t in &layer.outputs {
            let _ = writeln!(out, "  l{i} -> t{t};");
        }
    }
    out.push_str("}\n");
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
                writeln!(f, "{what}       {} {}{:?}: {} (tensor {})", p.name, p.dtype, p.shape, p.kind, p.tensor)?;
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
        write_tensors(f, &self.tensors)
    }
}

/// A table of boundary tensors.
pub(crate) fn write_tensors(f: &mut std::fmt::Formatter<'_>, tensors: &[TensorInfo]) -> std::fmt::Result {
    let mut table = Table::new(&["id", "name", "features", "scale", "range", "role"]);
    for t in tensors {
        table.row(vec![
            t.id.to_string(),
            t.name.escape_debug().to_string(),
            t.features.to_string(),
            t.scale.to_string(),
            format!("[{}, {}]", t.range.0, t.range.1),
            t.role.into(),
        ]);
    }
    table.write(f)
}
