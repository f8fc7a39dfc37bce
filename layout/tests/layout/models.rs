//! Layers of the shapes that real models have.

use crate::harness::Net;
use nanozk_ir::int::{Op, Role, ValueId};

/// `(x - mean) / deviation`, scaled and cut to one limb.
fn layer_norm(net: &mut Net, x: ValueId) -> ValueId {
    let d = net.features(x);
    let sum = net.sum(x);
    let centred = (0..d).map(|j| vec![(0, j, d as i64), (1, 0, -1)]).collect();
    let centred = net.affine(&[x, sum], centred);
    let squares = net.push(Op::Mul, &[centred, centred], d);
    let total = net.sum(squares);
    let one = net.push(Op::Const { rows: 1, data: vec![1] }, &[], 1);
    let variance = net.add(total, one);
    let param = net.param(1 << 40);
    let inverse = net.push(Op::RSqrt { param }, &[variance], 1);
    let inverse = net.broadcast(inverse, d);
    let scaled = net.push(Op::Mul, &[centred, inverse], d);
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
    let scores = net.push(Op::Scores { heads, kv_heads, head_dim }, &[q, k], heads * tokens);
    let top = (1i64 << b) - 1;
    let table = net.table(|i| if i == top { 0 } else { top / (i + 1) });
    let keys = vec![tokens; heads as usize];
    let attend = Op::Attend { keys, table, limbs: 1, over_limbs: 1, causal };
    let weights = net.push(attend, &[scores], heads * tokens);
    let context = net.push(Op::Context { heads, kv_heads, head_dim }, &[weights, v], d);
    let sums = (0..heads).map(|h| (0..tokens).map(|u| (0, h * tokens + u, 1)).collect()).collect();
    let sums = net.affine(&[weights], sums);
    let param = net.param(1 << 20);
    let inverse = net.push(Op::Recip { param }, &[sums], heads);
    let inverse = net.affine(&[inverse], (0..d).map(|j| vec![(0, j / head_dim, 1)]).collect());
    let mixed = net.push(Op::Mul, &[context, inverse], d);
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
    let hidden = net.push(Op::Table { table }, &[hidden], 4 * d);
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
        let clamped = net.push(Op::Requant { limbs: 1, out_limbs: 1, clamp: true }, &[scaled], 5);
        let table = net.table(entry);
        x = net.push(Op::Table { table }, &[clamped], 5);
    }
    let wide = net.linear(x, 4, true);
    let x = net.push(Op::Requant { limbs: 1, out_limbs: 1, clamp: true }, &[wide], 4);
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
    let embedded = net.push(Op::Embed { weight, vocab }, &[ids], d);
    let weight = net.weight(tokens, d, 300);
    let place = net.push(Op::TokenBias { weight }, &[], d);
    let rows = (0..d).map(|j| vec![(0, j, 2), (1, j, 3)]).collect();
    let x = net.affine(&[embedded, place], rows);
    let x = net.requant(x, 2);
    let side = net.random((tokens * d) as usize, 1000);
    let side = net.input(side, Role::PrivateInput);
    let side = net.push(Op::Range { limbs: 2 }, &[side], d);
    let x = net.add(x, side);
    let x = net.push(Op::Requant { limbs: 1, out_limbs: 1, clamp: true }, &[x], d);
    let wide = net.linear(x, d, false);
    let wide = net.push(Op::Requant { limbs: 1, out_limbs: 1, clamp: true }, &[wide], d);
    let table = net.table(|i| 63 - i);
    let wide = net.push(Op::Table { table }, &[wide], d);
    let angles = net.random((tokens * d) as usize, 15);
    let angles = net.push(Op::Const { rows: tokens, data: angles }, &[], d);
    let turned = net.push(Op::Mul, &[wide, angles], d);
    let gain = net.param(3);
    let gain = net.push(Op::Param { first: gain }, &[], 1);
    let gain = net.broadcast(gain, d);
    let turned = net.push(Op::Mul, &[turned, gain], d);
    let turned = net.requant(turned, 1);
    net.output(turned, Role::PublicOutput);
    let logits = net.linear(turned, vocab, true);
    let winner = net.push(Op::ArgMax { groups: 1, limbs: 3 }, &[logits], 1);
    net.output(winner, Role::PublicOutput);
    net
}
