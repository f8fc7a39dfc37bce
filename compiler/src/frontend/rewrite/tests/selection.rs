//! Mixtures of experts in the forms of exporters, against each token's experts one by one.

use super::*;
use crate::frontend::rewrite::node::{int, ints, text};

const TOKENS: usize = 5;
const WIDTH: usize = 3;
const EXPERTS: usize = 4;
const TAKEN: usize = 2;

/// The router, then a matrix for each expert.
fn matrices() -> Vec<Vec<f32>> {
    let router = numbers(WIDTH * EXPERTS, 1);
    std::iter::once(router).chain((0..EXPERTS).map(|e| numbers(WIDTH * WIDTH, 2 + e as u64))).collect()
}

/// relu(x w) of each token's best experts, weighed by their scores.
fn expected(x: &[f32]) -> Vec<f32> {
    let matrices = matrices();
    let scores = product(x, &matrices[0], WIDTH, EXPERTS);
    let mut out = vec![0.0; x.len()];
    for (t, own) in scores.chunks_exact(EXPERTS).enumerate() {
        let mut order: Vec<usize> = (0..EXPERTS).collect();
        order.sort_by(|&a, &b| own[b].total_cmp(&own[a]));
        for &e in &order[..TAKEN] {
            let y = product(&x[t * WIDTH..(t + 1) * WIDTH], &matrices[1 + e], WIDTH, WIDTH);
            y.iter().enumerate().for_each(|(j, v)| out[t * WIDTH + j] += v.max(0.0) * own[e]);
        }
    }
    out
}

/// A model with scores "w" and experts "id" [tokens, taken] of its input, its experts' matrices "w0".., and numbers.
fn routed() -> Small {
    let tensor = |v: &[f32], n: usize| tensor1(v).into_shape(&[WIDTH, n]).unwrap();
    let mut model = Small::new(18).input("x", &[TOKENS as i64, WIDTH as i64]);
    for (i, matrix) in matrices().iter().enumerate() {
        let name = if i == 0 { "router".to_owned() } else { format!("w{}", i - 1) };
        model = model.constant(&name, tensor(matrix, if i == 0 { EXPERTS } else { WIDTH }));
    }
    for n in 0..EXPERTS as i64 {
        model = model.constant(&format!("n{n}"), tensor0(n)).constant(&format!("l{n}"), tensor1(&[n]));
    }
    model
        .constant("k", tensor1(&[TAKEN as i64]))
        .constant("minus", tensor1(&[-1i64]))
        .constant("zeros", Tensor::zero::<f32>(&[TOKENS, WIDTH]).unwrap())
        .node("MatMul", &["x", "router"], &["scores"], &[])
        .node("TopK", &["scores", "k"], &["w", "id"], &[])
}

/// The routing as the older exporter of PyTorch writes it: places added to `zeros`, sums of the experts behind.
fn by_elements() -> Small {
    let mut model = routed()
        .constant("depth", tensor0(EXPERTS as i64))
        .constant("off_on", tensor1(&[0i64, 1]))
        .constant("row", tensor1(&[1i64, WIDTH as i64]))
        .node("OneHot", &["id", "depth", "off_on"], &["hot"], &[int("axis", -1)])
        .node("Transpose", &["hot"], &["mask"], &[ints("perm", &[2, 1, 0])])
        .node("Unsqueeze", &["x", "l0"], &["x3"], &[])
        .node("Reshape", &["w", "minus"], &["flat"], &[]);
    let mut sum = "zeros".to_owned();
    for e in 0..EXPERTS {
        let v = |name: &str| format!("{name}.{e}");
        let n = |op: &str| format!("{op}.{e}");
        model = model
            .node("Gather", &["mask", &format!("n{e}")], &[&v("own")], &[int("axis", 0)])
            .node("Cast", &[&v("own")], &[&v("bool")], &[int("to", 9)])
            .node("NonZero", &[&v("bool")], &[&v("places")], &[])
            .node("Transpose", &[&v("places")], &[&v("turned")], &[ints("perm", &[1, 0])])
            .node("Split", &[&v("turned")], &[&v("slot"), &v("token")], &[int("axis", 1), int("num_outputs", 2)])
            .node("Squeeze", &[&v("slot"), "l1"], &[&v("slot1")], &[])
            .node("Squeeze", &[&v("token"), "l1"], &[&v("token1")], &[])
            .node("Gather", &["x3", &v("token1")], &[&v("rows3")], &[int("axis", 1)])
            .constant(&v("shape"), tensor1(&[-1i64, WIDTH as i64]))
            .node("Reshape", &[&v("rows3"), &v("shape")], &[&v("rows")], &[])
            .node("MatMul", &[&v("rows"), &format!("w{e}")], &[&v("linear")], &[])
            .node("Relu", &[&v("linear")], &[&v("y")], &[])
            .node("Mul", &[&v("token1"), "k"], &[&v("from")], &[])
            .node("Add", &[&v("slot1"), &v("from")], &[&v("at")], &[])
            .node("Gather", &["flat", &v("at")], &[&v("weight")], &[])
            .node("Shape", &[&v("at")], &[&v("count")], &[])
            .node("Concat", &[&v("count"), "l1"], &[&v("column")], &[int("axis", 0)])
            .node("Reshape", &[&v("weight"), &v("column")], &[&v("weights")], &[])
            .node("Mul", &[&v("y"), &v("weights")], &[&v("part")], &[])
            .node("Unsqueeze", &[&v("token1"), "l1"], &[&v("token2")], &[])
            .node("Shape", &[&v("part")], &[&v("all")], &[])
            .node("Expand", &[&v("token2"), &v("all")], &[&v("wide")], &[])
            .node("ScatterElements", &["zeros", &v("wide"), &v("part")], &[&v("put")], &[int("axis", 0)])
            .node("Add", &[&sum, &v("put")], &[&n("sum")], &[]);
        sum = n("sum");
    }
    model.node("Identity", &[&sum], &["y"], &[]).output("y")
}

/// The routing as the newer exporter writes it: each expert's rows added to the sum.
fn by_slices() -> Small {
    let mut model = routed().node("Unsqueeze", &["w", "l2"], &["column"], &[]);
    let mut sum = "zeros".to_owned();
    for e in 0..EXPERTS {
        let v = |name: &str| format!("{name}.{e}");
        model = model
            .node("Equal", &["id", &format!("n{e}")], &[&v("mask")], &[])
            .node("NonZero", &[&v("mask")], &[&v("places")], &[])
            .node("Transpose", &[&v("places")], &[&v("pairs")], &[ints("perm", &[1, 0])])
            .node("Gather", &[&v("pairs"), "l0"], &[&v("token")], &[int("axis", 1)])
            .node("GatherND", &["x", &v("token")], &[&v("rows")], &[])
            .node("MatMul", &[&v("rows"), &format!("w{e}")], &[&v("linear")], &[])
            .node("Relu", &[&v("linear")], &[&v("y")], &[])
            .node("GatherND", &["column", &v("pairs")], &[&v("weight")], &[])
            .node("Mul", &[&v("weight"), &v("y")], &[&v("part")], &[])
            .node("ScatterND", &[&sum, &v("token"), &v("part")], &[&v("sum")], &[text("reduction", "add")]);
        sum = v("sum");
    }
    model.node("Identity", &[&sum], &["y"], &[]).output("y")
}

/// The routing of GraniteMoE: tokens sorted by their experts, cut by how many each has, twice.
fn by_sorting(experts: &str) -> Small {
    let model = routed()
        .constant("none", Tensor::zero::<f32>(&[TOKENS, EXPERTS]).unwrap())
        .constant("ones", tensor1(&[1f32; TOKENS * TAKEN]).into_shape(&[TOKENS, TAKEN]).unwrap())
        .constant("pairs", tensor1(&[(TOKENS * TAKEN) as i64]))
        .constant("two", tensor0(2f32))
        .node("ScatterElements", &["none", experts, "ones"], &["hot"], &[int("axis", 1)])
        .node("Cast", &["hot"], &["bits"], &[int("to", 7)])
        .node("ReduceSum", &["bits", "l0"], &["counts"], &[int("keepdims", 0)])
        .node("Reshape", &["id", "pairs"], &["ids"], &[])
        .node("TopK", &["ids", "pairs"], &["sorted", "order"], &[int("axis", 0), int("largest", 0)])
        .node("Cast", &["order"], &["place"], &[int("to", 1)])
        .node("Div", &["place", "two"], &["quotient"], &[])
        .node("Abs", &["quotient"], &["size"], &[])
        .node("Floor", &["size"], &["floor"], &[])
        .node("Sign", &["quotient"], &["sign"], &[])
        .node("Mul", &["floor", "sign"], &["whole"], &[])
        .node("Cast", &["whole"], &["token"], &[int("to", 7)])
        .node("Reshape", &["w", "pairs"], &["flat"], &[])
        .node("Unsqueeze", &["order", "minus"], &["orders"], &[])
        .node("GatherND", &["flat", "orders"], &["gate"], &[])
        .node("Unsqueeze", &["token", "minus"], &["tokens"], &[])
        .node("GatherND", &["x", "tokens"], &["rows"], &[]);
    let of_all = |part: &str| (0..EXPERTS).map(|e| format!("{part}.{e}")).collect::<Vec<String>>();
    let names = |all: &[String]| -> Vec<&'static str> { all.iter().map(|n| &*n.clone().leak()).collect() };
    let mut model = (0..EXPERTS).fold(model, |model, e| {
        let v = |name: &str| format!("{name}.{e}");
        model
            .constant(&v("from"), tensor1(&[e as i64]))
            .constant(&v("to"), tensor1(&[e as i64 + 1]))
            .node("Slice", &["counts", &v("from"), &v("to"), "l0"], &[&v("own")], &[])
            .node("Squeeze", &[&v("own"), "l0"], &[&v("number")], &[])
            .node("Reshape", &[&v("number"), "minus"], &[&v("count")], &[])
    });
    model = model.node("Concat", &names(&of_all("count")), &["sizes"], &[int("axis", 0)]);
    model = model.node("Split", &["rows", "sizes"], &names(&of_all("part")), &[int("axis", 0)]);
    for e in 0..EXPERTS {
        model = model.node("MatMul", &[&format!("part.{e}"), &format!("w{e}")], &[&format!("linear.{e}")], &[]);
    }
    model = model
        .node("Concat", &names(&of_all("linear")), &["linear"], &[int("axis", 0)])
        .node("Relu", &["linear"], &["bent"], &[])
        .node("Split", &["bent", "sizes"], &names(&of_all("bent")), &[int("axis", 0)]);
    for e in 0..EXPERTS {
        model = model.node("Neg", &[&format!("bent.{e}")], &[&format!("negated.{e}")], &[]);
    }
    model
        .node("Concat", &names(&of_all("negated")), &["negated"], &[int("axis", 0)])
        .node("Neg", &["negated"], &["all"], &[])
        .node("Unsqueeze", &["gate", "l1"], &["gates"], &[])
        .node("Mul", &["all", "gates"], &["weighed"], &[])
        .node("ScatterND", &["zeros", "tokens", "weighed"], &["y"], &[text("reduction", "add")])
        .output("y")
}

#[test]
fn tokens_sorted_by_their_experts_are_selected() {
    let x = random(&[TOKENS, WIDTH], 9);
    near(&by_sorting("id").run(std::slice::from_ref(&x))[0], &[TOKENS, WIDTH], &expected(&tensor::floats(&x).unwrap()));
    // Cut by the counts of other experts.
    let other = by_sorting("worst").node("TopK", &["scores", "k"], &["v", "worst"], &[int("largest", 0)]);
    assert!(other.refusal().contains("Split"), "{}", other.refusal());
}

#[test]
fn experts_of_selected_tokens_compute_all_and_weigh_them() {
    let x = random(&[TOKENS, WIDTH], 9);
    let want = expected(&tensor::floats(&x).unwrap());
    for model in [by_elements(), by_slices()] {
        near(&model.run(std::slice::from_ref(&x))[0], &[TOKENS, WIDTH], &want);
        // Each expert computes each token once: all of them, as they are.
        let (rewritten, _) = model.rewritten().unwrap();
        let nodes = rewritten.graph.unwrap().node;
        assert!(nodes.iter().all(|n| n.op_type != "Gather" || !n.input[0].starts_with('x')));
    }
}

/// y = relu(x w0) where the mask of x is not 0, else x: by a mask of all elements that a mask of rows is spread to.
#[test]
fn rows_replace_those_that_the_mask_counts() {
    let model = routed()
        .constant("all", tensor1(&[TOKENS as i64, WIDTH as i64]))
        .constant("zero", tensor0(0f32))
        .node("ReduceMax", &["scores", "l1"], &["most"], &[int("keepdims", 0)])
        .node("Greater", &["most", "zero"], &["mask"], &[])
        .node("NonZero", &["mask"], &["places"], &[])
        .node("Transpose", &["places"], &["token"], &[])
        .node("GatherND", &["x", "token"], &["rows"], &[])
        .node("MatMul", &["rows", "w0"], &["linear"], &[])
        .node("Relu", &["linear"], &["new"], &[])
        .node("Unsqueeze", &["mask", "l1"], &["column"], &[])
        .node("Expand", &["column", "all"], &["spread"], &[])
        .node("NonZero", &["spread"], &["elements"], &[])
        .node("Transpose", &["elements"], &["pairs"], &[])
        .node("Reshape", &["new", "minus"], &["flat"], &[])
        .node("Shape", &["pairs"], &["size"], &[])
        .node("Gather", &["size", "l0"], &["count"], &[])
        .node("Slice", &["flat", "l0", "count", "l0"], &["taken"], &[])
        .node("ScatterND", &["x", "pairs", "taken"], &["y"], &[])
        .output("y");
    let x = random(&[TOKENS, WIDTH], 9);
    let (x_, m) = (tensor::floats(&x).unwrap(), matrices());
    let most: Vec<bool> =
        product(&x_, &m[0], WIDTH, EXPERTS).chunks(EXPERTS).map(|s| s.iter().any(|&v| v > 0.0)).collect();
    assert!(most.contains(&true) && most.contains(&false));
    let new = product(&x_, &m[1], WIDTH, WIDTH);
    let want: Vec<f32> = (0..x_.len()).map(|i| if most[i / WIDTH] { new[i].max(0.0) } else { x_[i] }).collect();
    near(&model.run(&[x])[0], &[TOKENS, WIDTH], &want);
}

/// The same with the number of rows as the sum of the mask, as the newer exporter writes `x[mask] = ..`.
#[test]
fn rows_are_counted_by_the_sum_of_their_mask() {
    let model = routed()
        .constant("zero", tensor0(0f32))
        .constant("width", tensor1(&[WIDTH as i64]))
        .constant("all", tensor1(&[TOKENS as i64, WIDTH as i64]))
        .node("ReduceMax", &["scores", "l1"], &["most"], &[int("keepdims", 0)])
        .node("Greater", &["most", "zero"], &["mask"], &[])
        .node("NonZero", &["mask"], &["places"], &[])
        .node("Squeeze", &["places", "l0"], &["token"], &[])
        .node("Max", &["token"], &["token1"], &[])
        .node("Shape", &["token1"], &["size"], &[])
        .node("Expand", &["token", "size"], &["token2"], &[])
        .node("Unsqueeze", &["token2", "l1"], &["pairs"], &[])
        .node("GatherND", &["x", "pairs"], &["rows"], &[])
        .node("Neg", &["rows"], &["new"], &[])
        .node("Reshape", &["mask", "minus"], &["bits"], &[])
        .node("Cast", &["bits"], &["ones"], &[int("to", 7)])
        .node("ReduceSum", &["ones"], &["count"], &[int("keepdims", 1)])
        .node("Concat", &["count", "width"], &["shape"], &[int("axis", 0)])
        .node("Expand", &["new", "shape"], &["spread"], &[])
        .node("ScatterND", &["x", "pairs", "spread"], &["y"], &[])
        .output("y");
    let x = random(&[TOKENS, WIDTH], 9);
    let x_ = tensor::floats(&x).unwrap();
    let scores = product(&x_, &matrices()[0], WIDTH, EXPERTS);
    let some = |t: usize| scores[t * EXPERTS..(t + 1) * EXPERTS].iter().any(|&v| v > 0.0);
    let want: Vec<f32> = (0..x_.len()).map(|i| if some(i / WIDTH) { -x_[i] } else { x_[i] }).collect();
    near(&model.run(&[x])[0], &[TOKENS, WIDTH], &want);
}

#[test]
fn parts_of_computed_sizes_are_refused() {
    let model = routed()
        .typed_input("sizes", 7, &[2])
        .node("Split", &["x", "sizes"], &["a", "b"], &[int("axis", 0)])
        .node("Concat", &["a", "b"], &["y"], &[int("axis", 0)])
        .output("y");
    let refusal = model.refusal();
    assert!(refusal.contains("Split \"a\": where it cuts is computed from the input \"sizes\""), "{refusal}");
}

#[test]
fn what_mixes_selected_rows_is_refused() {
    let selected = || {
        routed()
            .node("Greater", &["scores", "n"], &["mask"], &[])
            .constant("n", tensor0(0f32))
            .node("NonZero", &["mask"], &["places"], &[])
            .node("Gather", &["places", "l0"], &["token"], &[int("axis", 0)])
            .node("Squeeze", &["token", "l0"], &["token1"], &[])
            .node("Gather", &["x", "token1"], &["rows"], &[int("axis", 0)])
    };
    let refused = |model: Small, words: &str| {
        let refusal = model.refusal();
        assert!(refusal.contains(words), "{refusal}");
    };
    let mixing: [(&str, &[&str], &[AttributeProto]); 5] = [
        ("ReduceSum", &["rows", "l0"], &[]),
        ("ReduceMean", &["rows"], &[]),
        ("Softmax", &["rows"], &[int("axis", 0)]),
        ("CumSum", &["rows", "n0"], &[]),
        ("ScatterND", &["zeros", "places", "rows"], &[]),
    ];
    for (op, inputs, attributes) in mixing {
        refused(selected().node(op, inputs, &["y"], attributes).output("y"), &format!("{op} \"y\": it reads rows"));
    }
    refused(selected().node("Neg", &["rows"], &["y"], &[]).output("y"), "drop it with `--outputs`");
}

#[test]
fn a_list_traced_to_a_fixed_length_is_that_of_all_places() {
    let traced = |parts: i64| {
        routed()
            .constant("sizes", tensor1(&vec![1i64; parts as usize]))
            .node("NonZero", &["scores1"], &["places"], &[])
            .node("ReduceMax", &["scores", "l0"], &["scores1"], &[int("keepdims", 0)])
            .node("Split", &["places", "sizes"], &["a", "b", "c", "d"][..parts as usize], &[int("axis", 1)])
            .node("Cast", &["b"], &["y"], &[int("to", 1)])
            .output("y")
    };
    let (model, notes) = traced(4).rewritten().unwrap();
    assert!(notes[0].contains("none of the 4 values"), "{notes:?}");
    near(&run(&model, None, &[random(&[TOKENS, WIDTH], 9)]).unwrap()[0], &[1, 1], &[1.0]);
    let refusal = traced(3).refusal();
    assert!(refusal.contains("3 of 4 values") && refusal.contains("trace it"), "{refusal}");
}
