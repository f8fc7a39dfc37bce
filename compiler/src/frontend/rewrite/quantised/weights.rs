//! Constants of small integers as the floats they stand for: (q - zero point) * scale.

use crate::frontend::refusal::{Refusal, incorrect};
use crate::frontend::rewrite::{net::Rewritten, node, tensor};
use tract_onnx::tract_hir::internal::*;

/// How integers stand for floats.
pub(in crate::frontend::rewrite) struct Scheme {
    pub scale: Tensor,
    pub zero: Option<Tensor>,
    /// The axis along which a list of scales runs.
    pub axis: i64,
    /// Entries along the axis that share a scale, for tables of scales; 0 otherwise.
    pub block: usize,
}

/// The floats of a constant.
///
/// # Errors
/// When the scales do not fit it.
pub(in crate::frontend::rewrite) fn dequantise(values: &Tensor, scheme: &Scheme) -> Rewritten<Tensor> {
    let read = |t: &Tensor| tensor::floats(t).map_err(|e| incorrect(e.to_string()));
    let (numbers, scales) = (read(values)?, read(&scheme.scale)?);
    let zeros = scheme.zero.as_ref().map(read).transpose()?;
    let shape = values.shape();
    let place = places(shape, scheme)?;
    let bad = || incorrect(format!("scales of shape {:?} do not fit weights of shape {shape:?}", scheme.scale.shape()));
    let mut floats = Vec::with_capacity(numbers.len());
    for (flat, q) in numbers.iter().enumerate() {
        let at = place(flat);
        let scale = scales.get(at).ok_or_else(bad)?;
        let zero = match &zeros {
            Some(zeros) => *zeros.get(if zeros.len() == 1 { 0 } else { at }).ok_or_else(bad)?,
            None => 0.0,
        };
        floats.push((q - zero) * scale);
    }
    tensor1(&floats).into_shape(shape).map_err(Refusal::from)
}

/// Which scale belongs to which element, both flat.
fn places(shape: &[usize], scheme: &Scheme) -> Rewritten<Box<dyn Fn(usize) -> usize>> {
    if scheme.scale.len() == 1 {
        return Ok(Box::new(|_| 0));
    }
    let axis = node::place(scheme.axis, shape.len())
        .ok_or_else(|| incorrect(format!("weights of shape {shape:?} have no axis {}", scheme.axis)))?;
    let inner: usize = shape[axis + 1..].iter().product();
    let length = shape[axis].max(1);
    let block = scheme.block;
    match (scheme.scale.rank(), block) {
        (0 | 1, _) => Ok(Box::new(move |flat| flat / inner.max(1) % length)),
        (rank, block) if rank == shape.len() && block > 0 => {
            let blocks = length.div_ceil(block);
            Ok(Box::new(move |flat| {
                let (row, column) = (flat / inner.max(1), flat % inner.max(1));
                (row / length * blocks + row % length / block) * inner + column
            }))
        }
        _ => Err(incorrect(format!("scales of shape {:?} without blocks are not known", scheme.scale.shape()))),
    }
}
