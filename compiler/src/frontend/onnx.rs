//! Reading an ONNX file into tract's typed, decluttered model with concrete shapes.

use super::{FrontendError, LoadOptions, external, screen::screen, sdpa};
use nanozk_plan::ElementType;
use std::{collections::BTreeMap, path::Path};
use tract_onnx::pb::{GraphProto, ValueInfoProto, type_proto};
use tract_onnx::{Onnx, prelude::*, tract_hir::internal::*};

/// What an ONNX file says about itself.
pub(super) struct Header {
    /// BLAKE2b-256 of all files that the model consists of.
    pub source: [u8; 32],
    /// Names and element types of the inputs, in the order of the file.
    pub inputs: Vec<(String, ElementType)>,
    /// The same of the outputs.
    pub outputs: Vec<(String, ElementType)>,
}

/// Shortest wording of a tract error: the chain of causes on one line.
pub(super) fn reason(e: &TractError) -> String {
    format!("{e:#}").lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Reads the file and checks that it is a whole ONNX model.
fn read(path: &Path, onnx: &Onnx) -> Result<Header, FrontendError> {
    let io = |source| FrontendError::Io { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(io)?;
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(FrontendError::LfsPointer { path: path.to_owned() });
    }
    if bytes.is_empty() {
        return Err(FrontendError::NotOnnx { path: path.to_owned(), reason: "the file is empty".to_owned() });
    }
    let proto = onnx.proto_model_for_read(&mut &bytes[..]).map_err(|e| {
        let (path, reason) = (path.to_owned(), reason(&e));
        // An ONNX file starts with field 1 (ir_version) as a varint.
        if bytes[0] == 0x08 {
            FrontendError::Truncated { path, size: bytes.len(), reason }
        } else {
            FrontendError::NotOnnx { path, reason }
        }
    })?;
    let Some(graph) = &proto.graph else {
        let reason = if bytes[0] == 0x08 { "it holds no graph; it may be cut off" } else { "it holds no graph" };
        return Err(FrontendError::NotOnnx { path: path.to_owned(), reason: reason.to_owned() });
    };
    screen(graph).map_err(|reason| FrontendError::Analysis { path: path.to_owned(), reason })?;
    let source = external::digest(path, &bytes, graph)?;
    let [inputs, outputs] =
        signature(graph).map_err(|reason| FrontendError::Analysis { path: path.to_owned(), reason })?;
    Ok(Header { source, inputs, outputs })
}

/// Names and element types of inputs and outputs. Old files list weights among the inputs.
fn signature(graph: &GraphProto) -> Result<[Vec<(String, ElementType)>; 2], String> {
    let weight = |v: &&ValueInfoProto| graph.initializer.iter().any(|t| t.name == v.name);
    let typed = |v: &ValueInfoProto| {
        let number = match v.r#type.as_ref().and_then(|t| t.value.as_ref()) {
            Some(type_proto::Value::TensorType(t)) => t.elem_type,
            None => 0,
        };
        let dtype = ElementType::from_onnx(number);
        let unknown = || format!("\"{}\" has no element type, or one that is no number (ONNX type {number})", v.name);
        Ok((v.name.clone(), dtype.ok_or_else(unknown)?))
    };
    let inputs = graph.input.iter().filter(|v| !weight(v)).map(typed).collect::<Result<_, String>>()?;
    Ok([inputs, graph.output.iter().map(typed).collect::<Result<_, String>>()?])
}

fn parser() -> Onnx {
    tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true)
}

/// What the file at `path` says about itself.
pub(super) fn header(path: &Path) -> Result<Header, FrontendError> {
    read(path, &parser())
}

/// Loads `path` with all input dimensions fixed by the file or by `options`.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<(TypedModel, Header), FrontendError> {
    let onnx = parser();
    let header = read(path, &onnx)?;
    Ok((analyse(path, &onnx, options)?, header))
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

fn analyse(path: &Path, onnx: &Onnx, options: &LoadOptions) -> Result<TypedModel, FrontendError> {
    let analysis = |e: TractError| FrontendError::Analysis { path: path.to_owned(), reason: reason(&e) };
    let mut model = onnx.model_for_path(path).map_err(analysis)?;
    fix_inputs(&mut model, path, &options.set)?;
    for slot in 0..model.outputs.len() {
        model.set_output_fact(slot, InferenceFact::default()).map_err(analysis)?;
    }
    let typed = model.into_typed().map_err(analysis)?;
    let mut model = declutter(typed).map_err(analysis)?;
    if sdpa::expand(&mut model).map_err(analysis)? {
        model = declutter(model).map_err(analysis)?;
    }
    check(&model, path)?;
    Ok(model)
}

/// Gives every input a concrete shape.
fn fix_inputs(model: &mut InferenceModel, path: &Path, set: &BTreeMap<String, usize>) -> Result<(), FrontendError> {
    let analysis = |e: TractError| FrontendError::Analysis { path: path.to_owned(), reason: reason(&e) };
    let mut used: Vec<&str> = Vec::new();
    let mut offered: Vec<String> = Vec::new();
    for slot in 0..model.inputs.len() {
        let name = model.node(model.inputs[slot].node).name.clone();
        let fact = model.input_fact(slot).map_err(analysis)?.clone();
        let dims: Vec<_> = fact.shape.dims().cloned().collect();
        if fact.shape.is_open() || dims.contains(&GenericFactoid::Any) && dims.is_empty() {
            let input = name.clone();
            return Err(FrontendError::Analysis {
                path: path.to_owned(),
                reason: format!("input \"{input}\" has no shape"),
            });
        }
        let mut shape: TVec<usize> = tvec!();
        for (axis, dim) in dims.iter().enumerate() {
            let symbolic = match dim {
                GenericFactoid::Only(d) => match d.to_usize() {
                    Ok(n) => {
                        shape.push(n);
                        continue;
                    }
                    Err(_) => d.to_string(),
                },
                GenericFactoid::Any => format!("{name}.{axis}"),
            };
            let batch = axis == 0 && (symbolic.to_lowercase().contains("batch") || dim == &GenericFactoid::Any);
            match set.get_key_value(&symbolic) {
                Some((key, &n)) => {
                    if n == 0 {
                        let reason = "a dimension cannot be 0".to_owned();
                        return Err(FrontendError::BadSet { path: path.to_owned(), name: symbolic, value: n, reason });
                    }
                    used.push(key);
                    shape.push(n);
                }
                None if batch => shape.push(1),
                None => {
                    return Err(FrontendError::DynamicDim {
                        path: path.to_owned(),
                        input: name,
                        axis,
                        symbol: symbolic,
                    });
                }
            }
            offered.push(symbolic);
        }
        let datum = fact.datum_type.concretize().unwrap_or(f32::datum_type());
        model.set_input_fact(slot, InferenceFact::dt_shape(datum, shape)).map_err(analysis)?;
    }
    if let Some((name, &value)) = set.iter().find(|(k, _)| !used.contains(&k.as_str())) {
        let reason = match offered.is_empty() {
            true => "the model has no dynamic dimension".to_owned(),
            false => format!("no such dimension; the model has {}", offered.join(", ")),
        };
        return Err(FrontendError::BadSet { path: path.to_owned(), name: name.clone(), value, reason });
    }
    Ok(())
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
