//! From a parsed file to tract's typed, decluttered model. What stops tract is said of a node of the file.

use super::{
    axes,
    error::{FrontendError, Problem},
    quotient,
    rewrite::{node::Parts, tensor::integers},
};
use crate::frontend::refusal::{Refusal, incomplete, incorrect, reason, refuse};
use std::{collections::BTreeSet, path::Path};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto},
    prelude::*,
    tract_hir::internal::*,
};

/// The nodes of a file: their names and operators.
pub(super) struct Nodes(Vec<(String, String)>);

impl Nodes {
    /// Those of a graph; a node without a name has that of its first output.
    pub fn of(graph: &GraphProto) -> Nodes {
        let named = graph.node.iter().map(|n| (n.label().to_owned(), n.op_type.clone()));
        Nodes(named.filter(|n| !n.0.is_empty()).collect())
    }

    /// The node with which a text begins: names of tract, and of parts, begin with that of the node of the file.
    fn first_of(&self, text: &str) -> Option<&(String, String)> {
        self.0.iter().filter(|(name, _)| text.starts_with(name)).max_by_key(|n| n.0.len())
    }

    /// The problem with the name and the operator of the node in the file.
    pub fn in_file(&self, problem: Problem) -> Problem {
        match self.first_of(&problem.node) {
            Some((node, op)) => Problem { node: node.clone(), op: op.clone(), ..problem },
            None => problem,
        }
    }

    /// An error of tract, as one of the node that it speaks of. `model` knows what was inferred of that node's operands.
    fn blamed(&self, path: &Path, error: &TractError, model: Option<&InferenceModel>) -> FrontendError {
        let text = reason(error);
        let numbered = || text.split_once("node #")?.1.split_once('"').map(|(_, name)| name);
        let place = numbered().or_else(|| Some(text.split_once("Building node ")?.1)).unwrap_or_default();
        let Some((node, op)) = self.first_of(place) else {
            return FrontendError::Analysis { path: path.to_owned(), refusal: Refusal::bare(text) };
        };
        let own = |node: &&Node<InferenceFact, Box<dyn InferenceOp>>| {
            place.strip_prefix(node.name.as_str()).is_some_and(|rest| rest.starts_with('"'))
        };
        let operands: Vec<&InferenceFact> = model
            .and_then(|model| Some((model, model.nodes().iter().find(own)?)))
            .map(|(model, node)| node.inputs.iter().filter_map(|&input| model.outlet_fact(input).ok()).collect())
            .unwrap_or_default();
        let types: BTreeSet<String> =
            operands.iter().filter_map(|fact| Some(format!("{:?}", fact.datum_type.concretize()?))).collect();
        let types: Vec<String> = types.into_iter().collect();
        let refusal = if text.contains("super type") {
            incorrect(format!("its operands are of the types {}, which it does not take together", types.join(", ")))
        } else if text.contains("Failed analyse") || text.contains("broadcast(") {
            misfit()
        } else {
            let cause = error.root_cause().to_string();
            let cause = cause.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            refuse(format!("it cannot be read as it stands ({cause})"), "export the model again, or replace the node")
        };
        let shapes = operands.into_iter().map(shape).collect::<Vec<_>>().join(" x ");
        let problem = Problem { node: node.clone(), op: op.clone(), shapes, refusal };
        FrontendError::Unsupported { path: path.to_owned(), problems: vec![problem] }
    }
}

/// Why a node has no result where its operands are known.
fn misfit() -> Refusal {
    refuse(
        "the shapes of its operands do not fit each other or its attributes",
        "correct the model, or the lengths of its inputs",
    )
}

/// The lengths of the axes, `?` for those that are not known; of a short list of integers the integers, as shapes are given.
fn shape(fact: &InferenceFact) -> String {
    let list = fact.value.concretize().filter(|v| v.rank() == 1 && v.len() <= 8 && !v.datum_type().is_float());
    if let Some(list) = list.and_then(|value| integers(&value).ok()) {
        return format!("({})", list.iter().map(i64::to_string).collect::<Vec<_>>().join(","));
    }
    let axes = fact.shape.dims().map(|d| d.concretize().map_or("?".to_owned(), |d| d.to_string()));
    let open = if fact.shape.is_open() { Some("..".to_owned()) } else { None };
    format!("[{}]", axes.chain(open).collect::<Vec<_>>().join(","))
}

/// Analyses a model, whose own copy of the weights goes as soon as tract has one; `names` are the nodes of the file that it
/// was made of.
pub(super) fn analyse(path: &Path, onnx: &Onnx, model: ModelProto, names: &Nodes) -> Result<TypedModel, FrontendError> {
    let analysis = |e: TractError| names.blamed(path, &e, None);
    let mut parsed = onnx.parse(&model, path.parent().and_then(Path::to_str)).map_err(analysis)?;
    let nodes = model.graph.map(|graph| graph.node).unwrap_or_default();
    if let Some(unknown) = parsed.unresolved_inputs.first() {
        let refusal = incomplete(format!("nothing makes the value \"{unknown}\""));
        return Err(FrontendError::Analysis { path: path.to_owned(), refusal });
    }
    let left = axes::infer(&mut parsed, &nodes);
    let open =
        || refuse("which axes it names, or how many there are, is not settled", "export the model with fixed shapes");
    let open = left.open.into_iter().map(|place| (place, open()));
    let problem = |(place, refusal): (usize, Refusal)| {
        let node = &nodes[place];
        names.in_file(Problem {
            node: node.label().to_owned(),
            op: node.op_type.clone(),
            shapes: String::new(),
            refusal,
        })
    };
    let problems: Vec<Problem> = left.absent.into_iter().chain(open).map(problem).collect();
    if !problems.is_empty() {
        return Err(FrontendError::Unsupported { path: path.to_owned(), problems });
    }
    let mut model = parsed.model;
    for slot in 0..model.outputs.len() {
        model.set_output_fact(slot, InferenceFact::default()).map_err(analysis)?;
    }
    let mut typed = {
        let inferred = model.clone();
        model.into_typed().map_err(|e| names.blamed(path, &e, Some(&inferred)))?
    };
    quotient::keep(&mut typed);
    let model = declutter(typed).map_err(analysis)?;
    check(&model, path, names)?;
    Ok(model)
}

/// tract's own simplifications; where those fail, constant propagation alone.
fn declutter(model: TypedModel) -> TractResult<TypedModel> {
    model.clone().into_decluttered().or_else(|_| {
        let mut model = model;
        model.prop_consts()?;
        model.into_compact()
    })
}

/// Refuses shapes that are not settled and NaN in constants.
fn check(model: &TypedModel, path: &Path, names: &Nodes) -> Result<(), FrontendError> {
    for node in &model.nodes {
        if let Some(open) = node.outputs.iter().find(|output| output.fact.shape.as_concrete().is_none()) {
            // What cannot be broadcast has a length that tract writes down as it is, without symbols.
            let settled = open.fact.shape.iter().all(|length| length.symbols().is_empty());
            let refusal = match settled {
                true => misfit(),
                false => {
                    refuse("its shape depends on data, and a circuit is fixed", "export the model with fixed shapes")
                }
            };
            let (name, op) = (node.name.clone(), node.op.name().into_owned());
            let problem = names.in_file(Problem { node: name, op, shapes: String::new(), refusal });
            return Err(FrontendError::Unsupported { path: path.to_owned(), problems: vec![problem] });
        }
        if let Some(constant) = node.op_as::<tract_core::ops::konst::Const>()
            && constant.val().datum_type() == f32::datum_type()
            && let Ok(values) = constant.val().to_plain_array_view::<f32>()
            && let Some(index) = values.iter().position(|v| v.is_nan())
        {
            let node = node.name.clone();
            return Err(FrontendError::NonFiniteWeight { path: path.to_owned(), node, index, value: f32::NAN });
        }
    }
    Ok(())
}
