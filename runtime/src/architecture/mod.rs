//! What the model id of a verifier file commits to: all of it as data, and in words ([`text`]).

mod sentences;
mod table;
#[cfg(test)]
mod tests;
mod text;

use crate::inspect::{TensorInfo, tensor_info};
use crate::{Error, Result, hex};
use nanozk_ir::int::{Architecture, Graph, Table as IntTable};
use nanozk_layout::{Choices, Derived, argument};
use nanozk_plan::{ValueInfo, check};
use nanozk_proof::keys::{Endpoint, Rows, VerifierKey};
use nanozk_proof::statement::Statement;
use sentences::sentences;
use serde::Serialize;
use std::collections::BTreeMap;
pub use table::TableInfo;

/// The integer model without weights that stands in a verifier file, and what its circuits leave to argument.
#[derive(Clone, Debug, Serialize)]
pub struct ArchitectureReport {
    /// Id of the model.
    pub model_id: String,
    /// The architecture in a few sentences.
    pub summary: Vec<String>,
    /// Tokens T of every activation.
    pub tokens: u32,
    /// Width of the range table.
    pub limb_bits: u32,
    /// Inputs of the model.
    pub inputs: Vec<EndInfo>,
    /// Outputs of the model.
    pub outputs: Vec<EndInfo>,
    /// Layers in evaluation order.
    pub layers: Vec<LayerInfo>,
    /// Distinct layer structures.
    pub shapes: Vec<ShapeInfo>,
    /// Distinct tables.
    pub tables: Vec<TableInfo>,
    /// Boundary tensors.
    pub tensors: Vec<TensorInfo>,
    /// Whether the text gives the values of tables in full.
    #[serde(skip)]
    tables_in_full: bool,
}

/// An input or output of the model.
#[derive(Clone, Debug, Serialize)]
pub struct EndInfo {
    /// Its boundary tensor.
    pub tensor: u32,
    /// What the verifier asks of the rows of a public input; `None` for outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// As the source model has it, and where its elements stand in the tensor.
    pub value: ValueInfo,
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
    pub graph: Graph,
    /// What its plan depends on beside.
    pub choices: Choices,
    /// Slots of its lanes.
    pub slots: u32,
    /// Slots whose uniqueness the plan check does not follow, by the argument that makes them unique.
    pub argued: BTreeMap<&'static str, usize>,
    /// Cells that the prover may choose, without effect on any other.
    pub free_cells: usize,
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
    let shapes = derived.iter().zip(&model.shapes).zip(&statement.choices);
    let shapes = shapes.map(|((derived, graph), choices)| shape(derived, graph, *choices));
    let (layers, tables) = layers(model, values);
    let ends = |ends: &[Endpoint], read: bool| {
        let end = |e: &Endpoint| EndInfo {
            tensor: e.tensor,
            rows: read.then_some(key.tensors[e.tensor as usize].rows),
            value: e.value.clone(),
        };
        ends.iter().map(end).collect()
    };
    Ok(ArchitectureReport {
        model_id: hex(&key.model_id()),
        summary: sentences(key, model, &tables),
        tokens: model.tokens,
        limb_bits: model.limb_bits,
        inputs: ends(&key.inputs, true),
        outputs: ends(&key.outputs, false),
        shapes: shapes.collect::<Result<_>>()?,
        tensors: tensor_info(&model.tensors),
        layers,
        tables,
        tables_in_full: values,
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
            values: if values || table.curve().is_none() { all } else { Vec::new() },
        }
    };
    let tables = tables.iter().map(table).collect();
    (layers, tables)
}

fn shape(derived: &Derived, graph: &Graph, choices: Choices) -> Result<ShapeInfo> {
    let plan = &derived.lowered.plan;
    let report = check::check(plan).map_err(Error::part)?;
    let mut argued = BTreeMap::new();
    for fill in &derived.lowered.fills {
        let slots = report.argued.range(fill.slot..fill.slot + fill.count).count();
        if slots > 0 {
            *argued.entry(argument(&graph.nodes[fill.node as usize].op, fill.quantity)).or_default() += slots;
        }
    }
    Ok(ShapeInfo { graph: graph.clone(), choices, slots: plan.lane_slots(), argued, free_cells: report.free_cells() })
}
