//! Small models made by tests, rewritten and run by tract.

mod attention;
mod axes;
mod control;
mod conv_transpose;
mod crop;
mod deform;
mod dims;
mod functions;
mod guarded;
mod microsoft;
mod ml;
mod ngrams;
mod operators;
mod outputs;
mod quantised;
mod recurrent;
mod refusals;
mod resize;
mod selection;
mod types;
mod undefined;

use super::{facts::FLOAT, node, rewrite, tensor};
use crate::frontend::{error::FrontendError, options::LoadOptions};
use crate::onnx::value_info;
use prost::Message;
use std::path::Path;
use tract_onnx::{
    pb::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto},
    prelude::*,
};

/// A model in the making; its input `x` and output `y` are floats unless told otherwise.
pub(super) struct Small {
    pub graph: GraphProto,
    pub opset: i64,
    pub functions: Vec<FunctionProto>,
    pub options: LoadOptions,
}

impl Small {
    /// A model of this version of the default operator set; 0 for one that names only the classical models' set.
    pub fn new(opset: i64) -> Small {
        Small { graph: GraphProto::default(), opset, functions: Vec::new(), options: LoadOptions::default() }
    }

    /// Adds a float input.
    pub fn input(self, name: &str, dims: &[i64]) -> Small {
        self.typed_input(name, FLOAT, dims)
    }

    /// Adds an input of an ONNX element type.
    pub fn typed_input(mut self, name: &str, elem_type: i32, dims: &[i64]) -> Small {
        self.graph.input.push(value_info(name, elem_type, dims));
        self
    }

    /// Adds an output.
    pub fn output(mut self, name: &str) -> Small {
        self.graph.output.push(ValueInfoProto { name: name.into(), ..Default::default() });
        self
    }

    /// Adds a constant.
    pub fn constant(mut self, name: &str, value: Tensor) -> Small {
        self.graph.initializer.push(tensor::store(name, &value).unwrap());
        self
    }

    /// Adds a node with these outputs, `domain:op` for another domain.
    pub fn node(mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[AttributeProto]) -> Small {
        self.graph.node.push(make(op, inputs, outputs, attributes));
        self
    }

    /// The model.
    pub fn proto(&self) -> ModelProto {
        let version = match self.opset {
            0 => OperatorSetIdProto { domain: "ai.onnx.ml".into(), version: 1 },
            version => OperatorSetIdProto { domain: String::new(), version },
        };
        ModelProto {
            ir_version: 8,
            opset_import: vec![version],
            graph: Some(self.graph.clone()),
            functions: self.functions.clone(),
            ..Default::default()
        }
    }

    /// The rewritten model and what was said about it.
    pub fn rewritten(&self) -> Result<(ModelProto, Vec<String>), FrontendError> {
        let mut model = self.proto();
        let bytes = model.encode_to_vec();
        let done = rewrite(&mut model, &bytes, Path::new("small.onnx"), &onnx(), &self.options)?;
        Ok((model, done.notes))
    }

    /// What the rewritten model gives for these inputs.
    pub fn run(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        let (model, _) = self.rewritten().unwrap();
        run(&model, None, inputs).unwrap()
    }

    /// What the model gives with the rounding that the rewritten one leaves out.
    pub fn rounded(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        let mut model = self.proto();
        let bytes = model.encode_to_vec();
        let done = rewrite(&mut model, &bytes, Path::new("small.onnx"), &onnx(), &self.options).unwrap();
        run(&ModelProto { graph: done.rounded, ..model }, None, inputs).unwrap()
    }

    /// The error that rewriting ends in.
    pub fn refusal(&self) -> String {
        self.rewritten().err().map(|e| e.to_string()).unwrap_or_default()
    }
}

fn onnx() -> tract_onnx::Onnx {
    tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true)
}

/// A node, `domain:op` for another domain.
pub(super) fn make(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[AttributeProto]) -> NodeProto {
    let (domain, op) = op.rsplit_once(':').unwrap_or(("", op));
    let node = node::node(outputs[0], op, inputs, outputs[0], attributes.to_vec());
    NodeProto { domain: domain.into(), output: outputs.iter().map(|&o| o.into()).collect(), ..node }
}

/// What tract computes.
pub(super) fn run(model: &ModelProto, folder: Option<&str>, inputs: &[Tensor]) -> TractResult<Vec<Tensor>> {
    let mut parsed = onnx().parse(model, folder)?.model;
    for slot in 0..parsed.outputs.len() {
        parsed.set_output_fact(slot, InferenceFact::default())?;
    }
    let typed = parsed.into_typed()?.into_decluttered()?;
    let inputs = inputs.iter().map(|t| t.clone().into_tvalue()).collect();
    Ok(typed.into_runnable()?.run(inputs)?.into_iter().map(|t| t.into_tensor()).collect())
}

/// Checks shape and values of a float tensor.
pub(super) fn near(got: &Tensor, shape: &[usize], want: &[f32]) {
    let values = tensor::floats(got).unwrap();
    assert_eq!(got.shape(), shape);
    for (i, (a, b)) in values.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "value {i} is {a}, not {b}");
    }
}

/// Numbers between -1 and 1 that look random.
pub(super) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f32 / (1u64 << 30) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A float tensor of such numbers.
pub(super) fn random(shape: &[usize], seed: u64) -> Tensor {
    tensor1(&numbers(shape.iter().product(), seed)).into_shape(shape).unwrap()
}

/// Rows of `a` [m, k] times columns of `b` [k, n].
pub(super) fn product(a: &[f32], b: &[f32], k: usize, n: usize) -> Vec<f32> {
    let row = |r: &[f32]| (0..n).map(|j| (0..k).map(|i| r[i] * b[i * n + j]).sum()).collect::<Vec<f32>>();
    a.chunks_exact(k).flat_map(row).collect()
}

/// Softmax of each row of `width`.
pub(super) fn softmax(x: &[f32], width: usize) -> Vec<f32> {
    let row = |r: &[f32]| {
        let most = r.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let e: Vec<f32> = r.iter().map(|v| (v - most).exp()).collect();
        let sum: f32 = e.iter().sum();
        e.into_iter().map(|v| v / sum).collect::<Vec<f32>>()
    };
    x.chunks_exact(width).flat_map(row).collect()
}

/// (row - mean) / sqrt(variance + eps) * gain + shift.
pub(super) fn layer_norm(x: &[f32], gain: &[f32], shift: &[f32], eps: f32) -> Vec<f32> {
    let n = gain.len() as f32;
    let row = |r: &[f32]| {
        let mean = r.iter().sum::<f32>() / n;
        let variance = r.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
        let unit = r.iter().map(move |v| (v - mean) / (variance + eps).sqrt());
        unit.zip(gain).zip(shift).map(|((v, g), s)| v * g + s).collect::<Vec<f32>>()
    };
    x.chunks_exact(gain.len()).flat_map(row).collect()
}

/// Attention of q [rows, heads * size] over k and v [keys, heads * size], with what is added to each score.
pub(super) fn attend(
    [q, k, v]: [&[f32]; 3],
    heads: usize,
    size: usize,
    scale: f32,
    bias: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let width = heads * size;
    let (rows, keys) = (q.len() / width, k.len() / width);
    let mut out = vec![0.0; rows * width];
    for h in 0..heads {
        for i in 0..rows {
            let part = |x: &[f32], r: usize, d: usize| x[r * width + h * size + d];
            let score = |j: usize| (0..size).map(|d| part(q, i, d) * part(k, j, d)).sum::<f32>() * scale + bias(i, j);
            let weights = softmax(&(0..keys).map(score).collect::<Vec<_>>(), keys);
            for d in 0..size {
                out[i * width + h * size + d] = (0..keys).map(|j| weights[j] * part(v, j, d)).sum();
            }
        }
    }
    out
}
