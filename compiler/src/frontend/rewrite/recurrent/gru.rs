//! `GRU`: gates update, reset, hidden. With functions f, g:
//!
//! ```text
//! z = f(x Wz + h Rz)    r = f(x Wr + h Rr)    h' = (1 - z) n + z h
//! n = g(x Wh + (r h) Rh), or, reset after the product, g(x Wh + r (h Rh + b))
//! ```

use super::unroll::{Kind, Weights, unroll};
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome};
use tract_onnx::pb::NodeProto;

pub(in crate::frontend::rewrite) fn gru(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let apart = node.int("linear_before_reset", 0) != 0;
    let kind = Kind { gates: 3, functions: &["Sigmoid", "Tanh"], states: &[5], apart };
    unroll(make, node, &kind, if apart { reset_after } else { reset_before })
}

fn reset_before(make: &mut Builder<'_, '_>, w: &Weights, x: &str, states: &[Option<String>]) -> Rewritten<Vec<String>> {
    let h = states[0].as_deref();
    let (update, reset) = gates(make, w, x, h)?;
    let own = w.gate(make, "new_gate", x, 2)?;
    let sum = match h {
        Some(h) => {
            let part = make.mul("reset_state", &reset, h);
            w.with_state(make, "new_product", &own, Some(&part), (2, 3))?
        }
        None => own,
    };
    finish(make, w, &sum, &update, h)
}

fn reset_after(make: &mut Builder<'_, '_>, w: &Weights, x: &str, states: &[Option<String>]) -> Rewritten<Vec<String>> {
    let h = states[0].as_deref();
    let (update, reset) = gates(make, w, x, h)?;
    let own = w.gate(make, "new_gate", x, 2)?;
    let product = match h {
        Some(h) => Some(w.product(make, "new_product", h, (2, 3))?),
        None => None,
    };
    let seen = match (product, &w.bias) {
        (Some(product), Some(bias)) => Some(make.add("new_biased", &product, bias)),
        (product, bias) => product.or(bias.clone()),
    };
    let sum = match seen {
        Some(seen) => {
            let part = make.mul("reset_product", &reset, &seen);
            make.add("new_sum", &own, &part)
        }
        None => own,
    };
    finish(make, w, &sum, &update, h)
}

/// The update and the reset gate.
fn gates(make: &mut Builder<'_, '_>, w: &Weights, x: &str, h: Option<&str>) -> Rewritten<(String, String)> {
    let own = make.slice("gates_own", x, 1, 0, 2 * w.hidden)?;
    let both = w.with_state(make, "gates", &own, h, (0, 2))?;
    let (update, reset) = (w.gate(make, "update_gate", &both, 0)?, w.gate(make, "reset_gate", &both, 1)?);
    Ok((w.activate(make, "update", 0, &update)?, w.activate(make, "reset", 0, &reset)?))
}

/// `n + z (h - n)`.
fn finish(make: &mut Builder<'_, '_>, w: &Weights, sum: &str, update: &str, h: Option<&str>) -> Rewritten<Vec<String>> {
    let new = w.activate(make, "new", 1, sum)?;
    let change = match h {
        Some(h) => make.op("change", "Sub", &[h, &new], Vec::new()),
        None => make.op("change", "Neg", &[&new], Vec::new()),
    };
    let kept = make.mul("kept", update, &change);
    Ok(vec![make.add("hidden", &new, &kept)])
}
