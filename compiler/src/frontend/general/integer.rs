//! Whole numbers of fixed width: quotients, remainders, shifts, bitwise operators, and what does not fit the width.

use super::gather::embed;
use super::graph::{BIT, Graph, Op, Whole};
use super::groups::sum;
use super::read::Read;
use super::tensor::{Code, ZERO};
use crate::frontend::refusal::{incorrect, refuse};
use nanozk_ir::float::{Binary, UnaryFn};
use tract_onnx::prelude::DatumType;

/// Greatest shift, and exponent of a power, that is computed.
const MOST_SHIFT: f64 = 30.0;
const MOST_POWER: f64 = 16.0;

/// Most numbers of places that a table of powers of two has.
const MOST_PLACES: f64 = 4096.0;

/// Quotients of lesser whole numbers have the same floor in single precision.
const MOST_EXACT: f64 = 8_388_608.0;

/// Whole numbers of a smaller range are rows of a table.
const MOST_ROWS: f64 = 4096.0;

/// The interval of all elements.
fn range(g: &Graph, codes: &[Code]) -> Read<Whole> {
    let range = g.whole_of(codes).filter(|(lo, hi)| lo.is_finite() && hi.is_finite());
    range.ok_or_else(|| refuse("a whole number of unknown range", "give sample data with --data, or clip it"))
}

/// Narrows the interval of computed elements.
fn within(g: &mut Graph, codes: &[Code], whole: Whole) {
    codes.iter().filter(|c| !c.is_constant()).for_each(|c| g.nodes[c.node()].whole = Some(whole));
}

/// `floor(a / b)` for b from 0. A quotient by 0 has no value, and what it is of no proof.
fn quotient(g: &mut Graph, a: &[Code], b: &[Code]) -> Read<Vec<Code>> {
    let ((al, ah), (bl, bh)) = (range(g, a)?, range(g, b)?);
    if bh < 1.0 {
        return Err(incorrect("it divides whole numbers by 0"));
    }
    if al >= 0.0 && ah < bl {
        return Ok(vec![ZERO; a.len()]);
    }
    let end = |x: f64, near: f64, far: f64| (x / if x < 0.0 { far } else { near }).floor();
    let least = bl.max(1.0);
    let whole = (end(al, bh, least), end(ah, least, bh));
    Ok(g.add(Op::Quotient, vec![a.to_vec(), b.to_vec()], a.len(), Some(whole)))
}

/// Magnitude of `a`, that of `b`, and their quotient.
fn magnitudes(g: &mut Graph, a: &[Code], b: &[Code]) -> Read<[Vec<Code>; 3]> {
    range(g, a).and(range(g, b))?;
    let (a, b) = (g.unary(UnaryFn::Abs, a), g.unary(UnaryFn::Abs, b));
    let quotient = quotient(g, &a, &b)?;
    Ok([a, b, quotient])
}

/// Floor, ceiling or whole part of `a / b` in single precision, which has that of the quotient itself for numbers of fewer
/// than 24 bits; `None` for other functions, other numbers, and what a table of one small variable has.
pub(super) fn rounded_quotient(g: &mut Graph, f: &UnaryFn, a: &[Code], b: &[Code]) -> Read<Option<Vec<Code>>> {
    let (Some((al, ah)), Some((bl, bh))) = (g.whole_of(a), g.whole_of(b)) else { return Ok(None) };
    let constant = b.iter().all(|c| c.is_constant());
    let nothing = constant && b.contains(&ZERO) || bl == 0.0 && bh == 0.0;
    if al.min(bl) <= -MOST_EXACT || ah.max(bh) >= MOST_EXACT || nothing || constant && ah - al < MOST_ROWS {
        return Ok(None);
    }
    if *f == UnaryFn::Trunc {
        return divide(g, a, b).map(Some);
    }
    let up = match f {
        UnaryFn::Floor => false,
        UnaryFn::Ceil => true,
        _ => return Ok(None),
    };
    let signs = signs(g, b);
    let a = signed(g, a.to_vec(), signs);
    let a = if up { g.unary(UnaryFn::Neg, &a) } else { a };
    let b = g.unary(UnaryFn::Abs, b);
    let floor = quotient(g, &a, &b)?;
    Ok(Some(if up { g.unary(UnaryFn::Neg, &floor) } else { floor }))
}

/// The sign of `x` where it may be negative.
fn signs(g: &mut Graph, x: &[Code]) -> Option<Vec<Code>> {
    let negative = g.whole_of(x).is_none_or(|(lo, _)| lo < 0.0);
    negative.then(|| g.unary(UnaryFn::Sign, x))
}

fn signed(g: &mut Graph, x: Vec<Code>, signs: Option<Vec<Code>>) -> Vec<Code> {
    match signs {
        Some(signs) => g.binary(Binary::Mul, &x, &signs),
        None => x,
    }
}

/// `a / b` without its fraction.
pub(super) fn divide(g: &mut Graph, a: &[Code], b: &[Code]) -> Read<Vec<Code>> {
    let [_, _, q] = magnitudes(g, a, b)?;
    let (of_a, of_b) = (signs(g, a), signs(g, b));
    let q = signed(g, q, of_a);
    Ok(signed(g, q, of_b))
}

/// What that leaves of a, with the sign of a.
pub(super) fn remainder(g: &mut Graph, a: &[Code], b: &[Code]) -> Read<Vec<Code>> {
    let [size, divisor, q] = magnitudes(g, a, b)?;
    let (most, (_, high)) = (range(g, &size)?.1, range(g, &divisor)?);
    let product = g.binary(Binary::Mul, &q, &divisor);
    let rest = g.binary(Binary::Sub, &size, &product);
    within(g, &rest, (0.0, most.min(high - 1.0)));
    let signs = signs(g, a);
    Ok(signed(g, rest, signs))
}

/// Width of an integer type, and whether it has a sign.
fn width(dtype: DatumType) -> Option<(i32, bool)> {
    dtype.is_integer().then(|| (8 * dtype.size_of() as i32, dtype.is_signed()))
}

/// Numbers as a type holds them: what does not fit comes back at the other end.
pub(super) fn wrap(g: &mut Graph, x: &[Code], dtype: DatumType) -> Read<Vec<Code>> {
    let Some((bits, sign)) = width(dtype) else { return Ok(x.to_vec()) };
    let size = f64::from(bits).exp2();
    let low = if sign { -size / 2.0 } else { 0.0 };
    let Some((lo, hi)) = g.whole_of(x) else { return Ok(x.to_vec()) };
    if lo >= low && hi < low + size || !lo.is_finite() || !hi.is_finite() {
        return Ok(x.to_vec());
    }
    if bits >= 32 {
        return Err(refuse(
            format!("results from {lo} to {hi}, which its type of {bits} bits does not hold"),
            "cast what it reads to int64, or narrow it with the sample data",
        ));
    }
    // From 0 on, whole turns added.
    let turns = ((low - lo).max(0.0) / size).ceil();
    let raised = g.with_constant(Binary::Add, x, turns * size - low);
    let divisor = vec![g.pool.code(size); x.len()];
    let rest = remainder(g, &raised, &divisor)?;
    Ok(g.with_constant(Binary::Add, &rest, low))
}

/// Whether sums, differences and products of a type may leave it where programs do not expect it: the common ones are wide
/// enough, and below 0 none without a sign is.
pub(super) fn is_narrow(dtype: DatumType) -> bool {
    width(dtype).is_some_and(|(bits, sign)| bits <= 16 || !sign)
}

/// Numbers times a power of two, or divided by one. By a negative number of places, or by as many as there are binary
/// digits, all of them go: of a negative number moved right the sign alone is left.
pub(super) fn shift(g: &mut Graph, x: &[Code], by: &[Code], left: bool, dtype: DatumType) -> Read<Vec<Code>> {
    let ((lo, hi), (least, most)) = (range(g, x)?, range(g, by)?);
    let (bits, _) = width(dtype).ok_or(refuse("a shift of a real number", "cast it to integers"))?;
    // By this many places or more nothing but the sign is left.
    let all = (hi + 1.0).max(-lo).max(1.0).log2().ceil();
    let power = |e: i32| match left {
        true if (0..bits).contains(&e) => f64::from(e).exp2(),
        true => 0.0,
        false if (0..bits).contains(&e) => f64::from(e).min(all).exp2(),
        false => all.exp2(),
    };
    let spread = most - least < MOST_PLACES;
    let powers: Vec<f64> = if spread { (least as i32..=most as i32).map(power).collect() } else { Vec::new() };
    if !spread || powers.iter().any(|&p| p > MOST_SHIFT.exp2()) {
        return Err(refuse(format!("a shift by {least} to {most} places"), format!("clip them to 0 to {MOST_SHIFT}")));
    }
    let places = g.with_constant(Binary::Sub, by, least);
    let powers = embed(g, &places, powers, 1);
    match left {
        true => {
            let product = g.binary(Binary::Mul, x, &powers);
            wrap(g, &product, dtype)
        }
        false => quotient(g, x, &powers),
    }
}

/// And, or, exclusive or of the binary digits; negative numbers in two's complement.
pub(super) fn bitwise(g: &mut Graph, f: Binary, a: &[Code], b: &[Code]) -> Read<Vec<Code>> {
    if let Some(sum) = beside(g, f, a, b).or_else(|| beside(g, f, b, a)) {
        return Ok(sum);
    }
    let ((al, ah), (bl, bh)) = (range(g, a)?, range(g, b)?);
    let (lo, hi) = (al.min(bl), ah.max(bh));
    let negative = lo < 0.0;
    let magnitude = hi.max(-1.0 - lo).max(0.0);
    let count = ((magnitude + 1.0).log2().ceil().max(1.0) as u32) + u32::from(negative);
    if count > 48 {
        return Err(refuse(format!("numbers of {count} binary digits"), "clip them to 48"));
    }
    let half = f64::from(count - 1).exp2();
    let one = g.pool.code(1.0);
    let digits = |g: &mut Graph, x: &[Code]| {
        let raised = if negative { g.with_constant(Binary::Add, x, half) } else { x.to_vec() };
        let mut digits = g.add(Op::Bits { count }, vec![raised], x.len() * count as usize, Some(BIT));
        if negative {
            let top: Vec<Code> = digits.chunks_exact(count as usize).map(|d| d[count as usize - 1]).collect();
            let turned = g.binary(Binary::Sub, &vec![one; top.len()], &top);
            digits.chunks_exact_mut(count as usize).zip(turned).for_each(|(d, t)| d[count as usize - 1] = t);
        }
        digits
    };
    let (of_a, of_b) = (digits(g, a), digits(g, b));
    let met = g.binary(f, &of_a, &of_b);
    let weight = |i: u32| if negative && i + 1 == count { -half } else { f64::from(i).exp2() };
    let weights: Vec<Code> = (0..count).map(|i| g.pool.code(weight(i))).collect();
    let terms = g.binary(Binary::Mul, &met, &weights.repeat(a.len()));
    let out = sum(g, terms, &vec![count; a.len()]);
    within(g, &out, if negative { (-half, half - 1.0) } else { (0.0, 2.0 * half - 1.0) });
    Ok(out)
}

/// Numbers and a constant whose digits all stand left of theirs: a sum, however great the constant is.
fn beside(g: &mut Graph, f: Binary, x: &[Code], constant: &[Code]) -> Option<Vec<Code>> {
    let (lo, hi) = g.whole_of(x).filter(|_| matches!(f, Binary::Or | Binary::Xor))?;
    let c = g.uniform(constant)?;
    let size = (hi + 1.0).max(1.0).log2().ceil().exp2();
    (lo >= 0.0 && c > 0.0 && (c / size).fract() == 0.0).then(|| g.with_constant(Binary::Add, x, c))
}

/// All digits turned.
pub(super) fn not(g: &mut Graph, x: &[Code], dtype: DatumType) -> Read<Vec<Code>> {
    let (bits, sign) = width(dtype).ok_or(refuse("the binary digits of a real number", "cast it to integers"))?;
    range(g, x)?;
    let most = if sign { -1.0 } else { f64::from(bits).exp2() - 1.0 };
    if bits > 32 && !sign {
        return Err(refuse("all digits of a number of 64 bits", "use 32 bits"));
    }
    let most = g.pool.code(most);
    Ok(g.binary(Binary::Sub, &vec![most; x.len()], x))
}

/// `a` to a power from 0 that is a computed whole number: one of the powers up to the greatest; `None` where that is none.
pub(super) fn power(g: &mut Graph, a: &[Code], b: &[Code]) -> Option<Vec<Code>> {
    let (lo, hi) = g.whole_of(b)?;
    if lo < 0.0 || hi > MOST_POWER || b.iter().any(|c| c.is_constant()) {
        return None;
    }
    let mut out = vec![g.pool.code(1.0); a.len()];
    let mut power = out.clone();
    for e in 1..=hi as u32 {
        power = g.binary(Binary::Mul, &power, a);
        let here = g.with_constant(Binary::Equal, b, f64::from(e));
        out = g.select(&here, &power, &out);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_results_are_tight() {
        let mut g = Graph::default();
        let x = g.add(Op::Input, vec![], 2, Some((-9.0, 20.0)));
        let y = g.add(Op::Input, vec![], 2, Some((1.0, 5.0)));
        let q = divide(&mut g, &x, &y).unwrap();
        assert_eq!(g.whole_of(&q), Some((-20.0, 20.0)));
        let r = remainder(&mut g, &x, &y).unwrap();
        assert_eq!(g.whole_of(&r), Some((-4.0, 4.0)));
        let b = bitwise(&mut g, Binary::Xor, &x, &y).unwrap();
        assert_eq!(g.whole_of(&b), Some((-32.0, 31.0)));
        let w = wrap(&mut g, &x, DatumType::U8).unwrap();
        assert_eq!(g.whole_of(&w), Some((0.0, 255.0)));
        assert_eq!(wrap(&mut g, &y, DatumType::U8).unwrap(), y);
    }

    #[test]
    fn shifts_leave_the_sign() {
        let mut g = Graph::default();
        let x = g.add(Op::Input, vec![], 2, Some((-100.0, 100.0)));
        let by = g.add(Op::Input, vec![], 2, Some((-3.0, 40.0)));
        let right = shift(&mut g, &x, &by, false, DatumType::I32).unwrap();
        assert_eq!(g.whole_of(&right), Some((-100.0, 100.0)));
        let powers = |g: &Graph, code: Code| match &g.node(code).op {
            Op::Embed { table } => table.to_vec(),
            op => panic!("{op:?}"),
        };
        let table = powers(&g, g.node(right[0]).args[1][0]);
        assert_eq!((table.len(), &table[..6], table[43]), (44, &[128.0, 128.0, 128.0, 1.0, 2.0, 4.0][..], 128.0));
        let by = g.add(Op::Input, vec![], 2, Some((0.0, 9.0)));
        let left = shift(&mut g, &x, &by, true, DatumType::I8).unwrap();
        assert_eq!(g.whole_of(&left), Some((-128.0, 127.0)));
        let by = g.add(Op::Input, vec![], 2, Some((0.0, 31.0)));
        assert!(shift(&mut g, &x, &by, true, DatumType::I32).unwrap_err().to_string().contains("clip them to 0 to 30"));
    }

    #[test]
    fn numbers_of_unknown_size_are_refused() {
        let mut g = Graph::default();
        let x = g.add(Op::Input, vec![], 1, Some(super::super::graph::ANY));
        assert!(divide(&mut g, &x, &x).is_err());
        assert!(bitwise(&mut g, Binary::And, &x, &x).is_err());
    }
}
