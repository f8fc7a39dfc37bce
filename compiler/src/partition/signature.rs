//! Structural identity: what two layers must have in common to share a shape.

use super::segment::{Ref, Segment};
use nanozk_ir::float::{Graph, Node, Op};
use std::fmt::Write;

/// A text that is equal for segments of one structure: ops, attributes, widths and wiring, but no weights.
pub(super) fn signature(graph: &Graph, segment: &Segment) -> String {
    let mut s = String::new();
    for &i in &segment.inputs {
        let node = &graph.dag[i];
        let _ = write!(s, "in {} {} {};", input(&node.op), node.features, node.exact);
    }
    for (&id, operands) in segment.nodes.iter().zip(&segment.operands) {
        let node = &graph.dag[id];
        let _ = write!(s, "{} {}", attributes(node), node.features);
        for o in operands {
            let _ = match o {
                Ref::Node(i) => write!(s, " n{i}"),
                Ref::Port(i) => write!(s, " p{i}"),
            };
        }
        s.push(';');
    }
    for &o in &segment.outputs {
        let _ = write!(s, "out {:?};", segment.position(o));
    }
    s
}

fn input(op: &Op) -> String {
    match op {
        Op::Input(kind) => format!("{kind:?}"),
        _ => "activation".into(),
    }
}

/// Everything of a node that becomes structure; functions, factors and data of real numbers are per-layer.
fn attributes(node: &Node) -> String {
    let name = node.op.name();
    let own = match &node.op {
        Op::Input(kind) => format!("{kind:?}"),
        Op::Embed { table } => format!("{}", table.len()),
        Op::Const { rows, data } if node.exact => format!("{rows} {:x}", hash(data.iter().map(|v| v.to_bits()))),
        Op::Const { rows, .. } => format!("{rows}"),
        Op::Linear { positions, .. } => format!("{positions}"),
        Op::Norm { groups, .. } => format!("{groups}"),
        Op::Attention { heads, kv_heads, head_dim, causal, key_mask, bias, .. } => {
            format!("{heads} {kv_heads} {head_dim} {causal} {key_mask} {bias}")
        }
        Op::Rope { heads, cos, sin } => {
            format!("{heads} {:x}", hash(cos.iter().chain(sin).map(|v| v.to_bits())))
        }
        Op::Scale(factor) if node.exact => format!("{factor}"),
        Op::Slice { start, len } => format!("{start} {len}"),
        Op::Softmax { groups, hidden } => format!("{groups} {hidden:?}"),
        Op::Pick { picks } => format!("{:x}", hash(picks.iter())),
        Op::MatMul { batch, rows, inner, cols } => format!("{batch} {rows} {inner} {cols}"),
        Op::Sum { sizes } => format!("{:x}", hash(sizes.iter())),
        Op::Max { groups } | Op::ArgMax { groups } => format!("{groups}"),
        Op::FloorDiv { divisor } => format!("{divisor}"),
        Op::Bits { count } => format!("{count}"),
        Op::Within { least, most } => format!("{least} {most}"),
        Op::TokenSum { of } => format!("{of:?}"),
        Op::Unary(_)
        | Op::Add
        | Op::Sub
        | Op::Mul
        | Op::Scale(_)
        | Op::Concat
        | Op::Step
        | Op::Quotient
        | Op::TokenMean
        | Op::Output => String::new(),
    };
    format!("{name} {own} {}", if node.exact { "exact" } else { "" })
}

fn hash<T: std::hash::Hash>(values: impl Iterator<Item = T>) -> u64 {
    use std::hash::Hasher;
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    values.for_each(|v| v.hash(&mut hasher));
    hasher.finish()
}
