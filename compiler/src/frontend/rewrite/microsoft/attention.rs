//! `Attention` with the products of queries, keys and values inside.

use super::masks;
use crate::frontend::refusal::{incorrect, missing, refuse};
use crate::frontend::rewrite::{
    attention::{Places, Scale, append, attend, hide, merge_heads, split_heads},
    builder::Builder,
    net::Rewritten,
    node::Parts,
    rule::Outcome,
};
use tract_onnx::pb::NodeProto;

/// Attention of x W + bias, which holds queries, keys and values side by side.
pub(super) fn attention(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, weights) = node.at(0).zip(node.at(1)).ok_or_else(missing)?;
    let output = node.out(0).ok_or_else(missing)?;
    let heads = node.int("num_heads", 0);
    if node.int("do_rotary", 0) != 0 {
        return Err(refuse(
            "rotary embedding inside is not supported",
            "export the model with RotaryEmbedding of its own",
        ));
    }
    let Some(width) = make.shape(weights).and_then(|s| s.last().copied()) else { return Ok(Outcome::Later) };
    let sizes = match node.ints("qkv_hidden_sizes") {
        [] => vec![width as i64 / 3; 3],
        sizes => sizes.to_vec(),
    };
    if heads < 1 || sizes.len() != 3 || sizes.iter().any(|s| s % heads != 0) {
        return Err(incorrect(format!("its {heads} heads do not divide its sizes {sizes:?}")));
    }
    let Some(batch) = make.shape(x).and_then(|s| s.first().copied()) else {
        return Ok(Outcome::Later);
    };
    if node.at(3).is_some_and(|mask| make.shape(mask).is_none()) {
        return Ok(Outcome::Later);
    }
    let mut products = make.matmul("qkv", x, weights);
    if let Some(bias) = node.at(2) {
        products = make.add("qkv_bias", &products, bias);
    }
    let mut parts = Vec::new();
    let mut from = 0;
    for (part, size) in ["q", "k", "v"].iter().zip(&sizes) {
        let slice = make.slice(part, &products, -1, from, from.saturating_add(*size))?;
        parts.push(split_heads(make, part, &slice, heads)?);
        from = from.saturating_add(*size);
    }
    let [q, k, v] = &parts[..] else { return Err(missing()) };
    let past = |make: &mut Builder<'_, '_>, part: &str, place: i64| match node.at(4) {
        Some(past) => {
            let slice = make.slice(part, past, 0, place, place + 1)?;
            make.squeeze(&format!("{part}_cache"), &slice, &[0]).map(Some)
        }
        None => Ok(None),
    };
    let (past_keys, past_values) = (past(make, "past_k", 0)?, past(make, "past_v", 1)?);
    let k = append(make, "all_keys", past_keys.as_deref(), k);
    let v = append(make, "all_values", past_values.as_deref(), v);
    if let Some(present) = node.out(1) {
        let (k, v) = (make.unsqueeze("present_k", &k, &[0])?, make.unsqueeze("present_v", &v, &[0])?);
        let both = make.concat("present", &[&k, &v], 0);
        make.export(&both, Some(present));
    }
    let offset = match &past_keys {
        Some(past) => Some(make.length("past", past, 2)?),
        None => None,
    };
    let mut biases = Vec::new();
    if node.int("unidirectional", 0) != 0 {
        let places = Places::new(make, q, &k, offset.as_deref())?;
        let visible = places.up_to(make, "causal", 0)?;
        biases.push(hide(make, "later", &visible, f32::NEG_INFINITY)?);
    }
    if let Some(mask) = node.at(3) {
        biases.extend(masks::bias(make, node, mask, [q, &k], batch, offset.as_deref())?);
    }
    biases.extend(node.at(5).map(str::to_owned));
    let steps = attend(make, [q, &k, &v], Scale::attribute(node), 0.0, &biases, false)?;
    merge_heads(make, &steps.values, output)?;
    Ok(Outcome::Replaced)
}
