//! Rewriting of the file before tract reads it: what tract lacks becomes plain ONNX operators of the same meaning.
//!
//! Every part that stands for a node of the file has a name that starts with the name of that node, so that what follows
//! can say where in the file it stands.

mod arithmetic;
mod attention;
mod builder;
mod control;
mod conv_transpose;
mod crop;
mod deform;
mod dims;
mod edition;
mod einsum;
mod expand;
mod facts;
mod fold;
mod fourier;
mod functions;
mod grid;
mod guarded;
mod indices;
mod inline;
mod linear_attention;
mod loss;
mod microsoft;
mod ml;
mod moves;
mod net;
mod ngrams;
pub(super) mod node;
mod normalise;
mod optimisers;
mod order;
mod outputs;
mod quantised;
mod ranking;
mod recurrent;
mod refuse;
mod resize;
mod rule;
mod scan;
mod scatter;
mod selection;
mod sequence;
mod stretch;
pub(super) mod tensor;
#[cfg(test)]
mod tests;
mod undefined;
mod widen;
mod windows;

use crate::frontend::refusal::{Refusal, refuse};
use crate::frontend::{
    error::{FrontendError, Problem},
    options::LoadOptions,
    rounding::{Quantisation, Rounding},
};
use functions::Functions;
use net::{Net, Refused, Rewritten};
use node::Parts;
use std::{collections::BTreeMap, path::Path};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto},
};

/// Most rounds of inferring facts and replacing what they settle.
const MAX_ROUNDS: usize = 256;

/// What is left of a file besides its graph.
pub(super) struct Rewriting {
    /// Names of the outputs in the file.
    pub outputs: Vec<String>,
    /// Least and greatest value of the sample data of each input that is left, where known.
    pub seen: Vec<Option<(f64, f64)>>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// The graph with the rounding that the other one leaves out, where it does.
    pub rounded: Option<GraphProto>,
    /// What the file rounds.
    pub quantisation: Quantisation,
}

/// Rewrites `model`, which was read from `bytes`.
///
/// # Errors
/// With all nodes that have no plain form.
pub(super) fn rewrite(
    model: &mut ModelProto,
    bytes: &[u8],
    path: &Path,
    onnx: &Onnx,
    options: &LoadOptions,
) -> Result<Rewriting, FrontendError> {
    let refused = |refusal: Refusal| FrontendError::Analysis { path: path.to_owned(), refusal };
    let folder = path.parent().and_then(Path::to_str);
    let functions = Functions::take(model, bytes);
    let mut net = Net::new(model, onnx, folder);
    let ops: BTreeMap<String, String> =
        net.graph.node.iter().map(|node| (node.label().to_owned(), node.op_type.clone())).collect();
    normalise::normalise(&mut net).map_err(refused)?;
    outputs::select(&mut net, path, &options.outputs)?;
    outputs::prune(&mut net, []);
    widen::widen(&mut net).map_err(refused)?;
    let names: Vec<String> = net.graph.input.iter().map(|input| input.name.clone()).collect();
    dims::fix(&mut net, path, options)?;
    let seen = by_name(&names, &net, options);
    undefined::run(&mut net).map_err(refused)?;
    rounds(&mut net, &functions).map_err(refused)?;
    order::sort(&mut net).map_err(refused)?;
    let quantisation = quantised::kinds(&net);
    let rounded = options.rounding.leaves_out(quantisation).then(|| rounded(&mut net));
    quantised::run(&mut net, options.rounding);
    outputs::prune(&mut net, []);
    refuse::remaining(&mut net);
    if !net.refused.is_empty() {
        let problem = |r: Refused| {
            let op = ops.get(&r.node).cloned().unwrap_or(r.op);
            Problem { node: r.node, op, shapes: String::new(), refusal: r.refusal }
        };
        let problems = net.refused.into_iter().map(problem).collect();
        return Err(FrontendError::Unsupported { path: path.to_owned(), problems });
    }
    let outputs = outputs::part(&mut net);
    net.name_nodes();
    let seen = net.graph.input.iter().map(|input| seen.get(&input.name).copied()).collect();
    model.graph = Some(std::mem::take(&mut net.graph));
    Ok(Rewriting { outputs, seen, notes: net.notes, rounded, quantisation })
}

/// The graph with all its rounding; `net` stays as it is.
fn rounded(net: &mut Net<'_>) -> GraphProto {
    let kept = net.graph.clone();
    quantised::run(net, Rounding::All);
    outputs::prune(net, []);
    outputs::part(net);
    net.name_nodes();
    let graph = std::mem::replace(&mut net.graph, kept);
    net.index();
    graph
}

/// Extents of the sample data by input, which lists all inputs of the file, `names`, or those that are left.
fn by_name(names: &[String], net: &Net<'_>, options: &LoadOptions) -> BTreeMap<String, (f64, f64)> {
    let left: Vec<String> = net.graph.input.iter().map(|input| input.name.clone()).collect();
    let listed = if options.seen.len() == left.len() { &left } else { names };
    let pairs = listed.iter().zip(&options.seen);
    pairs.filter_map(|(name, seen)| Some((name.clone(), (*seen)?))).collect()
}

/// Replaces whatever can be, until nothing more can.
fn rounds(net: &mut Net<'_>, functions: &Functions) -> Rewritten<()> {
    let mut sequences = sequence::Sequences::new();
    for _ in 0..MAX_ROUNDS {
        functions.inline(net);
        normalise::normalise(net)?;
        widen::widen(net)?;
        let mut changed = expand::expand(net, None);
        if !changed {
            let facts = net.facts(expand::is_plain);
            for (place, refusal) in &facts.absent {
                let node = net.graph.node[*place].clone();
                net.refuse(&node, refusal.clone());
            }
            if !facts.absent.is_empty() {
                return Ok(());
            }
            changed |= selection::sorted::run(net, &facts)?;
            changed |= control::run(net, &facts);
            changed |= sequence::unroll(net, &facts, &mut sequences);
            changed |= expand::expand(net, Some(&facts));
            changed |= fold::fold(net, &facts)?;
            if !changed && net.refused.is_empty() {
                changed |= guarded::run(net, &facts)? || selection::run(net, &facts)? || control::both(net)?;
            }
        }
        if !changed || !net.refused.is_empty() {
            return Ok(());
        }
        outputs::prune(net, sequences.values().flatten());
    }
    Err(refuse(
        format!("it does not come to an end within {MAX_ROUNDS} rounds of rewriting"),
        "export it without functions and loops",
    ))
}
