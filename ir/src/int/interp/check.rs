//! Structural checks of a layer, so that evaluation can index without care.

use super::Error;
use crate::int::gadgets::Site;
use crate::int::{Graph, Known, Layer, Model, Node, Op};

/// Checks that layer `layer` and its shape agree with each other (operands, widths, weights, tables, parameters,
/// ports) and returns the shape.
///
/// # Errors
/// [`Error::Malformed`] with the first node that does not fit.
pub fn check<W: Known>(model: &Model<W>, layer: usize) -> Result<&Graph, Error> {
    let l = model.layers.get(layer).ok_or(Error::NoLayer { layer })?;
    check_sizes(model, layer, l.weights.sizes())
}

/// [`check`] of a layer whose matrices have so many weights.
pub(super) fn check_sizes<W>(model: &Model<W>, layer: usize, found: Vec<u64>) -> Result<&Graph, Error> {
    let shape = check_structure(model, layer)?;
    let l = &model.layers[layer];
    let sizes = shape.weights.iter().map(|&(rows, columns)| u64::from(rows) * u64::from(columns));
    if sizes.eq(found) { Ok(shape) } else { Err(whole(l, "weights do not have the sizes of the shape")) }
}

fn whole<W>(l: &Layer<W>, why: &str) -> Error {
    Error::Malformed { layer: l.name.clone(), node: 0, name: "shape".into(), why: why.into() }
}

/// [`check`] without the weights.
///
/// # Errors
/// As [`check`].
pub fn check_structure<W>(model: &Model<W>, layer: usize) -> Result<&Graph, Error> {
    let l = model.layers.get(layer).ok_or(Error::NoLayer { layer })?;
    let whole = |why: &str| whole(l, why);
    let shape = model.shapes.get(l.shape as usize).ok_or_else(|| whole("no such shape"))?;
    if model.tokens == 0 || !(2..=24).contains(&model.limb_bits) {
        return Err(whole("tokens must be positive and limb_bits within 2..=24"));
    }
    let data_fits = l.tables.len() == shape.tables as usize
        && l.tables.iter().all(|t| t.check(model.limb_bits))
        && l.params.len() == shape.params as usize;
    if !data_fits {
        return Err(whole("tables or parameters do not have the sizes of the shape"));
    }
    if l.inputs.iter().chain(&l.outputs).any(|&id| id as usize >= model.tensors.len()) {
        return Err(whole("a port names a tensor that does not exist"));
    }
    for (i, node) in shape.nodes.iter().enumerate() {
        if let Err(why) = node_fits(model, l, shape, i, node) {
            return Err(Error::Malformed { layer: l.name.clone(), node: i as u32, name: node.name.clone(), why });
        }
    }
    Ok(shape)
}

fn node_fits<W>(model: &Model<W>, l: &Layer<W>, shape: &Graph, i: usize, node: &Node) -> Result<(), String> {
    let t = u64::from(model.tokens);
    if let Some(v) = node.inputs.iter().find(|&&v| v as usize >= i) {
        return Err(format!("operand {v} is not an earlier node"));
    }
    let widths: Vec<u64> = node.inputs.iter().map(|&v| shape.nodes[v as usize].features.into()).collect();
    let n = u64::from(node.features);
    let need = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_string()) };
    let arity = match node.op {
        Op::Input { .. } | Op::TokenBias { .. } | Op::Const { .. } | Op::Param { .. } => Some(0),
        Op::Affine { .. } | Op::ArgMax { .. } | Op::Gadget(_) => None,
        Op::Mul | Op::Scores { .. } | Op::Context { .. } => Some(2),
        _ => Some(1),
    };
    need(arity.is_none_or(|a| a == widths.len()), "wrong number of operands")?;
    need(n > 0, "no features")?;
    let same = widths.iter().all(|&w| w == n);
    let weight = |w: u32, rows: u64, cols: u64| {
        let found = shape.weights.get(w as usize).is_some_and(|&(r, c)| u64::from(r) == rows && u64::from(c) == cols);
        need(found, &format!("weight {w} is not [{rows}, {cols}]"))
    };
    let table = |k: u32| need(k < shape.tables, "no such table");
    let param = |first: u32, len: u64| need(u64::from(first) + len <= shape.params.into(), "no such parameter");
    let heads = |h: u32, kv: u32, hd: u32| need(kv > 0 && hd > 0 && h > 0 && h.is_multiple_of(kv), "bad head geometry");
    match &node.op {
        Op::Input { port } => {
            let id = l.inputs.get(*port as usize).ok_or("no such input port")?;
            need(u64::from(model.tensors[*id as usize].features) == n, "another width than its tensor")
        }
        Op::Output { port } => {
            let id = l.outputs.get(*port as usize).ok_or("no such output port")?;
            need(same && u64::from(model.tensors[*id as usize].features) == n, "another width than its tensor")
        }
        Op::Embed { weight: w, vocab } => {
            need(widths[0] > 0 && n.is_multiple_of(widths[0]), "not as many rows as the operand has ids")?;
            weight(*w, (*vocab).into(), n / widths[0])
        }
        Op::TokenBias { weight: w } => weight(*w, 1, n).or_else(|_| weight(*w, t, n)),
        Op::Linear { weight: w, bias, positions } => {
            let p = u64::from(*positions);
            need(p > 0 && widths[0].is_multiple_of(p) && n.is_multiple_of(p), "not one row for each position")?;
            weight(*w, widths[0] / p, n / p)?;
            bias.map_or(Ok(()), |b| weight(b, 1, n / p))
        }
        Op::Diagonal { weight: w, bias, positions } => {
            let p = u64::from(*positions);
            need(same && p > 0 && n.is_multiple_of(p), "not the operand's width, or not equal stretches")?;
            weight(*w, n / p, 1)?;
            bias.map_or(Ok(()), |b| weight(b, 1, n / p))
        }
        Op::Const { rows, data } => {
            let rows = u64::from(*rows);
            need((rows == 1 || rows == t) && data.len() as u64 == rows * n, "wrong amount of data")
        }
        Op::Param { first } => param(*first, n),
        Op::Affine { rows } => {
            let fits =
                |term: &crate::int::Term| widths.get(term.input as usize).is_some_and(|&w| u64::from(term.feature) < w);
            need(rows.len() as u64 == n && rows.iter().flatten().all(fits), "a term is outside its operand")
        }
        Op::Requant { limbs, out_limbs, clamp } => {
            let bits = |m: u32| m.checked_mul(model.limb_bits).is_some_and(|v| v <= 62);
            need(same && *limbs > 0 && *out_limbs > 0 && bits(*limbs) && bits(*out_limbs), "bad limb counts")?;
            need(!clamp || *out_limbs == 1, "a clamped result has one limb")
        }
        Op::Table { table: k } => {
            need(same, "another width than its operand")?;
            table(*k)
        }
        Op::Mul => need(same, "operands of different widths"),
        Op::Recip { param: p } | Op::RSqrt { param: p } => {
            need(same, "another width than its operand")?;
            param(*p, 1)
        }
        Op::Scores { heads: h, kv_heads, head_dim } => {
            heads(*h, *kv_heads, *head_dim)?;
            let (h, kv, hd) = (u64::from(*h), u64::from(*kv_heads), u64::from(*head_dim));
            need(widths == [h * hd, kv * hd] && n == h * t, "widths do not match the heads")
        }
        Op::Attend { keys, table: k, limbs, over_limbs, causal } => {
            table(*k)?;
            let bits = |m: u32| m.checked_mul(model.limb_bits).is_some_and(|v| v <= 62);
            need(bits(*limbs) && bits(*over_limbs), "bad limb counts")?;
            need(l.tables[*k as usize].last_value() == Some(0), "the exp table does not end in 0")?;
            let total: u64 = keys.iter().map(|&keys| u64::from(keys)).sum();
            need(!keys.contains(&0) && same && n == total, "widths do not match the groups")?;
            need(!causal || keys.iter().all(|&keys| u64::from(keys) == t), "a causal group has a key for each token")
        }
        Op::Context { heads: h, kv_heads, head_dim } => {
            heads(*h, *kv_heads, *head_dim)?;
            let (h, kv, hd) = (u64::from(*h), u64::from(*kv_heads), u64::from(*head_dim));
            need(widths == [h * t, kv * hd] && n == h * hd, "widths do not match the heads")
        }
        Op::Range { limbs } => {
            let fits = limbs.checked_mul(model.limb_bits).is_some_and(|v| v <= 62);
            need(same && *limbs > 0 && fits, "bad limb count")
        }
        Op::ArgMax { groups, limbs } => {
            let fits = limbs.checked_mul(model.limb_bits).is_some_and(|v| v <= 62);
            let width = match *widths {
                [x] => x,
                [x, noise] if x == noise => x,
                _ => 0,
            };
            let equal = n == u64::from(*groups) && width > 0 && width.is_multiple_of(n);
            need(equal && *limbs > 0 && fits, "bad operands, limb count or groups")
        }
        Op::Gadget(gadget) => {
            let widths: Vec<usize> = widths.iter().map(|&w| w as usize).collect();
            let (tokens, limb_bits) = (model.tokens as usize, model.limb_bits);
            let site = Site { tokens, limb_bits, widths: &widths, features: node.features as usize };
            gadget.meaning().check(&site)
        }
    }
}
