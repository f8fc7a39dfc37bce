//! The walk over a graph, in which each op emits its cells and facts.

use super::budget::Budget;
use super::emit::{Emitted, Emitter, Reads, operand_error};
use super::error::LayoutError;
use super::ops::circuit;
use super::options::{PortSpec, Ports, Squares};
use super::size::size;
use nanozk_ir::int::ops::{self, Misfit, Site};
use nanozk_ir::int::{Graph, ValueId};

/// Emits the whole graph.
pub fn emit(
    graph: &Graph,
    ports: &Ports,
    tokens: u32,
    limb_bits: u32,
    squares: Squares,
    mut budget: Budget,
) -> Result<Emitted, LayoutError> {
    budget.charge(size(graph, ports, tokens, limb_bits))?;
    let features = |specs: &[PortSpec]| specs.iter().map(|spec| spec.features).collect::<Vec<u32>>();
    let (inputs, outputs) = (features(&ports.inputs), features(&ports.outputs));
    let widths = ops::Ports { inputs: &inputs, outputs: &outputs };
    let reads = reads(graph, widths, tokens, limb_bits)?;
    let mut emitter = Emitter::new(graph, ports, tokens, limb_bits, squares, reads);
    emitter.out.budget = budget;
    for (id, node) in (0..).zip(&graph.nodes) {
        let site = Site::new(tokens, limb_bits, graph, node, widths);
        let value = circuit(&node.op).emit(&mut emitter, id, &site)?;
        emitter.out.budget.charge(value.iter().map(|expr| expr.len() as u64).sum())?;
        emitter.values.push(value);
    }
    for group in 0..emitter.out.groups.len() as u32 {
        if !emitter.out.groups[group as usize].products.is_empty() {
            emitter.materialise(group);
        }
    }
    Ok(emitter.out)
}

/// What reads each node of a graph whose nodes fit their operands.
fn reads(graph: &Graph, widths: ops::Ports, tokens: u32, limb_bits: u32) -> Result<Reads, LayoutError> {
    let mut consumers = vec![Vec::new(); graph.nodes.len()];
    let mut uses: Vec<Vec<u32>> = graph.nodes.iter().map(|n| vec![0; n.features as usize]).collect();
    for (id, node) in graph.nodes.iter().enumerate() {
        for (operand, &input) in node.inputs.iter().enumerate() {
            if input as usize >= id {
                return Err(operand_error(node, Misfit::NotEarlier(operand as u32)));
            }
            consumers[input as usize].push(id as ValueId);
        }
        let site = Site::new(tokens, limb_bits, graph, node, widths);
        node.op.meaning().check(&site).map_err(|reason| operand_error(node, reason))?;
        for (operand, &input) in (0..).zip(&node.inputs) {
            circuit(&node.op).reads(&site, operand, &mut uses[input as usize]);
        }
    }
    Ok(Reads { consumers, uses })
}
