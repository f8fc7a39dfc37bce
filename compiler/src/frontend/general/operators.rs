//! tract's elementwise operators.

use super::graph::{Graph, Op};
use super::read::{Read, Reader, Value};
use super::tensor::{Code, View};
use crate::frontend::lower::function;
use nanozk_ir::float::{Binary, UnaryFn};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::{binary::TypedBinOp, element_wise::ElementWiseOp, logic::Iff, math::PowConst};

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
        "Not" => UnaryFn::Not,
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
        "Div" => (Binary::Div, false),
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

/// The binary operator of this name on truth values.
fn bitwise(name: &str, dtype: DatumType) -> Option<Binary> {
    match name {
        _ if dtype != bool::datum_type() => None,
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
        let Some(f) = unary(op) else { return Ok(None) };
        let codes = match f {
            UnaryFn::Recip => reciprocal(r.graph, &x.codes),
            f => r.graph.unary(f, &x.codes),
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
    let (f, swapped) = match binary(name).or_else(|| Some((bitwise(name, dtype)?, false))) {
        Some(found) => found,
        None if name == "ShiftLeft" || name == "ShiftRight" => return shift(r, args, name == "ShiftLeft"),
        None => return Ok(None),
    };
    let (shape, codes) = r.broadcast(args)?;
    let (a, b) = if swapped { (&codes[1], &codes[0]) } else { (&codes[0], &codes[1]) };
    let computed = b.iter().any(|c| !c.is_constant());
    let mut out = match f {
        Binary::Div if computed && dtype.is_float() => {
            let reciprocal = reciprocal(r.graph, b);
            r.graph.binary(Binary::Mul, a, &reciprocal)
        }
        Binary::Pow if computed && a.iter().any(|c| !c.is_constant()) => {
            let logarithm = r.graph.unary(UnaryFn::Ln, a);
            let exponent = r.graph.binary(Binary::Mul, b, &logarithm);
            r.graph.unary(UnaryFn::Exp, &exponent)
        }
        _ => r.graph.binary(f, a, b),
    };
    if f == Binary::Div && dtype.is_integer() {
        out = r.graph.unary(UnaryFn::Trunc, &out);
    }
    if name == "NE" {
        out = r.graph.unary(UnaryFn::Not, &out);
    }
    Ok(Some(vec![Value::View(View::new(&shape, out))]))
}

/// `1 / x`. A count that a tiny bound keeps from 0 is bounded by 1 instead: the same for every count but 0, and no table
/// has to hold the reciprocal of the bound, which only ever multiplies a sum of nothing.
fn reciprocal(g: &mut Graph, x: &[Code]) -> Vec<Code> {
    let count = |&code: &Code| {
        let node = g.node(code);
        let (Op::Binary(Binary::Max), [a, b]) = (&node.op, &node.args[..]) else { return None };
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

/// Shifts by constants: products with powers of two.
fn shift(r: &mut Reader, args: &[Value], left: bool) -> Read<Option<Vec<Value>>> {
    let (shape, codes) = r.broadcast(args)?;
    let bits = r.graph.constants(&codes[1]).ok_or("a shift by a number that is computed; shift by a constant")?;
    let powers: Vec<_> = bits.iter().map(|b| r.graph.pool.code(b.exp2())).collect();
    let out = match left {
        true => r.graph.binary(Binary::Mul, &codes[0], &powers),
        false => {
            let quotient = r.graph.binary(Binary::Div, &codes[0], &powers);
            r.graph.unary(UnaryFn::Floor, &quotient)
        }
    };
    Ok(Some(vec![Value::View(View::new(&shape, out))]))
}

/// Where a softmax gives NaN: entries of stretches without a visible one. Nothing else is taken to be NaN.
fn nan(r: &mut Reader, x: &View) -> Read<Vec<Value>> {
    let codes = super::softmax::empty_stretches(r.graph, &x.codes);
    Ok(vec![Value::View(View::new(&x.shape, codes))])
}
