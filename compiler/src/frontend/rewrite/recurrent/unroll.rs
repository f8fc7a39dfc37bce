//! The steps of a recurrent node, one behind the other, whatever its cell.

use super::function::Function;
use crate::frontend::refusal::{incorrect, lacks, refuse};
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome, tensor};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// Most steps of all directions together.
const MAX_STEPS: usize = 1 << 12;

/// What a kind of cell needs to know of its node.
pub(super) struct Kind {
    /// Rows of the weights per feature of the state.
    pub gates: i64,
    /// Functions of one direction where the node names none.
    pub functions: &'static [&'static str],
    /// Inputs that hold the initial state.
    pub states: &'static [usize],
    /// Whether the recurrent bias of the last gate is added apart from the rest.
    pub apart: bool,
}

/// The constants of one direction.
pub(super) struct Weights {
    pub hidden: i64,
    /// `[hidden, gates * hidden]`.
    pub recurrent: String,
    /// Recurrent bias of the last gate, where it is added apart.
    pub bias: Option<String>,
    /// Three times `[hidden]` in a row.
    pub peepholes: Option<String>,
    pub functions: Vec<Function>,
    /// Bound of what enters a function of a gate.
    pub clip: f32,
}

impl Weights {
    /// One gate of values for all of them, `[batch, hidden]`.
    pub fn gate(&self, make: &mut Builder<'_, '_>, part: &str, all: &str, gate: i64) -> Rewritten<String> {
        make.slice(part, all, 1, gate * self.hidden, (gate + 1) * self.hidden)
    }

    /// The function of a gate with a bounded argument.
    pub fn activate(&self, make: &mut Builder<'_, '_>, part: &str, function: usize, x: &str) -> Rewritten<String> {
        let mut x = x.to_owned();
        if self.clip > 0.0 {
            let (low, high) = (make.scalar("low", -self.clip)?, make.scalar("high", self.clip)?);
            let bounded = make.op(&format!("{part}_low"), "Max", &[&x, &low], Vec::new());
            x = make.op(&format!("{part}_high"), "Min", &[&bounded, &high], Vec::new());
        }
        self.functions[function].apply(make, part, &x)
    }

    /// `h R'` for some gates, added to `x`; `x` at the first step of a state that starts at 0.
    pub fn with_state(
        &self,
        make: &mut Builder<'_, '_>,
        part: &str,
        x: &str,
        h: Option<&str>,
        (from, to): (i64, i64),
    ) -> Rewritten<String> {
        let Some(h) = h else { return Ok(x.to_owned()) };
        let product = self.product(make, part, h, (from, to))?;
        Ok(make.add(&format!("{part}_all"), x, &product))
    }

    /// `h R'` for some gates.
    pub fn product(
        &self,
        make: &mut Builder<'_, '_>,
        part: &str,
        h: &str,
        (from, to): (i64, i64),
    ) -> Rewritten<String> {
        let weight = format!("{part}_weight");
        let weight = make.slice(&weight, &self.recurrent, 1, from * self.hidden, to * self.hidden)?;
        Ok(make.matmul(part, h, &weight))
    }
}

/// The next state from the projected features of one step and the state before; none stands for zeros.
pub(super) type Step = fn(&mut Builder<'_, '_>, &Weights, &str, &[Option<String>]) -> Rewritten<Vec<String>>;

/// Replaces a node by its steps.
pub(super) fn unroll(make: &mut Builder<'_, '_>, node: &NodeProto, kind: &Kind, step: Step) -> Rewritten<Outcome> {
    let (Some(x), Some(w), Some(r)) = (node.at(0), node.at(1), node.at(2)) else { return Err(lacks("an input")) };
    let (Some(sequence), Some(recurrent)) = (make.shape(x), make.shape(r)) else { return Ok(Outcome::Later) };
    let batch_first = node.int("layout", 0) == 1;
    let (&[a, b, _], &[directions, _, hidden]) = (&sequence[..], &recurrent[..]) else {
        return Err(incorrect(format!("its sequence has the shape {sequence:?}, its weights {recurrent:?}")));
    };
    let steps = if batch_first { b } else { a };
    if steps == 0 || steps.saturating_mul(directions) > MAX_STEPS {
        return Err(refuse(
            format!("it runs {steps} steps"),
            format!("between 1 and {MAX_STEPS} can be proven: choose another length"),
        ));
    }
    let x = if batch_first { make.transpose("sequence", x, &[1, 0, 2]) } else { x.to_owned() };
    let mut functions = Function::all(node, kind.functions, directions)?;
    let (mut sequences, mut ends) = (Vec::new(), vec![Vec::new(); kind.states.len()]);
    for d in 0..directions {
        let name = if d == 0 { "" } else { "back_" };
        let of = |make: &mut Builder<'_, '_>, part: &str, value: &str| {
            one(make, &format!("{name}{part}"), value, 0, d as i64)
        };
        let functions = functions.drain(..kind.functions.len()).collect();
        let (w, r) = (of(make, "w", w)?, of(make, "r", r)?);
        let (w, recurrent) = (make.transpose("w_turned", &w, &[1, 0]), make.transpose("r_turned", &r, &[1, 0]));
        let mut features = make.matmul(&format!("{name}features"), &x, &w);
        let hidden = hidden as i64;
        let mut bias = None;
        if let Some(biases) = node.at(3) {
            let biases = of(make, "b", biases)?;
            let both = kind.gates * hidden;
            let apart = if kind.apart { hidden } else { 0 };
            let (own, last) = (make.slice("b_own", &biases, 0, 0, both)?, 2 * both - apart);
            let mut of_state = make.slice("b_state", &biases, 0, both, last)?;
            if apart > 0 {
                bias = Some(make.slice("b_last", &biases, 0, last, 2 * both)?);
                let zeros = make.constant("zeros", &tensor1(&vec![0f32; hidden as usize]))?;
                of_state = make.concat("b_rest", &[&of_state, &zeros], 0);
            }
            let sum = make.add("b_sum", &own, &of_state);
            features = make.add(&format!("{name}biased"), &features, &sum);
        }
        let peepholes = match node.at(7) {
            Some(p) if kind.states.len() > 1 => Some(of(make, "p", p)?),
            _ => None,
        };
        let weights = Weights { hidden, recurrent, bias, peepholes, functions, clip: node.float("clip", 0.0) };
        let mut states = Vec::new();
        for &slot in kind.states {
            let axis = i64::from(batch_first);
            states.push(match node.at(slot) {
                Some(initial) => Some(one(make, &format!("{name}initial"), initial, axis, d as i64)?),
                None => None,
            });
        }
        let mut rows = vec![String::new(); steps];
        let backwards = d == 1 || node.text("direction") == "reverse";
        for i in 0..steps {
            let t = if backwards { steps - 1 - i } else { i };
            let features = one(make, &format!("{name}step{t}"), &features, 0, t as i64)?;
            let mut next = step(make, &weights, &features, &states)?;
            let mut shown = next[0].clone();
            if let Some(runs) = runs(make, node, t, steps)? {
                let zero = make.scalar("zero", 0.0)?;
                for (new, old) in next.iter_mut().zip(&states) {
                    let old = old.as_deref().unwrap_or(&zero);
                    *new = make.op(&format!("{name}kept{t}"), "Where", &[&runs, new, old], Vec::new());
                }
                shown = make.op(&format!("{name}shown{t}"), "Where", &[&runs, &shown, &zero], Vec::new());
            }
            rows[t] = make.unsqueeze(&format!("{name}row{t}"), &shown, &[0, 1])?;
            states = next.into_iter().map(Some).collect();
        }
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        sequences.push(make.concat(&format!("{name}rows"), &rows, 0));
        for (end, state) in ends.iter_mut().zip(states.iter().flatten()) {
            end.push(make.unsqueeze(&format!("{name}end"), state, &[0])?);
        }
    }
    finish(make, node.out(0), &sequences, 1, batch_first.then_some(&[2, 0, 1, 3]));
    for (slot, end) in ends.iter().enumerate() {
        finish(make, node.out(1 + slot), end, 0, batch_first.then_some(&[1, 0, 2]));
    }
    Ok(Outcome::Replaced)
}

/// One place of an axis, without the axis.
fn one(make: &mut Builder<'_, '_>, part: &str, value: &str, axis: i64, at: i64) -> Rewritten<String> {
    let slice = make.slice(&format!("{part}_of"), value, axis, at, at + 1)?;
    make.squeeze(part, &slice, &[axis])
}

/// Gives the results of all directions, behind each other along `axis`, to an output, with the axes in another order.
fn finish<const N: usize>(
    make: &mut Builder<'_, '_>,
    output: Option<&str>,
    parts: &[String],
    axis: i64,
    order: Option<&[i64; N]>,
) {
    let Some(output) = output else { return };
    let all = make.concat("directions", &parts.iter().map(String::as_str).collect::<Vec<_>>(), axis);
    let all = order.map_or(all.clone(), |order| make.transpose("batch_first", &all, order));
    make.export(&all, Some(output));
}

/// Which sequences of the batch run at step `t`, `[batch, 1]`; none when all do.
fn runs(make: &mut Builder<'_, '_>, node: &NodeProto, t: usize, steps: usize) -> Rewritten<Option<String>> {
    let Some(lengths) = node.at(4) else { return Ok(None) };
    if let Some(value) = make.net.constant(lengths)? {
        let lengths = tensor::integers(&value)?;
        if let Some(bad) = lengths.iter().find(|&&n| n < 0 || n > steps as i64) {
            return Err(incorrect(format!("it has a sequence of length {bad} in one of {steps} steps")));
        }
        if lengths.iter().all(|&n| n > t as i64) {
            return Ok(None);
        }
    }
    let place = make.constant(&format!("place{t}"), &tensor0(t as i32))?;
    let runs = make.op(&format!("runs{t}"), "Less", &[&place, lengths], Vec::new());
    make.unsqueeze(&format!("runs{t}_column"), &runs, &[1]).map(Some)
}
