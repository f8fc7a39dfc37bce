//! Sums of features with public factors.

use super::rows::{narrow as exact, par_rows};
use super::{Meaning, Misfit, Mul, Numbers, Op, Site};
use crate::int::Node;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Scope, Unbounded, clip, narrow, patterns, tighten};
use serde::{Deserialize, Serialize};

/// One summand of an [`Affine`] row: `coef * inputs[input][t, feature]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Term {
    /// Operand index.
    pub input: u32,
    /// Feature of that operand.
    pub feature: u32,
    /// Factor.
    pub coef: i64,
}

/// `out[t, j] = sum rows[j]`: views, sums, broadcasts, reductions over features.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Affine {
    /// One sum per output feature.
    pub rows: Vec<Vec<Term>>,
}

impl Meaning for Affine {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        let fits = |t: &Term| site.widths.get(t.input as usize).is_some_and(|&width| (t.feature as usize) < width);
        let all = self.rows.len() == site.features && self.rows.iter().flatten().all(fits);
        if all { Ok(()) } else { Err(Misfit::Term) }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        par_rows(site.tokens, self.rows.len(), |t, out| {
            for (j, (o, terms)) in out.iter_mut().zip(&self.rows).enumerate() {
                let sum = terms.iter().map(|term| {
                    let i = term.input as usize;
                    i128::from(term.coef) * i128::from(args[i][t * site.widths[i] + term.feature as usize])
                });
                *o = exact(sum.sum(), t, j)?;
            }
            Ok(())
        })
    }

    fn range(&self, site: &Site, around: &Around, _: &[&Range]) -> Result<Range, Unbounded> {
        let (scope, earlier) = (around.scope, around.earlier);
        patterns::rotation(scope, site.node, &self.rows, earlier)
            .or_else(|| patterns::chosen(scope, site.node, &self.rows, earlier).map(Ok))
            .unwrap_or_else(|| sums(scope, site.node, &self.rows, earlier))
    }

    fn sees(&self, tokens: u32, operands: &[Sees]) -> Sees {
        match Sees::most(operands) {
            Sees::Hiding | Sees::Past => Sees::Past,
            Sees::Key if self.aligned(tokens, operands) => Sees::Key,
            _ => Sees::All,
        }
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }
}

impl Affine {
    /// Whether each sum takes values of pairs of tokens from its own key only.
    fn aligned(&self, tokens: u32, operands: &[Sees]) -> bool {
        let own = |at: usize, term: &Term| {
            operands.get(term.input as usize).is_some_and(|sees| *sees < Sees::Key)
                || u64::from(term.feature) % u64::from(tokens) == at as u64 % u64::from(tokens)
        };
        tokens > 0 && self.rows.iter().enumerate().all(|(at, row)| row.iter().all(|term| own(at, term)))
    }
}

/// The range of sums that are no rotation.
fn sums(scope: &Scope, node: &Node, rows: &[Vec<Term>], r: &[Range]) -> Result<Range, Unbounded> {
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
        if let Some(least) = patterns::least_weight_sum(scope, node, terms) {
            l = l.max(least);
        }
        lo.push(narrow(l.into())?);
        hi.push(narrow(h.into())?);
    }
    let norm = (0..node.inputs.len() as u32).map(|i| gain(rows, i, arg(i).lo.len()) * arg(i).norm).sum();
    let mut range = Range::new(lo, hi).with_norm(norm);
    match patterns::centred_norm(scope, node, rows, r) {
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
    match (single, node.inputs.first().and_then(|&v| r[v as usize].ellipsoid.as_ref())) {
        (true, Some(ellipsoid)) => {
            let picks: Vec<_> = rows.iter().map(|t| (t[0].feature as usize, t[0].coef as f64)).collect();
            Ok(ellipsoid.pick(&picks).apply(range))
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
    match patterns::source(scope, node, i)? {
        Node { op: Op::Mul(Mul), inputs, .. } if inputs[0] == inputs[1] => {
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
