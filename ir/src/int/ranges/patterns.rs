//! Idioms whose values are bounded by how their parts relate, where intervals alone would give far too much.

use super::{
    Form, Range, Scope, Unbounded,
    linear::{copies, source},
    narrow,
};
use crate::int::interp::attention::groups;
use crate::int::{Node, Op, Term};

/// The node whose feature 0 operand 1 of `node` repeats.
fn repeated<'a>(scope: &Scope<'a>, node: &Node) -> Option<&'a Node> {
    let broadcast = source(scope, node, 1)?;
    copies(broadcast)?.iter().all(|&f| f == 0).then(|| source(scope, broadcast, 0))?
}

/// The terms of a linear map to one feature.
fn only_row(node: &Node) -> Option<&[Term]> {
    match &node.op {
        Op::Affine { rows } if rows.len() == 1 => Some(&rows[0]),
        _ => None,
    }
}

/// `x * r` with `r = floor(sqrt(C / v'))` broadcast, `v' >= v / 2^s` and `v >= |x|^2`: then `|x r| <= sqrt(C 2^s)`.
pub(super) fn normalised(scope: &Scope, node: &Node, r: &[Range]) -> Option<Result<Range, Unbounded>> {
    let root = repeated(scope, node)?;
    let Op::RSqrt { param } = root.op else { return None };
    let c = scope.layer.params[param as usize] as f64;
    let (sum, shift) = match source(scope, root, 0)? {
        lifted @ Node { op: Op::Affine { .. }, .. } => {
            let terms = only_row(lifted)?;
            let own = terms.iter().find(|t| t.input == 0 && t.coef == 1 && t.feature == 0)?;
            let rest: i64 = terms.iter().filter(|t| *t != own).map(|t| least_constant(scope, lifted, t)).sum();
            let requant = source(scope, lifted, 0)?;
            let Op::Requant { limbs, clamp: false, .. } = requant.op else { return None };
            (source(scope, requant, 0)?, if rest >= 1 { limbs * scope.limb_bits } else { return None })
        }
        checked @ Node { op: Op::Range { .. }, .. } => (source(scope, checked, 0)?, 0),
        _ => return None,
    };
    if !sums_squares_of(scope, sum, node.inputs[0]) {
        return None;
    }
    let radius = (c * f64::from(shift).exp2()).sqrt();
    let x = &r[node.inputs[0] as usize];
    let limit = narrow(radius.ceil() as i128 + 1);
    Some(limit.map(|l| Form::ball(x.lo.len(), radius).apply(Range::uniform(x.lo.len(), -l, l))))
}

/// Least value of a term over a constant operand, i64::MIN / 4 for any other operand.
fn least_constant(scope: &Scope, node: &Node, t: &Term) -> i64 {
    match source(scope, node, t.input as usize).map(|n| &n.op) {
        Some(Op::Const { data, .. }) if t.coef > 0 => data.iter().copied().min().unwrap_or(0).saturating_mul(t.coef),
        _ => i64::MIN / 4,
    }
}

/// Whether `node` is the sum of the squares of all features of `x`, plus parameters that are not negative.
fn sums_squares_of(scope: &Scope, node: &Node, x: u32) -> bool {
    let Some(terms) = only_row(node) else { return false };
    let features = scope.graph.nodes[x as usize].features as usize;
    let mut seen = vec![false; features];
    for t in terms {
        match source(scope, node, t.input as usize) {
            Some(Node { op: Op::Mul, inputs, .. }) if inputs == &[x, x] && t.coef >= 1 => {
                seen[t.feature as usize] = true;
            }
            Some(Node { op: Op::Param { first }, .. })
                if t.coef >= 0 && scope.layer.params[(first + t.feature) as usize] >= 0 => {}
            _ => return false,
        }
    }
    seen.into_iter().all(|s| s)
}

/// `u * r` with `u = sum_k e_k v_k`, `r = floor(C / sum_k e_k)` broadcast per head: a mean of v times C.
pub(super) fn averaged(scope: &Scope, node: &Node, r: &[Range]) -> Option<Result<Range, Unbounded>> {
    let context = source(scope, node, 0)?;
    let Op::Context { heads, kv_heads, head_dim } = context.op else { return None };
    let broadcast = source(scope, node, 1)?;
    let picks = copies(broadcast)?;
    let dim = head_dim as usize;
    if picks.iter().enumerate().any(|(j, &f)| f != j / dim) {
        return None;
    }
    let recip = source(scope, broadcast, 0)?;
    let Op::Recip { param } = recip.op else { return None };
    let sums = source(scope, recip, 0)?;
    let Op::Affine { rows } = &sums.op else { return None };
    if sums.inputs.first() != context.inputs.first() || sums.inputs.len() != 1 {
        return None;
    }
    let t = scope.tokens;
    if rows.iter().enumerate().any(|(h, terms)| !sums_whole(terms, h * t..(h + 1) * t)) {
        return None;
    }
    let c = scope.layer.params[param as usize];
    let v = &r[context.inputs[1] as usize];
    let group = (heads / kv_heads) as usize;
    let ends = |j: usize| {
        let source = j / dim / group * dim + j % dim;
        let product = |x: i64| narrow(i128::from(c) * i128::from(x));
        Ok((product(v.lo[source].min(0))?, product(v.hi[source].max(0))?))
    };
    let bounds: Result<Vec<(i64, i64)>, Unbounded> = (0..picks.len()).map(ends).collect();
    Some(bounds.map(|b| {
        let (lo, hi) = b.into_iter().unzip();
        let range = Range::new(lo, hi);
        match &v.form {
            Some(form) => {
                let part = |h: usize| form.norm(h / group * dim, (h / group + 1) * dim).powi(2);
                let norm = (0..heads as usize).map(part).sum::<f64>().sqrt();
                range.with_norm(norm * c as f64)
            }
            None => range,
        }
    }))
}

/// `e * r` with `r = floor(C / z)` broadcast and `z = sum e + ...`, nothing of it negative: at most C.
pub(super) fn shares(scope: &Scope, node: &Node, r: &[Range]) -> Option<Result<Range, Unbounded>> {
    let recip = repeated(scope, node)?;
    let Op::Recip { param } = recip.op else { return None };
    let lifted = source(scope, recip, 0)?;
    let terms = only_row(lifted)?;
    let own = terms.iter().find(|t| t.input == 0 && t.coef == 1 && t.feature == 0)?;
    if terms.iter().any(|t| t != own && least_constant(scope, lifted, t) < 0) {
        return None;
    }
    let sum = source(scope, lifted, 0)?;
    let terms = only_row(sum)?;
    let e = &r[node.inputs[0] as usize];
    let whole = terms.len() == e.lo.len()
        && terms.iter().enumerate().all(|(j, t)| t.input == 0 && t.feature as usize == j && t.coef == 1);
    if !whole || sum.inputs != [node.inputs[0]] || e.lo.iter().any(|&v| v < 0) {
        return None;
    }
    Some(narrow(scope.layer.params[param as usize].into()).map(|c| Range::uniform(e.lo.len(), 0, c)))
}

/// A sum of softmax weights over all keys of a group contains the maximum's weight, the table's first entry.
pub(super) fn least_weight_sum(scope: &Scope, node: &Node, terms: &[Term]) -> Option<i64> {
    let Op::Attend { keys, table, .. } = &source(scope, node, 0)?.op else { return None };
    let table = &scope.layer.tables[*table as usize];
    let whole = groups(keys).any(|group| sums_whole(terms, group));
    (whole && table.iter().all(|&v| v >= 0)).then(|| table.first().copied())?
}

/// Whether the terms add up all features of the range of the first operand, each once.
fn sums_whole(terms: &[Term], mut features: std::ops::Range<usize>) -> bool {
    let each = |t: &Term| t.coef == 1 && t.input == 0 && Some(t.feature as usize) == features.next();
    terms.iter().all(each) && features.is_empty()
}

/// Sums over products with per-token constants (rotary embedding): the worst token, not the worst of each factor.
pub(super) fn rotation(
    scope: &Scope,
    node: &Node,
    rows: &[Vec<Term>],
    r: &[Range],
) -> Option<Result<Range, Unbounded>> {
    let factors: Vec<(&Range, &[i64], usize)> = (0..node.inputs.len())
        .map(|i| {
            let product = source(scope, node, i)?;
            let constant = source(scope, product, 1)?;
            match (&product.op, &constant.op) {
                (Op::Mul, Op::Const { rows, data }) if *rows as usize == scope.tokens => {
                    Some((&r[product.inputs[0] as usize], data.as_slice(), constant.features as usize))
                }
                _ => None,
            }
        })
        .collect::<Option<_>>()?;
    let ends = |terms: &Vec<Term>| {
        let at = |token: usize| {
            terms.iter().fold((0i128, 0i128), |(lo, hi), t| {
                let (x, data, width) = factors[t.input as usize];
                let f = t.feature as usize;
                let c = i128::from(t.coef) * i128::from(data[token * width + f]);
                let (p, q) = (c * i128::from(x.lo[f]), c * i128::from(x.hi[f]));
                (lo + p.min(q), hi + p.max(q))
            })
        };
        let (lo, hi) = (0..scope.tokens).map(at).fold((i128::MAX, i128::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)));
        Ok((narrow(lo)?, narrow(hi)?))
    };
    let bounds: Result<Vec<(i64, i64)>, Unbounded> = rows.iter().map(ends).collect();
    Some(bounds.map(|b| {
        let (lo, hi) = b.into_iter().unzip();
        Range::new(lo, hi)
    }))
}

/// Bound on the norm of `x - m` with `m = round(c sum x / 2^s)` broadcast, where `c n` is `2^s` up to rounding: the
/// mean's removal is a projection, so the norm does not grow beyond the rounding of m.
pub(super) fn centred_norm(scope: &Scope, node: &Node, rows: &[Vec<Term>], r: &[Range]) -> Option<f64> {
    let subtracts = |(j, terms): (usize, &Vec<Term>)| {
        matches!(terms.as_slice(), [x, m] if x.input == 0 && x.feature as usize == j && x.coef == 1
            && m.input == 1 && m.feature == 0 && m.coef == -1)
    };
    if node.inputs.len() != 2 || !rows.iter().enumerate().all(subtracts) {
        return None;
    }
    let mean = source(scope, node, 1)?;
    let Op::Requant { limbs, clamp: false, .. } = mean.op else { return None };
    let sum = source(scope, mean, 0)?;
    let x = &r[node.inputs[0] as usize];
    let n = x.lo.len();
    let terms = only_row(sum)?;
    let factor = terms.first()?.coef;
    let all = terms.iter().enumerate().all(|(j, t)| t.input == 0 && t.feature as usize == j && t.coef == factor);
    if !all || terms.len() != n || sum.inputs != [node.inputs[0]] || rows.len() != n {
        return None;
    }
    // x - m = (x - mean(x)) + (mean(x) - m), each entry of the last part at most `off`.
    let exact = factor as f64 * n as f64 / f64::from(limbs * scope.limb_bits).exp2();
    let root = (n as f64).sqrt();
    let off = (exact - 1.0).abs() * x.norm / root + 0.5;
    Some(x.norm + off * root)
}
