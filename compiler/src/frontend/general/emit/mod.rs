//! From the graph of references to the float graph.

mod emitter;
mod function;
mod lookup;
mod operand;
mod primitive;

use super::graph::{Graph, Op, Whole};
use super::tensor::Code;
use crate::frontend::error::Problem;
use crate::frontend::general::function::Elementwise;
use crate::frontend::refusal::{Refusal, refuse};
use emitter::Emitter;
use function::{Origins, is_affine, jumps};
use lookup::{Columns, Lookups};
use nanozk_ir::float::{self, Binary, Formula, InputKind, NodeId, Step, UnaryFn};
use std::collections::HashMap;
use std::sync::Arc;

/// Name, elements and kind of a model input.
pub(super) struct Input {
    pub name: String,
    pub codes: Vec<Code>,
    pub whole: Option<Whole>,
}

/// How a node is computed.
enum Plan {
    /// By the ops of the float graph for its own op.
    Direct,
    /// As a function of one variable.
    Function(Arc<Vec<Code>>, Formula),
    /// As rows of a table.
    Table(Arc<Columns>),
}

/// The float graph of one token.
pub(super) fn emit(
    graph: &Graph,
    inputs: &[Input],
    outputs: &[(String, Vec<Code>)],
) -> Result<float::Graph, Vec<Problem>> {
    let plans = plan(graph, outputs);
    let out = float::Graph { tokens: 1, ..Default::default() };
    let mut e = Emitter { graph, out, nodes: HashMap::new(), operands: HashMap::new() };
    for input in inputs {
        let kind = match input.whole {
            Some((lo, hi)) => InputKind::Integer { lo: lo as i64, hi: hi as i64 },
            None => InputKind::Float,
        };
        let id = e.out.add(&input.name, float::Op::Input(kind), input.codes.len(), &[]);
        e.out.dag[id].exact = input.whole.is_some();
        e.out.inputs.push(id);
        if let Some(code) = input.codes.first() {
            e.nodes.insert(code.node(), id);
        }
    }
    let mut problems = Vec::new();
    for (id, plan) in plans.into_iter().enumerate() {
        let Some(plan) = plan else { continue };
        if e.nodes.contains_key(&id) {
            continue;
        }
        match e.node(id, plan) {
            Ok(node) => {
                e.nodes.insert(id, node);
            }
            Err(refusal) => {
                let node = &graph.nodes[id];
                let problem = Problem {
                    node: node.name.clone(),
                    op: name(&node.op),
                    shapes: format!("[{}]", node.features),
                    refusal,
                };
                problems.push(problem);
                let stand_in = float::Op::Const { rows: 1, data: vec![0.0; node.features] };
                let stand_in = e.out.add(&node.name, stand_in, node.features, &[]);
                e.out.dag[stand_in].exact = node.whole.is_some();
                e.nodes.insert(id, stand_in);
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for (name, codes) in outputs {
        let source = e.operand(codes, name);
        let output = e.out.add(name, float::Op::Output, codes.len(), &[source]);
        e.out.dag[output].exact = e.out.dag[source].exact;
        e.out.outputs.push(output);
    }
    Ok(e.out)
}

/// How each node that `outputs` need is computed.
fn plan(graph: &Graph, outputs: &[(String, Vec<Code>)]) -> Vec<Option<Plan>> {
    let mut needed = vec![false; graph.nodes.len()];
    let mark = |codes: &[Code], needed: &mut Vec<bool>| codes.iter().for_each(|c| needed[c.node()] = true);
    outputs.iter().for_each(|(_, codes)| mark(codes, &mut needed));
    let (mut origins, mut lookups) = (Origins::default(), Lookups::default());
    let mut plans: Vec<Option<Plan>> = graph.nodes.iter().map(|_| None).collect();
    for id in (1..graph.nodes.len()).rev() {
        if !needed[id] || matches!(graph.nodes[id].op, Op::Constants) {
            continue;
        }
        let plan = decide(graph, id, &mut origins, &mut lookups);
        match &plan {
            Plan::Direct => graph.nodes[id].args.iter().for_each(|a| mark(a, &mut needed)),
            Plan::Function(source, _) => mark(source, &mut needed),
            Plan::Table(columns) => mark(&columns.source, &mut needed),
        }
        plans[id] = Some(plan);
    }
    plans
}

fn decide(graph: &Graph, id: usize, origins: &mut Origins, lookups: &mut Lookups) -> Plan {
    let node = &graph.nodes[id];
    let Op::Elementwise(function) = &node.op else { return Plan::Direct };
    let varying: Vec<&Arc<Vec<Code>>> = node.args.iter().filter(|a| !a[0].is_constant()).collect();
    let sum = matches!(function, Elementwise::Binary(Binary::Add | Binary::Sub));
    let linear = sum || matches!(function, Elementwise::Binary(Binary::Mul) | Elementwise::Unary(UnaryFn::Neg));
    if linear && varying.len() < 2 {
        return Plan::Direct;
    }
    let from_whole = varying.iter().all(|a| graph.whole_of(a).is_some());
    if from_whole && node.whole.is_some() && primitive::is_exact(function) {
        return Plan::Direct;
    }
    if let Some(columns) = lookups.of(graph, id) {
        return Plan::Table(columns);
    }
    // A table of real numbers holds no whole ones, but nothing else compares with infinity.
    let infinite = |&c: &Code| graph.pool.value(c).is_some_and(f64::is_infinite);
    let compares = node.args.iter().any(|a| a.iter().any(infinite));
    match origins.of(graph, id).filter(|_| node.whole.is_none() || compares) {
        Some(origin) if !(jumps(&origin.function) || sum && is_affine(&origin.function)) => {
            Plan::Function(origin.source, origin.function)
        }
        _ => Plan::Direct,
    }
}

impl Emitter<'_> {
    fn node(&mut self, id: usize, plan: Plan) -> Result<NodeId, Refusal> {
        let node = &self.graph.nodes[id];
        match plan {
            Plan::Direct => self.direct(id),
            Plan::Function(source, function) => {
                let x = self.operand(&source, &node.name);
                let f = match function.steps() {
                    [Step::Argument, Step::Unary(f, 0)] => f.clone(),
                    _ => UnaryFn::Formula(function),
                };
                Ok(self.add(&node.name, float::Op::Unary(f), node.features, &[x]))
            }
            Plan::Table(columns) => self.table(id, &columns),
        }
    }

    /// Rows of a table, in the order of the node's features.
    fn table(&mut self, id: usize, columns: &Columns) -> Result<NodeId, Refusal> {
        let node = &self.graph.nodes[id];
        let table = columns.table();
        if let Some(bad) = table.data.iter().find(|v| !v.is_finite()) {
            return Err(refuse(
                format!("gives {bad} for a whole number in range"),
                "narrow the range with the sample data",
            ));
        }
        let mut ids = self.operand(&table.ids, &node.name);
        if columns.lo != 0.0 {
            ids = self.plus(&node.name, ids, -columns.lo);
        }
        let width = table.data.len() / columns.count;
        let rows = table.ids.len() * width;
        let looked_up = self.add(&node.name, float::Op::Embed { table: table.data.into() }, rows, &[ids]);
        self.out.dag[looked_up].exact = node.whole.is_some();
        let in_order = table.places.len() == rows && table.places.iter().enumerate().all(|(i, &p)| i == p);
        if in_order {
            return Ok(looked_up);
        }
        let picks = table.places.iter().map(|&p| (0, p as u32)).collect();
        let picked = self.add(&node.name, float::Op::Pick { picks }, node.features, &[looked_up]);
        self.out.dag[picked].exact = node.whole.is_some();
        Ok(picked)
    }

    fn direct(&mut self, id: usize) -> Result<NodeId, Refusal> {
        let node = &self.graph.nodes[id];
        if let Op::Elementwise(function) = &node.op {
            return self.primitive(node, function);
        }
        let args: Vec<NodeId> = node.args.iter().map(|a| self.operand(a, &node.name)).collect();
        let op = match &node.op {
            Op::Linear { positions, weight, bias } => float::Op::Linear {
                positions: *positions,
                weight: weight.clone().into(),
                bias: bias.clone().filter(|b| b.iter().any(|&v| v != 0.0)),
            },
            Op::MatMul { batch, rows, inner, cols } => {
                float::Op::MatMul { batch: *batch, rows: *rows, inner: *inner, cols: *cols }
            }
            Op::Sum { sizes } => float::Op::Sum { sizes: sizes.clone() },
            Op::Max { groups } => float::Op::Max { groups: *groups },
            Op::ArgMax { groups } => float::Op::ArgMax { groups: *groups },
            Op::Softmax { groups, hidden } => float::Op::Softmax { groups: *groups, hidden: *hidden },
            Op::Norm { kind, groups, eps, gamma, beta } => float::Op::Norm {
                kind: *kind,
                groups: *groups,
                eps: *eps,
                gamma: gamma.clone().filter(|g| g.iter().any(|&v| v != 1.0)),
                beta: beta.clone().filter(|b| b.iter().any(|&v| v != 0.0)),
            },
            Op::Embed { table } => float::Op::Embed { table: table.clone().into() },
            Op::Quotient => float::Op::Quotient,
            Op::Within { least, most } => float::Op::Within { least: *least, most: *most },
            Op::Bits { count } => float::Op::Bits { count: *count },
            _ => return Err(refuse("a value that could not be read", "see the other messages")),
        };
        let emitted = self.add(&node.name, op, node.features, &args);
        self.out.dag[emitted].exact = node.whole.is_some();
        Ok(emitted)
    }
}

/// Name of an op for errors.
fn name(op: &Op) -> String {
    match op {
        Op::Elementwise(function) => function.name(),
        other => {
            let text = format!("{other:?}");
            text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
        }
    }
}
