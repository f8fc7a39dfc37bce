//! Consistent forgeries: a cheater's wrong value with everything that depends on it recomputed honestly, so that only
//! the constraints of the op itself can refuse it.

use crate::harness::Net;
use nanozk_compiler::layout::{Fill, Lowered, Part, witness};
use nanozk_ir::int::{Op, interp};
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
}

/// What is added to a quantity of a node at `(token, feature)`.
type Deltas = Vec<(Part, usize, usize, i64)>;

/// Whether the cell absorbs the score of a pair of tokens that a causal mask hides.
pub fn is_hidden(op: &Op, part: Part, tokens: u32, feature: u32, token: u32) -> bool {
    matches!(op, Op::Attend { causal: true, .. }) && part == Part::Over && feature % tokens > token
}

/// All forgeries of every `step`-th value of every node.
pub fn forgeries(net: &Net, lowered: &Lowered, step: usize) -> Vec<Forgery> {
    let forger = Forger { net, lowered };
    let mut out = Vec::new();
    let mut at = 0;
    for (id, node) in net.model.shapes[0].nodes.iter().enumerate() {
        if matches!(node.op, Op::Input { .. } | Op::Output { .. } | Op::Const { .. } | Op::Param { .. }) {
            continue;
        }
        let width = node.features as usize;
        for cell in 0..net.values[id].len() {
            at += 1;
            if at % step == 0 {
                forger.value(id, cell / width, cell % width, &mut out);
            }
        }
        if let Op::Attend { heads, table, causal, .. } = node.op {
            for row in 0..net.model.tokens as usize * heads as usize {
                let (token, head) = (row / heads as usize, row % heads as usize);
                forger.softmax(id, token, head, table as usize, causal, &mut out);
            }
        }
    }
    out
}

struct Forger<'a> {
    net: &'a Net,
    lowered: &'a Lowered,
}

impl Forger<'_> {
    /// One value off by one, with the helper quantities that make up for it as well as they can.
    fn value(&self, id: usize, token: usize, feature: usize, out: &mut Vec<Forgery>) {
        let node = &self.net.model.shapes[0].nodes[id];
        let at = token * node.features as usize + feature;
        match node.op {
            Op::Requant { limbs, clamp: true, .. } => {
                let (shift, mut values) = (limbs * self.net.model.limb_bits, self.net.values[id].clone());
                values[at] = (self.net.values[node.inputs[0] as usize][at] + (1 << (shift - 1))) >> shift;
                out.extend(self.complete("clamp left out", &format!("{id} at {at}"), id, &values, &Vec::new()));
            }
            Op::ArgMax { .. } => self.no_winner(id, token, out),
            _ => {}
        }
        for delta in [1, -1] {
            let mut values = self.net.values[id].clone();
            values[at] += delta;
            let what = format!("{} {id} at ({token}, {feature}) {delta:+}", node.op.name());
            let mut push = |kind, deltas: Deltas| out.extend(self.complete(kind, &what, id, &values, &deltas));
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
    fn no_winner(&self, id: usize, token: usize, out: &mut Vec<Forgery>) {
        let nodes = &self.net.model.shapes[0].nodes;
        let width = nodes[nodes[id].inputs[0] as usize].features as usize;
        let mut values = self.net.values[id].clone();
        values[token] = width as i64;
        let each = (0..width)
            .flat_map(|i| [(Part::Distance, token, i, 1), (Part::Below, token, i, -1), (Part::Excess, token, i, 2)]);
        let deltas: Deltas = std::iter::once((Part::Max, token, 0, 1)).chain(each).collect();
        out.extend(self.complete("no winner", &format!("{id}, token {token}"), id, &values, &deltas));
    }

    /// The forged winner's score presented as the maximum.
    fn other_maximum(&self, id: usize, token: usize, winner: i64) -> Deltas {
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

    /// Forged maxima of one softmax row, and a mask switched off.
    fn softmax(&self, id: usize, token: usize, head: usize, table: usize, causal: bool, out: &mut Vec<Forgery>) {
        let tokens = self.net.model.tokens as usize;
        let heads = self.net.model.shapes[0].nodes[id].features as usize / tokens;
        let table = &self.net.model.layers[0].tables[table];
        let top = table.len() as i64 - 1;
        let visible = if causal { token + 1 } else { tokens };
        let start = token * heads * tokens + head * tokens;
        let honest = &self.net.values[id];
        let feature = |u: usize| head * tokens + u;
        let Some((scores, winner)) = self.scores(id, token, head, visible) else { return };
        let max = scores[winner];
        let distances: Vec<i64> = scores[..visible].iter().map(|s| max - s).collect();
        let what = format!("softmax {id}, token {token}, head {head}");

        // Beside small shifts, those that make a masked score the maximum.
        let mut shifts = vec![1, -1, 5];
        shifts.extend(scores[visible..].iter().map(|s| s - max).filter(|s| *s != 0));
        for shift in shifts {
            let mut values = honest.clone();
            let mut deltas = vec![(Part::Max, token, head, shift)];
            for (u, d) in distances.iter().enumerate() {
                let moved = (d + shift).min(top);
                if let Some(e) = usize::try_from(moved).ok().and_then(|d| table.get(d)) {
                    values[start + u] = *e;
                }
                deltas.push((Part::Distance, token, feature(u), moved - d.min(&top)));
                deltas.push((Part::Over, token, feature(u), (d + shift - moved) - (d - d.min(&top))));
            }
            deltas.extend((visible..tokens).map(|u| (Part::Over, token, feature(u), shift)));
            let mut push = |kind, deltas: &Deltas| out.extend(self.complete(kind, &what, id, &values, deltas));
            push("softmax shifted", &deltas);
            deltas.push((Part::IsMax, token, feature(winner), -1));
            push("maximum not attained", &deltas);
            for u in (0..tokens).filter(|u| *u != winner) {
                let mut moved = deltas.clone();
                moved.push((Part::IsMax, token, feature(u), 1));
                push(if u < visible { "maximum of another key" } else { "maximum of a masked key" }, &moved);
            }
        }
        for u in (0..visible).filter(|u| distances[*u] > 0) {
            for d in [0, distances[u].min(top) - 1] {
                let mut values = honest.clone();
                values[start + u] = table[d as usize];
                let moved = distances[u].min(top) - d;
                let deltas = vec![(Part::Distance, token, feature(u), -moved), (Part::Over, token, feature(u), moved)];
                out.extend(self.complete("distance cut short", &what, id, &values, &deltas));
            }
        }
        for u in visible..tokens {
            for d in [0, 1, top - 1] {
                let mut values = honest.clone();
                values[start + u] = table[d as usize];
                let deltas =
                    vec![(Part::Distance, token, feature(u), d - top), (Part::Over, token, feature(u), top - d)];
                out.extend(self.complete("mask switched off", &what, id, &values, &deltas));
            }
        }
    }

    /// Requantised scores of all keys, and the first visible one that is greatest.
    fn scores(&self, id: usize, token: usize, head: usize, visible: usize) -> Option<(Vec<i64>, usize)> {
        let nodes = &self.net.model.shapes[0].nodes;
        let Op::Attend { limbs, .. } = nodes[id].op else { return None };
        let (operand, tokens) = (nodes[id].inputs[0] as usize, self.net.model.tokens as usize);
        let start = token * nodes[operand].features as usize + head * tokens;
        let shift = limbs * self.net.model.limb_bits;
        let half = if shift == 0 { 0 } else { 1i64 << (shift - 1) };
        let scores: Vec<i64> =
            self.net.values[operand][start..start + tokens].iter().map(|x| (x + half) >> shift).collect();
        let max = *scores[..visible].iter().max()?;
        let winner = scores[..visible].iter().position(|s| *s == max)?;
        Some((scores, winner))
    }

    /// Cells for node `id` having `values`: what follows is recomputed, what no longer fits its limbs overflows the last
    /// limb, so that every linear relation that can hold does, or is reduced to it. None when the interpreter cannot go
    /// on.
    fn complete(&self, kind: &'static str, what: &str, id: usize, values: &[i64], deltas: &Deltas) -> Vec<Forgery> {
        let mut model = self.net.model.clone();
        for node in &mut model.shapes[0].nodes {
            (node.lo, node.hi) = (-interp::LIMIT, interp::LIMIT);
        }
        let node = &mut model.shapes[0].nodes[id];
        node.op = Op::Const { rows: model.tokens, data: values.to_vec() };
        node.inputs.clear();
        let inputs: Vec<&[i64]> = self.net.inputs.iter().map(Vec::as_slice).collect();
        let Ok(values) = interp::run(&model, 0, &inputs) else { return Vec::new() };
        let raw = |fill: &Fill| Fill { limb: None, ..*fill };
        let whole = Lowered { plan: self.lowered.plan.clone(), fills: self.lowered.fills.iter().map(raw).collect() };
        let Ok(whole) = witness::fill(&whole, &self.net.model, 0, &values) else { return Vec::new() };
        let mut publics = self.net.tensors();
        for (port, node) in interp::outputs(&model.shapes[0]) {
            publics.insert(Port::Output(port as u32), values[node].clone());
        }
        let cells = |reduce| {
            let mut lanes = whole.clone();
            self.lowered.fills.iter().for_each(|fill| self.split(fill, id, deltas, reduce, &mut lanes));
            Forgery { kind, what: what.into(), lanes, publics: publics.clone() }
        };
        vec![cells(false), cells(true)]
    }

    /// Adds the deltas to the whole quantities of a fill and cuts them into limbs.
    fn split(&self, fill: &Fill, id: usize, deltas: &Deltas, reduce: bool, lanes: &mut [Vec<i64>]) {
        let (geometry, bits) = (&self.lowered.plan.geometry, self.net.model.limb_bits);
        let op = &self.net.model.shapes[0].nodes[fill.node as usize].op;
        for i in 0..fill.count {
            let feature = fill.first + i;
            for token in 0..geometry.tokens {
                let (lane, row) = (((fill.slot + i) / geometry.groups) as usize, geometry.row(fill.slot + i, token));
                let cell = &mut lanes[lane][row];
                if fill.node as usize == id {
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
