//! Sequence layers of a state: `LinearAttention` and `CausalConvWithState`.

use super::{
    attention::{merge_heads, repeat_heads, split_heads},
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use crate::frontend::refusal::{incorrect, lacks, missing, refuse};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// Most steps.
const MAX_STEPS: usize = 1 << 12;

/// Linear attention step by step: with the state S [batch, heads, key size, value size],
///
/// ```text
/// S = exp(decay) S    v = beta (v - k S)    S = S + k' v    y = scale q S
/// ```
pub(super) fn linear_attention(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let missing = || lacks("queries, keys or values");
    let (Some(q), Some(k), Some(v), Some(y)) = (node.at(0), node.at(1), node.at(2), node.out(0)) else {
        return Err(missing());
    };
    let Some(shape) = make.shape(q) else { return Ok(Outcome::Later) };
    let decay_shape = node.at(4).map(|d| make.shape(d));
    let beta_shape = node.at(5).map(|b| make.shape(b));
    if decay_shape == Some(None) || beta_shape == Some(None) {
        return Ok(Outcome::Later);
    }
    let (heads, shared) = (node.int("q_num_heads", 0), node.int("kv_num_heads", 0));
    if shape.len() != 3 || heads < 1 || shared < 1 || !shape[2].is_multiple_of(heads as usize) {
        return Err(incorrect(format!("its queries of the shape {shape:?} have no {heads} heads")));
    }
    let steps = shape[1];
    if steps == 0 || steps > MAX_STEPS {
        return Err(refuse(
            format!("it runs {steps} steps"),
            format!("between 1 and {MAX_STEPS} can be proven: choose another length"),
        ));
    }
    let scale = match node.float("scale", 0.0) {
        0.0 => (shape[2] as f32 / heads as f32).sqrt().recip(),
        scale => scale,
    };
    let q = split_heads(make, "q", q, heads)?;
    let (k, v) = (split_heads(make, "k", k, shared)?, split_heads(make, "v", v, shared)?);
    let keys = make.transpose("keys", &k, &[0, 1, 3, 2]);
    let factors = match node.at(4) {
        Some(decay) => {
            let split = split_heads(make, "decay", decay, shared)?;
            let turned = make.transpose("decays", &split, &[0, 1, 3, 2]);
            Some(make.op("factors", "Exp", &[&turned], Vec::new()))
        }
        None => None,
    };
    let beta = match (node.at(5), beta_shape.flatten()) {
        (Some(beta), Some(shape)) => Some(split_heads(make, "beta", beta, shape.last().map_or(1, |&n| n as i64))?),
        _ => None,
    };
    let mut state = node.at(3).map(str::to_owned);
    let mut rows = Vec::new();
    for t in 0..steps as i64 {
        let row = |make: &mut Builder<'_, '_>, part: &str, x: &str, axis: i64| {
            make.slice(&format!("{part}{t}"), x, axis, t, t + 1)
        };
        let (query, key) = (row(make, "query", &q, 2)?, row(make, "key", &k, 2)?);
        let (column, mut value) = (row(make, "column", &keys, 3)?, row(make, "value", &v, 2)?);
        if let (Some(old), Some(factors)) = (&state, &factors) {
            let factor = row(make, "factor", factors, 3)?;
            state = Some(make.mul(&format!("decayed{t}"), old, &factor));
        }
        if let Some(beta) = &beta {
            if let Some(old) = &state {
                let known = make.matmul(&format!("known{t}"), &key, old);
                value = make.op(&format!("news{t}"), "Sub", &[&value, &known], Vec::new());
            }
            let beta = row(make, "weight", beta, 2)?;
            value = make.mul(&format!("weighted{t}"), &value, &beta);
        }
        let written = make.matmul(&format!("written{t}"), &column, &value);
        let new = match &state {
            Some(old) => make.add(&format!("state{t}"), old, &written),
            None => written,
        };
        let read = repeat_heads(make, &format!("state{t}"), &new, shared, heads)?;
        rows.push(make.matmul(&format!("read{t}"), &query, &read));
        state = Some(new);
    }
    let all = make.concat("rows", &rows.iter().map(String::as_str).collect::<Vec<_>>(), 2);
    let scaled = make.scale("scaled", &all, scale)?;
    if let Some(state) = &state {
        make.export(state, node.out(1));
    }
    merge_heads(make, &scaled, y)?;
    Ok(Outcome::Replaced)
}

/// A convolution of each channel with what came before, and the end of it for the next call.
pub(super) fn causal_conv(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (Some(x), Some(w), Some(y)) = (node.at(0), node.at(1), node.out(0)) else { return Err(missing()) };
    let (Some(shape), Some(kernel)) = (make.shape(x), make.shape(w)) else { return Ok(Outcome::Later) };
    let (&[batch, channels, length], &[_, _, taps]) = (&shape[..], &kernel[..]) else {
        return Err(incorrect(format!("its input has the shape {shape:?}, its kernel {kernel:?}")));
    };
    let before = taps.saturating_sub(1);
    let all = match (node.at(3), before) {
        (_, 0) => x.to_owned(),
        (Some(past), _) => make.concat("all", &[past, x], 2),
        (None, _) => {
            let zeros = Tensor::zero::<f32>(&[batch, channels, before])?;
            let zeros = make.constant("zeros", &zeros)?;
            make.concat("all", &[&zeros, x], 2)
        }
    };
    let inputs: Vec<&str> = [Some(&all[..]), Some(w), node.at(2)].into_iter().flatten().collect();
    let attributes = vec![node::int("group", channels as i64), node::ints("kernel_shape", &[taps as i64])];
    let conv = make.op("conv", "Conv", &inputs, attributes);
    match matches!(&node.text("activation")[..], "silu" | "swish") {
        true => {
            let gate = make.op("gate", "Sigmoid", &[&conv], Vec::new());
            make.last("Mul", &[&conv, &gate], y, Vec::new());
        }
        false => make.last("Identity", &[&conv], y, Vec::new()),
    }
    if let Some(present) = node.out(1) {
        let end = make.slice("present", &all, 2, length as i64, i64::MAX)?;
        make.export(&end, Some(present));
    }
    Ok(Outcome::Replaced)
}
