//! Operators of onnxruntime's domain `com.microsoft`, by onnxruntime's documentation of its contributed operators.

mod attention;
mod elementwise;
mod embed;
mod group_query;
mod masks;
mod matmul;
mod multi_head;
mod norm;
mod recurrent;

use super::{
    quantised::{nbits, qlinear},
    rule::Rule,
};

/// The rule for an operator.
pub(super) fn rule(op: &str) -> Option<Rule> {
    Some(match op {
        "Attention" => attention::attention,
        "EmbedLayerNormalization" => embed::embed_layer_normalization,
        "FusedConv" => matmul::fused_conv,
        "FusedGemm" => matmul::fused_gemm,
        "FusedMatMul" | "TransposeMatMul" => matmul::fused_matmul,
        "FusedMatMulActivation" => matmul::fused_matmul_activation,
        "GroupQueryAttention" => group_query::group_query_attention,
        "DequantizeLinear" | "QuantizeLinear" => elementwise::without_domain,
        "DynamicQuantizeLSTM" => recurrent::dynamic_quantize_lstm,
        "DynamicQuantizeMatMul" => qlinear::dynamic,
        "MatMulIntegerToFloat" => qlinear::to_float,
        "MatMulNBits" => nbits::matmul,
        "QAttention" => qlinear::attention,
        "QGemm" => qlinear::gemm,
        "QLinearAdd" | "QLinearMul" => qlinear::binary,
        "QLinearAveragePool"
        | "QLinearGlobalAveragePool"
        | "QLinearLeakyRelu"
        | "QLinearSigmoid"
        | "QLinearSoftmax" => qlinear::unary,
        "QLinearConcat" => qlinear::concat,
        "MultiHeadAttention" => multi_head::multi_head_attention,
        "BiasAdd" => elementwise::bias_add,
        "BiasSplitGelu" => elementwise::bias_split_gelu,
        "Gelu" => elementwise::gelu,
        "SkipLayerNormalization" => norm::skip_layer_normalization,
        "SkipSimplifiedLayerNormalization" => norm::skip_simplified,
        "RotaryEmbedding" => elementwise::rotary,
        _ => return None,
    })
}
