//! Layers that do not hang together are refused before anything is evaluated or laid out, each by the check that is there
//! for it.

use nanozk_ir::int::interp::{check, check_structure};
use nanozk_ir::int::ops::{Bits, Div, FloorDiv, MatMul, Max, Normalise, OneHot, Root, Step, TopK};
use nanozk_ir::int::{Graph, Layer, Model, Node, Op, Role, Table, Tensor, Term, ops};

/// One op that reads inputs of these widths. There are a table that ends in 0, two parameters and matrices of some sizes.
fn model(op: impl Into<Op>, widths: &[u32], features: u32) -> Model {
    let tensor =
        |&features: &u32| Tensor { name: String::new(), features, scale: 1.0, lo: -9, hi: 9, role: Role::Internal };
    let node = |op, inputs: Vec<u32>, features| Node { name: "op".into(), op, inputs, features, lo: -9, hi: 9 };
    let ports = 0..widths.len() as u32;
    let mut nodes: Vec<Node> =
        ports.clone().zip(widths).map(|(port, &width)| node(Op::Input(ops::Input { port }), vec![], width)).collect();
    nodes.push(node(op.into(), ports.clone().collect(), features));
    let weights = vec![(5, 3), (2, 3), (3, 2), (1, 2), (2, 1)];
    let layer = Layer {
        name: "layer".into(),
        shape: 0,
        inputs: ports.clone().collect(),
        outputs: vec![],
        weights: weights.iter().map(|&(r, c)| vec![1; (r * c) as usize]).collect(),
        tables: vec![Table::from((0..64).map(|i| 63 - i).collect::<Vec<i64>>())],
        params: vec![7, 8],
    };
    Model {
        tokens: 2,
        limb_bits: 6,
        shapes: vec![Graph { nodes, weights, tables: 1, params: 2 }],
        layers: vec![layer],
        tensors: widths.iter().map(tensor).collect(),
        inputs: ports.collect(),
        outputs: vec![],
    }
}

/// The same for one token.
fn one_token(op: impl Into<Op>, widths: &[u32], features: u32) -> Model {
    Model { tokens: 1, ..model(op, widths, features) }
}

fn accepted(model: Model) {
    check(&model, 0).unwrap();
}

fn refused(reason: &str, model: Model) {
    let error = check_structure(&model, 0).expect_err(reason).to_string();
    assert!(error.contains(reason), "refused by another check than '{reason}': {error}");
}

#[test]
fn models_and_layers() {
    let with = |change: &dyn Fn(&mut Model)| {
        let mut model = model(ops::Mul, &[3, 3], 3);
        change(&mut model);
        model
    };
    accepted(with(&|_| ()));
    assert!(check(&with(&|_| ()), 1).is_err(), "there is no second layer");
    refused("no such shape", with(&|m| m.layers[0].shape = 1));
    for (tokens, limb_bits) in [(0, 6), (2, 1), (2, 25)] {
        refused("tokens must be positive", with(&|m| (m.tokens, m.limb_bits) = (tokens, limb_bits)));
    }
    let sizes = "tables or parameters do not have the sizes of the shape";
    refused(sizes, with(&|m| m.shapes[0].tables = 2));
    refused(sizes, with(&|m| m.shapes[0].params = 3));
    refused(sizes, with(&|m| m.layers[0].tables[0] = Table::from(vec![0; 63])));
    refused("a port names a tensor that does not exist", with(&|m| m.layers[0].inputs.push(9)));
    refused("a port names a tensor that does not exist", with(&|m| m.layers[0].outputs.push(9)));
    let weights = "weights do not have the sizes of the shape";
    for model in [with(&|m| m.layers[0].weights.truncate(3)), with(&|m| m.layers[0].weights[0].truncate(14))] {
        assert!(check(&model, 0).unwrap_err().to_string().contains(weights));
        check_structure(&model, 0).unwrap();
    }
    refused("operand 2 is not an earlier node", with(&|m| m.shapes[0].nodes[2].inputs[1] = 2));
    refused("no features", one_token(ops::Mul, &[3, 3], 0));
}

#[test]
fn operands() {
    let arity = "wrong number of operands";
    refused(arity, model(ops::Param { first: 0 }, &[1], 1));
    refused(arity, model(ops::Mul, &[1], 1));
    refused(arity, model(ops::Table { table: 0 }, &[1, 1], 1));
    refused(arity, model(ops::Const { rows: 1, data: vec![1; 3] }, &[3], 3));
    refused(arity, model(ops::Embed { weight: 0, vocab: 5 }, &[2, 2], 6));
    refused(arity, model(ops::Linear { weight: 2, bias: None, positions: 2 }, &[6, 6], 4));
    refused(arity, model(ops::TokenBias { weight: 1 }, &[3], 3));
    refused(arity, model(ops::Scores { heads: 2, kv_heads: 1, head_dim: 3 }, &[6], 4));
    refused(arity, model(ops::Input { port: 0 }, &[3], 3));
    let widths = [
        (model(ops::Mul, &[3, 2], 3), "operands of different widths"),
        (model(ops::Table { table: 0 }, &[3], 2), "another width than its operand"),
        (model(ops::Recip { param: 0 }, &[3], 2), "another width than its operand"),
        (model(ops::RSqrt { param: 0 }, &[3], 2), "another width than its operand"),
    ];
    widths.into_iter().for_each(|(model, reason)| refused(reason, model));
    accepted(model(ops::Table { table: 0 }, &[3], 3));
    refused("no such table", model(ops::Table { table: 1 }, &[3], 3));
    for (op, beyond) in [
        (Op::Recip(ops::Recip { param: 1 }), Op::Recip(ops::Recip { param: 2 })),
        (Op::RSqrt(ops::RSqrt { param: 1 }), Op::RSqrt(ops::RSqrt { param: 2 })),
    ] {
        accepted(model(op, &[3], 3));
        refused("no such parameter", model(beyond, &[3], 3));
    }
    accepted(model(ops::Param { first: 0 }, &[], 2));
    refused("no such parameter", model(ops::Param { first: 1 }, &[], 2));
}

#[test]
fn ports() {
    let output = |width| {
        let mut model = model(ops::Output { port: 0 }, &[3], width);
        model.layers[0].outputs.push(0);
        model
    };
    accepted(output(3));
    refused("another width than its tensor", output(2));
    let mut narrow = output(3);
    narrow.shapes[0].nodes[0].features = 2;
    refused("another width than its tensor", narrow);
    let mut other = output(3);
    other.tensors.push(Tensor { features: 2, ..other.tensors[0].clone() });
    other.layers[0].outputs[0] = 1;
    refused("another width than its tensor", other);
    let mut both = model(ops::Output { port: 0 }, &[3, 3], 3);
    both.layers[0].outputs.push(0);
    refused("wrong number of operands", both);
    refused("no such output port", model(ops::Output { port: 0 }, &[3], 3));
    refused("no such input port", model(ops::Input { port: 0 }, &[], 3));
}

#[test]
fn matrices() {
    let embed = |weight, vocab| Op::Embed(ops::Embed { weight, vocab });
    accepted(model(embed(0, 5), &[2], 6));
    refused("not as many rows as the operand has ids", model(embed(0, 5), &[2], 7));
    refused("weight 0 is not [4, 3]", model(embed(0, 4), &[2], 6));
    refused("weight 0 is not [5, 2]", model(embed(0, 5), &[2], 4));
    refused("weight 5 is not [5, 3]", model(embed(5, 5), &[2], 6));
    accepted(model(ops::TokenBias { weight: 1 }, &[], 3));
    accepted(model(ops::TokenBias { weight: 3 }, &[], 2));
    refused("weight 2 is not [2, 3]", model(ops::TokenBias { weight: 2 }, &[], 3));
    let linear = |weight, bias, positions| Op::Linear(ops::Linear { weight, bias, positions });
    accepted(model(linear(2, Some(3), 2), &[6], 4));
    let rows = "not one row for each position";
    refused(rows, model(linear(2, None, 0), &[6], 4));
    refused(rows, model(linear(2, None, 2), &[7], 4));
    refused(rows, model(linear(2, None, 2), &[6], 5));
    refused("weight 0 is not [3, 2]", model(linear(0, None, 2), &[6], 4));
    refused("weight 1 is not [1, 2]", model(linear(2, Some(1), 2), &[6], 4));
    let diagonal = |weight, bias, positions| Op::Diagonal(ops::Diagonal { weight, bias, positions });
    accepted(model(diagonal(4, Some(3), 2), &[4], 4));
    accepted(model(diagonal(4, None, 1), &[2], 2));
    let stretches = "not equal stretches";
    refused(stretches, model(diagonal(4, None, 0), &[2], 2));
    refused("another width than its operand", model(diagonal(4, None, 2), &[4], 2));
    refused(stretches, model(diagonal(4, None, 2), &[5], 5));
    refused("weight 4 is not [3, 1]", model(diagonal(4, None, 1), &[3], 3));
    refused("weight 3 is not [2, 1]", model(diagonal(3, None, 1), &[2], 2));
    refused("weight 1 is not [1, 2]", model(diagonal(4, Some(1), 1), &[2], 2));
}

#[test]
fn constants_and_sums() {
    let constant = |rows, count| Op::Const(ops::Const { rows, data: vec![1; count] });
    accepted(model(constant(1, 3), &[], 3));
    accepted(model(constant(2, 6), &[], 3));
    refused("wrong amount of data", model(constant(3, 9), &[], 3));
    refused("wrong amount of data", model(constant(2, 5), &[], 3));
    let sum = |input, feature| Op::Affine(ops::Affine { rows: vec![vec![Term { input, feature, coef: 1 }]] });
    accepted(model(sum(0, 2), &[3], 1));
    let outside = "a term is outside its operand";
    refused(outside, model(sum(1, 0), &[3], 1));
    refused(outside, model(sum(0, 3), &[3], 1));
    refused(outside, model(sum(0, 2), &[3], 2));
}

#[test]
fn limbs() {
    let requant = |limbs, out_limbs, clamp| Op::Requant(ops::Requant { limbs, out_limbs, clamp });
    accepted(model(requant(10, 10, false), &[3], 3));
    for model in [
        model(requant(0, 1, false), &[3], 3),
        model(requant(1, 0, false), &[3], 3),
        model(requant(11, 1, false), &[3], 3),
        model(requant(1, 11, false), &[3], 3),
        model(requant(u32::MAX, 1, false), &[3], 3),
    ] {
        refused("limbs are not between 1 and 62 bits", model);
    }
    refused("another width than its operand", model(requant(1, 1, false), &[3], 2));
    refused("a clamped result has one limb", model(requant(1, 2, true), &[3], 3));
    accepted(model(ops::Range { limbs: 10 }, &[3], 3));
    for limbs in [0, 11, u32::MAX] {
        refused("limbs are not between 1 and 62 bits", model(ops::Range { limbs }, &[3], 3));
    }
    refused("another width than its operand", model(ops::Range { limbs: 1 }, &[3], 2));
    let argmax = |groups, limbs| Op::ArgMax(ops::ArgMax { groups, limbs });
    accepted(model(argmax(2, 10), &[4], 2));
    for limbs in [0, 11] {
        refused("limbs are not between 1 and 62 bits", model(argmax(2, limbs), &[4], 2));
    }
    for (groups, width) in [(1, 2), (3, 3)] {
        refused("equal groups", model(argmax(groups, 1), &[4], width));
    }
    refused("not of one width", model(argmax(2, 1), &[4, 2], 2));
}

#[test]
fn attention() {
    let scores = |heads, kv_heads, head_dim| Op::Scores(ops::Scores { heads, kv_heads, head_dim });
    let context = |heads, kv_heads, head_dim| Op::Context(ops::Context { heads, kv_heads, head_dim });
    accepted(model(scores(2, 1, 3), &[6, 3], 4));
    accepted(model(context(2, 1, 3), &[4, 3], 6));
    for (heads, kv_heads, head_dim) in [(0, 1, 3), (2, 0, 3), (2, 1, 0), (3, 2, 1)] {
        let (h, kv) = ((heads * head_dim).max(1), (kv_heads * head_dim).max(1));
        refused("bad head geometry", model(scores(heads, kv_heads, head_dim), &[h, kv], (heads * 2).max(1)));
        refused("bad head geometry", model(context(heads, kv_heads, head_dim), &[(heads * 2).max(1), kv], h));
    }
    let heads = "widths do not match the heads";
    for (widths, features) in [([5, 3], 4), ([6, 4], 4), ([6, 3], 5)] {
        refused(heads, model(scores(2, 1, 3), &widths, features));
    }
    for (widths, features) in [([5, 3], 6), ([4, 4], 6), ([4, 3], 5)] {
        refused(heads, model(context(2, 1, 3), &widths, features));
    }
    let attend = |keys: &[u32], table, limbs, over_limbs, causal| {
        let op = Op::Attend(ops::Attend { keys: keys.to_vec(), table, limbs, over_limbs, causal });
        model(op, &[4], 4)
    };
    accepted(attend(&[2, 2], 0, 1, 1, true));
    accepted(attend(&[1, 3], 0, 1, 1, false));
    refused("no such table", attend(&[2, 2], 1, 1, 1, true));
    refused("bad limb counts", attend(&[2, 2], 0, 11, 1, true));
    refused("bad limb counts", attend(&[2, 2], 0, 1, 11, true));
    let mut table = attend(&[2, 2], 0, 1, 1, true);
    table.layers[0].tables[0] = Table::from(vec![1; 64]);
    refused("the exp table does not end in 0", table);
    let groups = "widths do not match the groups";
    refused(groups, attend(&[0, 4], 0, 1, 1, false));
    refused(groups, attend(&[2, 3], 0, 1, 1, false));
    let op = Op::Attend(ops::Attend { keys: vec![2, 2], table: 0, limbs: 1, over_limbs: 1, causal: false });
    refused("another width than its operand", model(op, &[5], 4));
    refused("a causal group has a key for each token", attend(&[1, 3], 0, 1, 1, true));
}

#[test]
fn ops_of_the_registry() {
    let width = "another width than its operand";
    let limbs = "limbs are not between 1 and 62 bits";
    accepted(model(Step { limbs: 10 }, &[3], 3));
    refused(width, model(Step { limbs: 1 }, &[3], 2));
    let floor = |divisor, limbs| FloorDiv { divisor, limbs };
    accepted(model(floor(3, 1), &[3], 3));
    refused(width, model(floor(3, 1), &[3], 2));
    refused("0 is no divisor", model(floor(0, 1), &[3], 3));
    refused("-3 is no divisor", model(floor(-3, 1), &[3], 3));
    accepted(model(Root { limbs: 1, rest_limbs: 2 }, &[3], 3));
    refused(width, model(Root { limbs: 1, rest_limbs: 2 }, &[3], 2));
    refused(limbs, model(Root { limbs: 1, rest_limbs: 0 }, &[3], 3));
    accepted(model(Div { limbs: 1, rest_limbs: 1 }, &[3, 3], 3));
    refused("operands and result of different widths", model(Div { limbs: 1, rest_limbs: 1 }, &[3, 2], 3));
    for bad in [0, 11, u32::MAX] {
        refused(limbs, model(Step { limbs: bad }, &[3], 3));
        refused(limbs, model(floor(3, bad), &[3], 3));
        refused(limbs, model(Div { limbs: bad, rest_limbs: 1 }, &[3, 3], 3));
        refused(limbs, model(Div { limbs: 1, rest_limbs: bad }, &[3, 3], 3));
        refused(limbs, model(Max { groups: 1, limbs: bad }, &[3], 1));
        refused(limbs, one_token(TopK { groups: 1, k: 1, limbs: bad }, &[3], 2));
    }
    refused(limbs, model(Normalise { limbs: 0 }, &[3], 6));
    refused(limbs, model(Normalise { limbs: 10 }, &[3], 6));
    accepted(model(Normalise { limbs: 9 }, &[3], 6));
    refused("not two features for each", model(Normalise { limbs: 1 }, &[3], 5));
    accepted(model(Bits { count: 2 }, &[3], 6));
    refused("not 2 features for each", model(Bits { count: 2 }, &[3], 5));
    refused("not 63 features for each", model(Bits { count: 63 }, &[1], 63));
    accepted(model(OneHot { depth: 2 }, &[3], 6));
    refused("not 2 features for each", model(OneHot { depth: 2 }, &[3], 5));
    accepted(model(Max { groups: 2, limbs: 1 }, &[4], 2));
    refused("3 features are not 2 equal groups", model(Max { groups: 2, limbs: 1 }, &[3], 2));
    refused("4 features are not 0 equal groups", model(Max { groups: 0, limbs: 1 }, &[4], 2));
    refused("not one feature for each group", model(Max { groups: 2, limbs: 1 }, &[4], 1));
    let top = |groups, k| TopK { groups, k, limbs: 1 };
    accepted(one_token(top(2, 2), &[4], 8));
    refused("sorting is for one token", model(top(2, 2), &[4], 8));
    refused("0 of 2 features", one_token(top(2, 0), &[4], 8));
    refused("3 of 2 features", one_token(top(2, 3), &[4], 12));
    refused("the result does not have 8 features", one_token(top(2, 2), &[4], 7));
    refused("3 features are not 2 equal groups", one_token(top(2, 1), &[3], 4));
    let product = MatMul { batch: 2, rows: 3, inner: 2, cols: 1 };
    accepted(one_token(product, &[12, 4], 6));
    refused("products of two activations are for one token", model(product, &[12, 4], 6));
    for (widths, features) in [([11, 4], 6), ([12, 5], 6), ([12, 4], 7)] {
        refused("operands or result are not 2 times 3 x 2 x 1", one_token(product, &widths, features));
    }
}
