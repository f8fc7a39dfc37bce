//! Each op on hand-computed values, at the ends of its domain, and against its bounds.

use super::*;
use crate::int::{Layer, Term};
use proptest::prelude::*;

const BITS: u32 = 4;

/// An op over operands of these widths, in a layer that has what the ops of [`all`] read.
#[derive(Clone)]
struct Case {
    tokens: usize,
    bits: u32,
    graph: Graph,
    node: Node,
    layer: Layer,
    /// Least and greatest value of an operand.
    domain: (i64, i64),
}

impl Case {
    fn new(op: impl Into<Op>, widths: &[usize], features: usize) -> Self {
        let node = |op: Op, inputs: Vec<u32>, features: usize| Node {
            name: op.name().into(),
            op,
            inputs,
            features: features as u32,
            lo: -LIMIT,
            hi: LIMIT,
        };
        let nodes = widths.iter().map(|&width| node(Input { port: 0 }.into(), vec![], width)).collect();
        let node = node(op.into(), (0..widths.len() as u32).collect(), features);
        let weights = vec![(6, 4), (1, 4), (6, 1), (1, 6), (2000, 2)];
        let matrix = |&(rows, columns): &(u32, u32)| (0..(rows * columns) as i32).map(|i| i * 37 % 101 - 50).collect();
        let layer = Layer {
            weights: weights.iter().map(matrix).collect(),
            tables: vec![(0..1i64 << BITS).map(|i| 3 * (15 - i)).collect::<Vec<_>>().into()],
            params: vec![1 << 40; 6],
            ..Default::default()
        };
        let graph = Graph { nodes, weights, tables: 1, params: 6 };
        Case { tokens: 1, bits: BITS, graph, node, layer, domain: (-2000, 2000) }
    }

    fn tokens(self, tokens: usize) -> Self {
        Case { tokens, ..self }
    }

    fn within(self, least: i64, greatest: i64) -> Self {
        Case { domain: (least, greatest), ..self }
    }

    fn site(&self) -> Site<'_> {
        let ports = Ports { inputs: &[6], outputs: &[6] };
        Site::new(self.tokens as u32, self.bits, &self.graph, &self.node, ports)
    }

    fn numbers<'a>(&'a self, inputs: &'a [&'a [i64]]) -> Numbers<'a> {
        Numbers { weights: &self.layer.weights, tables: &self.layer.tables, params: &self.layer.params, inputs }
    }

    fn eval(&self, args: &[&[i64]]) -> Result<Vec<i64>, String> {
        let op = self.node.op.meaning();
        op.check(&self.site())
            .and_then(|()| op.check_tables(&self.layer.tables))
            .map_err(|misfit| misfit.to_string())?;
        op.eval(&self.site(), &self.numbers(args), args).map_err(|f| format!("{f:?}"))
    }

    fn range(&self, args: &[ranges::Range]) -> Result<ranges::Range, Unbounded> {
        let (tokens, graph, layer, norms) = (self.tokens, &self.graph, &self.layer, Default::default());
        let scope = ranges::Scope { tokens, limb_bits: self.bits, graph, layer, ports: args, norms: &norms };
        let around = Around { scope: &scope, earlier: args };
        self.node.op.meaning().range(&self.site(), &around, &args.iter().collect::<Vec<_>>())
    }
}

fn eval(op: &(impl Clone + Into<Op>), args: &[&[i64]], features: usize) -> Result<Vec<i64>, String> {
    let widths: Vec<usize> = args.iter().map(|a| a.len()).collect();
    Case::new(op.clone(), &widths, features).eval(args)
}

#[test]
fn grouped_heads_share_keys() {
    let (heads, kv_heads, head_dim) = (2, 1, 1);
    let scores = Case::new(Scores { heads, kv_heads, head_dim }, &[2, 1], 4).tokens(2);
    assert_eq!(scores.eval(&[&[1, 2, 3, 4], &[5, 7]]).unwrap(), [5, 7, 10, 14, 15, 21, 20, 28]);
    let context = Case::new(Context { heads, kv_heads, head_dim }, &[4, 1], 2).tokens(2);
    assert_eq!(context.eval(&[&[1, 0, 0, 1, 1, 1, 2, 0], &[5, 7]]).unwrap(), [5, 7, 12, 10]);
}

#[test]
fn step_is_1_from_0_on() {
    let step = |x: &[i64]| eval(&Step { limbs: 1 }, &[x], x.len());
    assert_eq!(step(&[-16, -1, 0, 1, 15]).unwrap(), [0, 0, 1, 1, 1]);
    assert!(step(&[16]).is_err() && step(&[-17]).is_err());
}

#[test]
fn max_of_each_group() {
    let max = |x: &[i64]| eval(&Max { groups: 2, limbs: 1 }, &[x], 2);
    assert_eq!(max(&[1, 3, -8, -5]).unwrap(), [3, -5]);
    assert_eq!(max(&[-15, 0, 7, 7]).unwrap(), [0, 7]);
    assert!(max(&[-16, 0, 7, 7]).is_err() && max(&[1, 2, 3]).is_err());
}

#[test]
fn floor_div_rounds_down() {
    let div = |x: &[i64]| eval(&FloorDiv { divisor: 3, limbs: 1 }, &[x], x.len());
    assert_eq!(div(&[7, -7, 3, -3, 2, -1, 23, -24]).unwrap(), [2, -3, 1, -1, 0, -1, 7, -8]);
    assert!(div(&[24]).is_err() && div(&[-25]).is_err());
    assert!(eval(&FloorDiv { divisor: 0, limbs: 1 }, &[&[1]], 1).is_err());
}

#[test]
fn matmul_of_a_batch() {
    let op = MatMul { batch: 2, rows: 1, inner: 2, cols: 2 };
    let (x, z) = ([1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(eval(&op, &[&x, &z], 4).unwrap(), [7, 10, 43, 50]);
    assert!(eval(&op, &[&z, &x], 4).is_err());
    assert!(eval(&op, &[&[1 << 61; 4], &[1 << 61; 8]], 4).is_err());
}

#[test]
fn normalised_values() {
    let normal = |x: &[i64]| eval(&Normalise { limbs: 2 }, &[x], 2 * x.len());
    assert_eq!(normal(&[1, 3, 255]).unwrap(), [0, 8, 15, 0, 1, 7]);
    assert!(normal(&[0]).is_err() && normal(&[256]).is_err());
}

#[test]
fn top_k_orders_equal_features_by_index() {
    let top = |k, x: &[i64]| eval(&TopK { groups: 1, k, limbs: 2 }, &[x], 2 * k as usize);
    assert_eq!(top(2, &[5, 7, 7, -1]).unwrap(), [7, 7, 1, 2]);
    assert_eq!(top(4, &[5, 7, 7, -1]).unwrap(), [7, 7, 5, -1, 1, 2, 0, 3]);
    assert!(top(5, &[5, 7, 7, -1]).is_err() && top(0, &[5]).is_err() && top(1, &[0, 128]).is_err());
}

#[test]
fn one_hots_and_bits() {
    let hot = |x: &[i64]| eval(&OneHot { depth: 3 }, &[x], 3 * x.len());
    assert_eq!(hot(&[2, 0]).unwrap(), [0, 0, 1, 1, 0, 0]);
    assert!(hot(&[3]).is_err() && hot(&[-1]).is_err() && eval(&OneHot { depth: 0 }, &[&[0]], 0).is_err());
    let bits = |x: &[i64]| eval(&Bits { count: 3 }, &[x], 3 * x.len());
    assert_eq!(bits(&[6, 1]).unwrap(), [0, 1, 1, 1, 0, 0]);
    assert!(bits(&[8]).is_err() && bits(&[-1]).is_err() && eval(&Bits { count: 63 }, &[&[1]], 63).is_err());
}

#[test]
fn div_rounds_down() {
    let div = |x: &[i64], z: &[i64]| eval(&Div { limbs: 1, rest_limbs: 1 }, &[x, z], x.len());
    assert_eq!(div(&[7, -7, 7, 3], &[2, 2, 1, 16]).unwrap(), [3, -4, 7, 0]);
    assert!(div(&[1], &[0]).is_err() && div(&[1], &[-1]).is_err() && div(&[1], &[17]).is_err());
    assert!(div(&[8], &[1]).is_err() && div(&[-9], &[1]).is_err());
}

#[test]
fn quotients_and_divisors_have_bounds() {
    let bounds = |x: [i64; 2], z: [i64; 2]| {
        let operands = [x, z].map(|[lo, hi]| ranges::Range::uniform(1, lo, hi));
        Case::new(Div { limbs: 1, rest_limbs: 1 }, &[1, 1], 1).range(&operands).map(|range| range.bounds()).ok()
    };
    assert_eq!(bounds([-8, 7], [1, 16]), Some((-8, 7)));
    assert_eq!(bounds([-8, 7], [0, 16]).or(bounds([-8, 7], [1, 17])), None, "divisors");
    assert_eq!(bounds([-9, 7], [1, 16]).or(bounds([-8, 8], [1, 16])), None, "quotients");
}

#[test]
fn what_is_negative_has_no_inverse_and_no_shift_changes_nothing() {
    assert_eq!((recip::recip(7, 2), recip::recip(-1, 1), recip::recip(1, 0)), (Some(3), None, None));
    assert_eq!((rsqrt::rsqrt(8, 2), rsqrt::rsqrt(-1, 1), rsqrt::rsqrt(1, 0)), (Some(2), None, None));
    assert_eq!((requant::round_shift(5, 0), requant::round_shift(-5, 1)), ((5, 0), (-2, 0)));
}

#[test]
fn softmaxes_of_what_sees_all_tokens_hide_none() {
    let sees = |operand| attention(true).node.op.meaning().sees(3, &[operand]);
    assert!(sees(Sees::Key) == Sees::Hiding && sees(Sees::All) == Sees::All);
}

#[test]
fn roots_round_down() {
    let root = |x: &[i64]| eval(&Root { limbs: 1, rest_limbs: 2 }, &[x], x.len());
    assert_eq!(root(&[0, 1, 3, 4, 8, 9, 255]).unwrap(), [0, 1, 1, 2, 2, 3, 15]);
    assert!(root(&[-1]).is_err() && root(&[256]).is_err());
    // Twice the root must fit the limbs of the rest.
    let root = |x: &[i64]| eval(&Root { limbs: 2, rest_limbs: 1 }, &[x], x.len());
    assert_eq!(root(&[63]).unwrap(), [7]);
    assert!(root(&[64]).is_err());
    assert!(eval(&Root { limbs: 15, rest_limbs: 15 }, &[&[i64::MAX]], 1).is_ok());
}

/// The check of a whole layer refuses nodes without features; that of an op divides nothing by 0 there either.
#[test]
fn nothing_has_no_parts() {
    let linear = Case::new(Linear { weight: 0, bias: None, positions: 0 }, &[0], 0);
    let diagonal = Case::new(Diagonal { weight: 2, bias: None, positions: 0 }, &[0], 0);
    let embed = Case::new(Embed { weight: 0, vocab: 6 }, &[0], 0);
    [linear, diagonal, embed].into_iter().for_each(|case| assert!(case.eval(&[&[]]).is_err()));
}

#[test]
fn ranges_hold_both_ends() {
    let range = |x: &[i64]| eval(&Range { limbs: 1 }, &[x], x.len());
    assert_eq!(range(&[-8, 0, 7]).unwrap(), [-8, 0, 7]);
    assert!(range(&[8]).is_err() && range(&[-9]).is_err());
}

#[test]
fn limbs_beyond_the_integers_are_refused() {
    for limbs in [0, 16, u32::MAX] {
        assert!(eval(&Step { limbs }, &[&[1]], 1).is_err());
        assert!(eval(&Max { groups: 1, limbs }, &[&[1]], 1).is_err());
        assert!(eval(&FloorDiv { divisor: 2, limbs }, &[&[1]], 1).is_err());
        assert!(eval(&Normalise { limbs }, &[&[1]], 2).is_err());
        assert!(eval(&Root { limbs, rest_limbs: 1 }, &[&[1]], 1).is_err());
        assert!(eval(&Root { limbs: 1, rest_limbs: limbs }, &[&[1]], 1).is_err());
        assert!(eval(&TopK { groups: 1, k: 1, limbs }, &[&[1]], 2).is_err());
    }
}

/// Every op of the registry.
fn all() -> Vec<Case> {
    let term = |input, feature, coef| Term { input, feature, coef };
    let rows = vec![vec![term(0, 1, 3), term(1, 0, -2)], vec![], vec![term(1, 5, 1), term(1, 5, 1)]];
    let (heads, kv_heads, head_dim) = (2, 1, 3);
    vec![
        Case::new(Input { port: 0 }, &[], 6).tokens(3),
        Case::new(Embed { weight: 4, vocab: 2000 }, &[2], 4).tokens(3).within(0, 1999),
        Case::new(TokenBias { weight: 3 }, &[], 6).tokens(3),
        Case::new(Linear { weight: 0, bias: Some(1), positions: 1 }, &[6], 4).tokens(3),
        Case::new(Const { rows: 3, data: (-9..9).collect() }, &[], 6).tokens(3),
        Case::new(Param { first: 0 }, &[], 6).tokens(3),
        Case::new(Affine { rows }, &[6, 6], 3).tokens(3),
        Case::new(Requant { limbs: 1, out_limbs: 3, clamp: false }, &[6], 6).tokens(3),
        Case::new(Requant { limbs: 1, out_limbs: 1, clamp: true }, &[6], 6).tokens(3),
        Case::new(Table { table: 0 }, &[6], 6).tokens(3).within(-8, 7),
        Case::new(Mul, &[6, 6], 6).tokens(3),
        Case::new(Recip { param: 0 }, &[6], 6).tokens(3).within(1, 2000),
        Case::new(RSqrt { param: 0 }, &[6], 6).tokens(3).within(1, 2000),
        Case::new(Scores { heads, kv_heads, head_dim }, &[6, 3], 6).tokens(3),
        attention(false),
        attention(true),
        Case::new(Context { heads, kv_heads, head_dim }, &[6, 3], 6).tokens(3),
        Case::new(Range { limbs: 3 }, &[6], 6).tokens(3),
        Case::new(ArgMax { groups: 2, limbs: 4 }, &[6, 6], 2).tokens(3),
        Case::new(Output { port: 0 }, &[6], 6).tokens(3),
        Case::new(Step { limbs: 3 }, &[6], 6).tokens(3),
        Case::new(Max { groups: 2, limbs: 3 }, &[6], 2).tokens(3),
        Case::new(FloorDiv { divisor: 7, limbs: 3 }, &[6], 6).tokens(3),
        Case::new(MatMul { batch: 1, rows: 2, inner: 3, cols: 2 }, &[6, 6], 4),
        Case::new(Normalise { limbs: 3 }, &[6], 12).tokens(3).within(1, 2000),
        Case::new(TopK { groups: 2, k: 2, limbs: 4 }, &[6], 8),
        Case::new(OneHot { depth: 2000 }, &[2], 4000).tokens(3).within(0, 1999),
        Case::new(Bits { count: 11 }, &[3], 33).tokens(3).within(0, 2000),
        Case::new(Div { limbs: 3, rest_limbs: 3 }, &[6, 6], 6).tokens(3).within(1, 2000),
        Case::new(Root { limbs: 2, rest_limbs: 2 }, &[6], 6).tokens(3).within(0, 2000),
        Case::new(Diagonal { weight: 2, bias: Some(3), positions: 1 }, &[6], 6).tokens(3),
    ]
}

fn attention(causal: bool) -> Case {
    Case::new(Attend { keys: vec![3, 3], table: 0, limbs: 1, over_limbs: 3, causal }, &[6], 6).tokens(3)
}

/// What a score is beyond the table is any number where the token does not see the key.
#[test]
fn of_hidden_pairs_alone_a_part_is_free() {
    let free = |causal, part| -> [Vec<usize>; 3] {
        let case = attention(causal);
        let (op, site) = (case.node.op.meaning(), case.site());
        [0, 1, 2].map(|token| (0..6).filter(|&feature| op.is_free(&site, part, token, feature)).collect())
    };
    assert_eq!(free(true, attend::OVER), [vec![1, 2, 4, 5], vec![2, 5], vec![]]);
    assert!(free(true, attend::OVER + 1).concat().is_empty() && free(false, attend::OVER).concat().is_empty());
}

#[test]
fn every_op_of_the_registry_is_tried() {
    let tried: Vec<&str> = all().iter().map(|case| case.node.op.name()).collect();
    let missing: Vec<_> = Op::NAMES.iter().filter(|name| !tried.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

proptest! {
    /// Whatever the operands within their bounds, the result is within its, what the prover chooses is there for every
    /// token, narrower limbs give the same, and no row depends on more tokens than the op says.
    #[test]
    fn ops_keep_their_word(
        ends in proptest::collection::vec((-2000i64..2000, 0i64..1000), 12),
        at in proptest::collection::vec(0f64..=1.0, 12),
        other in proptest::collection::vec(0f64..=1.0, 12),
    ) {
        for case in all() {
            let (name, op, site) = (case.node.op.name(), case.node.op.meaning(), case.site());
            let (least, greatest) = case.domain;
            let (mut args, mut others, mut ranges, mut first) = (Vec::new(), Vec::new(), Vec::new(), 0);
            let widths = if site.widths.is_empty() { vec![6] } else { site.widths.clone() };
            for width in widths {
                let each = ends[first..first + width].iter();
                let (lo, hi): (Vec<i64>, Vec<i64>) = each
                    .map(|&(lo, more)| (lo.clamp(least, greatest), (lo + more).clamp(least, greatest)))
                    .unzip();
                let x = |token: usize, at: &[f64]| -> Vec<i64> {
                    let place = |j: usize| at[(first + j + 5 * token) % at.len()];
                    (0..width).map(|j| lo[j] + ((hi[j] - lo[j]) as f64 * place(j)) as i64).collect()
                };
                let rows = |last: &[f64]| -> Vec<i64> {
                    (0..case.tokens).flat_map(|t| x(t, if t + 1 == case.tokens { last } else { &at })).collect()
                };
                args.push(rows(&at));
                others.push(rows(&other));
                ranges.push(ranges::Range::new(lo, hi));
                first += width;
            }
            let args: Vec<&[i64]> = args.iter().map(Vec::as_slice).collect();
            let out = case.eval(&args);
            prop_assert!(out.is_ok(), "{}: {:?}", name, out);
            let (out, n) = (out.unwrap(), site.features);
            prop_assert_eq!(out.len(), case.tokens * n);
            let range = case.range(&ranges).unwrap();
            prop_assert_eq!(range.lo.len(), n);
            for row in out.chunks_exact(n) {
                for (j, y) in row.iter().enumerate() {
                    prop_assert!((range.lo[j]..=range.hi[j]).contains(y), "{} feature {}: {}", name, j, y);
                }
                let norm = row.iter().map(|&y| (y as f64).powi(2)).sum::<f64>().sqrt();
                prop_assert!(norm <= range.norm, "{}: norm {} > {}", name, norm, range.norm);
            }
            for part in op.parts(&site, &case.numbers(&[]), &args, &out) {
                prop_assert!(!part.is_empty() && part.len() % case.tokens == 0, "{}", name);
            }

            let mut halved = Case { bits: BITS / 2, ..case.clone() };
            if halved.node.op.meaning_mut().halve(8) {
                prop_assert_eq!(halved.eval(&args), Ok(out.clone()), "{} with limbs of half the width", name);
            }

            let others: Vec<&[i64]> = others.iter().map(Vec::as_slice).collect();
            let (seen, last) = (op.sees(case.tokens as u32, &[Sees::Past, Sees::Past]), case.tokens - 1);
            let changed = case.eval(&others).unwrap();
            for (at, (y, other)) in out.iter().zip(&changed).enumerate() {
                let (token, key) = (at / n, at % n % case.tokens);
                let may_change = token == last || seen == Sees::All || seen == Sees::Key && key == last;
                prop_assert!(may_change || y == other, "{}: token {} feature {}", name, token, at % n);
                prop_assert!(seen != Sees::Hiding || key <= token || *y == 0, "{}: token {} sees {}", name, token, key);
            }
        }
    }

    /// Operands outside the domain are an error of the analysis too.
    #[test]
    fn ranges_refuse_what_evaluation_refuses(x in -70_000i64..70_000, y in -70_000i64..70_000) {
        let cases = [
            Case::new(Step { limbs: 2 }, &[2], 2),
            Case::new(Max { groups: 1, limbs: 2 }, &[2], 1),
            Case::new(FloorDiv { divisor: 5, limbs: 2 }, &[2], 2),
            Case::new(Normalise { limbs: 2 }, &[2], 4),
            Case::new(TopK { groups: 1, k: 1, limbs: 2 }, &[2], 2),
            Case::new(OneHot { depth: 50_000 }, &[2], 100_000),
            Case::new(Bits { count: 16 }, &[2], 32),
            Case::new(Requant { limbs: 1, out_limbs: 3, clamp: false }, &[2], 2),
            Case::new(Table { table: 0 }, &[2], 2),
            Case::new(Root { limbs: 2, rest_limbs: 3 }, &[2], 2),
            Case::new(Recip { param: 0 }, &[2], 2),
            Case::new(RSqrt { param: 0 }, &[2], 2),
            Case::new(ArgMax { groups: 1, limbs: 2 }, &[2], 1),
            Case::new(Attend { keys: vec![2], table: 0, limbs: 1, over_limbs: 2, causal: false }, &[2], 2),
        ];
        for case in cases {
            let range = case.range(&[ranges::Range::new(vec![x, y], vec![x, y])]);
            let value = case.eval(&[&[x, y]]);
            let told = format!("{}: {range:?} {value:?}", case.node.op.name());
            prop_assert!(range.is_err() || value.is_ok(), "{}", told);
            // How far scores are apart is bounded but for the rounding of each.
            let rounded = matches!(case.node.op, Op::Attend(_)) && ((x - y).abs() - (270 << BITS)).abs() <= 1 << BITS;
            prop_assert!(range.is_ok() || value.is_err() || rounded, "{}", told);
        }
    }

    #[test]
    fn normal_form_is_the_only_one(x in 1i64..1 << 40) {
        let (m, e) = {
            let out = eval(&Normalise { limbs: 10 }, &[&[x]], 2).unwrap();
            (i128::from(out[0]), out[1])
        };
        let scaled = i128::from(x) << BITS;
        prop_assert!((0..1 << BITS).contains(&m));
        prop_assert!((m + (1 << BITS)) << e <= scaled && scaled < (m + 1 + (1 << BITS)) << e);
    }
}
