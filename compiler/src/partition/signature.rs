//! Structural identity: what two layers must have in common to share a shape.

use super::{Ref, Segment};
use nanozk_ir::float::{Graph, InputKind, Op};
use std::fmt::Write;

/// A text that is equal for segments of one structure: ops, attributes, widths and wiring, but no weights.
pub(super) fn signature(graph: &Graph, segment: &Segment) -> String {
    let mut s = String::new();
    for &i in &segment.inputs {
        let _ = write!(s, "in {} {};", input(&graph.dag[i].op), graph.dag[i].features);
    }
    for (&id, operands) in segment.nodes.iter().zip(&segment.operands) {
        let node = &graph.dag[id];
        let _ = write!(s, "{} {}", attributes(&node.op), node.features);
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

/// Everything of an op that becomes structure; functions, factors and data are per-layer.
fn attributes(op: &Op) -> String {
    let name = op.name();
    match op {
        Op::Input(InputKind::Tokens { vocab }) => format!("{name} {vocab}"),
        Op::Embed { table } => format!("{name} {}", table.len()),
        Op::Const { rows, .. } => format!("{name} {rows}"),
        Op::Attention { heads, kv_heads, head_dim, causal, key_mask, .. } => {
            format!("{name} {heads} {kv_heads} {head_dim} {causal} {key_mask}")
        }
        Op::Rope { heads, cos, sin } => {
            let mut hash = std::collections::hash_map::DefaultHasher::new();
            std::hash::Hash::hash(&cos.iter().chain(sin).map(|v| v.to_bits()).collect::<Vec<_>>(), &mut hash);
            format!("{name} {heads} {:x}", std::hash::Hasher::finish(&hash))
        }
        Op::Slice { start, len } => format!("{name} {start} {len}"),
        _ => name.into(),
    }
}
