//! What the model id of a verifier file commits to, in words.

use crate::inspect::{TensorInfo, tensor_info};
use crate::table::Table;
use crate::{Error, Result, hex};
use nanozk_ir::int::gadgets::Gadget;
use nanozk_ir::int::{Architecture, Graph, Layer, Node, Op, Table as IntTable};
use nanozk_layout::{Derived, Part};
use nanozk_plan::check;
use nanozk_proof::answer::Writer;
use nanozk_proof::keys::{Endpoint, VerifierKey};
use nanozk_proof::statement::Statement;
use serde::Serialize;
use std::collections::BTreeMap;

/// The integer model without weights that stands in a verifier file, and what its circuits leave to argument.
#[derive(Clone, Debug, Serialize)]
pub struct ArchitectureReport {
    /// Id of the model.
    pub model_id: String,
    /// The architecture in a few sentences.
    pub summary: Vec<String>,
    /// Layers in evaluation order.
    pub layers: Vec<LayerInfo>,
    /// Distinct layer structures.
    pub shapes: Vec<ShapeInfo>,
    /// Distinct tables.
    pub tables: Vec<TableInfo>,
    /// Boundary tensors.
    pub tensors: Vec<TensorInfo>,
}

/// One layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerInfo {
    /// Name.
    pub name: String,
    /// Index of its shape.
    pub shape: u32,
    /// Boundary tensors read.
    pub inputs: Vec<u32>,
    /// Boundary tensors written.
    pub outputs: Vec<u32>,
    /// Its tables.
    pub tables: Vec<usize>,
    /// Its parameters.
    pub params: Vec<i64>,
}

/// One shape.
#[derive(Clone, Debug, Serialize)]
pub struct ShapeInfo {
    /// What it computes, op by op.
    pub ops: Vec<String>,
    /// Slots of its lanes.
    pub slots: u32,
    /// Slots whose uniqueness the plan check does not follow, by the argument that makes them unique.
    pub argued: BTreeMap<&'static str, usize>,
    /// Cells that the prover may choose, without effect on any other.
    pub free_cells: usize,
}

/// A table.
#[derive(Clone, Debug, Serialize)]
pub struct TableInfo {
    /// The function whose values these are, `None` where they are stated as they are.
    pub function: Option<String>,
    /// Least value.
    pub least: i64,
    /// Greatest value.
    pub greatest: i64,
    /// The values, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<i64>,
}

/// Describes the model of a verifier file, with the values of its tables if `values`.
///
/// # Errors
/// When the file does not say what its model is, or its circuits are those of another one.
pub fn describe(key: &VerifierKey, values: bool) -> Result<ArchitectureReport> {
    let refused = |e| Error::refused(e, "do not rely on this file");
    let statement = Statement::of(key).map_err(refused)?;
    let derived = statement.derive(key).map_err(refused)?;
    let model = &statement.model;
    let shapes = derived.iter().zip(&model.shapes).map(|(derived, graph)| shape(derived, graph));
    let (layers, tables) = layers(model, values);
    Ok(ArchitectureReport {
        model_id: hex(&key.model_id()),
        summary: sentences(key, model, &tables),
        shapes: shapes.collect::<Result<_>>()?,
        tensors: tensor_info(&model.tensors),
        layers,
        tables,
    })
}

/// The architecture in a few sentences. No circuit is derived for it.
///
/// # Errors
/// When the file does not say what its model is.
pub fn summary(key: &VerifierKey) -> Result<Vec<String>> {
    let statement = Statement::of(key).map_err(|e| Error::refused(e, "do not rely on this file"))?;
    Ok(sentences(key, &statement.model, &layers(&statement.model, false).1))
}

/// Layers, and their distinct tables.
fn layers(model: &Architecture, values: bool) -> (Vec<LayerInfo>, Vec<TableInfo>) {
    let mut tables: Vec<&IntTable> = Vec::new();
    let mut layers = Vec::new();
    for layer in &model.layers {
        let place = |table| {
            tables.iter().position(|known| *known == table).unwrap_or_else(|| {
                tables.push(table);
                tables.len() - 1
            })
        };
        layers.push(LayerInfo {
            name: layer.name.clone(),
            shape: layer.shape,
            inputs: layer.inputs.clone(),
            outputs: layer.outputs.clone(),
            tables: layer.tables.iter().map(place).collect(),
            params: layer.params.clone(),
        });
    }
    let table = |table: &&IntTable| {
        let all = table.compute();
        TableInfo {
            function: table.curve().map(ToString::to_string),
            least: all.iter().copied().min().unwrap_or(0),
            greatest: all.iter().copied().max().unwrap_or(0),
            values: if values { all } else { Vec::new() },
        }
    };
    let tables = tables.iter().map(table).collect();
    (layers, tables)
}

/// The architecture in a few sentences: sizes, ends, matrices, heads and vocabularies, tables.
fn sentences(key: &VerifierKey, model: &Architecture, tables: &[TableInfo]) -> Vec<String> {
    let end = |what: &str, ends: &[Endpoint]| {
        let one = |e: &Endpoint| {
            let seen = if key.tensors[e.tensor as usize].visibility.public() { "public" } else { "hidden" };
            format!("{seen} {} {}{:?}", e.value.name, e.value.dtype, e.value.shape)
        };
        format!("{what}: {}", ends.iter().map(one).collect::<Vec<_>>().join("; "))
    };
    let (layers, shapes) = (model.layers.len(), model.shapes.len());
    let size =
        format!("{layers} layers of {shapes} shapes on {} tokens, limbs of {} bits", model.tokens, model.limb_bits);
    let weights = |l: &Layer<()>| {
        model.shapes[l.shape as usize].weights.iter().map(|&(r, c)| u64::from(r) * u64::from(c)).sum::<u64>()
    };
    let total = format!("{} weights", model.layers.iter().map(weights).sum::<u64>());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for layer in &model.layers {
        let graph = &model.shapes[layer.shape as usize];
        let parts = graph.nodes.iter().filter_map(|node| part(node, graph));
        parts.for_each(|part| *counts.entry(part).or_default() += 1);
    }
    let parts = counts.into_iter().map(|(part, n)| if n > 1 { format!("{n} times {part}") } else { part });
    let named: Vec<String> = tables.iter().filter_map(|t| t.function.clone()).collect();
    let mut out = vec![size, total, end("input", &key.inputs), end("output", &key.outputs)];
    if Writer::of(key).is_ok() {
        let tokenizer = key.text.tokenizer.map(|digest| format!(", tokenizer with BLAKE2b-256 {}", hex(&digest)));
        out.push(format!("answers that end with the ids {:?}{}", key.text.end, tokenizer.unwrap_or_default()));
    }
    out.extend(parts);
    out.extend(named.into_iter().map(|name| format!("table {name}")));
    let stated = tables.iter().filter(|t| t.function.is_none()).count();
    if stated > 0 {
        out.push(format!("{stated} tables without a name: `nanozk inspect --tables` prints their values"));
    }
    out
}

/// What a node contributes to an architecture; nothing of it for data movement and rounding.
fn part(node: &Node, graph: &Graph) -> Option<String> {
    let matrix = |w: u32| graph.weights.get(w as usize).map(|(rows, cols)| format!("{rows} x {cols}"));
    Some(match &node.op {
        Op::Linear { weight, bias, positions } => {
            let bias = if bias.is_some() { " and bias" } else { "" };
            let each = if *positions > 1 { format!(" at {positions} positions") } else { String::new() };
            format!("matrix {}{bias}{each}", matrix(*weight)?)
        }
        Op::Diagonal { weight, bias, positions } => {
            let bias = if bias.is_some() { " and bias" } else { "" };
            let each = if *positions > 1 { format!(" at {positions} positions") } else { String::new() };
            format!("diagonal {}{bias}{each}", matrix(*weight)?)
        }
        Op::Embed { weight, vocab } => format!("embedding of {vocab} ids, {}", matrix(*weight)?),
        Op::TokenBias { weight } if graph.weights.get(*weight as usize)?.0 == 1 => {
            format!("constants, {}", matrix(*weight)?)
        }
        Op::TokenBias { weight } => format!("position embedding, {}", matrix(*weight)?),
        Op::Scores { heads, kv_heads, head_dim } => {
            format!("attention of {heads} heads over {kv_heads} key heads of {head_dim} features")
        }
        Op::Attend { causal, .. } => format!("softmax, {}", if *causal { "causal" } else { "over all keys" }),
        Op::RSqrt { .. } => "normalisation".into(),
        Op::ArgMax { groups, .. } => format!("argmax in {groups} groups"),
        Op::Gadget(gadget) => format!("{gadget:?}"),
        _ => return None,
    })
}

fn shape(derived: &Derived, graph: &Graph) -> Result<ShapeInfo> {
    let plan = &derived.lowered.plan;
    let report = check::check(plan).map_err(Error::part)?;
    let mut argued = BTreeMap::new();
    for fill in &derived.lowered.fills {
        let slots = report.argued.range(fill.slot..fill.slot + fill.count).count();
        if slots > 0 {
            *argued.entry(argument(&graph.nodes[fill.node as usize].op, fill.part)).or_default() += slots;
        }
    }
    let op = |node: &Node| {
        let operands: Vec<&str> = node.inputs.iter().map(|&i| graph.nodes[i as usize].name.as_str()).collect();
        format!("{} = {}({}) [{}]", node.name, node.op.name(), operands.join(", "), node.features)
    };
    Ok(ShapeInfo {
        ops: graph.nodes.iter().map(op).collect(),
        slots: plan.lane_slots(),
        argued,
        free_cells: report.free_cells(),
    })
}

/// Why cells are unique that the plan check does not follow (docs/protocol.md, section 9).
fn argument(op: &Op, part: Part) -> &'static str {
    match op {
        Op::Requant { clamp: true, .. } => "clamped value: what exceeds the range is 0 except at its ends",
        Op::Recip { .. } => "quotient: both its remainder and divisor - 1 - remainder are limbs",
        Op::RSqrt { .. } => "root: both C - r^2 v and (r + 1)^2 v - 1 - C are limbs",
        Op::Attend { .. } if part == Part::Max => "maximum: no distance is negative, and one is 0",
        Op::Attend { .. } => "distance from the maximum: it is beyond the table only at its end",
        Op::ArgMax { .. } => "winner: no distance is negative, and that of the winner is 0",
        Op::Gadget(Gadget::Max(_)) => "maximum: no distance is negative, and one is 0",
        Op::Gadget(Gadget::FloorDiv(_) | Gadget::Div(_)) => {
            "quotient: both its remainder and divisor - 1 - remainder are limbs"
        }
        Op::Gadget(Gadget::TopK(_)) => "ranks: keys descend, and no other key reaches the last",
        Op::Gadget(Gadget::Normalise(_)) => "mantissa and exponent: one bit is 1, and the rest is below its power",
        Op::Embed { .. } | Op::Gadget(Gadget::OneHot(_) | Gadget::Bits(_)) => {
            "digits: each is 0 or 1, and they add up to the number"
        }
        _ => "follows from these",
    }
}

impl std::fmt::Display for ArchitectureReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "model id  {}", self.model_id)?;
        writeln!(f, "circuits  derived from the integer graph; `nanozk check` looks at keys and weights")?;
        self.summary.iter().try_for_each(|line| writeln!(f, "          {line}"))?;
        let list = |ids: Vec<String>| ids.join(",");
        writeln!(f, "\nLayers")?;
        let mut table = Table::new(&["layer", "name", "shape", "reads", "writes", "tables", "parameters"]);
        for (i, l) in self.layers.iter().enumerate() {
            table.row(vec![
                i.to_string(),
                l.name.clone(),
                l.shape.to_string(),
                list(l.inputs.iter().map(ToString::to_string).collect()),
                list(l.outputs.iter().map(ToString::to_string).collect()),
                list(l.tables.iter().map(ToString::to_string).collect()),
                list(l.params.iter().map(ToString::to_string).collect()),
            ]);
        }
        table.write(f)?;
        writeln!(f, "\nTables")?;
        for (i, t) in self.tables.iter().enumerate() {
            let what = t.function.as_deref().unwrap_or("values without a name");
            writeln!(f, "{i}  in [{}, {}]: {what}", t.least, t.greatest)?;
            if !t.values.is_empty() {
                writeln!(f, "   {:?}", t.values)?;
            }
        }
        for (i, shape) in self.shapes.iter().enumerate() {
            writeln!(f, "\nShape {i}")?;
            shape.ops.iter().try_for_each(|op| writeln!(f, "{op}"))?;
            let argued: usize = shape.argued.values().sum();
            writeln!(f, "{} slots; unique by argument (docs/protocol.md, section 9): {argued}", shape.slots)?;
            shape.argued.iter().try_for_each(|(why, n)| writeln!(f, "{n:>8}  {why}"))?;
            writeln!(f, "{:>8}  cells are free, and enter nothing", shape.free_cells)?;
        }
        writeln!(f, "\nTensors between layers")?;
        crate::inspect::write_tensors(f, &self.tensors)
    }
}
