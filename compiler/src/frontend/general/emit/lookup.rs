//! Formulas of single whole numbers of a small range: rows of a table, exact.

use crate::frontend::general::function::Elementwise;
use crate::frontend::general::graph::{Graph, Op};
use crate::frontend::general::tensor::Code;
use nanozk_ir::float::single;
use std::collections::HashMap;
use std::sync::Arc;

/// Most values that the variable may have.
const MOST_VALUES: f64 = 4096.0;

/// Most entries of all columns of a node.
const MOST_ENTRIES: usize = 1 << 24;

/// A node's features as functions of whole numbers.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// The variable of each feature.
    pub source: Vec<Code>,
    /// Least value of the variables.
    pub lo: f64,
    /// Number of values of the variables.
    pub count: usize,
    /// Row-major `[features, count]`.
    values: Vec<f64>,
}

/// A table that holds all columns of a node.
pub(super) struct Table {
    /// Distinct variables.
    pub ids: Vec<Code>,
    /// Row-major `[count, columns]`.
    pub data: Vec<f32>,
    /// Place of each feature in `[ids, columns]`.
    pub places: Vec<usize>,
}

impl Columns {
    fn column(&self, feature: usize) -> &[f64] {
        &self.values[feature * self.count..(feature + 1) * self.count]
    }

    /// The distinct variables and columns.
    pub(super) fn table(&self) -> Table {
        let mut ids = self.source.clone();
        ids.sort_unstable();
        ids.dedup();
        let mut index: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut columns: Vec<usize> = Vec::new();
        let mut of_feature = Vec::with_capacity(self.source.len());
        for feature in 0..self.source.len() {
            let key: Vec<u32> = self.column(feature).iter().map(|&v| (v as f32).to_bits()).collect();
            of_feature.push(*index.entry(key).or_insert_with(|| {
                columns.push(feature);
                columns.len() - 1
            }));
        }
        let row = |v: usize| columns.iter().map(move |&f| self.column(f)[v] as f32);
        let place = |(source, column): (&Code, &usize)| ids.partition_point(|id| id < source) * columns.len() + column;
        Table {
            data: (0..self.count).flat_map(row).collect(),
            places: self.source.iter().zip(&of_feature).map(place).collect(),
            ids,
        }
    }
}

/// Columns of all elementwise nodes, found on demand.
#[derive(Default)]
pub(super) struct Lookups {
    known: HashMap<usize, Option<Arc<Columns>>>,
}

impl Lookups {
    /// Node `id` as functions of whole numbers, one for each feature.
    pub(super) fn of(&mut self, graph: &Graph, id: usize) -> Option<Arc<Columns>> {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        let columns = self.find(graph, id).map(Arc::new);
        self.known.insert(id, columns.clone());
        columns
    }

    fn find(&mut self, graph: &Graph, id: usize) -> Option<Columns> {
        let node = &graph.nodes[id];
        let Op::Elementwise(function) = &node.op else { return None };
        let mut operands: Vec<Option<OperandColumns>> = Vec::new();
        for arg in &node.args {
            operands.push(if arg[0].is_constant() { None } else { Some(self.operand(graph, arg)?) });
        }
        let varying: Vec<&OperandColumns> = operands.iter().flatten().collect();
        let first = *varying.first()?;
        if varying.iter().any(|p| p.source != first.source) {
            return None;
        }
        let (lo, hi) = graph.whole_of(&first.source)?;
        let count = hi - lo + 1.0;
        if !(1.0..=MOST_VALUES).contains(&count) || count as usize * node.features > MOST_ENTRIES {
            return None;
        }
        let count = count as usize;
        let mut values = Vec::with_capacity(count * node.features);
        for feature in 0..node.features {
            for v in 0..count {
                let x = lo + v as f64;
                let operand = |slot: usize| match &operands[slot] {
                    Some(columns) => columns.at(feature, x),
                    None => graph.pool.value(node.args[slot][feature]),
                };
                let value = match function {
                    Elementwise::Unary(f) => f.apply(operand(0)?),
                    Elementwise::Binary(f) => f.apply(operand(0)?, operand(1)?),
                    // What is not chosen may have no value.
                    Elementwise::Select => operand(if operand(0)? == 0.0 { 2 } else { 1 })?,
                };
                values.push(single(value));
            }
        }
        Some(Columns { source: first.source.clone(), lo, count, values })
    }

    /// An operand as functions of whole numbers: whole numbers are their own variables.
    fn operand(&mut self, graph: &Graph, arg: &[Code]) -> Option<OperandColumns> {
        let mut operand =
            OperandColumns { source: Vec::with_capacity(arg.len()), columns: Vec::with_capacity(arg.len()) };
        for &code in arg {
            let (source, column) = if graph.whole(code).is_some() {
                (code, None)
            } else {
                let columns = self.of(graph, code.node())?;
                (columns.source[code.feature()], Some((columns, code.feature())))
            };
            operand.source.push(source);
            operand.columns.push(column);
        }
        Some(operand)
    }
}

/// An operand as functions of whole numbers, one for each feature.
struct OperandColumns {
    /// The variable of each feature.
    source: Vec<Code>,
    /// Its column, where the feature is not the variable itself.
    columns: Vec<Option<(Arc<Columns>, usize)>>,
}

impl OperandColumns {
    /// Value of a feature where its variable is x, if it is known there.
    fn at(&self, feature: usize, x: f64) -> Option<f64> {
        match &self.columns[feature] {
            None => Some(x),
            Some((columns, f)) if x >= columns.lo => columns.column(*f).get((x - columns.lo) as usize).copied(),
            Some(_) => None,
        }
    }
}
