//! Consistent forgeries: a cheater's wrong value with everything that depends on it recomputed honestly, so that only
//! the constraints of the op itself can refuse it.

mod field;
mod products;
mod softmax;
mod tokens;

use crate::cells::Change;
use crate::harness::Net;
use crate::target::Run;
use nanozk_compiler::layout::{Fill, Lowered, Part, witness};
use nanozk_ir::int::{Model, Op, interp};
use nanozk_plan::Port;
use std::collections::BTreeMap;

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
type Delta = (Part, usize, usize, i64);

/// Whether the cell absorbs the score of a pair of tokens that a causal mask hides.
pub fn is_hidden(op: &Op, part: Part, tokens: u32, feature: u32, token: u32) -> bool {
    matches!(op, Op::Attend { causal: true, .. }) && part == Part::Over && feature % tokens > token
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
        if matches!(node.op, Op::Input { .. } | Op::Const { .. } | Op::Param { .. }) {
            continue;
        }
        let width = node.features as usize;
        for cell in (0..net.values[id].len()).filter(|_| next()) {
            forger.value(id, cell / width, cell % width, out);
            forger.field(id, cell / width, cell % width, out);
        }
        for left_out in (0..forger.factors(id)).filter(|_| next()) {
            forger.left_out(id, left_out, out);
        }
        for token in 0..net.model.tokens as usize {
            match node.op {
                Op::Attend { heads, table, causal, .. } => {
                    for head in (0..heads as usize).filter(|_| step == 1 || next()) {
                        forger.softmax(id, token, head, table as usize, causal, out);
                    }
                }
                Op::Embed { weight, vocab } => forger.tokens(id, token, weight as usize, vocab as usize, out),
                _ => {}
            }
        }
    }
}

/// Cells and boundary tensors of runs on other inputs, honest but for ranges and tables: the values of a table change
/// places, so that no feature stays 0. The bilinear identity holds. Inputs that the interpreter refuses are left out.
pub fn other_runs(net: &Net, lowered: &Lowered, count: u64) -> Vec<Run> {
    let forger = Forger::new(net, lowered);
    let mut runs = Vec::new();
    for seed in 1..=count {
        let inputs: Vec<Vec<i64>> = (0..net.inputs.len()).map(|port| forger.other_input(port, seed)).collect();
        let inputs: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        let mut model = forger.boundless.clone();
        for (id, node) in model.shapes[0].nodes.iter_mut().enumerate() {
            if let Op::Table { .. } = node.op {
                let mut data = net.values[id].clone();
                let len = data.len();
                data.rotate_left(seed as usize * 5 % len);
                node.op = Op::Const { rows: model.tokens, data };
                node.inputs.clear();
            }
        }
        let mut first = None;
        let take = &mut |run: Forgery| first = first.take().or(Some((run.lanes, run.publics)));
        forger.run(&model, &inputs, "another run", "", None, &[], take);
        runs.extend(first);
    }
    runs
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
        let whole = Lowered { plan: lowered.plan.clone(), fills: lowered.fills.iter().map(raw).collect() };
        let mut boundless = net.model.clone();
        for node in &mut boundless.shapes[0].nodes {
            (node.lo, node.hi) = (-interp::LIMIT, interp::LIMIT);
        }
        Forger { net, lowered, whole, boundless }
    }

    /// The input of a port, with other token ids, or with its values rotated and some of them negated.
    fn other_input(&self, port: usize, seed: u64) -> Vec<i64> {
        let graph = &self.net.model.shapes[0];
        let input = graph.nodes.iter().position(|n| n.op == Op::Input { port: port as u32 });
        let reader = graph.nodes.iter().find_map(|n| match n.op {
            Op::Embed { vocab, .. } if Some(n.inputs[0] as usize) == input => Some(i64::from(vocab)),
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
            Op::Requant { limbs, clamp: true, .. } => {
                let (shift, mut values) = (limbs * self.net.model.limb_bits, self.net.values[id].clone());
                values[at] = (self.net.values[node.inputs[0] as usize][at] + (1 << (shift - 1))) >> shift;
                self.complete("clamp left out", &format!("{id} at {at}"), id, &values, &[], out);
            }
            Op::ArgMax { .. } => {
                self.no_winner(id, token, out);
                self.unmarked_winners(id, token, out);
            }
            _ => {}
        }
        if let Op::Output { port } = node.op {
            return self.output(id, port, at, out);
        }
        for delta in [1, -1] {
            let mut values = self.net.values[id].clone();
            values[at] += delta;
            let what = format!("{} {id} at ({token}, {feature}) {delta:+}", node.op.name());
            let mut push = |kind, deltas: Vec<Delta>| self.complete(kind, &what, id, &values, &deltas, out);
            match node.op {
                Op::Requant { limbs, clamp, .. } => {
                    let shift = limbs * self.net.model.limb_bits;
                    let mut deltas = vec![(Part::Remainder, token, feature, -(delta << shift))];
                    if clamp {
                        push("clamp without overflow", Vec::new());
                        let part = if delta < 0 { Part::Over } else { Part::Under };
                        deltas.push((part, token, feature, -1));
                    }
                    push("quotient with its remainder", deltas);
                    push("quotient with the honest remainder", Vec::new());
                }
                Op::ArgMax { .. } => {
                    push("winner", Vec::new());
                    push("winner with its score as maximum", self.other_maximum(id, token, values[at]));
                }
                Op::Recip { .. } => {
                    push("reciprocal with its remainder", Vec::new());
                    let moved = delta * self.net.values[node.inputs[0] as usize][at];
                    let honest = vec![(Part::Remainder, token, feature, moved), (Part::Gap, token, feature, -moved)];
                    push("reciprocal with the honest remainder", honest);
                }
                Op::RSqrt { .. } => {
                    push("inverse root with its gaps", Vec::new());
                    let (v, r) = (self.net.values[node.inputs[0] as usize][at], values[at]);
                    let low = (2 * r * delta - 1) * v;
                    let high = -(2 * (r + 1) * delta - 1) * v;
                    push("inverse root with one gap", vec![(Part::Low, token, feature, low)]);
                    push("inverse root with the other gap", vec![(Part::High, token, feature, high)]);
                }
                Op::Attend { .. } => push("weight of a score", Vec::new()),
                Op::Mul => push("product", Vec::new()),
                Op::Table { .. } => push("table value", Vec::new()),
                _ => push("linear value", Vec::new()),
            }
        }
    }

    /// An index beyond the features is named the winner, with a maximum above all scores.
    fn no_winner(&self, id: usize, token: usize, out: Out) {
        let nodes = &self.net.model.shapes[0].nodes;
        let width = nodes[nodes[id].inputs[0] as usize].features as usize;
        let mut values = self.net.values[id].clone();
        values[token] = width as i64;
        let each = (0..width)
            .flat_map(|i| [(Part::Distance, token, i, 1), (Part::Below, token, i, -1), (Part::Excess, token, i, 2)]);
        let deltas: Vec<Delta> = std::iter::once((Part::Max, token, 0, 1)).chain(each).collect();
        self.complete("no winner", &format!("{id}, token {token}"), id, &values, &deltas, out);
    }

    /// Each other index named the winner without being marked, below a maximum that no score attains.
    fn unmarked_winners(&self, id: usize, token: usize, out: Out) {
        let width = self.operand(id, 0).0;
        let above = |i: usize| [(Part::Distance, token, i, 1), (Part::Excess, token, i, 1)];
        for winner in 0..width {
            let mut values = self.net.values[id].clone();
            values[token] = winner as i64;
            let marks = [(Part::Max, token, 0, 1), (Part::IsMax, token, winner, -1)];
            let deltas: Vec<Delta> = marks.into_iter().chain((0..width).flat_map(above)).collect();
            self.complete("winner without its mark", &format!("{id}, token {token}"), id, &values, &deltas, out);
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

    /// The forged winner's score presented as the maximum.
    fn other_maximum(&self, id: usize, token: usize, winner: i64) -> Vec<Delta> {
        let nodes = &self.net.model.shapes[0].nodes;
        let operand = nodes[id].inputs[0] as usize;
        let width = nodes[operand].features as usize;
        let row = &self.net.values[operand][token * width..(token + 1) * width];
        let (Some(max), Some(score)) = (row.iter().max(), usize::try_from(winner).ok().and_then(|w| row.get(w))) else {
            return Vec::new();
        };
        let lower = score - max;
        let each = (0..width).flat_map(|i| [(Part::Distance, token, i, lower), (Part::Excess, token, i, lower)]);
        std::iter::once((Part::Max, token, 0, lower)).chain(each).collect()
    }

    /// Cells for node `id` having `values`: what follows is recomputed, what no longer fits its limbs overflows the last
    /// limb, so that every linear relation that can hold does, or is reduced to it. Nothing when the interpreter cannot
    /// go on.
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
        let mut model = self.boundless.clone();
        let node = &mut model.shapes[0].nodes[id];
        node.op = Op::Const { rows: model.tokens, data: values.to_vec() };
        node.inputs.clear();
        self.run(&model, inputs, kind, what, Some(id), deltas, out);
    }

    /// Cells for the values of `model`, with the deltas on the quantities of node `id`.
    #[expect(clippy::too_many_arguments, reason = "one forgery, described in full")]
    fn run(
        &self,
        model: &Model,
        inputs: &[&[i64]],
        kind: &'static str,
        what: &str,
        id: Option<usize>,
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
        for reduce in [false, true] {
            let mut lanes = whole.clone();
            self.lowered.fills.iter().for_each(|fill| self.split(fill, id, deltas, reduce, &mut lanes));
            out(Forgery { kind, what: what.into(), lanes, publics: publics.clone(), field: Vec::new() });
        }
    }

    /// Adds the deltas to the whole quantities of a fill and cuts them into limbs.
    fn split(&self, fill: &Fill, id: Option<usize>, deltas: &[Delta], reduce: bool, lanes: &mut [Vec<i64>]) {
        let (geometry, bits) = (&self.lowered.plan.geometry, self.net.model.limb_bits);
        let op = &self.net.model.shapes[0].nodes[fill.node as usize].op;
        for i in 0..fill.count {
            let feature = fill.first + i;
            for token in 0..geometry.tokens {
                let (lane, row) = (((fill.slot + i) / geometry.groups) as usize, geometry.row(fill.slot + i, token));
                let cell = &mut lanes[lane][row];
                if Some(fill.node as usize) == id {
                    let here = |d: &&(Part, usize, usize, i64)| {
                        d.0 == fill.part && d.1 == token as usize && d.2 == feature as usize
                    };
                    *cell += deltas.iter().filter(here).map(|d| d.3).sum::<i64>();
                }
                let Some((index, limbs)) = fill.limb else { continue };
                *cell = match index {
                    _ if is_hidden(op, fill.part, geometry.tokens, feature, token) => {
                        if index == 0 {
                            *cell
                        } else {
                            0
                        }
                    }
                    _ if index + 1 == limbs && !reduce => *cell >> (index * bits),
                    _ => (*cell >> (index * bits)) & ((1 << bits) - 1),
                };
            }
        }
    }
}
