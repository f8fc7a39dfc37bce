use super::{Small, attend, near, numbers, random};
use crate::frontend::rewrite::node;
use tract_onnx::{pb::tensor_proto::DataType, prelude::*};

const HIDDEN: f32 = f32::NEG_INFINITY;

/// Attention of two heads of three over rows of one batch, as a node with these further inputs and attributes.
fn flat(rows: i64, keys: i64, more: &[&str], attributes: &[tract_onnx::pb::AttributeProto]) -> Small {
    let inputs: Vec<&str> = ["q", "k", "v"].iter().chain(more).copied().collect();
    let mut attributes = attributes.to_vec();
    attributes.extend([node::int("q_num_heads", 2), node::int("kv_num_heads", 2)]);
    Small::new(23)
        .input("q", &[1, rows, 6])
        .input("k", &[1, keys, 6])
        .input("v", &[1, keys, 6])
        .node("Attention", &inputs, &["y"], &attributes)
        .output("y")
}

fn inputs(rows: usize, keys: usize) -> [Tensor; 3] {
    [random(&[1, rows, 6], 1), random(&[1, keys, 6], 2), random(&[1, keys, 6], 3)]
}

/// What it gives, with `bias` added to the scores.
fn expected(rows: usize, keys: usize, scale: f32, bias: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let [q, k, v] = [numbers(rows * 6, 1), numbers(keys * 6, 2), numbers(keys * 6, 3)];
    attend([&q, &k, &v], 2, 3, scale, bias)
}

#[test]
fn scores_are_scaled_by_the_size_of_a_head_or_as_the_node_says() {
    let root = (3f32).sqrt().recip();
    near(&flat(4, 5, &[], &[]).run(&inputs(4, 5))[0], &[1, 4, 6], &expected(4, 5, root, |_, _| 0.0));
    let scaled = flat(4, 5, &[], &[node::float("scale", 0.25)]);
    near(&scaled.run(&inputs(4, 5))[0], &[1, 4, 6], &expected(4, 5, 0.25, |_, _| 0.0));
}

#[test]
fn masks_hide_or_weigh_keys() {
    let root = (3f32).sqrt().recip();
    let causal = |i: usize, j: usize| if j <= i { 0.0 } else { HIDDEN };
    let small = flat(4, 4, &[], &[node::int("is_causal", 1)]);
    near(&small.run(&inputs(4, 4))[0], &[1, 4, 6], &expected(4, 4, root, causal));
    let near_by = |i: usize, j: usize| if j <= i + 1 && i <= j + 2 { 0.0 } else { HIDDEN };
    let small = flat(5, 5, &[], &[node::int("left_window_size", 2), node::int("right_window_size", 1)]);
    near(&small.run(&inputs(5, 5))[0], &[1, 5, 6], &expected(5, 5, root, near_by));
    // Added numbers, and truth values of which the last key has none.
    let added = flat(2, 3, &["m"], &[]).constant("m", tensor2(&[[0f32, 1.0, -1.0], [0.5, 0.0, 2.0]]));
    let bias = |i: usize, j: usize| [[0f32, 1.0, -1.0], [0.5, 0.0, 2.0]][i][j];
    near(&added.run(&inputs(2, 3))[0], &[1, 2, 6], &expected(2, 3, root, bias));
    let seen = flat(2, 3, &["m"], &[]).typed_input("m", DataType::Bool as i32, &[2, 2]);
    let mut values = inputs(2, 3).to_vec();
    values.push(tensor2(&[[true, false], [true, true]]));
    let bias = |i: usize, j: usize| if j == 0 || (i, j) == (1, 1) { 0.0 } else { HIDDEN };
    near(&seen.run(&values)[0], &[1, 2, 6], &expected(2, 3, root, bias));
}

#[test]
fn scores_may_be_capped() {
    let small = flat(2, 3, &[], &[node::float("softcap", 0.5), node::float("scale", 2.0)]);
    let [q, k, v] = [numbers(12, 1), numbers(18, 2), numbers(18, 3)];
    // The cap as a bias: what it takes from each score.
    let mut want = Vec::new();
    for h in 0..2 {
        let part = |x: &[f32]| x.chunks_exact(3).skip(h).step_by(2).flatten().copied().collect::<Vec<f32>>();
        let (q, k, v) = (part(&q), part(&k), part(&v));
        let score = |i: usize, j: usize| (0..3).map(|d| q[i * 3 + d] * k[j * 3 + d]).sum::<f32>() * 2.0;
        let bias = |i: usize, j: usize| (score(i, j) / 0.5).tanh() * 0.5 - score(i, j);
        want.push(attend([&q, &k, &v], 1, 3, 2.0, bias));
    }
    let rows = |i: usize| want[0][i * 3..i * 3 + 3].iter().chain(&want[1][i * 3..i * 3 + 3]).copied();
    near(&small.run(&inputs(2, 3))[0], &[1, 2, 6], &rows(0).chain(rows(1)).collect::<Vec<_>>());
}

#[test]
fn heads_share_keys_behind_earlier_ones() {
    // [batch, heads, rows, size]: four heads of queries, two of keys, two earlier keys.
    let small = Small::new(23)
        .input("q", &[1, 4, 2, 3])
        .input("k", &[1, 2, 2, 3])
        .input("v", &[1, 2, 2, 3])
        .input("pk", &[1, 2, 2, 3])
        .input("pv", &[1, 2, 2, 3])
        .node("Attention", &["q", "k", "v", "", "pk", "pv"], &["y", "ok", "ov"], &[node::int("is_causal", 1)])
        .output("y")
        .output("ok");
    let values = [random(&[1, 4, 2, 3], 1), random(&[1, 2, 2, 3], 2), random(&[1, 2, 2, 3], 3)];
    let past = [random(&[1, 2, 2, 3], 4), random(&[1, 2, 2, 3], 5)];
    let got = small.run(&[&values[..], &past[..]].concat());
    let (q, k, v) = (numbers(24, 1), numbers(12, 2), numbers(12, 3));
    let (pk, pv) = (numbers(12, 4), numbers(12, 5));
    let head = |past: &[f32], new: &[f32], h: usize| [&past[h * 6..h * 6 + 6], &new[h * 6..h * 6 + 6]].concat();
    let bias = |i: usize, j: usize| if j <= i + 2 { 0.0 } else { HIDDEN };
    let own = |h: usize| {
        let (k, v) = (head(&pk, &k, h / 2), head(&pv, &v, h / 2));
        attend([&q[h * 6..h * 6 + 6], &k, &v], 1, 3, (3f32).sqrt().recip(), bias)
    };
    near(&got[0], &[1, 4, 2, 3], &(0..4).flat_map(own).collect::<Vec<_>>());
    near(&got[1], &[1, 2, 4, 3], &[head(&pk, &k, 0), head(&pk, &k, 1)].concat());
}

#[test]
fn heads_that_cannot_be_shared_are_refused() {
    let mut small = flat(2, 2, &[], &[]);
    small.graph.node[0].attribute[1].i = 4;
    small.graph.node[0].attribute[0].i = 6;
    assert!(small.refusal().contains("6 heads of queries cannot share 4"), "{}", small.refusal());
}
