//! The letters of an einsum: where its axes stand in the operands and in the result.

use crate::frontend::rows::matrix_graph::{ByRows, NotByRows};
use crate::frontend::rows::view::strides;
use tract_onnx::tract_core::internal::AxesMapping;

/// One letter of an einsum: its place in both operands and in the result, and its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letter {
    pub a: Option<usize>,
    pub b: Option<usize>,
    pub out: Option<usize>,
    pub size: usize,
}

fn position(places: &[usize]) -> ByRows<Option<usize>> {
    match places {
        [] => Ok(None),
        [p] => Ok(Some(*p)),
        _ => Err(NotByRows), // An einsum with a repeated letter.
    }
}

/// Letters of a product, the operands given by their shapes.
pub(super) fn letters(axes: &AxesMapping, swap: bool, a: &[usize], b: &[usize]) -> ByRows<Vec<Letter>> {
    axes.iter_all_axes()
        .map(|axis| {
            let (ia, ib) = if swap { (1, 0) } else { (0, 1) };
            let pa = position(&axis.inputs[ia])?;
            let pb = axis.inputs.get(ib).map_or(Ok(None), |p| position(p))?;
            let size = pa.map_or(1, |p| a[p]).max(pb.map_or(1, |p| b[p]));
            Ok(Letter { a: pa, b: pb, out: position(&axis.outputs[0])?, size })
        })
        .collect()
}

/// Offset contributed by `axis` at `index` in a tensor of `shape` (0 along axes of length 1).
pub(super) fn offset(axis: Option<usize>, index: usize, shape: &[usize], strides: &[usize]) -> usize {
    axis.map_or(0, |p| if shape[p] == 1 { 0 } else { index * strides[p] })
}

/// All index tuples of the given sizes, row-major.
pub(super) fn tuples(sizes: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let st = strides(sizes);
    (0..sizes.iter().product()).map(move |i| sizes.iter().zip(&st).map(|(&n, &s)| i / s % n).collect())
}
