//! From the recognised matrix graph to the canonical float graph.

use super::matrix_graph::{ByRows, MatrixGraph, MatrixId, MatrixNode, MatrixOp, NotByRows, Pick, Reduction};
use nanozk_ir::float::{Binary, Formula, Graph, NodeId, Op, Step, UnaryFn};
use std::collections::HashMap;

/// Builds the canonical graph from what `outputs` need; every model input stays.
pub(super) fn emit(matrices: &MatrixGraph, inputs: &[MatrixId], outputs: &[(MatrixId, String)]) -> ByRows<Graph> {
    let mut roots: Vec<MatrixId> = outputs.iter().map(|(id, _)| *id).collect();
    roots.extend(inputs);
    let uses = matrices.uses(&roots);
    let graph = Graph { tokens: matrices.tokens, ..Graph::default() };
    let mut e = Emit { matrices, graph, nodes: HashMap::new() };
    for id in (0..matrices.nodes.len()).filter(|&id| uses[id] > 0) {
        let node = &matrices.nodes[id];
        if !matches!(node.op, MatrixOp::Const { .. }) {
            let emitted = e.node(node)?;
            e.nodes.insert(id, emitted);
        }
    }
    e.graph.inputs = inputs.iter().map(|&id| e.emitted(id)).collect::<ByRows<_>>()?;
    for (id, name) in outputs {
        let source = e.emitted(*id)?;
        let output = e.graph.add(name, Op::Output, matrices.nodes[*id].features, &[source]);
        e.graph.outputs.push(output);
    }
    Ok(e.graph)
}

struct Emit<'a> {
    matrices: &'a MatrixGraph,
    graph: Graph,
    nodes: HashMap<MatrixId, NodeId>,
}

impl Emit<'_> {
    /// The node that a matrix became; constants become one where they are read.
    fn emitted(&self, id: MatrixId) -> ByRows<NodeId> {
        self.nodes.get(&id).copied().ok_or(NotByRows)
    }

    /// Operand `id` with `features` columns: constants become nodes, single columns are spread.
    fn operand(&mut self, id: MatrixId, features: usize, name: &str) -> ByRows<NodeId> {
        let node = &self.matrices.nodes[id];
        if let MatrixOp::Const { rows, data } = &node.op {
            let spread = features / node.features;
            let data = data.iter().flat_map(|&v| std::iter::repeat_n(v, spread)).collect();
            return Ok(self.graph.add(&node.name, Op::Const { rows: *rows, data }, features, &[]));
        }
        let source = self.emitted(id)?;
        if node.features == features {
            return Ok(source);
        }
        Ok(self.graph.add(
            name,
            Op::Linear { positions: 1, weight: vec![1.0; features].into(), bias: None },
            features,
            &[source],
        ))
    }

    fn node(&mut self, node: &MatrixNode) -> ByRows<NodeId> {
        let (name, features) = (node.name.as_str(), node.features);
        let plain: Vec<Option<NodeId>> = node.operands.iter().map(|o| self.nodes.get(o).copied()).collect();
        let constant = |o: &MatrixId| matches!(self.matrices.nodes[*o].op, MatrixOp::Const { .. });
        if node.operands.iter().zip(&plain).any(|(o, p)| p.is_none() && !constant(o)) {
            return Err(NotByRows);
        }
        let op = match &node.op {
            MatrixOp::Input(kind) => Op::Input(kind.clone()),
            MatrixOp::Const { .. } => return Err(NotByRows),
            MatrixOp::Embed { table } => Op::Embed { table: table.clone().into() },
            MatrixOp::Linear { weight, bias } => Op::Linear {
                positions: 1,
                weight: weight.clone().into(),
                bias: bias.clone().filter(|b| b.iter().any(|&v| v != 0.0)),
            },
            MatrixOp::Norm { kind, eps, gamma, beta } => Op::Norm {
                kind: *kind,
                groups: 1,
                eps: *eps,
                gamma: gamma.clone().filter(|g| g.iter().any(|&v| v != 1.0)),
                beta: beta.clone().filter(|b| b.iter().any(|&v| v != 0.0)),
            },
            MatrixOp::Canonical(op) => {
                let operands = node.operands.iter().map(|&o| self.operand(o, self.matrices.nodes[o].features, name));
                let operands = operands.collect::<Result<Vec<_>, _>>()?;
                return Ok(self.graph.add(name, op.clone(), features, &operands));
            }
            MatrixOp::Softmax => Op::Softmax { groups: 1, hidden: None },
            MatrixOp::Unary(f) => Op::Unary(f.clone()),
            MatrixOp::Binary(op) => return self.binary(*op, node),
            MatrixOp::Reduce(reduction) => return self.reduce(*reduction, node),
            MatrixOp::Select(picks) => return Ok(self.select(picks, node)),
        };
        let operands: Vec<NodeId> = plain.into_iter().flatten().collect();
        Ok(self.graph.add(name, op, features, &operands))
    }

    fn binary(&mut self, op: Binary, node: &MatrixNode) -> ByRows<NodeId> {
        let (name, features) = (node.name.as_str(), node.features);
        let &[a, b] = &node.operands[..] else { return Err(NotByRows) };
        if op == Binary::Mul {
            for (x, c) in [(a, b), (b, a)] {
                if let Some(c) = self.matrices.scalar(c) {
                    let x = self.operand(x, features, name)?;
                    return Ok(self.graph.add(name, Op::Scale(c), features, &[x]));
                }
            }
        }
        let a = self.operand(a, features, name)?;
        let b = self.operand(b, features, name)?;
        let g = &mut self.graph;
        let mut above = |a, b| {
            let gap = g.add(name, Op::Sub, features, &[a, b]);
            g.add(name, Op::Unary(UnaryFn::Relu), features, &[gap])
        };
        let (op, operands) = match op {
            Binary::Add => (Op::Add, [a, b]),
            Binary::Sub => (Op::Sub, [a, b]),
            Binary::Mul | Binary::Gate => (Op::Mul, [a, b]),
            Binary::Div => (Op::Mul, [a, g.add(name, Op::Unary(UnaryFn::Recip), features, &[b])]),
            Binary::Max => (Op::Add, [b, above(a, b)]),
            Binary::Min => (Op::Sub, [a, above(a, b)]),
            Binary::Greater | Binary::GreaterEqual => {
                let gap = g.add(name, Op::Sub, features, &[a, b]);
                let steps = vec![Step::Argument, Step::Constant(0.0), Step::Binary(op, 0, 1)];
                let compare = Op::Unary(UnaryFn::Formula(Formula::new(steps)));
                return Ok(g.add(name, compare, features, &[gap]));
            }
            Binary::Equal | Binary::And | Binary::Or | Binary::Xor | Binary::Pow | Binary::Rem => {
                return Err(NotByRows);
            }
        };
        Ok(g.add(name, op, features, &operands))
    }

    fn reduce(&mut self, reduction: Reduction, node: &MatrixNode) -> ByRows<NodeId> {
        let (name, source) = (node.name.as_str(), node.operands[0]);
        let width = self.matrices.nodes[source].features;
        let x = self.operand(source, width, name)?;
        let (x, weight) = match reduction {
            Reduction::Sum => (x, 1.0),
            Reduction::MeanOfSquares => {
                (self.graph.add(name, Op::Unary(UnaryFn::Square), width, &[x]), (width as f32).recip())
            }
            Reduction::Max | Reduction::Min => {
                return Err(NotByRows); // Only inside a softmax.
            }
        };
        Ok(self.graph.add(name, Op::Linear { positions: 1, weight: vec![weight; width].into(), bias: None }, 1, &[x]))
    }

    /// Slices for the runs of neighbouring features, joined by a concatenation.
    fn select(&mut self, picks: &[Pick], node: &MatrixNode) -> NodeId {
        let name = node.name.as_str();
        let mut parts = Vec::new();
        let mut start = 0;
        while start < picks.len() {
            let first = picks[start];
            let continues = |i: usize| {
                picks.get(start + i).is_some_and(|p| {
                    p.operand == first.operand && p.negated == first.negated && p.feature == first.feature + i
                })
            };
            let len = (1..).find(|&i| !continues(i)).unwrap_or(1);
            let operand = node.operands[first.operand];
            let mut part = self.nodes[&operand];
            if len != self.matrices.nodes[operand].features {
                part = self.graph.add(name, Op::Slice { start: first.feature, len }, len, &[part]);
            }
            if first.negated {
                part = self.graph.add(name, Op::Scale(-1.0), len, &[part]);
            }
            parts.push(part);
            start += len;
        }
        match parts[..] {
            [only] => only,
            _ => self.graph.add(name, Op::Concat, picks.len(), &parts),
        }
    }
}
