//! Pooling over windows.

use super::conv::Windows;
use super::groups::{greatest, sum};
use super::read::{Read, Reader, Value};
use super::tensor::{Code, View, ZERO};
use crate::frontend::refusal::refuse;
use nanozk_ir::float::Binary;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{MaxPool, SumPool};

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let Some(x) = args.first() else { return Ok(None) };
    if let Some(op) = node.op_as::<MaxPool>() {
        if op.with_index_outputs.is_some() && node.outputs.len() > 1 && !node.outputs[1].successors.is_empty() {
            return Err(refuse("the indices of a maximum over windows", "use the values only"));
        }
        let x = r.view(x)?;
        let windows = Windows::new(&op.pool_spec, &x.shape)?;
        let mut groups = 0;
        let mut codes = Vec::new();
        windows.each(|n, c, window| {
            groups += 1;
            let inside: Vec<Code> = window.iter().flatten().map(|&s| x.codes[windows.input(n, c, s)]).collect();
            // Windows at the edge repeat an element: the maximum stays.
            codes.extend((0..window.len()).map(|i| inside.get(i).or(inside.first()).copied().unwrap_or(ZERO)));
        });
        let codes = greatest(r.graph, codes, groups);
        let mut values = vec![windows.output(codes)];
        if node.outputs.len() > 1 {
            values.push(values[0].clone());
        }
        return Ok(Some(values));
    }
    let Some(op) = node.op_as::<SumPool>() else { return Ok(None) };
    let x = r.view(x)?;
    let windows = Windows::new(&op.pool_spec, &x.shape)?;
    let (mut codes, mut sizes, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    windows.each(|n, c, window| {
        let before = codes.len();
        codes.extend(window.iter().flatten().map(|&s| x.codes[windows.input(n, c, s)]));
        sizes.push((codes.len() - before) as u32);
        let count = if op.count_include_pad { window.len() } else { codes.len() - before };
        shares.push(1.0 / count as f64);
    });
    let mut codes = sum(r.graph, codes, &sizes);
    if op.normalize {
        let shares: Vec<Code> = shares.into_iter().map(|s| r.graph.pool.code(s)).collect();
        codes = r.graph.binary(Binary::Mul, &codes, &shares);
    }
    Ok(Some(vec![windows.output(codes)]))
}

impl Windows {
    /// The result in the node's own layout, from one element per channel and position.
    fn output(&self, codes: Vec<Code>) -> Value {
        let mut out = vec![ZERO; codes.len()];
        let mut next = codes.into_iter();
        self.places(|place| {
            if let Some(code) = next.next() {
                out[place] = code;
            }
        });
        Value::View(View::new(&self.output_shape, out))
    }
}
