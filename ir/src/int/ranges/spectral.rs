//! Upper bounds on the greatest singular value of a matrix.
//!
//! `lambda^p <= tr A^p` for every eigenvalue of a matrix A whose eigenvalues are real and not negative. Products are
//! computed in double precision; each carries a bound on how far it is from the exact one, so that what comes out is an
//! upper bound whatever was rounded.

use super::SLACK;
use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};
use rayon::prelude::*;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Entries of each vector that are read at a time.
const CHUNK: usize = 512;

/// Rows of a product that are computed at a time.
const ROWS: usize = 64;

/// Vectors up to which `p = 64`; for more, `p = 8`.
const FEW: usize = 160;

/// A square matrix of size n in double precision, row-major, and its distance to the exact one at most.
pub(in crate::int) struct Square {
    n: usize,
    entries: Vec<f64>,
    /// In the Frobenius norm.
    error: f64,
}

/// Relative error of a sum of `n` products, added up in any order.
fn rounding(n: usize) -> f64 {
    n as f64 * f64::EPSILON
}

impl Square {
    /// The inner products of `n` vectors of `len` entries, entry k of vector i being `at(i, k)`.
    pub fn gram(n: usize, len: usize, at: impl Fn(usize, usize) -> f64 + Sync) -> Self {
        let mut entries = vec![0.0; n * n];
        let mut vectors = Vec::new();
        for from in (0..len).step_by(CHUNK) {
            let size = CHUNK.min(len - from);
            vectors.resize(n * size, 0.0);
            vectors.par_chunks_mut(size).enumerate().for_each(|(i, vector)| {
                vector.iter_mut().enumerate().for_each(|(k, v)| *v = at(i, from + k));
            });
            let vectors = ArrayView2::from_shape((n, size), &vectors[..]).expect("whole vectors");
            // Entries beside and right of the diagonal.
            entries.par_chunks_mut(ROWS * n).enumerate().for_each(|(block, rows)| {
                let (first, count) = (block * ROWS, rows.len() / n);
                let own = vectors.slice(ndarray::s![first..first + count, ..]);
                let mut out = ArrayViewMut2::from_shape((count, n), rows).expect("whole rows");
                let mut out = out.slice_mut(ndarray::s![.., first..]);
                general_mat_mul(1.0, &own, &vectors.slice(ndarray::s![first.., ..]).t(), 1.0, &mut out);
            });
        }
        for i in 0..n {
            for j in 0..i / ROWS * ROWS {
                entries[i * n + j] = entries[j * n + i];
            }
        }
        let mut gram = Square { n, entries, error: 0.0 };
        // |sum_k |x_ik x_jk|| <= |x_i| |x_j|, and the sum of the squares of these is the square of the trace.
        gram.error = rounding(len) * gram.trace() * SLACK;
        gram
    }

    fn view(&self) -> ArrayView2<'_, f64> {
        ArrayView2::from_shape((self.n, self.n), &self.entries[..]).expect("a square matrix")
    }

    fn trace(&self) -> f64 {
        self.entries.iter().step_by(self.n + 1).sum()
    }

    /// The Frobenius norm.
    fn norm(&self) -> f64 {
        self.entries.iter().map(|v| v * v).sum::<f64>().sqrt()
    }

    /// The product of two matrices of one size.
    pub fn times(&self, other: &Square) -> Self {
        let n = self.n;
        let (left, right) = (self.view(), other.view());
        let mut entries = vec![0.0; n * n];
        entries.par_chunks_mut((ROWS * n).max(1)).enumerate().for_each(|(block, rows)| {
            let (first, count) = (block * ROWS, rows.len() / n);
            let mut out = ArrayViewMut2::from_shape((count, n), rows).expect("whole rows");
            general_mat_mul(1.0, &left.slice(ndarray::s![first..first + count, ..]), &right, 0.0, &mut out);
        });
        let (a, b) = (self.norm(), other.norm());
        let error = (rounding(n) * a * b + a * other.error + b * self.error + self.error * other.error) * SLACK;
        Square { n, entries, error }
    }

    /// The matrix divided by `factor`.
    fn over(mut self, factor: f64) -> Self {
        self.entries.iter_mut().for_each(|v| *v /= factor);
        self.error = self.error / factor * SLACK + self.norm() * f64::EPSILON;
        self
    }

    /// Upper bound on the greatest eigenvalue of a matrix whose eigenvalues are all real and not negative:
    /// `(tr A^p)^(1/p)` for p a power of two.
    pub fn largest_eigenvalue(self) -> f64 {
        let squarings = if self.n <= FEW { 5 } else { 2 };
        let (mut a, mut log) = (self, 0.0);
        for step in 0..=squarings {
            let t = a.norm() + a.error;
            if t <= 0.0 {
                return 0.0;
            }
            log += libm::log(t) / f64::from(1u32 << step);
            a = a.over(t);
            if step < squarings {
                a = a.times(&a);
            }
        }
        // tr A^2 is the sum of products of entries that mirror each other.
        let n = a.n;
        let mirrored = (0..n).map(|i| (0..n).map(|j| a.entries[i * n + j] * a.entries[j * n + i]).sum::<f64>());
        let norm = a.norm();
        let square = mirrored.sum::<f64>() + (2.0 * norm + a.error) * a.error + rounding(2 * n) * norm * norm;
        log += libm::log(square.max(0.0)) / f64::from(2u32 << squarings);
        libm::exp(log) * SLACK
    }
}

/// Bounds on spectral norms, each computed once: the same weights are bounded again whenever a model is laid out anew.
#[derive(Debug, Default)]
pub struct Norms(Mutex<HashMap<[u8; 64], f64>>);

impl Norms {
    /// An upper bound on the spectral norm of the row-major matrix with rows of `inner` entries, close to the true value.
    pub fn spectral<T: Copy + Sync + Into<f64>>(&self, m: &[T], inner: usize) -> f64 {
        let mut state = blake2b_simd::blake2bp::State::new();
        state.update(&inner.to_le_bytes());
        for part in m.chunks(CHUNK) {
            let bytes: Vec<u8> = part.iter().flat_map(|&v| v.into().to_le_bytes()).collect();
            state.update(&bytes);
        }
        let key = *state.finalize().as_array();
        let norms = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = norms().get(&key).copied();
        known.unwrap_or_else(|| {
            let norm = spectral_norm(m, inner);
            norms().insert(key, norm);
            norm
        })
    }
}

/// An upper bound on the spectral norm of the row-major matrix with rows of `inner` entries, close to the true value.
fn spectral_norm<T: Copy + Sync + Into<f64>>(m: &[T], inner: usize) -> f64 {
    let rows = m.len() / inner.max(1);
    if rows == 0 || inner == 0 {
        return 0.0;
    }
    if let Some(greatest) = only_entries(m, inner) {
        return greatest * SLACK;
    }
    let gram = if rows <= inner {
        Square::gram(rows, inner, |i, k| m[i * inner + k].into())
    } else {
        Square::gram(inner, rows, |i, k| m[k * inner + i].into())
    };
    gram.largest_eigenvalue().sqrt() * SLACK
}

/// The greatest magnitude in a matrix that has at most one entry in each row and column.
fn only_entries<T: Copy + Into<f64>>(m: &[T], inner: usize) -> Option<f64> {
    let mut taken = vec![false; inner];
    let mut greatest = 0f64;
    for row in m.chunks_exact(inner) {
        let mut entries = row.iter().map(|&v| v.into()).enumerate().filter(|(_, v)| *v != 0.0);
        if let Some((column, v)) = entries.next() {
            if entries.next().is_some() || std::mem::replace(&mut taken[column], true) {
                return None;
            }
            greatest = greatest.max(f64::abs(v));
        }
    }
    Some(greatest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A lower bound on the spectral norm, close to it: `|M x| / |x|` after steps of power iteration.
    fn reached(m: &[f64], inner: usize) -> f64 {
        let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut x: Vec<f64> = (0..inner).map(|i| 1.0 + (i % 7) as f64 / 8.0).collect();
        let mut best = 0f64;
        for _ in 0..60 {
            let size = norm(&x);
            if size == 0.0 {
                break;
            }
            x.iter_mut().for_each(|v| *v /= size);
            let y: Vec<f64> = m.chunks_exact(inner).map(|r| r.iter().zip(&x).map(|(a, b)| a * b).sum()).collect();
            best = best.max(norm(&y));
            let rows = || m.chunks_exact(inner).zip(&y);
            x = (0..inner).map(|i| rows().map(|(r, b)| r[i] * b).sum()).collect();
        }
        best
    }

    /// Integers of a magnitude in any order, of rank one where `flat`.
    fn matrix(rows: usize, inner: usize, seed: u64, spread: f64, flat: bool) -> Vec<f64> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
        };
        let (u, v): (Vec<f64>, Vec<f64>) = ((0..rows).map(|_| next()).collect(), (0..inner).map(|_| next()).collect());
        let entry = |i: usize, k: usize, own: f64| if flat { u[i] * v[k] } else { own };
        (0..rows * inner).map(|at| (entry(at / inner, at % inner, next()) * spread).round()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn never_below_what_a_vector_reaches(
            rows in 1usize..90, inner in 1usize..90, seed in any::<u64>(), bits in 1i32..31, flat in any::<bool>(),
        ) {
            let m = matrix(rows, inner, seed, f64::from(bits).exp2(), flat);
            let bound = spectral_norm(&m, inner);
            let frobenius = m.iter().map(|v| v * v).sum::<f64>().sqrt();
            prop_assert!(reached(&m, inner) <= bound);
            prop_assert!(bound <= frobenius * (1.0 + 1e-5));
        }

        #[test]
        fn products_of_two_grams_are_bounded(inner in 1usize..40, dim in 1usize..12, seed in any::<u64>(), bits in 1i32..31) {
            let spread = f64::from(bits).exp2();
            let (q, k) = (matrix(dim, inner, seed, spread, false), matrix(dim, inner, seed ^ 99, spread, false));
            let gram = |m: &[f64]| Square::gram(dim, inner, |i, c| m[i * inner + c]);
            let bound = gram(&q).times(&gram(&k)).largest_eigenvalue().sqrt();
            // q' k as a matrix of its own.
            let entry = |i: usize, j: usize| (0..dim).map(|r| q[r * inner + i] * k[r * inner + j]).sum::<f64>();
            let product: Vec<f64> = (0..inner * inner).map(|at| entry(at / inner, at % inner)).collect();
            prop_assert!(reached(&product, inner) <= bound * (1.0 + 1e-9));
        }
    }

    #[test]
    fn more_vectors_than_one_block_and_longer_than_one_chunk() {
        for (rows, inner) in [(ROWS + 5, CHUNK + 9), (CHUNK + 9, ROWS + 5), (FEW + 40, FEW + 41)] {
            let m = matrix(rows, inner, 7, 2000.0, false);
            let (least, bound) = (reached(&m, inner), spectral_norm(&m, inner));
            assert!((least..least * 1.6).contains(&bound), "{rows} x {inner}: {bound} for {least}");
        }
    }

    #[test]
    fn images_that_all_but_cancel_keep_the_bound_above() {
        // The second gram annihilates what the first reaches, up to rounding.
        let q = [1e9, 1e9 + 1.0];
        let k = [1e9 + 1.0, -1e9];
        let gram = |m: [f64; 2]| Square::gram(2, 1, move |i, _| m[i]);
        let cross = q[0] * k[0] + q[1] * k[1];
        let size = |m: [f64; 2]| (m[0] * m[0] + m[1] * m[1]).sqrt();
        // Eigenvalue of q q' k k' is (q.k)^2.
        let bound = gram(q).times(&gram(k)).largest_eigenvalue();
        assert!(bound >= cross * cross && bound <= (size(q) * size(k)).powi(2));
    }

    #[test]
    fn what_is_remembered_is_that_of_the_same_matrix() {
        let norms = Norms::default();
        let (wide, tall) = (norms.spectral(&[1.0, 2.0, 3.0, 4.0], 4), norms.spectral(&[1.0, 2.0, 3.0, 4.0], 2));
        assert!(wide > tall * 1.001, "{wide}, {tall}");
        assert_eq!(norms.spectral(&[1i32, 2, 3, 4], 4), wide);
        assert_eq!(norms.spectral(&[1f32, 2.0, 3.0, 4.0], 2), tall);
        assert!(norms.spectral(&[1.0, 2.0, 3.0, 5.0], 4) > wide);
    }

    #[test]
    fn nothing_and_diagonals() {
        assert_eq!(spectral_norm::<f64>(&[], 4), 0.0);
        assert_eq!(spectral_norm(&[0.0; 12], 4), 0.0);
        assert!((spectral_norm(&[3.0, 0.0, 0.0, 4.0], 2) - 4.0).abs() < 1e-4);
        assert!((spectral_norm(&[5i32, 5, 5, 5], 2) - 10.0).abs() < 1e-4);
    }
}
