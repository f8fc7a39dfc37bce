//! The sum of embeddings in front of a BERT.

use crate::frontend::refusal::missing;
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use tract_onnx::{pb::NodeProto, pb::tensor_proto::DataType, tract_hir::internal::*};

/// LayerNorm(word[ids] + position[places] + segment[kinds]). The second output counts the visible tokens of each row.
pub(super) fn embed_layer_normalization(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (ids, words) = node.at(0).zip(node.at(2)).ok_or_else(missing)?;
    let (table, gain) = node.at(3).zip(node.at(5)).ok_or_else(missing)?;
    let (shift, output) = node.at(6).zip(node.out(0)).ok_or_else(missing)?;
    let words = make.gather("words", words, ids, 0);
    let places = match node.at(8) {
        Some(places) => make.gather("places", table, places, 0),
        None => {
            let count = make.length("tokens", ids, 1)?;
            let range = make.range("numbers", &count)?;
            make.gather("places", table, &range, 0)
        }
    };
    let mut sum = make.add("sum", &words, &places);
    if let (Some(kinds), Some(table)) = (node.at(1), node.at(4)) {
        let segments = make.gather("segments", table, kinds, 0);
        sum = make.add("sum", &sum, &segments);
    }
    make.export(&sum, node.out(2));
    let attributes = vec![node::int("axis", -1), node::float("epsilon", node.float("epsilon", 1e-12))];
    make.last("LayerNormalization", &[&sum, gain, shift], output, attributes);
    if let Some(counts) = node.out(1) {
        match node.at(7) {
            Some(mask) => {
                let sums = make.reduce("visible", "ReduceSum", mask, &[1])?;
                let flat = make.reshape("counts", &sums, &[-1])?;
                make.last("Cast", &[&flat], counts, vec![node::int("to", DataType::Int32 as i64)]);
            }
            None => {
                let zeros = make.reduce("first", "ReduceMin", ids, &[1])?;
                let flat = make.reshape("rows", &zeros, &[-1])?;
                let none = make.constant("none", &tensor0(0i32))?;
                let flat = make.op("integers", "Cast", &[&flat], vec![node::int("to", DataType::Int32 as i64)]);
                make.last("Mul", &[&flat, &none], counts, Vec::new());
            }
        }
    }
    Ok(Outcome::Replaced)
}
