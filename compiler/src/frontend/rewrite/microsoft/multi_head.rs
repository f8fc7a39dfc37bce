//! `MultiHeadAttention` of queries, keys and values that are there.

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

/// Attention of queries [batch, rows, heads * size], or of all three packed as [batch, rows, heads, 3, size]; keys and
/// values likewise, packed as [.., 2, size], or [batch, heads, rows, size].
pub(super) fn multi_head_attention(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (query, output) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let heads = node.int("num_heads", 0);
    if heads < 1 {
        return Err(incorrect("it has no number of heads"));
    }
    let open = [0, 1, 2, 3, 4].iter().any(|&slot| node.at(slot).is_some_and(|x| make.shape(x).is_none()));
    let Some(shape) = make.shape(query).filter(|_| !open) else { return Ok(Outcome::Later) };
    let batch = shape.first().copied().unwrap_or(1);
    let [q, k, v] = heads_of(make, node, query, heads)?;
    let (k, v) = (append(make, "all_keys", node.at(6), &k), append(make, "all_values", node.at(7), &v));
    make.export(&k, node.out(1));
    make.export(&v, node.out(2));
    let past = match node.at(6) {
        Some(past) => Some(make.length("past", past, 2)?),
        None => None,
    };
    let mut biases = Vec::new();
    if node.int("unidirectional", 0) != 0 {
        let places = Places::new(make, &q, &k, past.as_deref())?;
        let visible = places.up_to(make, "causal", 0)?;
        biases.push(hide(make, "later", &visible, f32::NEG_INFINITY)?);
    }
    if let Some(mask) = node.at(4) {
        biases.extend(masks::bias(make, node, mask, [&q, &k], batch, past.as_deref())?);
    }
    biases.extend(node.at(5).map(str::to_owned));
    let steps = attend(make, [&q, &k, &v], Scale::attribute(node), 0.0, &biases, false)?;
    make.export(&steps.scores, node.out(3));
    merge_heads(make, &steps.values, output)?;
    Ok(Outcome::Replaced)
}

/// Queries, keys and values as [batch, heads, rows, size].
fn heads_of(make: &mut Builder<'_, '_>, node: &NodeProto, query: &str, heads: i64) -> Rewritten<[String; 3]> {
    let packed = |make: &mut Builder<'_, '_>, part: &str, x: &str, place: i64| {
        let slice = make.slice(part, x, 3, place, place + 1)?;
        let rows = make.squeeze(&format!("{part}_rows"), &slice, &[3])?;
        Rewritten::Ok(make.transpose(&format!("{part}_heads"), &rows, &[0, 2, 1, 3]))
    };
    let rank = |make: &Builder<'_, '_>, slot: usize| node.at(slot).and_then(|x| make.rank(x));
    let biased = node.at(3).is_some();
    match (rank(make, 0), node.at(1), node.at(2)) {
        (Some(5), _, _) if !biased => {
            Ok([packed(make, "q", query, 0)?, packed(make, "k", query, 1)?, packed(make, "v", query, 2)?])
        }
        (Some(3), Some(keys), None) if rank(make, 1) == Some(5) && !biased => {
            Ok([split_heads(make, "q", query, heads)?, packed(make, "k", keys, 0)?, packed(make, "v", keys, 1)?])
        }
        (Some(3), Some(keys), Some(values)) => {
            let mut rows = [query.to_owned(), keys.to_owned(), values.to_owned()];
            if let Some(bias) = node.at(3) {
                let mut from = 0;
                for (part, (slot, x)) in ["q", "k", "v"].iter().zip(rows.iter_mut().enumerate()) {
                    if rank(make, slot) != Some(3) {
                        continue;
                    }
                    let width = make.shape(x).and_then(|s| s.last().copied()).unwrap_or(0) as i64;
                    let own = make.slice(&format!("{part}_bias"), bias, 0, from, from + width)?;
                    *x = make.add(&format!("{part}_sum"), x, &own);
                    from += width;
                }
            }
            let [q, k, v] = rows;
            let split = |make: &mut Builder<'_, '_>, part: &str, slot: usize, x: &str| match rank(make, slot) {
                Some(4) => Ok(x.to_owned()),
                _ => split_heads(make, part, x, heads),
            };
            Ok([split_heads(make, "q", &q, heads)?, split(make, "k", 1, &k)?, split(make, "v", 2, &v)?])
        }
        _ => Err(refuse(
            "its queries, keys and values are packed in a way that is not supported",
            "export them as [batch, rows, hidden]",
        )),
    }
}
