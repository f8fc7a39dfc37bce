//! Each op on hand-computed values, edges of every domain, and properties that define the helpers.

use super::*;
use crate::float::UnaryFn;
use crate::int::Op;
use crate::int::table::Curve;
use crate::int::{Layer, Role, Table, Tensor, Term, ops};
use proptest::prelude::*;

/// A one-layer model over one `[tokens, width]` input, with the graph that `build` makes.
fn model(tokens: u32, width: u32, b: u32, build: impl FnOnce(&mut Graph, &mut Layer)) -> Model {
    let tensor =
        |name: &str, features, role| Tensor { name: name.into(), features, scale: 1.0, lo: -LIMIT, hi: LIMIT, role };
    let mut layer = Layer { name: "layer".into(), inputs: vec![0], ..Default::default() };
    let mut shape = Graph::default();
    shape.push(node("in", ops::Input { port: 0 }.into(), &[], width));
    build(&mut shape, &mut layer);
    Model {
        tokens,
        limb_bits: b,
        shapes: vec![shape],
        layers: vec![layer],
        tensors: vec![tensor("in", width, Role::PublicInput)],
        inputs: vec![0],
        outputs: vec![],
    }
}

fn node(name: &str, op: Op, inputs: &[u32], features: u32) -> Node {
    Node { name: name.into(), op, inputs: inputs.to_vec(), features, lo: -LIMIT, hi: LIMIT }
}

fn last(m: &Model, input: &[i64]) -> Result<Vec<i64>, Error> {
    Ok(run(m, 0, &[input])?.pop().unwrap_or_default())
}

/// What the clamps of the model took from an input.
fn clamped(m: &Model, input: Vec<i64>) -> Vec<Clamp> {
    let mut seen = Vec::new();
    run_seen(m, &[input], &mut |layer, values| seen.extend(clamps(m, layer, values))).unwrap();
    seen
}

#[test]
fn requant_rounds_half_up_and_saturates() {
    let m = |clamp, out_limbs| {
        model(1, 5, 4, |g, _| {
            g.push(node("q", ops::Requant { limbs: 1, out_limbs, clamp }.into(), &[0], 5));
        })
    };
    let x = [8, 7, -8, -9, 119];
    assert_eq!(last(&m(false, 1), &x).unwrap(), [1, 0, 0, -1, 7]);
    let beyond = [120, -136, -137, 0, 0];
    assert_eq!(last(&m(true, 1), &beyond).unwrap(), [7, -8, -8, 0, 0]);
    let err = last(&m(false, 1), &beyond).unwrap_err().to_string();
    assert!(err.contains("layer `layer`, node 1 `q`, token 0, feature 0: value 8"), "{err}");
    assert_eq!(last(&m(false, 2), &beyond).unwrap(), [8, -8, -9, 0, 0]);
}

#[test]
fn linear_leaves_i64_with_an_error() {
    let m = model(1, 2, 8, |g, l| {
        g.weights.push((2, 1));
        g.push(node("w", ops::Linear { weight: 0, bias: None, positions: 1 }.into(), &[0], 1));
        l.weights.push(vec![1 << 20, 1 << 20]);
    });
    assert_eq!(last(&m, &[1 << 40, -(1 << 40)]).unwrap(), [0]);
    assert!(matches!(last(&m, &[1 << 61, 1 << 61]).unwrap_err(), Error::Value { .. }));
}

#[test]
fn linear_and_bias() {
    let m = model(2, 2, 8, |g, l| {
        g.weights.extend([(2, 3), (1, 3)]);
        g.push(node("w", ops::Linear { weight: 0, bias: Some(1), positions: 1 }.into(), &[0], 3));
        l.weights.extend([vec![1, 2, 3, 4, 5, 6], vec![10, 0, -10]]);
    });
    assert_eq!(last(&m, &[1, 1, -1, 2]).unwrap(), [15, 7, -1, 17, 8, -1]);
}

#[test]
fn embed_refuses_ids_outside_the_vocabulary() {
    let m = model(2, 1, 8, |g, l| {
        g.weights.push((3, 2));
        g.push(node("e", ops::Embed { weight: 0, vocab: 3 }.into(), &[0], 2));
        l.weights.push(vec![1, 2, 3, 4, 5, 6]);
    });
    assert_eq!(last(&m, &[2, 0]).unwrap(), [5, 6, 1, 2]);
    assert!(last(&m, &[0, 3]).unwrap_err().to_string().contains("token 1, feature 0: value 3 outside [0, 2]"));
    assert!(last(&m, &[-1, 0]).is_err());
}

#[test]
fn one_matrix_serves_all_positions() {
    let m = model(2, 4, 8, |g, l| {
        g.weights.extend([(2, 3), (1, 3)]);
        g.push(node("w", ops::Linear { weight: 0, bias: Some(1), positions: 2 }.into(), &[0], 6));
        l.weights.extend([vec![1, 2, 3, 4, 5, 6], vec![10, 0, -10]]);
    });
    assert_eq!(last(&m, &[1, 1, -1, 2, 0, 0, 1, 0]).unwrap(), [15, 7, -1, 17, 8, -1, 10, 0, -10, 11, 2, -7]);
    let wide = last(&m, &[0, 0, 1 << 61, 1 << 61, 0, 0, 0, 0]).unwrap_err().to_string();
    assert!(wide.contains("token 0, feature 3"), "{wide}");
}

#[test]
fn a_diagonal_multiplies_feature_by_feature() {
    let m = model(2, 4, 8, |g, l| {
        g.weights.extend([(2, 1), (1, 2)]);
        g.push(node("w", ops::Diagonal { weight: 0, bias: Some(1), positions: 2 }.into(), &[0], 4));
        l.weights.extend([vec![3, -5], vec![10, 0]]);
    });
    assert_eq!(last(&m, &[1, 2, 3, 4, -1, 0, 0, 1]).unwrap(), [13, -10, 19, -20, 7, 0, 10, -5]);
    let wide = last(&m, &[0, 0, 1 << 61, 0, 0, 0, 0, 0]).unwrap_err().to_string();
    assert!(wide.contains("token 0, feature 2"), "{wide}");
}

#[test]
fn embed_reads_an_id_for_each_position() {
    let m = model(1, 3, 8, |g, l| {
        g.weights.push((3, 2));
        g.push(node("e", ops::Embed { weight: 0, vocab: 3 }.into(), &[0], 6));
        l.weights.push(vec![1, 2, 3, 4, 5, 6]);
    });
    assert_eq!(last(&m, &[2, 0, 1]).unwrap(), [5, 6, 1, 2, 3, 4]);
    assert!(last(&m, &[2, 0, 3]).unwrap_err().to_string().contains("token 0, feature 2: value 3 outside [0, 2]"));
}

#[test]
fn attend_over_groups_of_several_sizes() {
    let m = model(1, 6, 2, |g, l| {
        g.tables = 1;
        l.tables.push(vec![4, 2, 1, 0].into());
        let keys = vec![1, 3, 2];
        g.push(node("a", ops::Attend { keys, table: 0, limbs: 1, over_limbs: 1, causal: false }.into(), &[0], 6));
    });
    assert_eq!(last(&m, &[-9, 0, 4, -4, -16, 0]).unwrap(), [4, 2, 4, 1, 0, 4]);
}

#[test]
fn argmax_within_groups() {
    let m = model(2, 4, 2, |g, _| {
        g.push(node("m", ops::ArgMax { groups: 2, limbs: 2 }.into(), &[0], 2));
    });
    assert_eq!(last(&m, &[1, 3, 3, -5, -5, -5, 0, 1]).unwrap(), [1, 0, 0, 1]);
    assert!(last(&m, &[0, 0, 0, 16, 0, 0, 0, 0]).unwrap_err().to_string().contains("token 0, feature 2"));
}

#[test]
fn affine_const_and_param() {
    let m = model(2, 2, 8, |g, l| {
        g.params = 1;
        l.params.push(100);
        g.push(node("c", ops::Const { rows: 2, data: vec![7, 8] }.into(), &[], 1));
        g.push(node("p", ops::Param { first: 0 }.into(), &[], 1));
        let term = |input, feature, coef| Term { input, feature, coef };
        let rows = vec![vec![term(0, 0, 2), term(0, 1, -1), term(1, 0, 1)], vec![term(2, 0, 1)]];
        g.push(node("a", ops::Affine { rows }.into(), &[0, 1, 2], 2));
    });
    assert_eq!(last(&m, &[1, 2, 3, 4]).unwrap(), [7, 100, 10, 100]);
}

#[test]
fn table_covers_its_whole_domain() {
    let m = model(1, 2, 2, |g, l| {
        g.tables = 1;
        l.tables.push(vec![10, 11, 12, 13].into());
        g.push(node("q", ops::Requant { limbs: 1, out_limbs: 1, clamp: true }.into(), &[0], 2));
        g.push(node("t", ops::Table { table: 0 }.into(), &[1], 2));
    });
    assert_eq!(last(&m, &[-100, 100]).unwrap(), [10, 13]);
    assert_eq!(last(&m, &[0, -4]).unwrap(), [12, 11]);
}

#[test]
fn attention_row_by_row() {
    let table = vec![16, 8, 4, 0];
    let row = ops::attend::attend_row(&[4, 0, -40, 99], 3, &table, 2);
    assert_eq!(row.max, 1);
    assert_eq!(row.shifted, [1, 0, -10, 0]);
    assert_eq!((row.distance, row.over, row.weight), (vec![0, 1, 3, 0], vec![0, 0, 8, 0], vec![16, 8, 0, 0]));
}

#[test]
fn attend_needs_enough_over_limbs() {
    let m = |over_limbs| {
        model(2, 2, 2, |g, l| {
            g.tables = 1;
            l.tables.push(vec![4, 2, 1, 0].into());
            let op = Op::Attend(ops::Attend { keys: vec![2], table: 0, limbs: 1, over_limbs, causal: false });
            g.push(node("a", op, &[0], 2));
        })
    };
    assert_eq!(last(&m(0), &[0, 4, 0, -12]).unwrap(), [2, 4, 4, 0]);
    assert!(last(&m(0), &[0, 4, 0, -16]).unwrap_err().to_string().contains("token 1, feature 1: value 1"));
    assert_eq!(last(&m(1), &[0, 4, 0, -16]).unwrap(), [2, 4, 4, 0]);
}

#[test]
fn argmax_takes_the_lowest_index() {
    let m = model(2, 3, 2, |g, _| {
        g.push(node("m", ops::ArgMax { groups: 1, limbs: 2 }.into(), &[0], 1));
    });
    assert_eq!(last(&m, &[1, 3, 3, -5, -5, -5]).unwrap(), [1, 0]);
    assert!(last(&m, &[0, 16, 0, 0, 0, 0]).is_err());
}

#[test]
fn bounds_are_enforced() {
    let mut m = model(1, 1, 4, |g, _| {
        g.push(node("sq", ops::Mul.into(), &[0, 0], 1));
    });
    m.shapes[0].nodes[1].hi = 99;
    assert_eq!(last(&m, &[9]).unwrap(), [81]);
    assert!(last(&m, &[10]).unwrap_err().to_string().contains("value 100 outside"));
}

#[test]
fn malformed_shapes_are_refused() {
    let ops: Vec<(Op, Vec<u32>)> = vec![
        (Op::Mul(ops::Mul), vec![0]),
        (Op::Mul(ops::Mul), vec![0, 5]),
        (Op::Linear(ops::Linear { weight: 0, bias: None, positions: 1 }), vec![0]),
        (Op::Diagonal(ops::Diagonal { weight: 0, bias: None, positions: 1 }), vec![0]),
        (Op::Param(ops::Param { first: 0 }), vec![]),
        (Op::Table(ops::Table { table: 0 }), vec![0]),
        (Op::Requant(ops::Requant { limbs: 99, out_limbs: 1, clamp: false }), vec![0]),
        (Op::Scores(ops::Scores { heads: 3, kv_heads: 2, head_dim: 1 }), vec![0, 0]),
        (Op::Input(ops::Input { port: 1 }), vec![]),
        (Op::Output(ops::Output { port: 0 }), vec![0]),
        (Op::Affine(ops::Affine { rows: vec![vec![Term { input: 0, feature: 9, coef: 1 }]] }), vec![0]),
        (Op::Const(ops::Const { rows: 3, data: vec![1; 3] }), vec![]),
        (Op::Attend(ops::Attend { keys: vec![0], table: 0, limbs: 1, over_limbs: 1, causal: false }), vec![0]),
        (Op::ArgMax(ops::ArgMax { groups: 0, limbs: 1 }), vec![0]),
        (crate::int::ops::MatMul { batch: 1, rows: 1, inner: 1, cols: 1 }.into(), vec![0, 0]),
        (crate::int::ops::Max { groups: 0, limbs: 1 }.into(), vec![0]),
    ];
    for (op, inputs) in ops {
        let text = format!("{op:?}");
        let m = model(2, 1, 4, |g, _| {
            g.push(node("bad", op, &inputs, 1));
        });
        assert!(matches!(last(&m, &[0, 0]), Err(Error::Malformed { .. })), "{text} was accepted");
    }
}

#[test]
fn layers_are_chained_by_tensors() {
    let mut m = model(1, 1, 4, |g, l| {
        g.push(node("sq", ops::Mul.into(), &[0, 0], 1));
        g.push(node("out", ops::Output { port: 0 }.into(), &[1], 1));
        l.outputs.push(1);
    });
    for _ in 0..2 {
        m.tensors.push(m.tensors[0].clone());
    }
    m.layers.push(Layer { inputs: vec![1], outputs: vec![2], ..m.layers[0].clone() });
    assert_eq!(run_model(&m, &[vec![3]]).unwrap(), [vec![3], vec![9], vec![81]]);
    m.layers.swap(0, 1);
    assert!(matches!(run_model(&m, &[vec![3]]), Err(Error::Unwritten { tensor: 1, .. })));
}

proptest! {
    #[test]
    fn rounded_values_recompose(x in -LIMIT..LIMIT, shift in 1u32..48) {
        let (y, remainder) = ops::requant::round_shift(x, shift);
        let left = i128::from(x) + (1i128 << (shift - 1));
        prop_assert_eq!(i128::from(y) * (1i128 << shift) + i128::from(remainder), left);
        prop_assert!((0..1i128 << shift).contains(&remainder.into()));
    }

    #[test]
    fn inverses_are_the_only_floors(c in 0..LIMIT, v in 1..LIMIT, small in 1i64..5000) {
        for v in [v, small] {
            let r = i128::from(ops::recip::recip(c, v).unwrap());
            let (c128, v128) = (i128::from(c), i128::from(v));
            prop_assert!(r * v128 <= c128 && c128 < (r + 1) * v128);
            let s = i128::from(ops::rsqrt::rsqrt(c, v).unwrap());
            prop_assert!(s * s * v128 <= c128 && c128 < (s + 1) * (s + 1) * v128);
        }
        prop_assert_eq!(ops::recip::recip(c, 0), None);
        prop_assert_eq!(ops::rsqrt::rsqrt(c, -v), None);
    }

    #[test]
    fn attend_rows_recompose(x in proptest::collection::vec(-5000i64..5000, 1..9), seen in 1usize..9) {
        let table = [64, 32, 16, 8, 4, 2, 1, 0];
        let seen = seen.min(x.len());
        let row = ops::attend::attend_row(&x, seen, &table, 3);
        prop_assert!(row.shifted[..seen].contains(&row.max));
        for u in 0..x.len() {
            if u < seen {
                prop_assert_eq!((x[u] + 4).div_euclid(8), row.shifted[u]);
                prop_assert_eq!(row.max - row.shifted[u], row.distance[u] + row.over[u]);
                prop_assert!(row.over[u] >= 0 && (row.over[u] == 0 || row.distance[u] == 7));
                prop_assert_eq!(row.weight[u], table[row.distance[u] as usize]);
            } else {
                prop_assert_eq!((row.shifted[u], row.distance[u], row.weight[u]), (0, 0, 0));
            }
        }
    }

    #[test]
    fn fast_and_exact_products_agree(x in proptest::collection::vec(-(1i64 << 42)..1 << 42, 4), w in proptest::collection::vec(-(1i32 << 20)..1 << 20, 4)) {
        let exact: i128 = x.iter().zip(&w).map(|(&a, &b)| i128::from(a) * i128::from(b)).sum();
        match ops::linear::product(1, &x, 4, &w, None, 1) {
            Ok(v) => prop_assert_eq!(i128::from(v[0]), exact),
            Err(f) => prop_assert_eq!(f.value, exact),
        }
    }
}

#[test]
fn tables_say_where_a_function_leaves_them() {
    let mut m = model(2, 2, 4, |g, _| {
        g.tables = 1;
        g.push(node("t", ops::Table { table: 0 }.into(), &[0], 2));
    });
    // Values of ln(x / 2) in units of 1/4: none at 0 and below, 3.66 and 4.39 at 5 and 6, of which 4 are kept.
    let curve = |last| Curve { function: UnaryFn::Ln, origin: 8, unit: 0.5, scale: 4.0, limit: 4, last };
    let mut seen = |x: Vec<i64>, last| {
        m.layers[0].tables = vec![Table::of(4, curve(last))];
        clamped(&m, x).remove(0)
    };
    let all = seen(vec![4, 5, 0, -3], None);
    assert_eq!((all.node.as_str(), all.cells, all.saturated, all.load), ("t", 4, 2, f64::INFINITY));
    let kept = seen(vec![4, 5, 2, 2], None);
    assert_eq!((kept.saturated, kept.load), (0, 1.0));
    assert_eq!(seen(vec![4, 7, 2, 2], None).saturated, 1);
    // A last entry that is meant to be another is none that saturates.
    assert_eq!(seen(vec![4, 7, 2, 2], Some(0)).saturated, 0);
}

#[test]
fn clamps_say_what_they_took() {
    let m = model(2, 2, 4, |g, _| {
        g.push(node("q", ops::Requant { limbs: 1, out_limbs: 1, clamp: true }.into(), &[0], 2));
        g.push(node("free", ops::Requant { limbs: 1, out_limbs: 2, clamp: false }.into(), &[0], 2));
    });
    // In units of 16: 7 is the greatest value kept, -8 the least.
    let seen = clamped(&m, vec![7 * 16, 8 * 16, -8 * 16, -14 * 16]);
    let expected = Clamp { layer: "layer".into(), node: "q".into(), cells: 4, saturated: 2, load: 2.0 };
    assert_eq!(seen, std::slice::from_ref(&expected));
    let other = Clamp { cells: 3, saturated: 1, load: 1.5, ..expected.clone() };
    assert_eq!(expected.merged(&other), Clamp { cells: 7, saturated: 3, load: 2.0, ..other });
}

/// Of sums of squares to which nothing is added, those that are 0 have no root to divide by.
#[test]
fn roots_say_which_sums_were_0() {
    let zeros = |epsilon: bool| {
        let term = |input, feature| Term { input, feature, coef: 1 };
        let m = model(2, 2, 4, |g, layer| {
            (g.params, layer.params) = (1, vec![1 << 20]);
            let squares = g.push(node("squares", ops::Mul.into(), &[0, 0], 2));
            let one = g.push(node("one", ops::Const { rows: 1, data: vec![1] }.into(), &[], 1));
            let mut row = vec![term(0, 0), term(0, 1)];
            row.extend(epsilon.then_some(term(1, 0)));
            let added = [squares, one];
            let operands = &added[..1 + usize::from(epsilon)];
            let sums = g.push(node("sums", ops::Affine { rows: vec![row] }.into(), operands, 1));
            let kept = ops::Requant { limbs: 1, out_limbs: 2, clamp: false };
            let kept = g.push(node("kept", kept.into(), &[sums], 1));
            let rows = vec![vec![term(0, 0), term(1, 0)]];
            let more = g.push(node("more", ops::Affine { rows }.into(), &[kept, one], 1));
            g.push(node("root", ops::RSqrt { param: 0 }.into(), &[more], 1));
        });
        clamped(&m, vec![0, 0, 3, 4]).into_iter().find(|clamp| clamp.node == "root").map(|clamp| clamp.saturated)
    };
    assert_eq!((zeros(false), zeros(true)), (Some(1), None));
}

/// Of groups of low scores those count that no mask of bits hid.
#[test]
fn softmaxes_say_which_groups_are_low_throughout() {
    let low = |masked: bool| {
        let m = model(1, 4, 4, |g, layer| {
            let curve = Curve { function: UnaryFn::Exp, origin: 15, unit: 1.0, scale: 8.0, limit: 8, last: Some(0) };
            (g.tables, layer.tables) = (1, vec![Table::of(4, curve)]);
            let one = g.push(node("one", ops::Const { rows: 1, data: vec![1] }.into(), &[], 1));
            let row = |feature| {
                let own = Term { input: 0, feature, coef: 1 };
                let mask = Term { input: 1, feature: 0, coef: if masked { -1_000_000 } else { 0 } };
                vec![own, mask]
            };
            let scores = g.push(node("scores", ops::Affine { rows: (0..4).map(row).collect() }.into(), &[0, one], 4));
            let attend = ops::Attend { keys: vec![2, 2], table: 0, limbs: 1, over_limbs: 8, causal: false };
            g.push(node("softmax", attend.into(), &[scores], 4));
        });
        clamped(&m, vec![-9_000_000, -9_000_000, -9_000_000, 0])
            .into_iter()
            .find(|clamp| clamp.node == "softmax")
            .map(|clamp| clamp.saturated)
    };
    assert_eq!((low(false), low(true)), (Some(2), Some(0)));
}
