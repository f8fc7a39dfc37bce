//! Model inputs and outputs as the source model names, types and orders them.
//!
//! Inside, every activation is a tensor `[tokens, features]`. The source model has other shapes and other orders of
//! elements. The way from one to the other stands in the verifier file, so that a verdict speaks of the model's own output.

use serde::{Deserialize, Serialize};

/// Most axes of a value.
const MAX_RANK: usize = 32;

/// Most elements of a value that repeats elements of its tensor (one that does not has at most as many as the tensor).
const MAX_REPEATED: u64 = 1 << 22;

/// Element types of ONNX that a value may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// IEEE half precision.
    Float16,
    /// Upper half of a single.
    Bfloat16,
    /// IEEE single precision.
    Float32,
    /// IEEE double precision.
    Float64,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// Truth values.
    Bool,
}

impl ElementType {
    /// The type of this number in ONNX's `TensorProto.DataType`.
    pub fn from_onnx(number: i32) -> Option<Self> {
        use ElementType::*;
        Some(match number {
            1 => Float32,
            2 => Uint8,
            3 => Int8,
            4 => Uint16,
            5 => Int16,
            6 => Int32,
            7 => Int64,
            9 => Bool,
            10 => Float16,
            11 => Float64,
            12 => Uint32,
            13 => Uint64,
            16 => Bfloat16,
            _ => return None,
        })
    }

    /// Whether its values are integers or truth values, which are compared exactly.
    pub fn exact(self) -> bool {
        use ElementType::*;
        !matches!(self, Float16 | Bfloat16 | Float32 | Float64)
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// For each element of a value, in row-major order, which element of the tensor `[tokens, features]` (row-major) it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ElementMap {
    /// Element `(i_0, i_1, ..)` is element `first + sum_a strides[a] i_a`.
    Affine {
        /// The tensor's element that comes first.
        first: u64,
        /// One for each axis.
        strides: Vec<i64>,
    },
    /// One index for each element.
    List(Vec<u32>),
}

/// A model input or output as the source model has it, and where its elements stand in its tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueInfo {
    /// Name in the source model.
    pub name: String,
    /// Shape in the source model.
    pub shape: Vec<usize>,
    /// Element type in the source model.
    pub dtype: ElementType,
    /// Its elements in the tensor.
    pub map: ElementMap,
}

impl ElementMap {
    /// The tensor's own order.
    pub fn row_major(shape: &[usize]) -> Self {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis] as i64;
        }
        ElementMap::Affine { first: 0, strides }
    }

    /// The map with these indices, one for each element of `shape`, in its smallest form.
    pub fn new(shape: &[usize], indices: &[u32]) -> Self {
        let first = indices.first().copied().unwrap_or(0);
        let mut step = indices.len();
        let stride = |&length: &usize| {
            step /= length.max(1);
            if length > 1 { i64::from(indices[step]) - i64::from(first) } else { 0 }
        };
        let strides = if indices.is_empty() { vec![0; shape.len()] } else { shape.iter().map(stride).collect() };
        let affine = ElementMap::Affine { first: first.into(), strides };
        let agrees = affine.indices(shape).eq(indices.iter().map(|&i| i as usize));
        if agrees { affine } else { ElementMap::List(indices.to_vec()) }
    }

    /// All indices, by element of `shape`.
    pub fn indices<'a>(&'a self, shape: &'a [usize]) -> Box<dyn Iterator<Item = usize> + 'a> {
        match self {
            ElementMap::List(list) => Box::new(list.iter().map(|&i| i as usize)),
            ElementMap::Affine { first, strides } => {
                // Divisions find where a row begins, and not each of its elements.
                let (&length, outer) = shape.split_last().unwrap_or((&1, &[]));
                let stride = strides.get(outer.len()).copied().unwrap_or(0);
                let begin = move |row: usize| {
                    let mut rest = row;
                    let mut index = *first as i64;
                    for (&length, &stride) in outer.iter().zip(strides).rev() {
                        index += stride * (rest % length) as i64;
                        rest /= length;
                    }
                    index
                };
                let row = move |begin: i64| (0..length as i64).map(move |element| (begin + stride * element) as usize);
                Box::new((0..outer.iter().product()).map(begin).flat_map(row))
            }
        }
    }
}

/// Why a value is none of its tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Without elements, or with too many of them or of axes.
    #[error("{name} has the shape {shape:?}")]
    Shape {
        /// Name of the value.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The map leads out of the tensor.
    #[error("{name} has elements outside its tensor")]
    Outside {
        /// Name of the value.
        name: String,
    },
    /// Elements of the tensor that are none of the value, or several.
    #[error("{name} does not determine its tensor")]
    Undetermined {
        /// Name of the value.
        name: String,
    },
}

impl ValueInfo {
    /// A value in its tensor's own order.
    pub fn row_major(name: impl Into<String>, shape: Vec<usize>, dtype: ElementType) -> Self {
        ValueInfo { name: name.into(), map: ElementMap::row_major(&shape), shape, dtype }
    }

    /// For each element the tensor's element that it is.
    pub fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.map.indices(&self.shape)
    }

    /// The elements of a tensor in the value's order; the tensor must have the length that was checked.
    pub fn arrange<T: Copy>(&self, tensor: &[T]) -> Vec<T> {
        self.indices().map(|i| tensor[i]).collect()
    }

    /// Number of elements, where it is within bounds.
    fn elements(&self) -> Result<u64, ValueError> {
        let product = self.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64));
        match product {
            Some(count) if count > 0 && self.shape.len() <= MAX_RANK => Ok(count),
            _ => Err(ValueError::Shape { name: self.name.clone(), shape: self.shape.clone() }),
        }
    }

    /// Whether the map leads into a tensor of `len` elements. Takes time in proportion to what the value's description
    /// holds, not to the number of elements.
    ///
    /// # Errors
    /// [`ValueError`]: what is wrong with the map.
    pub fn check(&self, len: u64) -> Result<(), ValueError> {
        let count = self.elements()?;
        let inside = match &self.map {
            ElementMap::List(list) => list.len() as u64 == count && list.iter().all(|&i| u64::from(i) < len),
            ElementMap::Affine { first, strides } => {
                let reach = |negative: bool| -> i128 {
                    let steps = self.shape.iter().zip(strides).filter(|(_, s)| (**s < 0) == negative);
                    steps.map(|(&d, &s)| (d as i128 - 1) * i128::from(s)).sum()
                };
                let (least, greatest) = (i128::from(*first) + reach(true), i128::from(*first) + reach(false));
                strides.len() == self.shape.len() && least >= 0 && greatest < i128::from(len)
            }
        };
        if !inside || count > len.max(MAX_REPEATED) {
            return Err(ValueError::Outside { name: self.name.clone() });
        }
        Ok(())
    }

    /// Whether, beyond [`ValueInfo::check`], every element of a tensor of `len` elements is exactly one element of the
    /// value, so that the value determines the tensor.
    ///
    /// # Errors
    /// As [`ValueInfo::check`], and where an element of the tensor is none of the value, or several.
    pub fn check_whole(&self, len: u64) -> Result<(), ValueError> {
        self.check(len)?;
        let once = match &self.map {
            _ if self.elements()? != len => false,
            ElementMap::List(list) => {
                let mut seen = vec![false; list.len()];
                list.iter().all(|&i| !std::mem::replace(&mut seen[i as usize], true))
            }
            // Axes that fill an interval without gaps are nested: each steps over all that the smaller ones reach.
            ElementMap::Affine { strides, .. } => {
                let axes = self.shape.iter().zip(strides).filter(|(d, _)| **d > 1);
                let mut axes: Vec<(u64, u64)> = axes.map(|(&d, s)| (s.unsigned_abs(), d as u64)).collect();
                axes.sort_unstable();
                axes.iter().try_fold(1u64, |step, &(s, d)| (s == step).then(|| step * d)).is_some()
            }
        };
        if once { Ok(()) } else { Err(ValueError::Undetermined { name: self.name.clone() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(shape: &[usize], map: ElementMap) -> ValueInfo {
        ValueInfo { name: "y".into(), shape: shape.to_vec(), dtype: ElementType::Float32, map }
    }

    fn affine(first: u64, strides: &[i64]) -> ElementMap {
        ElementMap::Affine { first, strides: strides.to_vec() }
    }

    #[test]
    fn transposed_reversed_and_repeated_values_are_affine() {
        let map = |shape: &[usize], indices: &[u32]| ElementMap::new(shape, indices);
        assert_eq!(map(&[2, 3], &[0, 1, 2, 3, 4, 5]), ElementMap::row_major(&[2, 3]));
        assert_eq!(map(&[3, 2], &[0, 3, 1, 4, 2, 5]), affine(0, &[1, 3]));
        assert_eq!(map(&[1, 3], &[2, 1, 0]), affine(2, &[0, -1]));
        assert_eq!(map(&[2, 2], &[0, 1, 0, 1]), affine(0, &[0, 1]));
        assert_eq!(map(&[], &[4]), affine(4, &[]));
        assert_eq!(map(&[4], &[0, 2, 1, 3]), ElementMap::List(vec![0, 2, 1, 3]));
    }

    #[test]
    fn values_outside_their_tensor_are_refused() {
        for (map, len) in [
            (affine(0, &[3, 1]), 5),
            (affine(0, &[3]), 6),
            (affine(0, &[3, 1, 1]), 6),
            (affine(0, &[-1, 1]), 6),
            (affine(u64::MAX, &[i64::MAX, i64::MIN]), 6),
            (ElementMap::List(vec![0; 5]), 6),
            (ElementMap::List(vec![0, 1, 2, 3, 4, 6]), 6),
        ] {
            assert!(value(&[2, 3], map.clone()).check(len).is_err(), "{map:?}");
        }
        for shape in [vec![0], vec![usize::MAX; 2], vec![1; MAX_RANK + 1], vec![1 << 23]] {
            let strides = vec![0; shape.len()];
            assert!(value(&shape, affine(0, &strides)).check(6).is_err(), "{shape:?}");
        }
        value(&[1 << 22], affine(5, &[0])).check(6).unwrap();
    }

    #[test]
    fn inputs_determine_their_tensor() {
        for map in
            [affine(0, &[3, 1]), affine(0, &[1, 2]), affine(5, &[-3, -1]), ElementMap::List(vec![5, 1, 0, 4, 3, 2])]
        {
            value(&[2, 3], map.clone()).check_whole(6).unwrap_or_else(|e| panic!("{map:?}: {e}"));
        }
        for map in
            [affine(0, &[0, 1]), affine(0, &[1, 1]), affine(0, &[2, 1]), ElementMap::List(vec![0, 1, 2, 3, 4, 4])]
        {
            assert!(value(&[2, 3], map.clone()).check_whole(6).is_err(), "{map:?}");
        }
        assert!(value(&[2, 3], affine(0, &[3, 1])).check_whole(7).is_err());
    }

    #[test]
    fn names_are_those_of_numpy() {
        for (number, name) in [(1, "float32"), (7, "int64"), (9, "bool"), (11, "float64"), (16, "bfloat16")] {
            assert_eq!(ElementType::from_onnx(number).unwrap().to_string(), name);
        }
        assert_eq!(ElementType::from_onnx(8), None, "strings");
    }

    #[test]
    fn floats_are_not_compared_exactly() {
        let floats: Vec<i32> =
            (1..=16).filter(|n| ElementType::from_onnx(*n).is_some_and(|dtype| !dtype.exact())).collect();
        assert_eq!(floats, [1, 10, 11, 16]);
    }

    proptest! {
        /// Both forms of a map lead to the same elements, and the check of affine ones agrees with enumeration.
        #[test]
        fn forms_agree(shape in proptest::collection::vec(1usize..4, 0..4), first in 0u64..20, strides in proptest::collection::vec(-6i64..7, 4)) {
            let map = affine(first, &strides[..shape.len()]);
            let value = value(&shape, map.clone());
            let all: Vec<i64> = {
                let mut all = vec![first as i64];
                for (&d, &s) in shape.iter().zip(&strides) {
                    all = all.iter().flat_map(|&i| (0..d as i64).map(move |j| i + s * j)).collect();
                }
                all
            };
            let inside = all.iter().all(|i| (0..24).contains(i));
            prop_assert_eq!(value.check(24).is_ok(), inside);
            if inside {
                prop_assert!(value.indices().eq(all.iter().map(|&i| i as usize)));
                let list: Vec<u32> = all.iter().map(|&i| i as u32).collect();
                prop_assert!(ElementMap::new(&shape, &list).indices(&shape).eq(value.indices()));
                let len = all.len() as u64;
                let listed = ValueInfo { map: ElementMap::List(list), ..value.clone() };
                prop_assert_eq!(value.check_whole(len).is_ok(), listed.check_whole(len).is_ok());
            }
        }
    }
}
