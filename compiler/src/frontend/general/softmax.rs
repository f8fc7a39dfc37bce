//! Softmax over any axes, with masks recognised as hidden entries.

use super::function::{Elementwise, HUGE};
use super::graph::{Graph, Op};
use super::groups::{any, greatest, grouped, sum};
use super::read::{Read, Reader, Value};
use super::tensor::{Code, View, ZERO, axes, offsets};
use crate::frontend::refusal::refuse;
use nanozk_ir::float::{Binary, HIDING, Hidden, UnaryFn};
use std::collections::BTreeMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::nn::{Softmax, SoftmaxKind};

/// Steps of floats around less than this are greater than distances between scores: a sum with it is it.
const ABSORBING: f64 = -5e8;
/// Steps of floats around less than this are a sixteenth or more: a sum with it rounds the score.
const ROUNDING: f64 = -1e6;

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Softmax>() else { return Ok(None) };
    if op.quant_output_dt.is_some() {
        return Err(refuse(
            "a softmax of quantised numbers",
            "export the model with QuantizeLinear and DequantizeLinear",
        ));
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
    if masked.penalty.iter().all(Option::is_none) {
        return g.add(Op::Softmax { groups, hidden: None }, vec![x], groups * size, None);
    }
    let mut out = vec![ZERO; groups * size];
    // Stretches that are computed alike: one node each.
    let mut kinds: BTreeMap<Kind, Vec<Vec<usize>>> = BTreeMap::new();
    for group in 0..groups {
        let all = group * size..(group + 1) * size;
        match stretch(g, &masked, all.clone()) {
            Stretch::Undefined => {
                let nan = g.pool.code(f64::NAN);
                all.for_each(|i| out[i] = nan);
            }
            Stretch::Even(places) => {
                let share = g.pool.code(1.0 / places.len() as f64);
                places.into_iter().for_each(|i| out[i] = share);
            }
            Stretch::Computed(kept, kind) => kinds.entry(kind).or_default().push(kept),
        }
    }
    for (kind, stretches) in kinds {
        let places = stretches.concat();
        let mut args = vec![places.iter().map(|&i| masked.x[i]).collect::<Vec<_>>()];
        let hidden = kind.by_bits.then(|| kind.hidden(&masked, &places));
        if kind.by_bits {
            args.push(places.iter().map(|&i| masked.seen[i]).collect());
        }
        if kind.empty.is_some_and(|empty| empty.deep) {
            args.push(masked.depths(g, &places));
        }
        let op = Op::Softmax { groups: stretches.len(), hidden };
        let codes = g.add(op, args, stretches.len() * kind.count, None);
        places.into_iter().zip(codes).for_each(|(i, code)| out[i] = code);
    }
    out
}

/// What a stretch of scores gives.
enum Stretch {
    /// No number.
    Undefined,
    /// The same for these places, and 0 elsewhere.
    Even(Vec<usize>),
    /// A softmax of these places, and 0 elsewhere.
    Computed(Vec<usize>, Kind),
}

/// How a stretch is computed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    count: usize,
    /// Whether bits hide some of the entries.
    by_bits: bool,
    /// What comes out where they hide all, which they may.
    empty: Option<Empty>,
}

/// A stretch all of whose entries may be hidden.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Empty {
    /// What entries then are, in the bits of the number.
    value: u32,
    replaces: bool,
    absorbs: bool,
    /// Whether several masks may hide one entry.
    deep: bool,
    /// Whether the source model has numbers for it, and the softmax over what the fewest masks hide gives them.
    defined: bool,
}

impl Kind {
    fn hidden(&self, masked: &Masked, places: &[usize]) -> Hidden {
        if let Some(Empty { value, replaces, absorbs, defined, .. }) = self.empty {
            return Hidden { value: f32::from_bits(value), replaces, absorbs, defined };
        }
        let all = places.iter().filter_map(|&i| masked.penalty[i]).reduce(Penalty::lowest);
        let (value, replaces) = all.map_or((0.0, false), |p| (p.value as f32, p.replaces));
        Hidden { value, replaces, absorbs: false, defined: true }
    }
}

/// The stretch of scores at the places `all`.
fn stretch(g: &mut Graph, masked: &Masked, all: std::ops::Range<usize>) -> Stretch {
    let seen = |i: usize| g.pool.value(masked.seen[i]);
    let never = |i: usize| seen(i) == Some(0.0);
    let infinite = |i: usize| masked.penalty[i].is_some_and(|p| p.value.is_infinite());
    let always = all.clone().any(|i| seen(i).is_some_and(|v| v != 0.0));
    // Where every entry may be hidden, constant ones are needed for what then comes out.
    let kept: Vec<usize> = all.filter(|&i| !never(i) || (!always && !infinite(i))).collect();
    let by_bits = kept.iter().any(|&i| !masked.seen[i].is_constant());
    let kind = |places: &Vec<usize>, empty| Kind { count: places.len(), by_bits, empty };
    if always {
        let kind = kind(&kept, None);
        return Stretch::Computed(kept, kind);
    }
    let penalties: Vec<Penalty> = kept.iter().filter_map(|&i| masked.penalty[i]).collect();
    let Some(&first) = penalties.first() else { return Stretch::Undefined };
    let even = penalties.iter().all(|p| p.alike(&first) && !p.uneven);
    if by_bits {
        let most: Vec<f64> = kept.iter().map(|&i| masked.most_depth(g, i)).collect();
        let deep = most.iter().any(|&d| d > 1.0);
        // Twice the least float is no number any more.
        let finite = (2.0 * first.value) as f32 > f32::NEG_INFINITY || most.iter().any(|&d| d <= 1.0);
        let defined = even && first.value.is_finite() && finite;
        let lowest = penalties.iter().copied().reduce(Penalty::lowest).unwrap_or(first);
        let Penalty { value, replaces, absorbs, .. } = if even { first } else { lowest };
        let (value, deep) = ((value as f32).to_bits(), deep && defined);
        let kind = kind(&kept, Some(Empty { value, replaces, absorbs, deep, defined }));
        return Stretch::Computed(kept, kind);
    }
    if !even {
        return Stretch::Undefined;
    }
    let least = kept.iter().map(|&i| masked.most_depth(g, i)).fold(f64::INFINITY, f64::min);
    let shown: Vec<usize> = kept.into_iter().filter(|&i| masked.most_depth(g, i) == least).collect();
    if first.replaces || first.absorbs {
        return Stretch::Even(shown);
    }
    let kind = kind(&shown, None);
    Stretch::Computed(shown, kind)
}

/// What a mask does to the entries that it hides.
#[derive(Clone, Copy, PartialEq)]
struct Penalty {
    value: f64,
    /// Whether it takes the entry's place, and is not added.
    replaces: bool,
    /// Whether floats lose the entry in the sum.
    absorbs: bool,
    /// Whether different masks, or one that rounds the entry, leave more than one number of a hidden entry.
    uneven: bool,
}

impl Penalty {
    fn alike(&self, other: &Penalty) -> bool {
        let replaces = |p: &Penalty| p.replaces || p.absorbs;
        self.value == other.value && replaces(self) == replaces(other)
    }

    fn lowest(self, other: Penalty) -> Penalty {
        let uneven = self.uneven || other.uneven || !self.alike(&other);
        let (replaces, absorbs) = (self.replaces || other.replaces, self.absorbs || other.absorbs);
        Penalty { value: self.value.min(other.value), replaces, absorbs, uneven }
    }

    /// That of two masks, of which one or both may be none.
    fn of_both(a: Option<Penalty>, b: Option<Penalty>) -> Option<Penalty> {
        a.into_iter().chain(b).reduce(Penalty::lowest)
    }

    fn instead(value: f64) -> Penalty {
        Penalty { value, replaces: true, absorbs: false, uneven: false }
    }

    fn added(value: f64) -> Penalty {
        Penalty { value, replaces: value <= -HUGE, absorbs: value <= ABSORBING, uneven: false }
    }

    /// In a sum with something else; what is nothing but a penalty is added there.
    fn in_sum(self, plain: bool) -> Penalty {
        let replaces = self.replaces && !(plain && self.value > -HUGE);
        let rounds = !replaces && self.value < ROUNDING && self.value > ABSORBING;
        let (absorbs, uneven) = (self.absorbs || self.value <= ABSORBING, self.uneven || rounds);
        Penalty { replaces, absorbs, uneven, ..self }
    }
}

/// Scores without their mask.
struct Masked {
    x: Vec<Code>,
    /// 1 where the entry is visible, else 0.
    seen: Vec<Code>,
    /// How many masks hide the entry, where that is not 1 less `seen`.
    depth: Vec<Option<Code>>,
    /// What hides the entry, where something may.
    penalty: Vec<Option<Penalty>>,
}

/// Values without a mask that hides by infinity, and 1 for those that it leaves visible; nothing without such a mask.
pub(super) fn unmasked(g: &mut Graph, codes: &[Code]) -> Option<(Vec<Code>, Vec<Code>)> {
    let masked = peel(g, codes);
    let all = masked.penalty.iter().copied().flatten().reduce(Penalty::lowest);
    let hides = all.is_some_and(|p| p.replaces && p.value <= -HUGE);
    hides.then_some((masked.x, masked.seen))
}

/// Takes masks off scores, whatever way they were put on.
fn peel(g: &mut Graph, codes: &[Code]) -> Masked {
    let one = g.pool.code(1.0);
    let mut masked = Masked {
        x: codes.to_vec(),
        seen: vec![one; codes.len()],
        depth: vec![None; codes.len()],
        penalty: vec![None; codes.len()],
    };
    let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, code) in codes.iter().enumerate() {
        match g.pool.value(*code) {
            Some(value) if value <= HIDING => {
                (masked.x[i], masked.seen[i]) = (ZERO, ZERO);
                masked.penalty[i] = Some(Penalty::instead(value));
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
            (masked.depth[i], masked.penalty[i]) = (part.depth[at], part.penalty[at]);
        }
    }
    masked
}

impl Masked {
    fn hides(&self) -> bool {
        self.penalty.iter().any(Option::is_some)
    }

    /// How many masks hide the entries at some places.
    fn depths(&self, g: &mut Graph, places: &[usize]) -> Vec<Code> {
        let seen: Vec<Code> = places.iter().map(|&i| self.seen[i]).collect();
        let hidden = g.unary(UnaryFn::Not, &seen);
        places.iter().zip(hidden).map(|(&i, hidden)| self.depth[i].unwrap_or(hidden)).collect()
    }

    /// How many masks hide the entry at most; exact where all are constants.
    fn most_depth(&self, g: &Graph, i: usize) -> f64 {
        self.depth[i].map_or(1.0, |depth| g.whole(depth).map_or(f64::INFINITY, |(_, most)| most))
    }

    /// What two masks hide together, each of which is added to what the other leaves.
    fn plus(self, g: &mut Graph, other: Masked) -> Masked {
        let twice = |i: &usize| {
            let both = self.penalty[*i].is_some() && other.penalty[*i].is_some();
            both || self.depth[*i].is_some() || other.depth[*i].is_some()
        };
        let places: Vec<usize> = (0..self.x.len()).filter(twice).collect();
        let (a, b) = (self.depths(g, &places), other.depths(g, &places));
        let mut depth = vec![None; self.x.len()];
        let sums = g.binary(Binary::Add, &a, &b);
        places.into_iter().zip(sums).for_each(|(i, sum)| depth[i] = Some(sum));
        let in_sum = |of: &Masked, i: usize| of.penalty[i].map(|p| p.in_sum(of.x[i] == ZERO));
        let penalty = (0..self.x.len()).map(|i| Penalty::of_both(in_sum(&self, i), in_sum(&other, i))).collect();
        Masked {
            x: g.binary(Binary::Add, &self.x, &other.x),
            seen: g.binary(Binary::And, &self.seen, &other.seen),
            depth,
            penalty,
        }
    }

    /// The same where `visible` too, by a mask that puts its value in the place of what it hides.
    fn under(self, g: &mut Graph, visible: &[Code], penalty: impl Fn(usize) -> Option<Penalty>) -> Masked {
        let deep = |i: usize, p: Penalty| Penalty { uneven: p.uneven || self.depth[i].is_some(), ..p };
        let both = |i: usize| Penalty::of_both(self.penalty[i], penalty(i)).map(|p| deep(i, p));
        let penalty = (0..self.x.len()).map(both).collect();
        let depth = vec![None; self.x.len()];
        Masked { seen: g.binary(Binary::And, &self.seen, visible), depth, penalty, x: self.x }
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
        Op::Elementwise(Elementwise::Binary(f @ (Binary::Add | Binary::Sub))) => {
            let (a, b) = (arg(0), arg(1));
            let b = if f == Binary::Sub { negated(g, &b)? } else { b };
            let (a, b) = (peel(g, &a), peel(g, &b));
            if !a.hides() && !b.hides() {
                return None;
            }
            a.plus(g, b)
        }
        Op::Elementwise(Elementwise::Binary(Binary::Min)) => {
            let (a, b) = (peel(g, &arg(0)), peel(g, &arg(1)));
            let plain = |m: &Masked| m.hides() && m.x.iter().all(|&c| c == ZERO);
            if !plain(&a) || !plain(&b) {
                return None;
            }
            let deep = b.depth.iter().any(Option::is_some);
            let other = b.penalty.clone();
            let other = |i: usize| other[i].map(|p: Penalty| Penalty { uneven: p.uneven || deep, ..p });
            a.under(g, &b.seen, other)
        }
        Op::Elementwise(Elementwise::Binary(Binary::Mul)) => {
            let (scaled, factor) = match (g.uniform(&arg(0)), g.uniform(&arg(1))) {
                (Some(c), _) => (arg(1), c),
                (_, Some(c)) => (arg(0), c),
                _ => return None,
            };
            let inner = peel(g, &scaled);
            if !inner.hides() || factor <= 0.0 {
                return None;
            }
            let x = g.with_constant(Binary::Mul, &inner.x, factor);
            let times = |p: Penalty| Penalty { value: p.value * factor, ..p };
            Masked { x, penalty: inner.penalty.into_iter().map(|p| p.map(times)).collect(), ..inner }
        }
        Op::Elementwise(Elementwise::Select) => {
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
            let always: Vec<bool> = visible.iter().map(|&c| g.pool.value(c).is_some_and(|v| v != 0.0)).collect();
            peel(g, kept).under(g, &visible, |i| (!always[i]).then(|| Penalty::instead(value)))
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
    let Op::Elementwise(function) = op else { return None };
    let (mut x, mut bits, mut inverted) = (Vec::new(), Vec::new(), Vec::new());
    let (mut penalty, mut twice) = (Vec::new(), Vec::new());
    for (place, &f) in features.iter().enumerate() {
        let operands: Vec<Code> = args.iter().map(|a| a[f]).collect();
        let mut varying = operands.iter().filter(|c| !c.is_constant());
        let bit = *varying.next()?;
        if varying.any(|&c| c != bit) || !g.is_bit(bit) {
            return None;
        }
        let at = |b: f64| {
            let values: Vec<f64> = operands.iter().map(|&c| g.pool.value(c).unwrap_or(b)).collect();
            function.apply(&values)
        };
        let (off, on) = (at(0.0), at(1.0));
        let (low, high) = (off.min(on), off.max(on));
        if low > HIDING {
            return None;
        }
        if high <= HIDING {
            // Hidden anyway, and once more for one value of the bit.
            twice.push(place);
            let even = low == 2.0 * high;
            penalty.push(Some(Penalty { uneven: !even, ..Penalty::added(high) }));
            x.push(ZERO);
            bits.push(bit);
            inverted.push(on < off);
            continue;
        }
        x.push(g.pool.code(high));
        bits.push(bit);
        inverted.push(on < off);
        penalty.push(Some(Penalty::added(if low <= -HUGE { low } else { low - high })));
    }
    let not = g.unary(UnaryFn::Not, &bits);
    let seen = |i: usize| if inverted[i] { not[i] } else { bits[i] };
    let once: Vec<Code> = twice.iter().map(|&i| seen(i)).collect();
    let mut seen: Vec<Code> = (0..x.len()).map(seen).collect();
    let mut depth = vec![None; x.len()];
    let two = vec![g.pool.code(2.0); once.len()];
    for (&i, deep) in twice.iter().zip(g.binary(Binary::Sub, &two, &once)) {
        (seen[i], depth[i]) = (ZERO, Some(deep));
    }
    Some(Masked { x, seen, depth, penalty })
}

/// For each element, whether it belongs to a softmax stretch that has no visible entry and gives NaN. Who asks knows what to
/// do with such a stretch, which then needs no number.
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
        let hidden = Some(Hidden { defined: true, ..hidden });
        g.nodes[code.node()].op = Op::Softmax { groups, hidden };
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
