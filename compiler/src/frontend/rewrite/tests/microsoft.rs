use super::{Small, attend, layer_norm, near, numbers, product, random};
use crate::frontend::rewrite::{node, tensor};
use tract_onnx::{pb::tensor_proto::DataType, prelude::*};

fn ints(shape: &[usize], values: &[i32]) -> Tensor {
    tensor1(values).into_shape(shape).unwrap()
}

/// x W + b as three matrices [rows, 4], for x [rows, 4].
fn projections(x: &[f32], w: &[f32], b: &[f32]) -> [Vec<f32>; 3] {
    let all = product(x, w, 4, 12);
    let part = |p: usize| {
        let row = |r: &[f32]| (0..4).map(|d| r[p * 4 + d] + b[p * 4 + d]).collect::<Vec<_>>();
        all.chunks_exact(12).flat_map(row).collect::<Vec<_>>()
    };
    [part(0), part(1), part(2)]
}

#[test]
fn merged_products_turn_and_scale_their_factors() {
    let small = Small::new(17)
        .input("a", &[2, 3, 2])
        .input("b", &[2, 4, 3])
        .node(
            "com.microsoft:FusedMatMul",
            &["a", "b"],
            &["y"],
            &[node::int("transA", 1), node::int("transB", 1), node::float("alpha", 0.5)],
        )
        .output("y");
    let (a, b) = (numbers(12, 1), numbers(24, 2));
    let mut want = Vec::new();
    for n in 0..2 {
        for i in 0..2 {
            for j in 0..4 {
                want.push((0..3).map(|k| a[n * 6 + k * 2 + i] * b[n * 12 + j * 3 + k]).sum::<f32>() * 0.5);
            }
        }
    }
    near(&small.run(&[random(&[2, 3, 2], 1), random(&[2, 4, 3], 2)])[0], &[2, 2, 4], &want);
    let small = Small::new(17)
        .input("a", &[2, 3])
        .constant("b", random(&[3, 2], 2))
        .constant("c", tensor1(&[0.1f32, -0.2]))
        .node(
            "com.microsoft:FusedGemm",
            &["a", "b", "c"],
            &["y"],
            &[
                node::float("alpha", 2.0),
                super::node::text("activation", "LeakyRelu"),
                node::float("activation_alpha", 0.5),
            ],
        )
        .output("y");
    let sums = product(&numbers(6, 1), &numbers(6, 2), 3, 2);
    let leaky = |(i, s): (usize, f32)| {
        let v = 2.0 * s + [0.1, -0.2][i % 2];
        if v < 0.0 { 0.5 * v } else { v }
    };
    near(&small.run(&[random(&[2, 3], 1)])[0], &[2, 2], &sums.into_iter().enumerate().map(leaky).collect::<Vec<_>>());
}

#[test]
fn normalisations_of_sums_add_the_bias_and_give_the_sum() {
    let base = || {
        Small::new(17)
            .input("x", &[2, 4])
            .input("s", &[2, 4])
            .constant("g", tensor1(&[1f32, 2.0, 0.5, -1.0]))
            .constant("b", tensor1(&[0.5f32, 0.0, 1.0, 0.25]))
    };
    let (x, s) = (numbers(8, 1), numbers(8, 2));
    let (g, b) = ([1f32, 2.0, 0.5, -1.0], [0.5f32, 0.0, 1.0, 0.25]);
    let sum: Vec<f32> = (0..8).map(|i| x[i] + s[i] + b[i % 4]).collect();
    let small = base()
        .node("com.microsoft:SkipLayerNormalization", &["x", "s", "g", "", "b"], &["y", "", "", "z"], &[])
        .output("y")
        .output("z");
    let got = small.run(&[random(&[2, 4], 1), random(&[2, 4], 2)]);
    near(&got[0], &[2, 4], &layer_norm(&sum, &g, &[0.0; 4], 1e-5));
    near(&got[1], &[2, 4], &sum);
    let small = base()
        .node(
            "com.microsoft:SkipSimplifiedLayerNormalization",
            &["x", "s", "g", "b"],
            &["y"],
            &[node::float("epsilon", 0.1)],
        )
        .output("y");
    let rms = |r: &[f32]| (r.iter().map(|v| v * v).sum::<f32>() / 4.0 + 0.1).sqrt();
    let want: Vec<f32> =
        sum.chunks_exact(4).flat_map(|r| (0..4).map(|d| r[d] / rms(r) * g[d]).collect::<Vec<_>>()).collect();
    near(&small.run(&[random(&[2, 4], 1), random(&[2, 4], 2)])[0], &[2, 4], &want);
}

/// `Attention` of two heads of two, with products inside.
fn packed(more: &[&str], attributes: &[tract_onnx::pb::AttributeProto]) -> Small {
    let inputs: Vec<&str> = ["x", "w", "b"].iter().chain(more).copied().collect();
    let attributes = [attributes, &[node::int("num_heads", 2)]].concat();
    Small::new(17)
        .input("x", &[1, 3, 4])
        .constant("w", random(&[4, 12], 2))
        .constant("b", random(&[12], 3))
        .node("com.microsoft:Attention", &inputs, &["y"], &attributes)
        .output("y")
}

#[test]
fn attention_with_its_products_inside_reads_every_kind_of_mask() {
    let [q, k, v] = projections(&numbers(12, 1), &numbers(48, 2), &numbers(12, 3));
    let want = |bias: &dyn Fn(usize, usize) -> f32| attend([&q, &k, &v], 2, 2, (2f32).sqrt().recip(), bias);
    let run = |small: Small, mask: &[Tensor]| small.run(&[&[random(&[1, 3, 4], 1)][..], mask].concat()).remove(0);
    near(&run(packed(&[], &[]), &[]), &[1, 3, 4], &want(&|_, _| 0.0));
    let causal = |i: usize, j: usize| if j <= i { 0.0 } else { f32::NEG_INFINITY };
    near(&run(packed(&[], &[node::int("unidirectional", 1)]), &[]), &[1, 3, 4], &want(&causal));
    let int = DataType::Int32 as i32;
    let filter = [node::float("mask_filter_value", -2.0)];
    let two = |_: usize, j: usize| if j < 2 { 0.0 } else { -2.0 };
    let rows = packed(&["m"], &filter).typed_input("m", int, &[1, 3]);
    near(&run(rows, &[ints(&[1, 3], &[1, 1, 0])]), &[1, 3, 4], &want(&two));
    let count = packed(&["m"], &filter).typed_input("m", int, &[1]);
    near(&run(count, &[ints(&[1], &[2])]), &[1, 3, 4], &want(&two));
    let between = |_: usize, j: usize| if j == 1 { 0.0 } else { -2.0 };
    let ends = packed(&["m"], &filter).typed_input("m", int, &[2]);
    near(&run(ends, &[ints(&[2], &[2, 1])]), &[1, 3, 4], &want(&between));
    let pairs = packed(&["m"], &filter).typed_input("m", int, &[1, 3, 3]);
    let below = |i: usize, j: usize| if j <= i { 0.0 } else { -2.0 };
    near(&run(pairs, &[ints(&[1, 3, 3], &[1, 0, 0, 1, 1, 0, 1, 1, 1])]), &[1, 3, 4], &want(&below));
}

#[test]
fn attention_of_many_heads_takes_rows_and_packed_values() {
    let [q, k, v] = [numbers(12, 1), numbers(12, 2), numbers(12, 3)];
    let want = attend([&q, &k, &v], 2, 2, (2f32).sqrt().recip(), |_, _| 0.0);
    let rows = Small::new(17)
        .input("q", &[1, 3, 4])
        .input("k", &[1, 3, 4])
        .input("v", &[1, 3, 4])
        .node("com.microsoft:MultiHeadAttention", &["q", "k", "v"], &["y"], &[node::int("num_heads", 2)])
        .output("y");
    near(&rows.run(&[1, 2, 3].map(|s| random(&[1, 3, 4], s)))[0], &[1, 3, 4], &want);
    // [batch, rows, heads, 3, size].
    let together: Vec<f32> = (0..3)
        .flat_map(|r| (0..2).map(move |h| r * 4 + h * 2))
        .flat_map(|at| [&q, &k, &v].map(|x| x[at..at + 2].to_vec()).concat())
        .collect();
    let all = Small::new(17)
        .input("q", &[1, 3, 2, 3, 2])
        .node("com.microsoft:MultiHeadAttention", &["q"], &["y"], &[node::int("num_heads", 2)])
        .output("y");
    near(&all.run(&[tensor1(&together).into_shape(&[1, 3, 2, 3, 2]).unwrap()])[0], &[1, 3, 4], &want);
}

#[test]
fn attention_of_decoders_turns_new_tokens_behind_the_cache() {
    // Two heads of queries, one of keys, of size 2; one earlier token and one new one, at place 1.
    let (cos, sin) = ([1f32, 0.5, 0.25], [0f32, 0.75, -0.5]);
    let small = Small::new(17)
        .input("q", &[1, 1, 4])
        .input("k", &[1, 1, 2])
        .input("v", &[1, 1, 2])
        .input("pk", &[1, 1, 1, 2])
        .input("pv", &[1, 1, 1, 2])
        .constant("n", tensor1(&[1i32]))
        .constant("t", tensor0(2i32))
        .constant("cos", tensor1(&cos).into_shape(&[3, 1]).unwrap())
        .constant("sin", tensor1(&sin).into_shape(&[3, 1]).unwrap())
        .node(
            "com.microsoft:GroupQueryAttention",
            &["q", "k", "v", "pk", "pv", "n", "t", "cos", "sin"],
            &["y", "ok", "ov"],
            &[node::int("num_heads", 2), node::int("kv_num_heads", 1), node::int("do_rotary", 1)],
        )
        .output("y")
        .output("ok");
    let shapes: [&[usize]; 5] = [&[1, 1, 4], &[1, 1, 2], &[1, 1, 2], &[1, 1, 1, 2], &[1, 1, 1, 2]];
    let values: Vec<Tensor> = shapes.iter().zip(1..).map(|(s, seed)| random(s, seed)).collect();
    let got = small.run(&values);
    let turn = |x: &[f32]| [x[0] * cos[1] - x[1] * sin[1], x[0] * sin[1] + x[1] * cos[1]];
    let (q, k) = (numbers(4, 1), turn(&numbers(2, 2)));
    let keys = [&numbers(2, 4)[..], &k].concat();
    let all = [numbers(2, 5), numbers(2, 3)].concat();
    let head = |h: usize| attend([&turn(&q[2 * h..2 * h + 2]), &keys, &all], 1, 2, (2f32).sqrt().recip(), |_, _| 0.0);
    near(&got[0], &[1, 1, 4], &[head(0), head(1)].concat());
    near(&got[1], &[1, 1, 2, 2], &keys);
}

#[test]
fn embeddings_are_summed_and_tokens_counted() {
    let int = DataType::Int32 as i32;
    let small = Small::new(17)
        .typed_input("ids", int, &[1, 2])
        .typed_input("kinds", int, &[1, 2])
        .typed_input("mask", int, &[1, 2])
        .constant("w", random(&[5, 3], 1))
        .constant("p", random(&[4, 3], 2))
        .constant("s", random(&[2, 3], 3))
        .constant("g", tensor1(&[1f32, 2.0, 3.0]))
        .constant("b", tensor1(&[0f32, 1.0, 0.0]))
        .node(
            "com.microsoft:EmbedLayerNormalization",
            &["ids", "kinds", "w", "p", "s", "g", "b", "mask"],
            &["y", "n", "e"],
            &[node::float("epsilon", 1e-3)],
        )
        .output("y")
        .output("n")
        .output("e");
    let got = small.run(&[ints(&[1, 2], &[4, 0]), ints(&[1, 2], &[1, 0]), ints(&[1, 2], &[1, 0])]);
    let (w, p, s) = (numbers(15, 1), numbers(12, 2), numbers(6, 3));
    let sum = |id: usize, place: usize, kind: usize| (0..3).map(move |d| (id * 3 + d, place * 3 + d, kind * 3 + d));
    let sums: Vec<f32> = sum(4, 0, 1).chain(sum(0, 1, 0)).map(|(i, j, k)| w[i] + p[j] + s[k]).collect();
    near(&got[0], &[1, 2, 3], &layer_norm(&sums, &[1.0, 2.0, 3.0], &[0.0, 1.0, 0.0], 1e-3));
    assert_eq!(tensor::integers(&got[1]).unwrap(), [1]);
    near(&got[2], &[1, 2, 3], &sums);
}

#[test]
fn rotary_positions_may_be_one_start_for_all() {
    let small = Small::new(17)
        .input("x", &[1, 2, 2])
        .typed_input("start", DataType::Int64 as i32, &[1])
        .constant("cos", tensor1(&[1f32, 0.5, 0.25]).into_shape(&[3, 1]).unwrap())
        .constant("sin", tensor1(&[0f32, 0.75, -0.5]).into_shape(&[3, 1]).unwrap())
        .node("com.microsoft:RotaryEmbedding", &["x", "start", "cos", "sin"], &["y"], &[])
        .output("y");
    let got = small.run(&[tensor1(&[1f32, 2.0, 3.0, 4.0]).into_shape(&[1, 2, 2]).unwrap(), tensor1(&[1i64])]);
    near(&got[0], &[1, 2, 2], &[0.5 - 1.5, 0.75 + 1.0, 0.75 + 2.0, -1.5 + 1.0]);
}

#[test]
fn gates_and_biases_of_activations() {
    let gelu = |x: f32| 0.5 * x * (1.0 + erf(x / std::f32::consts::SQRT_2));
    let small = Small::new(17).input("x", &[4]).node("com.microsoft:Gelu", &["x"], &["y"], &[]).output("y");
    near(&small.run(&[random(&[4], 1)])[0], &[4], &numbers(4, 1).into_iter().map(gelu).collect::<Vec<_>>());
    let small = Small::new(17)
        .input("x", &[1, 4])
        .constant("b", random(&[4], 2))
        .node("com.microsoft:BiasSplitGelu", &["x", "b"], &["y"], &[])
        .output("y");
    let sum: Vec<f32> = numbers(4, 1).iter().zip(numbers(4, 2)).map(|(a, b)| a + b).collect();
    near(&small.run(&[random(&[1, 4], 1)])[0], &[1, 2], &[sum[0] * gelu(sum[2]), sum[1] * gelu(sum[3])]);
}

/// The error function by its series, for arguments up to 2.
fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    let mut term = x;
    let mut sum = x;
    for n in 1..40 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    (sum * 2.0 / std::f64::consts::PI.sqrt()) as f32
}
