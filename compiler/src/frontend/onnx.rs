//! Reading an ONNX file into tract's typed, decluttered model with concrete shapes.

use super::{
    analysis::{Nodes, analyse},
    error::FrontendError,
    external,
    options::LoadOptions,
    parameters,
    rewrite::{Rewriting, rewrite},
    rounding::Quantisation,
    screen::screen,
};
use crate::frontend::refusal::{Refusal, reason, refuse};
use nanozk_plan::ElementType;
use prost::Message;
use std::{collections::HashMap, path::Path};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto, ValueInfoProto, type_proto},
    prelude::*,
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
    /// Its nodes.
    pub nodes: Nodes,
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
        let (types, nodes) = (element_types(&self.graph), Nodes::of(&self.graph));
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
        let typed = analyse(path, &onnx, model, &nodes)?;
        let rounded = rounded.map(|model| analyse(path, &onnx, model, &nodes)).transpose()?;
        let ends = |names: &[String], outlets: &[OutletId]| {
            let typed = names.iter().zip(outlets).map(|(name, &outlet)| {
                let datum = typed.outlet_fact(outlet)?.datum_type;
                let dtype = types.get(name).copied().or_else(|| inferred(datum));
                let unknown =
                    || Refusal::bare(format!("\"{name}\" has no element type, or one that is no number ({datum:?})"));
                Ok((name.clone(), dtype.ok_or_else(unknown)?))
            });
            let refused = |refusal| FrontendError::Analysis { path: path.to_owned(), refusal };
            typed.collect::<Result<_, Refusal>>().map_err(refused)
        };
        let (inputs, outputs) = (ends(&inputs, &typed.inputs)?, ends(&outputs, &typed.outputs)?);
        Ok((typed, Header { source, inputs, outputs, seen, notes, rounded, quantisation, nodes }))
    }
}

/// Refuses numbers out of proportion.
fn screened(path: &Path, graph: &GraphProto) -> Result<(), FrontendError> {
    screen(graph).map_err(|refusal| FrontendError::Analysis { path: path.to_owned(), refusal })
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
        let cause = cause(&*panic);
        let refusal = refuse(
            format!("its analysis stopped: {cause}"),
            "the model is inconsistent, or a `--set` value is out of its range",
        );
        Err(FrontendError::Analysis { path: path.to_owned(), refusal })
    })
}

/// What a caught panic says.
fn cause(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown cause")
}

/// Runs the model, whose kernels panic on some inputs (an integer divided by 0, an index beyond a table).
pub(super) fn running<T>(f: impl FnOnce() -> TractResult<T>) -> Result<T, FrontendError> {
    match quietly(f) {
        Ok(result) => result.map_err(|e| FrontendError::Reference(reason(&e))),
        Err(panic) => Err(FrontendError::Reference(format!(
            "it stopped on this input: {}; the model has no answer to it: keep divisors from 0 (Max) and indices within their \
             table (Clip)",
            cause(&*panic)
        ))),
    }
}

thread_local! {
    /// Whether panics of this thread are not printed.
    static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `f` with panics caught and not printed. Threads do not wait for each other: models are run on many samples at a time.
fn quietly<T>(f: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                hook(panic);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    QUIET.set(outer);
    result
}
