//! Operators that are replaced by plain ones, each by its published definition.

use super::{
    arithmetic, attention,
    builder::Builder,
    control,
    conv_transpose::conv_transpose,
    crop, deform, einsum,
    facts::Facts,
    fourier, grid, indices, linear_attention, loss, microsoft, ml, moves,
    net::Net,
    ngrams,
    node::Parts,
    optimisers,
    quantised::{lanes, qlinear},
    ranking, recurrent,
    resize::resize,
    rule::{Outcome, Rule},
    scatter, stretch, windows,
};
use tract_onnx::pb::NodeProto;

/// The rule for an operator, if it needs one.
fn rule(node: &NodeProto) -> Option<Rule> {
    match &node.domain[..] {
        "" => match &node.op_type[..] {
            "AffineGrid" => Some(grid::affine),
            "Add" | "And" | "Div" | "Equal" | "Greater" | "Less" | "Mul" | "Or" | "Pow" | "Sub" | "Xor"
                if node.int("broadcast", 0) != 0 && node.attribute("axis").is_some() =>
            {
                Some(arithmetic::along)
            }
            "ArgMax" | "ArgMin" => Some(ranking::arg),
            "Attention" => Some(attention::attention),
            "AveragePool" if node.int("ceil_mode", 0) != 0 => Some(windows::average),
            "BatchNormalization" => Some(arithmetic::batch_norm),
            "Cast" => Some(indices::cast),
            "BitShift" => Some(indices::bit_shift),
            "CausalConvWithState" => Some(linear_attention::causal_conv),
            "Celu" => Some(arithmetic::celu),
            "Compress" => Some(moves::compress),
            "CenterCropPad" => Some(moves::center_crop_pad),
            "Col2Im" => Some(moves::col2im),
            "ConvTranspose" => Some(conv_transpose),
            "CumProd" => Some(arithmetic::cum_prod),
            "ConvInteger" | "MatMulInteger" => Some(qlinear::integer_product),
            "DFT" => Some(fourier::dft),
            "DeformConv" => Some(deform::deform_conv),
            "Det" => Some(arithmetic::determinant),
            "DequantizeLinear" | "QuantizeLinear" => Some(lanes::lanes),
            "Einsum" => Some(einsum::einsum),
            "Equal" => Some(arithmetic::equal),
            "GRU" => Some(recurrent::gru),
            "GatherND" => Some(scatter::gather_nd),
            "GlobalLpPool" => Some(windows::global_lp),
            "GridSample" => Some(grid::sample),
            "If" if node.input.len() == 3 => Some(control::choose),
            "LRN" => Some(arithmetic::lrn),
            "LSTM" => Some(recurrent::lstm),
            "LinearAttention" => Some(linear_attention::linear_attention),
            "LpPool" => Some(windows::lp),
            "MatMul" => Some(arithmetic::matmul),
            "MaxPool" if node.out(1).is_some() => Some(windows::max_with_indices),
            "MaxUnpool" => Some(windows::unpool),
            "NegativeLogLikelihoodLoss" => Some(loss::likelihood),
            "OneHot" => Some(scatter::one_hot),
            "Pad" if node.text("mode") == "wrap" => Some(moves::pad),
            "Pad" => Some(crop::pad),
            "Mul" if node.at(0) == node.at(1) => Some(arithmetic::square),
            "Pow" => Some(arithmetic::square),
            "QLinearConv" => Some(qlinear::conv),
            "QLinearMatMul" => Some(qlinear::matmul),
            "RNN" => Some(recurrent::rnn),
            "Range" => Some(stretch::range),
            "ReduceLogSumExp" => Some(arithmetic::log_sum_exp),
            "ReduceMax" | "ReduceMin" => Some(arithmetic::extreme),
            "Resize" | "Upsample" => Some(resize),
            "ReverseSequence" => Some(scatter::reverse),
            "RoiAlign" => Some(deform::roi_align),
            "STFT" => Some(fourier::stft),
            "Slice" => Some(stretch::slice),
            "Scatter" | "ScatterElements" => Some(scatter::elements),
            "ScatterND" => Some(scatter::slices),
            "SoftmaxCrossEntropyLoss" => Some(loss::cross_entropy),
            "SpaceToDepth" if node.text("mode") == "CRD" => Some(moves::space_to_depth),
            "SwiGLU" => Some(arithmetic::swiglu),
            "Swish" if node.float("alpha", 1.0) != 1.0 => Some(arithmetic::swish),
            "TensorScatter" => Some(scatter::cache),
            "TfIdfVectorizer" => Some(ngrams::tf_idf),
            "TopK" => Some(ranking::top_k),
            _ => None,
        },
        "ai.onnx.ml" => ml::rule(&node.op_type),
        "ai.onnx.preview.training" => optimisers::rule(&node.op_type),
        "com.microsoft" => microsoft::rule(&node.op_type),
        _ => None,
    }
}

/// Operators that have a rule for rare forms.
const KEPT: [&str; 23] = [
    "ArgMax",
    "ArgMin",
    "BatchNormalization",
    "BitShift",
    "Cast",
    "ConvInteger",
    "DequantizeLinear",
    "Einsum",
    "Equal",
    "GatherND",
    "MatMul",
    "MatMulInteger",
    "Mul",
    "OneHot",
    "Pad",
    "Pow",
    "QuantizeLinear",
    "Range",
    "ReduceMax",
    "ReduceMin",
    "ScatterElements",
    "ScatterND",
    "Slice",
];

/// Whether tract reads a node as it is meant, apart from rare forms.
pub(super) fn is_plain(node: &NodeProto) -> bool {
    match KEPT.contains(&&node.op_type[..]) {
        true => node.text("mode") != "wrap",
        // What bodies of control flow hold is not looked into.
        false => rule(node).is_none() && !matches!(&node.op_type[..], "If" | "Loop" | "Scan"),
    }
}

/// Replaces all nodes with a rule whose facts are there; says whether there were any.
pub(super) fn expand(net: &mut Net<'_>, facts: Option<&Facts>) -> bool {
    let mut changed = false;
    for node in std::mem::take(&mut net.graph.node) {
        let Some(rule) = rule(&node) else {
            net.graph.node.push(node);
            continue;
        };
        let mut builder = Builder::new(net, facts, &node);
        match rule(&mut builder, &node) {
            Ok(Outcome::Replaced) => {
                let parts = builder.nodes;
                net.graph.node.extend(parts);
                changed = true;
            }
            Ok(Outcome::Kept | Outcome::Later) => net.graph.node.push(node),
            Err(refusal) => {
                net.refuse(&node, refusal);
                net.graph.node.push(node);
            }
        }
    }
    changed
}
