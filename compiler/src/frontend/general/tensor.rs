//! Tensors whose elements are references: every data movement is an index map.

use std::{collections::HashMap, sync::Arc};
use tract_onnx::prelude::*;

/// Where one element comes from: a feature of a node, or a constant of the pool (node 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Code(i64);

/// The constant 0.
pub(super) const ZERO: Code = Code(0);

impl Code {
    pub(super) fn new(node: usize, feature: usize) -> Code {
        Code(((node as i64) << 32) | feature as i64)
    }

    /// The node; 0 for a constant.
    pub(super) fn node(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Feature of the node, or index into the pool.
    pub(super) fn feature(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }

    pub(super) fn is_constant(self) -> bool {
        self.node() == 0
    }

    /// As a number that tract can move around.
    pub(super) fn raw(self) -> i64 {
        self.0
    }
}

/// Distinct constants that elements may be; the first is 0.
#[derive(Debug)]
pub(super) struct Pool {
    values: Vec<f64>,
    index: HashMap<u64, usize>,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool { values: vec![0.0], index: HashMap::from([(0, 0)]) }
    }
}

impl Pool {
    pub(super) fn code(&mut self, value: f64) -> Code {
        // Both zeros are one.
        let value = if value == 0.0 { 0.0 } else { value };
        let values = &mut self.values;
        let index = *self.index.entry(value.to_bits()).or_insert_with(|| {
            values.push(value);
            values.len() - 1
        });
        Code::new(0, index)
    }

    /// The value of a constant element.
    pub(super) fn value(&self, code: Code) -> Option<f64> {
        code.is_constant().then(|| self.values[code.feature()])
    }
}

/// A tensor of element references.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub shape: Vec<usize>,
    pub codes: Arc<Vec<Code>>,
}

impl View {
    pub(super) fn new(shape: &[usize], codes: Vec<Code>) -> View {
        View { shape: shape.to_vec(), codes: Arc::new(codes) }
    }

    /// The references as a tensor that tract can move around.
    pub(super) fn tensor(&self) -> TractResult<Tensor> {
        Tensor::from_shape(&self.shape, &self.codes.iter().map(|c| c.raw()).collect::<Vec<_>>())
    }

    pub(super) fn from_tensor(t: &Tensor) -> TractResult<View> {
        let array = t.to_plain_array_view::<i64>()?;
        Ok(View::new(t.shape(), array.iter().map(|&c| Code(c)).collect()))
    }

    /// The references of the same elements, broadcast to `shape` by the rules of numpy.
    pub(super) fn broadcast(&self, shape: &[usize]) -> Vec<Code> {
        if self.shape == shape {
            return self.codes.to_vec();
        }
        let lead = shape.len() - self.shape.len();
        let own = strides(&self.shape);
        let dims: Vec<(usize, usize)> = shape
            .iter()
            .enumerate()
            .map(|(axis, &n)| match axis.checked_sub(lead) {
                Some(a) if self.shape[a] != 1 => (n, own[a]),
                _ => (n, 0),
            })
            .collect();
        offsets(&dims).into_iter().map(|i| self.codes[i]).collect()
    }
}

/// Row-major strides of `shape`.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut s = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        s[i - 1] = s[i] * shape[i];
    }
    s
}

/// Offsets of all index tuples, row-major, for `(size, stride)` of each axis.
pub(super) fn offsets(dims: &[(usize, usize)]) -> Vec<usize> {
    let mut out = vec![0];
    for &(size, stride) in dims {
        out = out.iter().flat_map(|&o| (0..size).map(move |i| o + i * stride)).collect();
    }
    out
}

/// `(size, stride)` of the axes of a tensor of `shape`, in the given order.
pub(super) fn axes(shape: &[usize], order: impl IntoIterator<Item = usize>) -> Vec<(usize, usize)> {
    let s = strides(shape);
    order.into_iter().map(|a| (shape[a], s[a])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_pooled() {
        let mut pool = Pool::default();
        assert_eq!((pool.code(-0.0), pool.code(0.0)), (ZERO, ZERO));
        let (a, b) = (pool.code(2.5), pool.code(f64::NEG_INFINITY));
        assert_eq!((pool.code(2.5), pool.value(a), pool.value(b)), (a, Some(2.5), Some(f64::NEG_INFINITY)));
        assert_eq!(pool.value(Code::new(3, 7)), None);
    }

    #[test]
    fn broadcasts_follow_numpy() {
        let codes: Vec<Code> = (0..2).map(|i| Code::new(1, i)).collect();
        let view = View::new(&[2, 1], codes.clone());
        assert_eq!(view.broadcast(&[2, 2]), [codes[0], codes[0], codes[1], codes[1]]);
        assert_eq!(view.broadcast(&[1, 2, 1]), codes);
        assert_eq!(offsets(&axes(&[2, 3], [1, 0])), [0, 3, 1, 4, 2, 5]);
    }
}
