//! Recipes on hand-built graphs, where the choice of limbs and saturation can be read off.

use super::*;
use crate::{
    config::{Config, Head, Quantise, Visibility},
    error::CompileError,
    head::argmax,
    partition::partition,
    stored::put_away,
};
use nanozk_ir::{
    float::{Graph, InputKind, InputValue, NodeId, NormKind, Op as Float, UnaryFn, eval},
    int::{Model, Op, Role, interp, ops},
};
use nanozk_plan::{ElementType, ValueInfo};

/// A graph with one float input of `width` features.
fn graph(tokens: usize, width: usize) -> (Graph, NodeId) {
    let mut g = Graph { tokens, ..Graph::default() };
    let x = g.add("x", Float::Input(InputKind::Float), width, &[]);
    g.inputs = vec![x];
    (g, x)
}

fn output(g: &mut Graph, y: NodeId) {
    let width = g.dag[y].features;
    let out = g.add("y", Float::Output, width, &[y]);
    g.outputs = vec![out];
}

/// Deterministic numbers in -1..1.
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut s = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 17;
        s ^= s << 5;
        s as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn linear(g: &mut Graph, x: NodeId, out: usize, seed: u32) -> NodeId {
    let n = g.dag[x].features;
    let weight = numbers(n * out, seed);
    g.add(
        "linear",
        Float::Linear { positions: 1, weight: weight.into(), bias: Some(numbers(out, seed + 1)) },
        out,
        &[x],
    )
}

fn norm(g: &mut Graph, x: NodeId, kind: NormKind) -> NodeId {
    let n = g.dag[x].features;
    let (gamma, beta) = (Some(numbers(n, 91)), Some(numbers(n, 92)));
    g.add("norm", Float::Norm { kind, groups: 1, eps: 1e-5, gamma, beta }, n, &[x])
}

fn built(g: &Graph, config: &Config) -> Result<Model, QuantiseError> {
    let width = g.dag[g.inputs[0]].features;
    let samples: Vec<_> = (0..4).map(|s| vec![InputValue::Float(numbers(g.tokens * width, s + 5))]).collect();
    let stats = Stats::collect(g, &samples)?;
    Ok(quantise(g, &partition(g, config.quantise.layer_lookups), &stats, config)?.model)
}

/// Largest difference between the models on inputs that calibration did not see, relative to the largest float output.
fn error(g: &Graph, model: &Model) -> f32 {
    let width = g.dag[g.inputs[0]].features;
    let one = |seed| {
        let input = [InputValue::Float(numbers(g.tokens * width, seed))];
        let float = eval(g, &input, &mut |_, _: &[f32]| ()).unwrap();
        let tensors = interp::run_model(model, &encode(model, &input).unwrap()).unwrap();
        let integer = decode(model, model.outputs[0], &tensors[model.outputs[0] as usize]);
        let gap = float[0].iter().zip(&integer).map(|(&a, &b)| (a - b as f32).abs()).fold(0.0, f32::max);
        (gap, float[0].iter().fold(0.0, |m: f32, v| m.max(v.abs())))
    };
    let (gap, peak) = (50..60).map(one).fold((0f32, 0f32), |m, v| (m.0.max(v.0), m.1.max(v.1)));
    gap / peak
}

fn ops(model: &Model) -> Vec<&Op> {
    model.shapes.iter().flat_map(|s| &s.nodes).map(|n| &n.op).collect()
}

#[test]
fn gain_and_shift_of_a_normalisation_go_into_the_next_linear_map() {
    for kind in [NormKind::Layer, NormKind::Rms] {
        let (mut g, x) = graph(3, 8);
        let n = norm(&mut g, x, kind);
        let y = linear(&mut g, n, 5, 1);
        output(&mut g, y);
        let model = built(&g, &Config::default()).unwrap();
        assert_eq!(ops(&model).iter().filter(|o| matches!(o, Op::Linear(ops::Linear { .. }))).count(), 1);
        assert!(
            !ops(&model).iter().any(|o| matches!(o, Op::Requant(ops::Requant { clamp: true, .. }))),
            "normalised rows are bounded"
        );
        assert!(error(&g, &model) < 1e-2);
    }
}

#[test]
fn a_normalisation_that_others_read_gets_a_diagonal_map() {
    let (mut g, x) = graph(3, 8);
    let n = norm(&mut g, x, NormKind::Layer);
    let y = g.add("sum", Float::Add, 8, &[x, n]);
    output(&mut g, y);
    let model = built(&g, &Config::default()).unwrap();
    assert!(error(&g, &model) < 1e-2);
}

/// Numbers of weights of all layers.
fn committed(model: &Model) -> usize {
    model.layers.iter().flat_map(|layer| &layer.weights).map(Vec::len).sum()
}

#[test]
fn a_change_of_scale_has_one_weight_for_each_feature() {
    let (mut g, x) = graph(3, 8);
    let n = norm(&mut g, x, NormKind::Layer);
    let h = linear(&mut g, n, 8, 1);
    let h = g.add("tanh", Float::Unary(UnaryFn::Tanh), 8, &[h]);
    let y = g.add("sum", Float::Add, 8, &[h, n]);
    output(&mut g, y);
    let model = built(&g, &Config::default()).unwrap();
    // The map with its bias; gain and shift of the normalisation.
    assert!(committed(&model) <= 8 * 8 + 8 + 2 * 8 + 1, "{} weights", committed(&model));
    assert!(error(&g, &model) < 1e-2);
}

/// A recurrence of `steps` steps, `h' = tanh(x W + h R)`, with all states as its output.
fn recurrence(steps: usize) -> Graph {
    let (mut g, x) = graph(1, 4 * steps);
    let weight = |seed| numbers(16, seed);
    let mut states: Vec<NodeId> = Vec::new();
    for step in 0..steps {
        let own = g.add("step", Float::Slice { start: 4 * step, len: 4 }, 4, &[x]);
        let map = |seed| Float::Linear { positions: 1, weight: weight(seed).into(), bias: None };
        let mut sum = g.add("features", map(7), 4, &[own]);
        if let Some(&state) = states.last() {
            let product = g.add("state", map(8), 4, &[state]);
            sum = g.add("gates", Float::Add, 4, &[sum, product]);
        }
        states.push(g.add("tanh", Float::Unary(UnaryFn::Tanh), 4, &[sum]));
    }
    let y = g.add("states", Float::Concat, 4 * steps, &states);
    output(&mut g, y);
    g
}

#[test]
fn the_steps_of_a_recurrence_share_their_matrices() {
    let g = recurrence(8);
    let model = built(&g, &Config::default()).unwrap();
    assert_eq!(model.layers.len(), 1);
    let matrices = model.shapes[0].weights.iter().filter(|size| **size == (4, 4)).count();
    // Both, and W again at the scale of the first step, which adds nothing to it.
    assert_eq!(matrices, 3, "{:?}", model.shapes[0].weights);
    // Eight states at 12 bits, each from the one before.
    assert!(error(&g, &model) < 2e-2);
}

#[test]
fn only_tables_saturate() {
    let (mut g, x) = graph(2, 6);
    let h = linear(&mut g, x, 16, 1);
    let h = g.add("relu", Float::Unary(UnaryFn::Relu), 16, &[h]);
    let a = linear(&mut g, h, 4, 3);
    let b = linear(&mut g, h, 4, 5);
    let y = g.add("product", Float::Mul, 4, &[a, b]);
    output(&mut g, y);
    let model = built(&g, &Config::default()).unwrap();
    for shape in &model.shapes {
        for (id, node) in shape.nodes.iter().enumerate() {
            if matches!(node.op, Op::Requant(ops::Requant { clamp: true, .. })) {
                let mut readers = shape.nodes.iter().filter(|n| n.inputs.contains(&(id as u32)));
                assert!(readers.all(|n| matches!(n.op, Op::Table(ops::Table { .. }))), "{}", node.name);
            }
        }
    }
    assert!(error(&g, &model) < 1e-2);
}

#[test]
fn residual_sums_need_no_lookup() {
    let (mut g, x) = graph(2, 4);
    let y = g.add("twice", Float::Add, 4, &[x, x]);
    let y = g.add("thrice", Float::Scale(3.0), 4, &[y]);
    let c = g.add("c", Float::Const { rows: 1, data: vec![1.0, -2.0, 0.5, 0.0] }, 4, &[]);
    let y = g.add("shifted", Float::Sub, 4, &[y, c]);
    output(&mut g, y);
    let model = built(&g, &Config::default()).unwrap();
    assert_eq!(lookups(&model).iter().map(|c| c.total).sum::<u64>(), 0);
    assert!(error(&g, &model) < 1e-5);
}

#[test]
fn views_and_functions() {
    let (mut g, x) = graph(2, 6);
    let l = linear(&mut g, x, 6, 1);
    let a = g.add("left", Float::Slice { start: 0, len: 3 }, 3, &[l]);
    let b = g.add("right", Float::Slice { start: 3, len: 3 }, 3, &[l]);
    let a = g.add("tanh", Float::Unary(UnaryFn::Tanh), 3, &[a]);
    let y = g.add("both", Float::Concat, 6, &[a, b]);
    let y = linear(&mut g, y, 4, 9);
    output(&mut g, y);
    let model = built(&g, &Config::default()).unwrap();
    assert!(error(&g, &model) < 1e-2);
}

#[test]
fn softmax_and_its_argmax() {
    let (mut g, x) = graph(2, 6);
    let l = linear(&mut g, x, 5, 1);
    let y = g.add("softmax", Float::Softmax { groups: 1, hidden: None }, 5, &[l]);
    output(&mut g, y);
    let model = built(&g, &Config::default()).unwrap();
    assert!(error(&g, &model) < 5e-3);
    argmax(&mut g, &mut [ValueInfo::row_major("y", vec![2, 5], ElementType::Float32)]).unwrap();
    let model = built(&g, &Config { head: Head::Argmax, ..Config::default() }).unwrap();
    assert!(!ops(&model).iter().any(|o| matches!(o, Op::Table(ops::Table { .. }))), "softmax keeps the order");
    assert_eq!(model.tensors[model.outputs[0] as usize].features, 1);
}

#[test]
fn roles_follow_the_configuration() {
    let (mut g, x) = graph(2, 6);
    let y = norm(&mut g, x, NormKind::Layer);
    output(&mut g, y);
    let config = Config { input: Visibility::Private, output: Visibility::Private, ..Config::default() };
    let model = built(&g, &config).unwrap();
    assert_eq!(model.tensors[model.inputs[0] as usize].role, Role::PrivateInput);
    assert_eq!(model.tensors[model.outputs[0] as usize].role, Role::PrivateOutput);
    assert!(ops(&model).iter().any(|o| matches!(o, Op::Range(ops::Range { limbs: 2 }))));
    assert!(error(&g, &model) < 1e-2);
}

#[test]
fn private_token_ids_are_a_committed_tensor() {
    let mut g = Graph { tokens: 2, ..Graph::default() };
    let t = g.add("tokens", Float::Input(InputKind::Tokens { vocab: 3 }), 1, &[]);
    let y = g.add("embed", Float::Embed { table: vec![1.0; 6].into() }, 2, &[t]);
    g.inputs = vec![t];
    output(&mut g, y);
    let stats = Stats::collect(&g, &[vec![InputValue::Tokens(vec![0, 2])]]).unwrap();
    let config = Config { input: Visibility::Private, ..Config::default() };
    let model = quantise(&g, &partition(&g, 1000), &stats, &config).unwrap().model;
    let tensor = &model.tensors[model.inputs[0] as usize];
    assert_eq!((tensor.role, tensor.lo, tensor.hi), (Role::PrivateInput, 0, 2));
}

#[test]
fn outputs_of_tiny_magnitude_keep_their_digits() {
    let (mut g, x) = graph(2, 6);
    let y = g.add("tiny", Float::Scale(1e-5), 6, &[x]);
    output(&mut g, y);
    let model = built(&g, &Config::default()).unwrap();
    assert!(error(&g, &model) < 1e-2);
}

#[test]
fn a_residual_scale_that_does_not_fit_is_lowered() {
    let (mut g, x) = graph(3, 8);
    let n = norm(&mut g, x, NormKind::Layer);
    let y = g.add("sum", Float::Add, 8, &[x, n]);
    output(&mut g, y);
    let mut config = Config::default();
    config.quantise.residual_bits = Some(28);
    let model = built(&g, &config).unwrap();
    assert!(model.tensors[0].scale < 2f64.powi(28));
    assert!(error(&g, &model) < 1e-2);
}

/// A residual block, with a gate or without.
fn block(g: &mut Graph, x: NodeId, gated: bool, seed: u32) -> NodeId {
    let width = g.dag[x].features;
    let n = norm(g, x, NormKind::Rms);
    let up = linear(g, n, 2 * width, seed);
    let mut h = g.add("act", Float::Unary(UnaryFn::Silu), 2 * width, &[up]);
    if gated {
        let gate = linear(g, n, 2 * width, seed + 7);
        h = g.add("gated", Float::Mul, 2 * width, &[h, gate]);
    }
    let down = linear(g, h, width, seed + 3);
    g.add("add", Float::Add, width, &[x, down])
}

#[test]
fn equal_layers_that_are_no_neighbours_share_a_shape() {
    for kinds in ["bob", "bbobb", "bobpb"] {
        let (mut g, x) = graph(3, 6);
        let mut x = linear(&mut g, x, 6, 1);
        for (i, kind) in kinds.chars().enumerate() {
            x = match kind {
                'p' => {
                    let y = linear(&mut g, x, 6, 77);
                    g.add("plain", Float::Add, 6, &[x, y])
                }
                _ => block(&mut g, x, kind == 'o', 10 * i as u32 + 20),
            };
        }
        let x = linear(&mut g, x, 4, 99);
        output(&mut g, x);
        let classes = partition(&g, 1 << 20).classes;
        let model = built(&g, &Config::default()).unwrap();
        assert_eq!(model.layers.iter().map(|l| l.shape as usize).collect::<Vec<_>>(), classes, "{kinds}");
        assert_eq!(classes.iter().filter(|&&c| c == 1).count(), kinds.matches('b').count(), "{kinds}: {classes:?}");
        assert!(error(&g, &model) < 1e-2, "{kinds}: {}", error(&g, &model));
    }
}

/// Residual blocks on values of the magnitude `small`, the last of which makes one feature of the first token thousands of
/// times the rest, and could make it far greater. The other tokens' outputs are what the blocks read from the small values.
fn outlier(small: f32, blocks: u32, loud: f32) -> (Graph, [InputValue; 1]) {
    const WIDTH: usize = 16;
    let mut g = Graph { tokens: 3, ..Graph::default() };
    let tokens = g.add("tokens", Float::Input(InputKind::Tokens { vocab: 3 }), 1, &[]);
    // Feature 0 marks the first token; no block adds to it.
    let entry = |(i, v): (usize, &f32)| if i % WIDTH > 0 { small * v } else { [0.4, 0.0, 0.0][i / WIDTH] };
    let table: Vec<f32> = numbers(3 * WIDTH, 3).iter().enumerate().map(entry).collect();
    let mut x = g.add("embed", Float::Embed { table: table.into() }, WIDTH, &[tokens]);
    let rms = |g: &mut Graph, x: NodeId| {
        let op = Float::Norm { kind: NormKind::Rms, groups: 1, eps: 1e-9, gamma: None, beta: None };
        g.add("norm", op, WIDTH, &[x])
    };
    let map = |g: &mut Graph, x: NodeId, seed: u32, factor: &dyn Fn(usize, usize) -> f32| {
        let entry = |(p, v): (usize, &f32)| v * factor(p / WIDTH, p % WIDTH);
        let weight: Vec<f32> = numbers(WIDTH * WIDTH, seed).iter().enumerate().map(entry).collect();
        g.add("linear", Float::Linear { positions: 1, weight: weight.into(), bias: None }, WIDTH, &[x])
    };
    for at in 0..blocks {
        let (last, seed) = (at + 1 == blocks, 10 * at + 20);
        let n = rms(&mut g, x);
        let up = |row: usize, column: usize| if last && (row, column) == (0, 1) { 100.0 } else { 0.3 };
        let (a, b) = (map(&mut g, n, seed, &up), map(&mut g, n, seed + 3, &up));
        let h = g.add("gated", Float::Mul, WIDTH, &[a, b]);
        let down = |row: usize, column: usize| match (row, column) {
            (_, 0) => 0.0,
            (1, 1) if last => loud,
            (1, _) | (_, 1) if last => 0.0,
            _ if last => 4.0,
            _ => 1.0,
        };
        let y = map(&mut g, h, seed + 6, &down);
        x = g.add("add", Float::Add, WIDTH, &[x, y]);
    }
    let n = rms(&mut g, x);
    let y = linear(&mut g, n, 5, 99);
    g.inputs = vec![tokens];
    output(&mut g, y);
    (g, [InputValue::Tokens(vec![0, 1, 2])])
}

#[test]
fn one_loud_value_leaves_small_ones_their_bits() {
    for (small, blocks, loud) in [(0.002, 1, 8.0), (0.5, 2, 50.0), (0.5, 3, 50.0)] {
        let (g, input) = outlier(small, blocks, loud);
        let stats = Stats::collect(&g, &[input.to_vec()]).unwrap();
        let model = quantise(&g, &partition(&g, 1 << 20), &stats, &Config::default()).unwrap().model;
        let float = eval(&g, &input, &mut |_, _: &[f32]| ()).unwrap();
        let tensors = interp::run_model(&model, &encode(&model, &input).unwrap()).unwrap();
        let integer = decode(&model, model.outputs[0], &tensors[model.outputs[0] as usize]);
        for (token, (f, i)) in float[0].chunks(5).zip(integer.chunks(5)).enumerate() {
            let gap = f.iter().zip(i).map(|(&a, &b)| (f64::from(a) - b).powi(2)).sum::<f64>().sqrt();
            let size = f.iter().map(|&a| f64::from(a).powi(2)).sum::<f64>().sqrt();
            assert!(gap < 3e-2 * size, "{small}, {blocks} blocks, token {token}: {gap} of {size}");
        }
    }
}

#[test]
fn weights_in_a_file_make_the_same_model() {
    let (mut g, x) = graph(3, 8);
    let hidden = linear(&mut g, x, 24, 1);
    let hidden = g.add("relu", Float::Unary(UnaryFn::Relu), 24, &[hidden]);
    let y = linear(&mut g, hidden, 8, 2);
    output(&mut g, y);
    let held = built(&g, &Config::default()).unwrap();
    let stored = |g: &Graph| g.dag.node_weights().filter(|n| format!("{:?}", n.op).contains("File")).count();
    put_away(&mut g, 2 * 8 * 24);
    assert_eq!(stored(&g), 0);
    put_away(&mut g, 2 * 8 * 24 - 1);
    assert_eq!(stored(&g), 2);
    assert_eq!(built(&g, &Config::default()).unwrap(), held);
}

/// A perceptron of `function`, with a square root behind it where it is never negative.
fn perceptron(function: UnaryFn, root: bool) -> Graph {
    let (mut g, x) = graph(1, 6);
    let h = linear(&mut g, x, 8, 31);
    let mut y = g.add("f", Float::Unary(function), 8, &[h]);
    if root {
        y = g.add("root", Float::Unary(UnaryFn::Sqrt), 8, &[y]);
    }
    let y = linear(&mut g, y, 4, 41);
    output(&mut g, y);
    g
}

#[test]
fn halved_limbs_keep_every_integer() {
    for input in [Visibility::Public, Visibility::Private] {
        let quantise = Quantise { limb_bits: Some(16), compare: true, ..Default::default() };
        let config = Config { input, quantise, ..Config::default() };
        for (function, root) in [(UnaryFn::Relu, true), (UnaryFn::Abs, true), (UnaryFn::LeakyRelu(-0.3), false)] {
            let g = perceptron(function.clone(), root);
            let whole = built(&g, &config).unwrap();
            let halves = halve_limbs(whole.clone()).unwrap();
            assert_eq!((whole.limb_bits, halves.limb_bits), (16, 8));
            for seed in 70..80 {
                let ints = encode(&whole, &[InputValue::Float(numbers(6, seed))]).unwrap();
                assert_eq!(interp::run_model(&whole, &ints).unwrap(), interp::run_model(&halves, &ints).unwrap());
            }
            assert!(error(&g, &halves) < 1e-3, "{function:?}: {}", error(&g, &halves));
        }
    }
}

#[test]
fn what_needs_one_limb_is_not_halved() {
    let g = perceptron(UnaryFn::Relu, false);
    let wide = |compare| Quantise { limb_bits: Some(16), compare, ..Default::default() };
    let tables = built(&g, &Config { quantise: wide(false), ..Config::default() }).unwrap();
    assert!(ops(&tables).iter().any(|op| matches!(op, Op::Table(ops::Table { .. }))) && halve_limbs(tables).is_none());
    let odd = Config { quantise: Quantise { limb_bits: Some(15), ..wide(true) }, ..Config::default() };
    assert!(halve_limbs(built(&g, &odd).unwrap()).is_none());
    let mut saturates = built(&g, &Config { quantise: wide(true), ..Config::default() }).unwrap();
    assert!(halve_limbs(saturates.clone()).is_some());
    let requant = saturates.shapes[0].nodes.iter_mut().find_map(|node| match &mut node.op {
        Op::Requant(ops::Requant { clamp, .. }) => Some(clamp),
        _ => None,
    });
    *requant.unwrap() = true;
    assert!(halve_limbs(saturates).is_none());
    let curved = built(&perceptron(UnaryFn::Tanh, false), &Config { quantise: wide(true), ..Config::default() });
    let curved = curved.unwrap_err();
    assert!(matches!(curved, QuantiseError::Unsupported { why: NoForm::Curved, .. }), "{curved:?}");
    let line = CompileError::from(curved).to_string();
    assert!(line.ends_with(": not a function of straight pieces; use a table"), "{line}");
}

/// Radial basis functions of an input, as a support vector machine has them, weighted with both signs.
#[test]
fn an_exponential_is_as_fine_as_it_is_steep_where_its_arguments_are() {
    let (mut g, x) = graph(1, 8);
    let squares = g.add("squares", Float::Unary(UnaryFn::Square), 8, &[x]);
    let weight: Vec<f32> = numbers(64, 21).iter().map(|w| -w.abs()).collect();
    let distances = Float::Linear { positions: 1, weight: weight.into(), bias: None };
    let distances = g.add("distances", distances, 8, &[squares]);
    let kernel = g.add("kernel", Float::Unary(UnaryFn::Exp), 8, &[distances]);
    let sums = linear(&mut g, kernel, 4, 22);
    output(&mut g, sums);
    let gap = error(&g, &built(&g, &Config::default()).unwrap());
    assert!(gap < 1e-2, "{gap}");
}
