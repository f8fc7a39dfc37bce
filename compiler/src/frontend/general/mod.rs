//! The general path: any model, read as one token of flat features.
//!
//! Every tensor is a shape with one reference per element, so that data movement of any rank is an index map and costs
//! nothing; what is computed from constants is folded by tract. [`read`] walks tract's graph, one file per family of
//! operators; [`fuse`] merges gains, shifts and means into layers; [`emit`] writes the float graph.

mod cast;
mod conv;
mod einsum;
mod elementwise;
mod emit;
mod function;
mod fuse;
mod gather;
mod graph;
mod groups;
mod inputs;
mod integer;
mod moves;
mod norm;
mod operators;
mod penalty;
mod pool;
mod read;
mod reduce;
mod softmax;
mod tensor;

use super::error::Problem;
use crate::frontend::refusal::Refusal;
use graph::{Graph, Op};
use nanozk_ir::float;
use read::{Family, Reader, Value};
use std::collections::HashMap;
use tensor::View;
use tract_onnx::prelude::*;

/// The families of operators, each asked in turn.
const FAMILIES: [Family; 10] = [
    moves::read,
    operators::read,
    einsum::read,
    cast::read,
    reduce::read,
    softmax::read,
    norm::read,
    gather::read,
    conv::read,
    pool::read,
];

/// Reads `model`; `seen` holds the extent of the sample data of each input, where known. The graph, and what the user should
/// know about it.
pub(super) fn read(
    model: &TypedModel,
    names: &[&str],
    seen: &[Option<(f64, f64)>],
) -> Result<(float::Graph, Vec<String>), Vec<Problem>> {
    let mut graph = Graph::default();
    let (mut inputs, mut values, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for (slot, &outlet) in model.inputs.iter().enumerate() {
        let name = model.node(outlet.node).name.clone();
        let fact = &model.node(outlet.node).outputs[outlet.slot].fact;
        let shape = fact.shape.as_concrete().unwrap_or_default();
        let whole = inputs::range(model, outlet, seen.get(slot).copied().flatten()).unwrap_or_else(|refusal| {
            let shapes = format!("{shape:?}");
            problems.push(Problem { node: name.clone(), op: "Input".to_owned(), shapes, refusal });
            Some(graph::BIT)
        });
        graph.name.clone_from(&name);
        let codes = graph.add(Op::Input, Vec::new(), shape.iter().product(), whole);
        values.push(Value::View(View::new(shape, codes.clone())));
        inputs.push(emit::Input { name, codes, whole });
    }
    let mut reader = Reader { families: &FAMILIES, graph: &mut graph, problems, quotients: HashMap::new() };
    let results = reader.model(model, &values).and_then(|results| {
        results.iter().map(|value| Ok(reader.view(value)?.codes.to_vec())).collect::<Result<Vec<_>, Refusal>>()
    });
    let outputs = match results {
        Ok(outputs) if reader.problems.is_empty() => outputs,
        Ok(_) => return Err(reader.problems),
        Err(refusal) => {
            let whole = Problem { node: "model".to_owned(), op: "Graph".to_owned(), shapes: String::new(), refusal };
            reader.problems.push(whole);
            return Err(reader.problems);
        }
    };
    fuse::fuse(&mut graph, &outputs);
    let outputs: Vec<_> = names.iter().map(|&name| name.to_owned()).zip(outputs).collect();
    Ok((emit::emit(&graph, &inputs, &outputs)?, graph.notes))
}
