//! tract's elementwise operators.

use super::function::Elementwise;
use super::graph::{Graph, Op};
use super::integer;
use super::read::{Read, Reader, Value};
use super::tensor::{Code, View};
use crate::frontend::refusal::refuse;
use crate::frontend::unary::function;
use nanozk_ir::float::{Binary, UnaryFn};
use std::collections::BTreeMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::{
    binary::TypedBinOp, element_wise::ElementWiseOp, logic::Iff, math::IsInf, math::PowConst,
};

/// Most different exponents of powers.
const MOST_EXPONENTS: usize = 256;

/// The function of a unary operator: those of rows, and those that only single elements have.
fn unary(op: &ElementWiseOp) -> Option<UnaryFn> {
    if let Some(pow) = op.0.downcast_ref::<PowConst>() {
        return Some(UnaryFn::Pow(pow.exponent));
    }
    Some(match op.0.name().as_str() {
        "Neg" => UnaryFn::Neg,
        "Round" => UnaryFn::RoundAway,
        "Tan" => UnaryFn::Tan,
        "Asin" => UnaryFn::Asin,
        "Acos" => UnaryFn::Acos,
        "Atan" => UnaryFn::Atan,
        "Sinh" => UnaryFn::Sinh,
        "Cosh" => UnaryFn::Cosh,
        "Asinh" => UnaryFn::Asinh,
        "Acosh" => UnaryFn::Acosh,
        "Atanh" => UnaryFn::Atanh,
        "Not" | "BitNot" => UnaryFn::Not,
        _ => return function(op),
    })
}

/// The function of a binary operator, and whether its operands are swapped.
fn binary(name: &str) -> Option<(Binary, bool)> {
    Some(match name {
        "Add" => (Binary::Add, false),
        "Sub" => (Binary::Sub, false),
        "SubF" => (Binary::Sub, true),
        "Mul" => (Binary::Mul, false),
        "Div" | "Quotient" => (Binary::Div, false),
        "Pow" => (Binary::Pow, false),
        "Max" => (Binary::Max, false),
        "Min" => (Binary::Min, false),
        "Rem" => (Binary::Rem, false),
        "GT" => (Binary::Greater, false),
        "GTE" => (Binary::GreaterEqual, false),
        "LT" => (Binary::Greater, true),
        "LTE" => (Binary::GreaterEqual, true),
        "Eq" | "NE" => (Binary::Equal, false),
        "And" => (Binary::And, false),
        "Or" => (Binary::Or, false),
        "Xor" => (Binary::Xor, false),
        _ => return None,
    })
}

/// The binary operator of this name on binary digits, of which a truth value has one.
fn bitwise(name: &str) -> Option<Binary> {
    match name {
        "BitAnd" => Some(Binary::And),
        "BitOr" => Some(Binary::Or),
        "BitXor" => Some(Binary::Xor),
        _ => None,
    }
}

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let dtype = node.outputs[0].fact.datum_type;
    let name = node.op.name();
    if let Some(op) = node.op_as::<ElementWiseOp>() {
        let x = r.view(&args[0])?;
        if op.0.name() == "IsNan" {
            return nan(r, &x).map(Some);
        }
        if let Some(op) = op.0.downcast_ref::<IsInf>() {
            return Ok(Some(vec![infinite(r, &x, op)]));
        }
        if op.0.name() == "BitNot" && dtype != bool::datum_type() {
            let codes = integer::not(r.graph, &x.codes, dtype)?;
            return Ok(Some(vec![Value::View(View::new(&x.shape, codes))]));
        }
        let Some(f) = unary(op) else { return Ok(None) };
        let codes = match f {
            UnaryFn::Recip => reciprocal(r.graph, &x.codes),
            f => match r.of_quotient(&f, &x.codes)? {
                Some(codes) => codes,
                None => r.graph.unary(f, &x.codes),
            },
        };
        return Ok(Some(vec![Value::View(View::new(&x.shape, codes))]));
    }
    if node.op_is::<Iff>() {
        let (shape, codes) = r.broadcast(args)?;
        let codes = r.graph.select(&codes[0], &codes[1], &codes[2]);
        return Ok(Some(vec![Value::View(View::new(&shape, codes))]));
    }
    let name = match node.op_as::<TypedBinOp>() {
        Some(op) => op.0.name(),
        None => &name,
    };
    if args.len() != 2 {
        return Ok(None);
    }
    let digits = bitwise(name);
    let shifts = name == "ShiftLeft" || name == "ShiftRight";
    let Some((f, swapped)) = binary(name).or(digits.map(|f| (f, false))).or(shifts.then_some((Binary::Mul, false)))
    else {
        return Ok(None);
    };
    let (shape, codes) = r.broadcast(args)?;
    let (a, b) = if swapped { (&codes[1], &codes[0]) } else { (&codes[0], &codes[1]) };
    let whole = dtype.is_integer().then(|| whole_numbers(r.graph, f, a, b, dtype)).transpose()?.flatten();
    let found = match (digits, whole) {
        _ if shifts => Some(integer::shift(r.graph, a, b, name == "ShiftLeft", dtype)?),
        (Some(f), _) if dtype != bool::datum_type() => Some(integer::bitwise(r.graph, f, a, b)?),
        (_, whole) => whole,
    };
    if let Some(codes) = found {
        return Ok(Some(vec![Value::View(View::new(&shape, codes))]));
    }
    let computed = b.iter().any(|c| !c.is_constant());
    let mut out = match f {
        Binary::Div if computed && dtype.is_float() => {
            let reciprocal = reciprocal(r.graph, b);
            r.graph.binary(Binary::Mul, a, &reciprocal)
        }
        Binary::Rem if computed && dtype.is_float() => {
            let reciprocal = reciprocal(r.graph, b);
            let quotient = r.graph.binary(Binary::Mul, a, &reciprocal);
            let turns = r.graph.unary(UnaryFn::Trunc, &quotient);
            let taken = r.graph.binary(Binary::Mul, &turns, b);
            r.graph.binary(Binary::Sub, a, &taken)
        }
        Binary::Pow if computed => match integer::power(r.graph, a, b) {
            Some(power) => power,
            None if a.iter().any(|c| !c.is_constant()) => {
                let logarithm = r.graph.unary(UnaryFn::Ln, a);
                let exponent = r.graph.binary(Binary::Mul, b, &logarithm);
                r.graph.unary(UnaryFn::Exp, &exponent)
            }
            None => r.graph.binary(f, a, b),
        },
        Binary::Pow => power(r.graph, a, b)?,
        _ => r.graph.binary(f, a, b),
    };
    if name == "Quotient" {
        r.quotients.extend(out.iter().copied().zip(a.iter().copied().zip(b.iter().copied())));
    }
    if f == Binary::Div && dtype.is_integer() {
        out = r.graph.unary(UnaryFn::Trunc, &out);
    }
    if name == "NE" {
        out = r.graph.unary(UnaryFn::Not, &out);
    }
    Ok(Some(vec![Value::View(View::new(&shape, out))]))
}

/// `1 / x`. A count from 0, whose reciprocal there is no number, and one that a tiny bound keeps from 0, is bounded by 1: the
/// same for every count but 0, and no table has to hold what only ever multiplies a sum of nothing.
fn reciprocal(g: &mut Graph, x: &[Code]) -> Vec<Code> {
    let count = |&code: &Code| {
        if g.whole(code).is_some_and(|(lo, _)| lo == 0.0) && !code.is_constant() {
            return Some(code);
        }
        let node = g.node(code);
        let (Op::Elementwise(Elementwise::Binary(Binary::Max)), [a, b]) = (&node.op, &node.args[..]) else {
            return None;
        };
        let (a, b) = (a[code.feature()], b[code.feature()]);
        let (count, bound) = if a.is_constant() { (b, a) } else { (a, b) };
        let tiny = g.pool.value(bound).is_some_and(|v| v > 0.0 && v < 1e-3);
        g.whole(count).filter(|w| tiny && w.0 >= 0.0).map(|_| count)
    };
    let counts: Vec<Option<Code>> = x.iter().map(count).collect();
    let known: Vec<Code> = counts.iter().flatten().copied().collect();
    let mut bounded = g.with_constant(Binary::Max, &known, 1.0).into_iter();
    let x: Vec<Code> =
        x.iter().zip(&counts).map(|(&x, count)| count.and_then(|_| bounded.next()).unwrap_or(x)).collect();
    g.unary(UnaryFn::Recip, &x)
}

/// Powers of constant exponents, each of which is a function of its own.
fn power(g: &mut Graph, a: &[Code], exponents: &[Code]) -> Read<Vec<Code>> {
    let mut places: BTreeMap<Code, Vec<usize>> = BTreeMap::new();
    exponents.iter().enumerate().for_each(|(i, &e)| places.entry(e).or_default().push(i));
    if places.len() > MOST_EXPONENTS {
        return Err(refuse(format!("{} different exponents", places.len()), format!("use up to {MOST_EXPONENTS}")));
    }
    let mut out = a.to_vec();
    for (exponent, places) in places {
        let bases: Vec<Code> = places.iter().map(|&i| a[i]).collect();
        let powers = g.binary(Binary::Pow, &bases, &vec![exponent; bases.len()]);
        places.into_iter().zip(powers).for_each(|(i, code)| out[i] = code);
    }
    Ok(out)
}

/// An operation on integers that is not the one on real numbers: quotients and remainders, and results that the type
/// does not hold; `None` for all else.
fn whole_numbers(g: &mut Graph, f: Binary, a: &[Code], b: &[Code], dtype: DatumType) -> Read<Option<Vec<Code>>> {
    // Of small numbers and constants both are rows of a table.
    let small = |codes: &[Code]| g.whole_of(codes).is_some_and(|(lo, hi)| hi - lo < 4096.0);
    let by_table = b.iter().all(|c| c.is_constant()) && small(a) || a.iter().all(|c| c.is_constant()) && small(b);
    Ok(match f {
        Binary::Div if !by_table => Some(integer::divide(g, a, b)?),
        Binary::Rem if !by_table => Some(integer::remainder(g, a, b)?),
        Binary::Add | Binary::Sub | Binary::Mul if integer::is_narrow(dtype) => {
            let result = g.binary(f, a, b);
            Some(integer::wrap(g, &result, dtype)?)
        }
        _ => None,
    })
}

/// Which elements are infinite: constants may be, what is computed is not.
fn infinite(r: &mut Reader, x: &View, op: &IsInf) -> Value {
    let (up, down) = (op.detect_positive, op.detect_negative);
    let is = |v: f64| v.is_infinite() && (if v > 0.0 { up } else { down });
    let bits: Vec<f64> = x.codes.iter().map(|&c| f64::from(u8::from(r.graph.pool.value(c).is_some_and(is)))).collect();
    let codes = bits.into_iter().map(|b| r.graph.pool.code(b)).collect();
    Value::View(View::new(&x.shape, codes))
}

/// Where a softmax gives NaN: entries of stretches without a visible one. Nothing else is taken to be NaN.
fn nan(r: &mut Reader, x: &View) -> Read<Vec<Value>> {
    let codes = super::softmax::empty_stretches(r.graph, &x.codes);
    Ok(vec![Value::View(View::new(&x.shape, codes))])
}
