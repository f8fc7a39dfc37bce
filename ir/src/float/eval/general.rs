//! Ops of models that are read as one token, and of what tokens share.

use super::error::EvalError;
use crate::float::Hidden;
use rayon::prelude::*;

/// The row of `table` that each number names, side by side.
pub(super) fn embed(name: &str, rows: &[f32], table: &[f32], width: usize) -> Result<Vec<f32>, EvalError> {
    let vocab = table.len() / width.max(1);
    let mut out = Vec::with_capacity(rows.len() * width);
    for &row in rows {
        let found = (row >= 0.0).then(|| table.get(row as usize * width..)?.get(..width)).flatten();
        match found {
            Some(values) => out.extend_from_slice(values),
            None => return Err(EvalError::Row { name: name.to_owned(), row, vocab }),
        }
    }
    Ok(out)
}

/// Entries of which `visible` holds no 1 count as hidden: `depth` times, or once.
pub(super) fn hide(x: &[f32], visible: &[f32], depth: Option<&[f32]>, hidden: Hidden) -> Vec<f32> {
    let entry = |(i, (&x, &seen)): (usize, (&f32, &f32))| {
        let value = hidden.value * depth.map_or(1.0, |depth| depth[i]);
        match (seen == 0.0, hidden.replaces) {
            (false, _) => x,
            (true, true) => value,
            (true, false) => x + value,
        }
    };
    x.iter().zip(visible).enumerate().map(entry).collect()
}

/// `batch` products of `[rows, inner]` and `[inner, cols]`.
pub(super) fn matmul(x: &[f32], z: &[f32], batch: usize, [rows, inner, cols]: [usize; 3]) -> Vec<f32> {
    let mut y = vec![0f32; batch * rows * cols];
    y.par_chunks_mut(cols).enumerate().for_each(|(row, y)| {
        let z = &z[row / rows * inner * cols..][..inner * cols];
        for (&x, z) in x[row * inner..][..inner].iter().zip(z.chunks_exact(cols)) {
            y.iter_mut().zip(z).for_each(|(y, &z)| *y += x * z);
        }
    });
    y
}

/// `f` of each consecutive stretch.
pub(super) fn stretches(x: &[f32], sizes: &[u32], f: impl Fn(&[f32]) -> f32) -> Vec<f32> {
    let mut from = 0;
    let next = |&size: &u32| {
        let stretch = &x[from..from + size as usize];
        from += size as usize;
        f(stretch)
    };
    sizes.iter().map(next).collect()
}

/// The sum of rows of `features` values, each by its number and with its factor.
pub(super) fn token_sum(x: &[f32], features: usize, rows: impl Iterator<Item = (usize, f32)>) -> Vec<f32> {
    let mut sum = vec![0f32; features];
    for (row, factor) in rows {
        sum.iter_mut().zip(&x[row * features..]).for_each(|(s, &v)| *s += factor * v);
    }
    sum
}

/// Lowest index of the greatest value.
pub(super) fn argmax(x: &[f32]) -> f32 {
    x.iter().enumerate().fold(0, |best, (i, v)| if *v > x[best] { i } else { best }) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_by_rows() {
        let table = [0.0, 1.0, 2.0, 3.0];
        assert_eq!(embed("e", &[1.0, 0.0], &table, 2).expect("rows"), [2.0, 3.0, 0.0, 1.0]);
        assert!(embed("e", &[2.0], &table, 2).is_err() && embed("e", &[-1.0], &table, 2).is_err());
    }

    #[test]
    fn products_of_two_batches() {
        let y = matmul(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0], 2, [1, 2, 2]);
        assert_eq!(y, [1.0, 2.0, 3.0, 7.0]);
    }

    #[test]
    fn stretches_and_greatest() {
        assert_eq!(stretches(&[1.0, 2.0, 3.0], &[1, 0, 2], |x| x.iter().sum()), [1.0, 0.0, 5.0]);
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1.0);
        let hidden = |replaces, depth| {
            let hidden = Hidden { value: -5.0, replaces, absorbs: false, defined: true };
            hide(&[1.0, 2.0], &[1.0, 0.0], depth, hidden)
        };
        assert_eq!((hidden(true, None), hidden(false, None)), (vec![1.0, -5.0], vec![1.0, -3.0]));
        let twice = Some(&[0.0, 2.0][..]);
        assert_eq!((hidden(true, twice), hidden(false, twice)), (vec![1.0, -10.0], vec![1.0, -8.0]));
    }
}
