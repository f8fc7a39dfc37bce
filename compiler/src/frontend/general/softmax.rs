//! Softmax over any axes, with masks recognised as hidden entries.

use super::elementwise::HUGE;
use super::graph::{Graph, Op};
use super::groups::{any, greatest, grouped, sum};
use super::read::{Read, Reader, Value};
use super::tensor::{Code, View, ZERO, axes, offsets};
use nanozk_ir::float::{Binary, Hidden, UnaryFn};
use std::collections::BTreeMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::nn::{Softmax, SoftmaxKind};

/// A score at or below this leaves no trace beside any other.
const HIDING: f64 = -1e3;

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Softmax>() else { return Ok(None) };
    if op.quant_output_dt.is_some() {
        return Err(
            "a softmax of quantised numbers; export the model with QuantizeLinear and DequantizeLinear".to_owned()
        );
    }
    let x = r.view(&args[0])?;
    let (groups, codes) = grouped(&x, &op.axes);
    let values = match op.kind {
        SoftmaxKind::Softmax => softmax(r.graph, codes, groups),
        SoftmaxKind::LogSoftmax => log_softmax(r.graph, &codes, groups),
    };
    let kept = (0..x.shape.len()).filter(|a| !op.axes.contains(a));
    let order = kept.chain((0..x.shape.len()).filter(|a| op.axes.contains(a)));
    let mut out = values.clone();
    offsets(&axes(&x.shape, order)).into_iter().zip(values).for_each(|(place, code)| out[place] = code);
    Ok(Some(vec![Value::View(View::new(&x.shape, out))]))
}

/// `x - max - ln sum exp(x - max)`.
fn log_softmax(g: &mut Graph, x: &[Code], groups: usize) -> Vec<Code> {
    let size = x.len() / groups.max(1);
    let spread = |v: Vec<Code>| v.into_iter().flat_map(|c| std::iter::repeat_n(c, size)).collect::<Vec<_>>();
    let most = spread(greatest(g, x.to_vec(), groups));
    let below = g.binary(Binary::Sub, x, &most);
    let exp = g.unary(UnaryFn::Exp, &below);
    let total = sum(g, exp, &vec![size as u32; groups]);
    let ln = spread(g.unary(UnaryFn::Ln, &total));
    g.binary(Binary::Sub, &below, &ln)
}

fn softmax(g: &mut Graph, x: Vec<Code>, groups: usize) -> Vec<Code> {
    let size = x.len() / groups.max(1);
    let masked = peel(g, &x);
    let Some(hidden) = masked.hidden else {
        return g.add(Op::Softmax { groups, hidden: None }, vec![x], groups * size, None);
    };
    let mut out = vec![ZERO; groups * size];
    // Stretches by the number of entries that take part and whether bits hide some: one node each.
    let mut kinds: BTreeMap<(usize, bool), Vec<Vec<usize>>> = BTreeMap::new();
    for group in 0..groups {
        let all = group * size..(group + 1) * size;
        let shown = |&i: &usize| g.pool.value(masked.seen[i]) != Some(0.0);
        let always = all.clone().any(|i| g.pool.value(masked.seen[i]).is_some_and(|v| v != 0.0));
        // Where every entry may be hidden, constant ones are needed for what then comes out.
        let kept: Vec<usize> = match always || hidden.value.is_infinite() {
            true => all.clone().filter(shown).collect(),
            false => all.clone().collect(),
        };
        let by_bits = kept.iter().any(|&i| !masked.seen[i].is_constant());
        if kept.is_empty() || (!always && !by_bits) {
            let value = if hidden.value.is_infinite() { f64::NAN } else { 1.0 / size as f64 };
            let code = g.pool.code(value);
            all.for_each(|i| out[i] = code);
        } else {
            kinds.entry((kept.len(), by_bits)).or_default().push(kept);
        }
    }
    for ((count, by_bits), stretches) in kinds {
        let places = stretches.concat();
        let mut args = vec![places.iter().map(|&i| masked.x[i]).collect::<Vec<_>>()];
        if by_bits {
            args.push(places.iter().map(|&i| masked.seen[i]).collect());
        }
        let op = Op::Softmax { groups: stretches.len(), hidden: by_bits.then_some(hidden) };
        let codes = g.add(op, args, stretches.len() * count, None);
        places.into_iter().zip(codes).for_each(|(i, code)| out[i] = code);
    }
    out
}

/// Scores without their mask.
struct Masked {
    x: Vec<Code>,
    /// 1 where the entry is visible, else 0.
    seen: Vec<Code>,
    /// What hidden entries count as, when there is one.
    hidden: Option<Hidden>,
}

/// Values without a mask that hides by infinity, and 1 for those that it leaves visible; nothing without such a mask.
pub(super) fn unmasked(g: &mut Graph, codes: &[Code]) -> Option<(Vec<Code>, Vec<Code>)> {
    let masked = peel(g, codes);
    let hides = masked.hidden.is_some_and(|h| h.replaces && f64::from(h.value) <= -HUGE);
    hides.then_some((masked.x, masked.seen))
}

/// Takes masks off scores, whatever way they were put on.
fn peel(g: &mut Graph, codes: &[Code]) -> Masked {
    let one = g.pool.code(1.0);
    let mut masked = Masked { x: codes.to_vec(), seen: vec![one; codes.len()], hidden: None };
    let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, code) in codes.iter().enumerate() {
        match g.pool.value(*code) {
            Some(value) if value <= HIDING => {
                (masked.x[i], masked.seen[i]) = (ZERO, ZERO);
                masked.note(Hidden { value: value as f32, replaces: true });
            }
            Some(_) => (),
            None => places.entry(code.node()).or_default().push(i),
        }
    }
    for (id, places) in places {
        let features: Vec<usize> = places.iter().map(|&i| codes[i].feature()).collect();
        let Some(part) = peel_node(g, id, &features) else { continue };
        for (at, i) in places.into_iter().enumerate() {
            (masked.x[i], masked.seen[i]) = (part.x[at], part.seen[at]);
        }
        part.hidden.into_iter().for_each(|h| masked.note(h));
    }
    masked
}

impl Masked {
    fn note(&mut self, new: Hidden) {
        self.hidden = Some(match self.hidden {
            Some(old) if old.replaces != new.replaces => Hidden { replaces: true, value: old.value.min(new.value) },
            Some(old) => Hidden { value: old.value.min(new.value), ..old },
            None => new,
        });
    }
}

/// Takes masks off some features of a node; nothing when there is none.
fn peel_node(g: &mut Graph, id: usize, features: &[usize]) -> Option<Masked> {
    let (op, args) = (g.nodes[id].op.clone(), g.nodes[id].args.clone());
    let arg = |slot: usize| -> Vec<Code> { features.iter().map(|&f| args[slot][f]).collect() };
    if let Some(bit) = of_bit(g, &op, &args, features) {
        return Some(bit);
    }
    let masked = match op {
        Op::Binary(f @ (Binary::Add | Binary::Sub)) => {
            let (a, b) = (arg(0), arg(1));
            let b = if f == Binary::Sub { negated(g, &b)? } else { b };
            let (a, b) = (peel(g, &a), peel(g, &b));
            let mut sum = Masked { x: Vec::new(), seen: Vec::new(), hidden: a.hidden };
            b.hidden.into_iter().for_each(|h| sum.note(h));
            sum.hidden?;
            sum.x = g.binary(Binary::Add, &a.x, &b.x);
            sum.seen = g.binary(Binary::And, &a.seen, &b.seen);
            sum
        }
        Op::Binary(Binary::Min) => {
            let (a, b) = (peel(g, &arg(0)), peel(g, &arg(1)));
            let plain = |m: &Masked| m.hidden.is_some() && m.x.iter().all(|&c| c == ZERO);
            if !plain(&a) || !plain(&b) {
                return None;
            }
            let seen = g.binary(Binary::And, &a.seen, &b.seen);
            Masked { seen, ..a }
        }
        Op::Binary(Binary::Mul) => {
            let (scaled, factor) = match (g.uniform(&arg(0)), g.uniform(&arg(1))) {
                (Some(c), _) => (arg(1), c),
                (_, Some(c)) => (arg(0), c),
                _ => return None,
            };
            let inner = peel(g, &scaled);
            let hidden = inner.hidden?;
            if factor <= 0.0 {
                return None;
            }
            let x = g.with_constant(Binary::Mul, &inner.x, factor);
            Masked { x, hidden: Some(Hidden { value: hidden.value * factor as f32, ..hidden }), ..inner }
        }
        Op::Select => {
            let (condition, yes, no) = (arg(0), arg(1), arg(2));
            if !condition.iter().all(|&c| g.is_bit(c)) {
                return None;
            }
            let hides = |codes: &[Code]| g.uniform(codes).filter(|&v| v <= HIDING);
            let (value, kept, visible) = match (hides(&yes), hides(&no)) {
                (None, Some(value)) => (value, &yes[..], condition),
                (Some(value), None) => (value, &no[..], g.unary(UnaryFn::Not, &condition)),
                _ => return None,
            };
            let mut inner = peel(g, kept);
            inner.note(Hidden { value: value as f32, replaces: true });
            inner.seen = g.binary(Binary::And, &inner.seen, &visible);
            inner
        }
        _ => return None,
    };
    Some(masked)
}

/// The opposite of penalties that are subtracted: constants, or what bits decide between two of them.
fn negated(g: &mut Graph, codes: &[Code]) -> Option<Vec<Code>> {
    let decided = codes.iter().all(|&c| c.is_constant() || g.choice(c).is_some());
    decided.then(|| g.unary(UnaryFn::Neg, codes))
}

/// A function of single bits that hides for one value of the bit.
fn of_bit(g: &mut Graph, op: &Op, args: &[std::sync::Arc<Vec<Code>>], features: &[usize]) -> Option<Masked> {
    // Operands of other nodes are not features one to one.
    if !matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select) {
        return None;
    }
    let apply = |x: &[f64]| match op {
        Op::Unary(f) => Some(f.apply(x[0])),
        Op::Binary(f) => Some(f.apply(x[0], x[1])),
        Op::Select => Some(if x[0] == 0.0 { x[2] } else { x[1] }),
        _ => None,
    };
    let (mut x, mut bits, mut inverted) = (Vec::new(), Vec::new(), Vec::new());
    let mut hidden: Option<Hidden> = None;
    for &f in features {
        let operands: Vec<Code> = args.iter().map(|a| a[f]).collect();
        let mut varying = operands.iter().filter(|c| !c.is_constant());
        let bit = *varying.next()?;
        if varying.any(|&c| c != bit) || !g.is_bit(bit) {
            return None;
        }
        let at = |b: f64| {
            let values: Vec<f64> = operands.iter().map(|&c| g.pool.value(c).unwrap_or(b)).collect();
            apply(&values)
        };
        let (off, on) = (at(0.0)?, at(1.0)?);
        let (low, high) = (off.min(on), off.max(on));
        if low > HIDING || high <= HIDING {
            return None;
        }
        x.push(g.pool.code(high));
        bits.push(bit);
        inverted.push(on < off);
        let replaces = low <= -HUGE;
        let value = if replaces { low } else { low - high };
        hidden = Some(Hidden { value: hidden.map_or(value as f32, |h: Hidden| h.value.min(value as f32)), replaces });
    }
    let not = g.unary(UnaryFn::Not, &bits);
    let seen = inverted.iter().enumerate().map(|(i, &inverted)| if inverted { not[i] } else { bits[i] }).collect();
    Some(Masked { x, seen, hidden })
}

/// For each element, whether it belongs to a softmax stretch that has no visible entry and gives NaN.
pub(super) fn empty_stretches(g: &mut Graph, codes: &[Code]) -> Vec<Code> {
    let one = g.pool.code(1.0);
    let mut out = vec![ZERO; codes.len()];
    let mut known: BTreeMap<(usize, usize), Code> = BTreeMap::new();
    for (i, &code) in codes.iter().enumerate() {
        if let Some(value) = g.pool.value(code) {
            out[i] = if value.is_nan() { one } else { ZERO };
            continue;
        }
        let node = g.node(code);
        let Op::Softmax { groups, hidden: Some(hidden) } = node.op else { continue };
        if hidden.value.is_finite() {
            continue;
        }
        let size = node.features / groups;
        let group = code.feature() / size;
        let seen = node.args[1][group * size..(group + 1) * size].to_vec();
        out[i] = match known.get(&(code.node(), group)) {
            Some(&empty) => empty,
            None => {
                let some = any(g, seen, 1);
                let empty = g.unary(UnaryFn::Not, &some)[0];
                known.insert((code.node(), group), empty);
                empty
            }
        };
    }
    out
}
