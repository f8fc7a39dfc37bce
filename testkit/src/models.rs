//! Layers of the shapes that real models have.

use crate::net::Net;
use nanozk_ir::int::ops::{Bits, Div, FloorDiv, MatMul, Max, Normalise, OneHot, Root, Step, TopK};
use nanozk_ir::int::{Op, Role, ValueId, ops};

/// `(x - mean) / deviation`, scaled and cut to one limb.
fn layer_norm(net: &mut Net, x: ValueId) -> ValueId {
    let d = net.features(x);
    let sum = net.sum(x);
    let centred = (0..d).map(|j| vec![(0, j, d as i64), (1, 0, -1)]).collect();
    let centred = net.affine(&[x, sum], centred);
    let squares = net.push(ops::Mul.into(), &[centred, centred], d);
    let total = net.sum(squares);
    let one = net.push(ops::Const { rows: 1, data: vec![1] }.into(), &[], 1);
    let variance = net.add(total, one);
    let param = net.param(1 << 40);
    let inverse = net.push(ops::RSqrt { param }.into(), &[variance], 1);
    let inverse = net.broadcast(inverse, d);
    let scaled = net.push(ops::Mul.into(), &[centred, inverse], d);
    net.requant(scaled, 1)
}

fn attention(net: &mut Net, x: ValueId, heads: u32, kv_heads: u32, causal: bool) -> ValueId {
    let (d, tokens, b) = (net.features(x), net.model.tokens, net.model.limb_bits);
    let head_dim = d / heads;
    let width = kv_heads * head_dim;
    let qkv = net.linear(x, d + 2 * width, true);
    let qkv = net.requant(qkv, 1);
    let q = net.slice(qkv, 0..d);
    let k = net.slice(qkv, d..d + width);
    let v = net.slice(qkv, d + width..d + 2 * width);
    let scores = net.push(ops::Scores { heads, kv_heads, head_dim }.into(), &[q, k], heads * tokens);
    let top = (1i64 << b) - 1;
    let table = net.table(|i| if i == top { 0 } else { top / (i + 1) });
    let keys = vec![tokens; heads as usize];
    let attend = Op::Attend(ops::Attend { keys, table, limbs: 1, over_limbs: 1, causal });
    let weights = net.push(attend, &[scores], heads * tokens);
    let context = net.push(ops::Context { heads, kv_heads, head_dim }.into(), &[weights, v], d);
    let sums = (0..heads).map(|h| (0..tokens).map(|u| (0, h * tokens + u, 1)).collect()).collect();
    let sums = net.affine(&[weights], sums);
    let param = net.param(1 << 20);
    let inverse = net.push(ops::Recip { param }.into(), &[sums], heads);
    let inverse = net.affine(&[inverse], (0..d).map(|j| vec![(0, j / head_dim, 1)]).collect());
    let mixed = net.push(ops::Mul.into(), &[context, inverse], d);
    let mixed = net.requant(mixed, 1);
    let out = net.linear(mixed, d, true);
    net.requant(out, 1)
}

fn mlp(net: &mut Net, x: ValueId) -> ValueId {
    let d = net.features(x);
    let hidden = net.linear(x, 4 * d, true);
    let hidden = net.requant(hidden, 1);
    let half = 1i64 << (net.model.limb_bits - 1);
    let table = net.table(|i| (i - half).max(0));
    let hidden = net.push(ops::Table { table }.into(), &[hidden], 4 * d);
    let out = net.linear(hidden, d, true);
    net.requant(out, 1)
}

/// A transformer block: `d` features, `heads` query heads over `kv_heads` key heads.
pub fn block(tokens: u32, d: u32, heads: u32, kv_heads: u32, causal: bool) -> Net {
    block_of(tokens, d, heads, kv_heads, causal, 6)
}

/// The same with limbs of `bits` bits.
pub fn block_of(tokens: u32, d: u32, heads: u32, kv_heads: u32, causal: bool, bits: u32) -> Net {
    block_on(Net::new(tokens, bits), d, heads, kv_heads, causal)
}

/// The same as the only layer of an empty net.
pub fn block_on(mut net: Net, d: u32, heads: u32, kv_heads: u32, causal: bool) -> Net {
    let (tokens, bits) = (net.model.tokens, net.model.limb_bits);
    let data = net.random((tokens * d) as usize, (1 << (bits - 1)) - 1);
    let x = net.input(data, Role::Internal);
    let normal = layer_norm(&mut net, x);
    let mixed = attention(&mut net, normal, heads, kv_heads, causal);
    let x = net.add(x, mixed);
    let normal = layer_norm(&mut net, x);
    let hidden = mlp(&mut net, normal);
    let x = net.add(x, hidden);
    net.output(x, Role::Internal);
    net
}

/// A perceptron whose activations differ in their tables and in the limbs of what they clamp away.
pub fn activations(tokens: u32) -> Net {
    let mut net = Net::new(tokens, 6);
    let data = net.random((tokens * 4) as usize, 30);
    let mut x = net.input(data, Role::PrivateInput);
    let entries: [fn(i64) -> i64; 3] = [|i| (i - 32).max(0), |i| 40 - i, |i| i / 2 - 7];
    for (entry, factor) in entries.into_iter().zip([3, 300, 40]) {
        let wide = net.linear(x, 5, true);
        let scaled = net.affine(&[wide], (0..5).map(|j| vec![(0, j, factor)]).collect());
        let clamped = net.push(ops::Requant { limbs: 1, out_limbs: 1, clamp: true }.into(), &[scaled], 5);
        let table = net.table(entry);
        x = net.push(ops::Table { table }.into(), &[clamped], 5);
    }
    let wide = net.linear(x, 4, true);
    let x = net.push(ops::Requant { limbs: 1, out_limbs: 1, clamp: true }.into(), &[wide], 4);
    net.output(x, Role::PublicOutput);
    net
}

/// Tokens in, token out: table and positions, a requantisation that saturates, a private range, constants that differ
/// per token, an argmax.
pub fn language(tokens: u32, d: u32, vocab: u32, ids_role: Role) -> Net {
    let mut net = Net::new(tokens, 6);
    let ids = (0..tokens as i64).map(|t| (5 * t + 3) % vocab as i64).collect();
    let ids = net.input(ids, ids_role);
    let weight = net.weight(vocab, d, 500);
    let embedded = net.push(ops::Embed { weight, vocab }.into(), &[ids], d);
    let weight = net.weight(tokens, d, 300);
    let place = net.push(ops::TokenBias { weight }.into(), &[], d);
    let weight = net.weight(1, d, 300);
    let all = net.push(ops::TokenBias { weight }.into(), &[], d);
    let rows = (0..d).map(|j| vec![(0, j, 2), (1, j, 3), (2, j, -1)]).collect();
    let x = net.affine(&[embedded, place, all], rows);
    let x = net.requant(x, 2);
    let side = net.random((tokens * d) as usize, 1000);
    let side = net.input(side, Role::PrivateInput);
    let side = net.push(ops::Range { limbs: 2 }.into(), &[side], d);
    let x = net.add(x, side);
    let x = net.push(ops::Requant { limbs: 1, out_limbs: 1, clamp: true }.into(), &[x], d);
    let wide = net.linear(x, d, false);
    let wide = net.push(ops::Requant { limbs: 1, out_limbs: 1, clamp: true }.into(), &[wide], d);
    let table = net.table(|i| 63 - i);
    let wide = net.push(ops::Table { table }.into(), &[wide], d);
    let angles = net.random((tokens * d) as usize, 15);
    let angles = net.push(ops::Const { rows: tokens, data: angles }.into(), &[], d);
    let turned = net.push(ops::Mul.into(), &[wide, angles], d);
    let gain = net.param(3);
    let gain = net.push(ops::Param { first: gain }.into(), &[], 1);
    let gain = net.broadcast(gain, d);
    let turned = net.push(ops::Mul.into(), &[turned, gain], d);
    let turned = net.requant(turned, 1);
    net.output(turned, Role::PublicOutput);
    let logits = net.linear(turned, vocab, true);
    let winner = net.push(ops::ArgMax { groups: 1, limbs: 3 }.into(), &[logits], 1);
    net.output(winner, Role::PublicOutput);
    net
}

/// A convolution over 2 x 2 pixels with padding, whose channels are pooled, in every token.
pub fn convolution(tokens: u32) -> Net {
    let mut net = Net::new(tokens, 6);
    let data = net.random(tokens as usize * 4, 31);
    let x = net.input(data, Role::Internal);
    let pixel = |row: u32, col: u32| {
        let inside = (1..3).contains(&row) && (1..3).contains(&col);
        if inside { vec![(0, (row - 1) * 2 + col - 1, 1)] } else { Vec::new() }
    };
    let patch = |p: u32| (0..4).map(move |i| pixel(p / 3 + i / 2, p % 3 + i % 2));
    let patches = net.affine(&[x], (0..9).flat_map(patch).collect());
    let (weight, bias) = (net.weight(4, 2, 20), net.weight(1, 2, 100));
    let raw = net.push(ops::Linear { weight, bias: Some(bias), positions: 9 }.into(), &[patches], 18);
    let by_channel =
        |id: ValueId, net: &mut Net| net.affine(&[id], (0..18).map(|f| vec![(0, f % 9 * 2 + f / 9, 1)]).collect());
    let short = net.requant(raw, 1);
    let short = by_channel(short, &mut net);
    let short = net.push(Max { groups: 6, limbs: 1 }.into(), &[short], 6);
    net.output(short, Role::Internal);
    let pooled = by_channel(raw, &mut net);
    let pooled = net.push(Max { groups: 2, limbs: 3 }.into(), &[pooled], 2);
    net.output(pooled, Role::PublicOutput);
    net
}

/// One token that holds three of them: causal attention as products of two activations and a softmax over groups of one,
/// two and three keys.
pub fn flat_attention() -> Net {
    let mut net = Net::new(1, 6);
    let [q, k, v] = [(); 3].map(|()| {
        let data = net.random(6, 31);
        net.input(data, Role::Internal)
    });
    // Keys by features: the right operand is [inner, cols].
    let k = net.affine(&[k], (0..6).map(|f| vec![(0, f % 3 * 2 + f / 3, 1)]).collect());
    let sizes = MatMul { batch: 1, rows: 3, inner: 2, cols: 3 };
    let scores = net.push(sizes.into(), &[q, k], 9);
    let seen = || (0..3).flat_map(|t| (0..=t).map(move |u| (t, u)));
    let visible = net.affine(&[scores], seen().map(|(t, u)| vec![(0, t * 3 + u, 1)]).collect());
    let table = net.table(|d| if d == 63 { 0 } else { 63 - d });
    let attend = Op::Attend(ops::Attend { keys: vec![1, 2, 3], table, limbs: 1, over_limbs: 1, causal: false });
    let weights = net.push(attend, &[visible], 6);
    let place = |t: u32, u: u32| if u <= t { vec![(0, t * (t + 1) / 2 + u, 1)] } else { Vec::new() };
    let all = net.affine(&[weights], (0..9).map(|f| place(f / 3, f % 3)).collect());
    let sizes = MatMul { batch: 1, rows: 3, inner: 3, cols: 2 };
    let context = net.push(sizes.into(), &[all, v], 6);
    let context = net.requant(context, 2);
    net.output(context, Role::Internal);
    net
}

/// Comparisons, divisions, winners, floating-point forms.
pub fn comparisons(tokens: u32) -> Net {
    let mut net = Net::new(tokens, 6);
    let rows = [[-4, 6, -3, -9, 5, 5, 1, 5], [7, 1, -2, 7, 3, -8, 0, 9], [-1, 2, 4, 4, 6, 4, -31, 1]];
    let x = net.input(rows.into_iter().cycle().take(tokens as usize).flatten().collect(), Role::Internal);
    let bits = net.push(Step { limbs: 1 }.into(), &[x], 8);
    net.output(bits, Role::Internal);
    let wide = net.affine(&[x], (0..8).map(|j| vec![(0, j, 391)]).collect());
    for (divisor, limbs) in [(7, 2), (64, 2), (100, 2)] {
        let floor = net.push(FloorDiv { divisor, limbs }.into(), &[wide], 8);
        net.output(floor, Role::Internal);
    }
    let argmax = Op::ArgMax(ops::ArgMax { groups: 2, limbs: 1 });
    let winners = net.push(argmax.clone(), &[x], 2);
    net.output(winners, Role::Internal);
    let winners = net.push(argmax, &[x], 2);
    net.output(winners, Role::PublicOutput);
    let noise = net.input([0, -9, 4, 12, -2, 1, 3, -30].repeat(tokens as usize), Role::Noise);
    for (groups, role) in [(1, Role::PublicOutput), (2, Role::Internal)] {
        let drawn = net.push(ops::ArgMax { groups, limbs: 2 }.into(), &[x, noise], groups);
        net.output(drawn, role);
    }
    let positive = net.affine(&[x], vec![vec![(0, 1, 1)], vec![(0, 7, 21)], vec![(0, 4, 600)]]);
    let normal = net.push(Normalise { limbs: 2 }.into(), &[positive], 6);
    net.output(normal, Role::Internal);
    net
}

/// One token: ops that read what other ops computed. The winner of a group is embedded, and a table is read at mantissas.
pub fn chained() -> Net {
    let mut net = Net::new(1, 6);
    let x = net.input(vec![-4, 6, 6, -9], Role::Internal);
    let winner = net.push(ops::ArgMax { groups: 1, limbs: 1 }.into(), &[x], 1);
    let weight = net.weight(4, 2, 500);
    let embedded = net.push(ops::Embed { weight, vocab: 4 }.into(), &[winner], 2);
    net.output(embedded, Role::Internal);
    let one = net.push(ops::Const { rows: 1, data: vec![1] }.into(), &[], 1);
    let positive = net.affine(&[x, one], (0..4).map(|j| vec![(0, j, 13), (1, 0, 200)]).collect());
    let normal = net.push(Normalise { limbs: 2 }.into(), &[positive], 8);
    let key = net.affine(&[normal, one], (0..4).map(|j| vec![(0, j, 1), (1, 0, -32)]).collect());
    let table = net.table(|i| (i + 64) * 7);
    let read = net.push(ops::Table { table }.into(), &[key], 4);
    let exponents = net.slice(normal, 4..8);
    let product = net.push(ops::Mul.into(), &[read, exponents], 4);
    net.output(product, Role::Internal);
    net
}

/// One token: three steps of a recurrence, whose matrix and bias all of them share.
pub fn recurrence() -> Net {
    let mut net = Net::new(1, 6);
    let data = net.random(6, 20);
    let x = net.input(data, Role::Internal);
    let data = net.random(2, 20);
    let mut state = net.input(data, Role::Internal);
    let (weight, bias) = (net.weight(4, 2, 20), net.weight(1, 2, 100));
    for step in 0..3 {
        let read = vec![vec![(0, 2 * step, 1)], vec![(0, 2 * step + 1, 1)], vec![(1, 0, 1)], vec![(1, 1, 1)]];
        let read = net.affine(&[x, state], read);
        let next = net.push(ops::Linear { weight, bias: Some(bias), positions: 1 }.into(), &[read], 2);
        state = net.requant(next, 1);
    }
    net.output(state, Role::Internal);
    net
}

/// Sums over tokens: of all by constant weights, and of those that a public input shows.
pub fn pools(tokens: u32) -> Net {
    let mut net = Net::new(tokens, 6);
    let data = net.random(2 * tokens as usize, 1000);
    let x = net.input(data, Role::Internal);
    let shown: Vec<i64> = (0..tokens).map(|u| i64::from(u % 3 != 1)).collect();
    let mask = net.input(shown.repeat(tokens as usize), Role::PublicInput);
    let data = (1..=i64::from(tokens)).collect();
    let weights = net.push(ops::Const { rows: 1, data }.into(), &[], tokens);
    for weights in [weights, mask] {
        let sum = net.push(ops::Context { heads: 1, kv_heads: 1, head_dim: 2 }.into(), &[weights, x], 2);
        let sum = net.requant(sum, 1);
        net.output(sum, Role::Internal);
    }
    net
}

/// Factors of features: with a bias at two positions, one for all, added to a matrix product, and two sums whose products read
/// one diagonal and one matrix.
pub fn diagonals(tokens: u32) -> Net {
    let mut net = Net::new(tokens, 6);
    let data = net.random((tokens * 4) as usize, 20);
    let x = net.input(data, Role::Internal);
    let (pair, bias) = (net.weight(2, 1, 20), net.weight(1, 2, 100));
    let shifted = net.push(ops::Diagonal { weight: pair, bias: Some(bias), positions: 2 }.into(), &[x], 4);
    let shifted = net.requant(shifted, 1);
    net.output(shifted, Role::Internal);
    let one = net.weight(1, 1, 20);
    let scaled = net.push(ops::Diagonal { weight: one, bias: None, positions: 4 }.into(), &[shifted], 4);
    let wide = net.linear(x, 4, true);
    let each = net.weight(4, 1, 20);
    let own = net.push(ops::Diagonal { weight: each, bias: None, positions: 1 }.into(), &[x], 4);
    let sum = net.affine(&[wide, own], (0..4).map(|j| vec![(0, j, 1), (1, j, 3)]).collect());
    let sum = net.requant(sum, 1);
    net.output(sum, Role::Internal);
    let again = net.push(ops::Diagonal { weight: each, bias: None, positions: 1 }.into(), &[sum], 4);
    let last = net.add(again, scaled);
    let last = net.requant(last, 1);
    net.output(last, Role::Internal);
    let weight = net.weight(4, 4, 20);
    let shared = [
        Op::Diagonal(ops::Diagonal { weight: each, bias: None, positions: 1 }),
        Op::Linear(ops::Linear { weight, bias: None, positions: 1 }),
    ];
    for op in shared {
        let products = [x, shifted].map(|factor| net.push(op.clone(), &[factor], 4));
        let sum = net.add(products[0], products[1]);
        let sum = net.requant(sum, 1);
        net.output(sum, Role::Internal);
    }
    net
}

/// Indices, bits and quotients that are computed.
pub fn digits(tokens: u32) -> Net {
    let mut net = Net::new(tokens, 6);
    let all = |row: &[i64]| row.repeat(tokens as usize);
    let x = net.input(all(&[3, 1, 0]), Role::Internal);
    let hot = net.push(OneHot { depth: 4 }.into(), &[x], 12);
    net.output(hot, Role::Internal);
    let bits = net.push(Bits { count: 3 }.into(), &[x], 9);
    net.output(bits, Role::Internal);
    let x = net.input(all(&[-400, 391, 70]), Role::Internal);
    let z = net.input(all(&[7, 100, 1]), Role::Internal);
    let z = net.affine(&[z, z], (0..3).map(|j| vec![(0, j, 2), (1, j, -1)]).collect());
    let quotient = net.push(Div { limbs: 2, rest_limbs: 2 }.into(), &[x, z], 3);
    net.output(quotient, Role::Internal);
    net
}

/// Square roots: of a square, of the numbers next to it, and of others.
pub fn roots(tokens: u32) -> Net {
    let mut net = Net::new(tokens, 6);
    let x = net.input([1, 49, 48, 50, 2, 3900].repeat(tokens as usize), Role::Internal);
    let root = net.push(Root { limbs: 1, rest_limbs: 2 }.into(), &[x], 6);
    net.output(root, Role::Internal);
    net
}

/// One token: the greatest two of each of two groups, and a sort.
pub fn orders() -> Net {
    let mut net = Net::new(1, 6);
    let x = net.input(vec![-4, 5, 3, 7, 0, -5], Role::Internal);
    let top = net.push(TopK { groups: 2, k: 2, limbs: 2 }.into(), &[x], 8);
    net.output(top, Role::PublicOutput);
    // Not in the order of the result.
    let pair = net.affine(&[x], vec![vec![(0, 3, 1)], vec![(0, 2, 1)]]);
    let sorted = net.push(TopK { groups: 1, k: 2, limbs: 1 }.into(), &[pair], 4);
    net.output(sorted, Role::Internal);
    net
}

/// One token that holds ids at two positions.
pub fn embeddings(role: Role) -> Net {
    let mut net = Net::new(1, 6);
    let ids = net.input(vec![3, 2], role);
    let weight = net.weight(4, 3, 500);
    let embedded = net.push(ops::Embed { weight, vocab: 4 }.into(), &[ids], 6);
    let embedded = net.requant(embedded, 1);
    net.output(embedded, Role::Internal);
    net
}
