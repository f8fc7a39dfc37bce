//! Sequences of tensors whose lengths are known, replaced by the tensors they hold.

use super::{
    builder::Builder,
    control::known,
    facts::Facts,
    net::{Net, Rewritten},
    node::{self, Parts},
    tensor,
};
use crate::frontend::refusal::{incomplete, incorrect, refuse};
use std::collections::HashMap;
use tract_onnx::{
    pb::{NodeProto, ValueInfoProto},
    tract_hir::internal::tensor0,
};

/// Longest sequence.
const MAX_LENGTH: usize = 1 << 16;

/// The tensors in each sequence that was replaced.
pub(super) type Sequences = HashMap<String, Vec<String>>;

/// Replaces what is known; says whether anything was.
pub(super) fn unroll(net: &mut Net<'_>, facts: &Facts, sequences: &mut Sequences) -> bool {
    let mut changed = false;
    // Nodes stand in any order: once around for each level of sequences of sequences' readers.
    loop {
        let mut progress = false;
        for node in std::mem::take(&mut net.graph.node) {
            let mut make = Builder::new(net, Some(facts), &node);
            match step(&mut make, sequences, &node) {
                Ok(true) => {
                    let parts = make.nodes;
                    net.graph.node.extend(parts);
                    progress = true;
                }
                Ok(false) => net.graph.node.push(node),
                Err(refusal) => {
                    net.refuse(&node, refusal);
                    progress = true;
                }
            }
        }
        if !progress {
            return outputs(net, sequences) || changed;
        }
        changed = true;
    }
}

/// Gives the tensors of a sequence that is an output as outputs; says whether there was one.
fn outputs(net: &mut Net<'_>, sequences: &Sequences) -> bool {
    let mut changed = false;
    for output in std::mem::take(&mut net.graph.output) {
        let Some(tensors) = sequences.get(&output.name) else {
            net.graph.output.push(output);
            continue;
        };
        changed = true;
        let mut names = Vec::new();
        for (i, tensor) in tensors.iter().enumerate() {
            let name = net.fresh(format!("{}/{i}", output.name));
            net.graph.node.push(node::node(&name, "Identity", &[tensor], &name, Vec::new()));
            net.graph.output.push(ValueInfoProto { name: name.clone(), ..Default::default() });
            names.push(format!("\"{name}\""));
        }
        net.notes.push(format!("output \"{}\" is a list, given as the outputs {}", output.name, names.join(", ")));
    }
    changed
}

/// Replaces one node, when all it needs is known.
fn step(make: &mut Builder<'_, '_>, sequences: &mut Sequences, node: &NodeProto) -> Rewritten<bool> {
    let Some(output) = node.out(0) else { return Ok(false) };
    let facts = make.facts;
    let position = |make: &Builder<'_, '_>, slot: usize| -> Rewritten<Option<i64>> {
        match (node.at(slot), facts) {
            (Some(value), Some(facts)) => known(make.net, facts, value),
            _ => Ok(None),
        }
    };
    let given = node.at(0).and_then(|name| sequences.get(name)).cloned();
    let sequence = match (&node.op_type[..], given) {
        ("SequenceEmpty", _) => Vec::new(),
        ("SequenceConstruct", _) => node.input.clone(),
        ("SplitToSequence", _) => match split(make, node)? {
            Some(parts) => parts,
            None => return Ok(false),
        },
        ("Identity", Some(sequence)) => sequence,
        ("SequenceInsert", Some(mut sequence)) => {
            let value = node.at(1).ok_or(incomplete("it inserts nothing"))?.to_owned();
            let place = match node.at(2) {
                Some(_) => position(make, 2)?,
                None => Some(sequence.len() as i64),
            };
            let Some(place) = place else { return Ok(false) };
            let place = index(place, sequence.len(), sequence.len() + 1)?;
            sequence.insert(place, value);
            sequence
        }
        ("SequenceErase", Some(mut sequence)) => {
            let place = match node.at(1) {
                Some(_) => position(make, 1)?,
                None => Some(-1),
            };
            let Some(place) = place else { return Ok(false) };
            sequence.remove(index(place, sequence.len(), sequence.len())?);
            sequence
        }
        ("SequenceAt", Some(sequence)) => {
            let Some(place) = position(make, 1)? else { return Ok(false) };
            let place = index(place, sequence.len(), sequence.len())?;
            make.last("Identity", &[&sequence[place]], output, Vec::new());
            return Ok(true);
        }
        ("SequenceLength", Some(sequence)) => {
            make.net.set_constant(output, &tensor0(sequence.len() as i64))?;
            return Ok(true);
        }
        ("ConcatFromSequence", Some(sequence)) => {
            let axis = node.int("axis", 0);
            let mut values = sequence;
            if node.int("new_axis", 0) != 0 {
                for value in &mut values {
                    *value = make.unsqueeze("part", value, &[axis])?;
                }
            }
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            make.last("Concat", &values, output, vec![node::int("axis", axis)]);
            return Ok(true);
        }
        _ => return Ok(false),
    };
    if sequence.len() > MAX_LENGTH {
        return Err(refuse(format!("its sequence is longer than {MAX_LENGTH}"), "make it shorter"));
    }
    sequences.insert(output.to_owned(), sequence);
    Ok(true)
}

/// A place in a sequence, counted from its end when negative.
fn index(place: i64, length: usize, limit: usize) -> Rewritten<usize> {
    let counted = if place < 0 { place.saturating_add(length as i64) } else { place };
    usize::try_from(counted)
        .ok()
        .filter(|&i| i < limit)
        .ok_or_else(|| incorrect(format!("its position {place} is not in a sequence of {length}")))
}

/// The parts of a `SplitToSequence`, when their sizes are known.
fn split(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Option<Vec<String>>> {
    let input = node.at(0).ok_or(incomplete("it has no input"))?;
    let axis = node.int("axis", 0);
    let size = |make: &Builder<'_, '_>| {
        let shape = make.shape(input)?;
        Some(shape[node::place(axis, shape.len())?] as i64)
    };
    let sizes = match node.at(1) {
        None => None,
        Some(split) => match make.net.constant(split)?.or_else(|| make.facts?.value(split)) {
            Some(value) => {
                let listed = value.rank() > 0;
                Some((tensor::integers(&value).map_err(|e| incorrect(e.to_string()))?, listed))
            }
            None => return Ok(None),
        },
    };
    let squeezed = sizes.is_none() && node.int("keepdims", 1) == 0;
    let sizes = match sizes {
        Some((sizes, true)) => sizes,
        chunk => {
            let Some(size) = size(make) else { return Ok(None) };
            let chunk = chunk.and_then(|(c, _)| c.first().copied()).unwrap_or(1);
            if chunk < 1 || size / chunk > MAX_LENGTH as i64 {
                return Err(refuse(format!("it splits {size} values into parts of {chunk}"), "make the parts larger"));
            }
            (0..size).step_by(chunk as usize).map(|from| chunk.min(size - from)).collect()
        }
    };
    let mut parts = Vec::new();
    let mut from = 0i64;
    for size in sizes {
        let to = from.saturating_add(size);
        let part = make.slice("part", input, axis, from, to)?;
        parts.push(if squeezed { make.squeeze("element", &part, &[axis])? } else { part });
        from = to;
    }
    Ok(Some(parts))
}
