//! A softmax row that an infinite mask hides: the check that something is visible, whose result no node reads, leaves a
//! cheating prover no cells.

use crate::cells::Constraint;
use crate::forge::with_values;
use crate::prover::{Attempt, Counts, constraints};
use crate::target::Target;
use nanozk_compiler::onnx::{DataType, Onnx, int, ints};
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_ir::float::InputValue;
use nanozk_ir::int::interp;
use nanozk_plan::check;
use nanozk_testkit::net::Net;
use std::collections::BTreeMap;

/// Sequences, tokens of each, features.
const B: usize = 2;
const T: usize = 3;
const D: usize = 2;

/// Attention over a batch, which is read as one token; the mask shows all of the first sequence and one token of the second.
fn attention() -> Target {
    let onnx = Onnx::default()
        .input("x", &[B, T, D])
        .whole_input("m", &[B, 1, T])
        .constant("low", &[], &[f32::NEG_INFINITY])
        .node("Transpose", &["x"], "xt", &[ints("perm", &[0, 2, 1])])
        .node("MatMul", &["x", "xt"], "s", &[])
        .node("Cast", &["m"], "shown", &[int("to", DataType::Bool as i64)])
        .node("Where", &["shown", "s", "low"], "masked", &[])
        .node("Softmax", &["masked"], "shares", &[int("axis", -1)])
        .node("MatMul", &["shares", "x"], "y", &[])
        .output("y", &[B, T, D]);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("input.json");
    let x: Vec<f32> = (0..B * T * D).map(|i| ((i * 5 % 7) as f32 - 3.0) / 4.0).collect();
    let mask = vec![1, 1, 1, 0, 1, 0];
    std::fs::write(&data, serde_json::json!({ "input_data": [x, mask] }).to_string()).unwrap();
    let options = CompileOptions { data: vec![data], ..Default::default() };
    let artifact = compile(&onnx.write(folder.path()).unwrap(), &options, &|_| {}).unwrap();
    Target::first_layer("a row that is hidden", artifact, vec![InputValue::Float(x), InputValue::Integer(mask)])
}

#[test]
fn a_row_without_visible_entries_has_no_proof() {
    let target = attention();
    let (net, graph) = (&target.net, &target.net.model.shapes[0]);
    let check = graph.nodes.iter().position(|node| node.name == "shares.visible").unwrap();
    assert!(graph.nodes.iter().all(|node| !node.inputs.contains(&(check as u32))), "a node reads the check");
    let report = check::check(target.plan()).unwrap();
    let fills: Vec<_> = target.lowered.fills.iter().filter(|fill| fill.node as usize == check).collect();
    assert!(!fills.is_empty() && fills.iter().all(|f| (f.slot..f.slot + f.count).all(|slot| !report.is_free(slot, 0))));

    // The honest prover stops at the row.
    let mut inputs = net.inputs.clone();
    let mask = inputs.iter_mut().find(|input| input.len() == B * T).unwrap();
    mask[T..].fill(0);
    let args: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
    let refused = interp::run(&net.model, 0, &args).unwrap_err().to_string();
    assert!(refused.contains("`shares.visible`, row 3: a mask of this input hides every entry"), "{refused}");

    // The cheating one lets the check hold any number, that of no visible entry too, and computes all else as it is. What does
    // not fit overflows each of its limbs in turn, or is cut to them.
    let hidden = Net { model: net.model.clone(), inputs, values: net.values.clone(), seed: 0, magnitude: 0 };
    let (honest, lo, hi) = (&net.values[check], graph.nodes[check].lo, graph.nodes[check].hi);
    assert!(
        honest[T..].iter().all(|&value| value == lo),
        "one token of the second sequence is visible in the honest run"
    );
    let domain = 1i64 << (fills.iter().filter_map(|f| f.limb).map(|l| l.1).max().unwrap() * net.model.limb_bits);
    let (mut cells, mut tried, mut attempts) = (target.cells(target.plan()), 0, Vec::new());
    for held in (lo - 1..lo + domain).filter(|held| *held <= hi || held % 97 == 0) {
        let mut values = honest.clone();
        values[T..].fill(held);
        with_values(&hidden, &target.lowered, &BTreeMap::from([(check, values)]), &mut |forgery| {
            let attempt = Attempt::new(&target, &mut cells, forgery);
            assert!(!attempt.broken.is_empty(), "{held} is accepted");
            tried += 1;
            if held <= hi {
                attempts.push((held, attempt));
            }
        });
    }
    // Where it holds what the entries add up to, the lookup of a limb fails alone.
    let alone = |a: &Attempt| a.alone().is_some_and(|c| matches!(c, Constraint::Lookup(_)));
    assert!(
        attempts.iter().any(|(held, attempt)| *held == lo - 1 && alone(attempt)),
        "nothing but the check stops the prover"
    );
    let mut counts = Counts::default();
    constraints(&target, &attempts.into_iter().map(|a| a.1).collect::<Vec<_>>(), 1, &mut counts);
    println!(
        "{tried} forgeries break a constraint; {:?} rejected as proofs, {:?} without it",
        counts.rejected, counts.accepted
    );
    assert!(counts.accepted.contains_key("lookups"), "{:?}", counts.accepted);
}
