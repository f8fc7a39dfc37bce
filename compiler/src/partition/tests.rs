//! Partitions of hand-built graphs.

use super::*;
use nanozk_ir::float::{NormKind, UnaryFn};

const D: usize = 4;

fn linear(g: &mut Graph, name: &str, x: NodeId) -> NodeId {
    g.add(name, Op::Linear { positions: 1, weight: vec![0.1; D * D].into(), bias: None }, D, &[x])
}

fn norm(g: &mut Graph, x: NodeId) -> NodeId {
    g.add("norm", Op::Norm { kind: NormKind::Layer, groups: 1, eps: 1e-5, gamma: None, beta: None }, D, &[x])
}

/// One pre-norm transformer layer; `swap` adds the projections in another order.
fn block(g: &mut Graph, x: NodeId, swap: bool) -> NodeId {
    let n = norm(g, x);
    let mut p = [n; 3];
    for i in if swap { [2, 0, 1] } else { [0, 1, 2] } {
        p[i] = linear(g, "proj", n);
    }
    let op =
        Op::Attention { heads: 2, kv_heads: 2, head_dim: 2, scale: 0.7, causal: true, key_mask: false, bias: false };
    let a = g.add("attn", op, D, &p);
    let o = linear(g, "o", a);
    let x = g.add("add1", Op::Add, D, &[x, o]);
    let n = norm(g, x);
    let h = linear(g, "fc1", n);
    let h = g.add("gelu", Op::Unary(UnaryFn::GeluTanh), D, &[h]);
    let h = linear(g, "fc2", h);
    g.add("add2", Op::Add, D, &[x, h])
}

fn gpt(blocks: usize) -> Graph {
    let mut g = Graph { tokens: 3, ..Graph::default() };
    let t = g.add("tokens", Op::Input(InputKind::Tokens { vocab: 5 }), 1, &[]);
    let e = g.add("embed", Op::Embed { table: vec![0.0; 5 * D].into() }, D, &[t]);
    let p = g.add("positions", Op::Const { rows: 3, data: vec![0.0; 3 * D] }, D, &[]);
    let mut x = g.add("add", Op::Add, D, &[e, p]);
    for i in 0..blocks {
        x = block(&mut g, x, i % 2 == 1);
    }
    let n = norm(&mut g, x);
    let h = linear(&mut g, "head", n);
    let out = g.add("logits", Op::Output, D, &[h]);
    g.inputs = vec![t];
    g.outputs = vec![out];
    g
}

#[test]
fn equal_blocks_become_equal_layers() {
    let g = gpt(4);
    let p = partition(&g, 1 << 20);
    assert_eq!(p.segments.len(), 6);
    assert_eq!(p.classes, [0, 1, 1, 1, 1, 2]);
    let sizes: Vec<usize> = p.segments.iter().map(|s| s.nodes.len()).collect();
    assert_eq!(sizes, [3, 12, 12, 12, 12, 3]);
    for pair in p.segments[1..5].windows(2) {
        assert_eq!(pair[0].outputs, pair[1].inputs);
    }
}

/// One post-norm transformer layer.
fn post_norm_block(g: &mut Graph, x: NodeId) -> NodeId {
    let p = [(); 3].map(|()| linear(g, "proj", x));
    let op =
        Op::Attention { heads: 2, kv_heads: 2, head_dim: 2, scale: 0.7, causal: false, key_mask: false, bias: false };
    let a = g.add("attn", op, D, &p);
    let x = g.add("add1", Op::Add, D, &[x, a]);
    let x = norm(g, x);
    let h = linear(g, "fc1", x);
    let h = g.add("gelu", Op::Unary(UnaryFn::GeluErf), D, &[h]);
    let h = linear(g, "fc2", h);
    let x = g.add("add2", Op::Add, D, &[x, h]);
    norm(g, x)
}

#[test]
fn post_norm_layers_are_equal_up_to_the_last() {
    let mut g = Graph { tokens: 3, ..Graph::default() };
    let t = g.add("tokens", Op::Input(InputKind::Tokens { vocab: 5 }), 1, &[]);
    let mut x = g.add("embed", Op::Embed { table: vec![0.0; 5 * D].into() }, D, &[t]);
    x = norm(&mut g, x);
    for _ in 0..2 {
        x = post_norm_block(&mut g, x);
    }
    let h = linear(&mut g, "head", x);
    let out = g.add("logits", Op::Output, D, &[h]);
    g.inputs = vec![t];
    g.outputs = vec![out];
    let p = partition(&g, 1 << 20);
    assert_eq!(p.classes, [0, 1, 1, 2]);
    assert_eq!(g.dag[p.segments[1].outputs[0]].name, "add2");
}

/// A layer of another kind: no attention, a gated MLP.
fn other_block(g: &mut Graph, x: NodeId) -> NodeId {
    let n = norm(g, x);
    let (a, b) = (linear(g, "gate", n), linear(g, "up", n));
    let h = g.add("gated", Op::Mul, D, &[a, b]);
    g.add("add3", Op::Add, D, &[x, h])
}

/// Blocks of two kinds in the order of `kinds`.
fn mixed(kinds: &str) -> Graph {
    let mut g = Graph { tokens: 3, ..Graph::default() };
    let t = g.add("x", Op::Input(InputKind::Float), D, &[]);
    let mut x = linear(&mut g, "in", t);
    for kind in kinds.chars() {
        x = if kind == 'o' { other_block(&mut g, x) } else { block(&mut g, x, false) };
    }
    let h = linear(&mut g, "head", x);
    g.inputs = vec![t];
    g.outputs = vec![g.add("y", Op::Output, D, &[h])];
    g
}

#[test]
fn equal_blocks_share_a_structure_wherever_they_stand() {
    let classes = |kinds: &str| partition(&mixed(kinds), 1 << 20).classes;
    // Two neighbours make a run, the third stands apart.
    assert_eq!(classes("bbob"), [0, 1, 1, 2, 1, 3]);
    // No two are neighbours.
    assert_eq!(classes("bob"), [0, 1, 2, 1, 3]);
    let nodes = |kinds: &str| partition(&mixed(kinds), 1 << 20).segments.iter().map(|s| s.nodes.len()).sum::<usize>();
    assert_eq!(nodes("bbob"), mixed("bbob").dag.node_count() - 1);
}

#[test]
fn a_single_block_is_one_layer() {
    assert_eq!(partition(&gpt(1), 1 << 20).segments.len(), 1);
    assert!(partition(&gpt(1), 100).segments.len() > 1);
}

/// A chain of linear maps of these widths, each with a function behind it.
fn chain_of(widths: &[usize]) -> Graph {
    let mut g = Graph { tokens: 1, ..Graph::default() };
    let mut from = D;
    let t = g.add("x", Op::Input(InputKind::Float), from, &[]);
    let mut x = t;
    for &to in widths {
        x = g.add("fc", Op::Linear { positions: 1, weight: vec![0.1; from * to].into(), bias: None }, to, &[x]);
        x = g.add("relu", Op::Unary(UnaryFn::Relu), to, &[x]);
        from = to;
    }
    let out = g.add("y", Op::Output, from, &[x]);
    g.inputs = vec![t];
    g.outputs = vec![out];
    g
}

#[test]
fn a_chain_without_residuals_is_cut_only_when_large() {
    let g = chain_of(&[D; 6]);
    assert_eq!(partition(&g, 1 << 20).segments.len(), 1);
    let p = partition(&g, 10);
    assert_eq!(p.classes, [0, 1, 1, 1, 1, 2], "equal pieces are equal layers");
    let covered: usize = p.segments.iter().map(|s| s.nodes.len()).sum();
    assert_eq!(covered, 13);
}

#[test]
fn a_cut_leaves_a_function_with_the_sums_it_reads() {
    let g = chain_of(&[9, 8, 7, 6]);
    for limit in 0..100 {
        for segment in &partition(&g, limit).segments {
            let ends = |n: &NodeId| matches!(g.dag[*n].op, Op::Unary(_) | Op::Output);
            assert!(segment.outputs.iter().all(ends), "limit {limit}");
        }
    }
}

#[test]
fn layers_become_smaller_until_they_are_single_pieces() {
    let g = chain_of(&[9, 8, 7, 6]);
    let mut p = partition(&g, u64::MAX);
    let mut counts = vec![p.count()];
    while let Some(smaller) = p.smaller(&g) {
        p = smaller;
        counts.push(p.count());
    }
    assert_eq!(counts, [1, 3, 4], "at most one per linear map");
}

#[test]
fn what_stands_before_residual_blocks_is_cut_where_it_is_large() {
    let mut g = Graph { tokens: 3, ..Graph::default() };
    let t = g.add("x", Op::Input(InputKind::Float), D, &[]);
    let mut x = t;
    for _ in 0..4 {
        x = linear(&mut g, "stem", x);
        x = g.add("relu", Op::Unary(UnaryFn::Relu), D, &[x]);
    }
    for _ in 0..3 {
        x = block(&mut g, x, false);
    }
    let h = linear(&mut g, "head", x);
    g.inputs = vec![t];
    g.outputs = vec![g.add("y", Op::Output, D, &[h])];
    let blocks = |p: &Partition| {
        let attends = |s: &&Segment| s.nodes.iter().any(|&n| matches!(g.dag[n].op, Op::Attention { .. }));
        p.segments.iter().filter(attends).map(|s| s.nodes.len()).collect::<Vec<_>>()
    };
    let (whole, cut) = (partition(&g, 1 << 20), partition(&g, 50));
    assert!(cut.count() > whole.count());
    assert_eq!(blocks(&cut), blocks(&whole), "repeated blocks stay whole");
}

#[test]
fn runs_prefer_coverage_then_short_periods() {
    let s = |text: &str| text.chars().map(|c| c.to_string()).collect::<Vec<_>>();
    assert_eq!(longest_run(&s("adedededeh")), Some((1, 2, 4)));
    assert_eq!(longest_run(&s("addddh")), Some((1, 1, 4)));
    assert_eq!(longest_run(&s("abc")), None);
    assert_eq!(longest_run(&[]), None);
}
