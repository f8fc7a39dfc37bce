//! `LSTM`: gates input, output, forget, cell. With functions f, g, h and peepholes P:
//!
//! ```text
//! i = f(x Wi + h Ri + Pi c)    f = f(x Wf + h Rf + Pf c)    g = g(x Wc + h Rc)
//! c' = f c + i g               o = f(x Wo + h Ro + Po c')    h' = o h(c')
//! ```

use super::unroll::{Kind, Weights, unroll};
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome};
use tract_onnx::pb::NodeProto;

pub(in crate::frontend::rewrite) fn lstm(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let kind = Kind { gates: 4, functions: &["Sigmoid", "Tanh", "Tanh"], states: &[5, 6], apart: false };
    unroll(make, node, &kind, if node.int("input_forget", 0) == 0 { step } else { coupled })
}

fn step(make: &mut Builder<'_, '_>, w: &Weights, x: &str, states: &[Option<String>]) -> Rewritten<Vec<String>> {
    cell(make, w, x, states, false)
}

/// With one gate for both: what is not let in is kept.
fn coupled(make: &mut Builder<'_, '_>, w: &Weights, x: &str, states: &[Option<String>]) -> Rewritten<Vec<String>> {
    cell(make, w, x, states, true)
}

fn cell(
    make: &mut Builder<'_, '_>,
    w: &Weights,
    x: &str,
    states: &[Option<String>],
    coupled: bool,
) -> Rewritten<Vec<String>> {
    let (h, c) = (states[0].as_deref(), states[1].as_deref());
    let all = w.with_state(make, "gates", x, h, (0, 4))?;
    let input = gate(make, w, "input", &all, 0, (0, c))?;
    let new = w.gate(make, "cell_gate", &all, 3)?;
    let new = w.activate(make, "cell", 1, &new)?;
    let mut next = make.mul("taken", &input, &new);
    if let Some(c) = c {
        let forget = match coupled {
            true => {
                let one = make.scalar("one", 1.0)?;
                make.op("forget", "Sub", &[&one, &input], Vec::new())
            }
            false => gate(make, w, "forget", &all, 2, (2, Some(c)))?,
        };
        let kept = make.mul("kept", &forget, c);
        next = make.add("state", &kept, &next);
    }
    let output = gate(make, w, "output", &all, 1, (1, Some(&next)))?;
    let seen = w.functions[2].apply(make, "seen", &next)?;
    Ok(vec![make.mul("hidden", &output, &seen), next])
}

/// A gate that may look at a cell state through a peephole.
fn gate(
    make: &mut Builder<'_, '_>,
    w: &Weights,
    part: &str,
    all: &str,
    gate: i64,
    (peephole, state): (i64, Option<&str>),
) -> Rewritten<String> {
    let mut value = w.gate(make, &format!("{part}_gate"), all, gate)?;
    if let (Some(peepholes), Some(state)) = (&w.peepholes, state) {
        let (from, to) = (peephole * w.hidden, (peephole + 1) * w.hidden);
        let weight = make.slice(&format!("{part}_peephole"), peepholes, 0, from, to)?;
        let seen = make.mul(&format!("{part}_seen"), &weight, state);
        value = make.add(&format!("{part}_sum"), &value, &seen);
    }
    w.activate(make, part, 0, &value)
}
