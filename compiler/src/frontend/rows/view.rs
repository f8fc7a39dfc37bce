//! Index views: how the elements of a tract tensor map to elements of the matrix graph.
//!
//! Every data movement (reshape, transpose, slice, concat, broadcast, gather with constant indices) is carried out on
//! a tensor of element codes by tract itself, so the exact sequence of such nodes never matters.

use tract_onnx::prelude::*;

const BASE_SHIFT: u32 = 40;

/// Where one element comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Code {
    /// Index of the base it belongs to.
    pub base: usize,
    /// Flat index inside the base.
    pub flat: usize,
    /// Whether its sign is flipped.
    pub negated: bool,
}

impl Code {
    pub(super) fn encode(self) -> i64 {
        let code = ((self.base as i64) << BASE_SHIFT) | self.flat as i64;
        if self.negated { !code } else { code }
    }

    pub(super) fn decode(code: i64) -> Code {
        let plain = if code < 0 { !code } else { code };
        let flat = (plain & ((1 << BASE_SHIFT) - 1)) as usize;
        Code { base: (plain >> BASE_SHIFT) as usize, flat, negated: code < 0 }
    }
}

/// A tensor of element codes.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub shape: Vec<usize>,
    pub codes: Arc<Vec<i64>>,
}

impl View {
    pub(super) fn new(shape: &[usize], codes: Vec<i64>) -> View {
        View { shape: shape.to_vec(), codes: Arc::new(codes) }
    }

    /// All elements of `base` in order.
    pub(super) fn iota(shape: &[usize], base: usize) -> View {
        let len = shape.iter().product();
        View::new(shape, (0..len).map(|flat| Code { base, flat, negated: false }.encode()).collect())
    }

    pub(super) fn tensor(&self) -> TractResult<Tensor> {
        Tensor::from_shape(&self.shape, &self.codes)
    }

    pub(super) fn from_tensor(t: &Tensor) -> TractResult<View> {
        let array = t.to_plain_array_view::<i64>()?;
        Ok(View::new(t.shape(), array.iter().copied().collect()))
    }

    pub(super) fn codes(&self) -> impl Iterator<Item = Code> + '_ {
        self.codes.iter().map(|&c| Code::decode(c))
    }

    /// The only base, if there is one and no sign is flipped.
    pub(super) fn single_base(&self) -> Option<usize> {
        let first = Code::decode(*self.codes.first()?);
        self.codes().all(|c| c.base == first.base && !c.negated).then_some(first.base)
    }

    /// Broadcast to `shape` by numpy rules for equal ranks.
    pub(super) fn broadcast(&self, shape: &[usize]) -> TractResult<View> {
        if self.shape == shape {
            return Ok(self.clone());
        }
        View::from_tensor(&self.tensor()?.broadcast_to_shape(shape)?)
    }

    /// The same elements with flipped sign.
    pub(super) fn negate(&self) -> View {
        View::new(&self.shape, self.codes.iter().map(|c| !c).collect())
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

/// How an axis of a view moves through its matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AxisKind {
    /// Another token, same feature.
    Token,
    /// Another feature, same token.
    Feature,
    /// The same element (axes of length 1 and broadcasts).
    Still,
}

/// Axes of a view over one matrix of `features` columns, and whether token and feature separate over them.
pub(super) fn axis_kinds(view: &View, features: usize) -> Option<Vec<AxisKind>> {
    let st = strides(&view.shape);
    let at = |i: usize| {
        let c = Code::decode(view.codes[i]).flat;
        (c / features, c % features)
    };
    let origin = at(0);
    let mut kinds = Vec::with_capacity(view.shape.len());
    for (axis, &n) in view.shape.iter().enumerate() {
        let mut kind = AxisKind::Still;
        for i in 1..n {
            let (t, f) = at(i * st[axis]);
            let here = match (t != origin.0, f != origin.1) {
                (true, true) => return None,
                (true, false) => AxisKind::Token,
                (false, true) => AxisKind::Feature,
                (false, false) => continue,
            };
            if kind != AxisKind::Still && kind != here {
                return None;
            }
            kind = here;
        }
        kinds.push(kind);
    }
    let project = |i: usize, wanted: AxisKind| -> usize {
        (0..kinds.len()).filter(|&a| kinds[a] == wanted).map(|a| i / st[a] % view.shape[a] * st[a]).sum()
    };
    let separates = (0..view.codes.len())
        .all(|i| at(i) == (at(project(i, AxisKind::Token)).0, at(project(i, AxisKind::Feature)).1));
    separates.then_some(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_of_a_head_split() {
        let codes = View::iota(&[3, 2, 4], 0);
        assert_eq!(axis_kinds(&codes, 8), Some(vec![AxisKind::Token, AxisKind::Feature, AxisKind::Feature]));
        assert_eq!(axis_kinds(&View::iota(&[4, 6], 0), 8), None);
    }

    #[test]
    fn codes_round_trip() {
        for negated in [false, true] {
            let c = Code { base: 5, flat: 77, negated };
            assert_eq!(Code::decode(c.encode()), c);
        }
    }
}
