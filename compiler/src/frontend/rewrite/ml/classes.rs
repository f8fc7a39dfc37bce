//! The labels of classifiers.

use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
};
use tract_onnx::{
    pb::{NodeProto, tensor_proto::DataType},
    tract_hir::internal::*,
};

/// The labels of the classes, in the order of the scores.
pub(super) enum Labels {
    Numbers(Vec<i64>),
    /// Texts, which stand as their places: a circuit has no texts.
    Texts(Vec<String>),
}

impl Labels {
    /// The labels of a classifier or map.
    pub fn of(node: &NodeProto) -> Labels {
        let numbers = ["classlabels_ints", "classlabels_int64s"].iter().map(|n| node.ints(n)).find(|l| !l.is_empty());
        match (numbers, node.texts("classlabels_strings")) {
            (Some(numbers), _) => Labels::Numbers(numbers.to_vec()),
            (None, texts) => Labels::Texts(texts),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Labels::Numbers(numbers) => numbers.len(),
            Labels::Texts(texts) => texts.len(),
        }
    }

    /// The labels of the classes at these places, int64 of the same shape, under the name of an output of the file.
    pub fn export(&self, make: &mut Builder<'_, '_>, places: &str, output: &str) -> Rewritten<()> {
        match self {
            Labels::Numbers(numbers) if !numbers.iter().copied().eq(0..numbers.len() as i64) => {
                let table = make.constant("labels", &tensor1(numbers))?;
                make.last("Gather", &[&table, places], output, vec![node::int("axis", 0)]);
            }
            Labels::Numbers(_) => make.last("Identity", &[places], output, Vec::new()),
            Labels::Texts(texts) => {
                make.last("Identity", &[places], output, Vec::new());
                make.net.notes.push(format!("output \"{output}\" gives the place of the label in {texts:?}"));
            }
        }
        Ok(())
    }

    /// The label of the greatest of the scores [rows, classes], the first of equal ones.
    pub fn export_greatest(&self, make: &mut Builder<'_, '_>, scores: &str, output: Option<&str>) -> Rewritten<()> {
        let Some(output) = output else { return Ok(()) };
        let attributes = vec![node::int("axis", 1), node::int("keepdims", 0)];
        let place = make.op("place", "ArgMax", &[scores], attributes);
        self.export(make, &place, output)
    }

    /// The second label where the score [rows, 1] is positive, else the first.
    pub fn export_sign(&self, make: &mut Builder<'_, '_>, score: &str, output: Option<&str>) -> Rewritten<()> {
        let Some(output) = output else { return Ok(()) };
        let zero = make.scalar("zero", 0.0)?;
        let positive = make.op("positive", "Greater", &[score, &zero], Vec::new());
        let place = make.op("place_column", "Cast", &[&positive], vec![node::int("to", DataType::Int64 as i64)]);
        let place = make.reshape("place", &place, &[-1])?;
        self.export(make, &place, output)
    }
}
