//! `GroupQueryAttention`, the causal attention of decoders.

use crate::frontend::refusal::{incorrect, lacks, missing, refuse};
use crate::frontend::rewrite::{
    attention::{Places, Scale, append, attend, hide, merge_heads, repeat_heads, split_heads},
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use tract_onnx::pb::NodeProto;

/// Causal attention of new tokens behind cached ones, with rotary embedding inside. All rows have as many tokens as the
/// cache and the new tokens together.
pub(super) fn group_query_attention(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (query, output) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let (heads, shared) = (node.int("num_heads", 0), node.int("kv_num_heads", 0));
    if heads < 1 || shared < 1 {
        return Err(incorrect("it has no number of heads"));
    }
    for (name, given) in [
        ("smooth_softmax", node.int("smooth_softmax", 0) > 0),
        ("head_sink", node.at(11).is_some()),
        ("qk_output", node.int("qk_output", 0) != 0),
        ("a quantised cache", node.at(12).is_some() || node.at(13).is_some()),
    ] {
        if given {
            return Err(refuse(format!("{name} is not supported"), "export the model without it"));
        }
    }
    let rotary = node.int("do_rotary", 0) != 0;
    let tables = node.at(7).zip(node.at(8)).filter(|_| rotary);
    let half = match tables.map(|(cos, _)| make.shape(cos)) {
        Some(None) => return Ok(Outcome::Later),
        Some(Some(shape)) => shape.last().copied().unwrap_or(0) as i64,
        None if rotary => return Err(lacks("the tables of its rotary embedding")),
        None => 0,
    };
    let [mut q, mut k, v] = match node.at(1).zip(node.at(2)) {
        Some((keys, values)) => [
            split_heads(make, "q", query, heads)?,
            split_heads(make, "k", keys, shared)?,
            split_heads(make, "v", values, shared)?,
        ],
        None => {
            let all = split_heads(make, "qkv", query, heads + 2 * shared)?;
            [
                make.slice("q", &all, 1, 0, heads)?,
                make.slice("k", &all, 1, heads, heads + shared)?,
                make.slice("v", &all, 1, heads + shared, i64::MAX)?,
            ]
        }
    };
    let past = match node.at(3) {
        Some(past) => Some(make.length("past", past, 2)?),
        None => None,
    };
    if let Some((cos, sin)) = tables {
        let places = match node.at(9) {
            Some(places) => places.to_owned(),
            None => {
                let count = make.length("tokens", &q, 2)?;
                let mut range = make.range("numbers", &count)?;
                if let Some(past) = &past {
                    range = make.add("places", &range, past);
                }
                make.unsqueeze("batch_places", &range, &[0])?
            }
        };
        let attributes = vec![
            node::int("interleaved", node.int("rotary_interleaved", 0)),
            node::int("rotary_embedding_dim", 2 * half),
        ];
        let mut turn =
            |part: &str, x: &str| make.op(part, "RotaryEmbedding", &[x, cos, sin, &places], attributes.clone());
        (q, k) = (turn("q_rotary", &q), turn("k_rotary", &k));
    }
    let (k, v) = (append(make, "all_keys", node.at(3), &k), append(make, "all_values", node.at(4), &v));
    make.export(&k, node.out(1));
    make.export(&v, node.out(2));
    let places = Places::new(make, &q, &k, past.as_deref())?;
    let visible = places.up_to(make, "causal", 0)?;
    let mut biases = vec![hide(make, "later", &visible, f32::NEG_INFINITY)?];
    let window = node.int("local_window_size", -1);
    if window > 0 {
        let near = places.from(make, "near", window - 1)?;
        biases.push(hide(make, "far", &near, f32::NEG_INFINITY)?);
    }
    biases.extend(node.at(10).map(str::to_owned));
    let (k, v) = (repeat_heads(make, "k", &k, shared, heads)?, repeat_heads(make, "v", &v, shared, heads)?);
    let steps = attend(make, [&q, &k, &v], Scale::attribute(node), node.float("softcap", 0.0), &biases, false)?;
    merge_heads(make, &steps.values, output)?;
    if node.at(5).is_some_and(|lengths| !make.net.is_constant(lengths)) {
        make.net.notes.push(format!(
            "GroupQueryAttention \"{}\" is proven for rows as long as its cache and its new tokens; their lengths (seqlens_k) are not read",
            node.label()
        ));
    }
    Ok(Outcome::Replaced)
}
