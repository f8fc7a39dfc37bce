//! Consistent forgeries: a cheater's wrong value with everything that depends on it recomputed honestly, so that only
//! the constraints of the op itself can refuse it.

mod argmax;
mod field;
mod gadgets;
mod operands;
mod products;
mod softmax;
mod tokens;

use crate::cells::Change;
use nanozk_ir::int::ops::{self, Ports, Site, recip, requant, rsqrt};
use nanozk_ir::int::{Model, Node, Op, interp};
use nanozk_layout::{Fill, Lowered, Quantity, witness};
use nanozk_plan::Port;
use nanozk_proof::field::int;
use nanozk_testkit::net::Net;
use std::collections::BTreeMap;
use tokens::Place;

/// A full set of cells with the boundary tensors that they claim.
pub struct Forgery {
    /// Sort, for counts.
    pub kind: &'static str,
    /// Which value.
    pub what: String,
    /// Cells.
    pub lanes: Vec<Vec<i64>>,
    /// Boundary tensors.
    pub publics: BTreeMap<Port, Vec<i64>>,
    /// Cells that hold field elements instead.
    pub field: Vec<Change>,
}

/// Takes each forgery as it is made.
type Out<'a> = &'a mut dyn FnMut(Forgery);

/// What is added to a quantity of a node at `(token, feature)`.
type Delta = (Quantity, usize, usize, i64);

/// Whether the cell absorbs the score of a pair of tokens that a causal mask hides.
pub fn is_hidden(model: &Model, node: &Node, quantity: Quantity, feature: u32, token: u32) -> bool {
    let site = Site::new(model.tokens, model.limb_bits, &model.shapes[0], node, Ports::default());
    matches!(quantity, Quantity::Own(part) if node.op.meaning().is_free(&site, part, token as usize, feature as usize))
}

/// All forgeries of every `step`-th value of every node.
pub fn forgeries(net: &Net, lowered: &Lowered, step: usize, out: Out) {
    let forger = Forger::new(net, lowered);
    let mut at = 0;
    let mut next = || {
        at += 1;
        at % step == 0
    };
    for (id, node) in net.model.shapes[0].nodes.iter().enumerate() {
        if matches!(node.op, Op::Input(ops::Input { .. }) | Op::Const(ops::Const { .. }) | Op::Param(ops::Param { .. }))
        {
            continue;
        }
        let width = node.features as usize;
        for cell in (0..net.values[id].len()).filter(|_| next()) {
            forger.value(id, cell / width, cell % width, out);
            forger.field(id, cell / width, cell % width, out);
        }
        for (i, &operand) in node.inputs.iter().enumerate() {
            // A linear op reads expressions, no copies.
            if !matches!(node.op, Op::Affine(ops::Affine { .. }) | Op::Output(ops::Output { .. })) {
                let width = net.model.shapes[0].nodes[operand as usize].features as usize;
                for cell in (0..net.values[operand as usize].len()).filter(|_| next()) {
                    forger.other_operand(id, i, cell / width, cell % width, out);
                }
            }
        }
        for left_out in (0..forger.factors(id)).filter(|_| next()) {
            forger.left_out(id, left_out, out);
        }
        for token in 0..net.model.tokens as usize {
            match node.op {
                Op::Attend(ops::Attend { ref keys, .. }) => {
                    for group in (0..keys.len()).filter(|_| step == 1 || next()) {
                        forger.softmax(id, token, group, out);
                    }
                }
                Op::Embed(ops::Embed { weight, vocab }) => {
                    let (weight, vocab) = (weight as usize, vocab as usize);
                    for position in 0..forger.operand(id, 0).0 {
                        forger.tokens(Place { id, token, position, weight, vocab }, out);
                    }
                }
                Op::Gadget(ref gadget) if step == 1 || next() => forger.gadget(id, token, gadget, out),
                _ => {}
            }
        }
    }
}

/// Other inputs: other token ids, or values rotated and some of them negated.
pub fn other_inputs(net: &Net, lowered: &Lowered, seed: u64) -> Vec<Vec<i64>> {
    let forger = Forger::new(net, lowered);
    (0..net.inputs.len()).map(|port| forger.other_input(port, seed)).collect()
}

/// Cells for some nodes having other values, with everything after them recomputed.
pub fn with_values(net: &Net, lowered: &Lowered, values: &BTreeMap<usize, Vec<i64>>, out: Out) {
    let forger = Forger::new(net, lowered);
    let model = forger.with_constants(values.iter().map(|(id, values)| (*id, values.as_slice())));
    let inputs: Vec<&[i64]> = net.inputs.iter().map(Vec::as_slice).collect();
    forger.run(&model, &inputs, "other values", "", usize::MAX, &[], out);
}

/// Puts a node in front of all others, which then have the next indices.
fn put_in_front(nodes: &mut Vec<Node>, front: Node) {
    nodes.iter_mut().flat_map(|n| &mut n.inputs).for_each(|input| *input += 1);
    nodes.insert(0, front);
}

/// Takes the bounds of all values away.
pub fn unbound(model: &mut Model) {
    for node in &mut model.shapes[0].nodes {
        (node.lo, node.hi) = (-interp::LIMIT, interp::LIMIT);
    }
}

struct Forger<'a> {
    net: &'a Net,
    lowered: &'a Lowered,
    /// The layer without the splitting of quantities into limbs.
    whole: Lowered,
    /// The model without bounds.
    boundless: Model,
}

impl<'a> Forger<'a> {
    fn new(net: &'a Net, lowered: &'a Lowered) -> Self {
        let raw = |fill: &Fill| Fill { limb: None, ..*fill };
        let whole = Lowered { fills: lowered.fills.iter().map(raw).collect(), ..lowered.clone() };
        let mut boundless = net.model.clone();
        unbound(&mut boundless);
        Forger { net, lowered, whole, boundless }
    }

    /// The input of a port, with other token ids, or with its values rotated and some of them negated.
    fn other_input(&self, port: usize, seed: u64) -> Vec<i64> {
        let graph = &self.net.model.shapes[0];
        let input = graph.nodes.iter().position(|n| n.op == Op::Input(ops::Input { port: port as u32 }));
        let reader = graph.nodes.iter().find_map(|n| match n.op {
            Op::Embed(ops::Embed { vocab, .. }) if Some(n.inputs[0] as usize) == input => Some(i64::from(vocab)),
            _ => None,
        });
        let mut data = self.net.inputs[port].clone();
        match reader {
            Some(vocab) => data.iter_mut().for_each(|id| *id = (*id + seed as i64) % vocab),
            None => {
                let len = data.len();
                data.rotate_left(seed as usize % len);
                let negated = (0..len).filter(|i| (seed >> (i % 5)) & 1 == 1);
                negated.for_each(|i| data[i] = -data[i]);
            }
        }
        data
    }

    fn op(&self, id: usize) -> &Op {
        &self.net.model.shapes[0].nodes[id].op
    }

    /// The node that is operand `i`, and its value.
    fn operand(&self, id: usize, i: usize) -> (usize, &[i64]) {
        let operand = self.net.model.shapes[0].nodes[id].inputs[i] as usize;
        (self.net.model.shapes[0].nodes[operand].features as usize, &self.net.values[operand])
    }

    /// One value off by one, with the helper quantities that make up for it as well as they can.
    fn value(&self, id: usize, token: usize, feature: usize, out: Out) {
        let node = &self.net.model.shapes[0].nodes[id];
        let at = token * node.features as usize + feature;
        match node.op {
            Op::Requant(ops::Requant { limbs, clamp: true, .. }) => {
                let (shift, mut values) = (limbs * self.net.model.limb_bits, self.net.values[id].clone());
                values[at] = (self.net.values[node.inputs[0] as usize][at] + (1 << (shift - 1))) >> shift;
                let whole = values[at];
                self.complete("clamp left out", &format!("{id} at {at}"), id, &values, &[], out);
                self.saturated(id, token, feature, whole, out);
            }
            Op::ArgMax(ops::ArgMax { .. }) => {
                self.no_winner(id, token, feature, out);
                self.unmarked_winners(id, token, feature, out);
                self.miscounted(id, token, feature, out);
                self.doubled_winner(id, token, feature, out);
            }
            Op::RSqrt(ops::RSqrt { param }) => self.untied_root(id, token, feature, param, out),
            _ => {}
        }
        if let Op::Output(ops::Output { port }) = node.op {
            return self.output(id, port, at, out);
        }
        for delta in [1, -1] {
            let mut values = self.net.values[id].clone();
            values[at] += delta;
            let what = format!("{} {id} at ({token}, {feature}) {delta:+}", node.op.name());
            let mut push = |kind, deltas: Vec<Delta>| self.complete(kind, &what, id, &values, &deltas, out);
            match node.op {
                Op::Requant(ops::Requant { limbs, clamp, .. }) => {
                    let shift = limbs * self.net.model.limb_bits;
                    let mut deltas = vec![(Quantity::Own(requant::REMAINDER), token, feature, -(delta << shift))];
                    if clamp {
                        push("clamp without overflow", Vec::new());
                        let quantity =
                            if delta < 0 { Quantity::Own(requant::OVER) } else { Quantity::Own(requant::UNDER) };
                        deltas.push((quantity, token, feature, -1));
                    }
                    push("quotient with its remainder", deltas);
                    push("quotient with the honest remainder", Vec::new());
                }
                Op::ArgMax(ops::ArgMax { .. }) => {
                    push("winner", Vec::new());
                    push("winner with its score as maximum", self.other_maximum(id, token, feature, values[at]));
                }
                Op::Recip(ops::Recip { .. }) => {
                    push("reciprocal with its remainder", Vec::new());
                    let moved = delta * self.net.values[node.inputs[0] as usize][at];
                    let honest = vec![
                        (Quantity::Own(recip::REMAINDER), token, feature, moved),
                        (Quantity::Own(recip::GAP), token, feature, -moved),
                    ];
                    let untied =
                        [honest.as_slice(), &[(Quantity::Own(recip::PRODUCT), token, feature, -moved)]].concat();
                    push("reciprocal with the honest remainder", honest);
                    push("reciprocal with the honest product", untied);
                }
                Op::RSqrt(ops::RSqrt { .. }) => {
                    push("inverse root with its gaps", Vec::new());
                    let (v, r) = (self.net.values[node.inputs[0] as usize][at], values[at]);
                    let low = (2 * r * delta - 1) * v;
                    let high = -(2 * (r + 1) * delta - 1) * v;
                    push("inverse root with one gap", vec![(Quantity::Own(rsqrt::LOW), token, feature, low)]);
                    push("inverse root with the other gap", vec![(Quantity::Own(rsqrt::HIGH), token, feature, high)]);
                }
                Op::Attend(ops::Attend { .. }) => push("weight of a score", Vec::new()),
                Op::Mul(ops::Mul) => push("product", Vec::new()),
                Op::Table(ops::Table { .. }) => push("table value", Vec::new()),
                _ => push("linear value", Vec::new()),
            }
        }
    }

    /// The greatest or least result, reached by a negative excess; the last limb of what exceeds them.
    fn saturated(&self, id: usize, token: usize, feature: usize, whole: i64, out: Out) {
        let at = token * self.net.model.shapes[0].nodes[id].features as usize + feature;
        let half = 1i64 << (self.net.model.limb_bits - 1);
        for (bound, over) in [(half - 1, true), (-half, false)] {
            let mut values = self.net.values[id].clone();
            values[at] = bound;
            // The honest excess of this result on the one side, and what it must be on the other.
            let (above, below) = ((whole - bound).max(0), (bound - whole).max(0));
            let wanted = if over { (whole - bound, 0) } else { (0, bound - whole) };
            let deltas = [
                (Quantity::Own(requant::OVER), token, feature, wanted.0 - above),
                (Quantity::Own(requant::UNDER), token, feature, wanted.1 - below),
            ];
            self.complete("saturated without overflow", &format!("{id} at {at}"), id, &values, &deltas, out);
        }
        // Where the excess is a multiple of 2^b, its first limb is 0.
        let mut values = self.net.values[id].clone();
        values[at] = (whole + half).rem_euclid(2 * half) - half;
        if values[at] != self.net.values[id][at] {
            self.complete("reduced to its limb", &format!("{id} at {at}"), id, &values, &[], out);
        }
    }

    /// Another root, with a factor of its cube that is not the root, or not the root times the operand.
    fn untied_root(&self, id: usize, token: usize, feature: usize, param: u32, out: Out) {
        let node = &self.net.model.shapes[0].nodes[id];
        let at = token * node.features as usize + feature;
        let (c, v) = (self.net.model.layers[0].params[param as usize], self.net.values[node.inputs[0] as usize][at]);
        let second = |quantity| {
            let mut slots = self.slots_of(id, quantity, feature as u32).filter(|s| s.2.is_none()).map(|s| s.0);
            slots.nth(1)
        };
        for r in [self.net.values[id][at] + 1, self.net.values[id][at] - 1].into_iter().filter(|r| *r > 0) {
            let mut values = self.net.values[id].clone();
            values[at] = r;
            let linear = r * v;
            for (part, factor, cubic) in
                [(Quantity::Value, c / linear, c / linear * linear), (Quantity::Own(rsqrt::LINEAR), c / r, c / r * r)]
            {
                let Some(slot) = second(part) else { continue };
                let more = cubic - r * linear;
                let deltas = [
                    (Quantity::Own(rsqrt::CUBIC), more),
                    (Quantity::Own(rsqrt::LOW), -more),
                    (Quantity::Own(rsqrt::HIGH), more),
                ];
                let deltas = deltas.map(|(part, delta)| (part, token, feature, delta));
                let change = Change { slot, token: token as u32, value: int(factor) };
                let changed = &mut |forgery: Forgery| out(Forgery { field: vec![change], ..forgery });
                self.complete("root with another factor", &format!("{id} at {at}"), id, &values, &deltas, changed);
            }
        }
    }

    /// Another output than the one computed.
    fn output(&self, id: usize, port: u32, at: usize, out: Out) {
        for delta in [1, -1] {
            let (lanes, mut publics) = (self.net.lanes(self.lowered), self.net.tensors());
            if let Some(tensor) = publics.get_mut(&Port::Output(port)) {
                tensor[at] += delta;
            }
            let what = format!("{id} at {at} {delta:+}");
            out(Forgery { kind: "another output", what, lanes, publics, field: Vec::new() });
        }
    }

    /// Cells for node `id` having `values`: what follows is recomputed, what no longer fits its limbs overflows one of
    /// them, so that every linear relation that can hold does, or is reduced to them. Nothing when the interpreter
    /// cannot go on.
    fn complete(&self, kind: &'static str, what: &str, id: usize, values: &[i64], deltas: &[Delta], out: Out) {
        let inputs: Vec<&[i64]> = self.net.inputs.iter().map(Vec::as_slice).collect();
        self.complete_with(&inputs, kind, what, id, values, deltas, out);
    }

    /// The same for other inputs.
    #[expect(clippy::too_many_arguments, reason = "one forgery, described in full")]
    fn complete_with(
        &self,
        inputs: &[&[i64]],
        kind: &'static str,
        what: &str,
        id: usize,
        values: &[i64],
        deltas: &[Delta],
        out: Out,
    ) {
        self.run(&self.with_constants([(id, values)]), inputs, kind, what, id, deltas, out);
    }

    /// The model with constants in the places of nodes.
    fn with_constants<'v>(&self, constants: impl IntoIterator<Item = (usize, &'v [i64])>) -> Model {
        let mut model = self.boundless.clone();
        for (id, values) in constants {
            let node = &mut model.shapes[0].nodes[id];
            node.op = Op::Const(ops::Const { rows: model.tokens, data: values.to_vec() });
            node.inputs.clear();
        }
        model
    }

    /// Cells for the values of `model`, with the deltas on the quantities of node `id`.
    #[expect(clippy::too_many_arguments, reason = "one forgery, described in full")]
    fn run(
        &self,
        model: &Model,
        inputs: &[&[i64]],
        kind: &'static str,
        what: &str,
        id: usize,
        deltas: &[Delta],
        out: Out,
    ) {
        let Ok(values) = interp::run(model, 0, inputs) else { return };
        let Ok(whole) = witness::fill(&self.whole, &self.net.model, 0, &values) else { return };
        let mut publics = self.net.tensors();
        for (port, tensor) in inputs.iter().enumerate() {
            publics.insert(Port::Input(port as u32), tensor.to_vec());
        }
        for (port, node) in interp::outputs(&model.shapes[0]) {
            publics.insert(Port::Output(port as u32), values[node].clone());
        }
        let forgery = Forgery { kind, what: what.into(), lanes: whole, publics, field: Vec::new() };
        self.split_all(forgery, id, deltas, out);
    }

    /// A forgery with whole quantities in its cells, cut into limbs. What does not fit overflows one of the limbs or is
    /// reduced to them.
    fn split_all(&self, forgery: Forgery, id: usize, deltas: &[Delta], out: Out) {
        let limbs = self.lowered.fills.iter().filter_map(|f| f.limb).map(|l| l.1).max().unwrap_or(0);
        for overflow in (0..limbs).rev().map(Some).chain([None]) {
            let (mut lanes, mut fits) = (forgery.lanes.clone(), true);
            for fill in &self.lowered.fills {
                fits &= self.split(fill, id, deltas, overflow, &mut lanes);
            }
            let (what, publics, field) = (forgery.what.clone(), forgery.publics.clone(), forgery.field.clone());
            out(Forgery { kind: forgery.kind, what, lanes, publics, field });
            if fits {
                break;
            }
        }
    }

    /// Adds the deltas to the whole quantities of a fill and cuts them into limbs; whether all fit. What does not goes
    /// into limb `overflow` or the last one.
    fn split(&self, fill: &Fill, id: usize, deltas: &[Delta], overflow: Option<u32>, lanes: &mut [Vec<i64>]) -> bool {
        let mut fits = true;
        let (geometry, model) = (&self.lowered.plan.geometry, &self.net.model);
        let (bits, node) = (model.limb_bits, &model.shapes[0].nodes[fill.node as usize]);
        for i in 0..fill.count {
            let feature = fill.first + i;
            for token in 0..geometry.tokens {
                let (lane, row) = (((fill.slot + i) / geometry.groups) as usize, geometry.row(fill.slot + i, token));
                let cell = &mut lanes[lane][row];
                if fill.node as usize == id {
                    let here = |d: &&(Quantity, usize, usize, i64)| {
                        d.0 == fill.quantity && d.1 == token as usize && d.2 == feature as usize
                    };
                    *cell += deltas.iter().filter(here).map(|d| d.3).sum::<i64>();
                }
                let Some((index, limbs)) = fill.limb else { continue };
                if is_hidden(model, node, fill.quantity, feature, token) {
                    *cell = if index == 0 { *cell } else { 0 };
                    continue;
                }
                let wide = *cell >> (limbs * bits) != 0;
                fits &= !wide;
                *cell = match overflow.map(|limb| limb.min(limbs - 1)).filter(|_| wide) {
                    Some(limb) if index == limb => *cell >> (index * bits),
                    Some(limb) if index > limb => 0,
                    _ => (*cell >> (index * bits)) & ((1 << bits) - 1),
                };
            }
        }
        fits
    }
}
