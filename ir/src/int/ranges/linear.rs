//! `Linear`, `Diagonal`, `Affine` and constants.

use super::form::Matrix;
use super::{Form, Norms, Range, Scope, Unbounded, narrow, tighten};
use crate::int::{Node, Op, Term};

/// Columns that are transposed at a time.
const BLOCK: usize = 64;

/// The range over all rows of a row-major matrix.
pub(super) fn rows_of<T: Copy + Into<i64>>(data: &[T], features: usize) -> Range {
    let mut lo = vec![i64::MAX; features];
    let mut hi = vec![i64::MIN; features];
    let mut norm: f64 = 0.0;
    for row in data.chunks_exact(features) {
        for (j, &v) in row.iter().enumerate() {
            lo[j] = lo[j].min(v.into());
            hi[j] = hi[j].max(v.into());
        }
        norm = norm.max(row.iter().map(|&v| (v.into() as f64).powi(2)).sum::<f64>().sqrt());
    }
    Range::new(lo, hi).with_norm(norm)
}

/// `x W + bias` for each of `positions` rows of the operand.
pub(super) fn linear(
    x: &Range,
    w: &[i32],
    bias: Option<&[i32]>,
    n: usize,
    positions: usize,
    norms: &Norms,
) -> Result<Range, Unbounded> {
    let inner = x.lo.len() / positions;
    let bias_of = |j: usize| bias.map_or(0, |b| i64::from(b[j]));
    let mut squares = vec![0.0; n];
    for row in w.chunks_exact(n.max(1)) {
        squares.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v).powi(2));
    }
    let (mut out_lo, mut out_hi) = (Vec::with_capacity(n * positions), Vec::with_capacity(n * positions));
    for p in 0..positions {
        let part = p * inner..(p + 1) * inner;
        let x_norm = x.norm_of_part(part.start, part.end);
        let (mut lo, mut hi) = (vec![0i128; n], vec![0i128; n]);
        for (i, f) in part.enumerate() {
            let (a, b) = (i128::from(x.lo[f]), i128::from(x.hi[f]));
            for (j, &v) in w[i * n..(i + 1) * n].iter().enumerate() {
                let (p, q) = (a * i128::from(v), b * i128::from(v));
                lo[j] += p.min(q);
                hi[j] += p.max(q);
            }
        }
        for j in 0..n {
            let (mut l, mut h) = (clip(lo[j]), clip(hi[j]));
            tighten(&mut l, &mut h, 0.0, squares[j].sqrt() * x_norm);
            out_lo.push(narrow(i128::from(l) + i128::from(bias_of(j)))?);
            out_hi.push(narrow(i128::from(h) + i128::from(bias_of(j)))?);
        }
    }
    let range = Range::new(out_lo, out_hi);
    let bias: Vec<f64> = (0..n).map(|j| bias_of(j) as f64).collect();
    match &x.form {
        Some(form) if form.is_ball() && positions == 1 => {
            // `v` times the weights, or times what `size` makes of each.
            let image_of = |v: &[f64], size: fn(f64) -> f64| {
                let mut sums = vec![0.0; n];
                for (row, x) in w.chunks_exact(n.max(1)).zip(v) {
                    sums.iter_mut().zip(row).for_each(|(sum, &weight)| *sum += size(weight.into()) * x);
                }
                sums
            };
            let centre = image_of(&form.centre, |weight| weight).iter().zip(&bias).map(|(c, b)| c + b).collect();
            let noise = image_of(&form.noise, f64::abs);
            let matrix = Matrix::Rows(transposed(w, n).into());
            let image = Form { matrix, centre, noise, norms: form.norms.clone(), ..**form };
            Ok(image.apply(range))
        }
        _ => {
            let bias_norm = bias.iter().map(|b| b * b).sum::<f64>().sqrt() * (positions as f64).sqrt();
            let norm = norms.spectral(w, n) * x.norm + bias_norm;
            Ok(range.with_norm(norm))
        }
    }
}

/// `x w + bias` element by element; w and the bias repeat over the features.
pub(super) fn diagonal(x: &Range, w: &[i32], bias: Option<&[i32]>) -> Result<Range, Unbounded> {
    let features = x.lo.len();
    let factor = |j: usize| i64::from(w[j % w.len()]);
    let bias_of = |j: usize| bias.map_or(0, |b| i64::from(b[j % b.len()]));
    let (mut lo, mut hi) = (Vec::with_capacity(features), Vec::with_capacity(features));
    for j in 0..features {
        let ends = [x.lo[j], x.hi[j]].map(|v| i128::from(v) * i128::from(factor(j)));
        let (mut l, mut h) = (clip(ends[0].min(ends[1])), clip(ends[0].max(ends[1])));
        tighten(&mut l, &mut h, 0.0, factor(j).unsigned_abs() as f64 * x.norm);
        lo.push(narrow(i128::from(l) + i128::from(bias_of(j)))?);
        hi.push(narrow(i128::from(h) + i128::from(bias_of(j)))?);
    }
    let range = Range::new(lo, hi);
    match &x.form {
        Some(form) if form.is_ball() => {
            let centre = (0..features).map(|j| form.centre[j] * factor(j) as f64 + bias_of(j) as f64).collect();
            let noise = (0..features).map(|j| form.noise[j] * factor(j).unsigned_abs() as f64).collect();
            let entries: Vec<f32> = (0..features).map(|j| factor(j) as f32).collect();
            let matrix = Matrix::Diagonal(entries.into());
            Ok(Form { matrix, centre, noise, norms: form.norms.clone(), ..**form }.apply(range))
        }
        _ => {
            let greatest = w.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
            let bias_norm = (0..features).map(|j| (bias_of(j) as f64).powi(2)).sum::<f64>().sqrt();
            Ok(range.with_norm(f64::from(greatest) * x.norm + bias_norm))
        }
    }
}

/// The transpose of a row-major matrix with rows of `n` entries.
fn transposed(w: &[i32], n: usize) -> Vec<f32> {
    let inner = w.len() / n.max(1);
    let mut out = vec![0.0; w.len()];
    for from in (0..n).step_by(BLOCK) {
        for (i, row) in w.chunks_exact(n).enumerate() {
            for (j, &v) in row.iter().enumerate().skip(from).take(BLOCK) {
                out[j * inner + i] = v as f32;
            }
        }
    }
    out
}

/// Clips to what i64 holds with room for one more addition.
fn clip(v: i128) -> i64 {
    v.clamp(-(1 << 63) + 1, (1 << 63) - 1) as i64
}

pub(super) fn affine(scope: &Scope, node: &Node, rows: &[Vec<Term>], r: &[Range]) -> Result<Range, Unbounded> {
    let arg = |i: u32| &r[node.inputs[i as usize] as usize];
    let (mut lo, mut hi) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for terms in rows {
        let (mut l, mut h) = (0i128, 0i128);
        let merged = merged(terms);
        for &((input, feature), c) in &merged {
            let (a, f) = (arg(input), feature as usize);
            let (p, q) = (c.saturating_mul(a.lo[f].into()), c.saturating_mul(a.hi[f].into()));
            l = l.saturating_add(p.min(q));
            h = h.saturating_add(p.max(q));
        }
        let reach: f64 = (0..node.inputs.len() as u32)
            .map(|i| {
                let own = || merged.iter().filter(|((input, _), _)| *input == i);
                let factors = || own().map(|&(_, c)| c as f64);
                let features = || own().map(|&((_, feature), _)| feature as usize);
                let cauchy = factors().map(|c| c * c).sum::<f64>().sqrt() * arg(i).norm;
                let part = features().min().unwrap_or(0)..features().max().map_or(0, |last| last + 1);
                let squares = square_norm(scope, node, i as usize, part, r);
                squares.map_or(cauchy, |s| cauchy.min(factors().map(f64::abs).fold(0.0, f64::max) * s))
            })
            .sum();
        let (mut l, mut h) = (clip(l), clip(h));
        tighten(&mut l, &mut h, 0.0, reach);
        if let Some(least) = super::patterns::least_weight_sum(scope, node, terms) {
            l = l.max(least);
        }
        lo.push(narrow(l.into())?);
        hi.push(narrow(h.into())?);
    }
    let norm = (0..node.inputs.len() as u32).map(|i| gain(rows, i, arg(i).lo.len()) * arg(i).norm).sum();
    let mut range = Range::new(lo, hi).with_norm(norm);
    match super::patterns::centred_norm(scope, node, rows, r) {
        Some((len, norm)) if len < range.lo.len() => range = range.with_stretches(len, norm),
        Some((_, norm)) => range = range.with_norm(norm),
        None => {}
    }
    if let Some((len, norm)) = node.inputs.first().and_then(|&v| r[v as usize].stretches)
        && let Some(factor) = multiple(rows)
    {
        range = range.with_stretches(len, norm * factor as f64);
    }
    let single = rows.iter().all(|terms| terms.len() == 1 && terms[0].input == 0);
    match (single, node.inputs.first().and_then(|&v| r[v as usize].form.as_ref())) {
        (true, Some(form)) => {
            let picks: Vec<_> = rows.iter().map(|t| (t[0].feature as usize, t[0].coef as f64)).collect();
            Ok(form.pick(&picks).apply(range))
        }
        _ => Ok(range),
    }
}

/// What each feature of the operands is multiplied by in total, `((input, feature), factor)`: a feature may stand in
/// several terms of a row.
fn merged(terms: &[Term]) -> Vec<((u32, u32), i128)> {
    let mut all: Vec<_> = terms.iter().map(|t| ((t.input, t.feature), i128::from(t.coef))).collect();
    if !all.windows(2).all(|w| w[0].0 < w[1].0) {
        all.sort_by_key(|&(place, _)| place);
        all.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
    }
    all
}

/// The magnitude of the factor by which every feature of operand 0 is multiplied, each in its own place.
fn multiple(rows: &[Vec<Term>]) -> Option<u64> {
    let factor = |(j, terms): (usize, &Vec<Term>)| match terms.as_slice() {
        [t] if t.input == 0 && t.feature as usize == j => Some(t.coef.unsigned_abs()),
        _ => None,
    };
    let factors: Option<Vec<u64>> = rows.iter().enumerate().map(factor).collect();
    factors?.into_iter().max()
}

/// If operand `i` is the elementwise square of some x: a bound on the sum of its entries in `part`.
fn square_norm(scope: &Scope, node: &Node, i: usize, part: std::ops::Range<usize>, r: &[Range]) -> Option<f64> {
    match source(scope, node, i)? {
        Node { op: Op::Mul, inputs, .. } if inputs[0] == inputs[1] => {
            Some(r[inputs[0] as usize].norm_of_part(part.start, part.end).powi(2))
        }
        _ => None,
    }
}

/// Bound on the spectral norm of the matrix that operand `input` enters with.
fn gain(rows: &[Vec<Term>], input: u32, width: usize) -> f64 {
    let mut columns = vec![0f64; width];
    let mut widest: f64 = 0.0;
    for terms in rows {
        let mut sum = 0.0;
        for t in terms.iter().filter(|t| t.input == input) {
            sum += (t.coef as f64).abs();
            columns[t.feature as usize] += (t.coef as f64).abs();
        }
        widest = widest.max(sum);
    }
    (widest * columns.into_iter().fold(0.0, f64::max)).sqrt()
}

/// The node that produces operand `i` of `node`.
pub(super) fn source<'a>(scope: &Scope<'a>, node: &Node, i: usize) -> Option<&'a Node> {
    node.inputs.get(i).and_then(|&v| scope.graph.nodes.get(v as usize))
}

/// If every row is one feature of operand 0 with factor 1: which.
pub(super) fn copies(node: &Node) -> Option<Vec<usize>> {
    match &node.op {
        Op::Affine { rows } if node.inputs.len() == 1 => rows
            .iter()
            .map(|terms| match terms.as_slice() {
                [t] if t.coef == 1 => Some(t.feature as usize),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}
