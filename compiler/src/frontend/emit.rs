//! From the recognised intermediate graph to the canonical float graph.

use super::{
    error::Problem,
    mid::{BinOp, Fun, Mid, MidId, MidNode, MidOp, Pick, Red},
};
use nanozk_ir::float::{Graph, NodeId, NormKind, Op, UnaryFn};
use std::collections::HashMap;

/// Builds the canonical graph from what `outputs` need; every model input stays.
pub(super) fn emit(mid: &Mid, inputs: &[MidId], outputs: &[(MidId, String)]) -> (Graph, Vec<Problem>) {
    let mut roots: Vec<MidId> = outputs.iter().map(|(id, _)| *id).collect();
    roots.extend(inputs);
    let uses = mid.uses(&roots);
    let graph = Graph { tokens: mid.tokens, ..Graph::default() };
    let mut e = Emit { mid, graph, nodes: HashMap::new(), problems: Vec::new() };
    for id in (0..mid.nodes.len()).filter(|&id| uses[id] > 0) {
        let node = &mid.nodes[id];
        if matches!(node.op, MidOp::Const { .. }) {
            continue;
        }
        match e.node(node) {
            Ok(emitted) => {
                e.nodes.insert(id, emitted);
            }
            Err(Some(reason)) => e.problems.push(Problem {
                node: node.name.clone(),
                op: describe(&node.op),
                shapes: format!("[{}, {}]", mid.tokens, node.features),
                reason,
            }),
            Err(None) => (),
        }
    }
    e.graph.inputs = inputs.iter().filter_map(|id| e.nodes.get(id).copied()).collect();
    for (id, name) in outputs {
        if let Some(&source) = e.nodes.get(id) {
            let output = e.graph.add(name, Op::Output, mid.nodes[*id].features, &[source]);
            e.graph.outputs.push(output);
        }
    }
    (e.graph, e.problems)
}

fn describe(op: &MidOp) -> String {
    match op {
        MidOp::Fun(f) => format!("{f:?}"),
        MidOp::Bin(b) => format!("{b:?}"),
        MidOp::Reduce(r) => format!("Reduce{r:?}"),
        MidOp::Embed { .. } => "Gather".to_owned(),
        _ => "node".to_owned(),
    }
}

/// Why a node has no canonical form; `None` when the fault lies in one of its operands.
type Missing = Option<String>;

struct Emit<'a> {
    mid: &'a Mid,
    graph: Graph,
    nodes: HashMap<MidId, NodeId>,
    problems: Vec<Problem>,
}

impl Emit<'_> {
    /// Operand `id` with `features` columns: constants become nodes, single columns are spread.
    fn operand(&mut self, id: MidId, features: usize, name: &str) -> Result<NodeId, Missing> {
        let node = &self.mid.nodes[id];
        if let MidOp::Const { rows, data } = &node.op {
            let spread = features / node.features;
            let data = data.iter().flat_map(|&v| std::iter::repeat_n(v, spread)).collect();
            return Ok(self.graph.add(&node.name, Op::Const { rows: *rows, data }, features, &[]));
        }
        let source = self.nodes.get(&id).copied().ok_or(None)?;
        if node.features == features {
            return Ok(source);
        }
        Ok(self.graph.add(name, Op::Linear { weight: vec![1.0; features], bias: None }, features, &[source]))
    }

    fn node(&mut self, node: &MidNode) -> Result<NodeId, Missing> {
        let (name, features) = (node.name.as_str(), node.features);
        let plain: Vec<Option<NodeId>> = node.operands.iter().map(|o| self.nodes.get(o).copied()).collect();
        let constant = |o: &MidId| matches!(self.mid.nodes[*o].op, MidOp::Const { .. });
        if node.operands.iter().zip(&plain).any(|(o, p)| p.is_none() && !constant(o)) {
            return Err(None);
        }
        let op = match &node.op {
            MidOp::Input(kind) => Op::Input(kind.clone()),
            MidOp::Const { .. } => return Err(None),
            MidOp::Embed { table } => Op::Embed { table: table.to_vec() },
            MidOp::Linear { weight, bias } => {
                Op::Linear { weight: weight.to_vec(), bias: bias.clone().filter(|b| b.iter().any(|&v| v != 0.0)) }
            }
            MidOp::Norm { kind, eps, gamma, beta } => Op::Norm {
                kind: *kind,
                eps: *eps,
                gamma: gamma.clone().filter(|g| g.iter().any(|&v| v != 1.0)),
                beta: beta.clone().filter(|b| b.iter().any(|&v| v != 0.0)),
            },
            MidOp::Canonical(op) => op.clone(),
            MidOp::Softmax => Op::Softmax,
            MidOp::Fun(fun) => match fun {
                Fun::Known(f) => Op::Unary(*f),
                Fun::Pow(e) if *e == 2.0 => Op::Unary(UnaryFn::Square),
                Fun::Pow(e) if *e == 0.5 => Op::Unary(UnaryFn::Sqrt),
                Fun::Neg => Op::Scale(-1.0),
                _ => return Err(Some("this elementwise function is not supported".to_owned())),
            },
            MidOp::Bin(op) => return self.binary(*op, node),
            MidOp::Reduce(red) => return self.reduce(*red, node),
            MidOp::Select(picks) => return Ok(self.select(picks, node)),
        };
        let operands: Vec<NodeId> = plain.into_iter().flatten().collect();
        Ok(self.graph.add(name, op, features, &operands))
    }

    fn binary(&mut self, op: BinOp, node: &MidNode) -> Result<NodeId, Missing> {
        let (name, features) = (node.name.as_str(), node.features);
        let &[a, b] = &node.operands[..] else { return Err(None) };
        if op == BinOp::Mul {
            for (x, c) in [(a, b), (b, a)] {
                if let Some(c) = self.mid.scalar(c) {
                    let x = self.operand(x, features, name)?;
                    return Ok(self.graph.add(name, Op::Scale(c), features, &[x]));
                }
            }
        }
        match op {
            BinOp::Div => return Err(Some("the division of two activations is not supported".to_owned())),
            BinOp::Greater | BinOp::GreaterEqual => {
                return Err(Some("a comparison is supported only inside a known elementwise function".to_owned()));
            }
            _ => (),
        }
        let a = self.operand(a, features, name)?;
        let b = self.operand(b, features, name)?;
        let g = &mut self.graph;
        Ok(match op {
            BinOp::Add => g.add(name, Op::Add, features, &[a, b]),
            BinOp::Sub => g.add(name, Op::Sub, features, &[a, b]),
            BinOp::Mul => g.add(name, Op::Mul, features, &[a, b]),
            BinOp::Max => {
                let gap = g.add(name, Op::Sub, features, &[a, b]);
                let above = g.add(name, Op::Unary(UnaryFn::Relu), features, &[gap]);
                g.add(name, Op::Add, features, &[b, above])
            }
            _ => {
                let gap = g.add(name, Op::Sub, features, &[a, b]);
                let above = g.add(name, Op::Unary(UnaryFn::Relu), features, &[gap]);
                g.add(name, Op::Sub, features, &[a, above])
            }
        })
    }

    fn reduce(&mut self, red: Red, node: &MidNode) -> Result<NodeId, Missing> {
        let (name, source) = (node.name.as_str(), node.operands[0]);
        let width = self.mid.nodes[source].features;
        let x = self.operand(source, width, name)?;
        let (x, weight) = match red {
            Red::Sum => (x, 1.0),
            Red::MeanOfSquares => {
                (self.graph.add(name, Op::Unary(UnaryFn::Square), width, &[x]), (width as f32).recip())
            }
            Red::Max | Red::Min => {
                return Err(Some("a maximum over features is supported only inside a softmax".to_owned()));
            }
        };
        Ok(self.graph.add(name, Op::Linear { weight: vec![weight; width], bias: None }, 1, &[x]))
    }

    /// Slices for the runs of neighbouring features, joined by a concatenation.
    fn select(&mut self, picks: &[Pick], node: &MidNode) -> NodeId {
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
            if len != self.mid.nodes[operand].features {
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

/// First value of a parameter that is not finite: node, index, value.
pub(super) fn non_finite(graph: &Graph) -> Option<(String, usize, f32)> {
    let find = |data: &[f32]| data.iter().position(|v| !v.is_finite()).map(|i| (i, data[i]));
    graph.topo().into_iter().find_map(|id| {
        let node = &graph.dag[id];
        let found = match &node.op {
            Op::Embed { table } => find(table),
            Op::Const { data, .. } => find(data),
            Op::Linear { weight, bias } => find(weight).or_else(|| find(bias.as_deref().unwrap_or_default())),
            Op::Norm { gamma, beta, kind: NormKind::Layer | NormKind::Rms, .. } => {
                find(gamma.as_deref().unwrap_or_default()).or_else(|| find(beta.as_deref().unwrap_or_default()))
            }
            Op::Rope { cos, sin, .. } => find(cos).or_else(|| find(sin)),
            Op::Scale(c) => find(&[*c]),
            _ => None,
        };
        found.map(|(i, v)| (node.name.clone(), i, v))
    })
}
