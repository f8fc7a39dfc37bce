//! Soundness: whatever the interpreter computes lies within the analysed ranges.

use super::*;
use crate::int::{Node, Op, Term, interp, ops};
use proptest::prelude::*;

const D: usize = 8;
const T: usize = 3;

struct Build {
    graph: Graph,
    layer: Layer,
}

impl Build {
    fn push(&mut self, op: Op, inputs: &[u32], features: usize) -> u32 {
        let (lo, hi) = (-interp::LIMIT, interp::LIMIT);
        self.graph.push(Node { name: op.name().into(), op, inputs: inputs.to_vec(), features: features as u32, lo, hi })
    }

    fn weight(&mut self, rows: usize, cols: usize, data: Vec<i32>) -> u32 {
        self.graph.weights.push((rows as u32, cols as u32));
        self.layer.weights.push(data);
        self.layer.weights.len() as u32 - 1
    }

    fn param(&mut self, v: i64) -> u32 {
        self.graph.params += 1;
        self.layer.params.push(v);
        self.layer.params.len() as u32 - 1
    }
}

fn term(input: u32, feature: usize, coef: i64) -> Term {
    Term { input, feature: feature as u32, coef }
}

/// Normalisation, q/k/v, two-headed attention with weighted mean.
fn attention_layer(w: &[i32], bias: &[i32]) -> Build {
    let layer = Layer { name: "l".into(), inputs: vec![0], ..Default::default() };
    let mut b = Build { graph: Graph::default(), layer };
    let x = b.push(ops::Input { port: 0 }.into(), &[], D);
    let sum = b.push(ops::Affine { rows: vec![(0..D).map(|j| term(0, j, 256 / D as i64)).collect()] }.into(), &[x], 1);
    let mean = b.push(ops::Requant { limbs: 1, out_limbs: 6, clamp: false }.into(), &[sum], 1);
    let rows = (0..D).map(|j| vec![term(0, j, 1), term(1, 0, -1)]).collect();
    let x = b.push(ops::Affine { rows }.into(), &[x, mean], D);
    let sq = b.push(ops::Mul.into(), &[x, x], D);
    let eps = b.param(5);
    let eps = b.push(ops::Param { first: eps }.into(), &[], 1);
    let mut row: Vec<Term> = (0..D).map(|i| term(0, i, 1)).collect();
    row.push(term(1, 0, 1));
    let v = b.push(ops::Affine { rows: vec![row] }.into(), &[sq, eps], 1);
    let v = b.push(ops::Requant { limbs: 1, out_limbs: 6, clamp: false }.into(), &[v], 1);
    let one = b.push(ops::Const { rows: 1, data: vec![1] }.into(), &[], 1);
    let v = b.push(ops::Affine { rows: vec![vec![term(0, 0, 1), term(1, 0, 1)]] }.into(), &[v, one], 1);
    // sqrt(C 2^8) / 2^16 = 2^7 - 1/2
    let c = b.param((127i64 * 127) << 24);
    let r = b.push(ops::RSqrt { param: c }.into(), &[v], 1);
    let r = b.push(ops::Affine { rows: vec![vec![term(0, 0, 1)]; D] }.into(), &[r], D);
    let y = b.push(ops::Mul.into(), &[x, r], D);
    let y = b.push(ops::Requant { limbs: 2, out_limbs: 1, clamp: false }.into(), &[y], D);
    let (factors, shifts) = (w[..D / 2].to_vec(), bias[..D / 2].to_vec());
    let w = b.weight(D, 3 * D, w.to_vec());
    let bias = b.weight(1, 3 * D, bias.to_vec());
    let qkv = b.push(ops::Linear { weight: w, bias: Some(bias), positions: 1 }.into(), &[y], 3 * D);
    let qkv = b.push(ops::Requant { limbs: 1, out_limbs: 2, clamp: false }.into(), &[qkv], 3 * D);
    let part = |s: usize| Op::Affine(ops::Affine { rows: (s * D..(s + 1) * D).map(|f| vec![term(0, f, 1)]).collect() });
    let [q, k, v] = [0, 1, 2].map(|s| b.push(part(s), &[qkv], D));
    let s = b.push(ops::Scores { heads: 2, kv_heads: 2, head_dim: 4 }.into(), &[q, k], 2 * T);
    b.graph.tables = 1;
    b.layer.tables.push((0..256).map(|i| if i == 255 { 0 } else { 1024 >> (i / 16) }).collect());
    let op = Op::Attend(ops::Attend { keys: vec![T as u32; 2], table: 0, limbs: 1, over_limbs: 3, causal: true });
    let e = b.push(op, &[s], 2 * T);
    let rows = (0..2).map(|h| (0..T).map(|u| term(0, h * T + u, 1)).collect()).collect();
    let z = b.push(ops::Affine { rows }.into(), &[e], 2);
    let c = b.param(1 << 24);
    let r = b.push(ops::Recip { param: c }.into(), &[z], 2);
    let u = b.push(ops::Context { heads: 2, kv_heads: 2, head_dim: 4 }.into(), &[e, v], D);
    let r = b.push(ops::Affine { rows: (0..D).map(|j| vec![term(0, j / 4, 1)]).collect() }.into(), &[r], D);
    let m = b.push(ops::Mul.into(), &[u, r], D);
    b.push(ops::Requant { limbs: 3, out_limbs: 2, clamp: false }.into(), &[m], D);
    let (half, shift) = (b.weight(D / 2, 1, factors), b.weight(1, D / 2, shifts));
    b.push(ops::Diagonal { weight: half, bias: Some(shift), positions: 2 }.into(), &[y], D);
    b.push(ops::Diagonal { weight: half, bias: Some(shift), positions: 2 }.into(), &[x], D);
    b
}

fn run(b: Build, input: &[i64], lo: i64, hi: i64) -> (Vec<Vec<i64>>, Vec<Range>) {
    let ports = [Range::uniform(D, lo, hi)];
    let scope =
        Scope { tokens: T, limb_bits: 8, graph: &b.graph, layer: &b.layer, ports: &ports, norms: &Arc::default() };
    let ranges = scope.all().unwrap();
    let tensor = crate::int::Tensor {
        name: "x".into(),
        features: D as u32,
        scale: 1.0,
        lo,
        hi,
        role: crate::int::Role::PublicInput,
    };
    let model = Model {
        tokens: T as u32,
        limb_bits: 8,
        shapes: vec![b.graph],
        layers: vec![b.layer],
        tensors: vec![tensor],
        inputs: vec![0],
        outputs: vec![],
    };
    (interp::run(&model, 0, &[input]).unwrap(), ranges)
}

proptest! {
    #[test]
    fn values_stay_within_their_ranges(
        w in proptest::collection::vec(-300i32..300, D * 3 * D),
        bias in proptest::collection::vec(-9000i32..9000, 3 * D),
        x in proptest::collection::vec(-100_000i64..100_000, T * D),
        small in any::<bool>(),
    ) {
        let x: Vec<i64> = if small { x.iter().map(|v| v / 5000).collect() } else { x };
        let (values, ranges) = run(attention_layer(&w, &bias), &x, -100_000, 100_000);
        for (id, (v, r)) in values.iter().zip(&ranges).enumerate() {
            for row in v.chunks_exact(r.lo.len()) {
                for (j, a) in row.iter().enumerate() {
                    prop_assert!((r.lo[j]..=r.hi[j]).contains(a), "node {} feature {}: {} not in [{}, {}]", id, j, a, r.lo[j], r.hi[j]);
                }
                let norm = row.iter().map(|&a| (a as f64).powi(2)).sum::<f64>().sqrt();
                prop_assert!(norm <= r.norm, "node {}: norm {} > {}", id, norm, r.norm);
            }
        }
    }
}

#[test]
fn normalised_rows_lie_in_the_ball() {
    let b = attention_layer(&[1; D * 3 * D], &[0; 3 * D]);
    let (_, ranges) = run(b, &[7; T * D], -1_000_000, 1_000_000);
    let y = &ranges[13];
    assert_eq!(y.bounds(), (-127, 127));
    assert!(y.norm < 127.0 + 2.0 && y.ellipsoid.is_some());
}

#[test]
fn what_cannot_be_excluded_is_an_error() {
    let mut b = attention_layer(&[1; D * 3 * D], &[0; 3 * D]);
    b.graph.nodes[13].op = Op::Requant(ops::Requant { limbs: 1, out_limbs: 1, clamp: false });
    let ports = [Range::uniform(D, -1000, 1000)];
    let norms = Arc::default();
    let scope = Scope { tokens: T, limb_bits: 8, graph: &b.graph, layer: &b.layer, ports: &ports, norms: &norms };
    assert!(matches!(scope.all(), Err(RangeError::Domain { node: 13, .. })));
    let ports = [Range::uniform(D, -(1 << 40), 1 << 40)];
    let scope = Scope { ports: &ports, ..scope };
    assert!(matches!(scope.all(), Err(RangeError::Wide { node: 4, .. })));
}

#[test]
fn a_feature_that_stands_in_several_terms_counts_as_often() {
    let mut b = Build { graph: Graph::default(), layer: Layer { inputs: vec![0], ..Default::default() } };
    let x = b.push(ops::Input { port: 0 }.into(), &[], D);
    let squares = b.push(ops::Mul.into(), &[x, x], D);
    let thrice = vec![vec![term(0, 1, 1), term(0, 0, 1), term(0, 1, 1), term(0, 1, 1)]];
    b.push(ops::Affine { rows: thrice.clone() }.into(), &[x], 1);
    b.push(ops::Affine { rows: thrice }.into(), &[squares], 1);
    b.push(ops::Affine { rows: vec![vec![term(0, 2, 5), term(0, 2, -5)]] }.into(), &[x], 1);
    let (_, ranges) = run(b, &[100; T * D], -100, 100);
    assert_eq!(ranges[2].bounds(), (-400, 400));
    assert_eq!(ranges[3].bounds(), (0, 40_000));
    assert_eq!(ranges[4].bounds(), (0, 0));
}

#[test]
fn stretches_keep_their_norm_when_they_are_multiplied_and_squared() {
    let mut b = Build { graph: Graph::default(), layer: Layer { inputs: vec![0], ..Default::default() } };
    let x = b.push(ops::Input { port: 0 }.into(), &[], D);
    let n = D / 2;
    let of = |g: usize| (g * n..(g + 1) * n).map(|j| term(0, j, 256 / n as i64)).collect();
    let sums = b.push(ops::Affine { rows: vec![of(0), of(1)] }.into(), &[x], 2);
    let means = b.push(ops::Requant { limbs: 1, out_limbs: 6, clamp: false }.into(), &[sums], 2);
    let rows = (0..D).map(|j| vec![term(0, j, 1), term(1, j / n, -1)]).collect();
    let centred = b.push(ops::Affine { rows }.into(), &[x, means], D);
    let raised = b.push(ops::Affine { rows: (0..D).map(|j| vec![term(0, j, 8)]).collect() }.into(), &[centred], D);
    let squares = b.push(ops::Mul.into(), &[raised, raised], D);
    let of = |g: usize| (g * n..(g + 1) * n).map(|j| term(0, j, 1)).collect();
    b.push(ops::Affine { rows: vec![of(0), of(1)] }.into(), &[squares], 2);
    let (_, ranges) = run(b, &[7; T * D], -1000, 1000);
    // Without the mean a stretch is not longer than before; its features are twice as large at most.
    let norm2 = n as f64 * 8000f64.powi(2);
    let (_, hi) = ranges[6].bounds();
    assert!((hi as f64) < norm2 * 1.01 && (hi as f64) > norm2 * 0.99, "{hi}");
    // Both stretches may be as long.
    assert!(ranges[centred as usize].norm >= (D as f64).sqrt() * 1000.0, "{}", ranges[centred as usize].norm);
}

/// The range of a node where those before it have the ranges `earlier`.
fn range_of(b: &Build, node: u32, earlier: &[Range]) -> Range {
    let norms = Arc::default();
    let scope = Scope { tokens: T, limb_bits: 8, graph: &b.graph, layer: &b.layer, ports: &[], norms: &norms };
    scope.node(node, earlier).unwrap()
}

/// The range of `x W`.
fn image(x: &Range, w: Vec<i32>, features: usize) -> Range {
    let mut b = Build { graph: Graph::default(), layer: Layer { inputs: vec![0], ..Default::default() } };
    let node = b.push(ops::Input { port: 0 }.into(), &[], D);
    let weight = b.weight(D, features, w);
    let y = b.push(ops::Linear { weight, bias: None, positions: 1 }.into(), &[node], features);
    range_of(&b, y, std::slice::from_ref(x))
}

/// All ones: without its rounding the ball's image would end at 4.
#[test]
fn products_keep_the_rounding_of_a_ball() {
    let rounded = Ellipsoid::ball(D, 24.0, Arc::default()).shifted(4).apply(Range::uniform(D, -2, 2));
    assert!(rounded.ellipsoid.as_ref().unwrap().is_ball());
    let (lo, hi) = image(&rounded, vec![1; D], 1).bounds();
    assert!(lo <= -8 && (8..10).contains(&hi), "{lo} to {hi}");
}

/// 100 in one feature: the ball that it is an image of has radius 1.
#[test]
fn products_do_not_take_the_image_of_a_ball_for_one() {
    let picks: Vec<_> = (0..D).map(|j| (j, 100.0)).collect();
    let stretched = Ellipsoid::ball(D, 1.0, Arc::default()).pick(&picks).apply(Range::uniform(D, -100, 100));
    let identity = (0..D * D).map(|i| i32::from(i % (D + 1) == 0)).collect();
    let (lo, hi) = image(&stretched, identity, D).bounds();
    assert!(lo <= -100 && hi >= 100, "{lo} to {hi}");
}

/// The range of features that are each one term, of two operands.
fn picked(term_of: fn(usize) -> Term, operands: &[Range; 2]) -> Range {
    let mut b = Build { graph: Graph::default(), layer: Layer { inputs: vec![0, 1], ..Default::default() } };
    let [x, other] = [0, 1].map(|port| b.push(ops::Input { port }.into(), &[], D));
    let y = b.push(ops::Affine { rows: (0..D).map(|j| vec![term_of(j)]).collect() }.into(), &[x, other], D);
    range_of(&b, y, operands)
}

/// Stretches that are mixed, or of another operand, have no norm of their own.
#[test]
fn stretches_are_kept_in_their_places_alone() {
    let operands = [Range::uniform(D, -9, 9).with_stretches(D / 2, 10.0), Range::uniform(D, -9, 9)];
    let stretches = |term_of| picked(term_of, &operands).stretches;
    assert!(stretches(|j| term(0, j, -3)).is_some_and(|(len, norm)| len == D / 2 && (30.0..30.1).contains(&norm)));
    assert_eq!(stretches(|j| term(0, D - 1 - j, 1)), None);
    assert_eq!(stretches(|j| term(1, j, 1)), None);
}

/// Features of the second operand, where the first one lies in a ball.
#[test]
fn picks_from_another_operand_are_not_from_the_ball() {
    let ball = Ellipsoid::ball(D, 1.0, Arc::default()).apply(Range::uniform(D, -1, 1));
    let operands = [ball, Range::uniform(D, -100, 100)];
    assert_eq!(picked(|j| term(1, j, 1), &operands).bounds(), (-100, 100));
}

/// A mean lies among what it is of, but only when no weight is negative.
#[test]
fn weights_that_may_be_negative_bound_no_mean() {
    let context = Op::Context(ops::Context { heads: 1, kv_heads: 1, head_dim: 2 });
    let of = |lo: i64| {
        let mut b = Build { graph: Graph::default(), layer: Layer { inputs: vec![0, 1], ..Default::default() } };
        let e = b.push(ops::Input { port: 0 }.into(), &[], T);
        let v = b.push(ops::Input { port: 1 }.into(), &[], 2);
        let sum = b.push(ops::Affine { rows: vec![(0..T).map(|j| term(0, j, 1)).collect()] }.into(), &[e], 1);
        let c = b.param(1 << 20);
        let r = b.push(ops::Recip { param: c }.into(), &[sum], 1);
        let spread = b.push(ops::Affine { rows: vec![vec![term(0, 0, 1)]; 2] }.into(), &[r], 2);
        let u = b.push(context.clone(), &[e, v], 2);
        b.push(ops::Mul.into(), &[u, spread], 2);
        let ports = [Range::uniform(T, lo, 10), Range::uniform(2, -7, 100)];
        let scope =
            Scope { tokens: T, limb_bits: 8, graph: &b.graph, layer: &b.layer, ports: &ports, norms: &Arc::default() };
        scope.all().map(|all| (all[u as usize].bounds(), all[u as usize + 1].bounds()))
    };
    let (sums, means) = of(1).unwrap();
    assert_eq!((sums, means), ((-210, 3000), (-7 << 20, 100 << 20)));
    // The sum of the weights might be 0 or less, of which there is no reciprocal.
    assert!(matches!(of(-10), Err(RangeError::Domain { .. })));
    let context = |e: &Range| {
        let mut b = Build { graph: Graph::default(), layer: Layer { inputs: vec![0, 1], ..Default::default() } };
        let [e_node, v] = [T, 2].map(|features| b.push(ops::Input { port: 0 }.into(), &[], features));
        let u = b.push(context.clone(), &[e_node, v], 2);
        range_of(&b, u, &[e.clone(), Range::uniform(2, -7, 100)]).bounds()
    };
    assert_eq!(context(&Range::uniform(T, -10, 0)), (-3000, 210));
}
