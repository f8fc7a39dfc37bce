//! Scaled dot-product attention in plain operators, and ONNX's `Attention` (operator sets 23 and later) in terms of it.
//!
//! Queries, keys and values are [batch, heads, rows, size]; scores are [batch, heads, queries, keys].

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use crate::frontend::refusal::{incomplete, incorrect, lacks, refuse};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// What scores are multiplied with.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    /// This number.
    Given(f32),
    /// 1 / sqrt(size of a head).
    HeadSize,
}

impl Scale {
    /// An attribute, absent or 0 for the default.
    pub fn attribute(node: &NodeProto) -> Scale {
        match node.float("scale", 0.0) {
            0.0 => Scale::HeadSize,
            scale => Scale::Given(scale),
        }
    }
}

/// The steps of an attention.
pub(super) struct Steps {
    /// Scaled scores.
    pub scores: String,
    /// After the soft cap.
    pub capped: String,
    /// With all that is added to them.
    pub biased: String,
    /// Attention weights.
    pub weights: String,
    /// [batch, heads, queries, size of a value].
    pub values: String,
}

/// [batch, rows, heads * size] as [batch, heads, rows, size].
pub(super) fn split_heads(make: &mut Builder<'_, '_>, part: &str, x: &str, heads: i64) -> Rewritten<String> {
    let split = make.reshape(&format!("{part}_split"), x, &[0, 0, heads, -1])?;
    Ok(make.transpose(&format!("{part}_heads"), &split, &[0, 2, 1, 3]))
}

/// [batch, heads, rows, size] as [batch, rows, heads * size], under the name of an output of the file.
pub(super) fn merge_heads(make: &mut Builder<'_, '_>, x: &str, output: &str) -> Rewritten<()> {
    let rows = make.transpose("merged", x, &[0, 2, 1, 3]);
    let shape = make.list("merged_shape", &[0, 0, -1])?;
    make.last("Reshape", &[&rows, &shape], output, Vec::new());
    Ok(())
}

/// Keys or values of `heads` heads for `queries` heads of queries: each stands for as many neighbours.
pub(super) fn repeat_heads(
    make: &mut Builder<'_, '_>,
    part: &str,
    x: &str,
    heads: i64,
    queries: i64,
) -> Rewritten<String> {
    if heads == queries {
        return Ok(x.to_owned());
    }
    if heads < 1 || queries < 1 || queries % heads != 0 || queries > 1 << 16 {
        return Err(incorrect(format!("{queries} heads of queries cannot share {heads} heads of keys")));
    }
    let indices: Vec<i64> = (0..queries).map(|q| q / (queries / heads)).collect();
    let indices = make.list(&format!("{part}_shared"), &indices)?;
    Ok(make.gather(&format!("{part}_repeated"), x, &indices, 1))
}

/// softmax(scale * q k' (capped) + biases) v. With `empty` a query may see no key at all: it gets 0.
pub(super) fn attend(
    make: &mut Builder<'_, '_>,
    [q, k, v]: [&str; 3],
    scale: Scale,
    softcap: f32,
    biases: &[String],
    empty: bool,
) -> Rewritten<Steps> {
    let turned = make.transpose("keys", k, &[0, 1, 3, 2]);
    let products = make.matmul("products", q, &turned);
    let scores = match scale {
        Scale::Given(scale) => make.scale("scores", &products, scale)?,
        Scale::HeadSize => {
            let size = make.length("size", q, 3)?;
            let size = make.as_float("size_float", &size);
            let root = make.op("size_root", "Sqrt", &[&size], Vec::new());
            make.op("scores", "Div", &[&products, &root], Vec::new())
        }
    };
    let capped = match softcap > 0.0 {
        true => {
            let small = make.scale("cap_in", &scores, softcap.recip())?;
            let bent = make.op("cap", "Tanh", &[&small], Vec::new());
            make.scale("cap_out", &bent, softcap)?
        }
        false => scores.clone(),
    };
    let mut biased = capped.clone();
    for bias in biases {
        biased = make.add("biased", &biased, bias);
    }
    let mut weights = make.op("weights", "Softmax", &[&biased], vec![node::int("axis", -1)]);
    if empty {
        let (blind, zero) = (make.op("blind", "IsNaN", &[&weights], Vec::new()), make.scalar("unseen", 0.0)?);
        weights = make.op("some_weights", "Where", &[&blind, &zero, &weights], Vec::new());
    }
    let values = make.matmul("values", &weights, v);
    Ok(Steps { scores, capped, biased, weights, values })
}

/// 0 where a boolean is true and `hidden` elsewhere.
pub(super) fn hide(make: &mut Builder<'_, '_>, part: &str, visible: &str, hidden: f32) -> Rewritten<String> {
    let zero = make.scalar(&format!("{part}_visible"), 0.0)?;
    let hidden = make.scalar(&format!("{part}_hidden"), hidden)?;
    Ok(make.op(part, "Where", &[visible, &zero, &hidden], Vec::new()))
}

/// Where queries and keys stand: query i at `i + offset`, key j at j.
pub(super) struct Places {
    /// [.., queries, 1].
    queries: String,
    /// [1, keys].
    keys: String,
}

impl Places {
    /// Of queries behind `offset` earlier keys, a scalar or [batch, 1, 1, 1]; none by default.
    pub fn new(make: &mut Builder<'_, '_>, q: &str, k: &str, offset: Option<&str>) -> Rewritten<Places> {
        let count = make.length("query_count", q, 2)?;
        let queries = make.range("query_places", &count)?;
        let mut queries = make.unsqueeze("query_column", &queries, &[1])?;
        if let Some(offset) = offset {
            queries = make.add("query_offset", &queries, offset);
        }
        let count = make.length("key_count", k, 2)?;
        let keys = make.range("key_places", &count)?;
        let keys = make.unsqueeze("key_row", &keys, &[0])?;
        Ok(Places { queries, keys })
    }

    /// Whether key j <= query i + `ahead`.
    pub fn up_to(&self, make: &mut Builder<'_, '_>, part: &str, ahead: i64) -> Rewritten<String> {
        let ahead = make.constant(&format!("{part}_ahead"), &tensor0(ahead.saturating_add(1)))?;
        let limit = make.add(&format!("{part}_limit"), &self.queries, &ahead);
        Ok(make.op(part, "Less", &[&self.keys, &limit], Vec::new()))
    }

    /// Whether key j >= query i - `behind`.
    pub fn from(&self, make: &mut Builder<'_, '_>, part: &str, behind: i64) -> Rewritten<String> {
        let behind = make.constant(&format!("{part}_behind"), &tensor0(behind.saturating_add(1)))?;
        let limit = make.op(&format!("{part}_limit"), "Sub", &[&self.queries, &behind], Vec::new());
        Ok(make.op(part, "Less", &[&limit, &self.keys], Vec::new()))
    }

    /// Whether key j < `count`, integers that broadcast to [.., 1, keys].
    pub fn below(&self, make: &mut Builder<'_, '_>, part: &str, count: &str) -> String {
        make.op(part, "Less", &[&self.keys, count], Vec::new())
    }
}

/// Earlier keys or values and the new ones, along the rows.
pub(super) fn append(make: &mut Builder<'_, '_>, part: &str, past: Option<&str>, new: &str) -> String {
    past.map_or_else(|| new.to_owned(), |past| make.concat(part, &[past, new], 2))
}

/// ONNX `Attention`, operator sets 23 to 28.
pub(super) fn attention(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (Some(q), Some(k), Some(v), Some(output)) = (node.at(0), node.at(1), node.at(2), node.out(0)) else {
        return Err(lacks("queries, keys or values"));
    };
    let (Some(rank), mask) = (make.rank(q), node.at(3)) else { return Ok(Outcome::Later) };
    let flat = rank == 3;
    let heads = |make: &Builder<'_, '_>, name: &str, x: &str| match (node.int(name, 0), flat) {
        (n, true) => Some(n),
        (_, false) => make.shape(x).and_then(|s| s.get(1).map(|&n| n as i64)),
    };
    let (Some(query_heads), Some(key_heads)) = (heads(make, "q_num_heads", q), heads(make, "kv_num_heads", k)) else {
        return Ok(Outcome::Later);
    };
    let boolean = match mask.map(|m| make.is_boolean(m)) {
        Some(None) => return Ok(Outcome::Later),
        Some(Some(boolean)) => boolean,
        None => false,
    };
    let lengths = mask.map(|m| (make.shape(m), make.shape(k), node.at(4).map(|p| make.shape(p))));
    if lengths.as_ref().is_some_and(|(m, k, past)| m.is_none() || k.is_none() || *past == Some(None)) {
        return Ok(Outcome::Later);
    }
    let split = |make: &mut Builder<'_, '_>, part: &str, x: &str, heads: i64| match flat {
        true if heads < 1 => Err(incomplete("it has no number of heads")),
        true => split_heads(make, part, x, heads),
        false => Ok(x.to_owned()),
    };
    let q = split(make, "q", q, query_heads)?;
    let (k, v) = (split(make, "k", k, key_heads)?, split(make, "v", v, key_heads)?);
    let (k, v) = (append(make, "all_keys", node.at(4), &k), append(make, "all_values", node.at(5), &v));
    make.export(&k, node.out(1));
    make.export(&v, node.out(2));
    let mut biases = Vec::new();
    if let (Some(mask), Some((Some(shape), Some(keys), past))) = (mask, lengths) {
        let past = past.flatten().and_then(|s| s.get(2).copied()).unwrap_or(0);
        let keys = keys.get(if flat { 1 } else { 2 }).map_or(0, |n| n + past);
        biases.push(mask_bias(make, mask, boolean, &shape, keys)?);
    }
    let windows = [node.int("left_window_size", -1), node.int("right_window_size", -1)];
    let causal = node.int("is_causal", 0) != 0;
    if causal || windows.iter().any(|&w| w >= 0) || node.at(6).is_some() {
        biases.extend(place_biases(make, node, &q, &k, causal, windows)?);
    }
    let keys = repeat_heads(make, "k", &k, key_heads, query_heads)?;
    let values = repeat_heads(make, "v", &v, key_heads, query_heads)?;
    let empty = mask.is_some() || node.at(6).is_some() || windows.iter().any(|&w| w >= 0);
    let steps = attend(make, [&q, &keys, &values], Scale::attribute(node), node.float("softcap", 0.0), &biases, empty)?;
    let seen = match node.int("qk_matmul_output_mode", 0) {
        0 => &steps.scores,
        1 => &steps.capped,
        2 => &steps.biased,
        _ => &steps.weights,
    };
    make.export(seen, node.out(3));
    match flat {
        true => merge_heads(make, &steps.values, output)?,
        false => make.last("Identity", &[&steps.values], output, Vec::new()),
    }
    Ok(Outcome::Replaced)
}

/// What a mask adds to the scores; keys beyond a short mask are hidden.
fn mask_bias(make: &mut Builder<'_, '_>, mask: &str, boolean: bool, shape: &[usize], keys: usize) -> Rewritten<String> {
    let bias = if boolean { hide(make, "mask", mask, f32::NEG_INFINITY)? } else { mask.to_owned() };
    let given = shape.last().copied().unwrap_or(1);
    if given >= keys || given == 1 && keys > 1 && shape.len() < 2 {
        return Ok(bias);
    }
    let mut rest = shape.to_vec();
    rest[shape.len() - 1] = keys - given;
    let rest = tensor0(f32::NEG_INFINITY)
        .broadcast_scalar_to_shape(&rest)
        .map_err(|e| refuse(e.to_string(), "correct the mask"))?;
    let rest = make.constant("mask_rest", &rest)?;
    Ok(make.concat("mask_all", &[&bias, &rest], -1))
}

/// What the places of queries and keys add to the scores.
fn place_biases(
    make: &mut Builder<'_, '_>,
    node: &NodeProto,
    q: &str,
    k: &str,
    causal: bool,
    [left, right]: [i64; 2],
) -> Rewritten<Vec<String>> {
    let mut biases = Vec::new();
    let valid = match node.at(6) {
        Some(valid) => Some(make.reshape("valid", valid, &[-1, 1, 1, 1])?),
        None => None,
    };
    let offset = match (node.at(4), &valid) {
        (Some(past), _) => Some(make.length("past", past, 2)?),
        (None, Some(valid)) => {
            let queries = make.length("queries", q, 2)?;
            Some(make.op("offset", "Sub", &[valid, &queries], Vec::new()))
        }
        (None, None) => None,
    };
    let places = Places::new(make, q, k, offset.as_deref())?;
    let mut visible = Vec::new();
    if causal {
        visible.push(places.up_to(make, "causal", 0)?);
    }
    if right >= 0 {
        visible.push(places.up_to(make, "right", right)?);
    }
    if left >= 0 {
        visible.push(places.from(make, "left", left)?);
    }
    if let Some(valid) = &valid {
        visible.push(places.below(make, "padding", valid));
    }
    for visible in visible {
        biases.push(hide(make, "hidden", &visible, f32::NEG_INFINITY)?);
    }
    Ok(biases)
}
