//! Reading an ONNX file into tract's typed, decluttered model with concrete shapes.

use super::{
    FrontendError, LoadOptions, Problem, Quantisation, axes, external, parameters,
    rewrite::{Parts, Rewriting, rewrite},
    screen::screen,
};
use nanozk_plan::ElementType;
use prost::Message;
use std::{collections::HashMap, path::Path};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto, type_proto},
    prelude::*,
    tract_hir::internal::*,
};

/// What an ONNX file says about itself.
pub(super) struct Header {
    /// BLAKE2b-256 of all files that the model consists of.
    pub source: [u8; 32],
    /// Names and element types of the inputs that are read, in the order of the file.
    pub inputs: Vec<(String, ElementType)>,
    /// The same of the outputs.
    pub outputs: Vec<(String, ElementType)>,
    /// Least and greatest value of the sample data of each input that is read, where known.
    pub seen: Vec<Option<(f64, f64)>>,
    /// What the user should know about how the file was read.
    pub notes: Vec<String>,
    /// The model with the rounding that the one to prove leaves out, where it does.
    pub rounded: Option<TypedModel>,
    /// What the file rounds.
    pub quantisation: Quantisation,
    /// Names and operators of the nodes.
    nodes: Vec<(String, String)>,
}

impl Header {
    /// The problem with the name and the operator of the node in the file. tract's own names begin with the former.
    pub fn in_file(&self, problem: Problem) -> Problem {
        let found = self.nodes.iter().filter(|(name, _)| problem.node.starts_with(name)).max_by_key(|n| n.0.len());
        match found {
            Some((node, op)) => Problem { node: node.clone(), op: op.clone(), ..problem },
            None => problem,
        }
    }
}

/// Shortest wording of a tract error: the chain of causes on one line.
pub(super) fn reason(e: &TractError) -> String {
    format!("{e:#}").lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A file that was read.
pub(super) struct File {
    model: ModelProto,
    graph: GraphProto,
    bytes: Vec<u8>,
}

impl File {
    /// Reads the file and checks that it is a whole ONNX model.
    pub fn open(path: &Path) -> Result<Self, FrontendError> {
        let io = |source| FrontendError::Io { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(io)?;
        if bytes.starts_with(b"version https://git-lfs") {
            return Err(FrontendError::LfsPointer { path: path.to_owned() });
        }
        if bytes.is_empty() {
            return Err(FrontendError::NotOnnx { path: path.to_owned(), reason: "the file is empty".to_owned() });
        }
        let mut model = ModelProto::decode(&bytes[..]).map_err(|e| {
            let (path, reason) = (path.to_owned(), e.to_string());
            // An ONNX file starts with field 1 (ir_version) as a varint.
            if bytes[0] == 0x08 {
                FrontendError::Truncated { path, size: bytes.len(), reason }
            } else {
                FrontendError::NotOnnx { path, reason }
            }
        })?;
        let Some(graph) = model.graph.take() else {
            let reason = if bytes[0] == 0x08 { "it holds no graph; it may be cut off" } else { "it holds no graph" };
            return Err(FrontendError::NotOnnx { path: path.to_owned(), reason: reason.to_owned() });
        };
        screened(path, &graph)?;
        Ok(File { model, graph, bytes })
    }

    /// BLAKE2b-256 of all files that the model consists of.
    pub fn digest(&self, path: &Path) -> Result<[u8; 32], FrontendError> {
        external::digest(path, &self.bytes, &self.graph)
    }

    /// Numbers that the file holds as parameters.
    pub fn parameters(&self) -> u64 {
        parameters::count(&self.graph)
    }

    /// Names of the inputs. Old files list weights among them, which are none.
    pub fn input_names(&self) -> Vec<String> {
        let weight = |name: &str| self.graph.initializer.iter().any(|t| t.name == name);
        self.graph.input.iter().map(|i| i.name.clone()).filter(|name| !weight(name)).collect()
    }

    /// The model with all input dimensions fixed by the file or by `options`.
    pub fn load(self, path: &Path, options: &LoadOptions) -> Result<(TypedModel, Header), FrontendError> {
        let (onnx, source) = (parser(), self.digest(path)?);
        let (types, nodes) = (element_types(&self.graph), named_nodes(&self.graph));
        let File { model, graph, bytes } = self;
        let mut model = ModelProto { graph: Some(graph), ..model };
        let Rewriting { outputs, seen, notes, rounded, quantisation } =
            rewrite(&mut model, &bytes, path, &onnx, options)?;
        drop(bytes);
        let graph = model
            .graph
            .as_ref()
            .ok_or_else(|| FrontendError::NotOnnx { path: path.to_owned(), reason: "it holds no graph".to_owned() })?;
        screened(path, graph)?;
        let inputs: Vec<String> = graph.input.iter().map(|i| i.name.clone()).collect();
        let rounded = rounded.map(|graph| {
            let (ir_version, opset_import) = (model.ir_version, model.opset_import.clone());
            ModelProto { ir_version, opset_import, graph: Some(graph), ..Default::default() }
        });
        let typed = analyse(path, &onnx, model)?;
        let rounded = rounded.map(|model| analyse(path, &onnx, model)).transpose()?;
        let ends = |names: &[String], outlets: &[OutletId]| {
            let typed = names.iter().zip(outlets).map(|(name, &outlet)| {
                let datum = typed.outlet_fact(outlet).map_err(|e| reason(&e))?.datum_type;
                let dtype = types.get(name).copied().or_else(|| inferred(datum));
                let unknown = || format!("\"{name}\" has no element type, or one that is no number ({datum:?})");
                Ok((name.clone(), dtype.ok_or_else(unknown)?))
            });
            let refused = |reason| FrontendError::Analysis { path: path.to_owned(), reason };
            typed.collect::<Result<_, String>>().map_err(refused)
        };
        let (inputs, outputs) = (ends(&inputs, &typed.inputs)?, ends(&outputs, &typed.outputs)?);
        Ok((typed, Header { source, inputs, outputs, seen, notes, rounded, quantisation, nodes }))
    }
}

/// Refuses numbers out of proportion.
fn screened(path: &Path, graph: &GraphProto) -> Result<(), FrontendError> {
    screen(graph).map_err(|reason| FrontendError::Analysis { path: path.to_owned(), reason })
}

fn parser() -> Onnx {
    tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true)
}

/// The element types that the file gives to its inputs and outputs, where they are numbers.
fn element_types(graph: &GraphProto) -> HashMap<String, ElementType> {
    let typed = |v: &ValueInfoProto| match v.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(t) => Some((v.name.clone(), ElementType::from_onnx(t.elem_type)?)),
    };
    graph.input.iter().chain(&graph.output).filter_map(typed).collect()
}

/// Names and operators of the nodes; a node without a name has that of its first output.
fn named_nodes(graph: &GraphProto) -> Vec<(String, String)> {
    let name =
        |n: &NodeProto| Some(&n.name).filter(|n| !n.is_empty()).or(n.output.first()).cloned().unwrap_or_default();
    graph.node.iter().map(|n| (name(n), n.op_type.clone())).filter(|n| !n.0.is_empty()).collect()
}

/// The element type that follows where the file gives none.
fn inferred(datum: DatumType) -> Option<ElementType> {
    match datum {
        DatumType::F32 => Some(ElementType::Float32),
        DatumType::I32 => Some(ElementType::Int32),
        DatumType::I64 | DatumType::TDim => Some(ElementType::Int64),
        DatumType::Bool => Some(ElementType::Bool),
        _ => None,
    }
}

/// Runs `f` on the model at `path`. tract panics on some inconsistent models (an index beyond a table, say), and lets
/// others through on which what follows would; that becomes an error too.
pub(super) fn guarded<T>(path: &Path, f: impl FnOnce() -> Result<T, FrontendError>) -> Result<T, FrontendError> {
    quietly(f).unwrap_or_else(|panic| {
        let cause =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let cause = cause.unwrap_or("unknown cause");
        let reason =
            format!("its analysis stopped: {cause}; the model is inconsistent, or a `--set` value is out of its range");
        Err(FrontendError::Analysis { path: path.to_owned(), reason })
    })
}

/// Runs `f` with panics caught and not printed.
fn quietly<T>(f: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = HOOK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    std::panic::set_hook(hook);
    result
}

/// tract's own simplifications; where those fail, constant propagation alone.
fn declutter(model: TypedModel) -> TractResult<TypedModel> {
    model.clone().into_decluttered().or_else(|_| {
        let mut model = model;
        model.prop_consts()?;
        model.into_compact()
    })
}

/// Analyses a model, whose own copy of the weights goes as soon as tract has one.
fn analyse(path: &Path, onnx: &Onnx, model: ModelProto) -> Result<TypedModel, FrontendError> {
    let analysis = |e: TractError| FrontendError::Analysis { path: path.to_owned(), reason: reason(&e) };
    let mut parsed = onnx.parse(&model, path.parent().and_then(Path::to_str)).map_err(analysis)?;
    let nodes = model.graph.map(|graph| graph.node).unwrap_or_default();
    if let Some(unknown) = parsed.unresolved_inputs.first() {
        let reason = format!("nothing makes the value \"{unknown}\"; export the model again");
        return Err(FrontendError::Analysis { path: path.to_owned(), reason });
    }
    let left = axes::infer(&mut parsed, &nodes);
    let open = "which axes it names, or how many there are, is not settled; export the model with fixed shapes";
    let open = left.open.into_iter().map(|place| (place, open.to_owned()));
    let problem = |(place, reason): (usize, String)| {
        let node = &nodes[place];
        Problem { node: node.label().to_owned(), op: node.op_type.clone(), shapes: String::new(), reason }
    };
    let problems: Vec<Problem> = left.absent.into_iter().chain(open).map(problem).collect();
    if !problems.is_empty() {
        return Err(FrontendError::Unsupported { path: path.to_owned(), problems });
    }
    let mut model = parsed.model;
    for slot in 0..model.outputs.len() {
        model.set_output_fact(slot, InferenceFact::default()).map_err(analysis)?;
    }
    let typed = model.into_typed().map_err(analysis)?;
    let model = declutter(typed).map_err(analysis)?;
    check(&model, path)?;
    Ok(model)
}

/// Refuses data-dependent shapes and NaN in constants.
fn check(model: &TypedModel, path: &Path) -> Result<(), FrontendError> {
    for node in &model.nodes {
        for output in &node.outputs {
            if output.fact.shape.as_concrete().is_none() {
                let symbols: Vec<String> =
                    output.fact.shape.iter().flat_map(|d| d.symbols()).map(|s| s.to_string()).collect();
                return Err(FrontendError::LeftoverSymbol {
                    path: path.to_owned(),
                    node: node.name.clone(),
                    shape: format!("{:?}", output.fact.shape),
                    symbols: symbols.join(", "),
                });
            }
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
