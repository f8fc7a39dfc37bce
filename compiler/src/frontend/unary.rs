//! tract's elementwise operators of one operand that every reading of a model knows.

use nanozk_ir::float::UnaryFn;
use tract_onnx::tract_core::ops::{element_wise::ElementWiseOp, math::PowConst, nn::LeakyRelu};

/// The function of a unary operator; negation is a matter of views.
pub(super) fn function(op: &ElementWiseOp) -> Option<UnaryFn> {
    if let Some(leaky) = op.0.downcast_ref::<LeakyRelu>() {
        return Some(UnaryFn::LeakyRelu(leaky.alpha));
    }
    if let Some(pow) = op.0.downcast_ref::<PowConst>() {
        return Some(power(pow.exponent));
    }
    Some(match op.0.name().as_str() {
        "GeluExact" => UnaryFn::GeluErf,
        "GeluApproximate" => UnaryFn::GeluTanh,
        "Silu" => UnaryFn::Silu,
        "Sigmoid" => UnaryFn::Sigmoid,
        "Tanh" => UnaryFn::Tanh,
        "Erf" => UnaryFn::Erf,
        "Exp" => UnaryFn::Exp,
        "Square" => UnaryFn::Square,
        "Sqrt" => UnaryFn::Sqrt,
        "Abs" => UnaryFn::Abs,
        "Ln" => UnaryFn::Ln,
        "Recip" => UnaryFn::Recip,
        "Rsqrt" => UnaryFn::Rsqrt,
        "Sign" => UnaryFn::Sign,
        "HardSwish" => UnaryFn::HardSwish,
        "Floor" => UnaryFn::Floor,
        "Ceil" => UnaryFn::Ceil,
        "RoundHalfToEven" => UnaryFn::Round,
        "Sin" => UnaryFn::Sin,
        "Cos" => UnaryFn::Cos,
        _ => return None,
    })
}

/// A power, under its own name where it has one.
pub(super) fn power(exponent: f32) -> UnaryFn {
    match exponent {
        2.0 => UnaryFn::Square,
        0.5 => UnaryFn::Sqrt,
        _ => UnaryFn::Pow(exponent),
    }
}
