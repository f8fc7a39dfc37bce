//! An architecture in words. Everything of it shows: what is too long stands there by its first elements, its length and a
//! hash.

use super::{ArchitectureReport, EndInfo, ShapeInfo};
use crate::hex;
use crate::table::Table;
use nanozk_ir::each_op;
use nanozk_ir::int::{Node, Op, Term, ops};
use nanozk_plan::ElementMap;
use nanozk_proof::keys::Rows;
use serde::Serialize;
use std::fmt::{Display, Formatter, Result};

/// Most characters of a list.
const WIDTH: usize = 160;

/// A list: all of it, or its first elements, its length and the BLAKE2b-256 of its JSON without spaces, as it stands in
/// the report.
fn listed<T: Serialize>(list: &[T], one: impl Fn(&T) -> String) -> String {
    let mut shown = String::new();
    for (i, element) in list.iter().enumerate() {
        let element = one(element);
        if shown.len() + element.len() > WIDTH {
            let json = serde_json::to_value(list).unwrap_or_default().to_string();
            let hash = blake2b_simd::Params::new().hash_length(32).hash(json.as_bytes());
            return format!("[{shown}.. {} in all, BLAKE2b-256 {}]", list.len(), hex(hash.as_bytes()));
        }
        shown += &element;
        shown += if i + 1 < list.len() { ", " } else { "" };
    }
    format!("[{shown}]")
}

/// A sum over operands: `x0[3] - 2 x1[4]`.
fn sum(terms: &[Term]) -> String {
    let term = |(i, Term { input, feature, coef }): (usize, &Term)| {
        let sign = match (i, *coef < 0) {
            (0, true) => "-",
            (0, false) => "",
            (_, true) => " - ",
            (_, false) => " + ",
        };
        let factor = if coef.unsigned_abs() == 1 { String::new() } else { format!("{} ", coef.unsigned_abs()) };
        format!("{sign}{factor}x{input}[{feature}]")
    };
    if terms.is_empty() { "0".into() } else { terms.iter().enumerate().map(term).collect() }
}

/// An op with all of its fields.
fn op(op: &Op) -> String {
    match op {
        Op::Affine(ops::Affine { rows }) => format!("Affine {{ rows: {} }}", listed(rows, |row| sum(row))),
        Op::Const(ops::Const { rows, data }) => {
            format!("Const {{ rows: {rows}, data: {} }}", listed(data, i64::to_string))
        }
        op => each_op!(op, op => format!("{op:?}")),
    }
}

/// A node: number, name, features, bounds, op, operands.
pub(super) fn node(index: usize, node: &Node) -> String {
    let Node { name, op: what, inputs, features, lo, hi } = node;
    let operands: Vec<String> = inputs.iter().map(|id| format!("%{id}")).collect();
    let of = if operands.is_empty() { "" } else { " of " };
    format!("%{index} {name:?} [{features}] in [{lo}, {hi}] = {}{of}{}", op(what), operands.join(", "))
}

/// Shape of a layer, without what is said of its plan.
pub(super) fn shape(f: &mut impl std::fmt::Write, ShapeInfo { graph, choices, .. }: &ShapeInfo) -> Result {
    graph.nodes.iter().enumerate().try_for_each(|(index, it)| writeln!(f, "{}", node(index, it)))?;
    let matrix = |(rows, cols): &(u32, u32)| format!("{rows} x {cols}");
    let weights = listed(&graph.weights, matrix);
    writeln!(f, "weights: {weights}; tables: {}; parameters: {}", graph.tables, graph.params)?;
    writeln!(f, "laid out by {choices:?}")
}

/// An input or output, with the way from its elements to those of its tensor.
pub(super) fn end(end: &EndInfo) -> String {
    let EndInfo { tensor, rows, value } = end;
    let map = match &value.map {
        ElementMap::Affine { first, strides } => {
            let axes: Vec<String> = (0..strides.len()).map(|axis| format!("i{axis}")).collect();
            let steps: String = strides.iter().zip(&axes).map(|(stride, axis)| format!(" + {stride} {axis}")).collect();
            format!("[{}] is its element {first}{steps}", axes.join(", "))
        }
        ElementMap::List(list) => format!("its elements {}, in this order", listed(list, u32::to_string)),
    };
    let rows = match rows {
        Some(Rows::Padded) => ", 0 beyond the true length",
        Some(Rows::Full) => ", given for all tokens",
        Some(Rows::Equal) => ", the same for all tokens",
        None => "",
    };
    format!("{:?} {}{:?} of tensor {tensor}{rows}: {map}", value.name, value.dtype, value.shape)
}

impl Display for ArchitectureReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "model id  {}", self.model_id)?;
        writeln!(f, "circuits  derived from the integer graph; `nanozk check` looks at keys and weights")?;
        self.summary.iter().try_for_each(|line| writeln!(f, "          {line}"))?;
        writeln!(f, "\nInputs and outputs, by elements of tensors [{} tokens, features], row by row", self.tokens)?;
        for (what, ends) in [("input", &self.inputs), ("output", &self.outputs)] {
            ends.iter().try_for_each(|it| writeln!(f, "{what} {}", end(it)))?;
        }
        writeln!(f, "\nLayers")?;
        let mut table = Table::new(&["layer", "name", "shape", "reads", "writes", "tables", "parameters"]);
        for (i, l) in self.layers.iter().enumerate() {
            table.row(vec![
                i.to_string(),
                l.name.escape_debug().to_string(),
                l.shape.to_string(),
                listed(&l.inputs, u32::to_string),
                listed(&l.outputs, u32::to_string),
                listed(&l.tables, usize::to_string),
                listed(&l.params, i64::to_string),
            ]);
        }
        table.write(f)?;
        writeln!(f, "\nTables of 2^{} values", self.limb_bits)?;
        for (i, t) in self.tables.iter().enumerate() {
            let what = t.function.as_deref().unwrap_or("values without a name");
            writeln!(f, "{i}  in [{}, {}]: {what}", t.least, t.greatest)?;
            match (&t.values[..], self.tables_in_full) {
                ([], _) => {}
                (values, true) => writeln!(f, "   {values:?}")?,
                (values, false) => writeln!(f, "   {}", listed(values, i64::to_string))?,
            }
        }
        for (i, it) in self.shapes.iter().enumerate() {
            writeln!(f, "\nShape {i}")?;
            shape(f, it)?;
            let argued: usize = it.argued.values().sum();
            writeln!(f, "{} slots; unique by argument (docs/protocol.md, section 9): {argued}", it.slots)?;
            it.argued.iter().try_for_each(|(why, n)| writeln!(f, "{n:>8}  {why}"))?;
            writeln!(f, "{:>8}  cells are free, and enter nothing", it.free_cells)?;
        }
        writeln!(f, "\nTensors between layers")?;
        crate::inspect::write_tensors(f, &self.tensors)
    }
}
