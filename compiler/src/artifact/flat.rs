//! A float graph as it stands in a file.

use nanozk_ir::float::{self, Graph, InputKind, NodeId, Op};
use serde::{Deserialize, Serialize};

/// Most values of one activation that a file may ask for.
const MAX_VALUES: usize = 1 << 30;

/// A float graph as plain lists: unlike petgraph's own form, reading it allocates no more than the file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct FlatGraph {
    nodes: Vec<float::Node>,
    /// `(source, target, operand index)`.
    edges: Vec<(u32, u32, u32)>,
    tokens: u32,
    inputs: Vec<u32>,
    outputs: Vec<u32>,
}

impl FlatGraph {
    pub(super) fn new(graph: &Graph) -> Self {
        let ids = |v: &[NodeId]| v.iter().map(|n| n.index() as u32).collect();
        FlatGraph {
            nodes: graph.dag.node_weights().cloned().collect(),
            edges: graph
                .dag
                .raw_edges()
                .iter()
                .map(|e| (e.source().index() as u32, e.target().index() as u32, e.weight as u32))
                .collect(),
            tokens: graph.tokens as u32,
            inputs: ids(&graph.inputs),
            outputs: ids(&graph.outputs),
        }
    }

    /// The graph, checked so that evaluation can index without care.
    pub(super) fn graph(&self) -> Result<Graph, String> {
        let node = |id: u32| {
            let known = (id as usize) < self.nodes.len();
            if known {
                Ok(NodeId::new(id as usize))
            } else {
                Err("an edge names a node that does not exist".to_string())
            }
        };
        let ids = |v: &[u32]| v.iter().map(|&n| node(n)).collect::<Result<Vec<_>, _>>();
        let mut graph = Graph { tokens: self.tokens as usize, ..Default::default() };
        for weight in &self.nodes {
            graph.dag.add_node(weight.clone());
        }
        for &(source, target, operand) in &self.edges {
            graph.dag.add_edge(node(source)?, node(target)?, operand as usize);
        }
        if graph.topo().len() != self.nodes.len() {
            return Err("the float graph has a cycle".into());
        }
        graph.inputs = ids(&self.inputs)?;
        graph.outputs = ids(&self.outputs)?;
        check(&graph)?;
        Ok(graph)
    }
}

fn check(graph: &Graph) -> Result<(), String> {
    if graph.tokens == 0 || graph.outputs.is_empty() {
        return Err("the float graph has no tokens or no outputs".into());
    }
    for id in graph.dag.node_indices() {
        if !node_fits(graph, id) {
            return Err(format!("node {} of the float graph is inconsistent", graph.dag[id].name));
        }
    }
    Ok(())
}

/// Whether operands, data and result of a node have the sizes that its op asks for.
fn node_fits(graph: &Graph, id: NodeId) -> bool {
    let (node, operands) = (&graph.dag[id], graph.operands(id));
    let (tokens, n) = (graph.tokens, node.features);
    let widths: Vec<usize> = operands.iter().map(|&o| graph.dag[o].features).collect();
    let indices = graph.dag.edges_directed(id, petgraph::Direction::Incoming).map(|e| *e.weight());
    let mut indices: Vec<usize> = indices.collect();
    indices.sort_unstable();
    let same = |count: usize| widths.len() == count && widths.iter().all(|&w| w == n);
    let len = |data: &Option<Vec<f32>>| data.as_ref().is_none_or(|d| d.len() == n);
    let product = |a: usize, b: usize| a.checked_mul(b);
    let is = |i: usize, wanted: fn(&InputKind) -> bool| {
        operands.get(i).is_some_and(|&o| matches!(&graph.dag[o].op, Op::Input(kind) if wanted(kind)))
    };
    let fits = match &node.op {
        Op::Input(kind) => {
            operands.is_empty() && graph.inputs.contains(&id) && (matches!(kind, InputKind::Float) || n == 1)
        }
        Op::Embed { table } => {
            let Some(&source) = operands.first() else { return false };
            let Op::Input(InputKind::Tokens { vocab }) = graph.dag[source].op else { return false };
            operands.len() == 1 && product(vocab, n) == Some(table.len())
        }
        Op::Const { rows, data } => {
            operands.is_empty() && (*rows == 1 || *rows == tokens) && product(*rows, n) == Some(data.len())
        }
        Op::Linear { weight, bias } => {
            widths.len() == 1 && widths[0] > 0 && product(widths[0], n) == Some(weight.len()) && len(bias)
        }
        Op::Norm { gamma, beta, .. } => same(1) && len(gamma) && len(beta),
        Op::Attention { heads, kv_heads, head_dim, key_mask, .. } => {
            let kv = product(*kv_heads, *head_dim);
            *head_dim > 0
                && *kv_heads > 0
                && heads % kv_heads == 0
                && product(*heads, *head_dim) == Some(n)
                && widths.len() == 3 + usize::from(*key_mask)
                && widths[0] == n
                && Some(widths[1]) == kv
                && Some(widths[2]) == kv
                && (!key_mask || is(3, |kind| matches!(kind, InputKind::Mask)))
        }
        Op::Rope { heads, cos, sin } => {
            let even = *heads > 0 && n.is_multiple_of(*heads) && (n / heads).is_multiple_of(2);
            let size = if even { product(tokens, n / heads) } else { None };
            same(1) && size == Some(cos.len()) && size == Some(sin.len())
        }
        Op::Unary(_) | Op::Scale(_) | Op::Softmax | Op::Output => same(1),
        Op::Add | Op::Sub | Op::Mul => same(2),
        Op::Slice { start, len } => {
            *len == n && widths.len() == 1 && start.checked_add(*len).is_some_and(|end| end <= widths[0])
        }
        Op::Concat => !widths.is_empty() && widths.iter().sum::<usize>() == n,
    };
    n > 0
        && product(tokens, n).is_some_and(|size| size <= MAX_VALUES)
        && indices.iter().copied().eq(0..operands.len())
        && fits
}
