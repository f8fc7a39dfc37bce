//! Idioms whose values are bounded by how their parts relate, where intervals alone would give far too much.

use super::{Ellipsoid, Range, Scope, Unbounded, narrow};
use crate::int::ops::Gadget;
use crate::int::ops::attend::groups;
use crate::int::{Node, Op, Term, ops};

/// The node whose features operand 1 of `node` repeats, each for a stretch of equal length, and that length.
fn repeated<'a>(scope: &Scope<'a>, node: &Node) -> Option<(&'a Node, usize)> {
    let broadcast = source(scope, node, 1)?;
    let picks = copies(broadcast)?;
    let origin = source(scope, broadcast, 0)?;
    let len = picks.len() / origin.features as usize;
    let stretched = len > 0 && picks.len() == len * origin.features as usize;
    (stretched && picks.iter().enumerate().all(|(j, &f)| f == j / len)).then_some((origin, len))
}

/// The sums of a node of sums.
fn sums(node: &Node) -> Option<&[Vec<Term>]> {
    match &node.op {
        Op::Affine(ops::Affine { rows }) => Some(rows),
        _ => None,
    }
}

/// `x * r` with `r = floor(sqrt(C / v'))` broadcast to a stretch of x, `v' >= v / 2^s` and `v >= |x|^2` of that stretch:
/// then `|x r| <= sqrt(C 2^s)`. With the squares of `z = round(x / 2^t)` instead, `|x| <= 2^t (|z| + sqrt(n) / 2)` for a
/// stretch of n.
pub(in crate::int) fn normalised(scope: &Scope, node: &Node, r: &[Range]) -> Option<Result<Range, Unbounded>> {
    let (root, len) = repeated(scope, node)?;
    let Op::RSqrt(ops::RSqrt { param }) = root.op else { return None };
    let c = scope.layer.params[param as usize] as f64;
    let (sum, shift) = match source(scope, root, 0)? {
        lifted @ Node { op: Op::Affine(ops::Affine { .. }), .. } => {
            for (g, terms) in sums(lifted)?.iter().enumerate() {
                let own = terms.iter().find(|t| t.input == 0 && t.coef == 1 && t.feature as usize == g)?;
                let rest: i64 = terms.iter().filter(|t| *t != own).map(|t| least_constant(scope, lifted, t)).sum();
                if rest < 1 {
                    return None;
                }
            }
            let requant = source(scope, lifted, 0)?;
            let Op::Requant(ops::Requant { limbs, clamp: false, .. }) = requant.op else { return None };
            (source(scope, requant, 0)?, limbs * scope.limb_bits)
        }
        checked @ Node { op: Op::Range(ops::Range { .. }), .. } => (source(scope, checked, 0)?, 0),
        _ => return None,
    };
    let (x, rows) = (node.inputs[0], sums(sum)?);
    let mut stretches = rows.iter().enumerate();
    let squared = squared_in(scope, sum, rows.first()?, 0..len)?;
    let all = stretches.all(|(g, terms)| squared_in(scope, sum, terms, g * len..(g + 1) * len) == Some(squared));
    if rows.len() != root.features as usize || !all {
        return None;
    }
    let dropped = match &scope.graph.nodes[squared as usize] {
        _ if squared == x => 0,
        Node { op: Op::Requant(ops::Requant { limbs, clamp: false, .. }), inputs, .. } if inputs == &[x] => {
            limbs * scope.limb_bits
        }
        _ => return None,
    };
    let factors = &r[node.inputs[1] as usize];
    let factor = (0..factors.lo.len()).map(|j| factors.peak(j)).fold(0.0, f64::max);
    let rounding = if dropped == 0 { 0.0 } else { (len as f64).sqrt() / 2.0 * factor };
    let radius = f64::from(dropped).exp2() * ((c * f64::from(shift).exp2()).sqrt() + rounding);
    let features = r[x as usize].lo.len();
    let limit = narrow(radius.ceil() as i128 + 1);
    Some(limit.map(|l| {
        let range = Range::uniform(features, -l, l);
        if rows.len() == 1 {
            Ellipsoid::ball(features, radius, scope.norms.clone()).apply(range)
        } else {
            range.with_stretches(len, radius)
        }
    }))
}

/// Least value of a term over a constant operand, i64::MIN / 4 for any other operand.
fn least_constant(scope: &Scope, node: &Node, t: &Term) -> i64 {
    match source(scope, node, t.input as usize).map(|n| &n.op) {
        Some(Op::Const(ops::Const { data, .. })) if t.coef > 0 => {
            data.iter().copied().min().unwrap_or(0).saturating_mul(t.coef)
        }
        _ => i64::MIN / 4,
    }
}

/// The value of whose `features` the `terms` of `node` sum the squares, each at least once, plus constants that are not
/// negative.
fn squared_in(scope: &Scope, node: &Node, terms: &[Term], features: std::ops::Range<usize>) -> Option<u32> {
    let mut squared: Option<u32> = None;
    let mut seen = vec![false; features.len()];
    for t in terms {
        match source(scope, node, t.input as usize)? {
            Node { op: Op::Mul(ops::Mul), inputs, .. } if inputs[0] == inputs[1] && t.coef >= 1 => {
                if *squared.get_or_insert(inputs[0]) != inputs[0] {
                    return None;
                }
                // Other squares only make the sum greater.
                if features.contains(&(t.feature as usize)) {
                    seen[t.feature as usize - features.start] = true;
                }
            }
            Node { op: Op::Param(ops::Param { first }), .. }
                if t.coef >= 0 && scope.layer.params[(first + t.feature) as usize] >= 0 => {}
            Node { op: Op::Const(ops::Const { .. }), .. } if least_constant(scope, node, t) >= 0 => {}
            _ => return None,
        }
    }
    squared.filter(|_| seen.into_iter().all(|s| s))
}

/// `u * r` with `u = sum_k e_k v_k`, `r = floor(C / z)` broadcast per head and `z = sum_k e_k`, or the greatest of that
/// and others: a mean of v times C, or less.
pub(in crate::int) fn averaged(scope: &Scope, node: &Node, r: &[Range]) -> Option<Result<Range, Unbounded>> {
    let context = source(scope, node, 0)?;
    let Op::Context(ops::Context { heads, kv_heads, head_dim }) = context.op else { return None };
    let broadcast = source(scope, node, 1)?;
    let picks = copies(broadcast)?;
    let dim = head_dim as usize;
    if picks.iter().enumerate().any(|(j, &f)| f != j / dim) {
        return None;
    }
    let recip = source(scope, broadcast, 0)?;
    let Op::Recip(ops::Recip { param }) = recip.op else { return None };
    let mut total = source(scope, recip, 0)?;
    let bounded = matches!(&total.op, Op::Gadget(Gadget::Max(max)) if max.groups == 1);
    if bounded {
        total = source(scope, total, 0)?;
    }
    let rows = if bounded { sums(total)?.get(..1)? } else { sums(total)? };
    if total.inputs.first() != context.inputs.first() || !bounded && total.inputs.len() != 1 {
        return None;
    }
    let t = scope.tokens;
    let negative = r[context.inputs[0] as usize].lo.iter().any(|&e| e < 0);
    if negative || rows.iter().enumerate().any(|(h, terms)| !sums_whole(terms, h * t..(h + 1) * t)) {
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
        match &v.ellipsoid {
            Some(ellipsoid) => {
                let part = |h: usize| ellipsoid.norm(h / group * dim, (h / group + 1) * dim).powi(2);
                let norm = (0..heads as usize).map(part).sum::<f64>().sqrt();
                range.with_norm(norm * c as f64)
            }
            None => range,
        }
    }))
}

/// `e * r` with `r = floor(C / z)` broadcast to a stretch of e and `z = sum e + ...` over that stretch, nothing of it
/// negative: at most C.
pub(in crate::int) fn shares(scope: &Scope, node: &Node, r: &[Range]) -> Option<Result<Range, Unbounded>> {
    let (recip, len) = repeated(scope, node)?;
    let Op::Recip(ops::Recip { param }) = recip.op else { return None };
    let mut sum = source(scope, recip, 0)?;
    if sum.inputs != [node.inputs[0]] {
        let lifted = sum;
        for (g, terms) in sums(lifted)?.iter().enumerate() {
            let own = terms.iter().find(|t| t.input == 0 && t.coef == 1 && t.feature as usize == g)?;
            if terms.iter().any(|t| t != own && least_constant(scope, lifted, t) < 0) {
                return None;
            }
        }
        sum = source(scope, lifted, 0)?;
    }
    let e = &r[node.inputs[0] as usize];
    let rows = sums(sum)?;
    let whole = rows.iter().enumerate().all(|(g, terms)| sums_whole(terms, g * len..(g + 1) * len));
    if !whole || rows.len() * len != e.lo.len() || sum.inputs != [node.inputs[0]] || e.lo.iter().any(|&v| v < 0) {
        return None;
    }
    Some(narrow(scope.layer.params[param as usize].into()).map(|c| Range::uniform(e.lo.len(), 0, c)))
}

/// `u * r` with `u = e z` a product of activations and each `r = floor(C / sum e)` over the row of e, broadcast to the
/// row's columns: a mean of rows of z times C. Rows of e may be picked from several softmaxes, zeros between.
pub(in crate::int) fn averaged_rows(scope: &Scope, node: &Node, r: &[Range]) -> Option<Result<Range, Unbounded>> {
    let product = source(scope, node, 0)?;
    let Op::Gadget(Gadget::MatMul(sizes)) = &product.op else { return None };
    let [rows, inner, cols] = [sizes.rows, sizes.inner, sizes.cols].map(|n| n as usize);
    let (recips, len) = repeated(scope, node)?;
    let (e, z) = (&r[product.inputs[0] as usize], &r[product.inputs[1] as usize]);
    if len != cols || e.lo.iter().any(|&v| v < 0) {
        return None;
    }
    let (mut lo, mut hi) = (Vec::with_capacity(node.features as usize), Vec::with_capacity(node.features as usize));
    for row in 0..recips.features as usize {
        let entries: Vec<Option<(u32, u32)>> =
            (row * inner..(row + 1) * inner).map(|f| origin(scope, product.inputs[0], f as u32)).collect();
        let (recip, at) = origin(scope, node_of(scope, node, 1)?, (row * cols) as u32)?;
        let Op::Recip(ops::Recip { param }) = scope.graph.nodes[recip as usize].op else { return None };
        let sum = source(scope, &scope.graph.nodes[recip as usize], 0)?;
        let terms = sums(sum)?.get(at as usize)?;
        let mut summed: Vec<(u32, u32)> = terms.iter().map(|t| (sum.inputs[t.input as usize], t.feature)).collect();
        let mut own: Vec<(u32, u32)> = entries.iter().flatten().copied().collect();
        summed.sort_unstable();
        own.sort_unstable();
        if summed != own || terms.iter().any(|t| t.coef != 1) {
            return None;
        }
        let c = i128::from(scope.layer.params[param as usize]);
        for col in 0..cols {
            let used = entries.iter().enumerate().filter(|(_, e)| e.is_some());
            let features = used.map(|(i, _)| (row / rows * inner + i) * cols + col);
            let (least, most) = features.fold((0, 0), |(l, h): (i64, i64), f| (l.min(z.lo[f]), h.max(z.hi[f])));
            match (narrow(c * i128::from(least)), narrow(c * i128::from(most))) {
                (Ok(l), Ok(h)) => {
                    lo.push(l);
                    hi.push(h);
                }
                (Err(e), _) | (_, Err(e)) => return Some(Err(e)),
            }
        }
    }
    Some(Ok(Range::new(lo, hi)))
}

/// Operand `i` of a node.
fn node_of(scope: &Scope, node: &Node, i: usize) -> Option<u32> {
    node.inputs.get(i).copied().filter(|&v| (v as usize) < scope.graph.nodes.len())
}

/// The node and feature that `feature` of `node` is a copy of, through views; none for the constant 0.
fn origin(scope: &Scope, node: u32, feature: u32) -> Option<(u32, u32)> {
    let (mut node, mut feature) = (node, feature);
    loop {
        let at = scope.graph.nodes.get(node as usize)?;
        let Op::Affine(ops::Affine { rows }) = &at.op else { return Some((node, feature)) };
        match rows.get(feature as usize)?.as_slice() {
            [t] if t.coef == 1 => (node, feature) = (at.inputs[t.input as usize], t.feature),
            [] => return None,
            _ => return Some((node, feature)),
        }
    }
}

/// A sum of softmax weights over all keys of a group contains the maximum's weight, the table's first entry.
pub(in crate::int) fn least_weight_sum(scope: &Scope, node: &Node, terms: &[Term]) -> Option<i64> {
    let Op::Attend(ops::Attend { keys, table, .. }) = &source(scope, node, 0)?.op else { return None };
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
pub(in crate::int) fn rotation(
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
                (Op::Mul(ops::Mul), Op::Const(ops::Const { rows, data })) if *rows as usize == scope.tokens => {
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

/// Length of the stretches, and a bound on the norm of each, of `x - m` with `m = round(c sum x / 2^s)` over a stretch
/// and broadcast to it, where `c n` is `2^s` up to rounding: the mean's removal is a projection, so the norm does not grow
/// beyond the rounding of m.
pub(in crate::int) fn centred_norm(
    scope: &Scope,
    node: &Node,
    rows: &[Vec<Term>],
    r: &[Range],
) -> Option<(usize, f64)> {
    let mean = source(scope, node, 1).filter(|_| node.inputs.len() == 2)?;
    let Op::Requant(ops::Requant { limbs, clamp: false, .. }) = mean.op else { return None };
    let sum = source(scope, mean, 0)?;
    let means = sums(sum)?;
    let (x, n) = (&r[node.inputs[0] as usize], rows.len() / means.len());
    let subtracts = |(j, terms): (usize, &Vec<Term>)| {
        matches!(terms.as_slice(), [x, m] if x.input == 0 && x.feature as usize == j && x.coef == 1
            && m.input == 1 && m.feature as usize == j / n && m.coef == -1)
    };
    if n == 0 || !rows.iter().enumerate().all(subtracts) {
        return None;
    }
    let factor = means[0].first()?.coef;
    let adds = |(g, terms): (usize, &Vec<Term>)| {
        let each = |(j, t): (usize, &Term)| t.input == 0 && t.feature as usize == g * n + j && t.coef == factor;
        terms.len() == n && terms.iter().enumerate().all(each)
    };
    if !means.iter().enumerate().all(adds) || sum.inputs != [node.inputs[0]] || means.len() * n != x.lo.len() {
        return None;
    }
    let norm = (0..means.len()).map(|g| x.norm_of_part(g * n, (g + 1) * n)).fold(0.0, f64::max);
    // x - m = (x - mean(x)) + (mean(x) - m), each entry of the last part at most `off`.
    let exact = factor as f64 * n as f64 / f64::from(limbs * scope.limb_bits).exp2();
    let root = (n as f64).sqrt();
    let off = (exact - 1.0).abs() * norm / root + 0.5;
    Some((n, norm + off * root))
}

/// The sum of entries times bits of which one is 1: one of the entries. The entries are those of a diagonal, each with the
/// interval between 0 and itself.
pub(in crate::int) fn chosen(scope: &Scope, node: &Node, rows: &[Vec<Term>], r: &[Range]) -> Option<Range> {
    let products = source(scope, node, 0)?;
    if node.inputs.len() != 1 || !matches!(products.op, Op::Diagonal(ops::Diagonal { bias: None, .. })) {
        return None;
    }
    let mut bits = source(scope, products, 0)?;
    let picks = copies(bits);
    if picks.is_some() {
        bits = source(scope, bits, 0)?;
    }
    let Op::Gadget(Gadget::OneHot(one_hot)) = &bits.op else { return None };
    let depth = one_hot.depth as usize;
    let bit = |feature: u32| picks.as_ref().map_or(feature as usize, |picks| picks[feature as usize]);
    let products = &r[node.inputs[0] as usize];
    let ends = |terms: &Vec<Term>| {
        let first = bit(terms.first()?.feature);
        let whole = terms.len() == depth && first.is_multiple_of(depth);
        let in_order = terms.iter().enumerate().all(|(i, t)| t.coef == 1 && bit(t.feature) == first + i);
        let entry = |t: &Term| products.lo[t.feature as usize] + products.hi[t.feature as usize];
        (whole && in_order).then_some(())?;
        Some((terms.iter().map(entry).min()?, terms.iter().map(entry).max()?))
    };
    let (lo, hi) = rows.iter().map(ends).collect::<Option<Vec<_>>>()?.into_iter().unzip();
    Some(Range::new(lo, hi))
}

/// The node that produces operand `i` of `node`.
pub(in crate::int) fn source<'a>(scope: &Scope<'a>, node: &Node, i: usize) -> Option<&'a Node> {
    node.inputs.get(i).and_then(|&v| scope.graph.nodes.get(v as usize))
}

/// If every row is one feature of operand 0 with factor 1: which.
fn copies(node: &Node) -> Option<Vec<usize>> {
    match &node.op {
        Op::Affine(ops::Affine { rows }) if node.inputs.len() == 1 => rows
            .iter()
            .map(|terms| match terms.as_slice() {
                [t] if t.coef == 1 => Some(t.feature as usize),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}
