//! The masks of onnxruntime's attention operators as what they add to the scores.

use crate::frontend::refusal::{incorrect, refuse};
use crate::frontend::rewrite::{
    attention::{Places, hide},
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
};
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

/// The bias of a mask whose meaning its shape tells: [batch, keys], [batch, queries, keys] and [batch, 1, rows, rows]
/// hold 1 where a key is seen; [batch] counts the keys that are seen, [2 batch] holds where they end and then where they
/// start. `None` while its shape is open.
pub(super) fn bias(
    make: &mut Builder<'_, '_>,
    node: &NodeProto,
    mask: &str,
    [q, k]: [&str; 2],
    batch: usize,
    past: Option<&str>,
) -> Rewritten<Option<String>> {
    let Some(shape) = make.shape(mask) else { return Ok(None) };
    let hidden = match node.float("mask_filter_value", 0.0) {
        0.0 => -10000.0,
        value => value,
    };
    let visible = match shape[..] {
        [n] if n == batch || n == 2 * batch => {
            let places = Places::new(make, q, k, past)?;
            let mask = make.op("lengths", "Cast", &[mask], vec![node::int("to", DataType::Int64 as i64)]);
            let ends = make.slice("ends", &mask, 0, 0, batch as i64)?;
            let ends = make.reshape("end", &ends, &[-1, 1, 1, 1])?;
            let before = places.below(make, "before", &ends);
            match n == batch {
                true => before,
                false => {
                    let starts = make.slice("starts", &mask, 0, batch as i64, i64::MAX)?;
                    let starts = make.reshape("start", &starts, &[-1, 1, 1, 1])?;
                    let early = places.below(make, "early", &starts);
                    let late = make.op("late", "Not", &[&early], Vec::new());
                    make.op("between", "And", &[&before, &late], Vec::new())
                }
            }
        }
        [_, _] => seen(make, mask, &[1, 2])?,
        [_, _, _] => seen(make, mask, &[1])?,
        [_, _, rows, _] => {
            let (_, all) = (make.length("rows", q, 2)?, make.length("columns", k, 2)?);
            let full = make.shape(q).and_then(|s| s.get(2).copied()).is_none_or(|n| n == rows);
            if !full {
                return Err(refuse(
                    format!("its mask of {rows} rows is larger than its queries, {all}"),
                    "export it with a mask of [batch, keys]",
                ));
            }
            seen(make, mask, &[])?
        }
        _ => return Err(incorrect(format!("a mask of shape {shape:?} has no known meaning"))),
    };
    hide(make, "mask", &visible, hidden).map(Some)
}

/// The mask as booleans, with more axes.
fn seen(make: &mut Builder<'_, '_>, mask: &str, axes: &[i64]) -> Rewritten<String> {
    let seen = make.op("seen", "Cast", &[mask], vec![node::int("to", DataType::Bool as i64)]);
    if axes.is_empty() { Ok(seen) } else { make.unsqueeze("seen_heads", &seen, axes) }
}
